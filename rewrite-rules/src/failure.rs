//! Failures that a rewritten statement brings about itself, where no function of the lens can be asked to.
//!
//! ```text
//! CASE WHEN ‹as it must be› THEN true ELSE ('could not serialize …' || ‹what is not known before›)::boolean END
//! ```
//!
//! Nothing in SQL raises an error with words of one's own, but a text that is no number or truth value is
//! quoted in the error of its cast (22P02), in whatever language. The proxy makes of that what the
//! client is told.

use crate::lens::quote_literal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A legacy value has no unified one; which, is told.
    Unmapped,
    /// The key of a row that was to get another changed while the statement waited for it.
    KeyChanged,
    /// The row in conflict is none that legacy readers see. Which, is nobody's business.
    Hidden,
    /// A row was written under the legacy name that is not read under it any more.
    Lost,
}

impl Failure {
    const ALL: [Failure; 4] = [
        Failure::Unmapped,
        Failure::KeyChanged,
        Failure::Hidden,
        Failure::Lost,
    ];

    /// What the client is told; what is behind it in the error is told too, if [`Failure::tells_more`].
    pub const fn said(self) -> &'static str {
        match self {
            Failure::Unmapped => "no unified value is mapped for",
            Failure::KeyChanged => "could not serialize access due to concurrent update of a key",
            Failure::Hidden => {
                "duplicate key value: the row in conflict is not one that is read under this name"
            }
            Failure::Lost => {
                "a row does not read back after it was put: by its lens it is not one of this table"
            }
        }
    }

    #[must_use]
    pub const fn sqlstate(self) -> &'static str {
        match self {
            Failure::Unmapped => "23514",
            Failure::KeyChanged => "40001",
            Failure::Hidden => "23505",
            Failure::Lost => "55000",
        }
    }

    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Failure::Unmapped => {
                "Write a value that the rule file maps, or add this one to the column's values."
            }
            Failure::KeyChanged => {
                "The row changed while this statement waited for it; run the transaction again."
            }
            Failure::Hidden => "It belongs to the other side of the migration.",
            Failure::Lost => "The row would be lost in silence: mend `visible` in the rule file.",
        }
    }

    fn tells_more(self) -> bool {
        match self {
            Failure::Unmapped => true,
            Failure::KeyChanged | Failure::Hidden | Failure::Lost => false,
        }
    }

    /// SQL of type boolean that fails so. `unknown` is SQL for a text that is not known before, or the
    /// server would fail as it plans.
    pub(crate) fn unless_true(self, unknown: &str) -> String {
        format!("({} || {unknown})::boolean", quote_literal(self.said()))
    }

    /// The failure that an error's message tells of, and what the client is told.
    #[must_use]
    pub fn of(message: &str) -> Option<(Failure, &str)> {
        Failure::ALL.into_iter().find_map(|failure| {
            let said = &message[message.find(failure.said())?..];
            if !failure.tells_more() {
                return Some((failure, failure.said()));
            }
            // The quotation marks of any language.
            let end = ['"', '\'', '»', '“', '”', '’', '」'];
            Some((failure, said.trim_end_matches(end)))
        })
    }
}
