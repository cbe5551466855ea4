{%- import "steps/references.sql" as references -%}
{%- import "steps/rows.sql" as rows -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ f.row }}[], cf_held boolean, cf_strict boolean, cf_mirror boolean) RETURNS SETOF {{ f.row }}
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ f.row }};
  cf_now {{ f.row }};
  cf_done {{ f.row }}[] := '{}';
  {{- references::declare_left(f) }}
BEGIN
  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{}') LOOP
    {{- rows::look_again(f) }}
    {{- references::look_left(f, "cf_now") }}
    PERFORM {{ f.lens.call(Call::RemoveOne, "cf_now") }};
    {{- references::forget(f, "ARRAY[cf_now]") }}
    cf_done := cf_done || cf_old;
    RETURN NEXT cf_now;
  END LOOP;
  IF cf_mirror THEN PERFORM {{ f.lens.call(Call::Drop, "cf_done, true") }}; END IF;
  {{- references::settle(f, false) }}
END
$crossfade$
