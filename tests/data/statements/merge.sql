-- What a loader does: some rows are there, some are not.
MERGE INTO iso_agents AS a USING (VALUES ('agent.1@example.com', 'One', 10.005), ('m1@example.com', 'M1', 2)) AS v(e, n, m) ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = v.n, margin_value = margin_value + m WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, margin_value) VALUES ('k' || e, e, n, m) RETURNING merge_action(), a.email, v.*, margin_value, upper(n) || a.role;
MERGE INTO public.iso_agents USING (SELECT 'm2@example.com' AS email, 'M2' AS full_name) AS s ON iso_agents.email = s.email WHEN NOT MATCHED THEN INSERT (email, full_name, clerk_user_id, role) VALUES (email, full_name, 'k' || email, 'operator') RETURNING *;
MERGE INTO iso_agents a USING (VALUES ('m1@example.com'), ('m2@example.com'), ('nobody@example.com')) AS v(e) ON a.email = v.e WHEN MATCHED AND a.role = 'operator' THEN DELETE WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND v.e LIKE 'm%' THEN INSERT VALUES (DEFAULT, v.e, v.e, v.e) WHEN NOT MATCHED THEN DO NOTHING RETURNING merge_action() AS what, a.email, a.role, e;

-- All kinds of clauses, and the column of the other side for each row.
MERGE INTO iso_agents a USING (VALUES ('m1@example.com', 'x'), ('m3@example.com', 'y')) AS v(e, n) ON a.email = v.e AND a.email LIKE 'm%' WHEN MATCHED AND CASE WHEN a.margin_value > 1 THEN true ELSE false END THEN UPDATE SET (full_name, role) = (CASE v.n WHEN 'x' THEN 'ex' ELSE 'other' END, 'admin') WHEN NOT MATCHED BY TARGET THEN INSERT (clerk_user_id, email, full_name, role, metadata) VALUES (v.n, v.e, v.n, DEFAULT, NULL) WHEN NOT MATCHED BY SOURCE AND a.email = 'agent.3@example.com' THEN UPDATE SET margin_value = DEFAULT, full_name = full_name || '!' WHEN NOT MATCHED BY SOURCE AND a.email = 'agent.4@example.com' THEN DELETE RETURNING merge_action(), v.n, a.full_name, a.role, a.margin_value;
MERGE INTO iso_agents USING public.client_profiles ON public.client_profiles.iso_agent_id = public.iso_agents.id AND client_profiles.company_name = 'Company 1' WHEN MATCHED THEN UPDATE SET full_name = public.client_profiles.company_name RETURNING public.iso_agents.full_name, public.client_profiles.contact_name, merge_action();

-- Sources of every shape.
MERGE INTO iso_agents a USING client_profiles c JOIN requests r ON r.client_profile_id = c.id ON a.id = c.iso_agent_id AND c.company_name IN ('Company 1', 'Company 11') WHEN MATCHED THEN UPDATE SET margin_value = r.passengers RETURNING a.email, c.company_name, r.passengers, margin_value;
MERGE INTO iso_agents a USING iso_agents b ON a.email = b.email AND b.email = 'agent.2@example.com' WHEN MATCHED THEN UPDATE SET full_name = b.full_name || b.role RETURNING a.full_name, b.full_name;
WITH w AS (SELECT email AS e FROM iso_agents WHERE role = 'admin' AND email LIKE 'm%') MERGE INTO iso_agents a USING w ON a.email = w.e WHEN MATCHED THEN UPDATE SET role = 'iso_agent' RETURNING a.email, a.role;
MERGE INTO iso_agents a USING (SELECT * FROM generate_series(1, 3) AS g(n)) AS s ON a.email = 's' || n || '@example.com' WHEN NOT MATCHED AND n = 2 THEN INSERT (clerk_user_id, email, full_name) VALUES ('s' || n, 's' || n || '@example.com', 'second') WHEN NOT MATCHED THEN INSERT (full_name, email, clerk_user_id, is_active) VALUES ('other', 's' || n || '@example.com', 's' || n, n > 1) RETURNING n, email, full_name, is_active;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON EXISTS (SELECT FROM client_profiles WHERE iso_agent_id = a.id AND email = 'contact.1@example.com') WHEN MATCHED AND (SELECT count(*) FROM client_profiles WHERE iso_agent_id = a.id) = 1 THEN UPDATE SET full_name = (SELECT company_name FROM client_profiles WHERE iso_agent_id = a.id) || n RETURNING a.full_name, (SELECT max(company_name) FROM client_profiles WHERE iso_agent_id = a.id);

