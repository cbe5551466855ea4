DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."merge_user_settings_00000000"(cf_acts text[], cf_olds crossfade."image_user_settings_00000000"[], cf_news crossfade."image_user_settings_00000000"[], cf_sets text[], cf_mirror boolean) RETURNS TABLE (cf_at integer, cf_row crossfade."image_user_settings_00000000")
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old crossfade."image_user_settings_00000000";
  cf_new crossfade."image_user_settings_00000000";
  cf_before crossfade."image_user_settings_00000000";
BEGIN
  FOR cf_i IN 1 .. coalesce(cardinality(cf_acts), 0) LOOP
    cf_new := cf_news[cf_i];
    cf_before := cf_old;
    cf_old := cf_olds[cf_i];
    IF cf_acts[cf_i] = 'INSERT' THEN
      cf_row := crossfade."insert_one_user_settings_00000000"(cf_new, cf_mirror);
      cf_at := cf_i;
      RETURN NEXT;
      CONTINUE;
    END IF;
    IF cf_i > 1 AND ROW((cf_old)."id") = ROW((cf_before)."id") THEN
      RAISE EXCEPTION USING ERRCODE = '21000',
        MESSAGE = 'MERGE command cannot affect row a second time',
        HINT = 'Ensure that not more than one source row matches any one target row.';
    END IF;
    IF cf_acts[cf_i] = 'DELETE' THEN
      SELECT * INTO cf_row FROM crossfade."delete_user_settings_00000000"(ARRAY[cf_old], true, false, cf_mirror) AS cf_c;
    ELSE
      SELECT * INTO cf_row FROM crossfade."change_user_settings_00000000"(ARRAY[cf_old], ARRAY[cf_new], cf_sets[cf_i]::text[], true, false, cf_mirror) AS cf_c;
    END IF;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = '40001',
        MESSAGE = 'could not serialize access due to concurrent delete',
        HINT = 'The row went while this statement waited for it; run the transaction again.';
    END IF;
    cf_at := cf_i;
    RETURN NEXT;
  END LOOP;
END
$crossfade$;
