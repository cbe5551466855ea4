{#-
The function behind a TRUNCATE once nobody writes legacy any more. It needs the right to truncate legacy for as long as
the table is there, and to truncate unified when it is gone.
-#}
CREATE OR REPLACE FUNCTION {{ name }}() RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
DECLARE
  cf_table pg_catalog.oid := coalesce(pg_catalog.to_regclass({{ legacy }}), pg_catalog.to_regclass({{ unified }}));
BEGIN
  IF NOT pg_catalog.has_table_privilege(cf_table, 'TRUNCATE') THEN
    RAISE insufficient_privilege USING MESSAGE = {{ denied }};
  END IF;
  {{ remove_all }};
  RETURN true;
END
$crossfade$
