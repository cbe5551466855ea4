{#-
Images in the order in which the legacy table took them, where each new key was free when its row came to it. One that
comes to a key which another leaves only after it is no divergence to be recorded: both would be one row in between, and
nothing could tell them apart again.
-#}
{%- import "attempt.sql" as attempt -%}
{%- import "steps/references.sql" as references -%}
{%- macro rekey(f, moved) %}
    cf_unsure := false;
    IF {{ moved }} THEN
      {%- call attempt::probe("cf_unsure := true") %}
        PERFORM {{ f.lens.call(Call::PutOne, "cf_old") }};
      {%- endcall %}
    END IF;
    {%- if f.carried(true).is_empty() %}
    PERFORM {{ f.lens.call(Call::RekeyOne, "cf_old, cf_image") }};
    {%- else %}
    IF {{ moved }} THEN
      {%- call references::carried(f, true, "cf_old", "cf_image") %}
      PERFORM {{ f.lens.call(Call::RekeyOne, "cf_old, cf_image") }};
      {%- endcall %}
    END IF;
    {%- endif %}
    PERFORM {{ f.lens.call(Call::PutOne, "cf_image") }};
    IF {{ moved }} THEN
      {{- attempt::leave_tombstones_behind(f.lens, "unnest(ARRAY[cf_old])") }}
    END IF;
{%- endmacro -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ f.row }}[], cf_images {{ f.row }}[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ f.row }};
  cf_image {{ f.row }};
  cf_unsure boolean;
  {{- attempt::variables() }}
  {{- references::declare_left(f) }}
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  PERFORM 1 FROM unnest(cf_images) WITH ORDINALITY AS cf_n
    JOIN unnest(cf_olds) WITH ORDINALITY AS cf_o
    ON {{ f.same_key("cf_n", "cf_o") }} AND cf_n.ordinality < cf_o.ordinality;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {{ exchanged }},
      HINT = 'Move them in statements of their own, one of them by way of a key that nobody has.';
  END IF;
  {{- attempt::patience() }}
  FOR cf_i IN 1 .. cardinality(cf_images) LOOP
    cf_old := cf_olds[cf_i];
    cf_image := cf_images[cf_i];
    IF NOT cf_record THEN
      {{- rekey(f, moved) }}
      CONTINUE;
    END IF;
    {%- call attempt::whole(f.lens, "EXIT", recording) %}
      {{- rekey(f, moved) }}
    {%- endcall %}
  END LOOP;
  {{- references::carried_to_own(f) }}
  RETURN true;
END
$crossfade$
