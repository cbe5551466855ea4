-- The legacy tables of migrations that keep both sides, and what their columns were when that began. Event
-- triggers, where the role may have them (control/guard.rs), let nobody but an operator change them.
CREATE TABLE crossfade.guarded (
    migration text NOT NULL,
    relation  oid NOT NULL,
    shape     text NOT NULL,
    PRIMARY KEY (migration, relation)
);

-- A table's name and columns, as far as rows read or written without one of them would differ.
CREATE FUNCTION crossfade.shape_of(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT format('%I.%I (%s)', n.nspname, c.relname, (
    SELECT string_agg(format('%I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' NOT NULL' END, ' IDENTITY ' || nullif(a.attidentity::text, ''),
        CASE WHEN a.attgenerated <> '' THEN ' GENERATED ' ELSE ' DEFAULT ' END || pg_get_expr(d.adbin, d.adrelid)),
      ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = relation
$$;

-- What a command changed is compared only of tables that it touched, or whose ancestors it did: one that
-- changed while no event trigger was there must not be in the way of every other command.
CREATE FUNCTION crossfade.watch_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  relations oid[];
  schemas oid[];
  names text[];
  found record;
BEGIN
  IF TG_EVENT = 'sql_drop' THEN
    SELECT array_agg(objid) FILTER (WHERE classid = 'pg_class'::regclass),
        array_agg(format('%I.%I', address_names[1], address_names[2])) FILTER (WHERE object_type = 'default value')
      INTO relations, names FROM pg_event_trigger_dropped_objects();
  ELSE
    SELECT array_agg(objid) FILTER (WHERE classid = 'pg_class'::regclass),
        array_agg(objid) FILTER (WHERE classid = 'pg_namespace'::regclass)
      INTO relations, schemas FROM pg_event_trigger_ddl_commands();
  END IF;
  FOR found IN
    WITH RECURSIVE line (relation, ancestor) AS (
      SELECT relation, relation FROM crossfade.guarded
      UNION SELECT l.relation, i.inhparent FROM line AS l JOIN pg_inherits AS i ON i.inhrelid = l.ancestor)
    SELECT g.migration, g.relation, g.shape, crossfade.shape_of(g.relation) AS now
    FROM crossfade.guarded AS g LEFT JOIN pg_class AS c ON c.oid = g.relation
    WHERE c.relnamespace = ANY (schemas) OR c.oid::regclass::text = ANY (names)
      OR EXISTS (SELECT FROM line AS l WHERE l.relation = g.relation AND l.ancestor = ANY (relations))
  LOOP
    CONTINUE WHEN found.now IS NOT DISTINCT FROM found.shape;
    -- The setting alone would be anybody's to make.
    IF current_setting('crossfade.ddl', true) = 'on' AND pg_has_role(session_user, current_user, 'MEMBER') THEN
      UPDATE crossfade.guarded AS g SET shape = found.now
        WHERE g.migration = found.migration AND g.relation = found.relation AND found.now IS NOT NULL;
    ELSE
      RAISE EXCEPTION USING ERRCODE = '55000',
        MESSAGE = format('%s changes the table %s, which the migration %s moves', TG_TAG,
          split_part(found.shape, ' (', 1), found.migration),
        DETAIL = format('It was: %s', found.shape),
        HINT = format('Change it before the migration begins or after it has ended. An operator changes the table '
          'together with the rule file: SET crossfade.ddl = ''on'', in a session of a member of role %I.', current_user);
    END IF;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION crossfade.shape_of(oid), crossfade.watch_ddl() FROM PUBLIC;
