//! `iso_agents` with all that hangs on it, behind row level security: what PostgREST sends, through
//! every phase, each answer compared with that of a database that was left alone.

use std::sync::LazyLock;

use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

const DEPENDENTS: &str = "iso_agents_dependents";

static RULES: LazyLock<String> = LazyLock::new(|| {
    let shipped = include_str!("../../../rewrite-rules/rules/iso_agents.toml");
    let said = shipped.replace("# row_security", "row_security");
    assert_ne!(said, shipped);
    said
});

pub(super) fn case() -> Case {
    Case {
        name: "iso_agents",
        rules: RULES.as_str(),
        tables: 1,
        also: &[(
            DEPENDENTS,
            include_str!("../../../rewrite-rules/rules/iso_agents_dependents.toml"),
        )],
        server: "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS; \
                 GRANT anon, authenticated, service_role TO app",
        legacy: include_str!("../../data/lens/iso_agents_legacy.sql"),
        unified: include_str!("../../data/lens/iso_agents_unified.sql"),
    }
}

/// What PostgREST wraps around a query. Ids and clocks of new rows differ between two databases.
const OUTER: &str = " SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, \
    coalesce(json_agg(_postgrest_t), '[]')::text AS body, nullif(current_setting('response.headers', true), '') AS response_headers, \
    nullif(current_setting('response.status', true), '') AS response_status, '' AS response_inserted FROM ( SELECT * FROM pgrst_source ) _postgrest_t";
const OUTER_NEW: &str = " SELECT '' AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, \
    coalesce(json_agg(to_jsonb(_postgrest_t) - 'id' - 'created_at' - 'updated_at'), '[]')::text AS body \
    FROM ( SELECT * FROM pgrst_source ) _postgrest_t";

