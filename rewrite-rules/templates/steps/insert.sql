{#-
Images in the client's order, which is that of its RETURNING. With ON CONFLICT DO NOTHING a row is skipped that the
legacy table would not have taken; one that only unified does not take is an error, or it would be lost in silence. With
a target that is not the key (`cf_arbiter`) that is looked at before the key is.
-#}
{%- import "steps/references.sql" as references -%}
{%- import "steps/rows.sql" as rows -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ f.row }}[], cf_arbiter text, cf_skip text[], cf_mirror boolean) RETURNS SETOF {{ f.row }}
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }};
  cf_now {{ f.row }};
  cf_constraint text;
  {%- if f.holds_keys() %}
  cf_entered {{ f.row }}[] := '{}';
  {%- endif %}
  {{- rows::fitting(f) }}
BEGIN
  FOREACH cf_image IN ARRAY coalesce(cf_images, '{}') LOOP
    IF cf_skip IS NULL THEN
      cf_now := {{ f.lens.call(Call::InsertOne, "cf_image, cf_mirror") }};
    ELSE
      IF cf_arbiter IS NOT NULL THEN
        {{- rows::fits(f, "cf_image") }}
        PERFORM {{ f.lens.call(Call::Accept, "cf_image") }};
        {{- rows::look(f, "cf_now") }}
        CONTINUE WHEN NOT cf_now IS NULL;
      END IF;
      BEGIN
        cf_now := {{ f.lens.call(Call::InsertOne, "cf_image, cf_mirror") }};
      EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS cf_constraint = CONSTRAINT_NAME;
        IF cf_constraint = ANY (cf_skip) THEN CONTINUE; END IF;
        {{- rows::look(f, "cf_now") }}
        IF cf_arbiter IS NULL OR cf_now IS NULL THEN RAISE; END IF;
        CONTINUE;
      END;
    END IF;
    {%- if f.holds_keys() %}
    cf_entered := cf_entered || cf_now;
    {%- endif %}
    RETURN NEXT cf_now;
  END LOOP;
  {{- references::refer(f, "NULL", "cf_entered", false) }}
END
$crossfade$
