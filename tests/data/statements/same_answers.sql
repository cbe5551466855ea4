-- Reads of every shape that a derived table covers.
SELECT * FROM iso_agents ORDER BY email;
SELECT count(*), min(email), max(margin_value) FROM public.iso_agents;
SELECT a.email, a.role FROM iso_agents AS a WHERE a.role = 'iso_agent' ORDER BY 1 LIMIT 7;
SELECT role, count(*) FROM iso_agents GROUP BY role ORDER BY role::text;
SELECT email FROM ONLY iso_agents WHERE role IN ('admin', 'operator') ORDER BY email;
SELECT email FROM iso_agents * WHERE role <> 'admin' ORDER BY email OFFSET 3 LIMIT 4;
SELECT "public"."iso_agents"."email" FROM "public"."iso_agents" ORDER BY "public"."iso_agents"."email" LIMIT 3;
SELECT row_to_json(a)->>'role' AS r, a.email FROM iso_agents a ORDER BY email LIMIT 5;
SELECT json_agg(iso_agents.* ORDER BY email)->0->>'full_name' FROM iso_agents;
WITH iso_agents AS (SELECT 'cte'::text AS email) SELECT email FROM iso_agents;
WITH x AS (SELECT * FROM iso_agents WHERE is_active) SELECT count(*) FROM x JOIN iso_agents y USING (id);
SELECT c.company_name, a.email FROM client_profiles c JOIN iso_agents a ON a.id = c.iso_agent_id ORDER BY c.id LIMIT 5;
SELECT a.email FROM iso_agents a LEFT JOIN iso_agents b ON b.email = a.email AND b.role = 'admin' WHERE b.id IS NULL ORDER BY 1 LIMIT 5;
SELECT a.email FROM client_profiles c LEFT JOIN iso_agents a ON a.id = c.iso_agent_id WHERE a.role = 'operator' ORDER BY 1 LIMIT 5;
SELECT email, row_number() OVER (PARTITION BY role ORDER BY email) FROM iso_agents ORDER BY email LIMIT 9;
SELECT DISTINCT ON (role) role, email FROM iso_agents ORDER BY role, email;
SELECT email FROM iso_agents WHERE EXISTS (SELECT 1 FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id) ORDER BY 1 LIMIT 5;
SELECT email FROM iso_agents UNION ALL SELECT full_name FROM iso_agents ORDER BY 1 LIMIT 8;
SELECT x.email FROM iso_agents a, LATERAL (SELECT b.email FROM iso_agents b WHERE b.id = a.id) x ORDER BY 1 LIMIT 5;
SELECT email AS iso_agents, 'iso_agents' FROM iso_agents ORDER BY iso_agents LIMIT 2;
SELECT metadata->>'timezone', metadata IS NULL FROM iso_agents ORDER BY email LIMIT 20;
SELECT email FROM iso_agents ORDER BY email LIMIT 1 FOR UPDATE;
SELECT id, email FROM iso_agents WHERE role = $1 ORDER BY email LIMIT $2 \bind 'operator' '3' \g
SELECT email FROM iso_agents WHERE role = ANY($1) ORDER BY email LIMIT 3 \bind '{admin,operator}' \g
SELECT email FROM iso_agents WHERE id = $1 AND email LIKE $2 \bind '00000000-0000-4000-8000-00000000000a' '%' \g

