-- Version 8: rules that a proxy has not put into force, and why; since when writers around the proxies
-- have been looked for without a gap.

-- Kept as long as the proxy says so; an empty migration: the reason is none of a single one.
CREATE TABLE crossfade.rules_refused (
    instance  uuid NOT NULL,
    migration text NOT NULL,
    address   text NOT NULL,
    reason    text NOT NULL,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (instance, migration)
);

-- Not a column of crossfade.migrations: clients' transactions lock that row, and this one changes each
-- second.
CREATE TABLE crossfade.watches (
    migration text PRIMARY KEY,
    since     timestamptz NOT NULL DEFAULT statement_timestamp(),
    until     timestamptz NOT NULL DEFAULT statement_timestamp()
);
