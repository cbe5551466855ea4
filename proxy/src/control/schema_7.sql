-- Version 7: nobody calls a function of Crossfade's who has no right on the tables that it is about.

-- Crossfade's own sessions, each put down by itself as it connects: who else writes is told apart by
-- this, never by what a session calls itself.
CREATE TABLE crossfade.sessions (
    pid   integer NOT NULL,
    began timestamptz NOT NULL,
    work  text NOT NULL,
    PRIMARY KEY (pid, began)
);

-- One step, one backfill of a migration at a time: the session that is at it. The row counts for as
-- long as that session lives. Advisory locks anybody may take; this table only Crossfade's role.
CREATE TABLE crossfade.work (
    work      text NOT NULL,
    migration text NOT NULL,
    pid       integer NOT NULL,
    began     timestamptz NOT NULL,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (work, migration)
);

-- Who may execute a lens's function: 'writers', 'deleters' or 'nobody'; NULL: an older version made it.
ALTER TABLE crossfade.lens_functions ADD COLUMN callers text;

-- What follows is called by the functions of lenses that have their owner's rights, and by nobody
-- else. Those have taken the key from a row image, so it is one.
--
-- The reason is shown to the operator, who reads it in a terminal.
CREATE OR REPLACE FUNCTION crossfade.record_divergence(
    migration text, legacy_table text, key jsonb, reason text, sqlstate text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $crossfade$
DECLARE
    said text := left(regexp_replace(coalesce($4, ''), '[[:cntrl:]]+', ' ', 'g'), 1000);
    code text := CASE WHEN $5 ~ '^[0-9A-Z]{5}$' THEN $5 ELSE 'XX000' END;
BEGIN
    INSERT INTO crossfade.divergence AS d (migration, legacy_table, key, reason, sqlstate)
    VALUES ($1, $2, $3, said, code)
    ON CONFLICT ON CONSTRAINT divergence_pkey DO UPDATE
    SET reason = excluded.reason, sqlstate = excluded.sqlstate, times = d.times + 1,
        last_at = clock_timestamp();
    RAISE INFO USING ERRCODE = 'CF002', MESSAGE = migration;
END
$crossfade$;
ALTER FUNCTION crossfade.tombstone(text, text, jsonb) SECURITY INVOKER;
ALTER FUNCTION crossfade.claim(text, text, jsonb) SECURITY INVOKER;
ALTER FUNCTION crossfade.legacy_is_stale(text, boolean) SECURITY INVOKER;

-- Has no rights of its own and touches nothing: whoever may read a legacy table may be counted.
ALTER FUNCTION crossfade.fell_back(text, text) SET search_path = pg_catalog, pg_temp;

-- crossfade.truncate keeps its caller's search_path, as it keeps its rights: the names in its statements
-- are the caller's.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA crossfade FROM PUBLIC;
