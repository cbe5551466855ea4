DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."insert_user_settings_00000000"(cf_images crossfade."image_user_settings_00000000"[], cf_arbiter text, cf_skip text[], cf_mirror boolean) RETURNS SETOF crossfade."image_user_settings_00000000"
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image crossfade."image_user_settings_00000000";
  cf_now crossfade."image_user_settings_00000000";
  cf_constraint text;
BEGIN
  FOREACH cf_image IN ARRAY coalesce(cf_images, '{}') LOOP
    IF cf_skip IS NULL THEN
      cf_now := crossfade."insert_one_user_settings_00000000"(cf_image, cf_mirror);
    ELSE
      IF cf_arbiter IS NOT NULL THEN
        PERFORM crossfade."accept_user_settings_00000000"(cf_image);
    IF cf_arbiter = 'user_settings_pkey' THEN
      SELECT ("s"."id")::integer AS "id", ("s"."keycloak_user_id")::character varying AS "keycloak_user_id", ("s"."language")::character varying AS "language", ("s"."agent")::character varying AS "agent", ("s"."max_iterations")::integer AS "max_iterations", ("s"."security_analyzer")::character varying AS "security_analyzer", ("s"."confirmation_mode")::boolean AS "confirmation_mode", ("s"."llm_model")::character varying AS "llm_model", ("s"."llm_api_key")::character varying AS "llm_api_key", ("s"."llm_base_url")::character varying AS "llm_base_url", ("s"."remote_runtime_resource_factor")::integer AS "remote_runtime_resource_factor", ("s"."enable_default_condenser")::boolean AS "enable_default_condenser", ("s"."user_consents_to_analytics")::boolean AS "user_consents_to_analytics", ("s"."billing_margin")::double precision AS "billing_margin", (CASE WHEN a.settings_id IS NULL THEN u.enable_sound_notifications ELSE a.enable_sound_notifications END)::boolean AS "enable_sound_notifications", ("s"."sandbox_base_container_image")::character varying AS "sandbox_base_container_image", ("s"."sandbox_runtime_container_image")::character varying AS "sandbox_runtime_container_image", (s.settings_version)::integer AS "user_version", (CASE WHEN a.settings_id IS NULL THEN u.accepted_tos ELSE a.accepted_tos END)::timestamp without time zone AS "accepted_tos", ("s"."enable_proactive_conversation_starters")::boolean AS "enable_proactive_conversation_starters", ("s"."mcp_config")::json AS "mcp_config", ("s"."search_api_key")::character varying AS "search_api_key", ("s"."max_budget_per_task")::double precision AS "max_budget_per_task", ("s"."sandbox_api_key")::character varying AS "sandbox_api_key", ("s"."enable_solvability_analysis")::boolean AS "enable_solvability_analysis", ("s"."email")::character varying AS "email", ("s"."email_verified")::boolean AS "email_verified", ("s"."llm_api_key_for_byor")::character varying AS "llm_api_key_for_byor", ("s"."git_user_name")::character varying AS "git_user_name", ("s"."git_user_email")::character varying AS "git_user_email", ("s"."condenser_max_size")::integer AS "condenser_max_size" FROM "public"."settings" s LEFT JOIN "public"."user_settings_apart" a ON a.settings_id = s.id LEFT JOIN "public"."user" u ON u.keycloak_user_id = s.keycloak_user_id WHERE (s.keycloak_user_id IS NOT NULL OR a.settings_id IS NOT NULL) AND "s"."id" = (cf_image)."id" INTO cf_now;
    END IF;
        CONTINUE WHEN NOT cf_now IS NULL;
      END IF;
      BEGIN
        cf_now := crossfade."insert_one_user_settings_00000000"(cf_image, cf_mirror);
      EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS cf_constraint = CONSTRAINT_NAME;
        IF cf_constraint = ANY (cf_skip) THEN CONTINUE; END IF;
    IF cf_arbiter = 'user_settings_pkey' THEN
      SELECT ("s"."id")::integer AS "id", ("s"."keycloak_user_id")::character varying AS "keycloak_user_id", ("s"."language")::character varying AS "language", ("s"."agent")::character varying AS "agent", ("s"."max_iterations")::integer AS "max_iterations", ("s"."security_analyzer")::character varying AS "security_analyzer", ("s"."confirmation_mode")::boolean AS "confirmation_mode", ("s"."llm_model")::character varying AS "llm_model", ("s"."llm_api_key")::character varying AS "llm_api_key", ("s"."llm_base_url")::character varying AS "llm_base_url", ("s"."remote_runtime_resource_factor")::integer AS "remote_runtime_resource_factor", ("s"."enable_default_condenser")::boolean AS "enable_default_condenser", ("s"."user_consents_to_analytics")::boolean AS "user_consents_to_analytics", ("s"."billing_margin")::double precision AS "billing_margin", (CASE WHEN a.settings_id IS NULL THEN u.enable_sound_notifications ELSE a.enable_sound_notifications END)::boolean AS "enable_sound_notifications", ("s"."sandbox_base_container_image")::character varying AS "sandbox_base_container_image", ("s"."sandbox_runtime_container_image")::character varying AS "sandbox_runtime_container_image", (s.settings_version)::integer AS "user_version", (CASE WHEN a.settings_id IS NULL THEN u.accepted_tos ELSE a.accepted_tos END)::timestamp without time zone AS "accepted_tos", ("s"."enable_proactive_conversation_starters")::boolean AS "enable_proactive_conversation_starters", ("s"."mcp_config")::json AS "mcp_config", ("s"."search_api_key")::character varying AS "search_api_key", ("s"."max_budget_per_task")::double precision AS "max_budget_per_task", ("s"."sandbox_api_key")::character varying AS "sandbox_api_key", ("s"."enable_solvability_analysis")::boolean AS "enable_solvability_analysis", ("s"."email")::character varying AS "email", ("s"."email_verified")::boolean AS "email_verified", ("s"."llm_api_key_for_byor")::character varying AS "llm_api_key_for_byor", ("s"."git_user_name")::character varying AS "git_user_name", ("s"."git_user_email")::character varying AS "git_user_email", ("s"."condenser_max_size")::integer AS "condenser_max_size" FROM "public"."settings" s LEFT JOIN "public"."user_settings_apart" a ON a.settings_id = s.id LEFT JOIN "public"."user" u ON u.keycloak_user_id = s.keycloak_user_id WHERE (s.keycloak_user_id IS NOT NULL OR a.settings_id IS NOT NULL) AND "s"."id" = (cf_image)."id" INTO cf_now;
    END IF;
        IF cf_arbiter IS NULL OR cf_now IS NULL THEN RAISE; END IF;
        CONTINUE;
      END;
    END IF;
    RETURN NEXT cf_now;
  END LOOP;
END
$crossfade$;
