//! MERGE into either name, on a server that has MERGE … RETURNING: the same answers and the same
//! rows as straight on a database that has only that name's table.

use std::time::Duration;

use crossfade::testbed::iso_agents;
use crossfade_tests::answer::comparable;
use crossfade_tests::control::until_blocked;
use crossfade_tests::newer;
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::sides::{AS_LEGACY, differences, state};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// A statement and its parameters; one without parameters goes by both protocols.
type Statement = (&'static str, &'static [Option<&'static str>]);

const fn plain(sql: &'static str) -> Statement {
    (sql, &[])
}

const A: &str = "00000000-0000-4000-8000-00000000000a";
const B: &str = "00000000-0000-4000-8000-00000000000b";

/// Whole rows, for as long as their type exists. Of updated ones, which a trigger gives the time, only
/// the type shows.
const WHOLE_ROWS: &[Statement] = &[
    plain("BEGIN"),
    plain(
        "MERGE INTO iso_agents a USING (VALUES ('agent.4@example.com', 1), ('nobody@example.com', 2)) AS v(e, n) ON a.email = v.e \
         WHEN MATCHED THEN DELETE RETURNING a, v, (v), row_to_json(a)::text, row_to_json(v)::text, pg_typeof(a), pg_typeof(v), (a).email, a IS NULL, v.n",
    ),
    plain(
        "MERGE INTO iso_agents a USING client_profiles c ON a.id = c.iso_agent_id AND c.company_name = 'Company 1' \
         WHEN MATCHED THEN DELETE RETURNING a, c, coalesce(a, a), ARRAY[a.*], c AS x, pg_typeof(c), c.company_name",
    ),
    plain("ROLLBACK"),
    plain("BEGIN"),
    plain(
        "MERGE INTO iso_agents a USING iso_agents b ON a.email = b.email AND b.email = 'agent.2@example.com' \
         WHEN MATCHED THEN DELETE RETURNING b AS was, a, b, pg_typeof(b)",
    ),
    plain("ROLLBACK"),
    plain("BEGIN"),
    plain(
        "MERGE INTO iso_agents a USING (SELECT b FROM iso_agents b WHERE email = 'agent.2@example.com') AS s ON a.id = (s.b).id AND s.b = a.* \
         WHEN MATCHED AND a IS NOT DISTINCT FROM s.b THEN DELETE WHEN MATCHED THEN DO NOTHING RETURNING s.b, pg_typeof(s.b), s",
    ),
    plain("ROLLBACK"),
    plain("BEGIN"),
    plain(
        "MERGE INTO iso_agents a USING (SELECT * FROM client_profiles WHERE false) AS c ON a.id = c.iso_agent_id \
         WHEN NOT MATCHED BY SOURCE AND a.email = 'agent.2@example.com' THEN DELETE RETURNING a, c, c IS NULL, merge_action()",
    ),
    plain("ROLLBACK"),
    plain(
        "MERGE INTO iso_agents a USING client_profiles c ON a.id = c.iso_agent_id AND c.company_name = 'Company 1' \
         WHEN MATCHED THEN UPDATE SET full_name = length(a::text) RETURNING c, pg_typeof(a), a.full_name, (a).full_name, to_jsonb(a) - 'updated_at'",
    ),
];

/// Under the legacy name, in their order.
const STATEMENTS: &[Statement] = &[
    // What a loader does: some rows are there, some are not.
    plain(
        "MERGE INTO iso_agents AS a USING (VALUES ('agent.1@example.com', 'One', 10.005), ('m1@example.com', 'M1', 2)) AS v(e, n, m) ON a.email = v.e \
         WHEN MATCHED THEN UPDATE SET full_name = v.n, margin_value = margin_value + m \
         WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, margin_value) VALUES ('k' || e, e, n, m) \
         RETURNING merge_action(), a.email, v.*, margin_value, upper(n) || a.role",
    ),
    plain(
        "MERGE INTO public.iso_agents USING (SELECT 'm2@example.com' AS email, 'M2' AS full_name) AS s ON iso_agents.email = s.email \
         WHEN NOT MATCHED THEN INSERT (email, full_name, clerk_user_id, role) VALUES (email, full_name, 'k' || email, 'operator') \
         RETURNING *",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES ('m1@example.com'), ('m2@example.com'), ('nobody@example.com')) AS v(e) ON a.email = v.e \
         WHEN MATCHED AND a.role = 'operator' THEN DELETE WHEN MATCHED THEN DO NOTHING \
         WHEN NOT MATCHED AND v.e LIKE 'm%' THEN INSERT VALUES (DEFAULT, v.e, v.e, v.e) WHEN NOT MATCHED THEN DO NOTHING \
         RETURNING merge_action() AS what, a.email, a.role, e",
    ),
    // All kinds of clauses, and the column of the other side for each row.
    plain(
        "MERGE INTO iso_agents a USING (VALUES ('m1@example.com', 'x'), ('m3@example.com', 'y')) AS v(e, n) ON a.email = v.e AND a.email LIKE 'm%' \
         WHEN MATCHED AND CASE WHEN a.margin_value > 1 THEN true ELSE false END THEN UPDATE SET (full_name, role) = (CASE v.n WHEN 'x' THEN 'ex' ELSE 'other' END, 'admin') \
         WHEN NOT MATCHED BY TARGET THEN INSERT (clerk_user_id, email, full_name, role, metadata) VALUES (v.n, v.e, v.n, DEFAULT, NULL) \
         WHEN NOT MATCHED BY SOURCE AND a.email = 'agent.3@example.com' THEN UPDATE SET margin_value = DEFAULT, full_name = full_name || '!' \
         WHEN NOT MATCHED BY SOURCE AND a.email = 'agent.4@example.com' THEN DELETE \
         RETURNING merge_action(), v.n, a.full_name, a.role, a.margin_value",
    ),
    plain(
        "MERGE INTO iso_agents USING public.client_profiles ON public.client_profiles.iso_agent_id = public.iso_agents.id AND client_profiles.company_name = 'Company 1' \
         WHEN MATCHED THEN UPDATE SET full_name = public.client_profiles.company_name \
         RETURNING public.iso_agents.full_name, public.client_profiles.contact_name, merge_action()",
    ),
    // Sources of every shape.
    plain(
        "MERGE INTO iso_agents a USING client_profiles c JOIN requests r ON r.client_profile_id = c.id ON a.id = c.iso_agent_id AND c.company_name IN ('Company 1', 'Company 11') \
         WHEN MATCHED THEN UPDATE SET margin_value = r.passengers \
         RETURNING a.email, c.company_name, r.passengers, margin_value",
    ),
    plain(
        "MERGE INTO iso_agents a USING iso_agents b ON a.email = b.email AND b.email = 'agent.2@example.com' \
         WHEN MATCHED THEN UPDATE SET full_name = b.full_name || b.role RETURNING a.full_name, b.full_name",
    ),
    plain(
        "WITH w AS (SELECT email AS e FROM iso_agents WHERE role = 'admin' AND email LIKE 'm%') \
         MERGE INTO iso_agents a USING w ON a.email = w.e WHEN MATCHED THEN UPDATE SET role = 'iso_agent' RETURNING a.email, a.role",
    ),
    plain(
        "MERGE INTO iso_agents a USING (SELECT * FROM generate_series(1, 3) AS g(n)) AS s ON a.email = 's' || n || '@example.com' \
         WHEN NOT MATCHED AND n = 2 THEN INSERT (clerk_user_id, email, full_name) VALUES ('s' || n, 's' || n || '@example.com', 'second') \
         WHEN NOT MATCHED THEN INSERT (full_name, email, clerk_user_id, is_active) VALUES ('other', 's' || n || '@example.com', 's' || n, n > 1) \
         RETURNING n, email, full_name, is_active",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON EXISTS (SELECT FROM client_profiles WHERE iso_agent_id = a.id AND email = 'contact.1@example.com') \
         WHEN MATCHED AND (SELECT count(*) FROM client_profiles WHERE iso_agent_id = a.id) = 1 THEN UPDATE SET full_name = (SELECT company_name FROM client_profiles WHERE iso_agent_id = a.id) || n \
         RETURNING a.full_name, (SELECT max(company_name) FROM client_profiles WHERE iso_agent_id = a.id)",
    ),
    // Values that a query gives, over both sides or the target alone.
    plain(
        "MERGE INTO iso_agents a USING (VALUES ('agent.7@example.com', 'seven'), ('agent.8@example.com', 'eight'), ('q1@example.com', 'q')) AS v(e, n) ON a.email = v.e \
         WHEN MATCHED AND v.n = 'seven' THEN UPDATE SET margin_value = 5, (full_name, role) = (SELECT v.n || b.email || a.full_name, b.role FROM iso_agents b WHERE b.role = 'admin' ORDER BY b.email LIMIT 1), is_active = false \
         WHEN MATCHED THEN UPDATE SET (metadata, full_name) = (SELECT NULL::jsonb, v.n), (role) = (SELECT 'operator'::user_role WHERE v.n = 'eight') \
         WHEN NOT MATCHED BY TARGET THEN INSERT (clerk_user_id, email, full_name) VALUES (v.n, v.e, (SELECT max(notes) FROM client_profiles) || v.n) \
         WHEN NOT MATCHED BY SOURCE AND a.email = 'agent.9@example.com' THEN UPDATE SET (full_name, margin_value) = (SELECT string_agg(c.company_name, ',') || a.email, count(*) FROM client_profiles c WHERE c.iso_agent_id = a.id), (is_active, metadata) = (SELECT b.is_active, b.metadata FROM iso_agents b WHERE b.email = 'nobody') \
         RETURNING merge_action(), a.email, a.full_name, a.role, a.margin_value, a.is_active, a.metadata, (SELECT max(n || x.email) FROM iso_agents x WHERE x.id = a.id)",
    ),
    plain(
        "MERGE INTO iso_agents a USING public.client_profiles ON public.client_profiles.iso_agent_id = a.id AND client_profiles.company_name = 'Company 1' \
         WHEN MATCHED THEN UPDATE SET (full_name, margin_value) = (SELECT public.client_profiles.company_name, 1) \
         RETURNING a.full_name, (SELECT string_agg(s.x, ',') FROM (SELECT * FROM (VALUES ('a'), ('b')) AS w(x)) AS s) AS all",
    ),
    plain("DELETE FROM iso_agents WHERE email = 'q1@example.com'"),
    // Functions as the source.
    (
        "MERGE INTO iso_agents a USING unnest($1::text[], $2::numeric[]) WITH ORDINALITY AS v(mail, n) ON a.email = v.mail \
         WHEN MATCHED THEN UPDATE SET margin_value = v.n, (full_name) = (SELECT mail || v.n) \
         WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES ('u' || mail, mail, 'U') RETURNING *",
        &[Some("{agent.10@example.com,u1@example.com}"), Some("{4,5}")],
    ),
    plain(
        "MERGE INTO iso_agents USING LATERAL jsonb_to_recordset('[{\"e\": \"u1@example.com\", \"n\": 7}]') AS (e text, n int) ON email = e \
         WHEN MATCHED THEN UPDATE SET margin_value = n RETURNING merge_action(), margin_value, n, jsonb_to_recordset.e",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES ('u1@example.com')) AS v(e) CROSS JOIN pg_catalog.generate_series(1, 1) ON a.email = v.e WHEN MATCHED THEN DELETE RETURNING v.e, generate_series.*",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.8@example.com' WHEN MATCHED THEN UPDATE SET (full_name, margin_value) = (SELECT email, 1 FROM iso_agents)",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.8@example.com' WHEN MATCHED THEN UPDATE SET (full_name, margin_value) = (SELECT 'é', 'é')",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.8@example.com' WHEN MATCHED THEN UPDATE SET (role, full_name) = (SELECT 'é', 'é')",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON true WHEN MATCHED THEN DO NOTHING",
    ),
    plain(
        "MERGE INTO ONLY iso_agents AS a USING (SELECT 1 AS n WHERE false) AS v ON a.full_name = n::text \
         WHEN NOT MATCHED BY SOURCE AND a.email = 's3@example.com' THEN DELETE RETURNING v.n, a.email, merge_action()",
    ),
    // Defaults, and what is said of generated keys.
    (
        "MERGE INTO iso_agents a USING (SELECT $1::uuid AS id, $2::text AS e) AS s ON a.id = s.id \
         WHEN MATCHED THEN UPDATE SET role = $3, margin_value = $4 \
         WHEN NOT MATCHED THEN INSERT (id, clerk_user_id, email, full_name, role, margin_value) OVERRIDING SYSTEM VALUE VALUES (s.id, s.e, s.e, 'P', $3, $4) \
         RETURNING merge_action(), id, a.id, role, margin_value",
        &[Some(A), Some("p@example.com"), Some("admin"), Some("7.129")],
    ),
    (
        "MERGE INTO iso_agents a USING (SELECT $1::uuid AS id) AS s ON a.id = s.id WHEN MATCHED THEN UPDATE SET role = $2, metadata = $3 RETURNING a.id, role, metadata",
        &[Some(A), Some("operator"), Some("{\"phone\": \"+1\"}")],
    ),
    // Within other statements.
    plain(
        "WITH m AS (MERGE INTO iso_agents a USING (VALUES ('s1@example.com')) AS v(e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = 'in with' RETURNING merge_action() AS act, a.full_name, v.e) \
         SELECT act, full_name, e FROM m",
    ),
    plain(
        "WITH m AS (MERGE INTO iso_agents a USING (VALUES ('s1@example.com')) AS v(e) ON a.email = v.e WHEN MATCHED THEN DELETE) SELECT 1 AS one",
    ),
    plain(
        "PREPARE merging (text) AS MERGE INTO iso_agents a USING (SELECT $1 AS e) AS v ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = v.e; \
         EXECUTE merging ('s2@example.com'); EXECUTE merging ('nobody'); DEALLOCATE merging",
    ),
    plain("BEGIN"),
    plain(
        "MERGE INTO iso_agents a USING (VALUES ('s2@example.com')) AS v(e) ON a.email = v.e WHEN MATCHED THEN DELETE RETURNING email",
    ),
    plain("ROLLBACK"),
    // A row that goes makes room for one that comes.
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1, 's2@example.com')) AS v(n, e) ON a.email = v.e WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE AND email = 'm1@example.com' THEN UPDATE SET email = 'm1.new@example.com'",
    ),
    // Errors: nothing is written on either side.
    plain(
        "MERGE INTO iso_agents a USING (VALUES ('m3@example.com', 1), ('m3@example.com', 2)) AS v(e, n) ON a.email = v.e WHEN MATCHED THEN UPDATE SET margin_value = n",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'nobody' WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES ('dup', 'agent.5@example.com', 'dup')",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET margin_value = -1",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET full_name = NULL",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET role = 'nobody'",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET role = lower('ADMIN')",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET nothing = 1",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.nothing = n WHEN MATCHED THEN DELETE",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON true WHEN MATCHED THEN DO NOTHING WHEN MATCHED AND n = 1 THEN DELETE",
    ),
    plain(
        "MERGE INTO iso_agents a USING client_profiles c ON email = c.email WHEN MATCHED THEN DELETE",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT (clerk_user_id, email) VALUES ('a', 'b', 'c')",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT (clerk_user_id, email) VALUES ('a')",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET margin_value = n / (a.margin_value - a.margin_value)",
    ),
    plain(
        "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON true WHEN MATCHED THEN DELETE RETURNING nothing",
    ),
    plain(
        "SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email",
    ),
];