-- Values that a query gives, over both sides or the target alone.
MERGE INTO iso_agents a USING (VALUES ('agent.7@example.com', 'seven'), ('agent.8@example.com', 'eight'), ('q1@example.com', 'q')) AS v(e, n) ON a.email = v.e WHEN MATCHED AND v.n = 'seven' THEN UPDATE SET margin_value = 5, (full_name, role) = (SELECT v.n || b.email || a.full_name, b.role FROM iso_agents b WHERE b.role = 'admin' ORDER BY b.email LIMIT 1), is_active = false WHEN MATCHED THEN UPDATE SET (metadata, full_name) = (SELECT NULL::jsonb, v.n), (role) = (SELECT 'operator'::user_role WHERE v.n = 'eight') WHEN NOT MATCHED BY TARGET THEN INSERT (clerk_user_id, email, full_name) VALUES (v.n, v.e, (SELECT max(notes) FROM client_profiles) || v.n) WHEN NOT MATCHED BY SOURCE AND a.email = 'agent.9@example.com' THEN UPDATE SET (full_name, margin_value) = (SELECT string_agg(c.company_name, ',') || a.email, count(*) FROM client_profiles c WHERE c.iso_agent_id = a.id), (is_active, metadata) = (SELECT b.is_active, b.metadata FROM iso_agents b WHERE b.email = 'nobody') RETURNING merge_action(), a.email, a.full_name, a.role, a.margin_value, a.is_active, a.metadata, (SELECT max(n || x.email) FROM iso_agents x WHERE x.id = a.id);
MERGE INTO iso_agents a USING public.client_profiles ON public.client_profiles.iso_agent_id = a.id AND client_profiles.company_name = 'Company 1' WHEN MATCHED THEN UPDATE SET (full_name, margin_value) = (SELECT public.client_profiles.company_name, 1) RETURNING a.full_name, (SELECT string_agg(s.x, ',') FROM (SELECT * FROM (VALUES ('a'), ('b')) AS w(x)) AS s) AS all;
DELETE FROM iso_agents WHERE email = 'q1@example.com';

-- Functions as the source.
MERGE INTO iso_agents a USING unnest($1::text[], $2::numeric[]) WITH ORDINALITY AS v(mail, n) ON a.email = v.mail WHEN MATCHED THEN UPDATE SET margin_value = v.n, (full_name) = (SELECT mail || v.n) WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES ('u' || mail, mail, 'U') RETURNING * \bind '{agent.10@example.com,u1@example.com}' '{4,5}' \g
MERGE INTO iso_agents USING LATERAL jsonb_to_recordset('[{"e": "u1@example.com", "n": 7}]') AS (e text, n int) ON email = e WHEN MATCHED THEN UPDATE SET margin_value = n RETURNING merge_action(), margin_value, n, jsonb_to_recordset.e;
MERGE INTO iso_agents a USING (VALUES ('u1@example.com')) AS v(e) CROSS JOIN pg_catalog.generate_series(1, 1) ON a.email = v.e WHEN MATCHED THEN DELETE RETURNING v.e, generate_series.*;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.8@example.com' WHEN MATCHED THEN UPDATE SET (full_name, margin_value) = (SELECT email, 1 FROM iso_agents);
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.8@example.com' WHEN MATCHED THEN UPDATE SET (full_name, margin_value) = (SELECT 'é', 'é');
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.8@example.com' WHEN MATCHED THEN UPDATE SET (role, full_name) = (SELECT 'é', 'é');
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON true WHEN MATCHED THEN DO NOTHING;
MERGE INTO ONLY iso_agents AS a USING (SELECT 1 AS n WHERE false) AS v ON a.full_name = n::text WHEN NOT MATCHED BY SOURCE AND a.email = 's3@example.com' THEN DELETE RETURNING v.n, a.email, merge_action();

