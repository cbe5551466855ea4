{%- import "steps/run.sql" as steps_of -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_image {{ f.row }}) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  {{- steps_of::variables(steps) }}
BEGIN
  {{- steps_of::run(steps, f.keeps_last()) }}
  RETURN true;
END
$crossfade$
