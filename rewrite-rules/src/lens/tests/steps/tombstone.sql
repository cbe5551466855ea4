CREATE OR REPLACE FUNCTION crossfade."tombstone_user_settings_00000000"(cf_image crossfade."image_user_settings_00000000") RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  PERFORM crossfade.tombstone('user_settings', '"public"."user_settings"', jsonb_build_array((cf_image)."id"::text));
END
$crossfade$;
