DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."move_legacy_user_settings_00000000"(cf_olds crossfade."image_user_settings_00000000"[], cf_images crossfade."image_user_settings_00000000"[], cf_excuse boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old crossfade."image_user_settings_00000000";
  cf_image crossfade."image_user_settings_00000000";
BEGIN
  IF coalesce(cardinality(cf_images), 0) = 0 THEN RETURN true; END IF;
  IF NOT cf_excuse OR NOT crossfade."is_stale_user_settings_00000000"(false) THEN
    UPDATE "public"."user_settings" AS cf_t SET "id" = cf_p.cf_n1 FROM ROWS FROM (unnest(cf_olds), unnest(cf_images)) WITH ORDINALITY AS cf_p (cf_o1, cf_o2, cf_o3, cf_o4, cf_o5, cf_o6, cf_o7, cf_o8, cf_o9, cf_o10, cf_o11, cf_o12, cf_o13, cf_o14, cf_o15, cf_o16, cf_o17, cf_o18, cf_o19, cf_o20, cf_o21, cf_o22, cf_o23, cf_o24, cf_o25, cf_o26, cf_o27, cf_o28, cf_o29, cf_o30, cf_o31, cf_n1, cf_n2, cf_n3, cf_n4, cf_n5, cf_n6, cf_n7, cf_n8, cf_n9, cf_n10, cf_n11, cf_n12, cf_n13, cf_n14, cf_n15, cf_n16, cf_n17, cf_n18, cf_n19, cf_n20, cf_n21, cf_n22, cf_n23, cf_n24, cf_n25, cf_n26, cf_n27, cf_n28, cf_n29, cf_n30, cf_n31, cf_at) WHERE cf_t."id" = cf_p.cf_o1;
    RETURN true;
  END IF;
  DECLARE
    cf_looks boolean := crossfade."look_legacy_user_settings_00000000"(true, NULL);
  BEGIN
    UPDATE "public"."user_settings" AS cf_t SET "id" = cf_p.cf_n1 FROM ROWS FROM (unnest(cf_olds), unnest(cf_images)) WITH ORDINALITY AS cf_p (cf_o1, cf_o2, cf_o3, cf_o4, cf_o5, cf_o6, cf_o7, cf_o8, cf_o9, cf_o10, cf_o11, cf_o12, cf_o13, cf_o14, cf_o15, cf_o16, cf_o17, cf_o18, cf_o19, cf_o20, cf_o21, cf_o22, cf_o23, cf_o24, cf_o25, cf_o26, cf_o27, cf_o28, cf_o29, cf_o30, cf_o31, cf_n1, cf_n2, cf_n3, cf_n4, cf_n5, cf_n6, cf_n7, cf_n8, cf_n9, cf_n10, cf_n11, cf_n12, cf_n13, cf_n14, cf_n15, cf_n16, cf_n17, cf_n18, cf_n19, cf_n20, cf_n21, cf_n22, cf_n23, cf_n24, cf_n25, cf_n26, cf_n27, cf_n28, cf_n29, cf_n30, cf_n31, cf_at) WHERE cf_t."id" = cf_p.cf_o1;
    IF cf_looks THEN PERFORM crossfade."look_legacy_user_settings_00000000"(false, NULL); END IF;
    RETURN true;
  EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
    NULL;
  END;
  IF NOT crossfade."is_stale_user_settings_00000000"(true) THEN
    UPDATE "public"."user_settings" AS cf_t SET "id" = cf_p.cf_n1 FROM ROWS FROM (unnest(cf_olds), unnest(cf_images)) WITH ORDINALITY AS cf_p (cf_o1, cf_o2, cf_o3, cf_o4, cf_o5, cf_o6, cf_o7, cf_o8, cf_o9, cf_o10, cf_o11, cf_o12, cf_o13, cf_o14, cf_o15, cf_o16, cf_o17, cf_o18, cf_o19, cf_o20, cf_o21, cf_o22, cf_o23, cf_o24, cf_o25, cf_o26, cf_o27, cf_o28, cf_o29, cf_o30, cf_o31, cf_n1, cf_n2, cf_n3, cf_n4, cf_n5, cf_n6, cf_n7, cf_n8, cf_n9, cf_n10, cf_n11, cf_n12, cf_n13, cf_n14, cf_n15, cf_n16, cf_n17, cf_n18, cf_n19, cf_n20, cf_n21, cf_n22, cf_n23, cf_n24, cf_n25, cf_n26, cf_n27, cf_n28, cf_n29, cf_n30, cf_n31, cf_at) WHERE cf_t."id" = cf_p.cf_o1;
    RETURN true;
  END IF;
  FOR cf_i IN 1 .. cardinality(cf_images) LOOP
    cf_old := cf_olds[cf_i];
    cf_image := cf_images[cf_i];
    DECLARE
      cf_looks boolean := crossfade."look_legacy_user_settings_00000000"(true, NULL);
    BEGIN
      UPDATE "public"."user_settings" AS cf_t SET "id" = cf_p.cf_n1 FROM ROWS FROM (unnest(ARRAY[cf_old]), unnest(ARRAY[cf_image])) WITH ORDINALITY AS cf_p (cf_o1, cf_o2, cf_o3, cf_o4, cf_o5, cf_o6, cf_o7, cf_o8, cf_o9, cf_o10, cf_o11, cf_o12, cf_o13, cf_o14, cf_o15, cf_o16, cf_o17, cf_o18, cf_o19, cf_o20, cf_o21, cf_o22, cf_o23, cf_o24, cf_o25, cf_o26, cf_o27, cf_o28, cf_o29, cf_o30, cf_o31, cf_n1, cf_n2, cf_n3, cf_n4, cf_n5, cf_n6, cf_n7, cf_n8, cf_n9, cf_n10, cf_n11, cf_n12, cf_n13, cf_n14, cf_n15, cf_n16, cf_n17, cf_n18, cf_n19, cf_n20, cf_n21, cf_n22, cf_n23, cf_n24, cf_n25, cf_n26, cf_n27, cf_n28, cf_n29, cf_n30, cf_n31, cf_at) WHERE cf_t."id" = cf_p.cf_o1;
      IF cf_looks THEN PERFORM crossfade."look_legacy_user_settings_00000000"(false, NULL); END IF;
    EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
      PERFORM crossfade."record_user_settings_00000000"(cf_image, SQLERRM, SQLSTATE);
      PERFORM crossfade."record_user_settings_00000000"(cf_old, SQLERRM, SQLSTATE);
    END;
  END LOOP;
  RETURN true;
END
$crossfade$;
