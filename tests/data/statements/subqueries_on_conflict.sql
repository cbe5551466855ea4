INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('q1', 'q1@example.com', 'Q', 'operator'), ('x', 'agent.1@example.com', 'taken', 'admin') ON CONFLICT (email) DO UPDATE SET full_name = (SELECT max(company_name) FROM client_profiles c WHERE c.iso_agent_id = iso_agents.id) || excluded.full_name, role = (SELECT b.role FROM iso_agents b WHERE b.email = 'agent.50@example.com'), margin_value = (SELECT count(*) FROM iso_agents) RETURNING email, full_name, role, margin_value;

-- Names of the query hide those of the rows in conflict; both of these are told apart by name only.
INSERT INTO public.iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'agent.2@example.com', 'two') ON CONFLICT (email) DO UPDATE SET full_name = (SELECT string_agg(email || t.email || excluded.full_name, ',' ORDER BY email) FROM iso_agents WHERE iso_agents.email < 'agent.101@example.com' AND role = t.role), is_active = EXISTS (SELECT FROM iso_agents excluded WHERE excluded.role = 'admin' AND t.role = 'iso_agent') WHERE t.id IN (SELECT iso_agent_id FROM client_profiles) AND excluded.role = 'iso_agent' RETURNING t.full_name, is_active;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.2@example.com', 'never') ON CONFLICT (email) DO UPDATE SET full_name = 'never' WHERE NOT EXISTS (SELECT FROM iso_agents a WHERE a.id = public.iso_agents.id) RETURNING email;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', $1, $2) ON CONFLICT (email) DO UPDATE SET full_name = coalesce((SELECT max(notes) FROM client_profiles WHERE iso_agent_id = iso_agents.id AND company_name = $3), $2), role = CASE WHEN EXISTS (SELECT) THEN $4::user_role ELSE excluded.role END RETURNING full_name, role \bind 'agent.3@example.com' 'three' 'nothing' 'admin' \g

-- Several columns at once: rows, and queries with one row or none.
INSERT INTO iso_agents (clerk_user_id, email, full_name, role) VALUES ('x', 'agent.4@example.com', 'four', 'operator') ON CONFLICT (email) DO UPDATE SET (full_name, role) = ROW(excluded.full_name || '!', excluded.role), (margin_value, is_active) = (SELECT iso_agents.margin_value + 1, excluded.is_active) RETURNING full_name, role, margin_value, is_active;
INSERT INTO iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'agent.4@example.com', 'four'), ('x', 'agent.5@example.com', 'five') ON CONFLICT (email) DO UPDATE SET metadata = NULL, (role, full_name) = (SELECT b.role, b.email || excluded.full_name || t.full_name FROM iso_agents b WHERE b.role = 'admin' ORDER BY b.email DESC LIMIT 1), margin_value = 3 WHERE t.margin_value IS NOT NULL RETURNING email, role, full_name, margin_value;
INSERT INTO iso_agents AS t (clerk_user_id, email, full_name) VALUES ('x', 'agent.4@example.com', 'four') ON CONFLICT (email) DO UPDATE SET (metadata, margin_value) = (SELECT b.metadata, b.margin_value FROM iso_agents b WHERE b.email = 'nobody') RETURNING metadata, margin_value;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.4@example.com', 'four') ON CONFLICT (email) DO UPDATE SET (role) = (SELECT 'operator'::user_role) RETURNING role;
WITH w AS (SELECT 'from with'::text AS n) INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT 'x', 'agent.6@example.com', 'six' FROM w ON CONFLICT (email) DO UPDATE SET full_name = (SELECT n FROM w) RETURNING full_name;
WITH i AS (INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.7@example.com', 'seven') ON CONFLICT (email) DO UPDATE SET (full_name, is_active) = (SELECT max(b.email), false FROM iso_agents b WHERE b.role = iso_agents.role) RETURNING full_name, is_active) SELECT * FROM i;

-- Whole rows are as they were.
INSERT INTO iso_agents AS t (id, clerk_user_id, email, full_name, created_at, updated_at) VALUES ('00000000-0000-4000-8000-00000000000a', 'x', 'agent.8@example.com', 'eight', '2024-01-01', '2024-01-01') ON CONFLICT (email) DO UPDATE SET metadata = to_jsonb(excluded), full_name = (SELECT r.full_name || r.role FROM (SELECT t.*) AS r) RETURNING metadata, full_name;

-- What is an error stays one, at the same place.
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = full_name || '!';
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name WHERE email = 'x';
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = excluded.nothing;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = other.full_name;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET nothing = (SELECT 1);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = (SELECT nothing FROM client_profiles);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = (SELECT email FROM iso_agents);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, role) = (SELECT email, role FROM iso_agents);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, margin_value) = (SELECT email FROM iso_agents);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, margin_value) = (SELECT * FROM (VALUES ('a', 1, 2)) AS v);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = 'é', margin_value = (SELECT 'é'::text);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = 'é', role = (SELECT 'admin');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET role = lower('ADMIN');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET role = excluded.full_name;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET (full_name, role) = (SELECT 'a', 'admin');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET full_name = NULLIF((SELECT excluded.full_name), 'eight');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (email) DO UPDATE SET margin_value = 1 / (SELECT 0);
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'agent.8@example.com', 'eight') ON CONFLICT (nothing) DO UPDATE SET margin_value = 1;
SELECT email, role, full_name, margin_value, metadata, is_active FROM iso_agents ORDER BY email;
