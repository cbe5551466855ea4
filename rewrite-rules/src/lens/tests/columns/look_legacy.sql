CREATE OR REPLACE FUNCTION crossfade."look_legacy_iso_agents_00000000"(cf_before boolean, cf_patience double precision) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
DECLARE
  cf_of pg_catalog.oid[] := ARRAY[pg_catalog.to_regclass('"public"."iso_agents"')];
  cf_deferred text;
  cf_others text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = ANY (cf_of) AND t.tgdeferrable) THEN
    RETURN false;
  END IF;
  SELECT pg_catalog.string_agg(n.name, ', ') FILTER (WHERE n.deferred), pg_catalog.string_agg(n.name, ', ') FILTER (WHERE NOT n.deferred)
    INTO cf_deferred, cf_others FROM (SELECT DISTINCT pg_catalog.format('%I.%I', s.nspname, c.conname) AS name,
      c.condeferred AS deferred FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_constraint AS c ON c.oid = t.tgconstraint
      JOIN pg_catalog.pg_namespace AS s ON s.oid = c.connamespace
      WHERE t.tgrelid = ANY (cf_of) AND t.tgdeferrable AND c.contype IN ('f', 'p', 'u', 'x')) AS n;
  IF cf_deferred IS NULL AND cf_others IS NULL THEN RETURN false; END IF;
  IF NOT cf_before THEN
    IF cf_deferred IS NOT NULL THEN
      EXECUTE 'SET CONSTRAINTS ' || cf_deferred || ' IMMEDIATE';
      EXECUTE 'SET CONSTRAINTS ' || cf_deferred || ' DEFERRED';
    END IF;
    IF cf_others IS NOT NULL THEN
      BEGIN
        EXECUTE 'SET CONSTRAINTS ' || cf_others || ' IMMEDIATE';
        RAISE SQLSTATE 'CF001';
      EXCEPTION WHEN SQLSTATE 'CF001' THEN NULL;
      END;
    END IF;
    RETURN true;
  END IF;
  BEGIN
    IF cf_patience IS NOT NULL THEN PERFORM pg_catalog.set_config('lock_timeout', pg_catalog.ceil(cf_patience)::text, true); END IF;
    EXECUTE 'SET CONSTRAINTS ' || pg_catalog.concat_ws(', ', cf_deferred, cf_others) || ' IMMEDIATE';
    RAISE SQLSTATE 'CF001';
  EXCEPTION WHEN SQLSTATE 'CF001' THEN
    RETURN true;
  WHEN integrity_constraint_violation OR lock_not_available OR deadlock_detected THEN
    RETURN false;
  END;
END
$crossfade$;
