{#- Who waits for a row of this table, and whom it came too late for: they are to be put now. -#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_image {{ f.row }}) RETURNS {{ key.child.row }}[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_key record;
  cf_child {{ key.child.row }};
  cf_now {{ key.child.row }};
  cf_came {{ key.child.row }}[] := '{}';
BEGIN
  FOR cf_key IN SELECT cf_k.image, cf_k.waits FROM {{ key.child.keys() }} AS cf_k WHERE cf_k.number = {{ key.of_child }} AND {{ key.refers("(cf_k.image).", "cf_image") }} LOOP
    cf_child := cf_key.image;
    {{ key.child.read_of("cf_child") }} INTO cf_now;
    IF FOUND THEN
      CONTINUE WHEN {{ key.same("cf_now", "cf_child") }};
      {%- for column in key.names() %}
      cf_now.{{ column }} := cf_child.{{ column }};
      {%- endfor %}
    ELSE
      {#- One that was shown and is no more has gone. #}
      CONTINUE WHEN NOT cf_key.waits;
      cf_now := cf_child;
    END IF;
    UPDATE {{ key.child.keys() }} AS cf_k SET waits = false WHERE cf_k.number = {{ key.of_child }} AND cf_k.key = {{ key.child.lens.key_json("cf_child") }};
    cf_came := cf_came || cf_now;
  END LOOP;
  RETURN cf_came;
END
$crossfade$
