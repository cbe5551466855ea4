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
//! that is found within this half. Any other wait goes on, as any lock's. A statement of many rows may meet such a wait
//! with each of them: after one that it gave up it waits for less, so that all of them together are shorter than
//! `deadlock_timeout`.

use super::{Lens, quote_literal};

impl Lens {
    /// The tables of the unified side, as a list of values.
    pub(super) fn unified_relations(&self) -> String {
        let tables = self.unified_side().into_iter();
        let tables = tables.map(|table| format!("{}::regclass", quote_literal(&table.sql())));
        tables.collect::<Vec<String>>().join(", ")
    }
}