/// Under the unified name, in their order.
const UNIFIED: &[Statement] = &[
    plain(
        "MERGE INTO users u USING (VALUES ('agent.1@example.com', 'One', '+1'), ('u1@example.com', 'U1', '+2')) AS v(e, n, p) ON u.email = v.e \
         WHEN MATCHED THEN UPDATE SET full_name = v.n, phone = p \
         WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, phone, role) VALUES ('k' || e, e, n, p, 'sales_rep') \
         RETURNING merge_action(), u.email, v.*, phone, u.role",
    ),
    plain(
        "MERGE INTO users u USING (VALUES ('customer@example.com')) AS v(e) ON u.email = v.e \
         WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, role) VALUES ('kc', e, 'C', 'customer') RETURNING *",
    ),
    plain(
        "MERGE INTO users u USING (VALUES ('agent.2@example.com'), ('agent.4@example.com')) AS v(e) ON u.email = v.e \
         WHEN MATCHED AND u.email LIKE 'agent.4%' THEN DELETE WHEN MATCHED THEN UPDATE SET full_name = 'changed' \
         WHEN NOT MATCHED BY SOURCE AND u.email = 'agent.3@example.com' THEN UPDATE SET full_name = 'changed' \
         RETURNING merge_action(), v.e, u.email, u.full_name",
    ),
    // A row is hidden from old readers, and comes back.
    plain(
        "MERGE INTO users u USING (VALUES ('agent.5@example.com', 'customer')) AS v(e, r) ON u.email = v.e WHEN MATCHED THEN UPDATE SET role = v.r::user_role",
    ),
    plain(
        "MERGE INTO users u USING (VALUES ('agent.5@example.com', 'admin')) AS v(e, r) ON u.email = v.e WHEN MATCHED THEN UPDATE SET role = v.r::user_role RETURNING u.role",
    ),
    plain(
        "WITH m AS (MERGE INTO users u USING (VALUES ('agent.6@example.com')) AS v(e) ON u.email = v.e WHEN MATCHED THEN UPDATE SET full_name = 'in with' RETURNING merge_action() AS act, u.full_name) SELECT * FROM m",
    ),
    plain(
        "MERGE INTO users u USING (VALUES ('agent.6@example.com')) AS v(e) ON u.email = v.e WHEN MATCHED THEN UPDATE SET phone = '+3' RETURNING u.phone",
    ),
    plain(
        "MERGE INTO users u USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES ('dup', 'agent.6@example.com', 'dup')",
    ),
    plain("SELECT email, role, full_name, phone FROM users ORDER BY email"),
];

