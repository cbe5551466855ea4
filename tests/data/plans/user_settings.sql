INSERT INTO user_settings (keycloak_user_id, language, llm_model, user_version, accepted_tos)
SELECT 'many' || n, 'en', 'claude', 1, '2025-01-01' FROM generate_series(1, {rows}) AS n;
