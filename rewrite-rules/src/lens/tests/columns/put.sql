CREATE OR REPLACE FUNCTION crossfade."put_iso_agents_00000000"(cf_images "public"."iso_agents"[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image "public"."iso_agents";
  cf_own double precision;
  cf_patience double precision;
  cf_tries integer;
  cf_since timestamptz;
  cf_told text;
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  IF NOT cf_record THEN
      INSERT INTO "public"."users" AS cf_t ("id", "clerk_user_id", "email", "full_name", "role", "margin_type", "margin_value", "is_active", "metadata", "created_at", "updated_at", "timezone", "phone") OVERRIDING SYSTEM VALUE SELECT cf_n."id", cf_n."clerk_user_id", cf_n."email", cf_n."full_name", CASE cf_n."role" WHEN 'iso_agent'::public.user_role THEN 'sales_rep'::public.user_role WHEN 'admin'::public.user_role THEN 'admin' WHEN 'operator'::public.user_role THEN 'operator' ELSE ('no unified value is mapped for role = ' || (cf_n."role")::text)::integer::text::public.user_role END, cf_n."margin_type", cf_n."margin_value", cf_n."is_active", cf_n."metadata", cf_n."created_at", cf_n."updated_at", coalesce(nullif(cf_n."metadata" ->> 'timezone', ''), 'UTC'), cf_n."metadata" ->> 'phone' FROM unnest(cf_images) AS cf_n ON CONFLICT ("id") DO UPDATE SET "clerk_user_id" = excluded."clerk_user_id", "email" = excluded."email", "full_name" = excluded."full_name", "role" = excluded."role", "margin_type" = excluded."margin_type", "margin_value" = excluded."margin_value", "is_active" = excluded."is_active", "metadata" = excluded."metadata", "created_at" = excluded."created_at", "updated_at" = excluded."updated_at";
    RETURN true;
  END IF;
  cf_own := CASE current_setting('lock_timeout') WHEN '0' THEN 0
    ELSE extract(epoch FROM current_setting('lock_timeout')::interval) * 1000 END;
  cf_patience := greatest(1, extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500);
  IF cf_own > 0 AND cf_own < cf_patience THEN cf_patience := cf_own; END IF;
    cf_tries := 0;
    LOOP
    cf_since := clock_timestamp();
    DECLARE
      cf_looks boolean := crossfade."look_now_iso_agents_00000000"(true, cf_patience);
    BEGIN
      cf_told := set_config('lock_timeout', ceil(cf_patience)::text, true);
      INSERT INTO "public"."users" AS cf_t ("id", "clerk_user_id", "email", "full_name", "role", "margin_type", "margin_value", "is_active", "metadata", "created_at", "updated_at", "timezone", "phone") OVERRIDING SYSTEM VALUE SELECT cf_n."id", cf_n."clerk_user_id", cf_n."email", cf_n."full_name", CASE cf_n."role" WHEN 'iso_agent'::public.user_role THEN 'sales_rep'::public.user_role WHEN 'admin'::public.user_role THEN 'admin' WHEN 'operator'::public.user_role THEN 'operator' ELSE ('no unified value is mapped for role = ' || (cf_n."role")::text)::integer::text::public.user_role END, cf_n."margin_type", cf_n."margin_value", cf_n."is_active", cf_n."metadata", cf_n."created_at", cf_n."updated_at", coalesce(nullif(cf_n."metadata" ->> 'timezone', ''), 'UTC'), cf_n."metadata" ->> 'phone' FROM unnest(cf_images) AS cf_n ON CONFLICT ("id") DO UPDATE SET "clerk_user_id" = excluded."clerk_user_id", "email" = excluded."email", "full_name" = excluded."full_name", "role" = excluded."role", "margin_type" = excluded."margin_type", "margin_value" = excluded."margin_value", "is_active" = excluded."is_active", "metadata" = excluded."metadata", "created_at" = excluded."created_at", "updated_at" = excluded."updated_at";
      IF cf_looks THEN PERFORM crossfade."look_now_iso_agents_00000000"(false, NULL); END IF;
      cf_told := set_config('lock_timeout', cf_own::text, true);
      RETURN true;
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
            AND cf_l.relation IN ('"public"."users"'::regclass));
      IF SQLSTATE = '55P03' THEN cf_patience := greatest(1, cf_patience / 4); END IF;
      NULL;
      EXIT;
    END;
    END LOOP;
  FOREACH cf_image IN ARRAY cf_images LOOP
    cf_tries := 0;
    LOOP
    cf_since := clock_timestamp();
    DECLARE
      cf_looks boolean := crossfade."look_now_iso_agents_00000000"(true, cf_patience);
    BEGIN
      cf_told := set_config('lock_timeout', ceil(cf_patience)::text, true);
      INSERT INTO "public"."users" AS cf_t ("id", "clerk_user_id", "email", "full_name", "role", "margin_type", "margin_value", "is_active", "metadata", "created_at", "updated_at", "timezone", "phone") OVERRIDING SYSTEM VALUE SELECT cf_n."id", cf_n."clerk_user_id", cf_n."email", cf_n."full_name", CASE cf_n."role" WHEN 'iso_agent'::public.user_role THEN 'sales_rep'::public.user_role WHEN 'admin'::public.user_role THEN 'admin' WHEN 'operator'::public.user_role THEN 'operator' ELSE ('no unified value is mapped for role = ' || (cf_n."role")::text)::integer::text::public.user_role END, cf_n."margin_type", cf_n."margin_value", cf_n."is_active", cf_n."metadata", cf_n."created_at", cf_n."updated_at", coalesce(nullif(cf_n."metadata" ->> 'timezone', ''), 'UTC'), cf_n."metadata" ->> 'phone' FROM unnest(ARRAY[cf_image]) AS cf_n ON CONFLICT ("id") DO UPDATE SET "clerk_user_id" = excluded."clerk_user_id", "email" = excluded."email", "full_name" = excluded."full_name", "role" = excluded."role", "margin_type" = excluded."margin_type", "margin_value" = excluded."margin_value", "is_active" = excluded."is_active", "metadata" = excluded."metadata", "created_at" = excluded."created_at", "updated_at" = excluded."updated_at";
      IF cf_looks THEN PERFORM crossfade."look_now_iso_agents_00000000"(false, NULL); END IF;
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
            AND cf_l.relation IN ('"public"."users"'::regclass));
      IF SQLSTATE = '55P03' THEN cf_patience := greatest(1, cf_patience / 4); END IF;
      PERFORM crossfade."record_iso_agents_00000000"(cf_image, SQLERRM, SQLSTATE);
      EXIT;
    END;
    END LOOP;
  END LOOP;
  RETURN true;
END
$crossfade$;
