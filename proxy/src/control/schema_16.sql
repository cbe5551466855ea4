-- Version 16: what is left of a retired table in the catalog, an empty table of its name and shape, for whoever looks it
-- up there (retire/stand_in.rs); and what else a table on probation gets back.

ALTER TABLE crossfade.retirements
    -- Once the stand-in is gone and the table has its name again: what gives back the names of its indexes, the sequences
    -- of its columns and its foreign keys.
    ADD COLUMN restores   text[] NOT NULL DEFAULT '{}',
    -- Since when somebody has known that it is dropped.
    ADD COLUMN gone_since timestamptz;

-- Nobody writes a stand-in. What reaches it by an action of a foreign key, or by TRUNCATE … CASCADE of a table that it
-- refers to, is let by: there is no row, and the statement was about another table. By this trigger a stand-in is known.
CREATE FUNCTION crossfade.stand_in() RETURNS trigger
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $crossfade$
DECLARE
    quoted constant text := format('"%s"."%s"', replace(TG_TABLE_SCHEMA, '"', '""'), replace(TG_TABLE_NAME, '"', '""'));
    context text;
    within text;
BEGIN
    GET DIAGNOSTICS context = PG_CONTEXT;
    -- The statement that this one is part of, where it runs within another, behind some words of the server's language.
    within := split_part(context, E'\n', 2);
    IF pg_trigger_depth() > 1 AND (
        strpos(within, format('DELETE FROM ONLY %s WHERE $1 OPERATOR(', quoted)) BETWEEN 1 AND 40
        OR strpos(within, format('DELETE FROM %s WHERE $1 OPERATOR(', quoted)) BETWEEN 1 AND 40
        OR strpos(within, format('UPDATE ONLY %s SET ', quoted)) BETWEEN 1 AND 40
        OR strpos(within, format('UPDATE %s SET ', quoted)) BETWEEN 1 AND 40)
    THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'TRUNCATE' AND coalesce(nullif(within, ''), current_query(), '')
        !~* format('(^|\W)%s(\W|$)', regexp_replace(TG_TABLE_NAME, '(\W)', '\\\1', 'g'))
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING ERRCODE = '55000',
        MESSAGE = format('%s of %I.%I, which migration %s has retired: what bears its name is an empty stand-in, and nobody writes it',
            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]),
        HINT = 'Send the statement through a Crossfade proxy, or name the tables that have its rows now.';
END
$crossfade$;
REVOKE ALL ON FUNCTION crossfade.stand_in() FROM PUBLIC;

-- Nor does anybody read one: this is the condition of its row policy. IMMUTABLE, so that whoever plans a read evaluates it;
-- at run time it would be a filter of rows, of which there are none.
CREATE FUNCTION crossfade.stand_in_is_read(named text, migration text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '55000',
        MESSAGE = format('%s, which migration %s has retired, is not read: what bears its name is an empty stand-in', named, migration),
        HINT = 'Send the statement through a Crossfade proxy, or name the tables that have its rows now.';
END
$crossfade$;
