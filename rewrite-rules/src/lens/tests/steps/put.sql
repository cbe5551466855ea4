DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_user_settings_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_user_settings_00000000" ("id" integer, "keycloak_user_id" character varying, "language" character varying, "agent" character varying, "max_iterations" integer, "security_analyzer" character varying, "confirmation_mode" boolean, "llm_model" character varying, "llm_api_key" character varying, "llm_base_url" character varying, "remote_runtime_resource_factor" integer, "enable_default_condenser" boolean, "user_consents_to_analytics" boolean, "billing_margin" double precision, "enable_sound_notifications" boolean, "sandbox_base_container_image" character varying, "sandbox_runtime_container_image" character varying, "user_version" integer, "accepted_tos" timestamp without time zone, "enable_proactive_conversation_starters" boolean, "mcp_config" json, "search_api_key" character varying, "max_budget_per_task" double precision, "sandbox_api_key" character varying, "enable_solvability_analysis" boolean, "email" character varying, "email_verified" boolean, "llm_api_key_for_byor" character varying, "git_user_name" character varying, "git_user_email" character varying, "condenser_max_size" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_user_settings_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."put_user_settings_00000000"(cf_images crossfade."image_user_settings_00000000"[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image crossfade."image_user_settings_00000000";
  cf_own double precision;
  cf_patience double precision;
  cf_tries integer;
  cf_since timestamptz;
  cf_told text;
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  cf_own := CASE current_setting('lock_timeout') WHEN '0' THEN 0
    ELSE extract(epoch FROM current_setting('lock_timeout')::interval) * 1000 END;
  cf_patience := greatest(1, extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500);
  IF cf_own > 0 AND cf_own < cf_patience THEN cf_patience := cf_own; END IF;
  FOR cf_image IN SELECT * FROM unnest(cf_images) AS cf_i ORDER BY cf_i."id" LOOP
    IF NOT cf_record THEN
      PERFORM crossfade."put_one_user_settings_00000000"(cf_image);
      CONTINUE;
    END IF;
    cf_tries := 0;
    LOOP
    cf_since := clock_timestamp();
    DECLARE
      cf_looks boolean := crossfade."look_now_user_settings_00000000"(true, cf_patience);
    BEGIN
      cf_told := set_config('lock_timeout', ceil(cf_patience)::text, true);
      PERFORM crossfade."put_one_user_settings_00000000"(cf_image);
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
      EXIT;
    END;
    END LOOP;
  END LOOP;
  RETURN true;
END
$crossfade$;
