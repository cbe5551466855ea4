{#
One row of the client's: what it is given as, the locks that it needs, and how it is looked at again.
#}

{# Values that the legacy column has no room for are errors, as they would be there. A cast would cut them in silence;
   an assignment complains. #}
{% macro fitting(f) %}
  {%- for cut in f.cut() %}
  cf_fit_{{ cut.number }} {{ cut.sql_type }};
  {%- endfor %}
{%- endmacro %}

{% macro fits(f, image) %}
  {%- for cut in f.cut() %}
  cf_fit_{{ cut.number }} := {{ image }}.{{ cut.name }};
  {{ image }}.{{ cut.name }} := cf_fit_{{ cut.number }};
  {%- endfor %}
{%- endmacro %}

{# What legacy would have computed from the other columns of an image. #}
{% macro computed(f, image) %}
  {%- for (name, value) in f.computed(image) %}
  {{ image }}.{{ name }} := {{ value }};
  {%- endfor %}
{%- endmacro %}

{# The rows that `read` joins for a key: in one statement those that must be there, and each that need not in one of
   its own. Rows of tables that are only looked up stay free. #}
{% macro locks(f, image) %}
  {%- for lock in f.inner_lock(image) %}
  {{ lock }};
  {%- endfor %}
  {%- for lock in f.outer_locks(image) %}
  {{ lock }};
  {%- endfor %}
{%- endmacro %}

{# The row that has the values of `cf_image` in the columns of `cf_arbiter`. #}
{% macro look(f, into) %}
    IF cf_arbiter = {{ f.key().name() }} THEN
      {{ f.read_of("cf_image") }} INTO {{ into }};
    {%- for unique in f.uniques() %}
    ELSIF cf_arbiter = {{ unique.name() }} THEN
      {{ unique.look("cf_image") }} INTO {{ into }};
    {%- endfor %}
    END IF;
{%- endmacro %}

{# `cf_now`: the row of `cf_old` as it is under its locks, which the statement may have taken before it computed the new
   values (`cf_held`). One that is gone is skipped, as by any UPDATE or DELETE that waited for it; one that has changed
   fails a statement that could not look at its condition again (`cf_strict`). #}
{% macro look_again(f) %}
    IF cf_held THEN {{ f.read_of("cf_old") }} INTO cf_now; ELSE cf_now := {{ f.lens.call(Call::LockOne, "cf_old, cf_mirror") }}; END IF;
    CONTINUE WHEN cf_now IS NULL;
    IF cf_strict AND cf_now *<> cf_old THEN
      {{- serialize("'The row changed while this statement waited for it; run the transaction again.'") }}
    END IF;
{%- endmacro %}

{% macro serialize(hint) %}
      RAISE EXCEPTION USING ERRCODE = '40001',
        MESSAGE = 'could not serialize access due to concurrent update',
        HINT = {{ hint }};
{%- endmacro %}

{% macro maps_to_nothing(f) -%}
RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = {{ f.not_read_back() }};
{%- endmacro %}

{% macro mirror(f) %}
  IF cf_mirror THEN PERFORM {{ f.lens.call(Call::Follow, "cf_now, NULL, true, true") }}; END IF;
{%- endmacro %}
