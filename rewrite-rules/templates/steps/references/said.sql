{#- The image, with what it was written to refer to: `read` may not tell that as long as it is not there. -#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_image {{ f.row }}) RETURNS {{ f.row }}
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_key record;
BEGIN
  FOR cf_key IN SELECT * FROM {{ f.keys() }} AS cf_k WHERE cf_k.key = {{ f.lens.key_json("cf_image") }} LOOP
    {%- for key in f.held() %}
    IF cf_key.number = {{ key.number }} THEN
      {%- for column in key.names() %}
      cf_image.{{ column }} := (cf_key.image).{{ column }};
      {%- endfor %}
    END IF;
    {%- endfor %}
  END LOOP;
  RETURN cf_image;
END
$crossfade$
