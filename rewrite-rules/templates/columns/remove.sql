{%- import "attempt.sql" as attempt -%}
{%- macro remove(lens, images) %}
      {%- call attempt::probe() %}
        {{ lens.put_absent_from(images) }};
      {%- endcall %}
      {{ lens.remove_from(images) }};
      {{- attempt::leave_tombstones(lens, images) }}
{%- endmacro -%}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ lens.legacy }}[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ lens.legacy }};
  {{- attempt::variables() }}
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  IF NOT cf_record THEN
      {{- remove(lens, "unnest(cf_images)") }}
    RETURN true;
  END IF;
  {{- attempt::patience() }}
  {%- call attempt::whole(lens, "RETURN true", "NULL") %}
      {{- remove(lens, "unnest(cf_images)") }}
  {%- endcall %}
  {#- Row by row, so that only those that fail enter the ledger. #}
  FOREACH cf_image IN ARRAY cf_images LOOP
    {%- call attempt::whole(lens, "EXIT", lens.recording()) %}
      {{- remove(lens, "unnest(ARRAY[cf_image])") }}
    {%- endcall %}
  END LOOP;
  RETURN true;
END
$crossfade$
