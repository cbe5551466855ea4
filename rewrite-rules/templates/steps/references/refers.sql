{#-
Of rows that were written the references that are new to them, or that they had without there being anything. Without old
images all are new. Of a row under another key what it refers to is locked: whoever removes that finds the row under the
old one, and nothing by it once this has ended.
-#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ f.row }}[], cf_news {{ f.row }}[], cf_waits boolean, cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ f.row }};
  cf_new {{ f.row }};
  cf_key jsonb;
  cf_had boolean;
  cf_waited boolean;
BEGIN
  FOR cf_i IN 1 .. coalesce(cardinality(cf_news), 0) LOOP
    cf_new := cf_news[cf_i];
    cf_old := cf_olds[cf_i];
    cf_key := CASE WHEN cf_olds IS NULL THEN {{ f.lens.key_json("cf_new") }} ELSE {{ f.lens.key_json("cf_old") }} END;
    {%- for key in f.held() %}
    DELETE FROM {{ f.keys() }} AS cf_k WHERE cf_k.key = cf_key AND cf_k.number = {{ key.number }} RETURNING cf_k.waits INTO cf_waited;
    cf_had := FOUND;
    IF (cf_had OR cf_olds IS NULL OR ROW({{ key.values("cf_old") }})::text IS DISTINCT FROM ROW({{ key.values("cf_new") }})::text) AND {{ key.given("cf_new") }} THEN
      INSERT INTO {{ f.keys() }} (number, key, image, waits, gone, recorded)
        VALUES ({{ key.number }}, {{ f.lens.key_json("cf_new") }}, cf_new, cf_waits OR cf_had AND cf_waited, false, cf_record);
    ELSIF cf_key <> {{ f.lens.key_json("cf_new") }} AND {{ key.given("cf_new") }} THEN
      {{ key.lock_parent("cf_new") }};
    END IF;
    {%- endfor %}
  END LOOP;
  RETURN true;
END
$crossfade$
