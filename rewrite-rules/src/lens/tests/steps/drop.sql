DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."drop_user_settings_00000000"(cf_images crossfade."image_user_settings_00000000"[], cf_excuse boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image crossfade."image_user_settings_00000000";
BEGIN
  IF coalesce(cardinality(cf_images), 0) = 0 THEN RETURN true; END IF;
  IF NOT cf_excuse OR NOT crossfade."is_stale_user_settings_00000000"(false) THEN
    DELETE FROM "public"."user_settings" AS cf_t USING unnest(cf_images) AS cf_i WHERE cf_t."id" = cf_i."id";
    RETURN true;
  END IF;
  DECLARE
    cf_looks boolean := crossfade."look_legacy_user_settings_00000000"(true, NULL);
  BEGIN
    DELETE FROM "public"."user_settings" AS cf_t USING unnest(cf_images) AS cf_i WHERE cf_t."id" = cf_i."id";
    IF cf_looks THEN PERFORM crossfade."look_legacy_user_settings_00000000"(false, NULL); END IF;
    RETURN true;
  EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
    NULL;
  END;
  IF NOT crossfade."is_stale_user_settings_00000000"(true) THEN
    DELETE FROM "public"."user_settings" AS cf_t USING unnest(cf_images) AS cf_i WHERE cf_t."id" = cf_i."id";
    RETURN true;
  END IF;
  FOREACH cf_image IN ARRAY cf_images LOOP
    DECLARE
      cf_looks boolean := crossfade."look_legacy_user_settings_00000000"(true, NULL);
    BEGIN
      DELETE FROM "public"."user_settings" AS cf_t WHERE cf_t."id" = (cf_image)."id";
      IF cf_looks THEN PERFORM crossfade."look_legacy_user_settings_00000000"(false, NULL); END IF;
    EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
      PERFORM crossfade."record_user_settings_00000000"(cf_image, SQLERRM, SQLSTATE);
    END;
  END LOOP;
  RETURN true;
END
$crossfade$;
