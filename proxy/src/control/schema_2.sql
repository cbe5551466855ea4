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
