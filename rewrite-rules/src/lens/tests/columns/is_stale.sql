CREATE OR REPLACE FUNCTION crossfade."is_stale_iso_agents_00000000"(cf_in_the_way boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  RETURN crossfade.legacy_is_stale('iso_agents', cf_in_the_way);
END
$crossfade$;
