-- Every form of statement, sent to PostgreSQL and through Crossfade in each phase, with a lens by columns and with one by
-- steps: the answers and the tables behind them must be alike. What only one kind of lens refuses is told in
-- differences.toml, by the names that stand here.
--
-- A block is a name and the statements that one session sends one after the other; it begins with the rows that all
-- begin with, and an empty line ends it. Values of parameters stand behind \bind, the data of a COPY behind a tab.
-- In a block that says so (17) are words that older servers do not know.

-- ---------------------------------------------------------------------------------------------- SELECT

-- every column
SELECT * FROM iso_agents ORDER BY email;

-- columns by name, alias and schema
SELECT iso_agents.email, public.iso_agents.role, "iso_agents"."full_name" AS "Name" FROM public.iso_agents ORDER BY email LIMIT 9;

-- no columns
SELECT FROM iso_agents;

-- TABLE
TABLE iso_agents ORDER BY email LIMIT 3;

-- ONLY and an asterisk
SELECT count(*) FROM ONLY iso_agents;
SELECT count(*) FROM iso_agents *;
SELECT count(*) FROM ONLY (iso_agents);

-- names folded, quoted and escaped
SELECT EMAIL FROM Iso_Agents ORDER BY Email LIMIT 2;
SELECT "email" FROM "public"."iso_agents" ORDER BY "email" LIMIT 2;
SELECT email FROM U&"iso\005fagents" ORDER BY email LIMIT 2;

-- an alias with other column names
SELECT a, b, d FROM iso_agents AS t (a, b, c, d) ORDER BY c LIMIT 4;

-- the mapped column compared
SELECT email FROM iso_agents WHERE role = 'iso_agent' AND email < 'agent.3' ORDER BY email;
SELECT email FROM iso_agents WHERE role IN ('admin', 'operator') ORDER BY email;
SELECT email FROM iso_agents WHERE role <> 'iso_agent' ORDER BY email;
SELECT email FROM iso_agents WHERE role = ANY ('{admin,sales_rep}') ORDER BY email;
SELECT email FROM iso_agents WHERE role > 'admin' AND email < 'agent.2' ORDER BY email;
SELECT email FROM iso_agents WHERE 'sales_rep' = role;
SELECT count(*) FROM iso_agents WHERE role::text LIKE '%a%';

-- the mapped column by a parameter
SELECT email FROM iso_agents WHERE role = $1 ORDER BY email LIMIT 4 \bind 'iso_agent' \g
SELECT email FROM iso_agents WHERE role = ANY ($1) AND email > $2 ORDER BY email LIMIT 4 \bind '{admin,operator}' 'b' \g
SELECT email FROM iso_agents WHERE role = $1::text::user_role AND $2 IS NULL ORDER BY email LIMIT 1 \bind 'admin' NULL \g

-- one row by its key
SELECT email, role FROM iso_agents WHERE id = '00000000-0000-4000-8000-000000000003';
SELECT email, role FROM iso_agents WHERE id = $1 \bind '00000000-0000-4000-8000-000000000003' \g

-- expressions over every column
SELECT upper(email), full_name || '!', margin_value * 2, NOT is_active, metadata -> 'timezone', margin_type::text, role::text, id = '00000000-0000-4000-8000-000000000001' FROM iso_agents ORDER BY email LIMIT 20;

-- CASE, coalesce and their like
SELECT email, CASE role WHEN 'admin' THEN 1 WHEN 'iso_agent' THEN 2 ELSE 3 END, coalesce(margin_value, -1), nullif(margin_type, 'fixed'), greatest(margin_value, 5), is_active IS UNKNOWN FROM iso_agents ORDER BY email LIMIT 70;

-- aggregates
SELECT count(*), count(margin_value), sum(margin_value), avg(margin_value)::numeric(10,4), min(email), max(role), bool_or(is_active) FROM iso_agents;
SELECT count(*) FILTER (WHERE role = 'admin'), string_agg(email, ',' ORDER BY email) FILTER (WHERE role = 'operator') FROM iso_agents;
SELECT array_agg(role ORDER BY role) FROM iso_agents WHERE email < 'agent.11';
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY margin_value) FROM iso_agents;

-- GROUP BY and HAVING
SELECT role, count(*), sum(margin_value) FROM iso_agents GROUP BY role ORDER BY role;
SELECT role, margin_type, count(*) FROM iso_agents GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2;
SELECT id, email, full_name FROM iso_agents GROUP BY id ORDER BY email LIMIT 3;
SELECT left(email, 5) AS l, max(full_name) FROM iso_agents GROUP BY l ORDER BY l;

-- GROUPING SETS, CUBE and ROLLUP
SELECT role, margin_type, count(*), grouping(role, margin_type) FROM iso_agents GROUP BY GROUPING SETS ((role), (margin_type), ()) ORDER BY 4, 1, 2;
SELECT role, is_active, count(*) FROM iso_agents GROUP BY CUBE (role, is_active) ORDER BY 1, 2, 3;
SELECT role, is_active, count(*) FROM iso_agents GROUP BY ROLLUP (role, is_active) ORDER BY 1, 2, 3;

-- DISTINCT
SELECT DISTINCT role FROM iso_agents ORDER BY role;
SELECT DISTINCT ON (role) role, email FROM iso_agents ORDER BY role, email DESC;
SELECT count(DISTINCT margin_type) FROM iso_agents;