-- Defaults, and what is said of generated keys.
MERGE INTO iso_agents a USING (SELECT $1::uuid AS id, $2::text AS e) AS s ON a.id = s.id WHEN MATCHED THEN UPDATE SET role = $3, margin_value = $4 WHEN NOT MATCHED THEN INSERT (id, clerk_user_id, email, full_name, role, margin_value) OVERRIDING SYSTEM VALUE VALUES (s.id, s.e, s.e, 'P', $3, $4) RETURNING merge_action(), id, a.id, role, margin_value \bind '00000000-0000-4000-8000-00000000000a' 'p@example.com' 'admin' '7.129' \g
MERGE INTO iso_agents a USING (SELECT $1::uuid AS id) AS s ON a.id = s.id WHEN MATCHED THEN UPDATE SET role = $2, metadata = $3 RETURNING a.id, role, metadata \bind '00000000-0000-4000-8000-00000000000a' 'operator' '{"phone": "+1"}' \g

-- Within other statements.
WITH m AS (MERGE INTO iso_agents a USING (VALUES ('s1@example.com')) AS v(e) ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = 'in with' RETURNING merge_action() AS act, a.full_name, v.e) SELECT act, full_name, e FROM m;
WITH m AS (MERGE INTO iso_agents a USING (VALUES ('s1@example.com')) AS v(e) ON a.email = v.e WHEN MATCHED THEN DELETE) SELECT 1 AS one;
PREPARE merging (text) AS MERGE INTO iso_agents a USING (SELECT $1 AS e) AS v ON a.email = v.e WHEN MATCHED THEN UPDATE SET full_name = v.e; EXECUTE merging ('s2@example.com'); EXECUTE merging ('nobody'); DEALLOCATE merging;
BEGIN;
MERGE INTO iso_agents a USING (VALUES ('s2@example.com')) AS v(e) ON a.email = v.e WHEN MATCHED THEN DELETE RETURNING email;
ROLLBACK;

-- A row that goes makes room for one that comes.
MERGE INTO iso_agents a USING (VALUES (1, 's2@example.com')) AS v(n, e) ON a.email = v.e WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE AND email = 'm1@example.com' THEN UPDATE SET email = 'm1.new@example.com';

-- Errors: nothing is written on either side.
MERGE INTO iso_agents a USING (VALUES ('m3@example.com', 1), ('m3@example.com', 2)) AS v(e, n) ON a.email = v.e WHEN MATCHED THEN UPDATE SET margin_value = n;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'nobody' WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES ('dup', 'agent.5@example.com', 'dup');
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET margin_value = -1;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET full_name = NULL;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET role = 'nobody';
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET role = lower('ADMIN');
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET nothing = 1;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.nothing = n WHEN MATCHED THEN DELETE;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON true WHEN MATCHED THEN DO NOTHING WHEN MATCHED AND n = 1 THEN DELETE;
MERGE INTO iso_agents a USING client_profiles c ON email = c.email WHEN MATCHED THEN DELETE;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT (clerk_user_id, email) VALUES ('a', 'b', 'c');
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT (clerk_user_id, email) VALUES ('a');
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES;
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON a.email = 'agent.5@example.com' WHEN MATCHED THEN UPDATE SET margin_value = n / (a.margin_value - a.margin_value);
MERGE INTO iso_agents a USING (VALUES (1)) AS v(n) ON true WHEN MATCHED THEN DELETE RETURNING nothing;
SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email;
