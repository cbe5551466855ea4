DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_tenants_00000000"') IS NULL THEN
    CREATE TABLE crossfade."image_tenants_00000000" ("id" integer, "note" character varying, "a" integer, "b" integer, "c" integer, "d" integer, "e" integer, "f" integer, "g" integer, "h" integer, CHECK (false));
    GRANT SELECT, INSERT ON crossfade."image_tenants_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE TABLE IF NOT EXISTS crossfade."keys_tenants_00000000" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number integer NOT NULL, key jsonb NOT NULL, image crossfade."image_tenants_00000000" NOT NULL, waits boolean NOT NULL, gone boolean NOT NULL, recorded boolean NOT NULL);
CREATE INDEX IF NOT EXISTS "by_key_tenants_00000000" ON crossfade."keys_tenants_00000000" (key);
DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_houses_00000000"') IS NULL THEN
    EXECUTE format('CREATE TABLE crossfade."image_houses_00000000" ("id" integer, "name" character varying, "zip" %s, "price" numeric(7,2), "size" smallint, "sold" timestamp without time zone, "due" timestamp(0) with time zone, "born" date, "lag" interval, CHECK (false))',
      (WITH RECURSIVE cf_t AS (SELECT oid, typtype, typbasetype FROM pg_catalog.pg_type WHERE oid = 'public.zip'::regtype UNION ALL SELECT cf_b.oid, cf_b.typtype, cf_b.typbasetype FROM cf_t JOIN pg_catalog.pg_type AS cf_b ON cf_b.oid = cf_t.typbasetype AND cf_t.typtype = 'd') SELECT pg_catalog.format_type(oid, -1) FROM cf_t WHERE typtype <> 'd'));
    GRANT SELECT, INSERT ON crossfade."image_houses_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."hidden_2_houses_00000000"(cf_left crossfade."image_tenants_00000000"[]) RETURNS boolean[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_is crossfade."image_tenants_00000000";
  cf_hid boolean[] := '{}';
BEGIN
  FOREACH cf_is IN ARRAY cf_left LOOP
    PERFORM 1 FROM (SELECT (d.id)::integer AS "id", (d.note::VARCHAR(10))::character varying(10) AS "note", (d.a)::integer AS "a", (d.b)::integer AS "b", (d.c)::integer AS "c", (d.d)::integer AS "d", (d.e)::integer AS "e", (d.f)::integer AS "f", (d.g)::integer AS "g", (d.h)::integer AS "h" FROM "public"."dweller" d WHERE d.id = (cf_is)."id") AS cf_r;
    cf_hid := cf_hid || NOT FOUND;
  END LOOP;
  RETURN cf_hid;
END
$crossfade$;
