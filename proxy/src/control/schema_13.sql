-- Version 13: the seal. Statement triggers on a migration's tables tell, or refuse, whoever writes there without an epoch
-- (control/seal.rs).

CREATE TABLE crossfade.seals (
    relation  oid PRIMARY KEY,
    migration text NOT NULL,
    -- what becomes of writers around the proxies, as the rule file says
    writers   text NOT NULL CHECK (writers IN ('count', 'refuse', 'ignore')),
    -- whoever has written since has been seen
    since     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who wrote there without one. A session adds to its own rows alone, so that nobody waits for anybody.
CREATE TABLE crossfade.writers_around (
    migration   text NOT NULL,
    table_name  text NOT NULL,
    kind        text NOT NULL,
    role        text NOT NULL,
    application text NOT NULL,
    client      text NOT NULL,
    pid         integer NOT NULL,
    -- by a trigger, or by what a foreign key does
    within      boolean NOT NULL,
    -- the last transaction that did so: a comparison whose snapshot shows its end has seen what it wrote
    by_xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    last_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON crossfade.writers_around (pid);

-- What was visible to a comparison: a time alone does not say which transactions had ended by then.
ALTER TABLE crossfade.verifications ADD COLUMN snapshot pg_snapshot;
ALTER TABLE crossfade.verify_progress ADD COLUMN snapshot pg_snapshot;
ALTER TABLE crossfade.verify_progress ALTER COLUMN snapshot SET DEFAULT pg_current_snapshot();

-- Called where the text of a statement shows no fence of the migration: EXECUTE of what was prepared with one, COPY and
-- TRUNCATE, before which it was locked, and whoever goes around the proxies. What was found out is kept for the rest of the
-- transaction, and goes with a savepoint that is rolled back, as the lock does.
CREATE FUNCTION crossfade.seal() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
DECLARE
    moves constant text := TG_ARGV[0];
    inside constant boolean := pg_trigger_depth() > 1;
    now_is constant text := pg_current_xact_id() || ':';
    known text := coalesce(current_setting('crossfade.sealed', true), '');
    writing text := TG_OP;
    seal text;
    named text;
    called text;
    address text;
BEGIN
    IF NOT starts_with(known, now_is) THEN
        known := now_is;
    END IF;
    IF strpos(known, format(' %s ', moves)) > 0 OR strpos(known, format(' %s/%s/%s ', TG_RELID, TG_OP, inside)) > 0 THEN
        RETURN NULL;
    END IF;
    -- One that nobody took down in time says nothing of whoever writes today.
    SELECT s.writers INTO seal FROM crossfade.seals AS s WHERE s.relation = TG_RELID AND s.migration = moves
        AND (SELECT e.phase FROM crossfade.epochs AS e WHERE e.migration = moves ORDER BY e.epoch DESC LIMIT 1)
            NOT IN ('legacy_only', 'retired');
    IF seal IS NULL OR seal = 'ignore' THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM crossfade.sessions AS s, pg_stat_get_activity(pg_backend_pid()) AS a
               WHERE s.pid = pg_backend_pid() AND s.began = coalesce(a.backend_start, s.began))
        OR EXISTS (SELECT FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation AND c.relname = 'fence'
                   JOIN pg_namespace AS n ON n.oid = c.relnamespace
                   JOIN crossfade.epochs AS e ON starts_with(n.nspname::text, format('crossfade_e%s_', e.epoch))
                   WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'RowShareLock'
                       AND e.migration = moves)
    THEN
        PERFORM set_config('crossfade.sealed', format('%s %s ', known, moves), true);
        RETURN NULL;
    END IF;
    IF seal = 'refuse' AND NOT inside THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('%s of %I.%I goes around the proxies, and the rules of migration %s let nobody write so',
                TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, moves),
            DETAIL = 'The statement carries no epoch of the migration: what it writes would reach one of its two sides alone.',
            HINT = 'Send the statement itself through a Crossfade proxy (a function that writes there is not rewritten). '
                'To let such writes pass, and be counted: writers_around = "count" in the rule file.';
    END IF;
    PERFORM set_config('crossfade.sealed', format('%s %s/%s/%s ', known, TG_RELID, TG_OP, inside), true);
    IF TG_OP = 'INSERT' AND coalesce(current_query(), '') ~* '^\s*copy\M' THEN
        writing := 'COPY';
    END IF;
    named := format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    called := left(regexp_replace(coalesce(current_setting('application_name'), ''), '[[:cntrl:]]+', ' ', 'g'), 64);
    address := coalesce(host(inet_client_addr()), 'this machine');
    -- Above READ COMMITTED a row that somebody tidied away meanwhile would fail the statement; one that a prepared
    -- transaction has locked would be waited for.
    IF current_setting('transaction_isolation') = 'read committed' THEN
        UPDATE crossfade.writers_around AS w SET by_xid = pg_current_xact_id(), last_at = clock_timestamp()
        WHERE w.ctid = (SELECT o.ctid FROM crossfade.writers_around AS o WHERE o.pid = pg_backend_pid()
            AND (o.migration, o.table_name, o.kind, o.role, o.application, o.client, o.within)
                = (moves, named, writing, session_user::text, called, address, inside)
            LIMIT 1 FOR UPDATE SKIP LOCKED);
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO crossfade.writers_around (migration, table_name, kind, role, application, client, pid, within)
    VALUES (moves, named, writing, session_user, called, address, pg_backend_pid(), inside);
    RETURN NULL;
END
$crossfade$;
REVOKE ALL ON FUNCTION crossfade.seal() FROM PUBLIC;
