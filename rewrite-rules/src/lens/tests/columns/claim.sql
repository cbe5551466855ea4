CREATE OR REPLACE FUNCTION crossfade."claim_iso_agents_00000000"(cf_of text, cf_values jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  PERFORM crossfade.claim('iso_agents', '"public"."iso_agents"' || cf_of, cf_values);
END
$crossfade$;
