CREATE OR REPLACE FUNCTION crossfade."truncate_iso_agents_00000000"(cf_restart boolean, cf_cascade boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
BEGIN
  IF cf_restart AND cf_cascade THEN TRUNCATE "public"."iso_agents" RESTART IDENTITY CASCADE;
  ELSIF cf_restart THEN TRUNCATE "public"."iso_agents" RESTART IDENTITY;
  ELSIF cf_cascade THEN TRUNCATE "public"."iso_agents" CASCADE;
  ELSE TRUNCATE "public"."iso_agents";
  END IF;
  DELETE FROM "public"."users" AS cf_u WHERE ((cf_u."role" <> 'customer') AND (cf_u."role" IN ('sales_rep', 'admin', 'operator') OR cf_u."role" IS NULL));
  RETURN true;
END
$crossfade$;
