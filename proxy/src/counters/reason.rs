//! Why a read could not be compared, without a word of what it said.

use rewrite_rules::Foreign;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The statement names a table that no rule manages, or a view.
    Relation,
    /// It calls a function that is not pg_catalog's, or may answer otherwise each time.
    Function,
    Operator,
    Type,
    Collation,
    /// A table's index, constraint, generated column, statistics or partitioning calls somebody's code.
    TableCode,
    /// A table has a column of a type that is not pg_catalog's, or a cast to or from one by a function.
    ColumnType,
    /// Parameters whose types are not pg_catalog's, or more of them than a function takes.
    Parameters,
    /// The control connection's role may not become the client's.
    Role,
    /// The client's role may not read both sides, or row-level security would hide rows from it.
    Rights,
    /// With pg_catalog alone in the search path a name in it means nothing.
    Unresolved,
    TimedOut,
    Failed,
}

impl Reason {
    pub const ALL: [Reason; 13] = [
        Reason::Relation,
        Reason::Function,
        Reason::Operator,
        Reason::Type,
        Reason::Collation,
        Reason::TableCode,
        Reason::ColumnType,
        Reason::Parameters,
        Reason::Role,
        Reason::Rights,
        Reason::Unresolved,
        Reason::TimedOut,
        Reason::Failed,
    ];

    /// As logs and `status` say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Relation => "names a table that is not managed",
            Reason::Function => "calls a function that is not known to be safe to call again",
            Reason::Operator => "names an operator of another schema than pg_catalog",
            Reason::Type => "names a type of another schema than pg_catalog",
            Reason::Collation => "names a collation of another schema than pg_catalog",
            Reason::TableCode => {
                "a table's index, constraint, generated column, statistics or partitions call a function \
                 of another schema than pg_catalog"
            }
            Reason::ColumnType => {
                "a table has a column type, or a cast, of another schema than pg_catalog"
            }
            Reason::Parameters => "parameters of other types than pg_catalog's, or more than 99",
            Reason::Role => "the control connection's role may not SET ROLE to the client's",
            Reason::Rights => "the client's role may not read both sides as they are",
            Reason::Unresolved => "a name in it is not pg_catalog's",
            Reason::TimedOut => "it took too long",
            Reason::Failed => "it failed",
        }
    }
}

impl From<Foreign> for Reason {
    fn from(foreign: Foreign) -> Reason {
        match foreign {
            Foreign::Relation => Reason::Relation,
            Foreign::Function => Reason::Function,
            Foreign::Operator => Reason::Operator,
            Foreign::Type => Reason::Type,
            Foreign::Collation => Reason::Collation,
        }
    }
}

/// A reason, and the server's SQLSTATE where it was the server that said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotComparable {
    pub reason: Reason,
    pub sqlstate: Option<String>,
}

impl From<Reason> for NotComparable {
    fn from(reason: Reason) -> NotComparable {
        NotComparable {
            reason,
            sqlstate: None,
        }
    }
}

impl NotComparable {
    /// What the server said of the client's texts. Its message may repeat a constant of theirs.
    pub fn told(error: &tokio_postgres::Error) -> NotComparable {
        let sqlstate = error.code().map(|state| state.code().to_owned());
        let reason = match sqlstate.as_deref() {
            Some("42501") => Reason::Rights,
            Some("57014" | "55P03") => Reason::TimedOut,
            Some("42883" | "42704" | "42P01" | "42725" | "3F000") => Reason::Unresolved,
            Some(_) | None => Reason::Failed,
        };
        NotComparable { reason, sqlstate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_and_counted_in_its_place() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{}", reason.name());
        }
    }
}