-- windows
SELECT email, row_number() OVER (PARTITION BY role ORDER BY email), lag(email) OVER w, sum(margin_value) OVER (w ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM iso_agents WINDOW w AS (PARTITION BY role ORDER BY email) ORDER BY role, email LIMIT 30;

-- ORDER BY, LIMIT, OFFSET and FETCH
SELECT email FROM iso_agents ORDER BY role DESC, margin_value DESC NULLS LAST, email LIMIT 5 OFFSET 3;
SELECT email FROM iso_agents ORDER BY email COLLATE "C" DESC FETCH FIRST 3 ROWS ONLY;
SELECT role FROM iso_agents ORDER BY role FETCH FIRST 2 ROWS WITH TIES;
SELECT email FROM iso_agents ORDER BY email LIMIT $1 OFFSET $2 \bind '2' '3' \g

-- joins with a neighbour
SELECT c.company_name, a.email FROM client_profiles c JOIN iso_agents a ON a.id = c.iso_agent_id ORDER BY c.company_name;
SELECT a.email, c.company_name FROM iso_agents a LEFT JOIN client_profiles c ON c.iso_agent_id = a.id AND a.role = 'operator' ORDER BY a.email LIMIT 20;
SELECT a.email, c.company_name FROM client_profiles c RIGHT JOIN iso_agents a ON c.iso_agent_id = a.id WHERE a.role <> 'iso_agent' ORDER BY a.email;
SELECT a.email, c.company_name FROM iso_agents a FULL JOIN client_profiles c ON c.iso_agent_id = a.id ORDER BY a.email, c.company_name LIMIT 20;
SELECT count(*) FROM iso_agents CROSS JOIN client_profiles;
SELECT a.email, r.passengers FROM iso_agents a, requests r WHERE r.iso_agent_id = a.id ORDER BY r.passengers, a.email;

-- joins with itself
SELECT a.email, b.email FROM iso_agents a JOIN iso_agents b ON a.role = b.role AND a.email < b.email WHERE a.role = 'admin' ORDER BY 1, 2;
SELECT count(*) FROM iso_agents a LEFT JOIN iso_agents b ON b.id = a.id AND b.role = 'admin' WHERE b.id IS NULL;

-- USING and NATURAL
SELECT id, a.email, b.role FROM iso_agents a JOIN iso_agents b USING (id) ORDER BY a.email LIMIT 3;
SELECT count(*) FROM iso_agents a NATURAL JOIN (SELECT id, email FROM iso_agents WHERE role = 'admin') b;
SELECT j.id IS NULL, x FROM (iso_agents a JOIN (VALUES ('agent.1@example.com', 7)) v (email, x) USING (email)) AS j;

-- LATERAL
SELECT a.email, x.n FROM iso_agents a, LATERAL (SELECT count(*) AS n FROM client_profiles c WHERE c.iso_agent_id = a.id) x ORDER BY x.n DESC, a.email LIMIT 14;
SELECT c.company_name, x.email FROM client_profiles c LEFT JOIN LATERAL (SELECT email FROM iso_agents a WHERE a.id = c.iso_agent_id AND a.role = 'operator') x ON true ORDER BY 1;

-- subqueries
SELECT email FROM iso_agents WHERE id IN (SELECT iso_agent_id FROM client_profiles) ORDER BY email;
SELECT email FROM iso_agents a WHERE EXISTS (SELECT FROM client_profiles c WHERE c.iso_agent_id = a.id) ORDER BY email;
SELECT company_name, (SELECT email FROM iso_agents a WHERE a.id = c.iso_agent_id) FROM client_profiles c ORDER BY 1;
SELECT (SELECT max(email) FROM iso_agents), ARRAY(SELECT role FROM iso_agents WHERE email < 'agent.11' ORDER BY email);
SELECT email FROM iso_agents WHERE margin_value > ALL (SELECT margin_value FROM iso_agents WHERE role = 'admin' AND margin_value IS NOT NULL) ORDER BY email;
SELECT q.r, count(*) FROM (SELECT role AS r, email FROM iso_agents) q GROUP BY q.r ORDER BY q.r;
SELECT email FROM iso_agents WHERE (role, is_active) = ('operator', true) ORDER BY email;
SELECT email FROM iso_agents WHERE (email, role) IN (SELECT email, role FROM iso_agents WHERE role = 'admin') ORDER BY email;

-- set operations
SELECT email FROM iso_agents WHERE role = 'admin' UNION SELECT company_name FROM client_profiles ORDER BY 1;
SELECT role FROM iso_agents UNION ALL SELECT role FROM iso_agents WHERE role = 'admin' ORDER BY 1 LIMIT 8;
SELECT role FROM iso_agents INTERSECT SELECT 'admin';
SELECT email FROM iso_agents EXCEPT SELECT email FROM iso_agents WHERE role = 'iso_agent' ORDER BY 1;

-- WITH
WITH x AS (SELECT * FROM iso_agents WHERE role = 'operator') SELECT x.email, x.role FROM x ORDER BY 1;
WITH x AS MATERIALIZED (SELECT id, role FROM iso_agents), y AS (SELECT count(*) AS n FROM x WHERE role = 'admin') SELECT n FROM y;
WITH iso_agents AS (SELECT 'of the query' AS email) SELECT email FROM iso_agents;
WITH iso_agents AS (SELECT email FROM public.iso_agents WHERE role = 'admin') SELECT email FROM iso_agents ORDER BY 1;

-- WITH RECURSIVE
WITH RECURSIVE n (i, email) AS (SELECT 1, (SELECT min(email) FROM iso_agents) UNION ALL SELECT i + 1, (SELECT min(a.email) FROM iso_agents a WHERE a.email > n.email) FROM n WHERE i < 4) SELECT * FROM n ORDER BY i;

-- VALUES and functions beside it
SELECT a.email, v.n FROM iso_agents a JOIN (VALUES ('agent.1@example.com', 1), ('agent.2@example.com', 2)) v (e, n) ON v.e = a.email ORDER BY v.n;
SELECT a.email, g FROM iso_agents a, generate_series(1, 2) g WHERE a.role = 'admin' ORDER BY a.email, g;
SELECT a.email, k FROM iso_agents a, jsonb_object_keys(a.metadata) k WHERE a.email < 'agent.2' AND jsonb_typeof(a.metadata) = 'object' ORDER BY a.email, k;
VALUES ((SELECT count(*) FROM iso_agents WHERE role = 'admin'));

-- a name of a table that is a column's
SELECT iso_agents FROM iso_agents, (VALUES (1)) AS v (iso_agents) LIMIT 1;
SELECT a.email FROM iso_agents a WHERE (SELECT a FROM (SELECT 'fix.1@example.com' AS a) q) = a.email;
SELECT g, a.email FROM generate_series(1, 2) g, iso_agents a WHERE a.email = 'fix.' || g || '@example.com' ORDER BY g;
SELECT role AS email, count(*) FROM iso_agents GROUP BY role ORDER BY email, count;

-- whole rows
SELECT row_to_json(a)::text FROM iso_agents a ORDER BY email LIMIT 2;
SELECT to_jsonb(iso_agents) - 'updated_at' - 'created_at' - 'id' FROM iso_agents ORDER BY email LIMIT 2;
SELECT (a).email, a IS NOT NULL, count(a) OVER () FROM iso_agents a ORDER BY email LIMIT 2;
SELECT json_agg(a.* ORDER BY a.email) -> 0 ->> 'role' FROM iso_agents a;
SELECT a.email FROM iso_agents a JOIN iso_agents b ON a = b ORDER BY 1 LIMIT 2;
SELECT a IS NULL, b.email FROM iso_agents b LEFT JOIN iso_agents a ON a.email = 'x' || b.email ORDER BY b.email LIMIT 2;

-- a whole row as a result
SELECT a FROM iso_agents a WHERE a.email = 'agent.1@example.com';

-- the type of a whole row
SELECT pg_typeof(a), pg_typeof(a.role) FROM iso_agents a LIMIT 1;

-- system columns
SELECT ctid IS NULL FROM iso_agents LIMIT 1;

-- TABLESAMPLE
SELECT count(*) FROM iso_agents TABLESAMPLE SYSTEM (100);

-- a column of a neighbour's of the same name
SELECT email AS iso_agents, 'iso_agents' AS x FROM iso_agents ORDER BY iso_agents LIMIT 2;
SELECT a.iso_agents FROM (SELECT 1 AS iso_agents) a;

-- SELECT INTO and CREATE TABLE AS
SELECT email, role INTO TEMP made FROM iso_agents WHERE role <> 'iso_agent';
SELECT * FROM made ORDER BY email;
CREATE TEMP TABLE made2 AS TABLE iso_agents;
SELECT count(*), max(role) FROM made2;
DROP TABLE made, made2;

-- results in binary, described first
SELECT email, role, margin_value, is_active, metadata FROM iso_agents WHERE email = $1 \bind 'agent.5@example.com' \g

-- a null and an empty parameter
SELECT count(*) FROM iso_agents WHERE email = $1 \bind NULL \g
SELECT count(*) FROM iso_agents WHERE email = $1 \bind '' \g

-- reserved words behind a dot and as labels
SELECT a.email AS from, m.where, a.role case, CASE WHEN m.returning THEN m.end END end FROM iso_agents a JOIN (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m ON a.email = m.from WHERE m.returning IS DISTINCT FROM false AND m.where > '' GROUP BY a.email, a.role, m.where, m.returning, m.end HAVING bool_and(m.returning) ORDER BY m.where LIMIT 1;
SELECT full_name AS where FROM iso_agents WHERE email = (SELECT m.from FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m) AND (SELECT m.returning FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m) FOR UPDATE;

-- ------------------------------------------------------------------------------------- errors of reads

-- an unknown column
SELECT nothing FROM iso_agents;
SELECT a.nothing FROM iso_agents a;
SELECT email FROM iso_agents WHERE nothing = 1;
SELECT timezone FROM iso_agents;

-- an unknown function, operator and type
SELECT nothing(email) FROM iso_agents;
SELECT email + 1 FROM iso_agents;
SELECT email::nothing FROM iso_agents;

-- a value that is none of the type
SELECT email FROM iso_agents WHERE role = 'nobody';
SELECT email FROM iso_agents WHERE id = 'no uuid';
SELECT email FROM iso_agents WHERE role = $1 \bind 'nobody' \g
SELECT email FROM iso_agents WHERE margin_value > 'many';

-- an error of evaluation
SELECT 1 / 0 FROM iso_agents;
SELECT email::integer FROM iso_agents WHERE email = 'agent.1@example.com';
SELECT (SELECT email FROM iso_agents);

-- grouping
SELECT email, count(*) FROM iso_agents;
SELECT role FROM iso_agents GROUP BY email;

-- an ambiguous name
SELECT email FROM iso_agents a, client_profiles c;
SELECT iso_agents.email FROM iso_agents a;

-- a syntax error
SELECT FROM FROM iso_agents;
SELECT email FROM iso_agents WHERE;

-- --------------------------------------------------------------------------------------------- INSERT

-- INSERT of one row
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'ka', 'a@example.com', 'A');

-- INSERT of every column
INSERT INTO iso_agents VALUES ('00000000-0000-4000-8000-0000000000a1', 'ka', 'a@example.com', 'A', 'admin', 'fixed', 12.345, false, '{"phone": "+1", "timezone": "Asia/Tokyo"}', '2024-01-01', '2024-01-02');

-- INSERT with defaults
INSERT INTO iso_agents (clerk_user_id, email, full_name, role, margin_value, is_active) VALUES ('ka', 'a@example.com', 'A', DEFAULT, DEFAULT, DEFAULT) RETURNING email, role, margin_value, is_active, margin_type, metadata;

-- INSERT of nulls
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_type, margin_value, is_active, metadata, created_at, updated_at) VALUES ('ka', 'a@example.com', 'A', NULL, NULL, NULL, NULL, NULL, NULL) RETURNING *;

-- INSERT of several rows
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('ka', 'a@example.com', 'A', 'operator'), ('kb', 'b@example.com', 'B', DEFAULT), ('kc', 'c@example.com', 'C', 'admin') RETURNING email, role;

-- INSERT of many rows
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('k1', 'k1@example.com', 'K' || 1, 1), ('k2', 'k2@example.com', 'K', 2), ('k3', 'k3@example.com', 'K', 3), ('k4', 'k4@example.com', 'K', 4), ('k5', 'k5@example.com', 'K', 5), ('k6', 'k6@example.com', 'K', 6), ('k7', 'k7@example.com', 'K', 7), ('k8', 'k8@example.com', 'K', 8), ('k9', 'k9@example.com', 'K', 9), ('k10', 'k10@example.com', 'K', 10), ('k11', 'k11@example.com', 'K', 11), ('k12', 'k12@example.com', 'K', 12), ('k13', 'k13@example.com', 'K', 13), ('k14', 'k14@example.com', 'K', 14), ('k15', 'k15@example.com', 'K', 15), ('k16', 'k16@example.com', 'K', 16), ('k17', 'k17@example.com', 'K', 17), ('k18', 'k18@example.com', 'K', 18), ('k19', 'k19@example.com', 'K', 19), ('k20', 'k20@example.com', upper('k'), 20), ('k21', 'k21@example.com', upper('k') || 'x', 21.5), ('k22', 'k22@example.com', 'K', 22.005);

-- INSERT of what a query gives
INSERT INTO iso_agents (email, clerk_user_id, full_name) SELECT 's' || n || '@example.com', 'ks' || n, 'S' FROM generate_series(1, 3) AS n;
INSERT INTO iso_agents (email, clerk_user_id, full_name, role) SELECT 'copy.' || email, 'copy.' || clerk_user_id, full_name, role FROM iso_agents WHERE role <> 'iso_agent' RETURNING email, role;
INSERT INTO iso_agents (email, clerk_user_id, full_name, role) TABLE (SELECT 't@example.com', 'kt', 'T', 'admin'::user_role);

