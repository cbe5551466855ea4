{#-
What a MERGE is to do, row by row: the actions by their words, the rows as they were and as they are to be, and the
columns that each action sets. Rows that are there come in the order of their keys, so one that is met twice is met again
at once.
-#}
{%- import "steps/references.sql" as references -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_acts text[], cf_olds {{ f.row }}[], cf_news {{ f.row }}[], cf_sets text[], cf_mirror boolean) RETURNS TABLE (cf_at integer, cf_row {{ f.row }})
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ f.row }};
  cf_new {{ f.row }};
  cf_before {{ f.row }};
BEGIN
  FOR cf_i IN 1 .. coalesce(cardinality(cf_acts), 0) LOOP
    cf_new := cf_news[cf_i];
    cf_before := cf_old;
    cf_old := cf_olds[cf_i];
    IF cf_acts[cf_i] = 'INSERT' THEN
      cf_row := {{ f.lens.call(Call::InsertOne, "cf_new, cf_mirror") }};
      {{- references::refer(f, "NULL", "ARRAY[cf_row]", false) }}
      cf_at := cf_i;
      RETURN NEXT;
      CONTINUE;
    END IF;
    IF cf_i > 1 AND {{ f.key_row("cf_old") }} = {{ f.key_row("cf_before") }} THEN
      RAISE EXCEPTION USING ERRCODE = '21000',
        MESSAGE = 'MERGE command cannot affect row a second time',
        HINT = 'Ensure that not more than one source row matches any one target row.';
    END IF;
    IF cf_acts[cf_i] = 'DELETE' THEN
      SELECT * INTO cf_row FROM {{ f.lens.call(Call::Delete, "ARRAY[cf_old], true, false, cf_mirror") }} AS cf_c;
    ELSE
      SELECT * INTO cf_row FROM {{ f.lens.call(Call::Change, "ARRAY[cf_old], ARRAY[cf_new], cf_sets[cf_i]::text[], true, false, cf_mirror") }} AS cf_c;
    END IF;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = '40001',
        MESSAGE = 'could not serialize access due to concurrent delete',
        HINT = 'The row went while this statement waited for it; run the transaction again.';
    END IF;
    cf_at := cf_i;
    RETURN NEXT;
  END LOOP;
END
$crossfade$