-- Whole rows have the table's row type, wherever it shows.
SELECT iso_agents FROM iso_agents ORDER BY email LIMIT 3;
SELECT a.email, (a), a.* IS NULL, (a).role, (a).* FROM iso_agents a ORDER BY a LIMIT 3;
SELECT a AS x, a::text, a::iso_agents, CASE WHEN true THEN a ELSE a END, coalesce(a, NULL), pg_typeof(a) FROM iso_agents a ORDER BY email LIMIT 2;
SELECT c.company_name, a, a IS NULL, a.* IS NULL, coalesce(a, NULL) IS NULL, row_to_json(a)::text FROM client_profiles c LEFT JOIN iso_agents a ON a.id = c.iso_agent_id AND a.role = 'admin' ORDER BY c.id LIMIT 6;
SELECT a, b.email FROM iso_agents a FULL JOIN iso_agents b ON a.email = 'x' || b.email ORDER BY a.email, b.email LIMIT 4;
SELECT role, array_agg(a ORDER BY email), pg_typeof(array_agg(a)), count(a) FROM iso_agents a WHERE email < 'agent.11' GROUP BY role ORDER BY role::text;
SELECT nullif(a, b), pg_typeof(nullif(a, b)) FROM iso_agents a LEFT JOIN iso_agents b ON b.id = a.id AND b.role = 'admin' WHERE a.email < 'agent.12' ORDER BY a.email;
SELECT c.company_name, array_agg(a) FROM client_profiles c JOIN iso_agents a ON a.id = c.iso_agent_id GROUP BY 1 ORDER BY 1 LIMIT 3;
SELECT s.a, (s.a).email FROM (SELECT a, email FROM iso_agents a) s ORDER BY s.email LIMIT 2;
WITH q AS (SELECT a FROM iso_agents a WHERE role = 'admin') SELECT a, (a).email, row_to_json(a)::text, q FROM q ORDER BY (a).email LIMIT 2;
SELECT (SELECT b FROM iso_agents b WHERE b.email = a.email), ARRAY(SELECT b FROM iso_agents b WHERE b.email = a.email) FROM iso_agents a ORDER BY email LIMIT 2;
SELECT x.row FROM iso_agents a, LATERAL (SELECT a AS row) x ORDER BY a.email LIMIT 2;
SELECT t FROM iso_agents AS t (a, b, c) ORDER BY b LIMIT 1;
SELECT row_to_json(t)::text, (t).b, b(t) FROM iso_agents AS t (a, b, c) ORDER BY b LIMIT 1;
SELECT row_to_json(t.*)::text, email(t) FROM public.iso_agents AS t ORDER BY email LIMIT 1;
SELECT concat(public.iso_agents.*), ROW(iso_agents, 1), ROW(iso_agents.*) FROM public.iso_agents ORDER BY email LIMIT 1;
SELECT a, count(*) FROM iso_agents a, generate_series(1, 2) g WHERE email < 'agent.11' GROUP BY a ORDER BY a;
SELECT a AS x, max(n) FROM iso_agents a, (VALUES (1), (2)) v(n) WHERE email < 'agent.11' GROUP BY a HAVING a IS NOT NULL ORDER BY a DESC;
SELECT DISTINCT a FROM iso_agents a WHERE email < 'agent.11' ORDER BY a;
SELECT DISTINCT a AS x FROM iso_agents a WHERE email < 'agent.11' ORDER BY a;
SELECT DISTINCT ON (a) a, email FROM iso_agents a WHERE email < 'agent.11' ORDER BY a;
SELECT row_to_json(a)::text FROM iso_agents a WHERE email < 'agent.11' GROUP BY a ORDER BY a;
SELECT a FROM iso_agents a WHERE email < 'agent.11' UNION SELECT b FROM iso_agents b WHERE email < 'agent.12' ORDER BY 1;
SELECT lag(a) OVER w, first_value(a) OVER (PARTITION BY a ORDER BY a) FROM iso_agents a WINDOW w AS (ORDER BY email) ORDER BY email LIMIT 3;
SELECT a.email FROM iso_agents a JOIN iso_agents b ON a = b WHERE a IN (SELECT c FROM iso_agents c) AND a = ANY (SELECT c FROM iso_agents c) AND a IS NOT DISTINCT FROM b ORDER BY 1 LIMIT 3;
SELECT a FROM iso_agents a WHERE a = (SELECT b FROM iso_agents b WHERE email = 'agent.3@example.com');
SELECT count(DISTINCT a), json_agg(DISTINCT a.role) FROM iso_agents a;
SELECT jsonb_build_object('a', a) -> 'a' ->> 'email', format('%s', a) FROM iso_agents a ORDER BY email LIMIT 2;
SELECT q FROM (SELECT email, role FROM iso_agents) q ORDER BY 1 LIMIT 2;

