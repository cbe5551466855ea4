DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_staff_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_staff_00000000" ("id" integer, "nr" integer, "first" character varying, "last" text, "pay" numeric(6,2), "called" text, "yearly" numeric(9,2), "house" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_staff_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."refers_staff_00000000"(cf_olds crossfade."image_staff_00000000"[], cf_news crossfade."image_staff_00000000"[], cf_waits boolean, cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old crossfade."image_staff_00000000";
  cf_new crossfade."image_staff_00000000";
  cf_key jsonb;
  cf_had boolean;
  cf_waited boolean;
BEGIN
  FOR cf_i IN 1 .. coalesce(cardinality(cf_news), 0) LOOP
    cf_new := cf_news[cf_i];
    cf_old := cf_olds[cf_i];
    cf_key := CASE WHEN cf_olds IS NULL THEN jsonb_build_array((cf_new)."id"::text) ELSE jsonb_build_array((cf_old)."id"::text) END;
    DELETE FROM crossfade."keys_staff_00000000" AS cf_k WHERE cf_k.key = cf_key AND cf_k.number = 1 RETURNING cf_k.waits INTO cf_waited;
    cf_had := FOUND;
    IF (cf_had OR cf_olds IS NULL OR ROW(cf_old."house")::text IS DISTINCT FROM ROW(cf_new."house")::text) AND cf_new."house" IS NOT NULL THEN
      INSERT INTO crossfade."keys_staff_00000000" (number, key, image, waits, gone, recorded)
        VALUES (1, jsonb_build_array((cf_new)."id"::text), cf_new, cf_waits OR cf_had AND cf_waited, false, cf_record);
    ELSIF cf_key <> jsonb_build_array((cf_new)."id"::text) AND cf_new."house" IS NOT NULL THEN
      PERFORM 1 FROM "public"."place" p JOIN "public"."place_times" t ON t.place_id = p.id WHERE p.id = (cf_new)."house" FOR KEY SHARE OF "p", "t";
    END IF;
  END LOOP;
  RETURN true;
END
$crossfade$;
