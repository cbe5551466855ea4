-- Sessions that read a migration as in its next phase, for a while.
CREATE TABLE crossfade.canary (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration text NOT NULL,
    -- it holds in this epoch alone
    epoch bigint NOT NULL,
    -- of all sessions
    share float8 NOT NULL CHECK (share BETWEEN 0 AND 1),
    -- and all of these roles, and of those that call themselves so
    users text[] NOT NULL,
    applications text[] NOT NULL,
    -- how much worse than the others it may do: shares of reads, and a factor
    error_margin float8 NOT NULL,
    latency_margin float8 NOT NULL,
    divergence_margin float8 NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    began_by text NOT NULL,
    ended_at timestamptz,
    ended_why text
);
CREATE UNIQUE INDEX canary_running ON crossfade.canary (migration) WHERE ended_at IS NULL;

-- What each proxy has counted since it began.
CREATE TABLE crossfade.canary_counts (
    canary bigint NOT NULL,
    reporter uuid NOT NULL,
    counted jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT canary_counts_pkey PRIMARY KEY (canary, reporter)
);

-- What came of statements, by their shape, the phase that they were read by, and whether a canary sent them. The row with
-- an empty hash is of all those that found no room.
CREATE TABLE crossfade.statement_results (
    hash text NOT NULL,
    -- empty where a body names the table
    migration text NOT NULL,
    phase text NOT NULL,
    canary boolean NOT NULL,
    statement text NOT NULL,
    -- how often they ran to their end
    calls bigint NOT NULL,
    rows bigint NOT NULL,
    failed bigint NOT NULL,
    refused bigint NOT NULL,
    -- why the last of these was
    why text,
    fallbacks bigint NOT NULL,
    -- microseconds of those that were timed, and how many took less than twice two to the power of the place
    micros bigint NOT NULL,
    times bigint[] NOT NULL,
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT statement_results_pkey PRIMARY KEY (hash, migration, phase, canary)
);

-- Since when there is a hook; what happened before, nobody is told.
CREATE TABLE crossfade.hook (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Events that it is to be told of. Whichever proxy takes a row has it until next_at.
CREATE TABLE crossfade.hook_deliveries (
    event bigint PRIMARY KEY,
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    told_at timestamptz,
    given_up_at timestamptz,
    -- why the last attempt failed
    said text
);
CREATE INDEX ON crossfade.hook_deliveries (next_at) WHERE told_at IS NULL AND given_up_at IS NULL;