-- A bare name is a column first.
SELECT email FROM iso_agents AS email ORDER BY email LIMIT 2;
SELECT x, array_agg(x) FROM iso_agents AS x, (SELECT 7 AS x) y WHERE x = 7 GROUP BY 1;
SELECT lower(notes) FROM iso_agents AS notes JOIN client_profiles c ON c.iso_agent_id = notes.id WHERE notes > '' ORDER BY notes LIMIT 2;
SELECT a.nothing, a FROM iso_agents a;
SELECT a + 1 FROM iso_agents a;
SELECT max(a.email), a FROM iso_agents a;
SELECT md5(a) FROM iso_agents a;
CREATE TEMP TABLE rows_of AS SELECT a FROM iso_agents a ORDER BY email LIMIT 2;
SELECT r.a, (r.a).email FROM rows_of r;
DROP TABLE rows_of;

-- Errors of reads.
SELECT nothing FROM iso_agents;
SELECT email FROM iso_agents WHERE role = 'no such role';
SELECT 1/0 FROM iso_agents;

-- Inserts.
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ($1, 'ka', 'a@example.com', 'A') RETURNING * \bind '00000000-0000-4000-8000-00000000000a' \g
INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, margin_value, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7) \bind '00000000-0000-4000-8000-00000000000b' 'kb' 'b@example.com' 'B' 'admin' '12.345' '{"phone": "+1", "timezone": ""}' \g
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('k1', 'n1@example.com', 'N1', 'operator'), ('k2', 'n2@example.com', 'N2', DEFAULT) RETURNING email, role, "iso_agents"."margin_type";
INSERT INTO public.iso_agents AS t (clerk_user_id, email, full_name, metadata) VALUES ('k3', 'n3@example.com', 'N3', NULL) RETURNING t.id, t.metadata;
INSERT INTO iso_agents (email, clerk_user_id, full_name) SELECT 's' || n || '@example.com', 'ks' || n, 'S' FROM generate_series(1, 3) AS n;
INSERT INTO iso_agents (email, clerk_user_id, full_name, role) SELECT 't1@example.com', 'kt1', 'T', 'admin' RETURNING role;
WITH v AS (SELECT 'w@example.com'::text AS e) INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT e, e, e FROM v RETURNING email;

-- Errors of inserts: nothing is written on either side.
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('other', 'a@example.com', 'dup');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('bad', 'no at sign', 'bad');
INSERT INTO iso_agents (clerk_user_id, email) VALUES ('nn', 'nn@example.com');
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('neg', 'neg@example.com', 'n', -1);
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('r', 'r@example.com', 'r', 'nobody');
INSERT INTO iso_agents (clerk_user_id, email) VALUES ('too', 'many', 'values');
INSERT INTO iso_agents DEFAULT VALUES;

-- Upserts.
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'a@example.com', 'ignored') ON CONFLICT DO NOTHING;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'a@example.com', 'ignored') ON CONFLICT (email) DO NOTHING RETURNING id;
INSERT INTO iso_agents AS t (clerk_user_id, email, full_name, role) VALUES ('x', 'a@example.com', 'again', 'operator') ON CONFLICT (email) DO UPDATE SET full_name = t.full_name || excluded.full_name, role = excluded.role RETURNING full_name, role;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'a@example.com', 'never') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name WHERE iso_agents.role = 'admin';

