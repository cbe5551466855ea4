DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."sync_user_settings_00000000"(cf_keys crossfade."image_user_settings_00000000"[], cf_set text[], cf_makes boolean, cf_gone boolean, cf_excuse boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image crossfade."image_user_settings_00000000";
  cf_now crossfade."image_user_settings_00000000";
BEGIN
  IF cf_keys IS NULL THEN RETURN true; END IF;
  FOR cf_image IN SELECT * FROM unnest(cf_keys) AS cf_i ORDER BY cf_i."id" LOOP
    cf_now := crossfade."lock_one_user_settings_00000000"(cf_image, true);
    IF NOT cf_now IS NULL THEN
      PERFORM crossfade."follow_user_settings_00000000"(cf_now, cf_set, cf_makes, cf_excuse);
    ELSIF cf_gone THEN
      PERFORM crossfade."drop_user_settings_00000000"(ARRAY[cf_image], cf_excuse);
    ELSIF EXISTS (SELECT 1 FROM "public"."user_settings" AS cf_t WHERE cf_t."id" = (cf_image)."id") THEN
      PERFORM crossfade."record_user_settings_00000000"(cf_image, 'kept: its unified row is not for legacy readers any more, or gone', 'CF003');
    END IF;
  END LOOP;
  RETURN true;
END
$crossfade$;