/// One request: role and person, the statement and its parameters. `{p}` is the phase's number,
/// `{a5}` and its like are ids.
struct Request(
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const REQUESTS: &[Request] = &[
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS ( SELECT \"public\".\"iso_agents\".\"id\" FROM \"public\".\"iso_agents\" WHERE \"public\".\"iso_agents\".\"clerk_user_id\" = $1 LIMIT $2 OFFSET $3 ){outer}",
        &["user_5", "1", "0"],
    ),
    Request(
        "authenticated",
        "nobody",
        "WITH pgrst_source AS ( SELECT \"public\".\"iso_agents\".* FROM \"public\".\"iso_agents\" LIMIT $1 OFFSET $2 ){outer}",
        &["10", "0"],
    ),
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS ( SELECT \"public\".\"client_profiles\".* FROM \"public\".\"client_profiles\" WHERE \"public\".\"client_profiles\".\"iso_agent_id\" = $1 AND (\"public\".\"client_profiles\".\"company_name\" ilike $2 OR \"public\".\"client_profiles\".\"contact_name\" ilike $3) ORDER BY \"public\".\"client_profiles\".\"email\" LIMIT $4 OFFSET $5 ){outer}",
        &["{a5}", "%4%", "%24%", "20", "0"],
    ),
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS ( SELECT \"public\".\"requests\".*, row_to_json(\"requests_iso_agent_1\".*)::jsonb AS \"iso_agent\", row_to_json(\"requests_client_1\".*)::jsonb AS \"client\" FROM \"public\".\"requests\" LEFT JOIN LATERAL ( SELECT \"iso_agents_1\".\"id\", \"iso_agents_1\".\"full_name\", \"iso_agents_1\".\"email\" FROM \"public\".\"iso_agents\" AS \"iso_agents_1\" WHERE \"iso_agents_1\".\"id\" = \"public\".\"requests\".\"iso_agent_id\" ) AS \"requests_iso_agent_1\" ON TRUE LEFT JOIN LATERAL ( SELECT \"client_profiles_1\".\"id\", \"client_profiles_1\".\"iso_agent_id\", \"client_profiles_1\".\"company_name\" FROM \"public\".\"client_profiles\" AS \"client_profiles_1\" WHERE \"client_profiles_1\".\"id\" = \"public\".\"requests\".\"client_profile_id\" ) AS \"requests_client_1\" ON TRUE WHERE \"public\".\"requests\".\"iso_agent_id\" = $1 ORDER BY \"public\".\"requests\".\"created_at\" DESC LIMIT $2 OFFSET $3 ){outer}",
        &["{a5}", "10", "0"],
    ),
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS ( SELECT \"public\".\"quotes\".\"id\", \"public\".\"quotes\".\"score\", row_to_json(\"quotes_request_1\".*)::jsonb AS \"request\" FROM \"public\".\"quotes\" INNER JOIN LATERAL ( SELECT \"requests_1\".\"id\", \"requests_1\".\"iso_agent_id\" FROM \"public\".\"requests\" AS \"requests_1\" WHERE \"requests_1\".\"iso_agent_id\" = $1 AND \"requests_1\".\"id\" = \"public\".\"quotes\".\"request_id\" ) AS \"quotes_request_1\" ON TRUE ORDER BY \"public\".\"quotes\".\"score\" DESC, \"public\".\"quotes\".\"id\" LIMIT $2 OFFSET $3 ){outer}",
        &["{a5}", "10", "0"],
    ),
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS (INSERT INTO \"public\".\"client_profiles\"(\"company_name\", \"contact_name\", \"email\", \"iso_agent_id\", \"is_active\", \"preferences\") SELECT \"pgrst_body\".\"company_name\", \"pgrst_body\".\"contact_name\", \"pgrst_body\".\"email\", \"pgrst_body\".\"iso_agent_id\", \"pgrst_body\".\"is_active\", \"pgrst_body\".\"preferences\" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT \"company_name\", \"contact_name\", \"email\", \"iso_agent_id\", \"is_active\", \"preferences\" FROM json_to_record(pgrst_payload.json_data) AS _(\"company_name\" text, \"contact_name\" text, \"email\" text, \"iso_agent_id\" uuid, \"is_active\" boolean, \"preferences\" jsonb) ) pgrst_body RETURNING \"public\".\"client_profiles\".*){outer_new}",
        &[
            "{\"company_name\": \"New\", \"contact_name\": \"N\", \"email\": \"new{p}@example.com\", \"iso_agent_id\": \"{a5}\", \"is_active\": true, \"preferences\": {}}",
        ],
    ),
    // Somebody else's: the policy says no.
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS (INSERT INTO \"public\".\"client_profiles\"(\"company_name\", \"contact_name\", \"email\", \"iso_agent_id\") SELECT \"pgrst_body\".* FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT \"company_name\", \"contact_name\", \"email\", \"iso_agent_id\" FROM json_to_record(pgrst_payload.json_data) AS _(\"company_name\" text, \"contact_name\" text, \"email\" text, \"iso_agent_id\" uuid) ) pgrst_body RETURNING 1){outer}",
        &[
            "{\"company_name\": \"New\", \"contact_name\": \"N\", \"email\": \"other@example.com\", \"iso_agent_id\": \"{a6}\"}",
        ],
    ),
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS (UPDATE \"public\".\"client_profiles\" SET \"notes\" = \"pgrst_body\".\"notes\" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT \"notes\" FROM json_to_record(pgrst_payload.json_data) AS _(\"notes\" text)) pgrst_body WHERE \"public\".\"client_profiles\".\"id\" = $2 AND \"public\".\"client_profiles\".\"iso_agent_id\" = $3 RETURNING \"public\".\"client_profiles\".*){outer}",
        &["{\"notes\": \"in {p}\"}", "{c4}", "{a5}"],
    ),
    // An admin sees it and may not write it.
    Request(
        "authenticated",
        "user_1",
        "UPDATE \"public\".\"client_profiles\" SET \"notes\" = 'x' WHERE \"public\".\"client_profiles\".\"id\" = $1",
        &["{c4}"],
    ),
    Request(
        "service_role",
        "",
        "WITH pgrst_source AS (INSERT INTO \"public\".\"iso_agents\"(\"clerk_user_id\", \"email\", \"full_name\", \"role\", \"is_active\") SELECT \"pgrst_body\".\"clerk_user_id\", \"pgrst_body\".\"email\", \"pgrst_body\".\"full_name\", \"pgrst_body\".\"role\", \"pgrst_body\".\"is_active\" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT \"clerk_user_id\", \"email\", \"full_name\", \"role\", \"is_active\" FROM json_to_record(pgrst_payload.json_data) AS _(\"clerk_user_id\" text, \"email\" text, \"full_name\" text, \"role\" public.user_role, \"is_active\" boolean) ) pgrst_body RETURNING \"public\".\"iso_agents\".*){outer_new}",
        &[
            "{\"clerk_user_id\": \"hook_{p}\", \"email\": \"hook{p}@example.com\", \"full_name\": \"Hook\", \"role\": \"iso_agent\", \"is_active\": true}",
        ],
    ),
    Request(
        "service_role",
        "",
        "INSERT INTO \"public\".\"iso_agents\" (\"clerk_user_id\", \"email\", \"full_name\") VALUES ($1, $2, $3)",
        &["hook_{p}", "again{p}@example.com", "Again"],
    ),
    Request(
        "service_role",
        "",
        "WITH pgrst_source AS (UPDATE \"public\".\"iso_agents\" SET \"is_active\" = \"pgrst_body\".\"is_active\", \"updated_at\" = \"pgrst_body\".\"updated_at\" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT \"is_active\", \"updated_at\" FROM json_to_record(pgrst_payload.json_data) AS _(\"is_active\" boolean, \"updated_at\" timestamptz)) pgrst_body WHERE \"public\".\"iso_agents\".\"clerk_user_id\" = $2 RETURNING \"public\".\"iso_agents\".*){outer_new}",
        &[
            "{\"is_active\": false, \"updated_at\": \"2026-11-21T00:00:00Z\"}",
            "user_3{p}",
        ],
    ),
    // One's own row: it may be updated, and nobody may insert one.
    Request(
        "authenticated",
        "user_5",
        "UPDATE \"public\".\"iso_agents\" SET \"full_name\" = $1 WHERE \"public\".\"iso_agents\".\"clerk_user_id\" = $2 RETURNING \"full_name\", \"role\", \"updated_at\"",
        &["Named in {p}", "user_5"],
    ),
    Request(
        "authenticated",
        "user_5",
        "UPDATE \"public\".\"iso_agents\" SET \"full_name\" = $1 WHERE \"public\".\"iso_agents\".\"clerk_user_id\" = $2 RETURNING \"role\"",
        &["Not mine", "user_6"],
    ),
    Request(
        "authenticated",
        "user_5",
        "INSERT INTO \"public\".\"iso_agents\" (\"clerk_user_id\", \"email\", \"full_name\") VALUES ($1, $2, $3)",
        &["self_{p}", "self{p}@example.com", "Self"],
    ),
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS ( SELECT \"public\".\"iso_agents\".\"role\" FROM \"public\".\"iso_agents\" WHERE \"public\".\"iso_agents\".\"clerk_user_id\" = $1 ){outer}",
        &["user_5"],
    ),
    Request(
        "authenticated",
        "user_1",
        "WITH pgrst_source AS ( SELECT \"public\".\"iso_agents\".\"id\" FROM \"public\".\"iso_agents\" ), pgrst_source_count AS (SELECT 1 FROM \"public\".\"iso_agents\") SELECT (SELECT pg_catalog.count(*) FROM pgrst_source_count) AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total FROM ( SELECT * FROM pgrst_source ) _postgrest_t",
        &[],
    ),
    Request(
        "authenticated",
        "user_5",
        "WITH pgrst_source AS ( SELECT \"public\".\"agent_executions\".*, row_to_json(\"agent_executions_request_1\".*)::jsonb AS \"request\" FROM \"public\".\"agent_executions\" INNER JOIN LATERAL ( SELECT \"requests_1\".\"id\", \"requests_1\".\"iso_agent_id\" FROM \"public\".\"requests\" AS \"requests_1\" WHERE \"requests_1\".\"iso_agent_id\" = $1 AND \"requests_1\".\"id\" = \"public\".\"agent_executions\".\"request_id\" ) AS \"agent_executions_request_1\" ON TRUE ORDER BY \"public\".\"agent_executions\".\"id\" ){outer}",
        &["{a5}"],
    ),
    // Functions.
    Request(
        "authenticated",
        "user_5",
        "SELECT \"public\".\"get_current_iso_agent_id\"(), \"public\".\"get_current_iso_agent_id\"()::text = $1 AS mine",
        &["{a5}"],
    ),
    Request(
        "authenticated",
        "user_5",
        "SELECT * FROM \"public\".\"get_current_iso_agent_id\"()",
        &[],
    ),
    Request(
        "authenticated",
        "user_5",
        "SELECT \"public\".\"owns_resource\"(resource_agent_id := $1), \"public\".\"owns_resource\"($2)",
        &["{a5}", "{a6}"],
    ),
    Request(
        "authenticated",
        "user_5",
        "SELECT \"public\".\"requests\".\"id\" FROM \"public\".\"requests\" WHERE \"iso_agent_id\" = \"public\".\"get_current_iso_agent_id\"() AND \"public\".\"owns_resource\"(resource_agent_id => \"iso_agent_id\") ORDER BY \"id\"",
        &[],
    ),
    Request(
        "authenticated",
        "user_5",
        "INSERT INTO \"public\".\"requests\" (\"id\", \"iso_agent_id\", \"departure_airport\", \"arrival_airport\", \"departure_date\", \"passengers\", \"created_at\", \"updated_at\") VALUES ($1, \"public\".\"get_current_iso_agent_id\"(), $2, 'EGGW', '2098-01-01', 2, '2024-04-1{p}', '2024-04-01') RETURNING \"iso_agent_id\", \"status\", \"metadata\"",
        &["{r10{p}}", "P{p}"],
    ),
    // proposals keeps its column.
    Request(
        "authenticated",
        "user_5",
        "SELECT \"public\".\"proposals\".*, \"public\".\"requests\".\"iso_agent_id\" AS \"of\" FROM \"public\".\"proposals\" JOIN \"public\".\"requests\" ON \"public\".\"requests\".\"iso_agent_id\" = \"public\".\"proposals\".\"iso_agent_id\" AND \"public\".\"requests\".\"id\" = \"public\".\"proposals\".\"request_id\" WHERE \"public\".\"proposals\".\"iso_agent_id\" = $1 ORDER BY 1",
        &["{a5}"],
    ),
    Request(
        "authenticated",
        "user_5",
        "UPDATE \"public\".\"proposals\" SET \"view_count\" = \"view_count\" + 1 WHERE \"iso_agent_id\" = $1 RETURNING \"iso_agent_id\", \"view_count\"",
        &["{a5}"],
    ),
    // No ORM's, and yet.
    Request(
        "service_role",
        "",
        "SELECT r.*, row_to_json(c) FROM public.requests AS r JOIN public.client_profiles c USING (iso_agent_id) WHERE c.id = r.client_profile_id AND r.id <> $1 ORDER BY r.created_at, r.id LIMIT 7",
        &["{a5}"],
    ),
    Request(
        "service_role",
        "",
        "UPDATE public.client_profiles AS c SET iso_agent_id = r.iso_agent_id, phone = 'moved' FROM public.requests r WHERE r.client_profile_id = c.id AND c.id = $1 RETURNING c.*",
        &["{c2}"],
    ),
    Request(
        "service_role",
        "",
        "INSERT INTO public.client_profiles (id, iso_agent_id, company_name, contact_name, email, created_at, updated_at) VALUES ($1, $2, 'A', 'B', 'up@example.com', '2024-01-01', '2024-01-01') ON CONFLICT (id) DO UPDATE SET iso_agent_id = excluded.iso_agent_id, notes = 'up {p}' RETURNING *",
        &["{c61}", "{a6}"],
    ),
    Request(
        "service_role",
        "",
        "UPDATE public.client_profiles SET iso_agent_id = NULL WHERE id = $1",
        &["{c2}"],
    ),
    Request(
        "service_role",
        "",
        "DELETE FROM public.requests USING public.client_profiles c WHERE requests.client_profile_id = c.id AND c.iso_agent_id = requests.iso_agent_id AND requests.id = $1 RETURNING requests.iso_agent_id, requests.departure_airport",
        &["{r4{p}}"],
    ),
    Request(
        "service_role",
        "",
        "SELECT count(*), count(DISTINCT role) FROM public.iso_agents",
        &[],
    ),
    // An agent goes, with all that hangs on him.
    Request(
        "authenticated",
        "user_1",
        "DELETE FROM \"public\".\"iso_agents\" WHERE \"public\".\"iso_agents\".\"id\" = $1 RETURNING \"email\"",
        &["{a1{p}}"],
    ),
    Request(
        "service_role",
        "",
        "SELECT (SELECT count(*) FROM public.iso_agents), (SELECT count(*) FROM public.client_profiles), (SELECT count(*) FROM public.requests), (SELECT count(*) FROM public.proposals)",
        &[],
    ),
];

/// `md5('a5')::uuid` and its like.
async fn id(twin: &Twin, of: &str) -> String {
    let sql = format!("SELECT md5('{of}')::uuid::text");
    let row = twin.direct.query_one(&sql, &[]).await.unwrap();
    row.get(0)
}

async fn filled(twin: &Twin, text: &str, phase: Phase) -> String {
    let number = (phase as usize).to_string();
    let mut text = text
        .replace("{p}", &number)
        .replace("{outer}", OUTER)
        .replace("{outer_new}", OUTER_NEW);
    for start in ["{a", "{c", "{r"] {
        while let Some(at) = text.find(start) {
            let end = at + text[at..].find('}').unwrap();
            let id = id(twin, &text[at + 1..end]).await;
            text.replace_range(at..=end, &id);
        }
    }
    text
}

/// As PostgREST does it: a transaction, the claims, the statement.
async fn traffic(twin: &Twin, phase: Phase) {
    for Request(role, person, sql, values) in REQUESTS {
        let claims = format!(
            "BEGIN; SELECT set_config('search_path', 'public', true), set_config('role', '{role}', true), \
             set_config('request.jwt.claims', '{{\"sub\": \"{person}\"}}', true), \
             set_config('test.now', '2026-11-21 12:00:0{}Z', true)",
            phase as usize
        );
        let context = |error| panic!("{phase}, {role} {person}: {error:#}");
        twin.same(&claims).await.unwrap_or_else(context);
        let sql = filled(twin, sql, phase).await;
        let mut given = Vec::new();
        for value in *values {
            given.push(filled(twin, value, phase).await);
        }
        let given: Vec<Option<&str>> = given.iter().map(|value| Some(value.as_str())).collect();
        twin.same_with(&sql, &given)
            .await
            .unwrap_or_else(|error| panic!("{phase}, {role} {person}: {error:#}"));
        twin.same("COMMIT").await.unwrap_or_else(context);
    }
    tables_are_equal(twin, phase).await;
}

const NEW: &str = "to_jsonb(t) - 'id' - 'created_at' - 'updated_at' - 'user_id' - 'client_profile_id' - 'request_id'";

async fn tables_are_equal(twin: &Twin, phase: Phase) {
    let mut tables = vec!["quotes", "agent_executions", "proposals"];
    if phase.writes_both() || phase == Phase::LegacyOnly {
        tables.push("iso_agents");
    }
    if phase != Phase::Retired {
        tables.extend(["client_profiles", "requests"]);
    }
    for table in tables {
        let rows = format!("(SELECT {NEW} AS row FROM {table} AS t)");
        twin.equal(&rows, &rows).await.unwrap();
    }
    if phase.writes_both() {
        let apart = "SELECT count(*) FROM (SELECT user_id, iso_agent_id FROM client_profiles UNION ALL \
             SELECT user_id, iso_agent_id FROM requests) AS t WHERE user_id <> iso_agent_id";
        assert_eq!(answer(&twin.direct, apart).await, "(count)\n0\ndone 1");
    }
}

async fn verified(twin: &Twin) {
    for (migration, tables) in [("iso_agents", 1), (DEPENDENTS, 2)] {
        let said = twin.crossfade_of(migration, "verify").await.unwrap();
        let clean = said.matches("missing 0   extra 0   different 0").count();
        assert_eq!(clean, tables, "{said}");
    }
}

/// The database's own references: foreign keys, and functions that policies use.
const TURNED: &str = "
BEGIN;
ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey,
  ADD CONSTRAINT client_profiles_user_id_fkey FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey,
  ADD CONSTRAINT requests_user_id_fkey FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE proposals DROP CONSTRAINT proposals_iso_agent_id_fkey,
  ADD CONSTRAINT proposals_iso_agent_id_fkey FOREIGN KEY (iso_agent_id) REFERENCES users ON DELETE CASCADE;
CREATE OR REPLACE FUNCTION is_admin() RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS
  $$ BEGIN RETURN (SELECT role = 'admin' FROM users WHERE clerk_user_id = auth.jwt()->>'sub'); END $$;
CREATE OR REPLACE FUNCTION get_current_iso_agent_id() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT public.get_current_user_id()';
COMMIT";

/// What is left for the operator in the end: policies over the new column, then the drops.
const LEFT: &str = "
ALTER TABLE client_profiles ALTER user_id SET NOT NULL;
ALTER TABLE requests ALTER user_id SET NOT NULL;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['client_profiles', 'requests', 'quotes', 'workflow_states', 'agent_executions', 'proposals'] LOOP
    EXECUTE (SELECT string_agg(format('DROP POLICY %I ON %I', polname, t), ';') FROM pg_policy WHERE polrelid = t::regclass);
  END LOOP;
END $$;
DROP FUNCTION owns_resource(uuid);
DROP FUNCTION get_current_iso_agent_id();
CREATE FUNCTION owns_resource(resource_user_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS
  $$ BEGIN RETURN resource_user_id = get_current_user_id() OR is_admin(); END $$;
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['client_profiles', 'requests'] LOOP
    EXECUTE format('CREATE POLICY s ON %I FOR SELECT USING (owns_resource(user_id))', t);
    EXECUTE format('CREATE POLICY i ON %I FOR INSERT WITH CHECK (user_id = get_current_user_id())', t);
    EXECUTE format('CREATE POLICY u ON %I FOR UPDATE USING (owns_resource(user_id)) WITH CHECK (user_id = get_current_user_id())', t);
    EXECUTE format('CREATE POLICY d ON %I FOR DELETE USING (owns_resource(user_id))', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['quotes', 'workflow_states', 'agent_executions'] LOOP
    EXECUTE format('CREATE POLICY s ON %I FOR SELECT USING (EXISTS (SELECT FROM requests r WHERE r.id = request_id AND owns_resource(r.user_id)))', t);
  END LOOP;
END $$;
CREATE POLICY s ON proposals FOR SELECT USING (iso_agent_id = get_current_user_id() OR is_admin());
CREATE POLICY u ON proposals FOR UPDATE USING (iso_agent_id = get_current_user_id() OR is_admin());
";

#[tokio::test]
async fn agents_and_all_that_hangs_on_them_go_through_every_phase() {
    let twin = Twin::start_as_owner(case()).await.unwrap();
    // Until the first step a column that is added can be seen by who selects all of them.
    traffic(&twin, Phase::LegacyOnly).await;
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    traffic(&twin, Phase::DualWrite).await;
    let said = twin.crossfade("backfill").await.unwrap();
    assert!(said.contains("complete"), "{said}");
    a_request_of_the_past_is_set_aside_and_settled(&twin).await;
    verified(&twin).await;
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
        traffic(&twin, phase).await;
        verified(&twin).await;
    }
    let operator = twin.superuser().await.unwrap();
    let open = "SELECT count(*) FROM crossfade.divergence";
    assert_eq!(answer(&operator, open).await, "(count)\n0\ndone 1");
    let refused = twin.crossfade("advance").await.unwrap_err().to_string();
    assert!(refused.contains("foreign keys"), "{refused}");
    twin.direct.batch_execute(TURNED).await.unwrap();
    // A server process tells its counts late: what was written before must not count as after.
    for client in [&twin.proxied, &twin.direct] {
        answer(client, "SELECT pg_stat_force_next_flush()").await;
    }
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    traffic(&twin, Phase::UnifiedOnly).await;
    twin.advance(Phase::Retired).await.unwrap();
    let left = twin.crossfade_of(DEPENDENTS, "retire").await.unwrap_err();
    let left = format!("{left:#}");
    let drops: Vec<&str> = left
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("DROP TRIGGER"))
        .collect();
    assert_eq!(drops.len(), 2, "{left}");
    twin.direct.batch_execute(LEFT).await.unwrap();
    twin.direct.batch_execute(&drops.join("\n")).await.unwrap();
    twin.direct
        .batch_execute("DROP TABLE iso_agents CASCADE")
        .await
        .unwrap();
    traffic(&twin, Phase::Retired).await;
}

async fn a_request_of_the_past_is_set_aside_and_settled(twin: &Twin) {
    let operator = twin.superuser().await.unwrap();
    let before = answer(
        &twin.direct,
        "SELECT id, updated_at FROM requests ORDER BY id",
    )
    .await;
    twin.crossfade_of(DEPENDENTS, "backfill").await.ok();
    let ledger = "SELECT key->>0 = md5('r7')::uuid::text, sqlstate FROM crossfade.divergence";
    assert_eq!(
        answer(&operator, ledger).await,
        "(?column?, sqlstate)\ndone 1\nt|23514"
    );
    twin.direct
        .batch_execute("ALTER TABLE requests DROP CONSTRAINT valid_dates")
        .await
        .unwrap();
    let said = twin.crossfade_of(DEPENDENTS, "backfill").await.unwrap();
    assert!(said.contains("complete"), "{said}");
    twin.direct
        .batch_execute(
            "ALTER TABLE requests ADD CONSTRAINT valid_dates CHECK (departure_date > now() \
             AND (return_date IS NULL OR return_date > departure_date)) NOT VALID",
        )
        .await
        .unwrap();
    assert_eq!(
        answer(&operator, ledger).await,
        "(?column?, sqlstate)\ndone 0"
    );
    // What a trigger does on an UPDATE, a backfill does not.
    let after = answer(
        &twin.direct,
        "SELECT id, updated_at FROM requests ORDER BY id",
    )
    .await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_new_application_writes_the_new_column_and_both_are_set() {
    let twin = Twin::start_as_owner(case()).await.unwrap();
    twin.prepare().await.unwrap();
    for phase in [Phase::DualWrite, Phase::ShadowRead, Phase::DualRead] {
        twin.advance(phase).await.unwrap();
        if phase == Phase::DualWrite {
            twin.direct
                .batch_execute("ALTER TABLE requests DROP CONSTRAINT valid_dates")
                .await
                .unwrap();
            twin.crossfade("backfill").await.unwrap();
            twin.crossfade_of(DEPENDENTS, "backfill").await.unwrap();
            verified(&twin).await;
        }
        let told = async |sql: &str| answer(&twin.proxied, sql).await;
        let new = format!(
            "INSERT INTO client_profiles (user_id, company_name, contact_name, email) \
             SELECT id, '{phase}', 'N', 'n@example.com' FROM users WHERE clerk_user_id = 'user_3' RETURNING user_id = md5('a3')::uuid"
        );
        assert!(told(&new).await.contains("\nt") || told(&new).await.contains("t\n"));
        let old = format!(
            "SELECT iso_agent_id = md5('a3')::uuid AS x FROM client_profiles WHERE company_name = '{phase}' LIMIT 1"
        );
        assert_eq!(told(&old).await, "(x)\ndone 1\nt");
        let moved = format!(
            "UPDATE client_profiles AS c SET user_id = md5('a4')::uuid WHERE c.company_name = '{phase}'"
        );
        assert!(
            told(&moved).await.starts_with("done"),
            "{}",
            told(&moved).await
        );
        let old = format!(
            "SELECT DISTINCT c.iso_agent_id = md5('a4')::uuid AS x FROM client_profiles c WHERE c.company_name = '{phase}'"
        );
        assert_eq!(told(&old).await, "(x)\ndone 1\nt");
        // The old application never sees the new column.
        let star = told("SELECT * FROM client_profiles LIMIT 1").await;
        assert!(
            star.contains("iso_agent_id") && !star.contains("user_id,"),
            "{star}"
        );
    }
}
