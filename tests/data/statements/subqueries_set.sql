UPDATE iso_agents a SET (full_name, role, margin_value) = (SELECT c.company_name || b.email || a.full_name, b.role, c.id::text::uuid IS NOT NULL AND b.margin_value > 0 IS NOT NULL OR true) FROM client_profiles c, iso_agents b WHERE c.iso_agent_id = a.id AND b.email = 'agent.50@example.com' AND a.email = 'agent.1@example.com';
UPDATE iso_agents a SET (full_name, role) = (SELECT c.company_name || b.email || a.full_name, b.role), is_active = a.email > 'b', (margin_value, metadata) = (SELECT count(*), jsonb_agg(x.email ORDER BY x.email) FROM iso_agents x WHERE x.role = b.role) FROM public.client_profiles c, iso_agents b WHERE c.iso_agent_id = a.id AND b.email = 'agent.50@example.com' AND a.email = 'agent.1@example.com' RETURNING a.full_name, a.role, b.role, a.margin_value, a.metadata, c.company_name;
UPDATE iso_agents SET (full_name, margin_value) = (SELECT public.client_profiles.company_name, 7) FROM public.client_profiles WHERE client_profiles.iso_agent_id = iso_agents.id AND iso_agents.email = 'agent.2@example.com';

-- Items that are no rows.
UPDATE iso_agents SET (full_name, margin_value, role) = (SELECT g.n || email, n, 'admin'::user_role) FROM generate_series(5, 5) AS g(n) WHERE email = 'agent.2@example.com' RETURNING full_name, margin_value, n, role;
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT j.n || j.m, e.e) FROM (SELECT n, m FROM (VALUES (1, 'x')) AS v(k, n) JOIN (VALUES (1, 'y')) AS w(k, m) USING (k)) AS j, length('four') AS e WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents SET (full_name, margin_value) = (SELECT 'a', x FROM generate_series(1, n) AS x) FROM generate_series(2, 2) AS g(n) WHERE email = 'agent.2@example.com';

-- Rows of the client's own.
UPDATE iso_agents a SET (full_name, margin_value) = ROW(v.*) FROM (VALUES ('row', 3)) AS v WHERE a.email = 'agent.2@example.com' RETURNING full_name, margin_value;
UPDATE iso_agents a SET (role, margin_value) = (v.*) FROM (VALUES ('admin'::user_role, 3)) AS v WHERE a.email = 'agent.2@example.com' RETURNING role, margin_value;
UPDATE iso_agents a SET (full_name, margin_value) = ROW(1, 2, 3) WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT * FROM (VALUES ('a', 1, 2)) AS v) WHERE a.email = 'agent.2@example.com';

-- Columns that two tables share, of joins of every kind: of one and the other, and of what was not found.
UPDATE iso_agents a SET (full_name, role, margin_value) = (SELECT k || j.x || coalesce(p.v, 'none') || p.k, 'admin'::user_role, count(*) FROM client_profiles c WHERE c.id IS NOT NULL GROUP BY 1) FROM (VALUES ('agent.2@example.com', 'x2'), ('agent.3@example.com', 'x3')) AS j(k, x) LEFT JOIN (VALUES ('agent.2@example.com', 'v2')) AS p(k, v) USING (k) WHERE a.email = k RETURNING a.email, k, full_name, role, margin_value > 0;
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT coalesce(j.x, 'no j') || coalesce(p.v, 'no p') || k, 3) FROM (VALUES ('agent.2@example.com', 'x2'), ('agent.3@example.com', 'x3')) AS j(k, x) FULL JOIN (VALUES ('agent.2@example.com', 'v2'), ('agent.4@example.com', 'v4')) AS p(k, v) USING (k) WHERE a.email = k RETURNING k, full_name, (SELECT j IS NULL), (SELECT coalesce(p.v, 'none'));
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT concat(x, v, n, k), n) FROM (VALUES ('agent.2@example.com', 'x2')) AS j(k, x) NATURAL RIGHT JOIN (VALUES ('agent.2@example.com', 'v2'), ('agent.4@example.com', 'v4')) AS p(k, v) LEFT JOIN generate_series(2, 3) AS g(n) ON g.n = length(x) WHERE a.email = k RETURNING k, x, n, full_name;
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT c.company_name || d.contact_name || b.email || both_of.id::text, 4) FROM iso_agents b, client_profiles c JOIN client_profiles d USING (id) AS both_of WHERE c.iso_agent_id = a.id AND b.id = a.id AND a.email = 'agent.1@example.com' RETURNING full_name, (SELECT count(*) FROM requests r WHERE r.client_profile_id = both_of.id AND c.company_name = d.company_name);
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT b.email, 4) FROM client_profiles c JOIN iso_agents b USING (is_active) WHERE b.email = 'agent.4@example.com' AND c.iso_agent_id = a.id AND a.email = 'agent.1@example.com' RETURNING full_name, (SELECT is_active);

