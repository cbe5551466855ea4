{#- Removes the legacy rows of `cf_images`, as a function's last statements. -#}
{%- import "excuse.sql" as excuse -%}
{%- macro removing_legacy(lens) %}
  {%- call excuse::whole(lens, "") %}
    {{ lens.remove_legacy_from("unnest(cf_images)") }};
  {%- endcall %}
  FOREACH cf_image IN ARRAY cf_images LOOP
    {%- call excuse::one(lens) %}
      {{ lens.remove_legacy_from("unnest(ARRAY[cf_image])") }};
    {%- endcall %}
  END LOOP;
  RETURN true;
{%- endmacro -%}
