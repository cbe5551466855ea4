CREATE OR REPLACE FUNCTION crossfade."record_iso_agents_00000000"(cf_image "public"."iso_agents", cf_reason text, cf_sqlstate text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  PERFORM crossfade.record_divergence('iso_agents', '"public"."iso_agents"', jsonb_build_array((cf_image)."id"::text), cf_reason, cf_sqlstate);
END
$crossfade$;
