CREATE OR REPLACE FUNCTION crossfade."record_user_settings_00000000"(cf_image crossfade."image_user_settings_00000000", cf_reason text, cf_sqlstate text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  PERFORM crossfade.record_divergence('user_settings', '"public"."user_settings"', jsonb_build_array((cf_image)."id"::text), cf_reason, cf_sqlstate);
END
$crossfade$;
