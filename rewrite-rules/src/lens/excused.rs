//! What is done to legacy in `unified_read`, where a stale row of it may be in the way.
//!
//! ```text
//! IF NOT ‹may legacy be stale› THEN ‹all›; RETURN true; END IF;
//! ‹whether what statements before deferred holds› BEGIN ‹all›; ‹what deferred keys say of it›; RETURN true;
//! EXCEPTION WHEN ‹a constraint of legacy refuses it› THEN NULL; END;
//! IF NOT ‹is it› THEN ‹all›; RETURN true; END IF;
//! ‹each by itself: done, or its key enters the ledger›
//! ```
//!
//! After a visit to `unified_only` legacy keeps what unified deleted or changed, and lacks what came: unique values
//! that are taken, rows that refer to one which goes, rows that would be referred to. None of it may fail a write that
//! unified, which decides, has accepted. The reverse backfill, without which nobody reads legacy again, settles it.
//! Where legacy is in step after all, the work is done once more, to fail as it would have without us: what
//! deferred keys say is not asked then, since what is missing may come before the transaction ends.

use super::Lens;
use super::guarded::Guarded;

impl Lens {
    /// Whether legacy may hold what unified has left behind; `in_the_way`: whether that was the reason of a failure.
    pub(super) fn is_stale(&self, in_the_way: bool) -> String {
        self.call_guarded(Guarded::IsStale, &in_the_way.to_string())
    }
}