-- INSERT of a query without rows
INSERT INTO iso_agents (email, clerk_user_id, full_name) SELECT email, clerk_user_id, full_name FROM iso_agents WHERE false RETURNING email;

-- INSERT behind WITH
WITH v AS (SELECT 'w@example.com'::text AS e) INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT e, e, e FROM v RETURNING email, full_name;
WITH v AS (SELECT max(email) AS e FROM iso_agents WHERE role = 'admin') INSERT INTO iso_agents (clerk_user_id, email, full_name, role) SELECT 'x', 'x.' || e, e, 'operator' FROM v RETURNING email, role;

-- INSERT with parameters
INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, margin_value, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id, role, margin_value, metadata \bind '00000000-0000-4000-8000-0000000000a1' 'kb' 'b@example.com' 'B' 'admin' '12.345' '{"timezone": ""}' \g
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) SELECT $1, $2, $1, $3 RETURNING role \bind 'kc' 'c@example.com' 'operator' \g

-- INSERT returning all
INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'ka', 'a@example.com', 'A') RETURNING *, t.email AS mail, length(t.full_name), (SELECT count(*) FROM iso_agents);

-- INSERT returning its row
INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name, created_at, updated_at) VALUES ('00000000-0000-4000-8000-0000000000a1', 'ka', 'a@example.com', 'A', '2020-01-01', '2020-01-01') RETURNING row_to_json(t)::text, t IS NULL, (t).role;

-- OVERRIDING
INSERT INTO iso_agents (clerk_user_id, email, full_name) OVERRIDING SYSTEM VALUE VALUES ('ka', 'a@example.com', 'A') RETURNING email;
INSERT INTO iso_agents (clerk_user_id, email, full_name) OVERRIDING USER VALUE VALUES ('kb', 'b@example.com', 'B') RETURNING email;

-- INSERT of a part of a column
INSERT INTO iso_agents (clerk_user_id, email, full_name, metadata['phone']) VALUES ('ka', 'a@example.com', 'A', '"+1"') RETURNING metadata;

-- INSERT of values with subqueries
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('ka', 'a@example.com', (SELECT min(email) FROM iso_agents), (SELECT role FROM iso_agents WHERE email = 'fix.1@example.com')) RETURNING full_name, role;

-- INSERT of what changes from call to call
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES (left(gen_random_uuid()::text, 0) || 'r', 'a@example.com', random() < 2) RETURNING email;

-- INSERT beside hidden rows
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('ka', 'customer.9@example.com', 'A');

-- INSERT with reserved words behind a dot and as labels
INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT m.where AS on, 'reserved@example.com' AS conflict, m.where case FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m WHERE m.returning ORDER BY m.end RETURNING email AS returning, full_name AS where;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('r1', 'reserved.1@example.com', (SELECT m.where AS from FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m));

-- INSERT of VALUES that are a query
INSERT INTO iso_agents (clerk_user_id, email, full_name) (VALUES ('r1', 'reserved.1@example.com', 'one'), ('r2', 'reserved.2@example.com', 'two')) RETURNING email;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('r3', 'reserved.3@example.com', 'one'), ('r4', 'reserved.4@example.com', 'two') ORDER BY 2 DESC LIMIT 1 RETURNING email;
INSERT INTO iso_agents (clerk_user_id, email, full_name) WITH w AS (SELECT 'r5' AS k) VALUES ((TABLE w), 'reserved.5@example.com', 'five') RETURNING email;

-- -------------------------------------------------------------------------------------- ON CONFLICT

-- DO NOTHING
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'ignored') ON CONFLICT DO NOTHING;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'ignored'), ('y', 'y@example.com', 'Y') ON CONFLICT DO NOTHING RETURNING email;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('z', 'z@example.com', 'Z'), ('z', 'z2@example.com', 'ignored') ON CONFLICT DO NOTHING RETURNING email;

-- DO NOTHING by the key
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-000000000001', 'x', 'x@example.com', 'ignored') ON CONFLICT (id) DO NOTHING RETURNING id;
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'x', 'x@example.com', 'X') ON CONFLICT (id) DO NOTHING RETURNING id;

-- DO NOTHING by another column
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'ignored') ON CONFLICT (email) DO NOTHING;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X'), ('fix_2', 'x2@example.com', 'ignored') ON CONFLICT (clerk_user_id) DO NOTHING RETURNING email;

-- DO NOTHING by one column, in conflict in another
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('fix_2', 'x@example.com', 'X') ON CONFLICT (email) DO NOTHING;

-- DO NOTHING of what CHECK refuses
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('fix_2', 'no at sign', 'X') ON CONFLICT DO NOTHING;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('fix_2', 'x@example.com', NULL) ON CONFLICT DO NOTHING;

-- DO UPDATE by the key
INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role) VALUES ('00000000-0000-4000-8000-000000000001', 'x', 'x@example.com', 'X', 'admin') ON CONFLICT (id) DO UPDATE SET full_name = excluded.full_name, role = excluded.role RETURNING id, email, full_name, role;

-- DO UPDATE by another column
INSERT INTO iso_agents AS t (clerk_user_id, email, full_name, role) VALUES ('x', 'fix.1@example.com', 'again', 'admin') ON CONFLICT (email) DO UPDATE SET full_name = t.full_name || excluded.full_name, role = excluded.role, margin_value = coalesce(t.margin_value, 0) + 1 RETURNING full_name, role, margin_value;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('fix_1', 'x@example.com', 'again') ON CONFLICT (clerk_user_id) DO UPDATE SET email = excluded.email RETURNING email, full_name;

-- DO UPDATE that inserts
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'x', 'x@example.com', 'X') ON CONFLICT (email) DO UPDATE SET full_name = 'never' RETURNING id, full_name;

-- DO UPDATE of several rows
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) SELECT 'n' || n, 'fix.' || n || '@example.com', 'again ' || n, 'operator' FROM generate_series(8, 11) n ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name, role = excluded.role WHERE iso_agents.role <> 'admin' RETURNING email, full_name, role;

-- DO UPDATE WHERE
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'never') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name WHERE iso_agents.role = 'admin' RETURNING email;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'done') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name WHERE iso_agents.role = 'operator' AND excluded.clerk_user_id = 'x' RETURNING full_name;

-- DO UPDATE by a constraint
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'by name') ON CONFLICT ON CONSTRAINT iso_agents_email_key DO UPDATE SET full_name = excluded.full_name RETURNING full_name;
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-000000000002', 'x', 'x@example.com', 'by key') ON CONFLICT ON CONSTRAINT iso_agents_pkey DO UPDATE SET full_name = excluded.full_name RETURNING full_name, email;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'by name') ON CONFLICT ON CONSTRAINT iso_agents_email_key DO NOTHING RETURNING full_name;

-- DO UPDATE SET several columns
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET (full_name, margin_value) = (excluded.full_name || '!', 7.005), is_active = DEFAULT, metadata = NULL RETURNING full_name, margin_value, is_active, metadata;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET (full_name, margin_value) = ROW ('row', 8) RETURNING full_name, margin_value;

-- DO UPDATE SET from a query
INSERT INTO iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET (full_name, margin_value) = (SELECT c.company_name, 3 FROM client_profiles c ORDER BY c.company_name LIMIT 1) RETURNING full_name, margin_value;
INSERT INTO iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET full_name = (SELECT max(b.email) FROM iso_agents b WHERE b.role = t.role) WHERE EXISTS (SELECT FROM iso_agents b WHERE b.email = excluded.email) RETURNING full_name;

-- DO UPDATE of a part of a column
INSERT INTO iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET metadata['phone'] = to_jsonb(excluded.full_name) RETURNING metadata;

-- DO UPDATE of one row twice
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'one'), ('y', 'fix.1@example.com', 'two') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name;

-- DO UPDATE of a row that the statement inserted
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'one'), ('y', 'x@example.com', 'two') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name;

-- DO UPDATE that meets another unique column
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET clerk_user_id = 'fix_2';
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('fix_3', 'new@example.com', 'X') ON CONFLICT (email) DO UPDATE SET full_name = 'never';

-- DO UPDATE that CHECK refuses
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET margin_value = -1;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET full_name = NULL;
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('x', 'fix.1@example.com', 'X', -5) ON CONFLICT (email) DO UPDATE SET full_name = 'X';

-- DO UPDATE with parameters
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ($1, $2, $3, $4) ON CONFLICT (email) DO UPDATE SET full_name = $5, role = excluded.role RETURNING full_name, role \bind 'x' 'fix.1@example.com' 'X' 'admin' 'five' \g

-- DO UPDATE of the key
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET id = excluded.id RETURNING id, email;

-- ON CONFLICT by an expression
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'FIX.1@example.com', 'lower') ON CONFLICT (lower(email)) DO UPDATE SET full_name = excluded.full_name RETURNING email, full_name;

-- ON CONFLICT by an expression, DO NOTHING
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'FIX.1@example.com', 'lower'), ('y', 'y@example.com', 'Y') ON CONFLICT (lower(email)) DO NOTHING RETURNING email, full_name;

-- ON CONFLICT by some of the rows
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('fix_2', 'x@example.com', 'some') ON CONFLICT (clerk_user_id text_pattern_ops) WHERE role = 'iso_agent' AND is_active DO UPDATE SET full_name = excluded.full_name RETURNING email, full_name;

-- ON CONFLICT by columns with a predicate that they do not need
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'more') ON CONFLICT (email) WHERE is_active DO UPDATE SET full_name = excluded.full_name RETURNING full_name;

-- ON CONFLICT with a collation
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'coll') ON CONFLICT (email COLLATE "default") DO UPDATE SET full_name = excluded.full_name RETURNING full_name;

