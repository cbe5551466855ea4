DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."rekey_user_settings_00000000"(cf_olds crossfade."image_user_settings_00000000"[], cf_images crossfade."image_user_settings_00000000"[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old crossfade."image_user_settings_00000000";
  cf_image crossfade."image_user_settings_00000000";
  cf_unsure boolean;
  cf_own double precision;
  cf_patience double precision;
  cf_tries integer;
  cf_since timestamptz;
  cf_told text;
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  PERFORM 1 FROM unnest(cf_images) WITH ORDINALITY AS cf_n
    JOIN unnest(cf_olds) WITH ORDINALITY AS cf_o
    ON cf_n."id" = cf_o."id" AND cf_n.ordinality < cf_o.ordinality;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = 'rows of user_settings exchange their keys in one statement, which crossfade cannot carry over to the unified tables',
      HINT = 'Move them in statements of their own, one of them by way of a key that nobody has.';
  END IF;
  cf_own := CASE current_setting('lock_timeout') WHEN '0' THEN 0
    ELSE extract(epoch FROM current_setting('lock_timeout')::interval) * 1000 END;
  cf_patience := greatest(1, extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500);
  IF cf_own > 0 AND cf_own < cf_patience THEN cf_patience := cf_own; END IF;
  FOR cf_i IN 1 .. cardinality(cf_images) LOOP
    cf_old := cf_olds[cf_i];
    cf_image := cf_images[cf_i];
    IF NOT cf_record THEN
    cf_unsure := false;
    IF (cf_old)."id" IS DISTINCT FROM (cf_image)."id" THEN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      BEGIN
        PERFORM crossfade."put_one_user_settings_00000000"(cf_old);
      EXCEPTION WHEN OTHERS THEN
        IF left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX') OR SQLSTATE = '55P03' THEN RAISE; END IF;
        cf_unsure := true;
      END;
    END IF;
    END IF;
    PERFORM crossfade."rekey_one_user_settings_00000000"(cf_old, cf_image);
    PERFORM crossfade."put_one_user_settings_00000000"(cf_image);
    IF (cf_old)."id" IS DISTINCT FROM (cf_image)."id" THEN
    IF current_setting('transaction_isolation') <> 'read committed'
      AND (cf_unsure OR has_function_privilege('crossfade."tombstone_user_settings_00000000"(crossfade."image_user_settings_00000000")', 'EXECUTE')) THEN
      PERFORM crossfade."tombstone_user_settings_00000000"(ROW(cf_n."id", cf_n."keycloak_user_id", cf_n."language", cf_n."agent", cf_n."max_iterations", cf_n."security_analyzer", cf_n."confirmation_mode", cf_n."llm_model", cf_n."llm_api_key", cf_n."llm_base_url", cf_n."remote_runtime_resource_factor", cf_n."enable_default_condenser", cf_n."user_consents_to_analytics", cf_n."billing_margin", cf_n."enable_sound_notifications", cf_n."sandbox_base_container_image", cf_n."sandbox_runtime_container_image", cf_n."user_version", cf_n."accepted_tos", cf_n."enable_proactive_conversation_starters", cf_n."mcp_config", cf_n."search_api_key", cf_n."max_budget_per_task", cf_n."sandbox_api_key", cf_n."enable_solvability_analysis", cf_n."email", cf_n."email_verified", cf_n."llm_api_key_for_byor", cf_n."git_user_name", cf_n."git_user_email", cf_n."condenser_max_size")::crossfade."image_user_settings_00000000") FROM unnest(ARRAY[cf_old]) AS cf_n;
    END IF;
    END IF;
      CONTINUE;
    END IF;
    cf_tries := 0;
    LOOP
    cf_since := clock_timestamp();
    DECLARE
      cf_looks boolean := crossfade."look_now_user_settings_00000000"(true, cf_patience);
    BEGIN
      cf_told := set_config('lock_timeout', ceil(cf_patience)::text, true);
    cf_unsure := false;
    IF (cf_old)."id" IS DISTINCT FROM (cf_image)."id" THEN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      BEGIN
        PERFORM crossfade."put_one_user_settings_00000000"(cf_old);
      EXCEPTION WHEN OTHERS THEN
        IF left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX') OR SQLSTATE = '55P03' THEN RAISE; END IF;
        cf_unsure := true;
      END;
    END IF;
    END IF;
    PERFORM crossfade."rekey_one_user_settings_00000000"(cf_old, cf_image);
    PERFORM crossfade."put_one_user_settings_00000000"(cf_image);
    IF (cf_old)."id" IS DISTINCT FROM (cf_image)."id" THEN
    IF current_setting('transaction_isolation') <> 'read committed'
      AND (cf_unsure OR has_function_privilege('crossfade."tombstone_user_settings_00000000"(crossfade."image_user_settings_00000000")', 'EXECUTE')) THEN
      PERFORM crossfade."tombstone_user_settings_00000000"(ROW(cf_n."id", cf_n."keycloak_user_id", cf_n."language", cf_n."agent", cf_n."max_iterations", cf_n."security_analyzer", cf_n."confirmation_mode", cf_n."llm_model", cf_n."llm_api_key", cf_n."llm_base_url", cf_n."remote_runtime_resource_factor", cf_n."enable_default_condenser", cf_n."user_consents_to_analytics", cf_n."billing_margin", cf_n."enable_sound_notifications", cf_n."sandbox_base_container_image", cf_n."sandbox_runtime_container_image", cf_n."user_version", cf_n."accepted_tos", cf_n."enable_proactive_conversation_starters", cf_n."mcp_config", cf_n."search_api_key", cf_n."max_budget_per_task", cf_n."sandbox_api_key", cf_n."enable_solvability_analysis", cf_n."email", cf_n."email_verified", cf_n."llm_api_key_for_byor", cf_n."git_user_name", cf_n."git_user_email", cf_n."condenser_max_size")::crossfade."image_user_settings_00000000") FROM unnest(ARRAY[cf_old]) AS cf_n;
    END IF;
    END IF;
      IF cf_looks THEN PERFORM crossfade."look_now_user_settings_00000000"(false, NULL); END IF;
      cf_told := set_config('lock_timeout', cf_own::text, true);
      EXIT;
    EXCEPTION WHEN OTHERS THEN
      IF left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX') AND SQLSTATE <> '40P01' THEN RAISE; END IF;
      cf_tries := cf_tries + 1;
      CONTINUE WHEN SQLSTATE = '55P03'
        AND extract(epoch FROM clock_timestamp() - cf_since) * 1000 >= cf_patience
        AND (cf_own = 0 OR cf_tries * cf_patience < cf_own)
        AND NOT EXISTS (
          WITH RECURSIVE cf_waits AS MATERIALIZED (
            SELECT cf_l.pid, pg_blocking_pids(cf_l.pid) AS cf_for FROM pg_locks AS cf_l WHERE NOT cf_l.granted),
          cf_behind (pid) AS (
            SELECT pg_backend_pid()
            UNION SELECT cf_w.pid FROM cf_behind AS cf_b JOIN cf_waits AS cf_w ON cf_b.pid = ANY (cf_w.cf_for))
          SELECT 1 FROM cf_behind AS cf_b JOIN pg_locks AS cf_l ON cf_l.pid = cf_b.pid
            WHERE cf_b.pid <> pg_backend_pid() AND cf_l.granted AND cf_l.mode <> 'AccessShareLock'
            AND cf_l.relation IN ('"public"."settings"'::regclass, '"public"."user"'::regclass, '"public"."org"'::regclass, '"public"."org_user"'::regclass, '"public"."user_settings_apart"'::regclass));
      IF SQLSTATE = '55P03' THEN cf_patience := greatest(1, cf_patience / 4); END IF;
      PERFORM crossfade."record_user_settings_00000000"(cf_image, SQLERRM, SQLSTATE);
      IF (cf_old)."id" IS DISTINCT FROM (cf_image)."id" THEN PERFORM crossfade."record_user_settings_00000000"(cf_old, SQLERRM, SQLSTATE); END IF;
      EXIT;
    END;
    END LOOP;
  END LOOP;
  RETURN true;
END
$crossfade$;
