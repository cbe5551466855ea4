-- The old version's statements on its own table. In every phase each must be answered as the
-- bare server answers it on the legacy table.
\set VERBOSITY sqlstate
\pset null '(null)'
SELECT * FROM iso_agents \gdesc
SELECT a.*, a.margin_value * 2 AS twice, role::text FROM public.iso_agents AS a \gdesc
SELECT id, email AS e, metadata->'x' FROM "iso_agents" \gdesc

SELECT count(*) FROM iso_agents;
SELECT role, count(*), sum(margin_value) FROM iso_agents GROUP BY role ORDER BY role::text;
SELECT * FROM iso_agents WHERE clerk_user_id IN ('user_97', 'user_101', 'user_109') ORDER BY email;
SELECT clerk_user_id FROM iso_agents WHERE role = 'operator' ORDER BY email LIMIT 3 OFFSET 2;
SELECT count(*) FROM iso_agents WHERE role <> 'iso_agent';
SELECT count(*) FROM iso_agents WHERE role IN ('admin', 'iso_agent');
SELECT count(*) FROM iso_agents WHERE role = 'customer';
SELECT a.full_name, c.company_name
  FROM iso_agents a JOIN client_profiles c ON c.iso_agent_id = a.id
 WHERE a.is_active ORDER BY a.email LIMIT 3;
SELECT email FROM iso_agents a
 WHERE EXISTS (SELECT FROM requests r WHERE r.iso_agent_id = a.id AND r.passengers = 2)
 ORDER BY 1 LIMIT 2;
WITH some AS (SELECT * FROM iso_agents WHERE margin_type = 'fixed')
SELECT s.clerk_user_id, o.clerk_user_id
  FROM some s LEFT JOIN iso_agents o ON o.role = 'admin' AND o.margin_value = s.margin_value
 ORDER BY s.email LIMIT 3;
SELECT (SELECT email FROM iso_agents WHERE clerk_user_id = 'user_1') AS scalar;
SELECT email FROM iso_agents WHERE clerk_user_id = 'user_1'
UNION ALL SELECT email FROM iso_agents WHERE clerk_user_id = 'user_2' ORDER BY 1;
SELECT row_number() OVER (ORDER BY email), email FROM iso_agents ORDER BY 1 LIMIT 2;
SELECT clerk_user_id FROM iso_agents WHERE clerk_user_id = 'user_3' FOR UPDATE;
SELECT nothing FROM iso_agents;
SELECT role FROM iso_agents WHERE role = 'no such role';

INSERT INTO iso_agents (id, clerk_user_id, email, full_name)
VALUES ('00000000-0000-4000-8000-000000000001', 'new_1', 'new.1@example.com', 'New One');
SELECT role, margin_type, margin_value, is_active, metadata,
       created_at = updated_at AS both, created_at > now() - interval '1 hour' AS fresh
  FROM iso_agents WHERE clerk_user_id = 'new_1';
INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, metadata)
VALUES ('00000000-0000-4000-8000-000000000002', 'new_2', 'new.2@example.com', 'Two', 'admin', NULL),
       ('00000000-0000-4000-8000-000000000003', 'new_3', 'new.3@example.com', 'Three', DEFAULT, '{"phone": "1"}')
RETURNING id, role, metadata, full_name || '!' AS shouted;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('new_4', 'new.1@example.com', 'x');
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('new_4', 'no address', 'x');
INSERT INTO iso_agents (clerk_user_id, email) VALUES ('new_4', 'new.4@example.com');
INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value)
VALUES ('new_4', 'new.4@example.com', 'x', -1);
INSERT INTO iso_agents (clerk_user_id, email, full_name, role)
VALUES ('new_4', 'new.4@example.com', 'x', 'no such role');
INSERT INTO iso_agents (clerk_user_id, email, full_name)
VALUES ('new_5', 'new.1@example.com', 'Upserted')
ON CONFLICT (email) DO UPDATE SET full_name = excluded.full_name RETURNING clerk_user_id, full_name;
INSERT INTO iso_agents (clerk_user_id, email, full_name)
VALUES ('new_5', 'new.1@example.com', 'Ignored') ON CONFLICT DO NOTHING;
INSERT INTO iso_agents (id, clerk_user_id, email, full_name)
SELECT '00000000-0000-4000-8000-000000000006', 'new_6', 'new.6@example.com', a.full_name
  FROM iso_agents a WHERE a.clerk_user_id = 'user_6' RETURNING full_name;

UPDATE iso_agents SET margin_value = margin_value + 1.25 WHERE clerk_user_id = 'new_1'
RETURNING margin_value, updated_at > now() - interval '1 hour' AS fresh;
UPDATE iso_agents AS a SET full_name = 'Aliased', role = 'operator' WHERE a.email = 'new.2@example.com';
UPDATE iso_agents SET role = 'admin' WHERE role = 'operator' AND clerk_user_id LIKE 'new%'
RETURNING clerk_user_id, role;
UPDATE iso_agents SET is_active = false WHERE clerk_user_id LIKE 'nobody%';
UPDATE iso_agents SET email = 'new.1@example.com' WHERE clerk_user_id = 'new_2';
UPDATE iso_agents SET id = '00000000-0000-4000-8000-000000000009' WHERE clerk_user_id = 'new_3'
RETURNING id;
SELECT clerk_user_id FROM iso_agents WHERE id = '00000000-0000-4000-8000-000000000003';
UPDATE iso_agents SET metadata = metadata || '{"k": [1, 2]}', margin_type = DEFAULT
 WHERE id = '00000000-0000-4000-8000-000000000009' RETURNING metadata, margin_type;
DELETE FROM iso_agents WHERE clerk_user_id = 'new_6' RETURNING email, role;
DELETE FROM iso_agents WHERE clerk_user_id = 'new_6';
DELETE FROM iso_agents AS gone WHERE gone.email LIKE 'new.2@%';

BEGIN;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('new_7', 'new.7@example.com', 'x');
SAVEPOINT s;
INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('new_7', 'new.7@example.com', 'x');
SELECT 'refused while failed' FROM iso_agents;
ROLLBACK TO s;
SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'new_7';
ROLLBACK;
SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'new_7';

COPY iso_agents (id, clerk_user_id, email, full_name, role, metadata) FROM STDIN;
00000000-0000-4000-8000-000000000021	new_21	new.21@example.com	Copied	operator	\N
00000000-0000-4000-8000-000000000022	new_22	new.22@example.com	Copied	iso_agent	{"a": 1}
\.
COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN (FORMAT csv);
new_21,again@example.com,Duplicate
\.
COPY (SELECT clerk_user_id, role, metadata FROM iso_agents WHERE full_name = 'Copied' ORDER BY 1) TO STDOUT;
BEGIN;
DECLARE pointer CURSOR FOR SELECT clerk_user_id, role FROM iso_agents ORDER BY email;
FETCH 3 FROM pointer;
COMMIT;
WITH moved AS (UPDATE iso_agents SET margin_value = 7 WHERE clerk_user_id = 'new_21' RETURNING *)
SELECT clerk_user_id, role, margin_value FROM moved;
SELECT clerk_user_id, email, full_name, role, margin_type, margin_value, is_active, metadata
  FROM iso_agents WHERE clerk_user_id LIKE 'new%' ORDER BY email;
SELECT count(*), sum(margin_value) FROM iso_agents;
SELECT 1 AS first \; UPDATE iso_agents SET is_active = true WHERE clerk_user_id = 'new_1' \; SELECT 2;
\echo :ERROR :SQLSTATE :ROW_COUNT
