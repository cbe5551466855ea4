DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_staff_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_staff_00000000" ("id" integer, "nr" integer, "first" character varying, "last" text, "pay" numeric(6,2), "called" text, "yearly" numeric(9,2), "house" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_staff_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."forgets_staff_00000000"(cf_images crossfade."image_staff_00000000"[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image crossfade."image_staff_00000000";
BEGIN
  IF cf_images IS NULL THEN
    DELETE FROM crossfade."keys_staff_00000000";
    RETURN true;
  END IF;
  FOREACH cf_image IN ARRAY cf_images LOOP
    DELETE FROM crossfade."keys_staff_00000000" AS cf_k WHERE cf_k.key = jsonb_build_array((cf_image)."id"::text);
  END LOOP;
  RETURN true;
END
$crossfade$;
