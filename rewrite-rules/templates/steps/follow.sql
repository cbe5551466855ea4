{#-
One legacy row made an image; of a row that is there only `cf_set`, if that is given. Where all of that is lossy in the
row, legacy is not even touched. The reverse backfill is not excused (`cf_excuse`).
-#}
{%- import "excuse.sql" as excuse -%}
{%- macro follow(f) %}
      {{ f.update_legacy("cf_image") }};
      IF NOT FOUND AND cf_makes THEN
        {{ f.insert_legacy("cf_image") }};
      END IF;
{%- endmacro -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_image {{ f.row }}, cf_set text[], cf_makes boolean, cf_excuse boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  {%- for lossy in lossy %}
  {{ lossy.flag }} boolean;
  {%- endfor %}
BEGIN
  {%- if let Some(judge) = judge %}
  {{ judge }};
  IF cf_set IS NOT NULL THEN
    {%- for lossy in lossy %}
    IF {{ lossy.flag }} IS NOT FALSE THEN
      cf_set := ARRAY(SELECT cf_c FROM unnest(cf_set) AS cf_c WHERE cf_c <> ALL (ARRAY[{{ lossy.columns }}]));
    END IF;
    {%- endfor %}
    IF cf_set = '{}' AND NOT cf_makes THEN RETURN true; END IF;
  END IF;
  {%- endif %}
  {%- call excuse::whole(f.lens, "NOT cf_excuse OR ") %}
    {{- follow(f) }}
  {%- endcall %}
  {%- call excuse::one(f.lens) %}
    {{- follow(f) }}
  {%- endcall %}
  RETURN true;
END
$crossfade$
