DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."accept_user_settings_00000000"(cf_image crossfade."image_user_settings_00000000") RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_broken text;
BEGIN
  cf_broken := CASE
    WHEN (cf_image)."id" IS NULL THEN 'id'
    WHEN (cf_image)."enable_default_condenser" IS NULL THEN 'enable_default_condenser'
    WHEN (cf_image)."user_version" IS NULL THEN 'user_version'
    WHEN (cf_image)."enable_proactive_conversation_starters" IS NULL THEN 'enable_proactive_conversation_starters'
  END;
  IF cf_broken IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23502', COLUMN = cf_broken,
      MESSAGE = format('null value in column "%s" of relation "%s" violates not-null constraint', cf_broken, 'user_settings'),
      DETAIL = (SELECT 'Failing row contains (' || string_agg(
        CASE WHEN v IS NULL THEN 'null' WHEN octet_length(v) > 64 THEN left(v, 64) || '...' ELSE v END, ', ' ORDER BY n) || ').'
        FROM unnest(ARRAY[(cf_image)."id"::text, (cf_image)."keycloak_user_id"::text, (cf_image)."language"::text, (cf_image)."agent"::text, (cf_image)."max_iterations"::text, (cf_image)."security_analyzer"::text, (cf_image)."confirmation_mode"::text, (cf_image)."llm_model"::text, (cf_image)."llm_api_key"::text, (cf_image)."llm_base_url"::text, (cf_image)."remote_runtime_resource_factor"::text, (cf_image)."enable_default_condenser"::text, (cf_image)."user_consents_to_analytics"::text, (cf_image)."billing_margin"::text, (cf_image)."enable_sound_notifications"::text, (cf_image)."sandbox_base_container_image"::text, (cf_image)."sandbox_runtime_container_image"::text, (cf_image)."user_version"::text, (cf_image)."accepted_tos"::text, (cf_image)."enable_proactive_conversation_starters"::text, (cf_image)."mcp_config"::text, (cf_image)."search_api_key"::text, (cf_image)."max_budget_per_task"::text, (cf_image)."sandbox_api_key"::text, (cf_image)."enable_solvability_analysis"::text, (cf_image)."email"::text, (cf_image)."email_verified"::text, (cf_image)."llm_api_key_for_byor"::text, (cf_image)."git_user_name"::text, (cf_image)."git_user_email"::text, (cf_image)."condenser_max_size"::text]) WITH ORDINALITY AS cf_v (v, n)),
      TABLE = 'user_settings', SCHEMA = 'public';
  END IF;
  IF cf_broken IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23514', CONSTRAINT = cf_broken,
      MESSAGE = format('new row for relation "%2$s" violates check constraint "%1$s"', cf_broken, 'user_settings'),
      DETAIL = (SELECT 'Failing row contains (' || string_agg(
        CASE WHEN v IS NULL THEN 'null' WHEN octet_length(v) > 64 THEN left(v, 64) || '...' ELSE v END, ', ' ORDER BY n) || ').'
        FROM unnest(ARRAY[(cf_image)."id"::text, (cf_image)."keycloak_user_id"::text, (cf_image)."language"::text, (cf_image)."agent"::text, (cf_image)."max_iterations"::text, (cf_image)."security_analyzer"::text, (cf_image)."confirmation_mode"::text, (cf_image)."llm_model"::text, (cf_image)."llm_api_key"::text, (cf_image)."llm_base_url"::text, (cf_image)."remote_runtime_resource_factor"::text, (cf_image)."enable_default_condenser"::text, (cf_image)."user_consents_to_analytics"::text, (cf_image)."billing_margin"::text, (cf_image)."enable_sound_notifications"::text, (cf_image)."sandbox_base_container_image"::text, (cf_image)."sandbox_runtime_container_image"::text, (cf_image)."user_version"::text, (cf_image)."accepted_tos"::text, (cf_image)."enable_proactive_conversation_starters"::text, (cf_image)."mcp_config"::text, (cf_image)."search_api_key"::text, (cf_image)."max_budget_per_task"::text, (cf_image)."sandbox_api_key"::text, (cf_image)."enable_solvability_analysis"::text, (cf_image)."email"::text, (cf_image)."email_verified"::text, (cf_image)."llm_api_key_for_byor"::text, (cf_image)."git_user_name"::text, (cf_image)."git_user_email"::text, (cf_image)."condenser_max_size"::text]) WITH ORDINALITY AS cf_v (v, n)),
      TABLE = 'user_settings', SCHEMA = 'public';
  END IF;
  RETURN true;
END
$crossfade$;
