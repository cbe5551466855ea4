DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."remove_one_user_settings_00000000"(cf_image crossfade."image_user_settings_00000000") RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_step_2 record;
  cf_asks boolean := pg_catalog.current_setting('crossfade.lastval', true) IS DISTINCT FROM 'off';
  cf_last bigint;
  cf_now_last bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      BEGIN
        PERFORM crossfade."put_one_user_settings_00000000"(cf_image);
      EXCEPTION WHEN OTHERS THEN
        IF left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX') OR SQLSTATE = '55P03' THEN RAISE; END IF;
      END;
    END IF;
  IF cf_asks THEN
    BEGIN
      cf_last := pg_catalog.lastval();
    EXCEPTION WHEN object_not_in_prerequisite_state OR insufficient_privilege THEN
      cf_last := NULL;
    END;
  END IF;
  WITH row_image AS (SELECT (cf_image).*)
  DELETE FROM "public"."org_user" USING row_image r, "public"."settings" s, "public"."user" u WHERE s.id = r.id AND u.keycloak_user_id = s.keycloak_user_id AND org_user.org_id = s.org_id AND org_user.user_id = u.id;
  WITH row_image AS (SELECT (cf_image).*), cf_step AS (DELETE FROM "public"."settings" USING row_image r WHERE settings.id = r.id RETURNING settings.org_id, settings.keycloak_user_id)
  SELECT cf_step.*, count(*) OVER () AS cf_rows INTO cf_step_2 FROM cf_step;
  IF cf_step_2.cf_rows > 1 THEN
    RAISE EXCEPTION 'step gone of user_settings returned % rows for one row image; expected at most one', cf_step_2.cf_rows USING ERRCODE = '21000';
  END IF;
  PERFORM 1 FROM (WITH row_image AS (SELECT (cf_image).*), "gone" AS (SELECT cf_step_2."org_id" AS "org_id", cf_step_2."keycloak_user_id" AS "keycloak_user_id" WHERE cf_step_2.cf_rows > 0) SELECT FROM "public"."user", gone WHERE "user".keycloak_user_id = gone.keycloak_user_id AND NOT EXISTS (SELECT FROM "public"."settings" s WHERE s.keycloak_user_id = gone.keycloak_user_id) AND NOT EXISTS (SELECT FROM "public"."org_user" m WHERE m.user_id = "user".id) FOR UPDATE OF "user") AS cf_locked;
  WITH row_image AS (SELECT (cf_image).*), "gone" AS (SELECT cf_step_2."org_id" AS "org_id", cf_step_2."keycloak_user_id" AS "keycloak_user_id" WHERE cf_step_2.cf_rows > 0)
  DELETE FROM "public"."user" USING gone WHERE "user".keycloak_user_id = gone.keycloak_user_id AND NOT EXISTS (SELECT FROM "public"."settings" s WHERE s.keycloak_user_id = gone.keycloak_user_id) AND NOT EXISTS (SELECT FROM "public"."org_user" m WHERE m.user_id = "user".id);
  PERFORM 1 FROM (WITH row_image AS (SELECT (cf_image).*), "gone" AS (SELECT cf_step_2."org_id" AS "org_id", cf_step_2."keycloak_user_id" AS "keycloak_user_id" WHERE cf_step_2.cf_rows > 0) SELECT FROM "public"."org", gone, row_image r WHERE org.id = gone.org_id AND starts_with(org.name, 'user_' || r.id || '_org') AND NOT EXISTS (SELECT FROM "public"."org_user" m WHERE m.org_id = org.id) AND NOT EXISTS (SELECT FROM "public"."settings" s WHERE s.org_id = org.id) FOR UPDATE OF "org") AS cf_locked;
  WITH row_image AS (SELECT (cf_image).*), "gone" AS (SELECT cf_step_2."org_id" AS "org_id", cf_step_2."keycloak_user_id" AS "keycloak_user_id" WHERE cf_step_2.cf_rows > 0)
  DELETE FROM "public"."org" USING gone, row_image r WHERE org.id = gone.org_id AND starts_with(org.name, 'user_' || r.id || '_org') AND NOT EXISTS (SELECT FROM "public"."org_user" m WHERE m.org_id = org.id) AND NOT EXISTS (SELECT FROM "public"."settings" s WHERE s.org_id = org.id);
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
