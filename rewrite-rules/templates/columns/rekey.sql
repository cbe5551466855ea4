{#-
The rows under other keys, and as their images are, in one UPDATE: what refers to them, be it they themselves, follows
when it is done, and is not to be put again as it was. Those that unified had no row of are put.
-#}
{%- import "attempt.sql" as attempt -%}
{%- macro rekey(lens) %}
      {%- call attempt::probe() %}
        {{ lens.put_absent_from("unnest(cf_olds)") }};
      {%- endcall %}
      WITH cf_moved AS (
        UPDATE {{ lens.unified }} AS cf_u SET {{ lens.set_all_from("cf_new") }}
        FROM unnest(cf_olds) WITH ORDINALITY AS cf_old, unnest(cf_images) WITH ORDINALITY AS cf_new
        WHERE cf_old.ordinality = cf_new.ordinality AND {{ lens.key_join("cf_u", "cf_old") }}
        RETURNING cf_new.ordinality AS cf_at)
      {{ lens.put_from(self::left_of("cf_images").as_str()) }};
{%- endmacro -%}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ lens.legacy }}[], cf_images {{ lens.legacy }}[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ lens.legacy }};
  {{- attempt::variables() }}
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  IF NOT cf_record THEN
      {{- rekey(lens) }}
    RETURN true;
  END IF;
  {{- attempt::patience() }}
  {%- call attempt::whole(lens, "RETURN true", "NULL") %}
      {{- rekey(lens) }}
  {%- endcall %}
  {#- Keys that move in a set depend on each other: all of them are recorded. #}
  FOREACH cf_image IN ARRAY cf_images LOOP
    PERFORM {{ lens.record("'the set of rows failed together'", "'CF000'") }};
  END LOOP;
  RETURN true;
END
$crossfade$
