CREATE OR REPLACE FUNCTION crossfade."empty_iso_agents_00000000"() RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
DECLARE
  cf_table pg_catalog.oid := coalesce(pg_catalog.to_regclass('"public"."iso_agents"'), pg_catalog.to_regclass('"public"."users"'));
BEGIN
  IF NOT pg_catalog.has_table_privilege(cf_table, 'TRUNCATE') THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied for table iso_agents';
  END IF;
  DELETE FROM "public"."users" AS cf_u WHERE ((cf_u."role" <> 'customer') AND (cf_u."role" IN ('sales_rep', 'admin', 'operator') OR cf_u."role" IS NULL));
  RETURN true;
END
$crossfade$;
