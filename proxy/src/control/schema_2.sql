-- Version 2: what a write in unified_read asks when legacy refuses its image.

-- Whether legacy may hold what unified has left behind (a visit to unified_only that no reverse
-- backfill and clean verify have settled). The application's role needs no right on the table: the
-- function has its owner's.
--
-- Above READ COMMITTED the transaction's snapshot may be older than the visit, and the row that is
-- in the way is newer than both: without `in_the_way` the answer is then "maybe", and with it the row
-- is locked, which fails with 40001 if it was changed since; the next attempt sees the visit.
CREATE FUNCTION crossfade.legacy_is_stale(migration text, in_the_way boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
DECLARE
    stale boolean;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') = 'read committed' THEN
        RETURN EXISTS (SELECT FROM crossfade.migrations AS m
                       WHERE m.migration = $1 AND m.legacy_stale_since IS NOT NULL);
    END IF;
    IF NOT $2 THEN
        RETURN true;
    END IF;
    SELECT m.legacy_stale_since IS NOT NULL INTO stale
    FROM crossfade.migrations AS m WHERE m.migration = $1 FOR SHARE;
    RETURN coalesce(stale, false);
END
$crossfade$;

-- A backfill walks over several ranges of the key at once; each has its own cursor. A run from
-- before this version is one range.
CREATE TABLE crossfade.backfill_parts (
    run         uuid NOT NULL,
    part        integer NOT NULL,
    last_key    jsonb,
    highest_key jsonb NOT NULL,
    done        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (run, part)
);
INSERT INTO crossfade.backfill_parts (run, part, last_key, highest_key)
SELECT run, 1, last_key, highest_key FROM crossfade.backfill
WHERE state = 'running' AND highest_key IS NOT NULL;

-- What holds a backfill back, beside the rate: others at work on the server, replicas that lag.
ALTER TABLE crossfade.backfill
    ADD COLUMN yields boolean NOT NULL DEFAULT true,
    ADD COLUMN replica_lag_max_seconds double precision CHECK (replica_lag_max_seconds > 0);
