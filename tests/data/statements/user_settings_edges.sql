-- A second and a third row of one person; each keeps what it says of the person.
INSERT INTO user_settings (keycloak_user_id, accepted_tos, enable_sound_notifications) VALUES ('dup{p}', '2025-01-01', true), ('dup{p}', '2025-01-02', false) RETURNING id, keycloak_user_id, accepted_tos, enable_sound_notifications;
INSERT INTO user_settings (keycloak_user_id, accepted_tos) SELECT keycloak_user_id, accepted_tos + interval '1 day' FROM user_settings WHERE keycloak_user_id = 'dup{p}' ORDER BY id RETURNING id, accepted_tos;
UPDATE user_settings SET accepted_tos = accepted_tos + interval '1 hour', language = 'x' WHERE keycloak_user_id = 'dup{p}' RETURNING id, accepted_tos, language;
DELETE FROM user_settings WHERE id = (SELECT min(id) FROM user_settings WHERE keycloak_user_id = 'dup{p}') RETURNING *;
UPDATE user_settings SET enable_sound_notifications = NOT enable_sound_notifications WHERE keycloak_user_id = 'dup{p}' RETURNING id, enable_sound_notifications;
SELECT id, accepted_tos, enable_sound_notifications, language FROM user_settings WHERE keycloak_user_id = 'dup{p}' ORDER BY id;

-- Nobody's rows.
INSERT INTO user_settings DEFAULT VALUES RETURNING *;
INSERT INTO user_settings (enable_sound_notifications, mcp_config) VALUES (true, 'null'), (NULL, DEFAULT) RETURNING id, mcp_config::text, mcp_config IS NULL;
UPDATE user_settings SET accepted_tos = '2026-06-0{p}' WHERE keycloak_user_id IS NULL AND id < 100;
UPDATE user_settings AS u SET email = v.email, email_verified = true FROM (VALUES ('dup{p}', 'd{p}@x.org'), ('k1', 'k@x.org')) AS v (who, email) WHERE u.keycloak_user_id = v.who;

-- Rows that change hands.
UPDATE user_settings SET keycloak_user_id = 'moved{p}' WHERE keycloak_user_id = 'bulk{p}' RETURNING id, keycloak_user_id;
UPDATE user_settings SET keycloak_user_id = NULL WHERE keycloak_user_id = 'bulk1{p}' RETURNING *;
UPDATE user_settings SET keycloak_user_id = 'dup{p}' WHERE keycloak_user_id = 'bulk2{p}' RETURNING id;
DELETE FROM user_settings WHERE keycloak_user_id LIKE 'bulk3{p}%' RETURNING id, keycloak_user_id;
DELETE FROM user_settings USING (VALUES ('bulk4{p}'), ('bulk4{p}')) AS v (who) WHERE keycloak_user_id = who;

-- Errors are the legacy table's.
INSERT INTO user_settings (id, language) VALUES (1, 'taken');
INSERT INTO user_settings (id, keycloak_user_id) VALUES (5000{p}, 'byhand{p}') RETURNING *;
INSERT INTO user_settings (nothing) VALUES (1);
UPDATE user_settings SET max_iterations = 'x' WHERE id = 1;
INSERT INTO user_settings (id, language) VALUES (1, 'taken'), (6000{p}, 'new') ON CONFLICT DO NOTHING RETURNING id;
INSERT INTO user_settings (user_version) VALUES (1), (NULL);
UPDATE user_settings SET user_version = NULL, enable_default_condenser = NULL WHERE id = 2;

-- Types are those of an assignment, not of a cast.
UPDATE user_settings SET max_iterations = language WHERE id = 1;
UPDATE user_settings SET mcp_config = 5 WHERE id = 1;
UPDATE user_settings AS u SET (language, max_iterations) = (v.b, v.a) FROM (VALUES (1, 2)) AS v (a, b) WHERE u.id = v.a RETURNING u.language;
UPDATE user_settings AS u SET max_iterations = v.a FROM (VALUES (true)) AS v (a) WHERE u.id = 1;
UPDATE user_settings SET mcp_config = ('{}'), language = 7 WHERE id = 5 RETURNING language, mcp_config::text;
INSERT INTO user_settings (confirmation_mode) VALUES (true), (1);
INSERT INTO user_settings (language, max_iterations) SELECT 'x', language FROM user_settings WHERE id = 1;
INSERT INTO user_settings (language, max_iterations, mcp_config) VALUES (upper('x'), 1 + 1, ('{}')), (5, 2.5, NULL) RETURNING language, max_iterations;
INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (id) DO NOTHING RETURNING id;
INSERT INTO user_settings (id) VALUES (1), (7000{p}) ON CONFLICT ON CONSTRAINT user_settings_pkey DO NOTHING RETURNING id;

