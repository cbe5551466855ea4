{#-
The legacy rows under their new keys. What they have that unified lacks (lossy columns) stays, and what refers to them
has its say when all have moved. A stale row in the way is excused as by `follow`.
-#}
{%- import "excuse.sql" as excuse -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ f.row }}[], cf_images {{ f.row }}[], cf_excuse boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ f.row }};
  cf_image {{ f.row }};
BEGIN
  IF coalesce(cardinality(cf_images), 0) = 0 THEN RETURN true; END IF;
  {%- call excuse::whole(f.lens, "NOT cf_excuse OR ") %}
    {{ f.lens.move_legacy_rows("cf_olds", "cf_images", false) }};
  {%- endcall %}
  FOR cf_i IN 1 .. cardinality(cf_images) LOOP
    cf_old := cf_olds[cf_i];
    cf_image := cf_images[cf_i];
    {%- call excuse::one(f.lens, true) %}
      {{ f.lens.move_legacy_rows("ARRAY[cf_old]", "ARRAY[cf_image]", false) }};
    {%- endcall %}
  END LOOP;
  RETURN true;
END
$crossfade$
