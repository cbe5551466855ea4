//! Work of the unified half that may fail while the legacy half stands: a savepoint, and the ledger.
//!
//! ```text
//! LOOP
//!   ‹whether what statements before deferred holds›
//!   BEGIN
//!     ‹the client's lock_timeout made the half's patience›; ‹work›; ‹what deferred keys say of it›; ‹and as it was›; EXIT;
//!   EXCEPTION WHEN OTHERS THEN
//!     ‹what is not the mapping's is raised›
//!     CONTINUE WHEN ‹it was only waiting, and nobody waits for this transaction›;
//!     ‹the key enters the ledger›; EXIT;
//!   END;
//! END LOOP;
//! ```
//!
//! Rows that are each their own in legacy may share one in unified: an organisation, a person. So two
//! transactions that write different legacy rows in different orders may each wait for the other, which
//! straight they would not; and whom PostgreSQL then chooses to fail may be the one that waits for a
//! *legacy* row, for which there is no ledger. Hence nobody waits in this half for as long as PostgreSQL waits
//! before it looks for a deadlock (`deadlock_timeout`) while one waits for this transaction that has
//! written unified: in a circle somebody does. What that gives up is recorded, and so is a deadlock
//! that is found within this half. Any other wait goes on, as any lock's.

use super::{Lens, quote_literal};

/// Failures that are not the mapping's: conflicts to retry, an ending session, a server in need.
/// The legacy half would fail of them as well, or the client must see them.
const NOT_OURS: &str = "left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX')";

/// In a handler: passes on what is not the mapping's, and a wait that was given up.
pub(super) const PASSES_ON: &str = "    IF left(SQLSTATE, 2) IN ('40', '53', '57', '58', 'XX') OR SQLSTATE = '55P03' THEN RAISE; END IF;\n";

/// The variables of what follows.
pub(super) const DECLARE: &str = "  cf_own double precision;\n  cf_patience double precision;\n\
                                  \x20 cf_tries integer;\n  cf_since timestamptz;\n";

/// How long a wait is before it is looked at, in ms: half of what PostgreSQL waits before it looks for a
/// deadlock; no longer than the client itself would wait.
pub(super) const BEGIN: &str = "  cf_own := extract(epoch FROM current_setting('lock_timeout')::interval) * 1000;\n\
     \x20 cf_patience := greatest(1, extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500);\n\
     \x20 IF cf_own > 0 AND cf_own < cf_patience THEN cf_patience := cf_own; END IF;\n";

impl Lens {
    /// Work that is done as a whole or recorded.
    pub(super) fn recorded(&self, work: &str, record: &str) -> String {
        self.attempted(work, "EXIT", record)
    }

    /// Work that is done as a whole, with what comes behind it (`done`), or not at all, with what comes
    /// then.
    pub(super) fn attempted(&self, work: &str, done: &str, failed: &str) -> String {
        format!(
            "    cf_tries := 0;\n    LOOP\n    cf_since := clock_timestamp();\n    {work}\
             \x20   PERFORM set_config('lock_timeout', cf_own::text, true);\n    {done};\n\
             \x20   EXCEPTION WHEN OTHERS THEN\n\
             \x20   IF {NOT_OURS} AND SQLSTATE <> '40P01' THEN RAISE; END IF;\n\
             \x20   cf_tries := cf_tries + 1;\n\
             \x20   CONTINUE WHEN SQLSTATE = '55P03'\n\
             \x20     AND extract(epoch FROM clock_timestamp() - cf_since) * 1000 >= cf_patience\n\
             \x20     AND (cf_own = 0 OR cf_tries * cf_patience < cf_own)\n\
             \x20     AND NOT {circle};\n\
             \x20   {failed};\n    EXIT;\n    END;\n    END LOOP;\n",
            work = self.looked_at(&format!(
                "PERFORM set_config('lock_timeout', ceil(cf_patience)::text, true);\n    {work}"
            )),
            circle = self.may_be_a_circle(),
        )
    }

    /// Whether somebody waits for this transaction, or for one that does, who may hold what it waited for: who
    /// has written a unified table.
    fn may_be_a_circle(&self) -> String {
        let written = self.written.iter().flat_map(|written| &written.crosswalk);
        let tables = self.unified_tables().into_iter().chain(written);
        let tables: Vec<String> = tables
            .map(|table| format!("{}::regclass", quote_literal(&table.sql())))
            .collect();
        format!(
            "EXISTS (WITH RECURSIVE cf_waits AS MATERIALIZED (\n\
             \x20       SELECT cf_l.pid, pg_blocking_pids(cf_l.pid) AS cf_for FROM pg_locks AS cf_l WHERE NOT cf_l.granted),\n\
             \x20     cf_behind (pid) AS (SELECT pg_backend_pid() UNION\n\
             \x20       SELECT cf_w.pid FROM cf_behind AS cf_b JOIN cf_waits AS cf_w ON cf_b.pid = ANY (cf_w.cf_for))\n\
             \x20     SELECT 1 FROM cf_behind AS cf_b JOIN pg_locks AS cf_l ON cf_l.pid = cf_b.pid\n\
             \x20       WHERE cf_b.pid <> pg_backend_pid() AND cf_l.granted AND cf_l.mode <> 'AccessShareLock'\n\
             \x20       AND cf_l.relation IN ({}))",
            tables.join(", ")
        )
    }
}