/// An answer whose rows have no order.
fn answer(messages: &[Message]) -> Vec<String> {
    let mut lines = comparable(messages);
    let rows = lines.iter().position(|line| line.starts_with("D "));
    if let Some(first) = rows {
        let count = lines[first..]
            .iter()
            .take_while(|line| line.starts_with("D "))
            .count();
        lines[first..first + count].sort();
    }
    lines
}

/// A database without Crossfade, and one that is in a phase.
struct Two {
    _world: World,
    proxy: Proxy,
    straight: RawClient,
    through: RawClient,
    alone: Client,
    moved: Client,
}

impl Two {
    async fn start(phase: Phase) -> anyhow::Result<Option<Two>> {
        let Some(binaries) = newer::postgresql() else {
            return Ok(None);
        };
        let world = World::start_from(binaries).await?;
        world.database("straight").await?;
        let proxy = world.in_phase("moved", phase).await?;
        Ok(Some(Two {
            straight: RawClient::connect(world.postgres.port, "straight").await?,
            through: RawClient::connect(proxy.port, "moved").await?,
            alone: world.postgres.connect("straight").await?,
            moved: world.postgres.connect("moved").await?,
            proxy,
            _world: world,
        }))
    }

    /// Both answer alike; whether a transaction is open then.
    async fn same(&mut self, (sql, values): Statement, simple: bool) -> anyhow::Result<bool> {
        let (expected, got) = if simple {
            let expected = self.straight.simple(sql).await?;
            (expected, self.through.simple(sql).await?)
        } else {
            let expected = self.straight.extended(sql, values).await?;
            (expected, self.through.extended(sql, values).await?)
        };
        let log = self.proxy.log();
        assert_eq!(answer(&got), answer(&expected), "{sql}\nproxy log:\n{log}");
        Ok(expected.last().is_some_and(|ready| ready.body != b"I"))
    }
}

