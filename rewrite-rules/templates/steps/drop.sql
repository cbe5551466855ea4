{#-
The legacy rows of images removed, all at once, as by the client's own DELETE: what refers to them is looked at when all
are gone.
-#}
{%- import "excuse.sql" as excuse -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ f.row }}[], cf_excuse boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }};
BEGIN
  IF coalesce(cardinality(cf_images), 0) = 0 THEN RETURN true; END IF;
  {%- call excuse::whole(f.lens, "NOT cf_excuse OR ") %}
    DELETE FROM {{ f.lens.legacy }} AS cf_t USING unnest(cf_images) AS cf_i WHERE {{ f.same_key("cf_t", "cf_i") }};
  {%- endcall %}
  FOREACH cf_image IN ARRAY cf_images LOOP
    {%- call excuse::one(f.lens) %}
      DELETE FROM {{ f.legacy_row("cf_image") }};
    {%- endcall %}
  END LOOP;
  RETURN true;
END
$crossfade$
