DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_staff_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_staff_00000000" ("id" integer, "nr" integer, "first" character varying, "last" text, "pay" numeric(6,2), "called" text, "yearly" numeric(9,2), "house" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_staff_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE TABLE IF NOT EXISTS crossfade."keys_staff_00000000" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number integer NOT NULL, key jsonb NOT NULL, image crossfade."image_staff_00000000" NOT NULL, waits boolean NOT NULL, gone boolean NOT NULL, recorded boolean NOT NULL);
CREATE INDEX IF NOT EXISTS "by_key_staff_00000000" ON crossfade."keys_staff_00000000" (key);
DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_staff_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_staff_00000000" ("id" integer, "nr" integer, "first" character varying, "last" text, "pay" numeric(6,2), "called" text, "yearly" numeric(9,2), "house" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_staff_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."key_1_staff_00000000"() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image crossfade."image_staff_00000000" := NEW.image;
  cf_now crossfade."image_staff_00000000";
  cf_waits boolean;
BEGIN
  DELETE FROM crossfade."keys_staff_00000000" AS cf_k WHERE cf_k.id = NEW.id RETURNING cf_k.waits INTO cf_waits;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF NOT cf_waits THEN
    SELECT (p.id)::integer AS "id", (p.nr)::integer AS "nr", (p.first::VARCHAR(10))::character varying(10) AS "first", (p.last)::text AS "last", (y.pay::NUMERIC(6,2))::numeric(6,2) AS "pay", (p.first || coalesce(' ' || p.last, ''))::text AS "called", ((y.pay::NUMERIC(6,2) * 12)::NUMERIC(9,2))::numeric(9,2) AS "yearly", (p.house)::integer AS "house" FROM "public"."people" p JOIN "public"."pays" y ON y.id = p.id WHERE p.id = (cf_image)."id" INTO cf_now;
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
  PERFORM 1 FROM "public"."place" p JOIN "public"."place_times" t ON t.place_id = p.id WHERE p.id = (cf_image)."house" FOR KEY SHARE OF "p", "t";
  IF FOUND THEN
    IF NOT cf_waits AND cf_now."house" IS NOT DISTINCT FROM cf_image."house" THEN RETURN NULL; END IF;
    IF NOT NEW.gone AND NOT NEW.recorded THEN
      RAISE EXCEPTION USING ERRCODE = '40001',
        MESSAGE = 'could not serialize access due to concurrent update',
        HINT = 'What this row refers to came meanwhile; run the transaction again.';
    END IF;
  END IF;
  IF NEW.recorded THEN
    PERFORM crossfade."record_staff_00000000"(cf_image, 'violates foreign key constraint "staff_house_fkey"', '23503');
    RETURN NULL;
  END IF;
  IF NEW.gone THEN
    RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = 'update or delete on table "houses" violates foreign key constraint "staff_house_fkey" on table "staff"',
      DETAIL = 'Key (id)=(' || concat_ws(', ', (cf_image)."house"::text) || ') is still referenced from table "staff".',
      CONSTRAINT = 'staff_house_fkey', TABLE = 'staff', SCHEMA = 'public';
  END IF;
    RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = 'insert or update on table "staff" violates foreign key constraint "staff_house_fkey"',
      DETAIL = 'Key (house)=(' || concat_ws(', ', (cf_image)."house"::text) || ') is not present in table "houses".',
      CONSTRAINT = 'staff_house_fkey', TABLE = 'staff', SCHEMA = 'public';
END
$crossfade$;
DROP TRIGGER IF EXISTS "key_1_staff_00000000" ON crossfade."keys_staff_00000000";
CREATE CONSTRAINT TRIGGER "key_1_staff_00000000" AFTER INSERT ON crossfade."keys_staff_00000000" NOT DEFERRABLE FOR EACH ROW
  WHEN (NEW.number = 1) EXECUTE FUNCTION crossfade."key_1_staff_00000000"();
