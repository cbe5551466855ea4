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
CREATE OR REPLACE FUNCTION crossfade."settle_2_houses_00000000"(cf_left crossfade."image_tenants_00000000"[], cf_hid boolean[], cf_gone crossfade."image_houses_00000000"[], cf_to crossfade."image_houses_00000000"[], cf_mirror boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_is crossfade."image_tenants_00000000";
  cf_be crossfade."image_tenants_00000000";
  cf_now crossfade."image_tenants_00000000";
BEGIN
  IF cf_to IS NULL THEN
  FOR cf_at IN 1 .. cardinality(cf_left) LOOP
    cf_is := cf_left[cf_at];
    cf_now := crossfade."lock_one_tenants_00000000"(cf_is, false);
    CONTINUE WHEN NOT cf_now IS NULL AND (cf_now."b" IS DISTINCT FROM cf_is."b");
    cf_be := cf_is;
    cf_be."b" := NULL;
    PERFORM 1 FROM crossfade."change_tenants_00000000"(ARRAY[cf_is], ARRAY[cf_be], ARRAY['b'], false, false, false);
    IF cf_hid[cf_at] THEN PERFORM crossfade."put_one_tenants_00000000"(cf_be); END IF;
  END LOOP;
    RETURN true;
  END IF;
  FOR cf_at IN 1 .. cardinality(cf_left) LOOP
    cf_is := cf_left[cf_at];
    cf_now := crossfade."lock_one_tenants_00000000"(cf_is, false);
    CONTINUE WHEN NOT cf_now IS NULL AND (cf_now."b" IS DISTINCT FROM cf_is."b");
    cf_be := cf_is;
    cf_be."b" := NULL;
    PERFORM 1 FROM crossfade."change_tenants_00000000"(ARRAY[cf_is], ARRAY[cf_be], ARRAY['b'], false, false, false);
    IF cf_hid[cf_at] THEN PERFORM crossfade."put_one_tenants_00000000"(cf_be); END IF;
  END LOOP;
  RETURN true;
END
$crossfade$;
