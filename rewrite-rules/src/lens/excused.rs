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

/// What a stale row can be the reason of.
const IN_THE_WAY: &str = "unique_violation OR exclusion_violation OR foreign_key_violation";

impl Lens {
    /// The statements of a function body. `unless`: a condition and OR, for what is not excused.
    pub(super) fn excused(&self, unless: &str, all: &str, each: &str) -> String {
        let stale = |in_the_way: bool| self.call_guarded(Guarded::IsStale, &in_the_way.to_string());
        format!(
            "\x20 IF {unless}NOT {maybe_stale} THEN\n    {all};\n    RETURN true;\n  END IF;\n\
             \x20 {looked_at}    RETURN true;\n\
             \x20 EXCEPTION WHEN {IN_THE_WAY} THEN\n    NULL;\n  END;\n\
             \x20 IF NOT {stale} THEN\n    {all};\n    RETURN true;\n  END IF;\n\
             {each}  RETURN true;\n",
            maybe_stale = stale(false),
            looked_at = self.legacy_looked_at(all),
            stale = stale(true),
        )
    }

    /// Work for one image that is recorded, if legacy is in its way.
    pub(super) fn excused_one(&self, work: &str, records: &[String]) -> String {
        let records: Vec<String> = records.iter().map(|r| format!("PERFORM {r};")).collect();
        format!(
            "    {looked_at}\
             \x20   EXCEPTION WHEN {IN_THE_WAY} THEN\n      {records}\n    END;\n",
            looked_at = self.legacy_looked_at(work),
            records = records.join(" "),
        )
    }
}
