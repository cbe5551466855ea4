SELECT id, language, accepted_tos FROM user_settings WHERE id = 1 FOR UPDATE;
SELECT * FROM user_settings WHERE keycloak_user_id = 'twice' ORDER BY id FOR NO KEY UPDATE;
SELECT u.id, u, upper(u.language) AS l FROM public.user_settings AS u WHERE u.id IN (1, 3) AND lower(u.language) IS NOT NULL ORDER BY 1 DESC LIMIT 21 FOR UPDATE OF u;
SELECT user_settings.id FROM user_settings WHERE public.user_settings.id < 5 AND (accepted_tos > '2025-02-15' OR enable_sound_notifications) ORDER BY id FOR UPDATE;
SELECT id FROM user_settings WHERE id IN (SELECT u.id FROM user_settings u WHERE u.language = 'de') AND keycloak_user_id = 'twice' ORDER BY id LIMIT 1 FOR UPDATE;
SELECT n FROM generate_series(1, 2) AS n WHERE false;
SELECT id FROM user_settings WHERE id = -1 FOR UPDATE;
EXPLAIN (COSTS OFF) SELECT FROM nobody FOR UPDATE;
PREPARE l (int) AS SELECT language FROM user_settings WHERE id = $1 FOR UPDATE; EXECUTE l (1); DEALLOCATE l;
BEGIN READ ONLY; SELECT id FROM user_settings WHERE id = 1 FOR UPDATE; ROLLBACK;
ROLLBACK;

-- What PostgreSQL does not do.
SELECT count(*) FROM user_settings FOR UPDATE;
SELECT DISTINCT language FROM user_settings WHERE id < 4 FOR UPDATE;
SELECT nothing FROM user_settings WHERE id = 1 FOR UPDATE;
SELECT id FROM user_settings WHERE nothing = 1 FOR UPDATE;
SELECT id FROM user_settings WHERE id = 'x' FOR UPDATE;
SELECT id FROM user_settings WHERE id = 1 FOR UPDATE OF other;
