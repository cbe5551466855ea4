//! Queries inside the clauses of a write: of ON CONFLICT, SET and RETURNING. Straight to a database
//! that has only the legacy table's truth, and through Crossfade in every phase: same answers, same
//! rows afterwards.

use std::time::Duration;

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::control::until_blocked;
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::sides::{AS_LEGACY, differences, state};
use rewrite_rules::Phase;

/// A statement and its parameters; one without parameters goes by both protocols.
type Statement = (&'static str, &'static [Option<&'static str>]);

const fn plain(sql: &'static str) -> Statement {
    (sql, &[])
}

const ON_CONFLICT: &[Statement] = &[
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('q1', 'q1@example.com', 'Q', 'operator'), ('x', 'agent.1@example.com', 'taken', 'admin') \
         ON CONFLICT (email) DO UPDATE SET full_name = (SELECT max(company_name) FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id) || excluded.full_name, \
         role = (SELECT b.role FROM iso_agents b WHERE b.email = 'agent.50@example.com'), margin_value = (SELECT count(*) FROM iso_agents) \
         RETURNING email, full_name, role, margin_value",
    ),
    // Names of the query hide those of the rows in conflict; both of these are told apart by name only.
    plain(
        "INSERT INTO public.iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'agent.2@example.com', 'two') \
         ON CONFLICT (email) DO UPDATE SET full_name = (SELECT string_agg(email || t.email || excluded.full_name, ',' ORDER BY email) FROM iso_agents WHERE iso_agents.email < 'agent.101@example.com' AND role = t.role), \
         is_active = EXISTS (SELECT FROM iso_agents excluded WHERE excluded.role = 'admin' AND t.role = 'iso_agent') \
         WHERE t.id IN (SELECT iso_agent_id FROM client_profiles) AND excluded.role = 'iso_agent' RETURNING t.full_name, is_active",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.2@example.com', 'never') \
         ON CONFLICT (email) DO UPDATE SET full_name = 'never' WHERE NOT EXISTS (SELECT FROM iso_agents a WHERE a.id = public.iso_agents.id) RETURNING email",
    ),
    (
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', $1, $2) \
         ON CONFLICT (email) DO UPDATE SET full_name = coalesce((SELECT max(notes) FROM client_profiles WHERE iso_agent_id = iso_agents.id AND company_name = $3), $2), \
         role = CASE WHEN EXISTS (SELECT) THEN $4::user_role ELSE excluded.role END RETURNING full_name, role",
        &[
            Some("agent.3@example.com"),
            Some("three"),
            Some("nothing"),
            Some("admin"),
        ],
    ),
    // Several columns at once: rows, and queries with one row or none.
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('x', 'agent.4@example.com', 'four', 'operator') \
         ON CONFLICT (email) DO UPDATE SET (full_name, role) = ROW(excluded.full_name || '!', excluded.role), (margin_value, is_active) = (SELECT iso_agents.margin_value + 1, excluded.is_active) RETURNING full_name, role, margin_value, is_active",
    ),
    plain(
        "INSERT INTO iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'agent.4@example.com', 'four'), ('x', 'agent.5@example.com', 'five') \
         ON CONFLICT (email) DO UPDATE SET metadata = NULL, (role, full_name) = (SELECT b.role, b.email || excluded.full_name || t.full_name FROM iso_agents b WHERE b.role = 'admin' ORDER BY b.email DESC LIMIT 1), margin_value = 3 \
         WHERE t.margin_value IS NOT NULL RETURNING email, role, full_name, margin_value",
    ),
    plain(
        "INSERT INTO iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'agent.4@example.com', 'four') \
         ON CONFLICT (email) DO UPDATE SET (metadata, margin_value) = (SELECT b.metadata, b.margin_value FROM iso_agents b WHERE b.email = 'nobody') RETURNING metadata, margin_value",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.4@example.com', 'four') \
         ON CONFLICT (email) DO UPDATE SET (role) = (SELECT 'operator'::user_role) RETURNING role",
    ),
    plain(
        "WITH w AS (SELECT 'from with'::text AS n) INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT 'x', 'agent.6@example.com', 'six' FROM w \
         ON CONFLICT (email) DO UPDATE SET full_name = (SELECT n FROM w) RETURNING full_name",
    ),
    plain(
        "WITH i AS (INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.7@example.com', 'seven') \
         ON CONFLICT (email) DO UPDATE SET (full_name, is_active) = (SELECT max(b.email), false FROM iso_agents b WHERE b.role = iso_agents.role) RETURNING full_name, is_active) SELECT * FROM i",
    ),
    // Whole rows are as they were.
    plain(
        "INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name, created_at, updated_at) VALUES ('00000000-0000-4000-8000-00000000000a', 'x', 'agent.8@example.com', 'eight', '2024-01-01', '2024-01-01') \
         ON CONFLICT (email) DO UPDATE SET metadata = to_jsonb(excluded), full_name = (SELECT r.full_name || r.role FROM (SELECT t.*) AS r) RETURNING metadata, full_name",
    ),
    // What is an error stays one, at the same place.
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = full_name || '!'",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name WHERE email = 'x'",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = excluded.nothing",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = other.full_name",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET nothing = (SELECT 1)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = (SELECT nothing FROM client_profiles)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = (SELECT email FROM iso_agents)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, role) = (SELECT email, role FROM iso_agents)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, margin_value) = (SELECT email FROM iso_agents)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, margin_value) = (SELECT * FROM (VALUES ('a', 1, 2)) AS v)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = 'é', margin_value = (SELECT 'é'::text)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = 'é', role = (SELECT 'admin')",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET role = lower('ADMIN')",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET role = excluded.full_name",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, role) = (SELECT 'a', 'admin')",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = NULLIF((SELECT excluded.full_name), 'eight')",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET margin_value = 1 / (SELECT 0)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (nothing) DO UPDATE SET margin_value = 1",
    ),
    plain(
        "SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email",
    ),
];

