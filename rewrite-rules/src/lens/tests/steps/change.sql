DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."change_user_settings_00000000"(cf_olds crossfade."image_user_settings_00000000"[], cf_news crossfade."image_user_settings_00000000"[], cf_set text[], cf_held boolean, cf_strict boolean, cf_mirror boolean) RETURNS SETOF crossfade."image_user_settings_00000000"
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old crossfade."image_user_settings_00000000";
  cf_new crossfade."image_user_settings_00000000";
  cf_now crossfade."image_user_settings_00000000";
  cf_was crossfade."image_user_settings_00000000";
  cf_i integer := 0;
  cf_images crossfade."image_user_settings_00000000"[] := cf_news;
  cf_froms crossfade."image_user_settings_00000000"[];
  cf_tos crossfade."image_user_settings_00000000"[];
  cf_done crossfade."image_user_settings_00000000"[] := '{}';
BEGIN
  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{}') LOOP
    cf_i := cf_i + 1;
    cf_new := cf_images[cf_i];
    IF cf_held THEN SELECT ("s"."id")::integer AS "id", ("s"."keycloak_user_id")::character varying AS "keycloak_user_id", ("s"."language")::character varying AS "language", ("s"."agent")::character varying AS "agent", ("s"."max_iterations")::integer AS "max_iterations", ("s"."security_analyzer")::character varying AS "security_analyzer", ("s"."confirmation_mode")::boolean AS "confirmation_mode", ("s"."llm_model")::character varying AS "llm_model", ("s"."llm_api_key")::character varying AS "llm_api_key", ("s"."llm_base_url")::character varying AS "llm_base_url", ("s"."remote_runtime_resource_factor")::integer AS "remote_runtime_resource_factor", ("s"."enable_default_condenser")::boolean AS "enable_default_condenser", ("s"."user_consents_to_analytics")::boolean AS "user_consents_to_analytics", ("s"."billing_margin")::double precision AS "billing_margin", (CASE WHEN a.settings_id IS NULL THEN u.enable_sound_notifications ELSE a.enable_sound_notifications END)::boolean AS "enable_sound_notifications", ("s"."sandbox_base_container_image")::character varying AS "sandbox_base_container_image", ("s"."sandbox_runtime_container_image")::character varying AS "sandbox_runtime_container_image", (s.settings_version)::integer AS "user_version", (CASE WHEN a.settings_id IS NULL THEN u.accepted_tos ELSE a.accepted_tos END)::timestamp without time zone AS "accepted_tos", ("s"."enable_proactive_conversation_starters")::boolean AS "enable_proactive_conversation_starters", ("s"."mcp_config")::json AS "mcp_config", ("s"."search_api_key")::character varying AS "search_api_key", ("s"."max_budget_per_task")::double precision AS "max_budget_per_task", ("s"."sandbox_api_key")::character varying AS "sandbox_api_key", ("s"."enable_solvability_analysis")::boolean AS "enable_solvability_analysis", ("s"."email")::character varying AS "email", ("s"."email_verified")::boolean AS "email_verified", ("s"."llm_api_key_for_byor")::character varying AS "llm_api_key_for_byor", ("s"."git_user_name")::character varying AS "git_user_name", ("s"."git_user_email")::character varying AS "git_user_email", ("s"."condenser_max_size")::integer AS "condenser_max_size" FROM "public"."settings" s LEFT JOIN "public"."user_settings_apart" a ON a.settings_id = s.id LEFT JOIN "public"."user" u ON u.keycloak_user_id = s.keycloak_user_id WHERE (s.keycloak_user_id IS NOT NULL OR a.settings_id IS NOT NULL) AND "s"."id" = (cf_old)."id" INTO cf_now; ELSE cf_now := crossfade."lock_one_user_settings_00000000"(cf_old, cf_mirror); END IF;
    CONTINUE WHEN cf_now IS NULL;
    IF cf_strict AND cf_now *<> cf_old THEN
      RAISE EXCEPTION USING ERRCODE = '40001',
        MESSAGE = 'could not serialize access due to concurrent update',
        HINT = 'The row changed while this statement waited for it; run the transaction again.';
    END IF;
    cf_was := cf_now;
    IF 'id' = ANY (cf_set) THEN cf_now."id" := cf_new."id"; END IF;
    IF 'keycloak_user_id' = ANY (cf_set) THEN cf_now."keycloak_user_id" := cf_new."keycloak_user_id"; END IF;
    IF 'language' = ANY (cf_set) THEN cf_now."language" := cf_new."language"; END IF;
    IF 'agent' = ANY (cf_set) THEN cf_now."agent" := cf_new."agent"; END IF;
    IF 'max_iterations' = ANY (cf_set) THEN cf_now."max_iterations" := cf_new."max_iterations"; END IF;
    IF 'security_analyzer' = ANY (cf_set) THEN cf_now."security_analyzer" := cf_new."security_analyzer"; END IF;
    IF 'confirmation_mode' = ANY (cf_set) THEN cf_now."confirmation_mode" := cf_new."confirmation_mode"; END IF;
    IF 'llm_model' = ANY (cf_set) THEN cf_now."llm_model" := cf_new."llm_model"; END IF;
    IF 'llm_api_key' = ANY (cf_set) THEN cf_now."llm_api_key" := cf_new."llm_api_key"; END IF;
    IF 'llm_base_url' = ANY (cf_set) THEN cf_now."llm_base_url" := cf_new."llm_base_url"; END IF;
    IF 'remote_runtime_resource_factor' = ANY (cf_set) THEN cf_now."remote_runtime_resource_factor" := cf_new."remote_runtime_resource_factor"; END IF;
    IF 'enable_default_condenser' = ANY (cf_set) THEN cf_now."enable_default_condenser" := cf_new."enable_default_condenser"; END IF;
    IF 'user_consents_to_analytics' = ANY (cf_set) THEN cf_now."user_consents_to_analytics" := cf_new."user_consents_to_analytics"; END IF;
    IF 'billing_margin' = ANY (cf_set) THEN cf_now."billing_margin" := cf_new."billing_margin"; END IF;
    IF 'enable_sound_notifications' = ANY (cf_set) THEN cf_now."enable_sound_notifications" := cf_new."enable_sound_notifications"; END IF;
    IF 'sandbox_base_container_image' = ANY (cf_set) THEN cf_now."sandbox_base_container_image" := cf_new."sandbox_base_container_image"; END IF;
    IF 'sandbox_runtime_container_image' = ANY (cf_set) THEN cf_now."sandbox_runtime_container_image" := cf_new."sandbox_runtime_container_image"; END IF;
    IF 'user_version' = ANY (cf_set) THEN cf_now."user_version" := cf_new."user_version"; END IF;
    IF 'accepted_tos' = ANY (cf_set) THEN cf_now."accepted_tos" := cf_new."accepted_tos"; END IF;
    IF 'enable_proactive_conversation_starters' = ANY (cf_set) THEN cf_now."enable_proactive_conversation_starters" := cf_new."enable_proactive_conversation_starters"; END IF;
    IF 'mcp_config' = ANY (cf_set) THEN cf_now."mcp_config" := cf_new."mcp_config"; END IF;
    IF 'search_api_key' = ANY (cf_set) THEN cf_now."search_api_key" := cf_new."search_api_key"; END IF;
    IF 'max_budget_per_task' = ANY (cf_set) THEN cf_now."max_budget_per_task" := cf_new."max_budget_per_task"; END IF;
    IF 'sandbox_api_key' = ANY (cf_set) THEN cf_now."sandbox_api_key" := cf_new."sandbox_api_key"; END IF;
    IF 'enable_solvability_analysis' = ANY (cf_set) THEN cf_now."enable_solvability_analysis" := cf_new."enable_solvability_analysis"; END IF;
    IF 'email' = ANY (cf_set) THEN cf_now."email" := cf_new."email"; END IF;
    IF 'email_verified' = ANY (cf_set) THEN cf_now."email_verified" := cf_new."email_verified"; END IF;
    IF 'llm_api_key_for_byor' = ANY (cf_set) THEN cf_now."llm_api_key_for_byor" := cf_new."llm_api_key_for_byor"; END IF;
    IF 'git_user_name' = ANY (cf_set) THEN cf_now."git_user_name" := cf_new."git_user_name"; END IF;
    IF 'git_user_email' = ANY (cf_set) THEN cf_now."git_user_email" := cf_new."git_user_email"; END IF;
    IF 'condenser_max_size' = ANY (cf_set) THEN cf_now."condenser_max_size" := cf_new."condenser_max_size"; END IF;
    PERFORM crossfade."accept_user_settings_00000000"(cf_now);
    IF (cf_was)."id" IS DISTINCT FROM (cf_now)."id" THEN
      PERFORM crossfade."rekey_one_user_settings_00000000"(cf_was, cf_now);
      cf_froms := cf_froms || cf_was;
      cf_tos := cf_tos || cf_now;
    END IF;
    PERFORM crossfade."put_one_user_settings_00000000"(cf_now);
    SELECT ("s"."id")::integer AS "id", ("s"."keycloak_user_id")::character varying AS "keycloak_user_id", ("s"."language")::character varying AS "language", ("s"."agent")::character varying AS "agent", ("s"."max_iterations")::integer AS "max_iterations", ("s"."security_analyzer")::character varying AS "security_analyzer", ("s"."confirmation_mode")::boolean AS "confirmation_mode", ("s"."llm_model")::character varying AS "llm_model", ("s"."llm_api_key")::character varying AS "llm_api_key", ("s"."llm_base_url")::character varying AS "llm_base_url", ("s"."remote_runtime_resource_factor")::integer AS "remote_runtime_resource_factor", ("s"."enable_default_condenser")::boolean AS "enable_default_condenser", ("s"."user_consents_to_analytics")::boolean AS "user_consents_to_analytics", ("s"."billing_margin")::double precision AS "billing_margin", (CASE WHEN a.settings_id IS NULL THEN u.enable_sound_notifications ELSE a.enable_sound_notifications END)::boolean AS "enable_sound_notifications", ("s"."sandbox_base_container_image")::character varying AS "sandbox_base_container_image", ("s"."sandbox_runtime_container_image")::character varying AS "sandbox_runtime_container_image", (s.settings_version)::integer AS "user_version", (CASE WHEN a.settings_id IS NULL THEN u.accepted_tos ELSE a.accepted_tos END)::timestamp without time zone AS "accepted_tos", ("s"."enable_proactive_conversation_starters")::boolean AS "enable_proactive_conversation_starters", ("s"."mcp_config")::json AS "mcp_config", ("s"."search_api_key")::character varying AS "search_api_key", ("s"."max_budget_per_task")::double precision AS "max_budget_per_task", ("s"."sandbox_api_key")::character varying AS "sandbox_api_key", ("s"."enable_solvability_analysis")::boolean AS "enable_solvability_analysis", ("s"."email")::character varying AS "email", ("s"."email_verified")::boolean AS "email_verified", ("s"."llm_api_key_for_byor")::character varying AS "llm_api_key_for_byor", ("s"."git_user_name")::character varying AS "git_user_name", ("s"."git_user_email")::character varying AS "git_user_email", ("s"."condenser_max_size")::integer AS "condenser_max_size" FROM "public"."settings" s LEFT JOIN "public"."user_settings_apart" a ON a.settings_id = s.id LEFT JOIN "public"."user" u ON u.keycloak_user_id = s.keycloak_user_id WHERE (s.keycloak_user_id IS NOT NULL OR a.settings_id IS NOT NULL) AND "s"."id" = (cf_now)."id" INTO cf_now;
    IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'a row of user_settings does not read back after it was put; its lens maps it to nothing'; END IF;
    cf_done := cf_done || cf_now;
    RETURN NEXT cf_now;
  END LOOP;
  IF cf_mirror THEN PERFORM crossfade."move_legacy_user_settings_00000000"(cf_froms, cf_tos, true); END IF;
  IF cf_mirror THEN
    FOREACH cf_now IN ARRAY cf_done LOOP
  IF cf_mirror THEN PERFORM crossfade."follow_user_settings_00000000"(cf_now, NULL, true, true); END IF;
    END LOOP;
  END IF;
END
$crossfade$;
