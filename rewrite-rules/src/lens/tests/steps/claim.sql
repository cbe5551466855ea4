CREATE OR REPLACE FUNCTION crossfade."claim_user_settings_00000000"(cf_of text, cf_values jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  PERFORM crossfade.claim('user_settings', '"public"."user_settings"' || cf_of, cf_values);
END
$crossfade$;
