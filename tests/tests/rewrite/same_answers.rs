//! The same statements straight to a database that has only the legacy table's truth, and through
//! Crossfade in every phase: same answers, same rows afterwards.

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::raw::RawClient;
use crossfade_tests::sides::{AS_LEGACY, differences, state};
use rewrite_rules::Phase;

/// A statement and its parameters; one without parameters goes by both protocols.
type Statement = (&'static str, &'static [Option<&'static str>]);

const A: &str = "00000000-0000-4000-8000-00000000000a";
const B: &str = "00000000-0000-4000-8000-00000000000b";

const fn plain(sql: &'static str) -> Statement {
    (sql, &[])
}

/// Each block of statements runs in order; the states are compared after each statement.
const STATEMENTS: &[Statement] = &[
    // Reads of every shape that a derived table covers.
    plain("SELECT * FROM iso_agents ORDER BY email"),
    plain("SELECT count(*), min(email), max(margin_value) FROM public.iso_agents"),
    plain(
        "SELECT a.email, a.role FROM iso_agents AS a WHERE a.role = 'iso_agent' ORDER BY 1 LIMIT 7",
    ),
    plain("SELECT role, count(*) FROM iso_agents GROUP BY role ORDER BY role::text"),
    plain("SELECT email FROM ONLY iso_agents WHERE role IN ('admin', 'operator') ORDER BY email"),
    plain("SELECT email FROM iso_agents * WHERE role <> 'admin' ORDER BY email OFFSET 3 LIMIT 4"),
    plain(
        "SELECT \"public\".\"iso_agents\".\"email\" FROM \"public\".\"iso_agents\" ORDER BY \"public\".\"iso_agents\".\"email\" LIMIT 3",
    ),
    plain("SELECT row_to_json(a)->>'role' AS r, a.email FROM iso_agents a ORDER BY email LIMIT 5"),
    plain("SELECT json_agg(iso_agents.* ORDER BY email)->0->>'full_name' FROM iso_agents"),
    plain("WITH iso_agents AS (SELECT 'cte'::text AS email) SELECT email FROM iso_agents"),
    plain(
        "WITH x AS (SELECT * FROM iso_agents WHERE is_active) SELECT count(*) FROM x JOIN iso_agents y USING (id)",
    ),
    plain(
        "SELECT c.company_name, a.email FROM client_profiles c JOIN iso_agents a ON a.id = c.iso_agent_id ORDER BY c.id LIMIT 5",
    ),
    plain(
        "SELECT a.email FROM iso_agents a LEFT JOIN iso_agents b ON b.email = a.email AND b.role = 'admin' WHERE b.id IS NULL ORDER BY 1 LIMIT 5",
    ),
    plain(
        "SELECT a.email FROM client_profiles c LEFT JOIN iso_agents a ON a.id = c.iso_agent_id WHERE a.role = 'operator' ORDER BY 1 LIMIT 5",
    ),
    plain(
        "SELECT email, row_number() OVER (PARTITION BY role ORDER BY email) FROM iso_agents ORDER BY email LIMIT 9",
    ),
    plain("SELECT DISTINCT ON (role) role, email FROM iso_agents ORDER BY role, email"),
    plain(
        "SELECT email FROM iso_agents WHERE EXISTS (SELECT 1 FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id) ORDER BY 1 LIMIT 5",
    ),
    plain(
        "SELECT email FROM iso_agents UNION ALL SELECT full_name FROM iso_agents ORDER BY 1 LIMIT 8",
    ),
    plain(
        "SELECT x.email FROM iso_agents a, LATERAL (SELECT b.email FROM iso_agents b WHERE b.id = a.id) x ORDER BY 1 LIMIT 5",
    ),
    plain("SELECT email AS iso_agents, 'iso_agents' FROM iso_agents ORDER BY iso_agents LIMIT 2"),
    plain("SELECT metadata->>'timezone', metadata IS NULL FROM iso_agents ORDER BY email LIMIT 20"),
    plain("SELECT email FROM iso_agents ORDER BY email LIMIT 1 FOR UPDATE"),
    (
        "SELECT id, email FROM iso_agents WHERE role = $1 ORDER BY email LIMIT $2",
        &[Some("operator"), Some("3")],
    ),
    (
        "SELECT email FROM iso_agents WHERE role = ANY($1) ORDER BY email LIMIT 3",
        &[Some("{admin,operator}")],
    ),
    (
        "SELECT email FROM iso_agents WHERE id = $1 AND email LIKE $2",
        &[Some(A), Some("%")],
    ),
    // Whole rows have the table's row type, wherever it shows.
    plain("SELECT iso_agents FROM iso_agents ORDER BY email LIMIT 3"),
    plain("SELECT a.email, (a), a.* IS NULL, (a).role, (a).* FROM iso_agents a ORDER BY a LIMIT 3"),
    plain(
        "SELECT a AS x, a::text, a::iso_agents, CASE WHEN true THEN a ELSE a END, coalesce(a, NULL), pg_typeof(a) FROM iso_agents a ORDER BY email LIMIT 2",
    ),
    plain(
        "SELECT c.company_name, a, a IS NULL, a.* IS NULL, coalesce(a, NULL) IS NULL, row_to_json(a)::text FROM client_profiles c LEFT JOIN iso_agents a ON a.id = c.iso_agent_id AND a.role = 'admin' ORDER BY c.id LIMIT 6",
    ),
    plain(
        "SELECT a, b.email FROM iso_agents a FULL JOIN iso_agents b ON a.email = 'x' || b.email ORDER BY a.email, b.email LIMIT 4",
    ),
    plain(
        "SELECT role, array_agg(a ORDER BY email), pg_typeof(array_agg(a)), count(a) FROM iso_agents a WHERE email < 'agent.11' GROUP BY role ORDER BY role::text",
    ),
    plain(
        "SELECT nullif(a, b), pg_typeof(nullif(a, b)) FROM iso_agents a LEFT JOIN iso_agents b ON b.id = a.id AND b.role = 'admin' WHERE a.email < 'agent.12' ORDER BY a.email",
    ),
    plain(
        "SELECT c.company_name, array_agg(a) FROM client_profiles c JOIN iso_agents a ON a.id = c.iso_agent_id GROUP BY 1 ORDER BY 1 LIMIT 3",
    ),
    plain(
        "SELECT s.a, (s.a).email FROM (SELECT a, email FROM iso_agents a) s ORDER BY s.email LIMIT 2",
    ),
    plain(
        "WITH q AS (SELECT a FROM iso_agents a WHERE role = 'admin') SELECT a, (a).email, row_to_json(a)::text, q FROM q ORDER BY (a).email LIMIT 2",
    ),
    plain(
        "SELECT (SELECT b FROM iso_agents b WHERE b.email = a.email), ARRAY(SELECT b FROM iso_agents b WHERE b.email = a.email) FROM iso_agents a ORDER BY email LIMIT 2",
    ),
    plain("SELECT x.row FROM iso_agents a, LATERAL (SELECT a AS row) x ORDER BY a.email LIMIT 2"),
    plain("SELECT t FROM iso_agents AS t (a, b, c) ORDER BY b LIMIT 1"),
    plain(
        "SELECT row_to_json(t)::text, (t).b, b(t) FROM iso_agents AS t (a, b, c) ORDER BY b LIMIT 1",
    ),
    plain(
        "SELECT row_to_json(t.*)::text, email(t) FROM public.iso_agents AS t ORDER BY email LIMIT 1",
    ),
    plain(
        "SELECT concat(public.iso_agents.*), ROW(iso_agents, 1), ROW(iso_agents.*) FROM public.iso_agents ORDER BY email LIMIT 1",
    ),
    plain(
        "SELECT a, count(*) FROM iso_agents a, generate_series(1, 2) g WHERE email < 'agent.11' GROUP BY a ORDER BY a",
    ),
    plain(
        "SELECT a AS x, max(n) FROM iso_agents a, (VALUES (1), (2)) v(n) WHERE email < 'agent.11' GROUP BY a HAVING a IS NOT NULL ORDER BY a DESC",
    ),
    plain("SELECT DISTINCT a FROM iso_agents a WHERE email < 'agent.11' ORDER BY a"),
    plain("SELECT DISTINCT a AS x FROM iso_agents a WHERE email < 'agent.11' ORDER BY a"),
    plain("SELECT DISTINCT ON (a) a, email FROM iso_agents a WHERE email < 'agent.11' ORDER BY a"),
    plain(
        "SELECT row_to_json(a)::text FROM iso_agents a WHERE email < 'agent.11' GROUP BY a ORDER BY a",
    ),
    plain(
        "SELECT a FROM iso_agents a WHERE email < 'agent.11' UNION SELECT b FROM iso_agents b WHERE email < 'agent.12' ORDER BY 1",
    ),
    plain(
        "SELECT lag(a) OVER w, first_value(a) OVER (PARTITION BY a ORDER BY a) FROM iso_agents a WINDOW w AS (ORDER BY email) ORDER BY email LIMIT 3",
    ),
    plain(
        "SELECT a.email FROM iso_agents a JOIN iso_agents b ON a = b WHERE a IN (SELECT c FROM iso_agents c) AND a = ANY (SELECT c FROM iso_agents c) AND a IS NOT DISTINCT FROM b ORDER BY 1 LIMIT 3",
    ),
    plain(
        "SELECT a FROM iso_agents a WHERE a = (SELECT b FROM iso_agents b WHERE email = 'agent.3@example.com')",
    ),
    plain("SELECT count(DISTINCT a), json_agg(DISTINCT a.role) FROM iso_agents a"),
    plain(
        "SELECT jsonb_build_object('a', a) -> 'a' ->> 'email', format('%s', a) FROM iso_agents a ORDER BY email LIMIT 2",
    ),
    plain("SELECT q FROM (SELECT email, role FROM iso_agents) q ORDER BY 1 LIMIT 2"),
    // A bare name is a column first.
    plain("SELECT email FROM iso_agents AS email ORDER BY email LIMIT 2"),
    plain("SELECT x, array_agg(x) FROM iso_agents AS x, (SELECT 7 AS x) y WHERE x = 7 GROUP BY 1"),
    plain(
        "SELECT lower(notes) FROM iso_agents AS notes JOIN client_profiles c ON c.iso_agent_id = notes.id WHERE notes > '' ORDER BY notes LIMIT 2",
    ),
    plain("SELECT a.nothing, a FROM iso_agents a"),
    plain("SELECT a + 1 FROM iso_agents a"),
    plain("SELECT max(a.email), a FROM iso_agents a"),
    plain("SELECT md5(a) FROM iso_agents a"),
    plain("CREATE TEMP TABLE rows_of AS SELECT a FROM iso_agents a ORDER BY email LIMIT 2"),
    plain("SELECT r.a, (r.a).email FROM rows_of r"),
    plain("DROP TABLE rows_of"),
    // Errors of reads.
    plain("SELECT nothing FROM iso_agents"),
    plain("SELECT email FROM iso_agents WHERE role = 'no such role'"),
    plain("SELECT 1/0 FROM iso_agents"),
    // Inserts.
    (
        "INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ($1, 'ka', 'a@example.com', 'A') RETURNING *",
        &[Some(A)],
    ),
    (
        "INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, margin_value, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            Some(B),
            Some("kb"),
            Some("b@example.com"),
            Some("B"),
            Some("admin"),
            Some("12.345"),
            Some("{\"phone\": \"+1\", \"timezone\": \"\"}"),
        ],
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('k1', 'n1@example.com', 'N1', 'operator'), ('k2', 'n2@example.com', 'N2', DEFAULT) RETURNING email, role, \"iso_agents\".\"margin_type\"",
    ),
    plain(
        "INSERT INTO public.iso_agents AS t (clerk_user_id, email, full_name, metadata) VALUES ('k3', 'n3@example.com', 'N3', NULL) RETURNING t.id, t.metadata",
    ),
    plain(
        "INSERT INTO iso_agents (email, clerk_user_id, full_name) SELECT 's' || n || '@example.com', 'ks' || n, 'S' FROM generate_series(1, 3) AS n",
    ),
    plain(
        "INSERT INTO iso_agents (email, clerk_user_id, full_name, role) SELECT 't1@example.com', 'kt1', 'T', 'admin' RETURNING role",
    ),
    plain(
        "WITH v AS (SELECT 'w@example.com'::text AS e) INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT e, e, e FROM v RETURNING email",
    ),
    // Errors of inserts: nothing is written on either side.
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('other', 'a@example.com', 'dup')",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('bad', 'no at sign', 'bad')",
    ),
    plain("INSERT INTO iso_agents (clerk_user_id, email) VALUES ('nn', 'nn@example.com')"),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('neg', 'neg@example.com', 'n', -1)",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('r', 'r@example.com', 'r', 'nobody')",
    ),
    plain("INSERT INTO iso_agents (clerk_user_id, email) VALUES ('too', 'many', 'values')"),
    plain("INSERT INTO iso_agents DEFAULT VALUES"),
    // Upserts.
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'a@example.com', 'ignored') ON CONFLICT DO NOTHING",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'a@example.com', 'ignored') ON CONFLICT (email) DO NOTHING RETURNING id",
    ),
    plain(
        "INSERT INTO iso_agents AS t (clerk_user_id, email, full_name, role) VALUES ('x', 'a@example.com', 'again', 'operator') ON CONFLICT (email) DO UPDATE SET full_name = t.full_name || excluded.full_name, role = excluded.role RETURNING full_name, role",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'a@example.com', 'never') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name WHERE iso_agents.role = 'admin'",
    ),
    // Updates.
    (
        "UPDATE iso_agents SET full_name = $1, margin_value = margin_value + 1.005 WHERE id = $2",
        &[Some("renamed"), Some(A)],
    ),
    (
        "UPDATE iso_agents SET role = $1 WHERE id = $2 RETURNING role, margin_value",
        &[Some("iso_agent"), Some(A)],
    ),
    plain(
        "UPDATE ONLY iso_agents AS a SET role = 'operator', is_active = DEFAULT, metadata = NULL WHERE a.role = 'admin' AND a.email LIKE 'b@%' RETURNING a.role, a.is_active, a.metadata",
    ),
    plain(
        "UPDATE iso_agents SET margin_value = margin_value * 2 WHERE email LIKE 's%@example.com' AND role = 'iso_agent'",
    ),
    plain(
        "UPDATE iso_agents SET full_name = c.company_name FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id AND c.contact_name IS NOT NULL AND iso_agents.email IS DISTINCT FROM 'x' AND iso_agents.role = 'admin'",
    ),
    plain(
        "UPDATE iso_agents SET full_name = upper(full_name) WHERE id IN (SELECT id FROM iso_agents WHERE email LIKE 'n%@example.com') RETURNING full_name",
    ),
    plain("UPDATE iso_agents SET is_active = NOT is_active WHERE email = 'nobody@example.com'"),
    plain(
        "WITH v AS (SELECT 'n1@example.com'::text AS e) UPDATE iso_agents SET full_name = v.e FROM v WHERE iso_agents.email = v.e",
    ),
    plain("UPDATE iso_agents SET email = 'b@example.com' WHERE email = 'a@example.com'"),
    plain("UPDATE iso_agents SET email = NULL WHERE email = 'a@example.com'"),
    plain("UPDATE iso_agents SET margin_value = 1/0"),
    // Key changes.
    plain(
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000aa' WHERE email = 'n1@example.com' RETURNING id",
    ),
    plain(
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000ab', full_name = 'moved' WHERE id = '00000000-0000-4000-8000-0000000000aa'",
    ),
    plain(
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-00000000000b' WHERE id = '00000000-0000-4000-8000-0000000000ab'",
    ),
    // Several statements in one Query message, and transactions.
    plain(
        "UPDATE iso_agents SET full_name = 'one' WHERE email = 'n2@example.com'; SELECT full_name FROM iso_agents WHERE email = 'n2@example.com'; DELETE FROM iso_agents WHERE email = 's3@example.com'",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('m', 'm@example.com', 'm'); SELECT 1/0",
    ),
    plain("BEGIN"),
    plain("DELETE FROM iso_agents WHERE email = 'n2@example.com' RETURNING email, role"),
    plain("SAVEPOINT s"),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('again', 'n2@example.com', 'again')",
    ),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('again', 'n2@example.com', 'twice')",
    ),
    plain("SELECT count(*) FROM iso_agents"),
    plain("ROLLBACK TO s"),
    plain("SELECT count(*) FROM iso_agents WHERE email = 'n2@example.com'"),
    plain("COMMIT"),
    plain("BEGIN ISOLATION LEVEL REPEATABLE READ"),
    plain(
        "UPDATE iso_agents SET full_name = 'rr' WHERE email = 'n3@example.com' RETURNING full_name",
    ),
    plain("DELETE FROM iso_agents WHERE email = 's2@example.com'"),
    plain("ROLLBACK"),
    // Writes inside WITH, as PostgREST sends them.
    plain(
        "WITH pgrst_source AS (INSERT INTO \"public\".\"iso_agents\"(\"clerk_user_id\", \"email\", \"full_name\", \"role\") SELECT \"pgrst_body\".\"clerk_user_id\", \"pgrst_body\".\"email\", \"pgrst_body\".\"full_name\", \"pgrst_body\".\"role\" FROM (SELECT '{\"clerk_user_id\": \"pg1\", \"email\": \"pg1@example.com\", \"full_name\": \"P\", \"role\": \"operator\"}'::json AS json_data) pgrst_payload, LATERAL (SELECT \"clerk_user_id\", \"email\", \"full_name\", \"role\" FROM json_to_record(pgrst_payload.json_data) AS _(\"clerk_user_id\" text, \"email\" text, \"full_name\" text, \"role\" public.user_role)) pgrst_body RETURNING \"public\".\"iso_agents\".*) SELECT pg_catalog.count(_postgrest_t) AS page_total, (coalesce(json_agg(_postgrest_t)->0, 'null')::jsonb - 'id' - 'created_at' - 'updated_at')::text AS body FROM (SELECT * FROM pgrst_source) _postgrest_t",
    ),
    (
        "WITH pgrst_source AS (UPDATE \"public\".\"iso_agents\" SET \"is_active\" = \"pgrst_body\".\"is_active\" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT \"is_active\" FROM json_to_record(pgrst_payload.json_data) AS _(\"is_active\" boolean)) pgrst_body WHERE \"public\".\"iso_agents\".\"clerk_user_id\" = $2 RETURNING \"public\".\"iso_agents\".\"role\") SELECT json_agg(pgrst_source)::text FROM pgrst_source",
        &[Some("{\"is_active\": false}"), Some("pg1")],
    ),
    plain("WITH gone AS (DELETE FROM iso_agents WHERE clerk_user_id = 'pg1') SELECT 1"),
    plain(
        "WITH a AS (INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('cte', 'cte@example.com', 'C') RETURNING id) UPDATE iso_agents SET full_name = (SELECT count(*) FROM a)::text WHERE email = 'w@example.com' RETURNING full_name",
    ),
    plain(
        "WITH a AS (SELECT email FROM iso_agents WHERE email = 'cte@example.com') DELETE FROM iso_agents USING a WHERE iso_agents.email = a.email RETURNING iso_agents.full_name",
    ),
    plain(
        "WITH x AS (UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000ac' WHERE email = 'w@example.com' RETURNING full_name) SELECT * FROM x",
    ),
    plain(
        "UPDATE iso_agents SET (full_name, margin_value) = ('multi', 3.5) WHERE email = 'w@example.com' RETURNING full_name, margin_value",
    ),
    plain("TABLE iso_agents ORDER BY email LIMIT 2"),
    // COPY both ways (data stands behind the statement, see `copied`).
    plain("COPY iso_agents (email, role) TO STDOUT (FORMAT csv)"),
    plain("COPY (SELECT email FROM iso_agents WHERE role = 'admin' ORDER BY 1) TO STDOUT"),
    plain(
        "COPY public.iso_agents (clerk_user_id, email, full_name, role) FROM STDIN\tcp1\tcp1@example.com\tC 1\tadmin\ncp2\tcp2@example.com\t\\N\tadmin\n",
    ),
    plain(
        "COPY public.iso_agents (clerk_user_id, email, full_name, role) FROM STDIN\tcp1\tcp1@example.com\tC 1\tadmin\ncp2\tcp2@example.com\tC 2\toperator\n",
    ),
    plain(
        "COPY iso_agents (email, clerk_user_id, full_name) FROM STDIN (FORMAT csv, HEADER)\temail,clerk_user_id,full_name\ncp3@example.com,cp3,\"C, 3\"\n",
    ),
    plain("COPY iso_agents (email, clerk_user_id, full_name) FROM STDIN\tonly one column\n"),
    plain("SELECT email, role FROM iso_agents WHERE email LIKE 'cp%' ORDER BY 1"),
    plain("DELETE FROM iso_agents WHERE email LIKE 'cp%'"),
    // By constraint name.
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'w@example.com', 'by name') ON CONFLICT ON CONSTRAINT iso_agents_email_key DO UPDATE SET full_name = excluded.full_name RETURNING full_name",
    ),
    // Deletes.
    (
        "DELETE FROM iso_agents WHERE id = $1 RETURNING id, role",
        &[Some(A)],
    ),
    plain(
        "DELETE FROM iso_agents a USING (SELECT 's1@example.com'::text AS e) v WHERE a.email = v.e RETURNING a.email, \"a\".\"role\"",
    ),
    plain(
        "DELETE FROM public.iso_agents WHERE \"public\".\"iso_agents\".\"email\" = 's2@example.com' RETURNING \"public\".\"iso_agents\".\"email\"",
    ),
    // Whole rows in RETURNING. A trigger sets a time that no two databases share: of updated rows
    // only the type shows.
    plain(
        "INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name, created_at, updated_at) VALUES ('00000000-0000-4000-8000-0000000000aa', 'kw', 'w1@example.com', 'W', '2020-01-01', '2020-01-01') RETURNING t, (t).email, t IS NULL, coalesce(t, t), row_to_json(t)::text, pg_typeof(t), t.*",
    ),
    plain(
        "UPDATE iso_agents SET full_name = length(iso_agents::text) WHERE email = 'w1@example.com' AND iso_agents IS DISTINCT FROM NULL RETURNING CASE WHEN iso_agents IS NOT NULL THEN NULL ELSE iso_agents END, pg_typeof(ARRAY[public.iso_agents.*]), (iso_agents).full_name",
    ),
    plain(
        "UPDATE iso_agents a SET full_name = 'W' FROM client_profiles c WHERE a.email = 'w1@example.com' AND c.company_name = 'Company 1' RETURNING c, coalesce(c, c), a.role, (a).email, c.company_name, CASE WHEN a.role = 'admin' THEN a END, to_jsonb(a) - 'updated_at', pg_typeof(a)",
    ),
    plain(
        "UPDATE iso_agents a SET full_name = 'V' FROM iso_agents b WHERE a.email = 'w1@example.com' AND b.email = 'agent.2@example.com' RETURNING b AS x, b, pg_typeof(a), pg_typeof(array_append(ARRAY[b], a)), b.email",
    ),
    plain(
        "WITH w AS (UPDATE iso_agents a SET full_name = 'T' WHERE a.email = 'w1@example.com' RETURNING a, a AS b, (SELECT b FROM iso_agents b WHERE b.email = 'agent.2@example.com') AS c) SELECT pg_typeof(a), (w.b).full_name, c FROM w",
    ),
    plain(
        "INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name, created_at, updated_at) VALUES ('00000000-0000-4000-8000-0000000000ab', 'kx', 'w2@example.com', 'W', '2020-01-01', '2020-01-01') RETURNING t.*",
    ),
    plain(
        "DELETE FROM iso_agents t USING (VALUES ('w2@example.com')) AS v(e) WHERE email = v.e RETURNING t, t.*, v, public.t.email",
    ),
    plain(
        "DELETE FROM iso_agents t USING (VALUES ('w2@example.com')) AS v(e) WHERE email = v.e RETURNING t, t.*, v",
    ),
    plain("DELETE FROM iso_agents t WHERE email = 'w1@example.com' RETURNING pg_typeof(t), t.role"),
    plain(
        "UPDATE client_profiles c SET notes = 'n' FROM iso_agents a WHERE a.id = c.iso_agent_id AND c.company_name = 'Company 2' RETURNING a, a.email, c.notes",
    ),
    // Columns of joined tables in RETURNING, and the row as it has become.
    plain(
        "UPDATE iso_agents t SET full_name = 'Now' FROM (VALUES ('s1@example.com', 2)) AS v (x, y) WHERE t.email = v.x RETURNING row_to_json(t)->>'full_name', (t).full_name, to_jsonb(t)->'full_name', v.y",
    ),
    plain(
        "UPDATE iso_agents a SET margin_value = 7 FROM client_profiles c WHERE c.iso_agent_id = a.id AND c.id::text = (SELECT min(id::text) FROM client_profiles) RETURNING a.email, c.company_name, \"c\".email AS mail, upper(notes), margin_value",
    ),
    plain(
        "UPDATE iso_agents t SET full_name = g.n FROM generate_series(5, 5) AS g(n) WHERE t.email = 's1@example.com' RETURNING t.full_name, n, g.n + 1",
    ),
    plain(
        "UPDATE public.iso_agents SET full_name = v.x FROM (VALUES ('v', 2)) AS v(x, y) LEFT JOIN client_profiles p ON p.contact_name = v.x WHERE iso_agents.email = 's1@example.com' RETURNING public.iso_agents.role, v.*, p.notes",
    ),
    plain(
        "DELETE FROM iso_agents USING (VALUES ('s3@example.com', 1)) AS v(mail, n) WHERE email = v.mail RETURNING *",
    ),
    plain(
        "UPDATE iso_agents a SET full_name = b.full_name FROM iso_agents b WHERE a.email = 's1@example.com' AND b.email = 'agent.9@example.com' RETURNING a.full_name, b.email, b.role",
    ),
    plain(
        "WITH w AS (UPDATE iso_agents a SET full_name = 'w' FROM client_profiles c WHERE c.iso_agent_id = a.id AND c.id::text = (SELECT min(id::text) FROM client_profiles) RETURNING a.email, c.company_name) SELECT * FROM w",
    ),
    plain(
        "UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING email",
    ),
    plain(
        "UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING c.nothing",
    ),
    // Values that a query gives.
    plain(
        "UPDATE iso_agents a SET (full_name, margin_value) = (SELECT c.company_name, 3.5 FROM client_profiles c WHERE c.iso_agent_id = a.id ORDER BY c.id LIMIT 1), is_active = false WHERE a.email IN ('agent.1@example.com', 'agent.2@example.com') AND EXISTS (SELECT FROM client_profiles c WHERE c.iso_agent_id = a.id)",
    ),
    plain(
        "UPDATE iso_agents SET (role, full_name) = (SELECT 'admin'::user_role, iso_agents.email) WHERE email = 'agent.2@example.com' RETURNING role, full_name",
    ),
    plain(
        "UPDATE iso_agents SET (metadata, margin_value) = (SELECT metadata, margin_value FROM iso_agents b WHERE b.email = 'nobody') WHERE email = 'agent.3@example.com' RETURNING metadata, margin_value",
    ),
    plain(
        "UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a', 1 UNION ALL SELECT 'b', 2) WHERE email = 'agent.2@example.com'",
    ),
    plain(
        "UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a') WHERE email = 'agent.2@example.com'",
    ),
    // Values of another type than their column's, which is mapped.
    plain("UPDATE iso_agents SET role = 'adm' || 'in' WHERE email = 'agent.2@example.com'"),
    plain("UPDATE iso_agents SET full_name = 'é', role = (lower('ADMIN')) WHERE id IS NULL"),
    plain("UPDATE iso_agents SET (role, full_name) = (7, 'x')"),
    plain(
        "INSERT INTO iso_agents (clerk_user_id, email, role, full_name) VALUES ('q', 'q@example.com', lower('ADMIN'), 'q')",
    ),
    plain(
        "MERGE INTO client_profiles c USING iso_agents a ON c.iso_agent_id = a.id AND a.role = 'admin' WHEN MATCHED AND a.is_active THEN UPDATE SET notes = a.email WHEN MATCHED THEN DELETE",
    ),
    plain("SELECT notes FROM client_profiles ORDER BY notes"),
    plain("DELETE FROM iso_agents WHERE email = 'nobody@example.com'"),
    // Keys that change with what is joined.
    plain(
        "INSERT INTO iso_agents (id, clerk_user_id, email, full_name) SELECT md5('move' || n)::uuid, 'mv' || n, 'move' || n || '@example.com', 'M' || n FROM generate_series(1, 4) n",
    ),
    plain(
        "UPDATE iso_agents a SET id = md5('moved' || v.n)::uuid, full_name = c.company_name || v.n FROM (VALUES (1), (2), (2)) v(n), client_profiles c WHERE a.email = 'move' || v.n || '@example.com' AND c.company_name = 'Company 1' RETURNING a.id, v.n, c.company_name, full_name, a.role",
    ),
    plain(
        "UPDATE public.iso_agents SET (role, id) = (b.role, md5('by' || iso_agents.email)::uuid) FROM iso_agents b LEFT JOIN client_profiles c ON c.iso_agent_id = b.id AND c.company_name = 'nobody' WHERE b.email = 'agent.2@example.com' AND public.iso_agents.email IN ('move3@example.com', 'move1@example.com') AND c.id IS NULL RETURNING iso_agents.id, b.email",
    ),
    plain(
        "WITH k AS (SELECT 'move4@example.com' AS e) UPDATE iso_agents SET id = md5(k.e)::uuid FROM k WHERE email = k.e",
    ),
    plain(
        "UPDATE iso_agents a SET id = b.id FROM iso_agents b WHERE a.email = 'move4@example.com' AND b.email = 'move3@example.com'",
    ),
    plain(
        "UPDATE iso_agents a SET id = md5('none')::uuid FROM generate_series(1, 3) n WHERE a.email = 'nobody' || n RETURNING a.*, n",
    ),
    plain(
        "SELECT id, email, full_name, role FROM iso_agents WHERE email LIKE 'move%' ORDER BY email",
    ),
    plain("DELETE FROM iso_agents WHERE email LIKE 'move%'"),
    // Several tables at once, which refer to each other.
    plain("BEGIN"),
    plain("TRUNCATE TABLE client_profiles, ONLY iso_agents, requests RESTART IDENTITY"),
    plain(
        "SELECT (SELECT count(*) FROM iso_agents), (SELECT count(*) FROM client_profiles), (SELECT count(*) FROM requests)",
    ),
    plain("ROLLBACK"),
    plain("BEGIN"),
    plain("TRUNCATE public.iso_agents, client_profiles, requests CASCADE"),
    plain(
        "SELECT (SELECT count(*) FROM iso_agents), (SELECT count(*) FROM client_profiles), (SELECT count(*) FROM requests)",
    ),
    plain("ROLLBACK"),
    plain("TRUNCATE iso_agents, client_profiles"),
    plain("SELECT count(*) FROM iso_agents"),
    // A failed transaction: what is no SQL is told before that.
    plain("BEGIN"),
    plain("SELECT nothing FROM iso_agents"),
    plain("SELECT email FROM iso_agents"),
    plain("SELECT FROM FROM iso_agents"),
    plain("INSERT iso_agents VALUES (1)"),
    plain("ROLLBACK"),
    plain(
        "SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email",
    ),
];

