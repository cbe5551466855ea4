-- What is in force, and what was: each step of a migration and each change of its rules is an epoch. The newest of a
-- migration holds. Not columns of crossfade.migrations, whose rows clients' transactions lock.
CREATE SEQUENCE crossfade.epoch;

CREATE TABLE crossfade.epochs (
    migration text NOT NULL,
    -- no other migration's either
    epoch bigint NOT NULL UNIQUE,
    phase text NOT NULL,
    -- the rule file's text; empty: the migration is not managed any more
    rules text NOT NULL,
    -- what the file was called
    file text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    opened_by text NOT NULL,
    why text NOT NULL,
    -- when its fence was closed: no statement of it has run since
    closed_at timestamptz,
    CONSTRAINT epochs_pkey PRIMARY KEY (migration, epoch)
);

-- The epoch that an instance serves.
ALTER TABLE crossfade.instances ADD COLUMN epoch bigint;