-- ON CONFLICT by what is not unique
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X') ON CONFLICT (full_name) DO NOTHING;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X') ON CONFLICT (email, full_name) DO NOTHING;

-- ON CONFLICT by an expression that is not unique
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X') ON CONFLICT (upper(email)) DO NOTHING;

-- ON CONFLICT by an unknown column or constraint
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X') ON CONFLICT (nothing) DO NOTHING;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X') ON CONFLICT ON CONSTRAINT nothing DO NOTHING;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X') ON CONFLICT DO UPDATE SET full_name = 'X';

-- a hidden row in the way
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'X') ON CONFLICT (email) DO UPDATE SET email = 'x1@example.com' RETURNING email;

-- DO UPDATE with reserved words behind a dot and as labels
INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT m.where do, m.from AS conflict, m.where set FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m ON CONFLICT (email) DO UPDATE SET full_name = (SELECT m.where AS where FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m), margin_value = CASE WHEN iso_agents.is_active THEN 2 ELSE 3 END WHERE (SELECT m.returning FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m) RETURNING full_name AS returning, margin_value;

-- --------------------------------------------------------------------------------- errors of INSERT

-- a unique value that is taken
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('other', 'fix.1@example.com', 'dup');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('fix_1', 'other@example.com', 'dup');
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-000000000001', 'other', 'other@example.com', 'dup');
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-000000000001', 'fix_2', 'fix.3@example.com', 'dup');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('k1', 'k@example.com', 'K'), ('k2', 'k@example.com', 'K');

-- a CHECK that does not hold
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('bad', 'no at sign', 'bad');
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('neg', 'neg@example.com', 'n', -1);
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('neg', 'no at sign', 'n', -1);

-- a null that may not be
INSERT INTO iso_agents (clerk_user_id, email) VALUES ('nn', 'nn@example.com');
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('nn', 'nn@example.com', 'N', NULL);
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES (NULL, 'nn', 'nn@example.com', 'N');
INSERT INTO iso_agents DEFAULT VALUES;
INSERT INTO iso_agents (email, full_name) VALUES (NULL, NULL);

-- a value that no column of the type holds
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('r', 'r@example.com', 'r', 'nobody');
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('r', 'r@example.com', 'r', 123456789012);
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('r', 'r@example.com', 'r', 'many');
INSERT INTO iso_agents (clerk_user_id, email, full_name, id) VALUES ('r', 'r@example.com', 'r', 'no uuid');
INSERT INTO iso_agents (clerk_user_id, email, full_name, metadata) VALUES ('r', 'r@example.com', 'r', '{');
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('r', 'r@example.com', 'r', 1 / 0);

-- a value of another type
INSERT INTO iso_agents (clerk_user_id, email, full_name, is_active) VALUES ('r', 'r@example.com', 'r', 1);
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) VALUES ('r', 'r@example.com', 'r', now());
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('r', 'r@example.com', 'r', 'adm' || 'in');
INSERT INTO iso_agents (clerk_user_id, email, full_name, is_active) SELECT 'r', 'r@example.com', 'r', 1;

-- too many and too few values
INSERT INTO iso_agents (clerk_user_id, email) VALUES ('too', 'many', 'values');
INSERT INTO iso_agents (clerk_user_id, email) VALUES ('too few');
INSERT INTO iso_agents (clerk_user_id, email) VALUES ('a', 'b'), ('c');
INSERT INTO iso_agents (clerk_user_id, email) SELECT 'a';
INSERT INTO iso_agents (clerk_user_id, email) SELECT 'a', 'b', 'c' || 'd';

-- a column that is not there, or twice
INSERT INTO iso_agents (clerk_user_id, nothing) VALUES ('a', 'b');
INSERT INTO iso_agents (email, email) VALUES ('a', 'b');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', nothing);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'A') RETURNING nothing;
INSERT INTO iso_agents (timezone) VALUES ('UTC');

-- ------------------------------------------------------------------------------------------- UPDATE

-- UPDATE by the key
UPDATE iso_agents SET full_name = 'renamed' WHERE id = '00000000-0000-4000-8000-000000000001';
UPDATE iso_agents SET full_name = $1, margin_value = margin_value + 1.005 WHERE id = $2 \bind 'renamed' '00000000-0000-4000-8000-000000000001' \g

-- UPDATE of what is not there
UPDATE iso_agents SET full_name = 'renamed' WHERE id = '00000000-0000-4000-8000-00000000ffff' RETURNING email;
UPDATE iso_agents SET full_name = 'renamed' WHERE false;

-- UPDATE of every row
UPDATE iso_agents SET margin_value = 1, is_active = true;

-- UPDATE by the mapped column
UPDATE iso_agents SET full_name = 'x' || full_name WHERE role = 'operator' RETURNING email, full_name, role;
UPDATE iso_agents SET role = 'operator' WHERE role = 'admin' RETURNING email, role;
UPDATE iso_agents SET role = 'iso_agent' WHERE role IN ('operator') AND email LIKE 'fix%' RETURNING email, role;

-- UPDATE of the mapped column by an expression
UPDATE iso_agents SET role = CASE WHEN role = 'admin' THEN 'operator' ELSE role END::user_role WHERE email LIKE 'fix%' RETURNING email, role;
UPDATE iso_agents SET role = $1 WHERE email = $2 RETURNING role \bind 'admin' 'fix.1@example.com' \g
UPDATE iso_agents a SET role = (SELECT b.role FROM iso_agents b WHERE b.email = 'fix.3@example.com') WHERE a.email = 'fix.1@example.com' RETURNING role;

-- UPDATE to defaults and nulls
UPDATE iso_agents SET role = DEFAULT, margin_value = DEFAULT, is_active = DEFAULT, margin_type = DEFAULT, metadata = DEFAULT WHERE email = 'fix.3@example.com' RETURNING role, margin_value, is_active, margin_type, metadata;
UPDATE iso_agents SET margin_value = NULL, is_active = NULL, margin_type = NULL, metadata = NULL, created_at = NULL WHERE email = 'fix.3@example.com' RETURNING role, margin_value, is_active, margin_type, metadata, created_at;

-- UPDATE that changes nothing
UPDATE iso_agents SET full_name = full_name WHERE email LIKE 'fix%';

-- UPDATE of several columns
UPDATE iso_agents SET (full_name, margin_value) = ('multi', 3.555) WHERE email = 'fix.1@example.com' RETURNING full_name, margin_value;
UPDATE iso_agents SET (full_name, margin_value) = ROW (email, 4), (is_active, metadata) = (DEFAULT, '{"a": 1}') WHERE email = 'fix.1@example.com' RETURNING full_name, margin_value, is_active, metadata;

-- UPDATE of columns that swap
UPDATE iso_agents SET full_name = email, email = 'x' || email WHERE email = 'fix.1@example.com' RETURNING full_name, email;

-- UPDATE from a query
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT c.company_name, 3.5 FROM client_profiles c WHERE c.iso_agent_id = a.id) WHERE a.email IN ('agent.1@example.com', 'agent.11@example.com') RETURNING full_name, margin_value;
UPDATE iso_agents SET (metadata, margin_value) = (SELECT metadata, margin_value FROM iso_agents b WHERE b.email = 'nobody') WHERE email = 'agent.3@example.com' RETURNING metadata, margin_value;
UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a', 1 UNION ALL SELECT 'b', 2) WHERE email = 'agent.2@example.com';
UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a') WHERE email = 'agent.2@example.com';

-- UPDATE of a part of a column
UPDATE iso_agents SET metadata['phone'] = '"+49"' WHERE email = 'fix.1@example.com' RETURNING metadata;
UPDATE iso_agents SET metadata['a']['b'] = to_jsonb(full_name), metadata['c'] = '1' WHERE email = 'fix.1@example.com' RETURNING metadata;

-- UPDATE with an alias and ONLY
UPDATE ONLY iso_agents AS a SET full_name = a.full_name || '!' WHERE a.email = 'fix.1@example.com' RETURNING a.full_name;
UPDATE iso_agents a SET full_name = 'a' WHERE iso_agents.email = 'fix.1@example.com';

-- UPDATE by subqueries
UPDATE iso_agents SET full_name = upper(full_name) WHERE id IN (SELECT iso_agent_id FROM client_profiles) RETURNING full_name;
UPDATE iso_agents SET full_name = 'most' WHERE margin_value = (SELECT max(margin_value) FROM iso_agents) RETURNING email;
UPDATE iso_agents a SET full_name = 'some' WHERE EXISTS (SELECT FROM iso_agents b WHERE b.role = 'admin' AND b.email > a.email) AND a.email LIKE 'fix%' RETURNING email;

-- UPDATE FROM
UPDATE iso_agents SET full_name = c.company_name FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id RETURNING iso_agents.email, c.company_name, full_name;
UPDATE iso_agents a SET full_name = v.n FROM (VALUES ('fix.1@example.com', 'one'), ('fix.2@example.com', 'two')) v (e, n) WHERE a.email = v.e RETURNING a.*, v.n;
UPDATE iso_agents a SET full_name = b.email FROM iso_agents b WHERE b.email = 'fix.2@example.com' AND a.email = 'fix.1@example.com' RETURNING a.full_name, b.email, b.role;
UPDATE iso_agents a SET full_name = 'j' FROM client_profiles c JOIN requests r ON r.client_profile_id = c.id WHERE c.iso_agent_id = a.id AND a.role = 'operator' RETURNING a.email, r.passengers;
UPDATE iso_agents a SET margin_value = x.n FROM (SELECT iso_agent_id, count(*) AS n FROM client_profiles GROUP BY 1) x WHERE x.iso_agent_id = a.id;

-- UPDATE FROM of a row joined twice
UPDATE iso_agents a SET full_name = 'twice' FROM generate_series(1, 3) g WHERE a.email = 'fix.1@example.com' RETURNING a.email, a.full_name;

