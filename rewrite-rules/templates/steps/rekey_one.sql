{#-
The steps of `rekey`. Nothing of unified may be left under the old key, or be there twice: whatever the operator's steps
did, that is an error, not a row that is lost in silence.
-#}
{%- import "steps/rows.sql" as rows -%}
{%- import "steps/run.sql" as steps_of -%}
{%- import "steps/unique.sql" as unique -%}
{%- macro unlike(said) -%}
RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = {{ said }};
{%- endmacro -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_old {{ f.row }}, cf_image {{ f.row }}) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_there boolean;
  {{- steps_of::variables(steps) }}
BEGIN
  IF NOT ({{ f.moved("cf_old", "cf_image") }}) THEN RETURN true; END IF;
  {{- rows::locks(f, "cf_image") }}
  {{- unique::taken(f, "cf_image") }}
  cf_there := {{ f.is_there("cf_old") }};
  {{- steps_of::run(steps, f.keeps_last()) }}
  IF {{ f.is_there("cf_old") }} THEN
    {{ unlike(left) }}
  END IF;
  IF cf_there AND NOT {{ f.is_there("cf_image") }} THEN
    {{ unlike(lost) }}
  END IF;
  RETURN true;
END
$crossfade$
