//! What is run on both sides for a comparison.

use crate::lens::TableName;

/// Two texts with the same parameters whose results should be equal as multisets of rows, made for a
/// session in whose search path is `pg_catalog` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowPair {
    pub migration: String,
    pub legacy: String,
    pub unified: String,
    /// The tables that they read. Whoever runs them makes sure that they read no others.
    pub tables: Vec<TableName>,
    /// Why the two are not to be run, and are empty.
    pub foreign: Option<Foreign>,
}

impl ShadowPair {
    pub(super) fn bytes(&self) -> usize {
        let tables = self.tables.iter();
        let tables = tables.map(|t| size_of::<TableName>() + t.schema.len() + t.name.len());
        size_of::<ShadowPair>() + self.legacy.len() + self.unified.len() + tables.sum::<usize>()
    }

    pub(crate) fn not_comparable(migration: String, foreign: Foreign) -> ShadowPair {
        ShadowPair {
            migration,
            legacy: String::new(),
            unified: String::new(),
            tables: Vec::new(),
            foreign: Some(foreign),
        }
    }
}

/// What in a client's statement is neither `pg_catalog`'s nor a managed table: it may be of anybody's
/// making, and would run whatever that somebody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    Relation,
    /// Also one of `pg_catalog` that may answer differently each time.
    Function,
    Operator,
    Type,
    Collation,
}
