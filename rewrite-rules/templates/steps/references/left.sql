{#-
Who refers to a row of this table, which is about to go or to get another key. While legacy follows, those rows are locked
there, as its own foreign key is about to: whoever writes one of them is waited for, and what unified has of it is read
behind that.
-#}
{{ key.child.keys_ddl() -}}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_image {{ f.row }}, cf_mirror boolean) RETURNS {{ key.child.row }}[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_child {{ key.child.row }};
  cf_left {{ key.child.row }}[] := '{}';
BEGIN
  IF cf_mirror THEN
    IF to_regclass({{ key.child_table() }}) IS NOT NULL THEN
      PERFORM 1 FROM {{ key.child.lens.legacy }} AS cf_t WHERE {{ key.refers("cf_t.", "cf_image") }} ORDER BY {{ key.child.key_order("cf_t") }} FOR {{ key.strength() }};
    END IF;
  ELSIF current_setting('transaction_isolation') = 'repeatable read' THEN
    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {{ key.untold() }},
      HINT = 'No constraint of unified stands for it in [table.constraints]. Use READ COMMITTED or SERIALIZABLE.';
  END IF;
  FOR cf_child IN {{ key.read_of_those("cf_image") }} LOOP
    cf_left := cf_left || cf_child;
  END LOOP;
  RETURN cf_left;
END
$crossfade$
