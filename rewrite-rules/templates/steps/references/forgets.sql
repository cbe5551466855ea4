{#-
Rows that have gone: what they referred to is not looked at any more, and what waited for it is not put when it comes.
NULL: all of them.
-#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ f.row }}[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }};
BEGIN
  IF cf_images IS NULL THEN
    DELETE FROM {{ f.keys() }};
    RETURN true;
  END IF;
  FOREACH cf_image IN ARRAY cf_images LOOP
    DELETE FROM {{ f.keys() }} AS cf_k WHERE cf_k.key = {{ f.lens.key_json("cf_image") }};
  END LOOP;
  RETURN true;
END
$crossfade$
