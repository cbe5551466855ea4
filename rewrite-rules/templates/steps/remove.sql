{#-
The same of deleted rows, with what legacy's own foreign keys do to those that refer to them.
-#}
{%- import "attempt.sql" as attempt -%}
{%- import "steps/references.sql" as references -%}
{%- macro remove(f) %}
      {%- call references::carried(f, false, "cf_image", "NULL") %}
      PERFORM {{ f.lens.call(Call::RemoveOne, "cf_image") }};
      {%- endcall %}
      {{- references::forget(f, "ARRAY[cf_image]") }}
      {{- attempt::leave_tombstones(f.lens, "unnest(ARRAY[cf_image])") }}
{%- endmacro -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ f.row }}[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }};
  {{- attempt::variables() }}
  {{- references::declare_left(f) }}
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
