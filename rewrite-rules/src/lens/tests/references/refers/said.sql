DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_staff_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_staff_00000000" ("id" integer, "nr" integer, "first" character varying, "last" text, "pay" numeric(6,2), "called" text, "yearly" numeric(9,2), "house" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_staff_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."said_staff_00000000"(cf_image crossfade."image_staff_00000000") RETURNS crossfade."image_staff_00000000"
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_key record;
BEGIN
  FOR cf_key IN SELECT * FROM crossfade."keys_staff_00000000" AS cf_k WHERE cf_k.key = jsonb_build_array((cf_image)."id"::text) LOOP
    IF cf_key.number = 1 THEN
      cf_image."house" := (cf_key.image)."house";
    END IF;
  END LOOP;
  RETURN cf_image;
END
$crossfade$;
