DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."may_write_user_settings_00000000"(cf_command text, cf_rights text[], cf_set text[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_table regclass := to_regclass('"public"."user_settings"');
  cf_right text;
BEGIN
  IF current_setting('transaction_read_only')::boolean THEN
    RAISE EXCEPTION USING ERRCODE = '25006',
      MESSAGE = format('cannot execute %s in a read-only transaction', cf_command);
  END IF;
  IF cf_table IS NULL THEN
    cf_table := '"public"."settings"';
    cf_set := NULL;
  END IF;
  FOREACH cf_right IN ARRAY cf_rights LOOP
    CONTINUE WHEN CASE WHEN cf_right = 'DELETE' THEN has_table_privilege(cf_table, cf_right)
      WHEN cf_right = 'UPDATE' AND cf_set IS NOT NULL THEN NOT EXISTS (SELECT FROM unnest(cf_set) AS cf_c
        WHERE NOT has_column_privilege(cf_table, cf_c, cf_right))
      ELSE has_any_column_privilege(cf_table, cf_right) END;
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'permission denied for table user_settings';
  END LOOP;
  RETURN true;
END
$crossfade$;