-- Columns with other names.
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT c.company_name || c.email || c.iso_agent_id, 5) FROM client_profiles AS c(email, id, iso_agent_id) WHERE c.id = a.id AND a.email = 'agent.1@example.com' RETURNING full_name, (SELECT c.iso_agent_id);

-- Items that are no rows.
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT n || coalesce(m, 'none') || r.m, r.n) FROM LATERAL ROWS FROM (generate_series(5, 6), unnest(ARRAY['p'])) AS r(n, m) WHERE a.email = 'agent.' || n || '@example.com' RETURNING full_name, (SELECT r.n + 1);
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT n || 'x', ordinality) FROM ROWS FROM (pg_catalog.generate_series(5, 5)) WITH ORDINALITY AS q(n) WHERE a.email = 'agent.5@example.com' RETURNING full_name, (SELECT q.ordinality);

-- As many values as columns, where they are mapped as well and nobody has counted them before.
UPDATE iso_agents a SET (full_name, role) = (SELECT * FROM (VALUES ('a', 'admin'::user_role)) AS v) WHERE a.email = 'agent.2@example.com' RETURNING full_name, role;
UPDATE iso_agents a SET (full_name, role) = (SELECT * FROM (VALUES ('a', 'admin'::user_role, 2)) AS v) WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents a SET margin_value = 1, (role, full_name) = (SELECT v.* FROM (VALUES ('admin'::user_role)) AS v ORDER BY 1 LIMIT 1 FOR UPDATE) WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents a SET (role, full_name) = ROW(v.*) FROM (VALUES ('admin'::user_role, 'b', 3)) AS v WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents a SET (role, full_name) = (SELECT 'admin'::user_role, 'x' UNION SELECT 'operator', 'y' LIMIT 1) WHERE a.email = 'agent.2@example.com' RETURNING full_name IN ('x', 'y');
UPDATE iso_agents a SET (role, full_name) = (SELECT 'admin'::user_role, 'x', 1 UNION SELECT 'operator', 'y', 2 LIMIT 1) WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents a SET (role, full_name) = (SELECT 'admin'::user_role, 'x', 1 UNION SELECT 'operator', 'y' LIMIT 1) WHERE a.email = 'agent.2@example.com';
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, role) = (SELECT * FROM (VALUES ('a', 'admin'::user_role, 2)) AS v);
UPDATE iso_agents a SET (full_name, margin_value) = (SELECT 'a', 'é'::text) WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents a SET (full_name, role) = (SELECT 'é', 'admin') WHERE a.email = 'agent.2@example.com';
UPDATE iso_agents a SET (id, full_name) = (SELECT a.id, 'same key') WHERE a.email = 'agent.2@example.com' RETURNING full_name;
WITH u AS (UPDATE iso_agents a SET (full_name, role) = (SELECT c.company_name || a.email, 'operator'::user_role) FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = 'agent.4@example.com' RETURNING a.full_name, a.role) SELECT * FROM u;
SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email;
