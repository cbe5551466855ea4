{#-
What the legacy table's NOT NULL and CHECKs would have said of an image, in their words.
-#}
{%- macro failing_row(f) -%}
(SELECT 'Failing row contains (' || string_agg(
        CASE WHEN v IS NULL THEN 'null' WHEN octet_length(v) > 64 THEN left(v, 64) || '...' ELSE v END, ', ' ORDER BY n) || ').'
        FROM unnest(ARRAY[{{ f.texts("cf_image") }}]) WITH ORDINALITY AS cf_v (v, n))
{%- endmacro -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_image {{ f.row }}) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_broken text;
BEGIN
  {%- if !not_null.is_empty() %}
  cf_broken := CASE
    {%- for (column, literal) in not_null %}
    WHEN (cf_image).{{ column }} IS NULL THEN {{ literal }}
    {%- endfor %}
  END;
  {%- endif %}
  IF cf_broken IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23502', COLUMN = cf_broken,
      MESSAGE = format('null value in column "%s" of relation "%s" violates not-null constraint', cf_broken, {{ table }}),
      DETAIL = {{ failing_row(f) }},
      TABLE = {{ table }}, SCHEMA = {{ schema }};
  END IF;
  {%- if !checks.is_empty() %}
  cf_broken := CASE
    {%- for (condition, literal) in checks %}
    WHEN NOT ({{ condition }}) THEN {{ literal }}
    {%- endfor %}
  END;
  {%- endif %}
  IF cf_broken IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '23514', CONSTRAINT = cf_broken,
      MESSAGE = format('new row for relation "%2$s" violates check constraint "%1$s"', cf_broken, {{ table }}),
      DETAIL = {{ failing_row(f) }},
      TABLE = {{ table }}, SCHEMA = {{ schema }};
  END IF;
  RETURN true;
END
$crossfade$
