-- Version 3: who a proxy waits for, how long its clients wait, and tables that are retired.

-- The server's processes whose sessions hold on to an older generation of rules, some of them; and
-- the 99th percentile of what clients wait for an answer, NULL where too few asked.
ALTER TABLE crossfade.instances
    ADD COLUMN held_by integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN p99_ms  double precision;

-- A backfill gives way while the proxies' clients wait longer.
ALTER TABLE crossfade.backfill
    ADD COLUMN p99_max_ms double precision CHECK (p99_max_ms > 0);

-- Legacy tables on probation: renamed, and every right taken away, so that whoever still needs one
-- is heard while a single command brings it back.
CREATE TABLE crossfade.retirements (
    migration       text NOT NULL,
    -- The name that it had, and the one that it has, as SQL.
    legacy_table    text NOT NULL,
    put_aside_as    text NOT NULL,
    -- The GRANTs that give the rights back.
    grants          text[] NOT NULL,
    since           timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- What it held when nobody could write it any more; NULL: not hashed yet.
    row_count       bigint,
    hash            text,
    -- The server's counters when the table was last found touched, and since when they stand.
    scans           bigint,
    writes          bigint,
    stats_reset     timestamptz,
    untouched_since timestamptz,
    PRIMARY KEY (migration, legacy_table)
);

-- Where the server's counters of a legacy table stood once no proxy touched it any more and all had
-- been counted (NULL: not yet), and how many scans since then were Crossfade's own.
CREATE TABLE crossfade.left_behind (
    migration    text NOT NULL,
    legacy_table text NOT NULL,
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    scans        bigint,
    writes       bigint,
    stats_reset  timestamptz,
    own_scans    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (migration, legacy_table)
);

-- How far a verify by ranges of the key is, for whoever takes it up again.
CREATE TABLE crossfade.verify_progress (
    migration        text NOT NULL,
    legacy_table     text NOT NULL,
    -- Its first range's snapshot: the verify is as old as that.
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_key         jsonb,
    done             boolean NOT NULL DEFAULT false,
    legacy_rows      bigint NOT NULL DEFAULT 0,
    unified_rows     bigint NOT NULL DEFAULT 0,
    missing          bigint NOT NULL DEFAULT 0,
    extra            bigint NOT NULL DEFAULT 0,
    different        bigint NOT NULL DEFAULT 0,
    -- Rows that differ in it, of each compared column.
    columns          bigint[] NOT NULL,
    samples          jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (migration, legacy_table)
);