-- UPDATE FROM a function
UPDATE iso_agents a SET full_name = g.n FROM generate_series(5, 5) AS g (n) WHERE a.email = 'fix.1@example.com' RETURNING a.full_name, n, g.n + 1;

-- UPDATE FROM LATERAL
UPDATE iso_agents a SET full_name = x.company_name FROM client_profiles c, LATERAL (SELECT c.company_name || '!' AS company_name) x WHERE c.iso_agent_id = a.id AND a.email = 'agent.1@example.com' RETURNING full_name, x.company_name;

-- UPDATE FROM with an outer join
UPDATE iso_agents SET full_name = v.x FROM (VALUES ('v', 2)) AS v (x, y) LEFT JOIN client_profiles p ON p.contact_name = v.x WHERE iso_agents.email = 'fix.1@example.com' RETURNING iso_agents.role, v.*, p.notes;

-- UPDATE FROM with USING
UPDATE iso_agents SET full_name = 'u' FROM client_profiles JOIN (VALUES ('Company 1', 5)) v (company_name, n) USING (company_name) WHERE client_profiles.iso_agent_id = iso_agents.id RETURNING iso_agents.email, company_name, n;

-- UPDATE FROM with USING and all columns
UPDATE iso_agents SET full_name = 'u' FROM client_profiles JOIN (VALUES ('Company 1', 5)) v (company_name, n) USING (company_name) WHERE client_profiles.iso_agent_id = iso_agents.id RETURNING *;
UPDATE iso_agents SET full_name = 'v' FROM (VALUES (1, 'a'), (2, 'b')) v (n, x) NATURAL LEFT JOIN (VALUES (2, 'c')) w (n, y) WHERE email = 'fix.' || n || '@example.com' RETURNING *, x, w.n, v.*;
UPDATE iso_agents SET full_name = 'w' FROM (VALUES (1, 'a')) v (n, x) FULL JOIN (VALUES (2, 'c')) w (n, y) USING (n) WHERE email = 'fix.' || n || '@example.com' RETURNING *, (SELECT n || coalesce(x, y)), n;

-- UPDATE FROM a function of single values
UPDATE iso_agents SET full_name = 'x' || g FROM generate_series(1, 1) AS g WHERE email = 'fix.' || g || '@example.com' RETURNING (SELECT g + 1), g, email;
UPDATE iso_agents SET full_name = 'y' || g FROM generate_series(1, 1) AS g WHERE email = 'fix.' || g || '@example.com' RETURNING g.*, email;

-- UPDATE returning the whole row
UPDATE iso_agents a SET full_name = 'w' WHERE email = 'fix.1@example.com' RETURNING (a).full_name, a IS NULL, to_jsonb(a) ->> 'full_name', to_jsonb(a) - 'updated_at' - 'created_at';

-- UPDATE returning subqueries
UPDATE iso_agents a SET full_name = 's' WHERE email LIKE 'fix.1%' RETURNING (SELECT count(*) FROM iso_agents), (SELECT full_name FROM iso_agents b WHERE b.id = a.id), (SELECT max(company_name) FROM client_profiles);

-- UPDATE behind WITH
WITH v AS (SELECT 'fix.1@example.com'::text AS e) UPDATE iso_agents SET full_name = v.e FROM v WHERE iso_agents.email = v.e RETURNING full_name;
WITH v AS (SELECT id FROM iso_agents WHERE role = 'admin') UPDATE iso_agents SET full_name = 'adm' WHERE id IN (SELECT id FROM v) RETURNING email;

-- UPDATE with volatile functions
UPDATE iso_agents SET full_name = 'r' WHERE random() < 2 AND email LIKE 'fix%';
UPDATE iso_agents SET margin_value = random() * 0 + 5 WHERE email = 'fix.1@example.com' RETURNING margin_value;

-- UPDATE of the key
UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000aa' WHERE email = 'fix.1@example.com' RETURNING id, email;
UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000ab', full_name = 'moved', role = 'admin' WHERE id = '00000000-0000-4000-8000-0000000000aa' RETURNING id, full_name, role;
UPDATE iso_agents SET id = '00000000-0000-4000-8000-000000000002' WHERE id = '00000000-0000-4000-8000-0000000000ab';
UPDATE iso_agents SET id = NULL WHERE id = '00000000-0000-4000-8000-0000000000ab';

-- UPDATE of several keys
UPDATE iso_agents SET id = md5(email)::uuid, full_name = 'm' WHERE email LIKE 'fix%' RETURNING email;
UPDATE iso_agents a SET id = md5('of ' || v.n)::uuid FROM (VALUES ('fix.1@example.com', 1), ('fix.2@example.com', 2)) v (e, n) WHERE a.email = v.e RETURNING v.n;

-- UPDATE of the key to itself
UPDATE iso_agents SET id = id, full_name = 'same' WHERE email = 'fix.1@example.com' RETURNING id;

-- UPDATE of keys in a circle
UPDATE iso_agents a SET id = CASE a.email WHEN 'fix.1@example.com' THEN '00000000-0000-4000-8000-000000000002' ELSE '00000000-0000-4000-8000-000000000001' END::uuid WHERE a.email IN ('fix.1@example.com', 'fix.2@example.com');

-- UPDATE of unique values in a circle
UPDATE iso_agents a SET email = CASE a.email WHEN 'fix.1@example.com' THEN 'fix.2@example.com' ELSE 'fix.1@example.com' END WHERE a.email IN ('fix.1@example.com', 'fix.2@example.com');

-- UPDATE that gives a unique value on
UPDATE iso_agents SET email = 'free@example.com' WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET email = 'fix.1@example.com' WHERE email = 'fix.2@example.com' RETURNING email;

-- UPDATE with reserved words behind a dot and as labels
UPDATE iso_agents SET full_name = m.where FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m WHERE iso_agents.email = m.from AND m.returning RETURNING m.where AS where, full_name, m.end end;
UPDATE iso_agents AS set SET full_name = CASE WHEN m.returning THEN m.where ELSE 'none' END, margin_value = m.end FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m JOIN (SELECT 1 AS "on") n ON n.on = m.end WHERE set.email = m.from;
UPDATE iso_agents SET (full_name, margin_value) = (SELECT m.where AS from, m.end FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m WHERE m.returning) WHERE email = 'fix.1@example.com' RETURNING full_name AS set, margin_value;

-- --------------------------------------------------------------------------------- errors of UPDATE

-- UPDATE to a unique value that is taken
UPDATE iso_agents SET email = 'fix.2@example.com' WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET clerk_user_id = 'fix_2' WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET email = 'one@example.com' WHERE email LIKE 'fix%';

-- UPDATE that a CHECK refuses
UPDATE iso_agents SET margin_value = -1 WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET email = 'no at sign' WHERE email = 'fix.1@example.com';

-- UPDATE to a null that may not be
UPDATE iso_agents SET full_name = NULL WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET role = NULL WHERE email = 'fix.1@example.com';

-- UPDATE to a value of no such type
UPDATE iso_agents SET role = 'nobody' WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET role = 'adm' || 'in' WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET is_active = 1 WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET margin_value = 123456789012 WHERE email = 'fix.1@example.com';
UPDATE iso_agents SET margin_value = 1 / 0;
UPDATE iso_agents SET margin_value = 'x';
UPDATE iso_agents SET (full_name, margin_value) = ('a', 'b', 'c');

-- UPDATE of an unknown column
UPDATE iso_agents SET nothing = 1;
UPDATE iso_agents SET full_name = nothing;
UPDATE iso_agents SET full_name = 'x' WHERE nothing;
UPDATE iso_agents SET full_name = 'x' RETURNING nothing;
UPDATE iso_agents SET full_name = 'x', full_name = 'y';
UPDATE iso_agents a SET a.full_name = 'x';
UPDATE iso_agents SET timezone = 'UTC';

-- UPDATE with an aggregate
UPDATE iso_agents SET margin_value = max(margin_value);
UPDATE iso_agents SET full_name = 'x' WHERE count(*) > 1;

-- UPDATE returning an ambiguous name
UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING email;

-- ------------------------------------------------------------------------------------------- DELETE

-- DELETE by the key
DELETE FROM iso_agents WHERE id = '00000000-0000-4000-8000-000000000001';
DELETE FROM iso_agents WHERE id = $1 RETURNING id, email, role, full_name \bind '00000000-0000-4000-8000-000000000002' \g
DELETE FROM iso_agents WHERE id = $1 RETURNING id \bind '00000000-0000-4000-8000-000000000002' \g

-- DELETE of every row
DELETE FROM iso_agents;
SELECT count(*) FROM iso_agents;

-- DELETE by the mapped column
DELETE FROM iso_agents WHERE role = 'operator' RETURNING email, role;
DELETE FROM public.iso_agents AS a WHERE a.role = 'admin' AND a.is_active RETURNING a.*;

-- DELETE by subqueries
DELETE FROM iso_agents WHERE id IN (SELECT iso_agent_id FROM client_profiles) RETURNING email;
DELETE FROM iso_agents WHERE email = (SELECT max(email) FROM iso_agents) RETURNING email;
DELETE FROM iso_agents a WHERE NOT EXISTS (SELECT FROM iso_agents b WHERE b.email > a.email);

-- DELETE USING
DELETE FROM iso_agents a USING client_profiles c WHERE c.iso_agent_id = a.id AND c.company_name = 'Company 1' RETURNING a.email, c.company_name;
DELETE FROM iso_agents USING (VALUES ('fix.1@example.com', 1), ('fix.2@example.com', 2)) AS v (e, n) WHERE email = v.e RETURNING *;
DELETE FROM iso_agents a USING iso_agents b WHERE b.email = 'fix.3@example.com' AND a.role = b.role AND a.email LIKE 'fix%' RETURNING a.email, b.email;
DELETE FROM iso_agents USING (VALUES ('fix.1@example.com', 1)) AS v (e, n) LEFT JOIN (VALUES (2, 'x')) AS w (n, m) USING (n) WHERE email = e RETURNING *;

