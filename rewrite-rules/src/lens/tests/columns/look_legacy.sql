CREATE OR REPLACE FUNCTION crossfade."look_legacy_iso_agents_00000000"() RETURNS void
LANGUAGE plpgsql VOLATILE AS $crossfade$
DECLARE
  cf_of pg_catalog.oid[] := ARRAY[pg_catalog.to_regclass('"public"."iso_agents"')];
  cf_all text;
  cf_deferred text;
BEGIN
  SELECT pg_catalog.string_agg(n.name, ', '), pg_catalog.string_agg(n.name, ', ') FILTER (WHERE n.deferred)
    INTO cf_all, cf_deferred FROM (SELECT DISTINCT pg_catalog.format('%I.%I', s.nspname, c.conname) AS name,
      c.condeferred AS deferred FROM pg_catalog.pg_constraint AS c JOIN pg_catalog.pg_namespace AS s
      ON s.oid = c.connamespace WHERE c.contype = 'f' AND c.condeferrable
      AND (c.conrelid = ANY (cf_of) OR c.confrelid = ANY (cf_of))) AS n;
  IF cf_all IS NOT NULL THEN
    EXECUTE 'SET CONSTRAINTS ' || cf_all || ' IMMEDIATE';
  END IF;
  IF cf_deferred IS NOT NULL THEN
    EXECUTE 'SET CONSTRAINTS ' || cf_deferred || ' DEFERRED';
  END IF;
END
$crossfade$;
