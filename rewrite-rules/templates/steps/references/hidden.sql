{#- Which of some rows their lens does not show. -#}
{{ key.child.keys_ddl() -}}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_left {{ key.child.row }}[]) RETURNS boolean[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_is {{ key.child.row }};
  cf_hid boolean[] := '{}';
BEGIN
  FOREACH cf_is IN ARRAY cf_left LOOP
    PERFORM 1 FROM ({{ key.child.read_of("cf_is") }}) AS cf_r;
    cf_hid := cf_hid || NOT FOUND;
  END LOOP;
  RETURN cf_hid;
END
$crossfade$
