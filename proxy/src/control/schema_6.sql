-- Version 6: TRUNCATE of several tables at once.

-- Tables that refer to each other are truncated by one command, and a command that has no rows can
-- share a statement with others only in here. It has no rights of its own, nor a search_path: it
-- does what its caller could do.
CREATE FUNCTION crossfade.truncate(statements text[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    RETURN true;
END
$crossfade$;
