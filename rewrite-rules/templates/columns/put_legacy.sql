{#- The legacy half of a write in `unified_read`. -#}
{%- import "excuse.sql" as excuse -%}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ lens.legacy }}[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ lens.legacy }};
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  {%- call excuse::whole(lens, "") %}
    {{ lens.puts_legacy_from("unnest(cf_images)") }};
  {%- endcall %}
  FOREACH cf_image IN ARRAY cf_images LOOP
    {%- call excuse::one(lens) %}
      {{ lens.puts_legacy_from("unnest(ARRAY[cf_image])") }};
    {%- endcall %}
  END LOOP;
  RETURN true;
END
$crossfade$