-- DELETE USING of a row joined twice
DELETE FROM iso_agents a USING generate_series(1, 3) g WHERE a.email = 'fix.1@example.com' RETURNING a.email;

-- DELETE behind WITH
WITH v AS (SELECT email FROM iso_agents WHERE role = 'admin') DELETE FROM iso_agents USING v WHERE iso_agents.email = v.email RETURNING iso_agents.full_name;

-- DELETE returning the whole row
DELETE FROM iso_agents a WHERE email = 'fix.1@example.com' RETURNING (a).email, row_to_json(a) ->> 'role', a IS NULL;

-- DELETE returning subqueries
DELETE FROM iso_agents a WHERE email = 'fix.1@example.com' RETURNING (SELECT count(*) FROM iso_agents), (SELECT max(b.email) FROM iso_agents b WHERE b.role = a.role);

-- errors of DELETE
DELETE FROM iso_agents WHERE nothing = 1;
DELETE FROM iso_agents WHERE email = 1;
DELETE FROM iso_agents WHERE 1 / 0 = 1;
DELETE FROM iso_agents RETURNING nothing;
DELETE FROM iso_agents USING iso_agents WHERE true;

-- a row that is deleted and inserted again
DELETE FROM iso_agents WHERE id = '00000000-0000-4000-8000-000000000001';
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-000000000001', 'fix_1', 'fix.1@example.com', 'again') RETURNING id, role, full_name;

