{#-
Makes `lastval()` what it was: only drawing a number makes it the last one (`last.rs`). With its owner's rights, since
the client's role may lack that to make temporary objects. All that it touches is the session's own.
-#}
CREATE OR REPLACE FUNCTION {{ name }}(cf_last bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  IF cf_last IS NULL THEN
    CREATE TEMPORARY SEQUENCE cf_no_last;
    PERFORM nextval('pg_temp.cf_no_last');
    DROP SEQUENCE pg_temp.cf_no_last;
    RETURN true;
  END IF;
  IF to_regclass('pg_temp.cf_last') IS NULL THEN
    CREATE TEMPORARY SEQUENCE cf_last MINVALUE -9223372036854775808;
    GRANT ALL ON SEQUENCE pg_temp.cf_last TO PUBLIC;
  END IF;
  PERFORM setval('pg_temp.cf_last', cf_last, false);
  PERFORM nextval('pg_temp.cf_last');
  RETURN true;
END
$crossfade$
