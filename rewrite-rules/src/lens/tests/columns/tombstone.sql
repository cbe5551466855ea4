CREATE OR REPLACE FUNCTION crossfade."tombstone_iso_agents_00000000"(cf_image "public"."iso_agents") RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  PERFORM crossfade.tombstone('iso_agents', '"public"."iso_agents"', jsonb_build_array((cf_image)."id"::text));
END
$crossfade$;
