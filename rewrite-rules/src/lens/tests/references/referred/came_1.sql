DO $crossfade$ BEGIN
  IF to_regclass('crossfade."image_houses_00000000"') IS NULL THEN
    EXECUTE format('CREATE TABLE crossfade."image_houses_00000000" ("id" integer, "name" character varying, "zip" %s, "price" numeric(7,2), "size" smallint, "sold" timestamp without time zone, "due" timestamp(0) with time zone, "born" date, "lag" interval, CHECK (false))',
      (WITH RECURSIVE cf_t AS (SELECT oid, typtype, typbasetype FROM pg_catalog.pg_type WHERE oid = 'public.zip'::regtype UNION ALL SELECT cf_b.oid, cf_b.typtype, cf_b.typbasetype FROM cf_t JOIN pg_catalog.pg_type AS cf_b ON cf_b.oid = cf_t.typbasetype AND cf_t.typtype = 'd') SELECT pg_catalog.format_type(oid, -1) FROM cf_t WHERE typtype <> 'd'));
    GRANT SELECT, INSERT ON crossfade."image_houses_00000000" TO PUBLIC;
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."came_1_houses_00000000"(cf_image crossfade."image_houses_00000000") RETURNS crossfade."image_tenants_00000000"[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_key record;
  cf_child crossfade."image_tenants_00000000";
  cf_now crossfade."image_tenants_00000000";
  cf_came crossfade."image_tenants_00000000"[] := '{}';
BEGIN
  FOR cf_key IN SELECT cf_k.image, cf_k.waits FROM crossfade."keys_tenants_00000000" AS cf_k WHERE cf_k.number = 1 AND (cf_k.image)."a" = (cf_image)."id" LOOP
    cf_child := cf_key.image;
    SELECT (d.id)::integer AS "id", (d.note::VARCHAR(10))::character varying(10) AS "note", (d.a)::integer AS "a", (d.b)::integer AS "b", (d.c)::integer AS "c", (d.d)::integer AS "d", (d.e)::integer AS "e", (d.f)::integer AS "f", (d.g)::integer AS "g", (d.h)::integer AS "h" FROM "public"."dweller" d WHERE d.id = (cf_child)."id" INTO cf_now;
    IF FOUND THEN
      CONTINUE WHEN cf_now."a" IS NOT DISTINCT FROM cf_child."a";
      cf_now."a" := cf_child."a";
    ELSE
      CONTINUE WHEN NOT cf_key.waits;
      cf_now := cf_child;
    END IF;
    UPDATE crossfade."keys_tenants_00000000" AS cf_k SET waits = false WHERE cf_k.number = 1 AND cf_k.key = jsonb_build_array((cf_child)."id"::text);
    cf_came := cf_came || cf_now;
  END LOOP;
  RETURN cf_came;
END
$crossfade$;