async fn legacy_name_in(phase: Phase, simple: bool) -> anyhow::Result<()> {
    let Some(mut two) = Two::start(phase).await? else {
        return Ok(());
    };
    let whole_rows = WHOLE_ROWS.iter().filter(|_| phase != Phase::Retired);
    for (sql, values) in whole_rows.chain(STATEMENTS) {
        let by_query = simple && values.is_empty();
        if !by_query && sql.contains("; ") {
            continue;
        }
        if two.same((sql, values), by_query).await? {
            continue;
        }
        let truth = state(&two.alone, "iso_agents").await;
        if phase.writes_both() || phase == Phase::LegacyOnly {
            let rows = state(&two.moved, "iso_agents").await;
            assert_eq!(rows, truth, "{phase}: legacy rows after {sql}");
        }
        if phase != Phase::LegacyOnly {
            let rows = state(&two.moved, AS_LEGACY).await;
            assert_eq!(rows, truth, "{phase}: unified rows after {sql}");
        }
        if phase.writes_both() {
            assert_eq!(differences(&two.moved).await, 0, "{phase}: after {sql}");
        }
    }
    Ok(())
}

async fn unified_name_in(phase: Phase) -> anyhow::Result<()> {
    let Some(mut two) = Two::start(phase).await? else {
        return Ok(());
    };
    iso_agents::carry_over(&two.alone).await?;
    if phase == Phase::LegacyOnly {
        iso_agents::carry_over(&two.moved).await?;
    }
    for (sql, values) in UNIFIED {
        two.same((sql, values), false).await?;
        let truth = state(&two.alone, "users").await;
        let rows = state(&two.moved, "users").await;
        assert_eq!(rows, truth, "{phase}: unified rows after {sql}");
        if phase.writes_both() {
            assert_eq!(differences(&two.moved).await, 0, "{phase}: after {sql}");
        }
    }
    Ok(())
}

