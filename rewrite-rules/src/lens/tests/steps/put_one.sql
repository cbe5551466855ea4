DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."put_one_user_settings_00000000"(cf_image crossfade."image_user_settings_00000000") RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_step_1 record;
  cf_step_2 record;
  cf_step_3 record;
  cf_asks boolean := pg_catalog.current_setting('crossfade.lastval', true) IS DISTINCT FROM 'off';
  cf_last bigint;
  cf_now_last bigint;
BEGIN
  IF cf_asks THEN
    BEGIN
      cf_last := pg_catalog.lastval();
    EXCEPTION WHEN object_not_in_prerequisite_state OR insufficient_privilege THEN
      cf_last := NULL;
    END;
  END IF;
  WITH row_image AS (SELECT (cf_image).*), cf_step AS (INSERT INTO "public"."user" (keycloak_user_id) SELECT keycloak_user_id FROM row_image WHERE keycloak_user_id IS NOT NULL ON CONFLICT(keycloak_user_id) DO UPDATE SET keycloak_user_id = excluded.keycloak_user_id RETURNING id)
  SELECT cf_step.*, count(*) OVER () AS cf_rows INTO cf_step_1 FROM cf_step;
  IF cf_step_1.cf_rows > 1 THEN
    RAISE EXCEPTION 'step person of user_settings returned % rows for one row image; expected at most one', cf_step_1.cf_rows USING ERRCODE = '21000';
  END IF;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), cf_step AS (UPDATE "public"."user" SET accepted_tos = r.accepted_tos, enable_sound_notifications = r.enable_sound_notifications FROM row_image r, person WHERE "user".id = person.id AND NOT EXISTS (SELECT FROM "public"."settings" other WHERE other.keycloak_user_id = r.keycloak_user_id AND other.id <> r.id AND NOT EXISTS (SELECT FROM "public"."user_settings_apart" a WHERE a.settings_id = other.id)) RETURNING "user".id)
  SELECT cf_step.*, count(*) OVER () AS cf_rows INTO cf_step_2 FROM cf_step;
  IF cf_step_2.cf_rows > 1 THEN
    RAISE EXCEPTION 'step owner of user_settings returned % rows for one row image; expected at most one', cf_step_2.cf_rows USING ERRCODE = '21000';
  END IF;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), "owner" AS (SELECT cf_step_2."id" AS "id" WHERE cf_step_2.cf_rows > 0), cf_step AS (INSERT INTO "public"."org" (name) SELECT 'user_' || r.id || '_org' FROM row_image r WHERE NOT EXISTS (SELECT FROM "public"."settings" WHERE settings.id = r.id) ON CONFLICT(name) DO UPDATE SET name = excluded.name RETURNING id)
  SELECT cf_step.*, count(*) OVER () AS cf_rows INTO cf_step_3 FROM cf_step;
  IF cf_step_3.cf_rows > 1 THEN
    RAISE EXCEPTION 'step new_org of user_settings returned % rows for one row image; expected at most one', cf_step_3.cf_rows USING ERRCODE = '21000';
  END IF;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), "owner" AS (SELECT cf_step_2."id" AS "id" WHERE cf_step_2.cf_rows > 0), "new_org" AS (SELECT cf_step_3."id" AS "id" WHERE cf_step_3.cf_rows > 0)
  INSERT INTO "public"."settings" (id, org_id) SELECT r.id, new_org.id FROM row_image r, new_org ON CONFLICT(id) DO NOTHING;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), "owner" AS (SELECT cf_step_2."id" AS "id" WHERE cf_step_2.cf_rows > 0), "new_org" AS (SELECT cf_step_3."id" AS "id" WHERE cf_step_3.cf_rows > 0)
  DELETE FROM "public"."org_user" USING row_image r, "public"."settings" s, "public"."user" u WHERE s.id = r.id AND u.keycloak_user_id = s.keycloak_user_id AND org_user.org_id = s.org_id AND org_user.user_id = u.id AND s.keycloak_user_id IS DISTINCT FROM r.keycloak_user_id;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), "owner" AS (SELECT cf_step_2."id" AS "id" WHERE cf_step_2.cf_rows > 0), "new_org" AS (SELECT cf_step_3."id" AS "id" WHERE cf_step_3.cf_rows > 0)
  UPDATE "public"."settings" SET (keycloak_user_id, language, agent, max_iterations, security_analyzer, confirmation_mode, llm_model, llm_api_key, llm_base_url, remote_runtime_resource_factor, enable_default_condenser, user_consents_to_analytics, billing_margin, sandbox_base_container_image, sandbox_runtime_container_image, enable_proactive_conversation_starters, mcp_config, search_api_key, max_budget_per_task, sandbox_api_key, enable_solvability_analysis, email, email_verified, llm_api_key_for_byor, git_user_name, git_user_email, condenser_max_size, settings_version) = (SELECT keycloak_user_id, language, agent, max_iterations, security_analyzer, confirmation_mode, llm_model, llm_api_key, llm_base_url, remote_runtime_resource_factor, enable_default_condenser, user_consents_to_analytics, billing_margin, sandbox_base_container_image, sandbox_runtime_container_image, enable_proactive_conversation_starters, mcp_config, search_api_key, max_budget_per_task, sandbox_api_key, enable_solvability_analysis, email, email_verified, llm_api_key_for_byor, git_user_name, git_user_email, condenser_max_size, user_version FROM row_image) FROM row_image r WHERE settings.id = r.id;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), "owner" AS (SELECT cf_step_2."id" AS "id" WHERE cf_step_2.cf_rows > 0), "new_org" AS (SELECT cf_step_3."id" AS "id" WHERE cf_step_3.cf_rows > 0)
  INSERT INTO "public"."user_settings_apart" SELECT id, accepted_tos, enable_sound_notifications FROM row_image WHERE NOT EXISTS (SELECT FROM owner) ON CONFLICT(settings_id) DO UPDATE SET accepted_tos = excluded.accepted_tos, enable_sound_notifications = excluded.enable_sound_notifications;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), "owner" AS (SELECT cf_step_2."id" AS "id" WHERE cf_step_2.cf_rows > 0), "new_org" AS (SELECT cf_step_3."id" AS "id" WHERE cf_step_3.cf_rows > 0)
  DELETE FROM "public"."user_settings_apart" USING row_image r, owner WHERE settings_id = r.id;
  WITH row_image AS (SELECT (cf_image).*), "person" AS (SELECT cf_step_1."id" AS "id" WHERE cf_step_1.cf_rows > 0), "owner" AS (SELECT cf_step_2."id" AS "id" WHERE cf_step_2.cf_rows > 0), "new_org" AS (SELECT cf_step_3."id" AS "id" WHERE cf_step_3.cf_rows > 0)
  INSERT INTO "public"."org_user" (org_id, user_id, role_id, status) SELECT s.org_id, person.id, role.id, 'active' FROM row_image r JOIN "public"."settings" s ON s.id = r.id, person, "public"."role" WHERE role.name = 'admin' ON CONFLICT DO NOTHING;
  IF cf_asks THEN
    BEGIN
      cf_now_last := pg_catalog.lastval();
    EXCEPTION WHEN object_not_in_prerequisite_state OR insufficient_privilege THEN
      cf_now_last := NULL;
    END;
  END IF;
  IF cf_now_last IS DISTINCT FROM cf_last THEN PERFORM crossfade."keep_last_user_settings_00000000"(cf_last); END IF;
  RETURN true;
END
$crossfade$;