-- DELETE with reserved words behind a dot and as labels
DELETE FROM iso_agents AS a USING (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m WHERE a.email = m.from AND m.returning IS DISTINCT FROM false RETURNING a.email AS from, m.where case, CASE WHEN m.returning THEN m.end END AS when;

-- -------------------------------------------------------------------------------------- MERGE (17)

-- MERGE that updates (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com', 'one')) v (e, n) ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = v.n;

-- MERGE that inserts and updates (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com', 'one', 'k1'), ('new@example.com', 'two', 'k2')) v (e, n, k) ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = v.n, role = 'admin' WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, role) VALUES (v.k, v.e, v.n, 'operator');

-- MERGE that deletes (17)
MERGE INTO iso_agents a USING client_profiles c ON c.iso_agent_id = a.id WHEN MATCHED AND a.role = 'operator' THEN DELETE WHEN MATCHED THEN DO NOTHING;

-- MERGE returning (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com', 'one', 'k1'), ('new@example.com', 'two', 'k2'), ('fix.3@example.com', 'three', 'k3')) v (e, n, k) ON a.email = v.e WHEN MATCHED AND a.role = 'admin' THEN DELETE WHEN MATCHED THEN UPDATE SET full_name = v.n WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES (v.k, v.e, v.n) RETURNING merge_action(), a.email, a.full_name, a.role, v.n;

-- MERGE of rows that the source lacks (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com')) v (e) ON a.email = v.e WHEN NOT MATCHED BY SOURCE AND a.email LIKE 'fix%' THEN UPDATE SET full_name = 'lacking' WHEN MATCHED THEN UPDATE SET full_name = 'there' RETURNING merge_action(), a.email, a.full_name;

-- MERGE that inserts defaults (17)
MERGE INTO iso_agents a USING (VALUES ('n@example.com')) v (e) ON a.email = v.e WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, role, is_active) VALUES (v.e, v.e, v.e, DEFAULT, DEFAULT) RETURNING a.role, a.is_active;

-- MERGE of a row twice (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com', 1), ('fix.1@example.com', 2)) v (e, n) ON a.email = v.e WHEN MATCHED THEN UPDATE SET margin_value = v.n;

-- MERGE in WITH (17)
WITH m AS (MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com')) v (e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = 'w' RETURNING a.email, a.full_name) SELECT * FROM m;

-- MERGE behind WITH (17)
WITH v AS (SELECT email AS e FROM iso_agents WHERE role = 'admin') MERGE INTO iso_agents a USING v ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = 'adm' RETURNING a.email;

-- MERGE with a part of a column (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com')) v (e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET metadata['k'] = '1' RETURNING a.metadata;

-- MERGE from a query over itself (17)
MERGE INTO iso_agents a USING (SELECT id, email FROM iso_agents WHERE role = 'operator') b ON a.id = b.id WHEN MATCHED THEN UPDATE SET full_name = 'x' || b.email RETURNING a.email, a.full_name;

-- MERGE of the key (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com')) v (e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET id = '00000000-0000-4000-8000-0000000000aa' RETURNING a.id;

-- MERGE from a join by USING, all columns (17)
MERGE INTO iso_agents a USING ((VALUES ('fix.1@example.com', 1), ('new@example.com', 2)) v (e, n) LEFT JOIN (VALUES (1, 'x')) w (n, m) USING (n)) ON a.email = e WHEN MATCHED THEN UPDATE SET full_name = m WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES (e, e, n) RETURNING n, m, a.email, a.full_name;
MERGE INTO iso_agents a USING ((VALUES ('fix.1@example.com', 1)) v (e, n) JOIN (VALUES (1, 'x')) w (n, m) USING (n)) ON a.email = e WHEN MATCHED THEN UPDATE SET full_name = m RETURNING *;

-- MERGE from a function (17)
MERGE INTO iso_agents a USING generate_series(1, 2) g ON a.email = 'fix.' || g || '@example.com' WHEN MATCHED THEN UPDATE SET full_name = 'g';

-- MERGE from a function, returning (17)
MERGE INTO iso_agents a USING generate_series(1, 2) g ON a.email = 'fix.' || g || '@example.com' WHEN MATCHED THEN UPDATE SET full_name = 'g' || g RETURNING g, a.full_name;

-- errors of MERGE (17)
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com')) v (e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET margin_value = -1;
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com')) v (e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET email = 'fix.2@example.com';
MERGE INTO iso_agents a USING (VALUES ('fix.1@example.com')) v (e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET nothing = 1;
MERGE INTO iso_agents a USING (VALUES ('n@example.com')) v (e) ON a.email = v.e WHEN NOT MATCHED THEN INSERT (clerk_user_id, email) VALUES (v.e, v.e);

-- MERGE into a neighbour
MERGE INTO client_profiles c USING iso_agents a ON c.iso_agent_id = a.id AND a.role = 'operator' WHEN MATCHED THEN UPDATE SET notes = a.email;
SELECT company_name, notes FROM client_profiles WHERE notes IS NOT NULL ORDER BY 1;

-- MERGE with reserved words behind a dot and as labels (17)
MERGE INTO iso_agents AS matched USING (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m JOIN (SELECT 1 AS "on") n ON n.on = m.end ON matched.email = m.from AND m.returning WHEN MATCHED AND CASE WHEN m.end = 1 THEN m.returning END THEN UPDATE SET full_name = m.where, margin_value = CASE m.end WHEN 1 THEN m.end END WHEN NOT MATCHED AND m.returning THEN INSERT (clerk_user_id, email, full_name) VALUES (m.where, m.from, m.where) RETURNING m.where AS returning, matched.full_name;

-- --------------------------------------------------------------------------------------------- COPY

-- COPY TO
COPY iso_agents (email, role, margin_value) TO STDOUT;
COPY iso_agents (email, role) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (email));
COPY (SELECT email, role FROM iso_agents WHERE role <> 'iso_agent' ORDER BY email) TO STDOUT WITH (DELIMITER '|', NULL 'nil');

-- COPY TO of a write
COPY (UPDATE iso_agents SET full_name = 'copied' WHERE email = 'fix.1@example.com' RETURNING email, full_name) TO STDOUT;

-- COPY FROM
COPY iso_agents (clerk_user_id, email, full_name, role) FROM STDIN	cp1	cp1@example.com	C 1	admin
cp2	cp2@example.com	C 2	iso_agent
;
SELECT email, role, is_active, metadata FROM iso_agents WHERE email LIKE 'cp%' ORDER BY 1;

-- COPY FROM csv
COPY iso_agents (email, clerk_user_id, full_name, margin_value) FROM STDIN (FORMAT csv, HEADER, NULL 'nil')	email,clerk_user_id,full_name,margin_value
cp3@example.com,cp3,"C, 3",nil
cp4@example.com,cp4,"C ""4""",4.005
;
SELECT email, full_name, margin_value FROM iso_agents WHERE email LIKE 'cp%' ORDER BY 1;

-- COPY FROM of every column
COPY iso_agents FROM STDIN	00000000-0000-4000-8000-0000000000c1	cp5	cp5@example.com	C 5	operator	fixed	1.5	t	{"phone": "+1"}	2024-01-01	2024-01-01
;
SELECT id, email, role, margin_type, margin_value, metadata FROM iso_agents WHERE email LIKE 'cp%';

-- COPY FROM with a condition
COPY iso_agents (clerk_user_id, email, full_name, role) FROM STDIN WHERE role = 'admin'	cp1	cp1@example.com	C 1	admin
cp2	cp2@example.com	C 2	iso_agent
;
SELECT email FROM iso_agents WHERE email LIKE 'cp%' ORDER BY 1;

-- errors of COPY FROM
COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN	cp1	fix.1@example.com	C 1
;
COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN	cp1	no at sign	C 1
;
COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN	cp1	cp1@example.com	\N
;
COPY iso_agents (clerk_user_id, email, full_name, role) FROM STDIN	cp1	cp1@example.com	C 1	nobody
;
COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN	only one column
;
COPY iso_agents (nothing) FROM STDIN	x
;

-- COPY FROM FREEZE
COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN (FREEZE)	cp1	cp1@example.com	C 1
;

-- ----------------------------------------------------------------------------- TRUNCATE and LOCK TABLE

-- TRUNCATE
TRUNCATE iso_agents;
SELECT count(*) FROM iso_agents;

-- TRUNCATE of several
TRUNCATE TABLE client_profiles, ONLY iso_agents, requests RESTART IDENTITY CASCADE;
SELECT (SELECT count(*) FROM iso_agents), (SELECT count(*) FROM client_profiles);

-- TRUNCATE that is rolled back
BEGIN;
TRUNCATE iso_agents;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'A');
SELECT count(*) FROM iso_agents;
ROLLBACK;
SELECT count(*) FROM iso_agents;

-- LOCK TABLE
BEGIN;
LOCK TABLE iso_agents IN SHARE ROW EXCLUSIVE MODE;
LOCK iso_agents, client_profiles IN ACCESS SHARE MODE NOWAIT;
COMMIT;
LOCK TABLE iso_agents;

-- ----------------------------------------------------------------------------------- writes in WITH

-- an INSERT in WITH
WITH w AS (INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('a', 'a@example.com', 'A', 'admin'), ('b', 'b@example.com', 'B', DEFAULT) RETURNING email, role) SELECT * FROM w ORDER BY email;

-- an UPDATE in WITH
WITH w AS (UPDATE iso_agents SET full_name = 'w' WHERE role = 'operator' RETURNING email, full_name, role) SELECT w.*, count(*) OVER () FROM w ORDER BY email;

-- a DELETE in WITH
WITH w AS (DELETE FROM iso_agents WHERE email LIKE 'fix%' RETURNING *) SELECT email, role FROM w ORDER BY email;
SELECT count(*) FROM iso_agents;

-- an upsert in WITH
WITH w AS (INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.1@example.com', 'w') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name RETURNING email, full_name, role) SELECT * FROM w;

-- a write in WITH that nobody reads
WITH w AS (DELETE FROM iso_agents WHERE email = 'fix.1@example.com') SELECT 1 AS one;
WITH w AS (UPDATE iso_agents SET full_name = 'unread' WHERE email = 'fix.2@example.com' RETURNING email) SELECT 1 AS one;
SELECT email, full_name FROM iso_agents WHERE email LIKE 'fix%' ORDER BY 1;

-- a write in WITH, and a read of the table beside it
WITH w AS (UPDATE iso_agents SET full_name = 'w' WHERE email = 'fix.1@example.com' RETURNING full_name) SELECT w.full_name, a.full_name FROM w, iso_agents a WHERE a.email = 'fix.1@example.com';
WITH w AS (DELETE FROM iso_agents WHERE role = 'admin' RETURNING 1) SELECT count(*), (SELECT count(*) FROM iso_agents) FROM w;

-- two writes of the table in one statement
WITH a AS (UPDATE iso_agents SET full_name = 'one' WHERE email = 'fix.1@example.com' RETURNING email), b AS (DELETE FROM iso_agents WHERE email = 'fix.2@example.com' RETURNING email) INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT 'n', 'n.' || a.email, b.email FROM a, b RETURNING email, full_name;

-- rows moved by a DELETE in WITH
WITH gone AS (DELETE FROM iso_agents WHERE email = 'fix.1@example.com' RETURNING *) INSERT INTO client_profiles (iso_agent_id, company_name, contact_name, email) SELECT id, full_name, role::text, email FROM gone RETURNING company_name, contact_name, email;

-- a write of a neighbour fed by a write
WITH w AS (INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'a', 'a@example.com', 'A') RETURNING id, full_name) UPDATE client_profiles c SET iso_agent_id = w.id, notes = w.full_name FROM w WHERE c.company_name = 'Company 1' RETURNING c.iso_agent_id, c.notes;

-- writes in WITH as PostgREST sends them
WITH pgrst_source AS (UPDATE "public"."iso_agents" SET "is_active" = "pgrst_body"."is_active" FROM (SELECT $1::json AS json_data) pgrst_payload, LATERAL (SELECT "is_active" FROM json_to_record(pgrst_payload.json_data) AS _ ("is_active" boolean)) pgrst_body WHERE "public"."iso_agents"."clerk_user_id" = $2 RETURNING "public"."iso_agents"."role", "public"."iso_agents"."is_active") SELECT json_agg(pgrst_source)::text FROM pgrst_source \bind '{"is_active": false}' 'fix_1' \g

-- a write in WITH with reserved words behind a dot and as labels
WITH x AS (UPDATE iso_agents SET full_name = m.where FROM (SELECT 'fix.1@example.com' AS "from", 'Reserved' AS "where", true AS "returning", 1 AS "end") m WHERE iso_agents.email = m.from RETURNING m.where AS from, email AS where) SELECT x.from, x.where FROM x;

-- ----------------------------------------------------------------------- writes of others that read it

-- INSERT of its rows elsewhere
INSERT INTO client_profiles (iso_agent_id, company_name, contact_name, email) SELECT id, full_name, role, email FROM iso_agents WHERE email LIKE 'fix%' RETURNING company_name, contact_name;

-- UPDATE elsewhere from it
UPDATE client_profiles c SET notes = a.role FROM iso_agents a WHERE a.id = c.iso_agent_id RETURNING c.company_name, a.role, notes;

-- DELETE elsewhere by it
DELETE FROM requests r USING iso_agents a WHERE a.id = r.iso_agent_id AND a.role = 'operator' RETURNING r.passengers, a.email;
DELETE FROM client_profiles WHERE iso_agent_id IN (SELECT id FROM iso_agents WHERE role = 'operator') RETURNING company_name;

-- ----------------------------------------------------------------------------------------- row locks

-- FOR UPDATE
SELECT email FROM iso_agents WHERE email = 'fix.1@example.com' FOR UPDATE;
SELECT email, role FROM iso_agents WHERE role = 'operator' ORDER BY email FOR UPDATE;
SELECT email FROM iso_agents ORDER BY email LIMIT 1 FOR UPDATE;

-- FOR NO KEY UPDATE, FOR SHARE and FOR KEY SHARE
SELECT email FROM iso_agents WHERE email = 'fix.1@example.com' FOR NO KEY UPDATE;
SELECT email FROM iso_agents WHERE email = 'fix.1@example.com' FOR SHARE;
SELECT email FROM iso_agents WHERE email = 'fix.1@example.com' FOR KEY SHARE;

-- NOWAIT and SKIP LOCKED
SELECT email FROM iso_agents WHERE role = 'admin' ORDER BY email FOR UPDATE NOWAIT;
SELECT email FROM iso_agents WHERE role = 'admin' ORDER BY email LIMIT 2 FOR UPDATE SKIP LOCKED;

-- a lock of one of the tables
SELECT a.email, c.company_name FROM iso_agents a JOIN client_profiles c ON c.iso_agent_id = a.id WHERE a.role = 'operator' ORDER BY 2 FOR UPDATE OF a;
SELECT a.email, c.company_name FROM iso_agents a JOIN client_profiles c ON c.iso_agent_id = a.id WHERE a.role = 'operator' ORDER BY 2 FOR SHARE OF c;
SELECT a.email, c.company_name FROM iso_agents a JOIN client_profiles c ON c.iso_agent_id = a.id WHERE a.role = 'operator' ORDER BY 2 FOR UPDATE;
SELECT a.email, c.company_name FROM client_profiles c LEFT JOIN iso_agents a ON c.iso_agent_id = a.id ORDER BY 2 FOR UPDATE OF c;

-- a lock within a query
WITH x AS (SELECT id, email FROM iso_agents WHERE role = 'admin' ORDER BY email LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE iso_agents SET full_name = 'taken' FROM x WHERE x.id = iso_agents.id RETURNING x.email, full_name;
SELECT email FROM (SELECT email FROM iso_agents WHERE role = 'admin' FOR UPDATE) q ORDER BY 1;

-- a lock by a function
SELECT email FROM iso_agents WHERE length(email) = 17 AND random() < 2 ORDER BY email FOR UPDATE;

-- a lock with columns renamed
SELECT a FROM iso_agents AS u (a, b, c) WHERE c = 'fix.1@example.com' FOR UPDATE;

-- locks that PostgreSQL refuses
SELECT role, count(*) FROM iso_agents GROUP BY role FOR UPDATE;
SELECT DISTINCT role FROM iso_agents FOR UPDATE;
SELECT email FROM iso_agents UNION SELECT email FROM iso_agents FOR UPDATE;
SELECT email FROM iso_agents a FOR UPDATE OF iso_agents;
SELECT a.email FROM client_profiles c LEFT JOIN iso_agents a ON a.id = c.iso_agent_id FOR UPDATE OF a;
SELECT row_number() OVER () FROM iso_agents FOR UPDATE;

-- FOR UPDATE in a read-only transaction
BEGIN READ ONLY;
SELECT email FROM iso_agents WHERE email = 'fix.1@example.com' FOR UPDATE;
ROLLBACK;

-- a row that is locked and then written
BEGIN;
SELECT full_name FROM iso_agents WHERE email = 'fix.1@example.com' FOR UPDATE;
UPDATE iso_agents SET full_name = 'locked' WHERE email = 'fix.1@example.com' RETURNING full_name;
COMMIT;

-- ------------------------------------------------------------------------------------------- cursors

-- a cursor
BEGIN;
DECLARE c CURSOR FOR SELECT email, role FROM iso_agents WHERE role <> 'iso_agent' ORDER BY email;
FETCH 2 FROM c;
MOVE 1 IN c;
FETCH NEXT FROM c;
FETCH ALL FROM c;
CLOSE c;
COMMIT;

-- a cursor that scrolls
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT email FROM iso_agents WHERE role = 'admin' ORDER BY email;
FETCH LAST FROM c;
FETCH PRIOR FROM c;
FETCH ABSOLUTE 1 FROM c;
COMMIT;

-- a cursor that is held
DECLARE held CURSOR WITH HOLD FOR SELECT email FROM iso_agents WHERE role = 'admin' ORDER BY email;
FETCH 2 FROM held;
CLOSE held;

-- a cursor and a write between its rows
BEGIN;
DECLARE c INSENSITIVE CURSOR FOR SELECT email, full_name FROM iso_agents WHERE email LIKE 'fix%' ORDER BY email;
FETCH 1 FROM c;
UPDATE iso_agents SET full_name = 'later' WHERE email LIKE 'fix%';
FETCH 1 FROM c;
ROLLBACK;

-- WHERE CURRENT OF in an UPDATE
BEGIN;
DECLARE c CURSOR FOR SELECT email FROM iso_agents WHERE email = 'fix.1@example.com' FOR UPDATE;
FETCH c;
UPDATE iso_agents SET full_name = 'current' WHERE CURRENT OF c RETURNING email, full_name;
COMMIT;

-- WHERE CURRENT OF in a DELETE
BEGIN;
DECLARE c CURSOR FOR SELECT email FROM iso_agents WHERE email = 'fix.1@example.com';
FETCH c;
DELETE FROM iso_agents WHERE CURRENT OF c;
COMMIT;

-- WHERE CURRENT OF with the key
BEGIN;
DECLARE c CURSOR FOR SELECT email FROM iso_agents WHERE email = 'fix.1@example.com';
FETCH c;
UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000c1' WHERE CURRENT OF c RETURNING id;
COMMIT;

-- WHERE CURRENT OF no cursor
UPDATE iso_agents SET full_name = 'x' WHERE CURRENT OF nothing;

-- ------------------------------------------------------------------------------------------- EXPLAIN

-- EXPLAIN
EXPLAIN SELECT * FROM iso_agents;
EXPLAIN (COSTS off, FORMAT json) SELECT email FROM iso_agents WHERE role = 'admin';
EXPLAIN UPDATE iso_agents SET full_name = 'x';
EXPLAIN INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'A') ON CONFLICT DO NOTHING;
EXPLAIN DELETE FROM iso_agents WHERE email = 'fix.1@example.com';
SELECT count(*) FROM iso_agents;

-- EXPLAIN ANALYZE of writes
BEGIN;
EXPLAIN (ANALYZE, COSTS off, TIMING off) UPDATE iso_agents SET full_name = 'x' WHERE email = 'fix.1@example.com';
SELECT full_name FROM iso_agents WHERE email = 'fix.1@example.com';
EXPLAIN ANALYZE DELETE FROM iso_agents WHERE email = 'fix.1@example.com';
SELECT count(*) FROM iso_agents;
ROLLBACK;

-- EXPLAIN of what fails
EXPLAIN SELECT nothing FROM iso_agents;
EXPLAIN UPDATE iso_agents SET nothing = 1;

-- ------------------------------------------------------------------------------------------- PREPARE

-- PREPARE of a read
PREPARE p AS SELECT email, role FROM iso_agents WHERE role = $1 ORDER BY email LIMIT 2;
EXECUTE p ('admin');
EXECUTE p ('operator');
EXECUTE p ('nobody');
DEALLOCATE p;
EXECUTE p ('admin');

-- PREPARE of writes
PREPARE i (text, text) AS INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ($1, $2, $1) RETURNING email, role;
EXECUTE i ('a', 'a@example.com');
EXECUTE i ('b', 'b@example.com');
EXECUTE i ('b', 'b@example.com');
DEALLOCATE i;

-- PREPARE of an UPDATE and a DELETE
PREPARE u AS UPDATE iso_agents SET full_name = $1 WHERE email = $2 RETURNING full_name;
EXECUTE u ('u', 'fix.1@example.com');
EXPLAIN EXECUTE u ('u', 'fix.1@example.com');
PREPARE d (uuid) AS DELETE FROM iso_agents WHERE id = $1;
EXECUTE d ('00000000-0000-4000-8000-000000000002');
EXECUTE d ('00000000-0000-4000-8000-000000000002');
DEALLOCATE ALL;

-- CREATE TABLE AS EXECUTE
PREPARE q AS SELECT email FROM iso_agents WHERE role = 'admin';
CREATE TEMP TABLE made3 AS EXECUTE q;
SELECT * FROM made3 ORDER BY email;
DROP TABLE made3;
DEALLOCATE q;

-- PREPARE of what fails
PREPARE bad AS SELECT nothing FROM iso_agents;
PREPARE bad AS UPDATE iso_agents SET nothing = $1;

-- a parameter that WHERE gives its type
PREPARE typed AS UPDATE iso_agents SET full_name = $1 WHERE id = $1 RETURNING full_name;
EXECUTE typed ('00000000-0000-4000-8000-000000000001');
DEALLOCATE typed;

-- -------------------------------------------------------------------------------------- transactions

-- a transaction that commits
BEGIN;
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'a', 'a@example.com', 'A');
UPDATE iso_agents SET full_name = 'AA' WHERE email = 'a@example.com' RETURNING full_name;
SELECT email, full_name FROM iso_agents WHERE id = '00000000-0000-4000-8000-0000000000a1';
COMMIT;

-- a transaction that rolls back
BEGIN;
DELETE FROM iso_agents;
SELECT count(*) FROM iso_agents;
ROLLBACK;
SELECT count(*) FROM iso_agents;

-- savepoints
BEGIN;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'A');
SAVEPOINT s;
UPDATE iso_agents SET full_name = 'gone' WHERE email = 'a@example.com';
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('b', 'a@example.com', 'B');
ROLLBACK TO s;
SELECT full_name FROM iso_agents WHERE email = 'a@example.com';
RELEASE s;
COMMIT;

-- a failed transaction
BEGIN;
UPDATE iso_agents SET full_name = 'x' WHERE email = 'fix.1@example.com';
SELECT nothing FROM iso_agents;
SELECT email FROM iso_agents;
COMMIT;
SELECT full_name FROM iso_agents WHERE email = 'fix.1@example.com';

-- REPEATABLE READ
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM iso_agents;
UPDATE iso_agents SET full_name = 'rr' WHERE email = 'fix.1@example.com' RETURNING full_name;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'A') RETURNING email;
DELETE FROM iso_agents WHERE email = 'fix.2@example.com';
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'fix.3@example.com', 'X') ON CONFLICT (email) DO UPDATE SET full_name = 'up' RETURNING full_name;
COMMIT;

-- SERIALIZABLE
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM iso_agents WHERE role = 'admin';
UPDATE iso_agents SET role = 'admin' WHERE email = 'fix.1@example.com' RETURNING role;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'A') ON CONFLICT (clerk_user_id) DO NOTHING RETURNING email;
COMMIT;

-- a write in a read-only transaction
BEGIN READ ONLY;
UPDATE iso_agents SET full_name = 'ro';
ROLLBACK;
BEGIN READ ONLY;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@example.com', 'A');
ROLLBACK;
BEGIN READ ONLY;
DELETE FROM iso_agents WHERE false;
ROLLBACK;

-- several statements in one message
UPDATE iso_agents SET full_name = 'one' WHERE email = 'fix.1@example.com'; SELECT full_name FROM iso_agents WHERE email = 'fix.1@example.com'; DELETE FROM iso_agents WHERE email = 'fix.2@example.com';

-- several statements of which one fails
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('m', 'm@example.com', 'm'); SELECT 1 / 0;
SELECT count(*) FROM iso_agents WHERE email = 'm@example.com';

-- several statements with a transaction in them
BEGIN; INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('m', 'm@example.com', 'm'); ROLLBACK; INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('n', 'n@example.com', 'n');
SELECT email FROM iso_agents WHERE email < 'a' OR email IN ('m@example.com', 'n@example.com');

-- a row written many times in a transaction
BEGIN;
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'a', 'a@example.com', '1');
UPDATE iso_agents SET full_name = '2' WHERE clerk_user_id = 'a';
DELETE FROM iso_agents WHERE clerk_user_id = 'a';
INSERT INTO iso_agents (id, clerk_user_id, email, full_name) VALUES ('00000000-0000-4000-8000-0000000000a1', 'a', 'a@example.com', '3');
UPDATE iso_agents SET id = '00000000-0000-4000-8000-0000000000a2', full_name = full_name || '4' WHERE clerk_user_id = 'a' RETURNING id, full_name;
COMMIT;

-- ------------------------------------------------------------------------------------ settings and rest

-- a path that is set
BEGIN;
SET LOCAL search_path TO pg_catalog, public;
SELECT count(*) FROM iso_agents;
UPDATE iso_agents SET full_name = 'path' WHERE email = 'fix.1@example.com' RETURNING full_name;
COMMIT;

-- a temporary table of the same name
CREATE TEMP TABLE iso_agents AS SELECT 'temporary' AS email;
SELECT email FROM iso_agents;
SELECT count(*) FROM public.iso_agents;
DROP TABLE pg_temp.iso_agents;
SELECT count(*) FROM iso_agents;

-- GET DIAGNOSTICS by the tag
UPDATE iso_agents SET is_active = true WHERE email LIKE 'fix%';
DELETE FROM iso_agents WHERE email LIKE 'fix%';

-- old and new in RETURNING (18)
UPDATE iso_agents SET full_name = 'x' WHERE email = 'fix.1@example.com' RETURNING old.full_name, new.full_name;
