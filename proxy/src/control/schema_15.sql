-- How the statements of the application are planned in the phases to come, beside the legacy table: what the last
-- comparison of each migration found. Statements are shapes, without their constants.
CREATE TABLE crossfade.plans (
    migration text NOT NULL,
    -- in which it would be planned so
    phase text NOT NULL,
    hash text NOT NULL,
    statement text NOT NULL,
    calls bigint NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('scan', 'dearer', 'cannot_tell', 'same')),
    -- by the planner, on the legacy table and as it would be
    legacy_cost float8,
    cost float8,
    -- of a scan: the table that is read whole, its pages, by what it is looked through, and an index that might serve
    scanned text,
    pages bigint,
    condition text,
    index_ddl text,
    -- why nobody can tell
    reason text,
    compared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT plans_pkey PRIMARY KEY (migration, phase, hash)
);
