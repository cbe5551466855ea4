CREATE OR REPLACE FUNCTION crossfade."empty_iso_agents_00000000"(cf_refer text[], cf_tables text[], cf_names text[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
DECLARE
  cf_table pg_catalog.oid := coalesce(pg_catalog.to_regclass('"public"."iso_agents"'), pg_catalog.to_regclass('"public"."users"'));
  cf_child text := cf_refer[1];
BEGIN
  IF NOT pg_catalog.has_table_privilege(cf_table, 'TRUNCATE') THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied for table iso_agents';
  END IF;
  IF cf_refer IS NULL THEN
    DELETE FROM "public"."users" AS cf_u WHERE ((cf_u."role" <> 'customer') AND (cf_u."role" IN ('sales_rep', 'admin', 'operator') OR cf_u."role" IS NULL));
    RETURN true;
  END IF;
  IF cf_child IS NULL THEN
    SELECT cf_names[k.n] INTO cf_child FROM pg_catalog.unnest(cf_tables) WITH ORDINALITY AS k (name, n)
      JOIN pg_catalog.pg_constraint AS c ON c.conrelid = pg_catalog.to_regclass(k.name) AND c.contype = 'f'
      WHERE c.confrelid = ANY (ARRAY[pg_catalog.to_regclass('"public"."users"')]::pg_catalog.oid[])
        AND c.conrelid <> ALL (ARRAY[pg_catalog.to_regclass('"public"."users"')]::pg_catalog.oid[])
      ORDER BY k.n LIMIT 1;
  END IF;
  IF cf_child IS NULL THEN
    BEGIN
      DELETE FROM "public"."users" AS cf_u WHERE ((cf_u."role" <> 'customer') AND (cf_u."role" IN ('sales_rep', 'admin', 'operator') OR cf_u."role" IS NULL));
      RETURN true;
    EXCEPTION WHEN foreign_key_violation THEN
      GET STACKED DIAGNOSTICS cf_child = TABLE_NAME;
    END;
  END IF;
  RAISE feature_not_supported USING
    MESSAGE = 'cannot truncate a table referenced in a foreign key constraint',
    DETAIL = pg_catalog.format('Table "%s" references "%s".', cf_child, 'iso_agents'),
    HINT = pg_catalog.format('Truncate table "%s" at the same time, or use TRUNCATE ... CASCADE.', cf_child);
END
$crossfade$;