-- Updates.
UPDATE iso_agents SET full_name = $1, margin_value = margin_value + 1.005 WHERE id = $2 \bind 'renamed' '00000000-0000-4000-8000-00000000000a' \g
UPDATE iso_agents SET role = $1 WHERE id = $2 RETURNING role, margin_value \bind 'iso_agent' '00000000-0000-4000-8000-00000000000a' \g
UPDATE ONLY iso_agents AS a SET role = 'operator', is_active = DEFAULT, metadata = NULL WHERE a.role = 'admin' AND a.email LIKE 'b@%' RETURNING a.role, a.is_active, a.metadata;
UPDATE iso_agents SET margin_value = margin_value * 2 WHERE email LIKE 's%@example.com' AND role = 'iso_agent';
UPDATE iso_agents SET full_name = c.company_name FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id AND c.contact_name IS NOT NULL AND iso_agents.email IS DISTINCT FROM 'x' AND iso_agents.role = 'admin';
UPDATE iso_agents SET full_name = upper(full_name) WHERE id IN (SELECT id FROM iso_agents WHERE email LIKE 'n%@example.com') RETURNING full_name;
UPDATE iso_agents SET is_active = NOT is_active WHERE email = 'nobody@example.com';
WITH v AS (SELECT 'n1@example.com'::text AS e) UPDATE iso_agents SET full_name = v.e FROM v WHERE iso_agents.email = v.e;
UPDATE iso_agents SET email = 'b@example.com' WHERE email = 'a@example.com';
UPDATE iso_agents SET email = NULL WHERE email = 'a@example.com';
UPDATE iso_agents SET margin_value = 1/0;

-- Key changes.
UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000aa' WHERE email = 'n1@example.com' RETURNING id;
UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000ab', full_name = 'moved' WHERE id = '00000000-0000-4000-8000-0000000000aa';
UPDATE iso_agents SET id = '00000000-0000-4000-8000-00000000000b' WHERE id = '00000000-0000-4000-8000-0000000000ab';

-- Several statements in one Query message, and transactions.
UPDATE iso_agents SET full_name = 'one' WHERE email = 'n2@example.com'; SELECT full_name FROM iso_agents WHERE email = 'n2@example.com'; DELETE FROM iso_agents WHERE email = 's3@example.com';
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('m', 'm@example.com', 'm'); SELECT 1/0;
BEGIN;
DELETE FROM iso_agents WHERE email = 'n2@example.com' RETURNING email, role;
SAVEPOINT s;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('again', 'n2@example.com', 'again');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('again', 'n2@example.com', 'twice');
SELECT count(*) FROM iso_agents;
ROLLBACK TO s;
SELECT count(*) FROM iso_agents WHERE email = 'n2@example.com';
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE iso_agents SET full_name = 'rr' WHERE email = 'n3@example.com' RETURNING full_name;
DELETE FROM iso_agents WHERE email = 's2@example.com';
ROLLBACK;

