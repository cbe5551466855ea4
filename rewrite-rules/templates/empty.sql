{#-
The function behind a TRUNCATE once nobody writes legacy any more. It needs the right to truncate legacy for as long as
the table is there, and to truncate unified when it is gone. A table that is referred to PostgreSQL truncates with those
that refer to it alone, be there a row that does or not: so of the tables `cf_refer`, and of those of `cf_tables` that
do; of others the rows tell.
-#}
CREATE OR REPLACE FUNCTION {{ name }}(cf_refer text[], cf_tables text[], cf_names text[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
DECLARE
  cf_table pg_catalog.oid := coalesce(pg_catalog.to_regclass({{ legacy }}), pg_catalog.to_regclass({{ unified }}));
  cf_child text := cf_refer[1];
BEGIN
  IF NOT pg_catalog.has_table_privilege(cf_table, 'TRUNCATE') THEN
    RAISE insufficient_privilege USING MESSAGE = {{ denied }};
  END IF;
  IF cf_refer IS NULL THEN
    {{ remove_all }};
    RETURN true;
  END IF;
  IF cf_child IS NULL THEN
    SELECT cf_names[k.n] INTO cf_child FROM pg_catalog.unnest(cf_tables) WITH ORDINALITY AS k (name, n)
      JOIN pg_catalog.pg_constraint AS c ON c.conrelid = pg_catalog.to_regclass(k.name) AND c.contype = 'f'
      WHERE c.confrelid = ANY (ARRAY[{{ own }}]::pg_catalog.oid[])
        AND c.conrelid <> ALL (ARRAY[{{ own }}]::pg_catalog.oid[])
      ORDER BY k.n LIMIT 1;
  END IF;
  IF cf_child IS NULL THEN
    BEGIN
      {{ remove_all }};
      RETURN true;
    EXCEPTION WHEN foreign_key_violation THEN
      GET STACKED DIAGNOSTICS cf_child = TABLE_NAME;
    END;
  END IF;
  RAISE feature_not_supported USING
    MESSAGE = 'cannot truncate a table referenced in a foreign key constraint',
    DETAIL = pg_catalog.format('Table "%s" references "%s".', cf_child, {{ called }}),
    HINT = pg_catalog.format('Truncate table "%s" at the same time, or use TRUNCATE ... CASCADE.', cf_child);
END
$crossfade$
