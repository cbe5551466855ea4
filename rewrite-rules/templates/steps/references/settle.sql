{#-
What an action of a foreign key does, once unified leads, to those that referred to rows which have gone, or have moved
from the keys of `cf_gone` to those of `cf_to`. In legacy its own foreign key has done the same by now, and more than one
may act on a row.
-#}
{%- macro each(f, key, moved) %}
  {%- if key.acts(*moved) %}
  FOR cf_at IN 1 .. cardinality(cf_left) LOOP
    cf_is := cf_left[cf_at];
    {%- if key.is_own() && !moved %}
    {#- What went with it needs nothing more. #}
    CONTINUE WHEN EXISTS (SELECT FROM unnest(cf_gone) AS cf_d WHERE {{ f.lens.same_key("cf_d", "(cf_is)") }});
    {%- endif %}
    {#- A row that another transaction has changed meanwhile is looked at again, as PostgreSQL does: one that refers to
        something else by now is left alone. #}
    cf_now := {{ key.child.lens.call(Call::LockOne, "cf_is, false") }};
    CONTINUE WHEN NOT cf_now IS NULL AND ({{ key.refers_no_more("cf_now", "cf_is") }});
    cf_be := cf_is;
    {%- if key.goes(*moved) %}
    PERFORM 1 FROM {{ key.child.lens.call(Call::Delete, "ARRAY[cf_is], false, false, cf_mirror") }};
    IF cf_hid[cf_at] THEN PERFORM {{ key.child.lens.call(Call::RemoveOne, "cf_is") }}; END IF;
    {%- else %}
    {%- if key.follows(*moved) %}
    FOR cf_m IN 1 .. cardinality(cf_gone) LOOP
      IF {{ key.refers("cf_is.", "cf_gone[cf_m]") }} THEN
        {%- for (column, value) in key.followed(*moved, Some("cf_to[cf_m]")) %}
        cf_be.{{ column }} := {{ value }};
        {%- endfor %}
      END IF;
    END LOOP;
    {%- else %}
    {%- for (column, value) in key.followed(*moved, None) %}
    cf_be.{{ column }} := {{ value }};
    {%- endfor %}
    {%- endif %}
    PERFORM 1 FROM {{ key.child.lens.call_name(Call::Change) }}(ARRAY[cf_is], ARRAY[cf_be], ARRAY[{{ key.literals() }}], false, false, false);
    IF cf_hid[cf_at] THEN PERFORM {{ key.child.lens.call(Call::PutOne, "cf_be") }}; END IF;
    {%- endif %}
  END LOOP;
  {%- endif %}
{%- endmacro -%}
{{ key.child.keys_ddl() -}}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_left {{ key.child.row }}[], cf_hid boolean[], cf_gone {{ f.row }}[], cf_to {{ f.row }}[], cf_mirror boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_is {{ key.child.row }};
  cf_be {{ key.child.row }};
  cf_now {{ key.child.row }};
BEGIN
  IF cf_to IS NULL THEN
    {{- each(f, key, false) }}
    RETURN true;
  END IF;
  {{- each(f, key, true) }}
  RETURN true;
END
$crossfade$