/// `COPY … FROM STDIN…` and the data behind the first tab.
fn copied(sql: &'static str) -> Option<(&'static str, &'static str)> {
    sql.split_once('\t')
        .filter(|(copy, _)| copy.contains("FROM STDIN"))
}

async fn run_in(phase: Phase, simple: bool) -> anyhow::Result<()> {
    let world = World::start().await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
    let mut through = RawClient::connect(proxy.port, "moved").await?;
    let legacy = world.postgres.connect("straight").await?;
    let moved = world.postgres.connect("moved").await?;
    let mut in_transaction = false;
    for (sql, parameters) in STATEMENTS {
        let by_query = simple && parameters.is_empty();
        if !by_query && sql.contains("; ") {
            continue;
        }
        let (expected, got) = if let Some((copy, data)) = copied(sql) {
            if !by_query {
                continue;
            }
            (
                straight.copy_in(copy, data).await?,
                through.copy_in(copy, data).await?,
            )
        } else if by_query {
            (straight.simple(sql).await?, through.simple(sql).await?)
        } else {
            (
                straight.extended(sql, parameters).await?,
                through.extended(sql, parameters).await?,
            )
        };
        let context = format!("{phase}: {sql}\n{got:?}\nproxy log:\n{}", proxy.log());
        assert_eq!(comparable(&got), comparable(&expected), "{context}");
        in_transaction = expected.last().is_some_and(|ready| ready.body != b"I");
        if in_transaction {
            continue;
        }
        let truth = state(&legacy, "iso_agents").await;
        if phase.writes_both() || phase == Phase::LegacyOnly {
            assert_eq!(
                state(&moved, "iso_agents").await,
                truth,
                "legacy rows after {context}"
            );
        }
        if phase.writes_both() || phase.reads_unified() {
            assert_eq!(
                state(&moved, AS_LEGACY).await,
                truth,
                "unified rows after {context}"
            );
        }
        if phase.writes_both() {
            assert_eq!(
                differences(&moved).await,
                0,
                "the sides differ after {context}"
            );
        }
    }
    assert!(!in_transaction);
    Ok(())
}