const SET: &[Statement] = &[
    plain(
        "UPDATE iso_agents a SET (full_name, role, margin_value) = (SELECT c.company_name || b.email || a.full_name, b.role, c.id::text::uuid IS NOT NULL AND b.margin_value > 0 IS NOT NULL OR true) \
         FROM client_profiles c, iso_agents b WHERE c.iso_agent_id = a.id AND b.email = 'agent.50@example.com' AND a.email = 'agent.1@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, role) = (SELECT c.company_name || b.email || a.full_name, b.role), is_active = a.email > 'b', (margin_value, metadata) = (SELECT count(*), jsonb_agg(x.email ORDER BY x.email) FROM iso_agents x WHERE x.role = b.role) \
         FROM public.client_profiles c, iso_agents b WHERE c.iso_agent_id = a.id AND b.email = 'agent.50@example.com' AND a.email = 'agent.1@example.com' RETURNING a.full_name, a.role, b.role, a.margin_value, a.metadata, c.company_name",
    ),
    plain(
        "UPDATE iso_agents SET (full_name, margin_value) = (SELECT public.client_profiles.company_name, 7) FROM public.client_profiles WHERE client_profiles.iso_agent_id = iso_agents.id AND iso_agents.email = 'agent.2@example.com'",
    ),
    // Items that are no rows.
    plain(
        "UPDATE iso_agents SET (full_name, margin_value, role) = (SELECT g.n || email, n, 'admin'::user_role) FROM generate_series(5, 5) AS g(n) WHERE email = 'agent.2@example.com' RETURNING full_name, margin_value, n, role",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT j.n || j.m, e.e) FROM (SELECT n, m FROM (VALUES (1, 'x')) AS v(k, n) JOIN (VALUES (1, 'y')) AS w(k, m) USING (k)) AS j, length('four') AS e WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a', x FROM generate_series(1, n) AS x) FROM generate_series(2, 2) AS g(n) WHERE email = 'agent.2@example.com'",
    ),
    // Rows of the client's own.
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = ROW(v.*) FROM (VALUES ('row', 3)) AS v WHERE a.email = 'agent.2@example.com' RETURNING full_name, margin_value",
    ),
    plain(
        "UPDATE iso_agents a SET (role, margin_value) = (v.*) FROM (VALUES ('admin'::user_role, 3)) AS v WHERE a.email = 'agent.2@example.com' RETURNING role, margin_value",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = ROW(1, 2, 3) WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT * FROM (VALUES ('a', 1, 2)) AS v) WHERE a.email = 'agent.2@example.com'",
    ),
    // Columns that two tables share, of joins of every kind: of one and the other, and of what was not found.
    plain(
        "UPDATE iso_agents a SET (full_name, role, margin_value) = (SELECT k || j.x || coalesce(p.v, 'none') || p.k, 'admin'::user_role, count(*) FROM client_profiles c WHERE c.id IS NOT NULL GROUP BY 1) \
         FROM (VALUES ('agent.2@example.com', 'x2'), ('agent.3@example.com', 'x3')) AS j(k, x) LEFT JOIN (VALUES ('agent.2@example.com', 'v2')) AS p(k, v) USING (k) WHERE a.email = k RETURNING a.email, k, full_name, role, margin_value > 0",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT coalesce(j.x, 'no j') || coalesce(p.v, 'no p') || k, 3) \
         FROM (VALUES ('agent.2@example.com', 'x2'), ('agent.3@example.com', 'x3')) AS j(k, x) FULL JOIN (VALUES ('agent.2@example.com', 'v2'), ('agent.4@example.com', 'v4')) AS p(k, v) USING (k) WHERE a.email = k RETURNING k, full_name, (SELECT j IS NULL), (SELECT coalesce(p.v, 'none'))",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT concat(x, v, n, k), n) \
         FROM (VALUES ('agent.2@example.com', 'x2')) AS j(k, x) NATURAL RIGHT JOIN (VALUES ('agent.2@example.com', 'v2'), ('agent.4@example.com', 'v4')) AS p(k, v) LEFT JOIN generate_series(2, 3) AS g(n) ON g.n = length(x) WHERE a.email = k RETURNING k, x, n, full_name",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT c.company_name || d.contact_name || b.email || both_of.id::text, 4) \
         FROM iso_agents b, client_profiles c JOIN client_profiles d USING (id) AS both_of WHERE c.iso_agent_id = a.id AND b.id = a.id AND a.email = 'agent.1@example.com' RETURNING full_name, (SELECT count(*) FROM requests r WHERE r.client_profile_id = both_of.id AND c.company_name = d.company_name)",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT b.email, 4) FROM client_profiles c JOIN iso_agents b USING (is_active) WHERE b.email = 'agent.4@example.com' AND c.iso_agent_id = a.id AND a.email = 'agent.1@example.com' RETURNING full_name, (SELECT is_active)",
    ),
    // Columns with other names.
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT c.company_name || c.email || c.iso_agent_id, 5) FROM client_profiles AS c(email, id, iso_agent_id) WHERE c.id = a.id AND a.email = 'agent.1@example.com' RETURNING full_name, (SELECT c.iso_agent_id)",
    ),
    // Items that are no rows.
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT n || coalesce(m, 'none') || r.m, r.n) FROM LATERAL ROWS FROM (generate_series(5, 6), unnest(ARRAY['p'])) AS r(n, m) WHERE a.email = 'agent.' || n || '@example.com' RETURNING full_name, (SELECT r.n + 1)",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT n || 'x', ordinality) FROM ROWS FROM (pg_catalog.generate_series(5, 5)) WITH ORDINALITY AS q(n) WHERE a.email = 'agent.5@example.com' RETURNING full_name, (SELECT q.ordinality)",
    ),
    // As many values as columns, where they are mapped as well and nobody has counted them before.
    plain(
        "UPDATE iso_agents a SET (full_name, role) = (SELECT * FROM (VALUES ('a', 'admin'::user_role)) AS v) WHERE a.email = 'agent.2@example.com' RETURNING full_name, role",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, role) = (SELECT * FROM (VALUES ('a', 'admin'::user_role, 2)) AS v) WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET margin_value = 1, (role, full_name) = (SELECT v.* FROM (VALUES ('admin'::user_role)) AS v ORDER BY 1 LIMIT 1 FOR UPDATE) WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET (role, full_name) = ROW(v.*) FROM (VALUES ('admin'::user_role, 'b', 3)) AS v WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET (role, full_name) = (SELECT 'admin'::user_role, 'x' UNION SELECT 'operator', 'y' LIMIT 1) WHERE a.email = 'agent.2@example.com' RETURNING full_name IN ('x', 'y')",
    ),
    plain(
        "UPDATE iso_agents a SET (role, full_name) = (SELECT 'admin'::user_role, 'x', 1 UNION SELECT 'operator', 'y', 2 LIMIT 1) WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET (role, full_name) = (SELECT 'admin'::user_role, 'x', 1 UNION SELECT 'operator', 'y' LIMIT 1) WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, role) = (SELECT * FROM (VALUES ('a', 'admin'::user_role, 2)) AS v)",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT 'a', 'é'::text) WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET (full_name, role) = (SELECT 'é', 'admin') WHERE a.email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET (id, full_name) = (SELECT a.id, 'same key') WHERE a.email = 'agent.2@example.com' RETURNING full_name",
    ),
    plain(
        "WITH u AS (UPDATE iso_agents a SET (full_name, role) = (SELECT c.company_name || a.email, 'operator'::user_role) FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = 'agent.4@example.com' RETURNING a.full_name, a.role) SELECT * FROM u",
    ),
    plain(
        "SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email",
    ),
];

