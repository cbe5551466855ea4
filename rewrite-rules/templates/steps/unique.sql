{#
The legacy table's key and UNIQUE constraints, once no index of their own watches over them (`written/functions/unique.rs`).
#}

{# A row of the same values is there, in the words of the legacy table. #}
{% macro duplicate(f, unique, image) %}
    RAISE EXCEPTION USING ERRCODE = '23505',
      MESSAGE = {{ unique.said() }}, DETAIL = {{ unique.detail() }} || concat_ws(', ', {{ unique.texts(image) }}) || ') already exists.',
      CONSTRAINT = {{ unique.name() }}, TABLE = {{ f.table() }}, SCHEMA = {{ f.schema() }};
{%- endmacro %}

{# Fails if a row has the key of an image. Waits for whoever is about to make one: no index of both would. #}
{% macro taken(f, image) %}
  PERFORM {{ f.claim_key(image) }};
  PERFORM 1 FROM ({{ f.read_of(image) }}) AS cf_r;
  IF FOUND THEN
    {{- duplicate(f, f.key(), image) }}
  END IF;
{%- endmacro %}

{% macro counting(f) %}
  {%- if f.keyed().is_some() %}
  cf_there boolean;
  cf_came bigint;
  cf_updated bigint;
  {%- endif %}
{%- endmacro %}

{# By how many rows of its own this transaction has a table grow (an insert that is taken back since another was faster
   has been counted, and its removal as well), and how many it has updated. #}
{% macro came(table) -%}
pg_stat_get_xact_tuples_inserted(to_regclass({{ table }})) - pg_stat_get_xact_tuples_deleted(to_regclass({{ table }}))
{%- endmacro %}

{% macro updated(table) -%}
pg_stat_get_xact_tuples_updated(to_regclass({{ table }}))
{%- endmacro %}

{# Whether the unified table whose rows have the legacy key has a row of it, and what this transaction has done to it so
   far. #}
{% macro count_rows(f) %}
  {%- if let Some(keyed) = f.keyed() %}
  cf_there := EXISTS (SELECT FROM {{ keyed.table }} AS cf_k WHERE {{ keyed.same_key }});
  cf_came := {{ came(keyed.literal) }};
  cf_updated := {{ updated(keyed.literal) }};
  {%- endif %}
{%- endmacro %}

{# Whoever writes that table under its own name claims nothing: a row of the key may come between the look and the put,
   which would take it for its own. Then the put has updated where it would have inserted, and there is such a row. #}
{% macro met_another(f) %}
  {%- if let Some(keyed) = f.keyed() %}
  IF NOT cf_there AND {{ came(keyed.literal) }} = cf_came AND {{ updated(keyed.literal) }} > cf_updated THEN
    {{- duplicate(f, f.key(), "cf_image") }}
  END IF;
  {%- endif %}
{%- endmacro %}

{# The same of the UNIQUE constraints that none of the unified tables stands for. `was`: the row before its change, if it
   was there. NULLs are never the same. #}
{% macro enforce(f, image, was) %}
  {%- for unique in f.unwatched() %}
  IF {{ unique.given(image) }}{% if was != "" %} AND ROW({{ unique.values(image) }})::text IS DISTINCT FROM ROW({{ unique.values(was) }})::text{% endif %} THEN
    IF NOT cf_mirror AND current_setting('transaction_isolation') = 'repeatable read' THEN
      RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {{ unique.untold() }},
        HINT = 'No unified constraint stands for it in [table.constraints]. Use READ COMMITTED or SERIALIZABLE.';
    END IF;
    PERFORM {{ unique.claim(image) }};
    PERFORM 1 FROM ({{ unique.look(image) }}) AS cf_r WHERE NOT ({% if was != "" %}{{ f.is_row_of(was) }}{% else %}{{ f.is_row_of(image) }}{% endif %});
    IF FOUND THEN
    {{- duplicate(f, unique, image) }}
    END IF;
  END IF;
  {%- endfor %}
{%- endmacro %}
