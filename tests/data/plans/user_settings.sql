-- Many rows on both sides, as a backfill would have left them. Triggers and foreign keys are let rest.
SET session_replication_role = replica;
INSERT INTO user_settings (keycloak_user_id, language, llm_model, user_version, accepted_tos)
SELECT 'many' || n, 'en', 'claude', 1, '2025-01-01' FROM generate_series(1, {rows}) AS n;
INSERT INTO "user" (keycloak_user_id, accepted_tos) SELECT 'many' || n, '2025-01-01' FROM generate_series(1, {rows}) AS n;
INSERT INTO org (name) SELECT 'user_' || id || '_org' FROM user_settings WHERE keycloak_user_id LIKE 'many%';
INSERT INTO settings (id, org_id, keycloak_user_id, settings_version, language, llm_model)
SELECT s.id, o.id, s.keycloak_user_id, s.user_version, s.language, s.llm_model FROM user_settings s
JOIN org o ON o.name = 'user_' || s.id || '_org';
INSERT INTO org_user (org_id, user_id, role_id, status)
SELECT s.org_id, u.id, 1, 'active' FROM settings s JOIN "user" u USING (keycloak_user_id);
RESET session_replication_role;
