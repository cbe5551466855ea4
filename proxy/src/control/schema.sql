-- What Crossfade keeps in the application's database. Sessions of the application may use the
-- schema and call its functions; the tables are for Crossfade's own connection only.

CREATE SCHEMA IF NOT EXISTS crossfade;
GRANT USAGE ON SCHEMA crossfade TO PUBLIC;

CREATE TABLE crossfade.version (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    version     integer NOT NULL,
    prepared_at timestamptz NOT NULL DEFAULT now()
);

-- Rewritten statements "insert" here what is never true, to have a condition evaluated by a WITH
-- query that nobody reads: PostgreSQL runs such a query only if it writes. It stays empty.
CREATE TABLE crossfade.never (
    never boolean NOT NULL CHECK (false)
);
GRANT INSERT ON crossfade.never TO PUBLIC;

-- The functions of lenses as they were last created, so that they are not created again.
CREATE TABLE crossfade.lens_functions (
    name         text PRIMARY KEY,
    migration    text NOT NULL,
    legacy_table text NOT NULL,
    ddl          text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- Since when legacy may lack writes that unified has (a visit to unified_only), and unified writes
-- that legacy has (a visit to legacy_only after dual writes); NULL: it lacks none.
CREATE TABLE crossfade.migrations (
    migration           text PRIMARY KEY,
    legacy_stale_since  timestamptz,
    unified_stale_since timestamptz
);

-- One row for each serving proxy and migration; what it counts begins with its start.
CREATE TABLE crossfade.instances (
    instance         uuid NOT NULL,
    migration        text NOT NULL,
    phase            text NOT NULL,
    generation       bigint NOT NULL,
    drained          boolean NOT NULL,
    rules_hash       text NOT NULL,
    address          text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT now(),
    seen_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Rows answered from legacy because unified lacked them, and keys that entered the ledger.
    fallbacks        bigint NOT NULL DEFAULT 0,
    divergences      bigint NOT NULL DEFAULT 0,
    -- Shadow reads whose two results were the same, were not, and could not be had.
    shadow_equal     bigint NOT NULL DEFAULT 0,
    shadow_different bigint NOT NULL DEFAULT 0,
    shadow_failed    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, migration)
);

-- One row for each legacy table and direction.
CREATE TABLE crossfade.backfill (
    migration      text NOT NULL,
    legacy_table   text NOT NULL,
    -- From unified to legacy.
    reverse        boolean NOT NULL DEFAULT false,
    run            uuid NOT NULL,
    state          text NOT NULL CHECK (state IN ('running', 'sweeping', 'complete', 'void')),
    last_key       jsonb,
    highest_key    jsonb,
    chunk_rows     bigint NOT NULL,
    rows_estimated bigint NOT NULL,
    rows_done      bigint NOT NULL DEFAULT 0,
    rows_put       bigint NOT NULL DEFAULT 0,
    rows_set_aside bigint NOT NULL DEFAULT 0,
    ghosts_removed bigint NOT NULL DEFAULT 0,
    last_chunk     xid8,
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    -- What the operator wants of it now, and how fast at most; looked at before each chunk.
    wish           text NOT NULL DEFAULT 'run' CHECK (wish IN ('run', 'pause', 'cancel')),
    rows_per_second_max bigint CHECK (rows_per_second_max > 0),
    PRIMARY KEY (migration, legacy_table, reverse)
);

CREATE TABLE crossfade.verifications (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration   text NOT NULL,
    -- The snapshot's time: what a backfill finished before it is in it.
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    clean       boolean NOT NULL,
    missing     bigint NOT NULL,
    extra       bigint NOT NULL,
    different   bigint NOT NULL,
    report      jsonb NOT NULL
);
CREATE INDEX ON crossfade.verifications (migration, id);

-- Keys whose unified half is known to be wrong: a dual write or a chunk could not put them.
CREATE TABLE crossfade.divergence (
    migration    text NOT NULL,
    legacy_table text NOT NULL,
    key          jsonb NOT NULL,
    reason       text NOT NULL,
    sqlstate     text NOT NULL,
    times        bigint NOT NULL DEFAULT 1,
    first_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration, legacy_table, key)
);

-- Keys deleted by transactions whose snapshot could not see what a chunk inserted.
CREATE TABLE crossfade.tombstones (
    migration    text NOT NULL,
    legacy_table text NOT NULL,
    key          jsonb NOT NULL,
    deleted_by   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON crossfade.tombstones (migration, legacy_table);

-- Distinct statements that name a migrating table, values taken out, as the proxies saw them.
CREATE TABLE crossfade.statements (
    hash       text PRIMARY KEY,
    statement  text NOT NULL,
    calls      bigint NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE crossfade.events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    migration  text NOT NULL,
    kind       text NOT NULL,
    from_phase text,
    to_phase   text,
    forced     boolean NOT NULL DEFAULT false,
    reason     text,
    gates      jsonb,
    details    jsonb,
    os_user    text NOT NULL,
    host       text NOT NULL,
    db_user    text NOT NULL DEFAULT session_user,
    -- A step is done when every proxy has drained; NULL says that it was not seen to be.
    drained_at timestamptz
);
CREATE INDEX ON crossfade.events (migration, id);

-- Called by a rewritten read for each row that only legacy had. INFO reaches the proxy whatever
-- the session's client_min_messages is, from a parallel worker too; the proxy counts and hides it.
CREATE FUNCTION crossfade.fell_back(migration text, key text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $crossfade$
BEGIN
    RAISE INFO USING ERRCODE = 'CF001', MESSAGE = migration;
    RETURN true;
END
$crossfade$;

-- Called by a dual write whose unified half failed. The application's role needs no right on the
-- ledger: the function has its owner's.
CREATE FUNCTION crossfade.record_divergence(
    migration text, legacy_table text, key jsonb, reason text, sqlstate text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
    INSERT INTO crossfade.divergence AS d (migration, legacy_table, key, reason, sqlstate)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT ON CONSTRAINT divergence_pkey DO UPDATE
    SET reason = excluded.reason, sqlstate = excluded.sqlstate, times = d.times + 1,
        last_at = clock_timestamp();
    RAISE INFO USING ERRCODE = 'CF002', MESSAGE = migration;
END
$crossfade$;

-- Called by a delete that is not at READ COMMITTED. Once the last chunk is in (as this
-- transaction's snapshot sees it) the delete saw every unified row, and no tombstone is needed.
CREATE FUNCTION crossfade.tombstone(migration text, legacy_table text, key jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
    IF NOT EXISTS (
        SELECT FROM crossfade.backfill AS b
        WHERE b.migration = $1 AND b.legacy_table = $2 AND NOT b.reverse AND b.state IN ('sweeping', 'complete'))
    THEN
        INSERT INTO crossfade.tombstones (migration, legacy_table, key) VALUES ($1, $2, $3);
    END IF;
END
$crossfade$;

INSERT INTO crossfade.version (version) VALUES (1);
