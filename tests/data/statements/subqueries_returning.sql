UPDATE iso_agents a SET margin_value = 8 FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email < 'agent.13@example.com' RETURNING a.email, (SELECT count(*) FROM requests r WHERE r.client_profile_id = c.id) AS n, (SELECT max(b.email || notes) FROM iso_agents b WHERE b.role = a.role AND company_name IS NOT NULL), c.company_name, margin_value;
UPDATE public.iso_agents SET full_name = 'é' FROM public.client_profiles c, (VALUES ('agent.1@example.com', 1), ('agent.2@example.com', 2)) AS v(mail, n) WHERE c.iso_agent_id = public.iso_agents.id AND public.iso_agents.email = v.mail RETURNING *, (SELECT string_agg(x.email, ',') FROM (SELECT * FROM iso_agents WHERE email = v.mail) AS x), EXISTS (SELECT FROM public.client_profiles p WHERE p.id = c.id AND p.company_name = c.company_name);
UPDATE iso_agents SET full_name = 'qualified' FROM public.client_profiles WHERE public.client_profiles.iso_agent_id = iso_agents.id AND iso_agents.email = 'agent.1@example.com' RETURNING public.iso_agents.full_name, (SELECT public.client_profiles.company_name || public.iso_agents.email), client_profiles.notes IN (SELECT notes FROM client_profiles);
DELETE FROM iso_agents a USING (VALUES ('s3@example.com', 1), ('nobody', 2)) AS v(mail, n) WHERE a.email = v.mail RETURNING v.*, (SELECT role FROM iso_agents b WHERE b.email = mail), (SELECT a.role);
UPDATE iso_agents a SET margin_value = $1 FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = $2 RETURNING (SELECT $3 || a.email || c.company_name) AS told, ARRAY(SELECT b.email FROM iso_agents b WHERE b.email < $2 ORDER BY 1 LIMIT 2) \bind '2.5' 'agent.2@example.com' 'x' \g
WITH w AS (UPDATE iso_agents a SET full_name = 'w' FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = 'agent.1@example.com' RETURNING a.email, (SELECT c.company_name) AS company), one AS (SELECT 'one'::text AS t) SELECT email, company, t FROM w, one;
WITH one AS (SELECT 'one'::text AS t) UPDATE iso_agents a SET full_name = t FROM one WHERE a.email = 'agent.1@example.com' RETURNING a.full_name, (SELECT max(one.t || x.t) FROM one AS x);

-- Functions that are joined.
UPDATE iso_agents a SET margin_value = v.n FROM unnest($1::text[], $2::numeric[]) AS v(mail, n) WHERE a.email = v.mail RETURNING * \bind '{agent.10@example.com,agent.11@example.com}' '{4,5}' \g
UPDATE iso_agents SET (full_name, margin_value) = (SELECT r.e || max(c.company_name), r.n FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id) FROM jsonb_to_recordset((SELECT '[{"e": "agent.1@example.com", "n": 7}]'::jsonb FROM iso_agents LIMIT 1)) AS r(e text, n int) WHERE email = r.e RETURNING email, r.*, (SELECT n + 1), margin_value;
DELETE FROM iso_agents USING generate_series(1, 2) WITH ORDINALITY AS g (n, o), LATERAL upper('S' || g.n) AS u(p) WHERE email = lower(p) || '@example.com' RETURNING *, g.*, u.*, (SELECT o);
UPDATE iso_agents a SET margin_value = g FROM generate_series(4, 4) AS g WHERE a.email = 'agent.1@example.com' RETURNING a.email, g;
UPDATE iso_agents a SET margin_value = j.n FROM (client_profiles c JOIN (VALUES ('Company 1', 12)) AS v(company_name, n) USING (company_name)) AS j WHERE j.iso_agent_id = a.id RETURNING a.email, j.company_name, j.n, (SELECT j.contact_name);

-- Whole rows inside of expressions.
UPDATE iso_agents a SET margin_value = 9 FROM client_profiles c WHERE c.iso_agent_id = a.id AND a.email = 'agent.1@example.com' RETURNING to_jsonb(a) ->> 'role', row_to_json(a) ->> 'margin_value', row_to_json(c) ->> 'company_name', (SELECT to_jsonb(c) ->> 'company_name');
UPDATE iso_agents SET margin_value = 9 WHERE email = 'agent.1@example.com' RETURNING to_jsonb(iso_agents) - 'updated_at' - 'created_at', (SELECT row_to_json(iso_agents) ->> 'email');
UPDATE iso_agents a SET margin_value = g FROM generate_series(4, 4) AS g WHERE a.email = 'agent.1@example.com' RETURNING g, g.g, g + 1 AS more, margin_value;

-- Errors.
UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING (SELECT email);
UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING (SELECT c.nothing);
UPDATE iso_agents a SET full_name = 'amb' FROM client_profiles c WHERE c.iso_agent_id = a.id RETURNING a.email, (SELECT company_name FROM client_profiles);
SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email;