macro_rules! phases {
    ($($legacy:ident, $unified:ident: $phase:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $legacy() -> anyhow::Result<()> {
            legacy_name_in(Phase::$phase, true).await?;
            legacy_name_in(Phase::$phase, false).await
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $unified() -> anyhow::Result<()> {
            unified_name_in(Phase::$phase).await
        }
    )*};
}

phases! {
    in_legacy_only_a_merge_is_postgresqls_own, in_legacy_only_one_of_users_is_too: LegacyOnly,
    in_dual_write_a_merge_reaches_both_sides, in_dual_write_one_of_users_does_too: DualWrite,
    in_shadow_read_a_merge_reaches_both_sides, in_shadow_read_one_of_users_does_too: ShadowRead,
    in_dual_read_a_merge_reaches_both_sides, in_dual_read_one_of_users_does_too: DualRead,
    in_unified_read_a_merge_reaches_both_sides, in_unified_read_one_of_users_does_too: UnifiedRead,
    in_unified_only_a_merge_finds_its_rows_there, in_unified_only_one_of_users_passes: UnifiedOnly,
    in_retired_a_merge_finds_its_rows_there, in_retired_one_of_users_passes: Retired,
}

const MOVING: &str = r#"[migration]
name = "moving"
phase = "PHASE"
[[table]]
in_place = "public.t"
key = ["id"]
[table.columns]
id = "int DEFAULT 7"
old = { type = "text", unified = "new" }
n = "int DEFAULT 3"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_into_a_table_whose_column_moves_sets_both() -> anyhow::Result<()> {
    let Some(binaries) = newer::postgresql() else {
        return Ok(());
    };
    let world = World::start_from(binaries).await?;
    let rows = "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)";
    let table = "CREATE TABLE t (id int PRIMARY KEY DEFAULT 7, old text, n int DEFAULT 3)";
    let merges = [
        "MERGE INTO t USING (VALUES (1, 'x'), (2, 'y'), (9, 'z')) AS v(i, o) ON t.id = v.i \
         WHEN MATCHED AND t.n = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET old = v.o, n = t.n + 1 \
         WHEN NOT MATCHED THEN INSERT (id, old) VALUES (i, o) \
         WHEN NOT MATCHED BY SOURCE THEN UPDATE SET old = old || '!' RETURNING merge_action(), t.*, v.o",
        "MERGE INTO t USING (VALUES (9)) AS v(i) ON t.id = v.i AND t.old = 'z' WHEN MATCHED THEN UPDATE SET old = NULL RETURNING *",
        "SELECT * FROM t ORDER BY id",
    ];
    for phase in [
        Phase::DualWrite,
        Phase::DualRead,
        Phase::UnifiedRead,
        Phase::UnifiedOnly,
    ] {
        let (alone, moving) = (format!("alone_{phase}"), format!("moving_{phase}"));
        for database in [&alone, &moving] {
            world.database(database).await?;
            let direct = world.postgres.connect(database).await?;
            direct.batch_execute(table).await?;
            direct.batch_execute(rows).await?;
        }
        let direct = world.postgres.connect(&moving).await?;
        direct
            .batch_execute("ALTER TABLE t ADD COLUMN new text; UPDATE t SET new = old")
            .await?;
        let proxy = Proxy::with_config(&world.postgres, &moving, "")?;
        proxy.write_rules("moving", &MOVING.replace("PHASE", phase.name()))?;
        proxy.crossfade(&["prepare"]).await?;
        let proxy = proxy.serve().await?;
        let mut straight = RawClient::connect(world.postgres.port, &alone).await?;
        let mut through = RawClient::connect(proxy.port, &moving).await?;
        for sql in merges {
            let expected = answer(&straight.simple(sql).await?);
            let got = answer(&through.simple(sql).await?);
            assert_eq!(got, expected, "{phase}: {sql}\nproxy log:\n{}", proxy.log());
        }
        let apart = "SELECT count(*) FROM t WHERE old IS DISTINCT FROM new";
        let apart: i64 = direct.query_one(apart, &[]).await?.get(0);
        assert_eq!(apart, 0, "{phase}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_merges_of_one_row_lose_nothing() -> anyhow::Result<()> {
    const MERGE: &str = "MERGE INTO iso_agents a USING (VALUES ('agent.5@example.com')) AS v(e) ON a.email = v.e \
         WHEN MATCHED THEN UPDATE SET margin_value = margin_value + 1 RETURNING margin_value";
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        let Some(mut two) = Two::start(phase).await? else {
            return Ok(());
        };
        let margin = "UPDATE iso_agents SET margin_value = 0 WHERE email = 'agent.5@example.com'";
        two.through.simple(margin).await?;
        let mut other = RawClient::connect(two.proxy.port, "moved").await?;
        let pid = other.simple("SELECT pg_backend_pid()").await?;
        let pid = pid.iter().find(|message| message.tag == b'D');
        let pid: i32 = pid
            .map(Message::values)
            .into_iter()
            .flatten()
            .flatten()
            .collect::<String>()
            .parse()?;
        two.through.simple("BEGIN").await?;
        two.through.simple(MERGE).await?;
        let waiting = tokio::spawn(async move { other.simple(MERGE).await });
        until_blocked(&two.moved, pid).await?;
        two.through.simple("COMMIT").await?;
        let answered = tokio::time::timeout(Duration::from_secs(20), waiting).await???;
        let told = comparable(&answered);
        assert!(
            told.contains(&"D [\"2.00\"]".to_owned()),
            "{phase}: {told:?}"
        );
        let truth = state(&two.moved, AS_LEGACY).await;
        if phase.writes_both() {
            assert_eq!(state(&two.moved, "iso_agents").await, truth, "{phase}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_merge_cannot_be_rewritten_to_is_refused() -> anyhow::Result<()> {
    let Some(mut two) = Two::start(Phase::UnifiedRead).await? else {
        return Ok(());
    };
    let head = "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.margin_value = n";
    for (sql, says) in [
        (format!("{head} WHEN MATCHED THEN UPDATE SET id = '{B}'"), "MERGE that updates the key"),
        (format!("{head} WHEN MATCHED THEN DELETE RETURNING old.email"), "OLD and NEW"),
        (format!("{head} AND a.ctid IS NULL WHEN MATCHED THEN DELETE"), "ctid"),
        (
            "MERGE INTO iso_agents a USING client_profiles JOIN requests USING (id) ON false WHEN MATCHED THEN DELETE RETURNING *".to_owned(),
            "MERGE with a join by USING",
        ),
        (
            "MERGE INTO iso_agents a USING generate_series(1, 2) AS g(n) ON a.margin_value = g WHEN MATCHED THEN DELETE".to_owned(),
            "what has no row of columns",
        ),
    ] {
        let told = comparable(&two.through.simple(&sql).await?).join("\n");
        assert!(told.contains("0A000") && told.contains(says), "{sql}: {told}");
    }
    assert_eq!(differences(&two.moved).await, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn before_version_17_a_merge_is_refused_with_the_servers_version() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("moved", Phase::DualWrite).await?;
    let moved = world.postgres.connect("moved").await?;
    let version: String = moved
        .query_one("SHOW server_version_num", &[])
        .await?
        .get(0);
    let major = version.parse::<u32>()? / 10_000;
    if major >= 17 {
        println!("skipped: the server here is of version {major}");
        return Ok(());
    }
    let mut client = RawClient::connect(proxy.port, "moved").await?;
    let merge = "MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.margin_value = n WHEN MATCHED THEN DELETE";
    for told in [
        client.simple(merge).await?,
        client.extended(merge, &[]).await?,
    ] {
        let told = comparable(&told).join("\n");
        let words = format!("this is version {major}");
        assert!(told.contains("0A000") && told.contains(&words), "{told}");
    }
    assert_eq!(differences(&moved).await, 0);
    Ok(())
}
