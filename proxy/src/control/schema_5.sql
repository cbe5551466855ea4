-- Version 5: keys that are being inserted under the name of a table that is split or merged.

-- No one index holds the rows of such a table, so nothing made two inserts of one key wait for each
-- other. A row here does, though it is gone at once: until the transaction has ended, whoever enters
-- the same key waits for it, and then finds what it has inserted.
CREATE TABLE crossfade.claims (
    migration    text NOT NULL,
    legacy_table text NOT NULL,
    key          jsonb NOT NULL,
    PRIMARY KEY (migration, legacy_table, key)
);

-- The application's role needs no right on the table: the function has its owner's. The row is found
-- by its place, which needs no search and leaves serializable transactions nothing to depend on.
CREATE FUNCTION crossfade.claim(migration text, legacy_table text, key jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
DECLARE
    place tid;
BEGIN
    INSERT INTO crossfade.claims AS c (migration, legacy_table, key) VALUES ($1, $2, $3)
    RETURNING c.ctid INTO place;
    DELETE FROM crossfade.claims AS c WHERE c.ctid = place;
END
$crossfade$;
