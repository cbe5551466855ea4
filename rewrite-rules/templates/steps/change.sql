{#-
An UPDATE: old and new images in step, and the columns that the client set; of the others the row's own are put. A row
whose key changes moves to it first; in legacy all at once, as by the client's own UPDATE: what refers to them is looked
at when all have moved.
-#}
{%- import "steps/references.sql" as references -%}
{%- import "steps/rows.sql" as rows -%}
{%- import "steps/unique.sql" as unique -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ f.row }}[], cf_news {{ f.row }}[], cf_set text[], cf_held boolean, cf_strict boolean, cf_mirror boolean) RETURNS SETOF {{ f.row }}
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ f.row }};
  cf_new {{ f.row }};
  cf_now {{ f.row }};
  cf_was {{ f.row }};
  cf_i integer := 0;
  cf_images {{ f.row }}[] := cf_news;
  cf_froms {{ f.row }}[];
  cf_tos {{ f.row }}[];
  cf_done {{ f.row }}[] := '{}';
  {%- if f.holds_keys() %}
  cf_given {{ f.row }};
  cf_wases {{ f.row }}[] := '{}';
  cf_ares {{ f.row }}[] := '{}';
  {%- endif %}
  {%- if f.moves_keys() %}
  {{- references::declare_left(f) }}
  {%- endif %}
  {{- rows::fitting(f) }}
BEGIN
  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{}') LOOP
    cf_i := cf_i + 1;
    cf_new := cf_images[cf_i];
    {{- rows::look_again(f) }}
    {%- if f.holds_keys() %}
    cf_now := {{ f.lens.named("said") }}(cf_now);
    {%- endif %}
    {%- if f.moves_keys() || f.holds_keys() || !f.unwatched().is_empty() %}
    cf_was := cf_now;
    {%- endif %}
    {{- rows::fits(f, "cf_new") }}
    {%- for (name, literal) in f.settable() %}
    IF {{ literal }} = ANY (cf_set) THEN cf_now.{{ name }} := cf_new.{{ name }}; END IF;
    {%- endfor %}
    {{- rows::computed(f, "cf_now") }}
    PERFORM {{ f.lens.call(Call::Accept, "cf_now") }};
    {{- unique::enforce(f, "cf_now", "cf_was") }}
    {%- if f.moves_keys() %}
    IF {{ f.moved("cf_was", "cf_now") }} THEN
      {{- references::look_left(f, "cf_was") }}
      PERFORM {{ f.lens.call(Call::RekeyOne, "cf_was, cf_now") }};
      cf_froms := cf_froms || cf_was;
      cf_tos := cf_tos || cf_now;
    END IF;
    {%- endif %}
    {%- if f.holds_keys() %}
    cf_given := cf_now;
    {%- endif %}
    PERFORM {{ f.lens.call(Call::PutOne, "cf_now") }};
    {{ f.read_of("cf_now") }} INTO cf_now;
    IF NOT FOUND THEN {{ rows::maps_to_nothing(f) }} END IF;
    {{- references::as_given(f, "cf_now", "cf_given") }}
    {%- if f.moves_keys() %}
    cf_done := cf_done || cf_now;
    {%- else %}
    {{- rows::mirror(f) }}
    {%- endif %}
    {%- if f.holds_keys() %}
    cf_wases := cf_wases || cf_was;
    cf_ares := cf_ares || cf_now;
    {%- endif %}
    RETURN NEXT cf_now;
  END LOOP;
  {%- if f.moves_keys() %}
  {#- Legacy's own foreign keys act on what refers to the rows. #}
  IF cf_mirror THEN PERFORM {{ f.lens.call(Call::MoveLegacy, "cf_froms, cf_tos, true") }}; END IF;
  {%- endif %}
  {%- if !f.referring_columns().is_empty() %}
  {#- What the changed rows refer to, if the client has set it or they have other keys. #}
  IF cf_set && ARRAY[{{ f.referring_columns() }}] OR cf_froms IS NOT NULL THEN
    {{- references::refer(f, "cf_wases", "cf_ares", false) }}
  END IF;
  {%- endif %}
  {%- if f.moves_keys() %}
  {{- references::settle(f, true) }}
  {#- Legacy behind rows that may have moved, when foreign keys have acted on either side. #}
  IF cf_mirror THEN
    FOREACH cf_now IN ARRAY cf_done LOOP
      {%- if f.acts_on_own() %}
      {{ f.read_of("cf_now") }} INTO cf_new;
      IF FOUND THEN cf_now := {{ f.lens.named("said") }}(cf_new); END IF;
      {%- endif %}
      {{- rows::mirror(f) }}
    END LOOP;
  END IF;
  {%- endif %}
END
$crossfade$