const RETURNING: &[Statement] = &[
    plain(
        "UPDATE iso_agents a SET margin_value = 8 FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email < 'agent.13@example.com' \
         RETURNING a.email, (SELECT count(*) FROM requests r WHERE r.client_profile_id = c.id) AS n, (SELECT max(b.email || notes) FROM iso_agents b WHERE b.role = a.role AND company_name IS NOT NULL), c.company_name, margin_value",
    ),
    plain(
        "UPDATE public.iso_agents SET full_name = 'é' FROM public.client_profiles c, (VALUES ('agent.1@example.com', 1), ('agent.2@example.com', 2)) AS v(mail, n) \
         WHERE c.iso_agent_id = public.iso_agents.id AND public.iso_agents.email = v.mail RETURNING *, (SELECT string_agg(x.email, ',') FROM (SELECT * FROM iso_agents WHERE email = v.mail) AS x), EXISTS (SELECT FROM public.client_profiles p WHERE p.id = c.id AND p.company_name = c.company_name)",
    ),
    plain(
        "UPDATE iso_agents SET full_name = 'qualified' FROM public.client_profiles WHERE public.client_profiles.iso_agent_id = iso_agents.id AND iso_agents.email = 'agent.1@example.com' \
         RETURNING public.iso_agents.full_name, (SELECT public.client_profiles.company_name || public.iso_agents.email), client_profiles.notes IN (SELECT notes FROM client_profiles)",
    ),
    plain(
        "DELETE FROM iso_agents a USING (VALUES ('s3@example.com', 1), ('nobody', 2)) AS v(mail, n) WHERE a.email = v.mail RETURNING v.*, (SELECT role FROM iso_agents b WHERE b.email = mail), (SELECT a.role)",
    ),
    (
        "UPDATE iso_agents a SET margin_value = $1 FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = $2 RETURNING (SELECT $3 || a.email || c.company_name) AS told, ARRAY(SELECT b.email FROM iso_agents b WHERE b.email < $2 ORDER BY 1 LIMIT 2)",
        &[Some("2.5"), Some("agent.2@example.com"), Some("x")],
    ),
    plain(
        "WITH w AS (UPDATE iso_agents a SET full_name = 'w' FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = 'agent.1@example.com' RETURNING a.email, (SELECT c.company_name) AS company), one AS (SELECT 'one'::text AS t) \
         SELECT email, company, t FROM w, one",
    ),
    plain(
        "WITH one AS (SELECT 'one'::text AS t) UPDATE iso_agents a SET full_name = t FROM one WHERE a.email = 'agent.1@example.com' RETURNING a.full_name, (SELECT max(one.t || x.t) FROM one AS x)",
    ),
    // Functions that are joined.
    (
        "UPDATE iso_agents a SET margin_value = v.n FROM unnest($1::text[], $2::numeric[]) AS v(mail, n) WHERE a.email = v.mail RETURNING *",
        &[
            Some("{agent.10@example.com,agent.11@example.com}"),
            Some("{4,5}"),
        ],
    ),
    plain(
        "UPDATE iso_agents SET (full_name, margin_value) = (SELECT r.e || max(c.company_name), r.n FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id) \
         FROM jsonb_to_recordset((SELECT '[{\"e\": \"agent.1@example.com\", \"n\": 7}]'::jsonb FROM iso_agents LIMIT 1)) AS r(e text, n int) WHERE email = r.e RETURNING email, r.*, (SELECT n + 1), margin_value",
    ),
    plain(
        "DELETE FROM iso_agents USING generate_series(1, 2) WITH ORDINALITY AS g (n, o), LATERAL upper('S' || g.n) AS u(p) WHERE email = lower(p) || '@example.com' RETURNING *, g.*, u.*, (SELECT o)",
    ),
    plain(
        "UPDATE iso_agents a SET margin_value = g FROM generate_series(4, 4) AS g WHERE a.email = 'agent.1@example.com' RETURNING a.email, g",
    ),
    plain(
        "UPDATE iso_agents a SET margin_value = j.n FROM (client_profiles c JOIN (VALUES ('Company 1', 12)) AS v(company_name, n) USING (company_name)) AS j WHERE j.iso_agent_id = a.id RETURNING a.email, j.company_name, j.n, (SELECT j.contact_name)",
    ),
    // Whole rows inside of expressions.
    plain(
        "UPDATE iso_agents a SET margin_value = 9 FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = 'agent.1@example.com' RETURNING to_jsonb(a) ->> 'role', row_to_json(a) ->> 'margin_value', row_to_json(c) ->> 'company_name', (SELECT to_jsonb(c) ->> 'company_name')",
    ),
    plain(
        "UPDATE iso_agents SET margin_value = 9 WHERE email = 'agent.1@example.com' RETURNING to_jsonb(iso_agents) - 'updated_at' - 'created_at', (SELECT row_to_json(iso_agents) ->> 'email')",
    ),
    plain(
        "UPDATE iso_agents a SET margin_value = g FROM generate_series(4, 4) AS g WHERE a.email = 'agent.1@example.com' RETURNING g, g.g, g + 1 AS more, margin_value",
    ),
    // Errors.
    plain(
        "UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING (SELECT email)",
    ),
    plain(
        "UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING (SELECT c.nothing)",
    ),
    plain(
        "UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING a.email, (SELECT company_name FROM client_profiles)",
    ),
    plain(
        "SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email",
    ),
];

