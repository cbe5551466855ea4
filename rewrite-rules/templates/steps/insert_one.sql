{#-
A row of the client's. The legacy row is locked first (where legacy still follows) and then the rows that `read` joins
for its key, so that between looking again and putting nobody can interfere.
-#}
{%- import "steps/references.sql" as references -%}
{%- import "steps/rows.sql" as rows -%}
{%- import "steps/unique.sql" as unique -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_image {{ f.row }}, cf_mirror boolean) RETURNS {{ f.row }}
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_now {{ f.row }};
  {%- if f.holds_keys() %}
  cf_waits boolean;
  {%- endif %}
  {{- unique::counting(f) }}
  {{- rows::fitting(f) }}
BEGIN
  {{- rows::fits(f, "cf_image") }}
  {{- rows::computed(f, "cf_image") }}
  PERFORM {{ f.lens.call(Call::Accept, "cf_image") }};
  IF cf_mirror THEN {{ f.lock_legacy("cf_image") }}; END IF;
  {{- rows::locks(f, "cf_image") }}
  {{- unique::taken(f, "cf_image") }}
  {{- unique::enforce(f, "cf_image", "") }}
  {{- unique::count_rows(f) }}
  PERFORM {{ f.lens.call(Call::PutOne, "cf_image") }};
  {{- unique::met_another(f) }}
  {{ f.read_of("cf_image") }} INTO cf_now;
  IF NOT FOUND THEN
    {%- if f.holds_keys() %}
    {#- It waits, if what it refers to is not there. #}
    cf_waits := false;
    {%- for key in f.held() %}
    IF {{ key.given("cf_image") }} THEN
      {{ key.lock_parent("cf_image") }};
      cf_waits := cf_waits OR NOT FOUND;
    END IF;
    {%- endfor %}
    IF NOT cf_waits THEN {{ rows::maps_to_nothing(f) }} END IF;
    {{- references::refer(f, "NULL", "ARRAY[cf_image]", true) }}
    cf_now := cf_image;
    {%- else %}
    {{ rows::maps_to_nothing(f) }}
    {%- endif %}
  END IF;
  {{- references::as_given(f, "cf_now", "cf_image") }}
  {{- rows::mirror(f) }}
  {{- references::put_waiting(f, "cf_now") }}
  RETURN cf_now;
END
$crossfade$
