//! What is done to legacy in `unified_read`, where a stale row of it may be in the way.
//!
//! ```text
//! IF NOT ‹may legacy be stale› THEN ‹all›; RETURN true; END IF;
//! BEGIN ‹all›; ‹what deferred keys say of it›; RETURN true;
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

use super::guarded::Guarded;
use super::{Function, Lens};

/// What a stale row can be the reason of.
const IN_THE_WAY: &str = "unique_violation OR exclusion_violation OR foreign_key_violation";

impl Lens {
    /// The statements of a function body. `unless`: a condition and OR, for what is not excused.
    pub(super) fn excused(&self, unless: &str, all: &str, each: &str) -> String {
        format!(
            "\x20 IF {unless}NOT {maybe_stale} THEN\n    {all};\n    RETURN true;\n  END IF;\n\
             \x20 BEGIN\n    {all};\n    PERFORM {look};\n    RETURN true;\n\
             \x20 EXCEPTION WHEN {IN_THE_WAY} THEN\n    NULL;\n  END;\n\
             \x20 IF NOT {stale} THEN\n    {all};\n    RETURN true;\n  END IF;\n\
             {each}  RETURN true;\n",
            maybe_stale = self.is_stale(false),
            look = self.look_legacy_call(),
            stale = self.is_stale(true),
        )
    }

    /// Work for one image that is recorded, if legacy is in its way.
    pub(super) fn excused_one(&self, work: &str, records: &[String]) -> String {
        let records: Vec<String> = records.iter().map(|r| format!("PERFORM {r};")).collect();
        format!(
            "    BEGIN\n      {work};\n      PERFORM {look};\n\
             \x20   EXCEPTION WHEN {IN_THE_WAY} THEN\n      {records}\n    END;\n",
            look = self.look_legacy_call(),
            records = records.join(" "),
        )
    }

    /// Whether legacy may hold what unified has left behind; `in_the_way`: whether that was the reason of a failure.
    pub(super) fn is_stale(&self, in_the_way: bool) -> String {
        self.call_guarded(Guarded::IsStale, &in_the_way.to_string())
    }

    pub(super) fn look_legacy_call(&self) -> String {
        format!("{}()", self.named("look_legacy"))
    }

    /// Has the deferred foreign keys of legacy looked at: at COMMIT nobody could record what they say.
    pub(super) fn look_legacy(&self) -> Function {
        self.look("look_legacy", &[&self.legacy])
    }
}