/// An answer whose rows have no order.
fn answer(messages: &[Message]) -> Vec<String> {
    let mut lines = comparable(messages);
    if let Some(first) = lines.iter().position(|line| line.starts_with("D ")) {
        let rows = lines[first..].iter();
        let count = rows.take_while(|line| line.starts_with("D ")).count();
        lines[first..first + count].sort();
    }
    lines
}

async fn run_in(phase: Phase, statements: &[Statement], simple: bool) -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    let legacy = world.postgres.connect("straight").await?;
    let moved = world.postgres.connect("moved").await?;
    for (sql, parameters) in statements {
        let (expected, got) = if simple && parameters.is_empty() {
            (straight.simple(sql).await?, through.simple(sql).await?)
        } else {
            (
                straight.extended(sql, parameters).await?,
                through.extended(sql, parameters).await?,
            )
        };
        let context = format!("{phase}: {sql}\nproxy log:\n{}", proxy.log());
        assert_eq!(answer(&got), answer(&expected), "{context}");
        let truth = state(&legacy, "iso_agents").await;
        if phase.writes_both() || phase == Phase::LegacyOnly {
            let rows = state(&moved, "iso_agents").await;
            assert_eq!(rows, truth, "legacy rows after {context}");
        }
        if phase != Phase::LegacyOnly {
            let rows = state(&moved, AS_LEGACY).await;
            assert_eq!(rows, truth, "unified rows after {context}");
        }
        if phase.writes_both() {
            assert_eq!(differences(&moved).await, 0, "after {context}");
        }
    }
    Ok(())
}

