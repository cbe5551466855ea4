-- Version 3: who a proxy waits for.

-- The server's processes whose sessions hold on to an older generation of rules, some of them.
ALTER TABLE crossfade.instances
    ADD COLUMN held_by integer[] NOT NULL DEFAULT '{}';

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
