INSERT INTO user_settings (id, keycloak_user_id, language, accepted_tos) VALUES (1{p}000, 'rk{p}', 'a', '2026-01-01'), (1{p}001, 'rk{p}', 'b', '2026-01-02'), (1{p}002, NULL, 'c', '2026-01-03');
UPDATE user_settings SET id = 2{p}000 WHERE id = 1{p}000 RETURNING id, keycloak_user_id, language, accepted_tos;
UPDATE user_settings SET id = id + 10000, language = language || '!', accepted_tos = NULL WHERE id IN (1{p}001, 1{p}002) RETURNING id, language, accepted_tos;
SELECT * FROM user_settings WHERE id BETWEEN 1{p}000 AND 1{p}999 OR id BETWEEN 2{p}000 AND 2{p}999 ORDER BY id;

-- To another person and another key at once.
UPDATE user_settings AS u SET (id, keycloak_user_id) = (2{p}003, 'hands{p}') WHERE u.id = 2{p}001;

-- A full save.
UPDATE user_settings SET id = id, language = 'saved' WHERE id = 2{p}000 RETURNING id, language;
UPDATE user_settings SET id = 2{p}000, agent = 'saved' WHERE id = 2{p}000;
UPDATE user_settings SET id = 5 WHERE id = -1;

-- Keys that others have.
UPDATE user_settings SET id = 1 WHERE id = 2{p}000;
UPDATE user_settings SET id = 2{p}009 WHERE id IN (2{p}000, 2{p}002);
UPDATE user_settings SET id = CASE id WHEN 2 THEN 4 ELSE 2 END WHERE id IN (2, 4);
UPDATE user_settings SET id = NULL WHERE id = 2;
UPDATE user_settings SET id = 'x' WHERE id = 2;
SELECT id, language FROM user_settings WHERE id IN (1, 2, 4, 2{p}000, 2{p}002, 2{p}009) ORDER BY id;

-- A new row under the old key is nobody else's.
INSERT INTO user_settings (id, keycloak_user_id, language) VALUES (1{p}000, 'again{p}', 'new') RETURNING id, keycloak_user_id;
BEGIN; UPDATE user_settings SET id = 3{p}000 WHERE id = 1{p}000; UPDATE user_settings SET id = 3{p}001 WHERE id = 3{p}000; SELECT id, language FROM user_settings WHERE keycloak_user_id = 'again{p}'; ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE user_settings SET id = 3{p}000 WHERE id = 1{p}000; UPDATE user_settings SET id = 3{p}002 WHERE id = 2{p}002; COMMIT;
WITH moved AS (UPDATE user_settings SET id = 3{p}003 WHERE id = 2{p}003 RETURNING id, keycloak_user_id) SELECT * FROM moved;
SELECT * FROM user_settings WHERE id >= 1{p}000 ORDER BY id;

-- The role's right is asked for as the legacy table's would be.
SET ROLE onlooker;
