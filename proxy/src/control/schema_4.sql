-- Version 4: who writes around the proxies, and which rules a verify was of.

-- Processes that hold a write lock on a table of a migration and that the proxy which saw them does
-- not serve. The proxy that does takes them out again.
CREATE TABLE crossfade.writers_asked (
    migration   text NOT NULL,
    table_name  text NOT NULL,
    pid         integer NOT NULL,
    role        text NOT NULL,
    application text NOT NULL,
    client      text NOT NULL,
    query       text NOT NULL,
    at          timestamptz NOT NULL DEFAULT statement_timestamp(),
    asked_by    xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (migration, table_name, pid)
);

-- Those that no proxy took out, by who they are; process and query are the latest.
CREATE TABLE crossfade.direct_writers (
    migration   text NOT NULL,
    table_name  text NOT NULL,
    role        text NOT NULL,
    application text NOT NULL,
    client      text NOT NULL,
    pid         integer NOT NULL,
    query       text NOT NULL,
    times       bigint NOT NULL,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    PRIMARY KEY (migration, table_name, role, application, client)
);

-- When a proxy last took its own out, what it could see then, and the time before. What was to be
-- seen the time before it has been asked of: it named its sessions later than that. NULL: it does not
-- look, or cannot tell which are its own.
ALTER TABLE crossfade.instances
    ADD COLUMN looked_at     timestamptz,
    ADD COLUMN looked        pg_snapshot,
    ADD COLUMN looked_before pg_snapshot;

-- The hash of what was compared with what: a verify of other rules proves nothing of these.
ALTER TABLE crossfade.verifications
    ADD COLUMN rules_hash text;
ALTER TABLE crossfade.verify_progress
    ADD COLUMN rules_hash text;
