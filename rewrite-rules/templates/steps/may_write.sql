{#-
Whether a client may write at all, which PostgreSQL asks before it looks for a row (`written/functions/may.rs`). The
rights are those to the legacy table, as the straight statement's, until it is gone; then those to the first of unified,
whose columns nobody knows by legacy names. STABLE: a condition that no row changes, and so looked at first.
-#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_command text, cf_rights text[], cf_set text[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_table regclass := to_regclass({{ legacy }});
  cf_right text;
BEGIN
  IF current_setting('transaction_read_only')::boolean THEN
    RAISE EXCEPTION USING ERRCODE = '25006',
      MESSAGE = format('cannot execute %s in a read-only transaction', cf_command);
  END IF;
  IF cf_table IS NULL THEN
    cf_table := {{ unified }};
    cf_set := NULL;
  END IF;
  FOREACH cf_right IN ARRAY cf_rights LOOP
    CONTINUE WHEN CASE WHEN cf_right = 'DELETE' THEN has_table_privilege(cf_table, cf_right)
      WHEN cf_right = 'UPDATE' AND cf_set IS NOT NULL THEN NOT EXISTS (SELECT FROM unnest(cf_set) AS cf_c
        WHERE NOT has_column_privilege(cf_table, cf_c, cf_right))
      ELSE has_any_column_privilege(cf_table, cf_right) END;
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = {{ denied }};
  END LOOP;
  RETURN true;
END
$crossfade$
