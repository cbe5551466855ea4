-- Each migration has its row from `prepare` on: only a row that is there can be locked until a recording transaction
-- ends, and only of such a row does an older snapshot find out that it has changed.
INSERT INTO crossfade.recording (migration)
SELECT m.migration FROM crossfade.migrations AS m ON CONFLICT DO NOTHING;

-- What is not known to be allowed is not.
CREATE OR REPLACE FUNCTION crossfade.record_divergence(
    migration text, legacy_table text, key jsonb, reason text, sqlstate text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $crossfade$
DECLARE
    said text := left(regexp_replace(coalesce($4, ''), '[[:cntrl:]]+', ' ', 'g'), 1000);
    code text := CASE WHEN $5 ~ '^[0-9A-Z]{5}$' THEN $5 ELSE 'XX000' END;
    allowed boolean;
BEGIN
    SELECT r.allowed INTO allowed FROM crossfade.recording AS r WHERE r.migration = $1 FOR SHARE;
    IF allowed IS NOT TRUE THEN
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
