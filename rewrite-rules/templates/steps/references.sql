{#
What the other functions of a lens say of foreign keys that lenses see to (`written/functions/references.rs`).
#}

{# Of rows that were written what they refer to. #}
{% macro refer(f, olds, news, waits) %}
  {%- if f.holds_keys() %}
  PERFORM {{ f.lens.named("refers") }}({{ olds }}, {{ news }}, {{ waits }}, false);
  {%- endif %}
{%- endmacro %}

{# Of rows that have gone what they referred to. #}
{% macro forget(f, images) %}
  {%- if f.holds_keys() %}
  PERFORM {{ f.lens.named("forgets") }}({{ images }});
  {%- endif %}
{%- endmacro %}

{# The columns of the foreign keys as the client gave them, whatever `read` tells of them by now. #}
{% macro as_given(f, image, given) %}
  {%- for name in f.referring_names() %}
  {{ image }}.{{ name }} := {{ given }}.{{ name }};
  {%- endfor %}
{%- endmacro %}

{# Puts those that waited for a row that has come. One by one: whoever has no rights to the other table calls nothing
   where nobody waits. #}
{% macro put_waiting(f, image) %}
  {%- for key in f.referring() %}
  DECLARE
    cf_c {{ key.child.row }};
  BEGIN
    FOREACH cf_c IN ARRAY {{ key.named("came") }}({{ image }}) LOOP
      PERFORM {{ key.child.lens.call(Call::PutOne, "cf_c") }};
    END LOOP;
  END;
  {%- endfor %}
{%- endmacro %}

{# `put_one` while legacy leads, whose own foreign keys decide: a row that cannot be put yet waits for what it refers to,
   and is recorded if that does not come to unified. #}
{% macro put_or_wait(f) %}
      PERFORM {{ f.lens.call(Call::PutOne, "cf_image") }};
      {%- if f.holds_keys() %}
      IF NOT EXISTS (SELECT 1 FROM ({{ f.read_of("cf_image") }}) AS cf_r) THEN
        PERFORM {{ f.lens.named("refers") }}(NULL, ARRAY[cf_image], true, cf_record);
      END IF;
      {%- endif %}
      {{- put_waiting(f, "cf_image") }}
{%- endmacro %}

{# Variables of those that refer to rows which go or move. #}
{% macro declare_left(f) %}
  {%- for key in f.referring() %}
  cf_left_{{ key.number }} {{ key.child.row }}[] := '{}';
  cf_is_{{ key.number }} {{ key.child.row }};
  cf_hid_{{ key.number }} boolean[] := '{}';
  {%- endfor %}
{%- endmacro %}

{% macro look_left(f, image) %}
  {%- for key in f.referring() %}
  cf_left_{{ key.number }} := cf_left_{{ key.number }} || {{ key.named("left") }}({{ image }}, cf_mirror);
  {%- endfor %}
{%- endmacro %}

{# While legacy leads its own foreign keys act, by themselves and where no proxy sees it: what they do to the rows that
   refer to one which goes (`lost`), or moves (to `to`), is done in unified as well. #}
{% macro carried(f, moved, lost, to) %}
      {%- for key in f.carried(*moved) %}
      cf_left_{{ key.number }} := {{ key.named("left") }}({{ lost }}, true);
      {%- endfor %}
      {{- caller() }}
      {%- for key in f.carried(*moved) %}
      IF cardinality(cf_left_{{ key.number }}) > 0 THEN
        PERFORM {{ key.named("carry") }}(cf_left_{{ key.number }}, {{ to }}, cf_record);
      END IF;
      {%- endfor %}
{%- endmacro %}

{# What legacy's own foreign keys do to rows of the same table that refer to those which have moved, when all have: from
   `cf_olds` to `cf_images`. An image says what its row referred to before. #}
{% macro carried_to_own(f) %}
  {%- if f.acts_on_own() %}
  FOR cf_i IN 1 .. cardinality(cf_images) LOOP
    cf_old := cf_olds[cf_i];
    cf_image := cf_images[cf_i];
    CONTINUE WHEN NOT ({{ f.moved("cf_old", "cf_image") }});
    {%- for key in f.acting_on_own() %}
    FOREACH cf_is_{{ key.number }} IN ARRAY {{ key.named("left") }}(cf_old, true) LOOP
      {%- for (column, value) in key.followed(true, Some("cf_image")) %}
      cf_is_{{ key.number }}.{{ column }} := {{ value }};
      {%- endfor %}
      PERFORM {{ key.child.lens.function_name(Work::Put) }}(ARRAY[cf_is_{{ key.number }}], cf_record);
    END LOOP;
    {%- endfor %}
  END LOOP;
  {%- endif %}
{%- endmacro %}

{# What becomes of those that refer to rows which have gone (`cf_done`), or have moved from the keys of `cf_froms` to those
   of `cf_tos`.

   Rows of the table itself may have moved as well, and been set to refer to something else: those that still refer to
   what has moved are looked for when all have. Others were not to lose what they refer to, though their lens may have
   taken them along.

   Whoever has no rights to the other table calls nothing where nobody refers to the row. #}
{% macro settle(f, moved) %}
  {%- if moved %}
  {%- for key in f.own_among(*moved) %}
  cf_left_{{ key.number }} := {% if key.acts(*moved) %}'{}'{% else %}ARRAY(SELECT cf_l FROM unnest(cf_left_{{ key.number }}) AS cf_l
    WHERE NOT EXISTS (SELECT FROM unnest(cf_olds) AS cf_d WHERE {{ f.same_key("cf_d", "cf_l") }})){% endif %};
  FOR cf_m IN 1 .. coalesce(cardinality(cf_froms), 0) LOOP
    cf_left_{{ key.number }} := cf_left_{{ key.number }} || {{ key.named("left") }}(cf_froms[cf_m], cf_mirror);
  END LOOP;
  {%- endfor %}
  {%- endif %}
  {%- for key in f.acting(*moved) %}
  {%- if key.acts(*moved) %}
  {#- Which of those that an action concerns their lens does not show without what they referred to. #}
  IF cardinality(cf_left_{{ key.number }}) > 0 THEN cf_hid_{{ key.number }} := {{ key.named("hidden") }}(cf_left_{{ key.number }}); END IF;
  {%- endif %}
  {%- endfor %}
  {%- for key in f.acting(*moved) %}
  {%- if !key.acts(*moved) %}
  {#- Who moved as well still refers to what has gone. #}
  PERFORM {{ key.named("gone") }}(cf_left_{{ key.number }}, {% if moved %}'{}'{% else %}cf_done{% endif %}, {{ moved }});
  {%- else %}
  IF cardinality(cf_left_{{ key.number }}) > 0 THEN
    PERFORM {{ key.named("settle") }}(cf_left_{{ key.number }}, cf_hid_{{ key.number }}, {% if moved %}cf_froms, cf_tos{% else %}cf_done, NULL{% endif %}, cf_mirror);
  END IF;
  {%- endif %}
  {%- endfor %}
{%- endmacro %}

{# In PostgreSQL's words. #}
{% macro raise(error) %}
    RAISE EXCEPTION USING ERRCODE = {{ error.sqlstate }}, MESSAGE = {{ error.message }},
      DETAIL = {{ error.detail }},
      CONSTRAINT = {{ error.constraint }}, TABLE = {{ error.table }}, SCHEMA = {{ error.schema }};
{%- endmacro %}

{# Something refers to what has gone. RESTRICT says so in its own words since PostgreSQL 18. #}
{% macro still_referred(errors) %}
  {%- if let Some(own) = errors.restricted %}
  IF current_setting('server_version_num')::int >= 180000 THEN
    {{- raise(own) }}
  END IF;
  {%- endif %}
  {{- raise(errors.plain) }}
{%- endmacro %}