/// A row that a cursor is at gets another key, for as long as cursors read legacy.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_changes_where_a_cursor_is_while_legacy_leads() -> anyhow::Result<()> {
    let statements = [
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email IN ('agent.2@example.com', 'agent.3@example.com') ORDER BY email FOR UPDATE",
        "FETCH c",
        "UPDATE iso_agents SET id = ('00000000-0000-4000-8000-0000000000c1') WHERE CURRENT OF c RETURNING id, email, iso_agents.role",
        "FETCH c",
        "UPDATE iso_agents a SET (full_name, id) = (a.full_name || a.email, md5(a.email)::uuid), role = DEFAULT WHERE CURRENT OF c",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c2' WHERE CURRENT OF c",
        "ROLLBACK",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email = 'agent.2@example.com'",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c1', margin_value = 1 FROM (VALUES (7)) v(n) WHERE CURRENT OF c RETURNING id, n",
        "CLOSE c",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email = 'agent.3@example.com'",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c1' WHERE CURRENT OF c",
        "ROLLBACK",
        "BEGIN",
        "DECLARE c CURSOR FOR SELECT * FROM iso_agents WHERE email = 'agent.4@example.com'",
        "FETCH c",
        "UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c1' WHERE CURRENT OF c",
        "COMMIT",
    ];
    for phase in [Phase::LegacyOnly, Phase::DualWrite, Phase::ShadowRead] {
        let world = World::start().await?;
        world.database("straight").await?;
        let proxy = world.in_phase("moved", phase).await?;
        let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
        let mut through = RawClient::connect(proxy.port, "moved").await?;
        let moved = world.postgres.connect("moved").await?;
        for sql in statements {
            let expected = comparable(&straight.simple(sql).await?);
            let got = comparable(&through.simple(sql).await?);
            assert_eq!(got, expected, "{phase}: {sql}");
        }
        let legacy = world.postgres.connect("straight").await?;
        let truth = state(&legacy, "iso_agents").await;
        assert_eq!(state(&moved, "iso_agents").await, truth, "{phase}");
        if phase != Phase::LegacyOnly {
            assert_eq!(state(&moved, AS_LEGACY).await, truth, "{phase}");
            assert_eq!(differences(&moved).await, 0, "{phase}");
        }
    }
    Ok(())
}

macro_rules! phases {
    ($($test:ident: $phase:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() -> anyhow::Result<()> {
            run_in(Phase::$phase, true).await?;
            run_in(Phase::$phase, false).await
        }
    )*};
}

phases! {
    legacy_only_answers_as_postgresql_does: LegacyOnly,
    dual_write_answers_as_postgresql_does: DualWrite,
    shadow_read_answers_as_postgresql_does: ShadowRead,
    dual_read_answers_as_postgresql_does: DualRead,
    unified_read_answers_as_postgresql_does: UnifiedRead,
    unified_only_answers_as_postgresql_does: UnifiedOnly,
}