-- Upserts by the key.
INSERT INTO user_settings (id, language) VALUES (1, 'up{p}') ON CONFLICT (id) DO UPDATE SET language = excluded.language RETURNING id, language;
INSERT INTO user_settings (id, language, max_iterations) VALUES (1, 'one', 3), (8000{p}, 'new', 4) ON CONFLICT (id) DO UPDATE SET max_iterations = excluded.max_iterations + coalesce(user_settings.max_iterations, 0), agent = DEFAULT RETURNING *;
INSERT INTO user_settings AS u (id, language) VALUES (1, 'no'), (2, 'yes') ON CONFLICT (id) DO UPDATE SET (language, agent) = (excluded.language, u.language) WHERE u.id = 2 RETURNING id, language, agent;
INSERT INTO user_settings (id, keycloak_user_id) VALUES (5, 'upsert{p}') ON CONFLICT ON CONSTRAINT user_settings_pkey DO UPDATE SET language = (SELECT min(language) FROM user_settings), keycloak_user_id = excluded.keycloak_user_id, accepted_tos = '2027-02-0{p}';
INSERT INTO user_settings (id, language) VALUES (2, 'all') ON CONFLICT (id) DO UPDATE SET id = excluded.id, language = excluded.language RETURNING id, language;
INSERT INTO user_settings (id, language) SELECT id, 'sel' FROM user_settings WHERE id IN (1, 2) ON CONFLICT (id) DO UPDATE SET language = excluded.language || user_settings.id;
INSERT INTO user_settings (id, language) VALUES (1, 'a'), (1, 'b') ON CONFLICT (id) DO UPDATE SET language = excluded.language;
INSERT INTO user_settings (id, language) VALUES (9000{p}, 'a'), (9000{p}, 'b') ON CONFLICT (id) DO UPDATE SET language = 'c';
INSERT INTO user_settings (id, language) VALUES (1, 'a'), (1, 'b') ON CONFLICT (id) DO UPDATE SET language = excluded.language WHERE excluded.language = 'b' RETURNING language;
INSERT INTO user_settings (id, user_version) VALUES (1, NULL) ON CONFLICT (id) DO UPDATE SET language = 'x';

-- Values that a query gives.
INSERT INTO user_settings AS t (id, language) VALUES (1, 'q'), (2, 'r') ON CONFLICT (id) DO UPDATE SET (language, max_iterations) = (SELECT excluded.language || t.id || max(u.id), count(*) FROM user_settings u WHERE u.id < 3), (agent) = (SELECT 'no' WHERE t.id = 7) WHERE t.id IN (SELECT 1 UNION SELECT 2) RETURNING id, language, max_iterations, agent;
INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET (language, max_iterations) = (SELECT u.language, 1 FROM user_settings u);
INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET (language, max_iterations) = (SELECT 'a', 'b');
UPDATE user_settings AS s SET (language, agent) = (SELECT u.language || v.x, s.language FROM user_settings u WHERE u.id = s.id), max_iterations = v.x FROM (VALUES (1, 7), (2, 8)) AS v (who, x) WHERE s.id = v.who RETURNING s.id, s.language, s.agent, s.max_iterations;
UPDATE user_settings SET (language, max_iterations) = (SELECT 'none', 4 WHERE false) WHERE id = 2 RETURNING language, max_iterations;
UPDATE user_settings SET (language, max_iterations) = (SELECT u.language, 1 FROM user_settings u) WHERE id = 2;
UPDATE user_settings SET (language, max_iterations) = (SELECT 'a', 'b') WHERE id = 2;

-- What was joined, beside what became of the row.
UPDATE user_settings AS u SET agent = v.a, accepted_tos = accepted_tos + interval '1 day' FROM (VALUES (1, 'j'), (2, 'k')) AS v (id, a) WHERE u.id = v.id RETURNING u.id, v.*, accepted_tos, (SELECT count(*) FROM user_settings o WHERE o.id < v.id);
UPDATE user_settings AS u SET language = o.language FROM user_settings o LEFT JOIN generate_series(3, 3) AS g (n) ON g.n = o.id WHERE o.id = u.id + 1 AND u.id IN (2, 3) RETURNING *;
DELETE FROM user_settings USING (VALUES ('with{p}', 1)) AS v (who, n) WHERE keycloak_user_id = who RETURNING keycloak_user_id, n, row_to_json(v);
SELECT id, accepted_tos, agent FROM user_settings WHERE id = 1 LIMIT 1 FOR UPDATE;
INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET user_version = NULL;
INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET max_iterations = excluded.language;
INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET language = language;
INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET nothing = 1;
SELECT id, keycloak_user_id, language, agent, max_iterations, accepted_tos FROM user_settings WHERE id IN (1, 2, 5, 8000{p}) ORDER BY id;
WITH new AS (INSERT INTO user_settings (keycloak_user_id) VALUES ('with{p}') RETURNING id, keycloak_user_id), old AS (UPDATE user_settings SET language = 'w' WHERE keycloak_user_id = 'k1') SELECT keycloak_user_id FROM new;
SELECT u, row_to_json(u) FROM (SELECT * FROM user_settings WHERE id < 9) AS u ORDER BY id;
SELECT row_to_json(u)->>'mcp_config', u.* FROM user_settings u WHERE id < 9 ORDER BY u.id;
SELECT a.id, b.id FROM user_settings a JOIN user_settings b ON a.keycloak_user_id = b.keycloak_user_id AND a.id < b.id ORDER BY 1, 2;
BEGIN; INSERT INTO user_settings (language) VALUES ('gone'); UPDATE user_settings SET language = 'gone' WHERE id < 5; ROLLBACK;
UPDATE user_settings SET language = 'nobody' WHERE keycloak_user_id = 'no such';
SELECT count(*), count(DISTINCT keycloak_user_id), count(accepted_tos), max(id) FROM user_settings;
