DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_houses_00000000"') IS NULL THEN
    EXECUTE format('CREATE TABLE crossfade."image_houses_00000000" ("id" integer, "name" character varying, "zip" %s, "price" numeric(7,2), "size" smallint, "sold" timestamp without time zone, "due" timestamp(0) with time zone, "born" date, "lag" interval, CHECK (false))',
      (WITH RECURSIVE cf_t AS (SELECT oid, typtype, typbasetype FROM pg_catalog.pg_type WHERE oid = 'public.zip'::regtype UNION ALL SELECT cf_b.oid, cf_b.typtype, cf_b.typbasetype FROM cf_t JOIN pg_catalog.pg_type AS cf_b ON cf_b.oid = cf_t.typbasetype AND cf_t.typtype = 'd') SELECT pg_catalog.format_type(oid, -1) FROM cf_t WHERE typtype <> 'd'));
    GRANT SELECT, INSERT ON crossfade."image_houses_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."gone_2_houses_00000000"(cf_children crossfade."image_tenants_00000000"[], cf_with crossfade."image_houses_00000000"[], cf_moved boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_child crossfade."image_tenants_00000000";
BEGIN
  FOREACH cf_child IN ARRAY coalesce(cf_children, '{}') LOOP
    DELETE FROM crossfade."keys_tenants_00000000" AS cf_k WHERE cf_k.key = jsonb_build_array((cf_child)."id"::text) AND cf_k.number = 2;
    INSERT INTO crossfade."keys_tenants_00000000" (number, key, image, waits, gone, recorded)
      VALUES (2, jsonb_build_array((cf_child)."id"::text), cf_child, NOT EXISTS (SELECT 1 FROM (SELECT (d.id)::integer AS "id", (d.note::VARCHAR(10))::character varying(10) AS "note", (d.a)::integer AS "a", (d.b)::integer AS "b", (d.c)::integer AS "c", (d.d)::integer AS "d", (d.e)::integer AS "e", (d.f)::integer AS "f", (d.g)::integer AS "g", (d.h)::integer AS "h" FROM "public"."dweller" d WHERE d.id = (cf_child)."id") AS cf_r), true, false);
  END LOOP;
  RETURN true;
END
$crossfade$;
