DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."enter_user_settings_00000000"(cf_given crossfade."image_user_settings_00000000", cf_arbiter text, cf_names text[], cf_done text[], cf_mirror boolean, OUT cf_there boolean, OUT cf_row crossfade."image_user_settings_00000000")
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image crossfade."image_user_settings_00000000" := cf_given;
  cf_found crossfade."image_user_settings_00000000";
  cf_constraint text;
  cf_tries integer := 0;
BEGIN
  PERFORM crossfade."accept_user_settings_00000000"(cf_image);
  LOOP
    IF cf_arbiter = 'user_settings_pkey' THEN
      SELECT ("s"."id")::integer AS "id", ("s"."keycloak_user_id")::character varying AS "keycloak_user_id", ("s"."language")::character varying AS "language", ("s"."agent")::character varying AS "agent", ("s"."max_iterations")::integer AS "max_iterations", ("s"."security_analyzer")::character varying AS "security_analyzer", ("s"."confirmation_mode")::boolean AS "confirmation_mode", ("s"."llm_model")::character varying AS "llm_model", ("s"."llm_api_key")::character varying AS "llm_api_key", ("s"."llm_base_url")::character varying AS "llm_base_url", ("s"."remote_runtime_resource_factor")::integer AS "remote_runtime_resource_factor", ("s"."enable_default_condenser")::boolean AS "enable_default_condenser", ("s"."user_consents_to_analytics")::boolean AS "user_consents_to_analytics", ("s"."billing_margin")::double precision AS "billing_margin", (CASE WHEN a.settings_id IS NULL THEN u.enable_sound_notifications ELSE a.enable_sound_notifications END)::boolean AS "enable_sound_notifications", ("s"."sandbox_base_container_image")::character varying AS "sandbox_base_container_image", ("s"."sandbox_runtime_container_image")::character varying AS "sandbox_runtime_container_image", (s.settings_version)::integer AS "user_version", (CASE WHEN a.settings_id IS NULL THEN u.accepted_tos ELSE a.accepted_tos END)::timestamp without time zone AS "accepted_tos", ("s"."enable_proactive_conversation_starters")::boolean AS "enable_proactive_conversation_starters", ("s"."mcp_config")::json AS "mcp_config", ("s"."search_api_key")::character varying AS "search_api_key", ("s"."max_budget_per_task")::double precision AS "max_budget_per_task", ("s"."sandbox_api_key")::character varying AS "sandbox_api_key", ("s"."enable_solvability_analysis")::boolean AS "enable_solvability_analysis", ("s"."email")::character varying AS "email", ("s"."email_verified")::boolean AS "email_verified", ("s"."llm_api_key_for_byor")::character varying AS "llm_api_key_for_byor", ("s"."git_user_name")::character varying AS "git_user_name", ("s"."git_user_email")::character varying AS "git_user_email", ("s"."condenser_max_size")::integer AS "condenser_max_size" FROM "public"."settings" s LEFT JOIN "public"."user_settings_apart" a ON a.settings_id = s.id LEFT JOIN "public"."user" u ON u.keycloak_user_id = s.keycloak_user_id WHERE (s.keycloak_user_id IS NOT NULL OR a.settings_id IS NOT NULL) AND "s"."id" = (cf_image)."id" INTO cf_row;
    END IF;
    IF cf_row IS NULL THEN
      BEGIN
        cf_row := crossfade."insert_one_user_settings_00000000"(cf_image, cf_mirror);
        cf_there := false;
        RETURN;
      EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS cf_constraint = CONSTRAINT_NAME;
        IF cf_constraint <> ALL (cf_names) OR cf_tries >= 5 THEN
    IF cf_arbiter = 'user_settings_pkey' THEN
      SELECT ("s"."id")::integer AS "id", ("s"."keycloak_user_id")::character varying AS "keycloak_user_id", ("s"."language")::character varying AS "language", ("s"."agent")::character varying AS "agent", ("s"."max_iterations")::integer AS "max_iterations", ("s"."security_analyzer")::character varying AS "security_analyzer", ("s"."confirmation_mode")::boolean AS "confirmation_mode", ("s"."llm_model")::character varying AS "llm_model", ("s"."llm_api_key")::character varying AS "llm_api_key", ("s"."llm_base_url")::character varying AS "llm_base_url", ("s"."remote_runtime_resource_factor")::integer AS "remote_runtime_resource_factor", ("s"."enable_default_condenser")::boolean AS "enable_default_condenser", ("s"."user_consents_to_analytics")::boolean AS "user_consents_to_analytics", ("s"."billing_margin")::double precision AS "billing_margin", (CASE WHEN a.settings_id IS NULL THEN u.enable_sound_notifications ELSE a.enable_sound_notifications END)::boolean AS "enable_sound_notifications", ("s"."sandbox_base_container_image")::character varying AS "sandbox_base_container_image", ("s"."sandbox_runtime_container_image")::character varying AS "sandbox_runtime_container_image", (s.settings_version)::integer AS "user_version", (CASE WHEN a.settings_id IS NULL THEN u.accepted_tos ELSE a.accepted_tos END)::timestamp without time zone AS "accepted_tos", ("s"."enable_proactive_conversation_starters")::boolean AS "enable_proactive_conversation_starters", ("s"."mcp_config")::json AS "mcp_config", ("s"."search_api_key")::character varying AS "search_api_key", ("s"."max_budget_per_task")::double precision AS "max_budget_per_task", ("s"."sandbox_api_key")::character varying AS "sandbox_api_key", ("s"."enable_solvability_analysis")::boolean AS "enable_solvability_analysis", ("s"."email")::character varying AS "email", ("s"."email_verified")::boolean AS "email_verified", ("s"."llm_api_key_for_byor")::character varying AS "llm_api_key_for_byor", ("s"."git_user_name")::character varying AS "git_user_name", ("s"."git_user_email")::character varying AS "git_user_email", ("s"."condenser_max_size")::integer AS "condenser_max_size" FROM "public"."settings" s LEFT JOIN "public"."user_settings_apart" a ON a.settings_id = s.id LEFT JOIN "public"."user" u ON u.keycloak_user_id = s.keycloak_user_id WHERE (s.keycloak_user_id IS NOT NULL OR a.settings_id IS NOT NULL) AND "s"."id" = (cf_image)."id" INTO cf_row;
    END IF;
          IF cf_row IS NULL THEN RAISE; END IF;
        END IF;
        IF current_setting('transaction_isolation') <> 'read committed' THEN
      RAISE EXCEPTION USING ERRCODE = '40001',
        MESSAGE = 'could not serialize access due to concurrent update',
        HINT = 'A row with these values came after this transaction''s snapshot; run it again.';
        END IF;
        cf_tries := cf_tries + 1;
      END;
      CONTINUE;
    END IF;
    cf_found := cf_row;
    CONTINUE WHEN crossfade."lock_one_user_settings_00000000"(cf_found, cf_mirror) IS NULL;
    IF cf_arbiter = 'user_settings_pkey' THEN
      SELECT ("s"."id")::integer AS "id", ("s"."keycloak_user_id")::character varying AS "keycloak_user_id", ("s"."language")::character varying AS "language", ("s"."agent")::character varying AS "agent", ("s"."max_iterations")::integer AS "max_iterations", ("s"."security_analyzer")::character varying AS "security_analyzer", ("s"."confirmation_mode")::boolean AS "confirmation_mode", ("s"."llm_model")::character varying AS "llm_model", ("s"."llm_api_key")::character varying AS "llm_api_key", ("s"."llm_base_url")::character varying AS "llm_base_url", ("s"."remote_runtime_resource_factor")::integer AS "remote_runtime_resource_factor", ("s"."enable_default_condenser")::boolean AS "enable_default_condenser", ("s"."user_consents_to_analytics")::boolean AS "user_consents_to_analytics", ("s"."billing_margin")::double precision AS "billing_margin", (CASE WHEN a.settings_id IS NULL THEN u.enable_sound_notifications ELSE a.enable_sound_notifications END)::boolean AS "enable_sound_notifications", ("s"."sandbox_base_container_image")::character varying AS "sandbox_base_container_image", ("s"."sandbox_runtime_container_image")::character varying AS "sandbox_runtime_container_image", (s.settings_version)::integer AS "user_version", (CASE WHEN a.settings_id IS NULL THEN u.accepted_tos ELSE a.accepted_tos END)::timestamp without time zone AS "accepted_tos", ("s"."enable_proactive_conversation_starters")::boolean AS "enable_proactive_conversation_starters", ("s"."mcp_config")::json AS "mcp_config", ("s"."search_api_key")::character varying AS "search_api_key", ("s"."max_budget_per_task")::double precision AS "max_budget_per_task", ("s"."sandbox_api_key")::character varying AS "sandbox_api_key", ("s"."enable_solvability_analysis")::boolean AS "enable_solvability_analysis", ("s"."email")::character varying AS "email", ("s"."email_verified")::boolean AS "email_verified", ("s"."llm_api_key_for_byor")::character varying AS "llm_api_key_for_byor", ("s"."git_user_name")::character varying AS "git_user_name", ("s"."git_user_email")::character varying AS "git_user_email", ("s"."condenser_max_size")::integer AS "condenser_max_size" FROM "public"."settings" s LEFT JOIN "public"."user_settings_apart" a ON a.settings_id = s.id LEFT JOIN "public"."user" u ON u.keycloak_user_id = s.keycloak_user_id WHERE (s.keycloak_user_id IS NOT NULL OR a.settings_id IS NOT NULL) AND "s"."id" = (cf_image)."id" INTO cf_row;
    END IF;
    CONTINUE WHEN cf_row IS NULL OR ROW((cf_row)."id") IS DISTINCT FROM ROW((cf_found)."id");
    IF ROW((cf_row)."id")::text = ANY (cf_done) THEN
      RAISE EXCEPTION USING ERRCODE = '21000',
        MESSAGE = 'ON CONFLICT DO UPDATE command cannot affect row a second time',
        HINT = 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.';
    END IF;
    cf_there := true;
    RETURN;
  END LOOP;
END
$crossfade$;
