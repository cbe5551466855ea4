-- Whether a write whose unified half fails may be recorded, for each migration. Not while reads turn to unified: who
-- begins to read there must find nothing stale that the gate has not seen (control/recording.rs).
CREATE TABLE crossfade.recording (
    migration text PRIMARY KEY,
    allowed   boolean NOT NULL DEFAULT true
);

-- The lock is held until the recording transaction ends: whoever forbids it has waited for all that were before. At
-- REPEATABLE READ it is forbidden to those as well whose snapshot is older (40001).
CREATE OR REPLACE FUNCTION crossfade.record_divergence(
    migration text, legacy_table text, key jsonb, reason text, sqlstate text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $crossfade$
DECLARE
    said text := left(regexp_replace(coalesce($4, ''), '[[:cntrl:]]+', ' ', 'g'), 1000);
    code text := CASE WHEN $5 ~ '^[0-9A-Z]{5}$' THEN $5 ELSE 'XX000' END;
    allowed boolean;
BEGIN
    SELECT r.allowed INTO allowed FROM crossfade.recording AS r WHERE r.migration = $1 FOR SHARE;
    IF NOT allowed THEN
        RAISE EXCEPTION USING ERRCODE = '40001',
            MESSAGE = format('the unified half of this write fails (%s), and while reads turn to the unified tables it '
                || 'cannot be left for later', code),
            HINT = 'The transaction might succeed if retried.';
    END IF;
    INSERT INTO crossfade.divergence AS d (migration, legacy_table, key, reason, sqlstate)
    VALUES ($1, $2, $3, said, code)
    ON CONFLICT ON CONSTRAINT divergence_pkey DO UPDATE
    SET reason = excluded.reason, sqlstate = excluded.sqlstate, times = d.times + 1,
        last_at = clock_timestamp();
    RAISE INFO USING ERRCODE = 'CF002', MESSAGE = migration, DETAIL = (SELECT p.proof FROM crossfade.proof AS p);
END
$crossfade$;
