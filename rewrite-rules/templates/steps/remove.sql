{#-
The same of deleted rows, with what legacy's own foreign keys do to those that refer to them.
-#}
{%- import "attempt.sql" as attempt -%}
{%- macro remove(f) %}
      {{ f.removing_one() }};
      {{- attempt::leave_tombstones(f.lens, "unnest(ARRAY[cf_image])") }}
{%- endmacro -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ f.row }}[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }};
  {{- attempt::variables() }}
{{ f.declare_left() -}}
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  {{- attempt::patience() }}
  FOR cf_image IN SELECT * FROM unnest(cf_images) AS cf_i ORDER BY {{ f.key_order("cf_i") }} LOOP
    IF NOT cf_record THEN
      {{- remove(f) }}
      CONTINUE;
    END IF;
    {%- call attempt::whole(f.lens, "EXIT", f.lens.recording()) %}
      {{- remove(f) }}
    {%- endcall %}
  END LOOP;
  RETURN true;
END
$crossfade$