macro_rules! phases {
    ($($statements:ident { $($test:ident: $phase:ident),* $(,)? })*) => {$($(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() -> anyhow::Result<()> {
            run_in(Phase::$phase, $statements, true).await?;
            run_in(Phase::$phase, $statements, false).await
        }
    )*)*};
}

phases! {
    ON_CONFLICT {
        in_dual_write_on_conflict_has_queries: DualWrite,
        in_dual_read_on_conflict_has_queries: DualRead,
        in_unified_read_on_conflict_has_queries: UnifiedRead,
        in_unified_only_on_conflict_has_queries: UnifiedOnly,
    }
    SET {
        in_dual_write_set_has_queries: DualWrite,
        in_unified_read_set_has_queries: UnifiedRead,
        in_unified_only_set_has_queries: UnifiedOnly,
    }
    RETURNING {
        in_dual_write_returning_has_queries: DualWrite,
        in_dual_read_returning_has_queries: DualRead,
        in_unified_read_returning_has_queries: UnifiedRead,
        in_unified_only_returning_has_queries: UnifiedOnly,
    }
}

/// The query sees the row as it is when the lock is granted, as PostgreSQL's does.
#[tokio::test(flavor = "multi_thread")]
async fn two_queries_that_count_up_one_row_lose_nothing() -> anyhow::Result<()> {
    const UPDATES: [&str; 2] = [
        "UPDATE iso_agents SET (margin_value, full_name) = (SELECT margin_value + v.n, v.x) \
         FROM (VALUES (1, 'x')) AS v(n, x) WHERE email = 'agent.5@example.com' RETURNING margin_value",
        "UPDATE iso_agents SET (margin_value, full_name) = (SELECT margin_value + n, k) \
         FROM (VALUES ('agent.5@example.com', 1)) AS v(k, n) FULL JOIN (VALUES ('agent.5@example.com')) AS w(k) \
         USING (k) WHERE email = k RETURNING margin_value",
    ];
    let world = World::start().await?;
    for (phase, number) in [
        (Phase::UnifiedRead, 0),
        (Phase::UnifiedOnly, 0),
        (Phase::UnifiedRead, 1),
        (Phase::UnifiedOnly, 1),
    ] {
        let update = UPDATES[number];
        let database = format!("in_{phase}_{number}");
        let proxy = world.in_phase(&database, phase).await?;
        let moved = world.postgres.connect(&database).await?;
        let mut first = RawClient::connect(proxy.port, &database).await?;
        let mut other = RawClient::connect(proxy.port, &database).await?;
        let zero = "UPDATE iso_agents SET margin_value = 0 WHERE email = 'agent.5@example.com'";
        first.simple(zero).await?;
        let pid = other.simple("SELECT pg_backend_pid()").await?;
        let pid = pid.iter().find(|message| message.tag == b'D');
        let pid: String = pid
            .map(Message::values)
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        first.simple("BEGIN").await?;
        first.simple(update).await?;
        let waiting = tokio::spawn(async move { other.simple(update).await });
        until_blocked(&moved, pid.parse()?).await?;
        first.simple("COMMIT").await?;
        let told = tokio::time::timeout(Duration::from_secs(20), waiting).await???;
        let told = comparable(&told);
        assert!(
            told.contains(&"D [\"2.00\"]".to_owned()),
            "{phase}: {told:?}"
        );
    }
    Ok(())
}
