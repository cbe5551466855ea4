{#-
Those of `left`, when the row has gone: to be looked at when the foreign key says, but for those that have gone with it.
One that its lens cannot show without it waits for another of its key.
-#}
{%- import "steps/references.sql" as references -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_children {{ key.child.row }}[], cf_with {{ f.row }}[], cf_moved boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_child {{ key.child.row }};
BEGIN
  FOREACH cf_child IN ARRAY coalesce(cf_children, '{}') LOOP
    {%- if key.is_own() %}
    CONTINUE WHEN EXISTS (SELECT FROM unnest(cf_with) AS cf_d WHERE {{ key.child.lens.same_key("cf_d", "(cf_child)") }});
    {%- endif %}
    {%- for moved in [false, true] %}
    {%- if let Some(errors) = key.restricted(**moved, "cf_child") %}
    IF {% if !moved %}NOT {% endif %}cf_moved THEN
      {{- references::still_referred(errors) }}
    END IF;
    {%- endif %}
    {%- endfor %}
    DELETE FROM {{ key.child.keys() }} AS cf_k WHERE cf_k.key = {{ key.child.lens.key_json("cf_child") }} AND cf_k.number = {{ key.of_child }};
    INSERT INTO {{ key.child.keys() }} (number, key, image, waits, gone, recorded)
      VALUES ({{ key.of_child }}, {{ key.child.lens.key_json("cf_child") }}, cf_child, NOT EXISTS (SELECT 1 FROM ({{ key.child.read_of("cf_child") }}) AS cf_r), true, false);
  END LOOP;
  RETURN true;
END
$crossfade$