-- Writes inside WITH, as PostgREST sends them.
WITH pgrst_source AS (INSERT INTO "public"."iso_agents"("clerk_user_id", "email", "full_name", "role") SELECT "pgrst_body"."clerk_user_id", "pgrst_body"."email", "pgrst_body"."full_name", "pgrst_body"."role" FROM (SELECT '{"clerk_user_id": "pg1", "email": "pg1@example.com", "full_name": "P", "role": "operator"}'::json AS json_data) pgrst_payload, LATERAL (SELECT "clerk_user_id", "email", "full_name", "role" FROM json_to_record(pgrst_payload.json_data) AS _("clerk_user_id" text, "email" text, "full_name" text, "role" public.user_role)) pgrst_body RETURNING "public"."iso_agents".*) SELECT pg_catalog.count(_postgrest_t) AS page_total, (coalesce(json_agg(_postgrest_t)->0, 'null')::jsonb - 'id' - 'created_at' - 'updated_at')::text AS body FROM (SELECT * FROM pgrst_source) _postgrest_t;
WITH pgrst_source AS (UPDATE "public"."iso_agents" SET "is_active" = "pgrst_body"."is_active" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT "is_active" FROM json_to_record(pgrst_payload.json_data) AS _("is_active" boolean)) pgrst_body WHERE "public"."iso_agents"."clerk_user_id" = $2 RETURNING "public"."iso_agents"."role") SELECT json_agg(pgrst_source)::text FROM pgrst_source \bind '{"is_active": false}' 'pg1' \g
WITH gone AS (DELETE FROM iso_agents WHERE clerk_user_id = 'pg1') SELECT 1;
WITH a AS (INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('cte', 'cte@example.com', 'C') RETURNING id) UPDATE iso_agents SET full_name = (SELECT count(*) FROM a)::text WHERE email = 'w@example.com' RETURNING full_name;
WITH a AS (SELECT email FROM iso_agents WHERE email = 'cte@example.com') DELETE FROM iso_agents USING a WHERE iso_agents.email = a.email RETURNING iso_agents.full_name;
WITH x AS (UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000ac' WHERE email = 'w@example.com' RETURNING full_name) SELECT * FROM x;
UPDATE iso_agents SET (full_name, margin_value) = ('multi', 3.5) WHERE email = 'w@example.com' RETURNING full_name, margin_value;
TABLE iso_agents ORDER BY email LIMIT 2;

-- COPY both ways (data stands behind the statement, see `copied`).
COPY iso_agents (email, role) TO STDOUT (FORMAT csv);
COPY (SELECT email FROM iso_agents WHERE role = 'admin' ORDER BY 1) TO STDOUT;
COPY public.iso_agents (clerk_user_id, email, full_name, role) FROM STDIN	cp1	cp1@example.com	C 1	admin
cp2	cp2@example.com	\N	admin
;
COPY public.iso_agents (clerk_user_id, email, full_name, role) FROM STDIN	cp1	cp1@example.com	C 1	admin
cp2	cp2@example.com	C 2	operator
;
COPY iso_agents (email, clerk_user_id, full_name) FROM STDIN (FORMAT csv, HEADER)	email,clerk_user_id,full_name
cp3@example.com,cp3,"C, 3"
;
COPY iso_agents (email, clerk_user_id, full_name) FROM STDIN	only one column
;
SELECT email, role FROM iso_agents WHERE email LIKE 'cp%' ORDER BY 1;
DELETE FROM iso_agents WHERE email LIKE 'cp%';

-- By constraint name.
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'w@example.com', 'by name') ON CONFLICT ON CONSTRAINT iso_agents_email_key DO UPDATE SET full_name = excluded.full_name RETURNING full_name;

-- Deletes.
DELETE FROM iso_agents WHERE id = $1 RETURNING id, role \bind '00000000-0000-4000-8000-00000000000a' \g
DELETE FROM iso_agents a USING (SELECT 's1@example.com'::text AS e) v WHERE a.email = v.e RETURNING a.email, "a"."role";
DELETE FROM public.iso_agents WHERE "public"."iso_agents"."email" = 's2@example.com' RETURNING "public"."iso_agents"."email";

