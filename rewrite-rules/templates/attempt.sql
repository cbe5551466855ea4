{#
Work of the unified half that may fail while the legacy half stands: a savepoint, and the ledger (`lens/recorded.rs`
says why). Used as

  DECLARE
    {{- attempt::variables() }}
  BEGIN
    {{- attempt::patience() }}
    {%- call attempt::whole(lens, "done", "failed") %}
    work;
    {%- endcall %}
#}

{% macro variables() %}
  cf_own double precision;
  cf_patience double precision;
  cf_tries integer;
  cf_since timestamptz;
  cf_told text;
{%- endmacro %}

{# How long a wait is before it is looked at, in ms: half of what PostgreSQL waits before it looks for a deadlock; no
   longer than the client itself would wait. #}
{% macro patience() %}
  cf_own := CASE current_setting('lock_timeout') WHEN '0' THEN 0
    ELSE extract(epoch FROM current_setting('lock_timeout')::interval) * 1000 END;
  cf_patience := greatest(1, extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500);
  IF cf_own > 0 AND cf_own < cf_patience THEN cf_patience := cf_own; END IF;
{%- endmacro %}

{# Done as a whole, with what deferred foreign keys say of it and with what comes behind it (`done`), or not at all,
   with what comes then (`failed`). What is not the mapping's is raised; a wait goes on unless it may be part of a
   circle: unless somebody waits for this transaction, or for one that does, who may hold what it waited for. #}
{% macro whole(lens, done, failed) %}
    cf_tries := 0;
    LOOP
    cf_since := clock_timestamp();
    {#- Variables have their values before the savepoint of their block is there. #}
    DECLARE
      cf_looks boolean := {{ lens.look_now("true, cf_patience") }};
    BEGIN
      {#- Assigned, it needs no query. #}
      cf_told := set_config('lock_timeout', ceil(cf_patience)::text, true);
      {{- caller() }}
      IF cf_looks THEN PERFORM {{ lens.look_now("false, NULL") }}; END IF;
      cf_told := set_config('lock_timeout', cf_own::text, true);
      {{ done }};
    EXCEPTION WHEN OTHERS THEN
      IF left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX') AND SQLSTATE <> '40P01' THEN RAISE; END IF;
      cf_tries := cf_tries + 1;
      CONTINUE WHEN SQLSTATE = '55P03'
        AND extract(epoch FROM clock_timestamp() - cf_since) * 1000 >= cf_patience
        AND (cf_own = 0 OR cf_tries * cf_patience < cf_own)
        AND NOT EXISTS (
          WITH RECURSIVE cf_waits AS MATERIALIZED (
            SELECT cf_l.pid, pg_blocking_pids(cf_l.pid) AS cf_for FROM pg_locks AS cf_l WHERE NOT cf_l.granted),
          cf_behind (pid) AS (
            SELECT pg_backend_pid()
            UNION SELECT cf_w.pid FROM cf_behind AS cf_b JOIN cf_waits AS cf_w ON cf_b.pid = ANY (cf_w.cf_for))
          SELECT 1 FROM cf_behind AS cf_b JOIN pg_locks AS cf_l ON cf_l.pid = cf_b.pid
            WHERE cf_b.pid <> pg_backend_pid() AND cf_l.granted AND cf_l.mode <> 'AccessShareLock'
            AND cf_l.relation IN ({{ lens.unified_relations() }}));
      {#- Whoever waits for this transaction has begun to: all other waits of this call together are shorter than the
         other half of what it waits before it looks for a deadlock. #}
      IF SQLSTATE = '55P03' THEN cf_patience := greatest(1, cf_patience / 4); END IF;
      {{ failed }};
      EXIT;
    END;
    END LOOP;
{%- endmacro %}

{# A delete or a key change at REPEATABLE READ cannot see the unified row that a backfill chunk committed after its
   snapshot. It would leave a ghost, which `dual_read` shows until it is swept.

   Putting the row again, where there is none, asks the unique indexes, which know better than the snapshot: a row that
   it cannot see is a serialization failure (40001), and the client's next attempt sees it. Where there is none at all,
   the row that this inserts is gone at once. A row that cannot be put is no reason to fail: no chunk could put it
   either. #}
{% macro probe(unsure = "") %}
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      BEGIN
        {{- caller() }}
      EXCEPTION WHEN OTHERS THEN
        IF left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX') OR SQLSTATE = '55P03' THEN RAISE; END IF;
        {%- if unsure != "" %}
        {{ unsure }};
        {%- endif %}
      END;
    END IF;
{%- endmacro %}

{# For the case that `probe` could not look: a row that could not be put now may have been put by a chunk before. Its
   key is left for the backfill's sweep. #}
{% macro leave_tombstones(lens, images) %}
    IF current_setting('transaction_isolation') <> 'read committed' THEN
      PERFORM {{ lens.leave_tombstone() }} FROM {{ images }} AS cf_n;
    END IF;
{%- endmacro %}

{# The same of a key that its row has left: whoever may leave none leaves none where it has looked (not `cf_unsure`). #}
{% macro leave_tombstones_behind(lens, images) %}
    IF current_setting('transaction_isolation') <> 'read committed'
      AND (cf_unsure OR {{ lens.may_leave_tombstone() }}) THEN
      PERFORM {{ lens.leave_tombstone() }} FROM {{ images }} AS cf_n;
    END IF;
{%- endmacro %}
