{#- The legacy rows under the old keys made the images, key and all (`lens/rekey_legacy.rs` says why at once). -#}
{%- import "excuse.sql" as excuse -%}
{%- macro work(lens, olds, images) %}
  {%- if lens.row_security %}
      {{ lens.move_legacy_rows(olds, images, true) }};
      {{ lens.puts_legacy_from(self::unnested(images).as_str()) }};
  {%- else %}
      {#- For those that legacy had no row of. What refers to one that moved has followed it, be it the row itself, and
          is not to be put again as it was. #}
      WITH cf_moved AS (
        {{ lens.move_legacy_rows(olds, images, true) }}
        RETURNING cf_p.cf_at)
      {{ lens.put_legacy_missing_or_different_from(self::left_of(images).as_str()) }};
  {%- endif %}
{%- endmacro -%}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ lens.legacy }}[], cf_images {{ lens.legacy }}[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ lens.legacy }};
  cf_image {{ lens.legacy }};
BEGIN
  IF coalesce(cardinality(cf_images), 0) = 0 THEN RETURN true; END IF;
  {%- call excuse::whole(lens, "") %}
    {{- work(lens, "cf_olds", "cf_images") }}
  {%- endcall %}
  FOR cf_i IN 1 .. cardinality(cf_images) LOOP
    cf_old := cf_olds[cf_i];
    cf_image := cf_images[cf_i];
    {%- call excuse::one(lens, true) %}
      {{- work(lens, "ARRAY[cf_old]", "ARRAY[cf_image]") }}
    {%- endcall %}
  END LOOP;
  RETURN true;
END
$crossfade$