-- Whole rows in RETURNING. A trigger sets a time that no two databases share: of updated rows
-- only the type shows.
INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name, created_at, updated_at) VALUES ('00000000-0000-4000-8000-0000000000aa', 'kw', 'w1@example.com', 'W', '2020-01-01', '2020-01-01') RETURNING t, (t).email, t IS NULL, coalesce(t, t), row_to_json(t)::text, pg_typeof(t), t.*;
UPDATE iso_agents SET full_name = length(iso_agents::text) WHERE email = 'w1@example.com' AND iso_agents IS DISTINCT FROM NULL RETURNING CASE WHEN iso_agents IS NOT NULL THEN NULL ELSE iso_agents END, pg_typeof(ARRAY[public.iso_agents.*]), (iso_agents).full_name;
UPDATE iso_agents a SET full_name = 'W' FROM client_profiles c WHERE a.email = 'w1@example.com' AND c.company_name = 'Company 1' RETURNING c, coalesce(c, c), a.role, (a).email, c.company_name, CASE WHEN a.role = 'admin' THEN a END, to_jsonb(a) - 'updated_at', pg_typeof(a);
UPDATE iso_agents a SET full_name = 'V' FROM iso_agents b WHERE a.email = 'w1@example.com' AND b.email = 'agent.2@example.com' RETURNING b AS x, b, pg_typeof(a), pg_typeof(array_append(ARRAY[b], a)), b.email;
WITH w AS (UPDATE iso_agents a SET full_name = 'T' WHERE a.email = 'w1@example.com' RETURNING a, a AS b, (SELECT b FROM iso_agents b WHERE b.email = 'agent.2@example.com') AS c) SELECT pg_typeof(a), (w.b).full_name, c FROM w;
INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name, created_at, updated_at) VALUES ('00000000-0000-4000-8000-0000000000ab', 'kx', 'w2@example.com', 'W', '2020-01-01', '2020-01-01') RETURNING t.*;
DELETE FROM iso_agents t USING (VALUES ('w2@example.com')) AS v(e) WHERE email = v.e RETURNING t, t.*, v, public.t.email;
DELETE FROM iso_agents t USING (VALUES ('w2@example.com')) AS v(e) WHERE email = v.e RETURNING t, t.*, v;
DELETE FROM iso_agents t WHERE email = 'w1@example.com' RETURNING pg_typeof(t), t.role;
UPDATE client_profiles c SET notes = 'n' FROM iso_agents a WHERE a.id = c.iso_agent_id AND c.company_name = 'Company 2' RETURNING a, a.email, c.notes;

-- Columns of joined tables in RETURNING, and the row as it has become.
UPDATE iso_agents t SET full_name = 'Now' FROM (VALUES ('s1@example.com', 2)) AS v (x, y) WHERE t.email = v.x RETURNING row_to_json(t)->>'full_name', (t).full_name, to_jsonb(t)->'full_name', v.y;
UPDATE iso_agents a SET margin_value = 7 FROM client_profiles c WHERE c.iso_agent_id = a.id AND c.id::text = (SELECT min(id::text) FROM client_profiles) RETURNING a.email, c.company_name, "c".email AS mail, upper(notes), margin_value;
UPDATE iso_agents t SET full_name = g.n FROM generate_series(5, 5) AS g(n) WHERE t.email = 's1@example.com' RETURNING t.full_name, n, g.n + 1;
UPDATE public.iso_agents SET full_name = v.x FROM (VALUES ('v', 2)) AS v(x, y) LEFT JOIN client_profiles p ON p.contact_name = v.x WHERE iso_agents.email = 's1@example.com' RETURNING public.iso_agents.role, v.*, p.notes;
DELETE FROM iso_agents USING (VALUES ('s3@example.com', 1)) AS v(mail, n) WHERE email = v.mail RETURNING *;
UPDATE iso_agents a SET full_name = b.full_name FROM iso_agents b WHERE a.email = 's1@example.com' AND b.email = 'agent.9@example.com' RETURNING a.full_name, b.email, b.role;
WITH w AS (UPDATE iso_agents a SET full_name = 'w' FROM client_profiles c WHERE c.iso_agent_id = a.id AND c.id::text = (SELECT min(id::text) FROM client_profiles) RETURNING a.email, c.company_name) SELECT * FROM w;
UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING email;
UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING c.nothing;

-- Values that a query gives.
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT c.company_name, 3.5 FROM client_profiles c WHERE c.iso_agent_id = a.id ORDER BY c.id LIMIT 1), is_active = false WHERE a.email IN ('agent.1@example.com', 'agent.2@example.com') AND EXISTS (SELECT FROM client_profiles c WHERE c.iso_agent_id = a.id);
UPDATE iso_agents SET (role, full_name) = (SELECT 'admin'::user_role, iso_agents.email) WHERE email = 'agent.2@example.com' RETURNING role, full_name;
UPDATE iso_agents SET (metadata, margin_value) = (SELECT metadata, margin_value FROM iso_agents b WHERE b.email = 'nobody') WHERE email = 'agent.3@example.com' RETURNING metadata, margin_value;
UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a', 1 UNION ALL SELECT 'b', 2) WHERE email = 'agent.2@example.com';
UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a') WHERE email = 'agent.2@example.com';

