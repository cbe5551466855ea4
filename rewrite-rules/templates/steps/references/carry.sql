{#-
What an action of legacy's own foreign key does, while legacy leads, to those that refer to a row which has gone, or has
moved to `cf_to`.
-#}
{%- macro each(key, moved, to) %}
  {%- if key.acts(*moved) && (!moved || !key.is_own()) %}
  FOREACH cf_is IN ARRAY cf_left LOOP
    {{ key.child.read_of("cf_is") }} INTO cf_be;
    IF FOUND THEN cf_is := cf_be; END IF;
    {%- for (column, value) in key.followed(*moved, *to) %}
    cf_is.{{ column }} := {{ value }};
    {%- endfor %}
    PERFORM {% if key.goes(*moved) %}{{ key.child.lens.function_name(Work::Remove) }}{% else %}{{ key.child.lens.function_name(Work::Put) }}{% endif %}(ARRAY[cf_is], cf_record);
  END LOOP;
  {%- endif %}
{%- endmacro -%}
{{ key.child.keys_ddl() -}}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_left {{ key.child.row }}[], cf_to {{ f.row }}, cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_is {{ key.child.row }};
  cf_be {{ key.child.row }};
BEGIN
  IF cf_to IS NULL THEN
    {{- each(key, false, None) }}
    RETURN true;
  END IF;
  {{- each(key, true, Some("cf_to")) }}
  RETURN true;
END
$crossfade$
