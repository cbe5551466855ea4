//! What only a rewritten statement has a reason to do in Crossfade's own tables, one function for
//! each lens.
//!
//! ```text
//! record(image, reason, sqlstate)  enters the image's key into the ledger
//! tombstone(image)                 leaves the image's key for the backfill's sweep
//! claim(of, values)                makes others that enter the same values wait
//! is_stale(in_the_way)             whether legacy may hold what unified has left behind
//! ```
//!
//! They are the only ones with their owner's rights, for nobody else may touch those tables. Anybody who
//! may execute one can call it by hand, so who may is the roles that hold the matching right on the
//! tables of this lens ([`Callers`]), and what a call can do is no more than those can do anyhow:
//!
//! - an entry in the ledger: the gates count the keys that both sides disagree about, not the entries;
//! - a tombstone: the sweep removes a unified row without a legacy row, which a role that may delete
//!   unified rows can do by itself. Where row policies decide which rows those are, nothing is swept;
//! - a claim: who may insert a row can hold its key by inserting it.
//!
//! Keys come as row images: what is no key of the table is an error of the call (22P02), and enters no
//! table.

use super::{Callers, Function, Lens, quote_literal};

#[derive(askama::Template)]
#[template(path = "guarded.sql", escape = "none")]
struct GuardedFunction<'a> {
    name: &'a str,
    parameters: String,
    returns: &'a str,
    statement: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarded {
    Record,
    Tombstone,
    Claim,
    IsStale,
}

impl Guarded {
    const ALL: [Guarded; 4] = [
        Guarded::Record,
        Guarded::Tombstone,
        Guarded::Claim,
        Guarded::IsStale,
    ];

    fn word(self) -> &'static str {
        match self {
            Guarded::Record => "record",
            Guarded::Tombstone => "tombstone",
            Guarded::Claim => "claim",
            Guarded::IsStale => "is_stale",
        }
    }

    fn callers(self) -> Callers {
        match self {
            Guarded::Tombstone => Callers::Deleters,
            Guarded::Record | Guarded::Claim | Guarded::IsStale => Callers::Writers,
        }
    }
}

impl Lens {
    pub(super) fn guarded_functions(&self) -> impl Iterator<Item = Function> {
        Guarded::ALL.into_iter().map(|which| self.guarded(which))
    }

    /// A call of one, to be composed into a statement.
    pub(super) fn call_guarded(&self, which: Guarded, arguments: &str) -> String {
        format!("{}({arguments})", self.named(which.word()))
    }

    fn guarded(&self, which: Guarded) -> Function {
        let name = self.named(which.word());
        let row = self.image_type();
        let migration = quote_literal(&self.migration);
        let legacy = quote_literal(&self.legacy.sql());
        let key = self.key_json("cf_image");
        let (parameters, returns, statement) = match which {
            Guarded::Record => (
                format!("cf_image {row}, cf_reason text, cf_sqlstate text"),
                "void",
                format!(
                    "PERFORM crossfade.record_divergence({migration}, {legacy}, {key}, cf_reason, cf_sqlstate)"
                ),
            ),
            Guarded::Tombstone => (
                format!("cf_image {row}"),
                "void",
                format!("PERFORM crossfade.tombstone({migration}, {legacy}, {key})"),
            ),
            Guarded::Claim => (
                "cf_of text, cf_values jsonb".to_owned(),
                "void",
                format!("PERFORM crossfade.claim({migration}, {legacy} || cf_of, cf_values)"),
            ),
            Guarded::IsStale => (
                "cf_in_the_way boolean".to_owned(),
                "boolean",
                format!("RETURN crossfade.legacy_is_stale({migration}, cf_in_the_way)"),
            ),
        };
        let template = GuardedFunction {
            name: &name,
            parameters,
            returns,
            statement,
        };
        Function {
            ddl: template.to_string(),
            name,
            callers: which.callers(),
        }
    }
}