-- Values of another type than their column's, which is mapped.
UPDATE iso_agents SET role = 'adm' || 'in' WHERE email = 'agent.2@example.com';
UPDATE iso_agents SET full_name = 'é', role = (lower('ADMIN')) WHERE id IS NULL;
UPDATE iso_agents SET (role, full_name) = (7, 'x');
INSERT INTO iso_agents (clerk_user_id, email, role, full_name) VALUES ('q', 'q@example.com', lower('ADMIN'), 'q');
MERGE INTO client_profiles c USING iso_agents a ON c.iso_agent_id = a.id AND a.role = 'admin' WHEN MATCHED AND a.is_active THEN UPDATE SET notes = a.email WHEN MATCHED THEN DELETE;
SELECT notes FROM client_profiles ORDER BY notes;
DELETE FROM iso_agents WHERE email = 'nobody@example.com';

-- Keys that change with what is joined.
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) SELECT md5('move' || n)::uuid, 'mv' || n, 'move' || n || '@example.com', 'M' || n FROM generate_series(1, 4) n;
UPDATE iso_agents a SET id = md5('moved' || v.n)::uuid, full_name = c.company_name || v.n FROM (VALUES (1), (2), (2)) v(n), client_profiles c WHERE a.email = 'move' || v.n || '@example.com' AND c.company_name = 'Company 1' RETURNING a.id, v.n, c.company_name, full_name, a.role;
UPDATE public.iso_agents SET (role, id) = (b.role, md5('by' || iso_agents.email)::uuid) FROM iso_agents b LEFT JOIN client_profiles c ON c.iso_agent_id = b.id AND c.company_name = 'nobody' WHERE b.email = 'agent.2@example.com' AND public.iso_agents.email IN ('move3@example.com', 'move1@example.com') AND c.id IS NULL RETURNING iso_agents.id, b.email;
WITH k AS (SELECT 'move4@example.com' AS e) UPDATE iso_agents SET id = md5(k.e)::uuid FROM k WHERE email = k.e;
UPDATE iso_agents a SET id = b.id FROM iso_agents b WHERE a.email = 'move4@example.com' AND b.email = 'move3@example.com';
UPDATE iso_agents a SET id = md5('none')::uuid FROM generate_series(1, 3) n WHERE a.email = 'nobody' || n RETURNING a.*, n;
SELECT id, email, full_name, role FROM iso_agents WHERE email LIKE 'move%' ORDER BY email;
DELETE FROM iso_agents WHERE email LIKE 'move%';

-- Several tables at once, which refer to each other.
BEGIN;
TRUNCATE TABLE client_profiles, ONLY iso_agents, requests RESTART IDENTITY;
SELECT (SELECT count(*) FROM iso_agents), (SELECT count(*) FROM client_profiles), (SELECT count(*) FROM requests);
ROLLBACK;
BEGIN;
TRUNCATE public.iso_agents, client_profiles, requests CASCADE;
SELECT (SELECT count(*) FROM iso_agents), (SELECT count(*) FROM client_profiles), (SELECT count(*) FROM requests);
ROLLBACK;
TRUNCATE iso_agents, client_profiles;
SELECT count(*) FROM iso_agents;

-- A failed transaction: what is no SQL is told before that.
BEGIN;
SELECT nothing FROM iso_agents;
SELECT email FROM iso_agents;
SELECT FROM FROM iso_agents;
INSERT iso_agents VALUES (1);
ROLLBACK;
SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email;
