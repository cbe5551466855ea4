{#-
What INSERT … ON CONFLICT DO NOTHING has passed over, as unified rows. Under its old name the table has no other unique
indexes than the key's and those of which the rule file names what stands for them, and of its rows those alone that
legacy readers see: a row that none of these kept out would be lost in silence, and is an error. With a target
(`cf_target`) it was the client who said by which index. One that nothing keeps out any more was in the way of a row
that has gone since.
-#}
CREATE OR REPLACE FUNCTION {{ name }}(cf_rows jsonb[], cf_target boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_said jsonb;
  cf_row {{ lens.unified }};
  cf_arbiter record;
  cf_shown boolean;
  cf_broken text;
  cf_hid boolean;
BEGIN
  IF cf_rows IS NULL THEN RETURN true; END IF;
  {#- Rows of the table's own type as arguments would be in the way of its DROP. #}
  FOREACH cf_said IN ARRAY cf_rows LOOP
    cf_row := pg_catalog.jsonb_populate_record(NULL::{{ lens.unified }}, cf_said);
    cf_broken := NULL;
    cf_hid := false;
    FOR cf_arbiter IN
      SELECT c.relname AS name, coalesce('WHERE ' || pg_catalog.pg_get_expr(i.indpred, i.indrelid), '') AS condition,
        k.keys, k.same,
        cf_target OR c.relname = ANY ({{ named }}) OR i.indexprs IS NULL AND k.columns = {{ key }} AS known
      FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid,
        LATERAL (SELECT
            pg_catalog.string_agg(pg_catalog.format('(%s)%s AS cf_k%s', pg_catalog.pg_get_indexdef(i.indexrelid, n, false),
              ' COLLATE ' || nullif(i.indcollation[n - 1], 0)::pg_catalog.regcollation, n), ', ') AS keys,
            pg_catalog.string_agg('cf_a.cf_k' || n || CASE pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct'
              WHEN 'true' THEN ' IS NOT DISTINCT FROM ' ELSE ' = ' END || 'cf_b.cf_k' || n, ' AND ') AS same,
            pg_catalog.array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C") AS columns
          FROM pg_catalog.generate_series(1, i.indnkeyatts) AS n
            LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1]) AS k
      WHERE i.indrelid = {{ table }}::pg_catalog.regclass AND i.indisunique AND i.indislive
      ORDER BY known DESC, c.relname
    LOOP
      EXECUTE pg_catalog.format(
          'SELECT pg_catalog.bool_or(cf_a.cf_shown) FROM (SELECT %1$s, %4$s AS cf_shown FROM %5$s AS {{ row }} %2$s) AS cf_a, '
          '(SELECT %1$s FROM (SELECT ($1).*) AS {{ row }} %2$s) AS cf_b WHERE %3$s',
          cf_arbiter.keys, cf_arbiter.condition, cf_arbiter.same, {{ shown }}, {{ table }})
        INTO cf_shown USING cf_row;
      CONTINUE WHEN cf_shown IS NULL;
      cf_broken := coalesce(cf_broken, cf_arbiter.name);
      cf_hid := cf_hid OR coalesce(cf_arbiter.known, false) AND NOT cf_shown;
      IF cf_arbiter.known AND cf_shown THEN
        cf_broken := NULL;
        EXIT;
      END IF;
    END LOOP;
    CONTINUE WHEN cf_broken IS NULL;
    RAISE unique_violation USING
      MESSAGE = CASE WHEN cf_hid THEN {{ hidden }}
        ELSE pg_catalog.format('duplicate key value violates unique constraint "%s"', cf_broken) END,
      CONSTRAINT = cf_broken, TABLE = {{ relation }}, SCHEMA = {{ schema }};
  END LOOP;
  RETURN true;
END
$crossfade$
