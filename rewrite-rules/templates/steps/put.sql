{#-
The images one by one in the order of their keys, so that two of these calls that need the same unified rows ask for
them in the same order.
-#}
{%- import "attempt.sql" as attempt -%}
{%- import "steps/references.sql" as references -%}
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
      {{- references::put_or_wait(f) }}
      CONTINUE;
    END IF;
    {%- call attempt::whole(f.lens, "EXIT", f.lens.recording()) %}
      {{- references::put_or_wait(f) }}
    {%- endcall %}
  END LOOP;
  RETURN true;
END
$crossfade$
