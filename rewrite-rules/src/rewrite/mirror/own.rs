//! The client's own write to a unified name within the statement that brings it back to legacy: the same for lenses of
//! every kind, and of them it knows nothing.
//!
//! ```text
//! cf_lock AS MATERIALIZED (‹the legacy rows of› SELECT … FROM users WHERE (id = $2) ‹FOR UPDATE›),     found
//! cf_new AS (UPDATE users SET email = $1 WHERE (id = $2)
//!            AND (SELECT count(*) FROM cf_lock) >= 0 RETURNING "users".*)                              behind, new_rows
//! ```

use super::super::ManagedRef;
use super::super::clauses::Write;
use super::super::compose::{Composed, Composer, returned};
use super::super::returning::Carried;
use crate::legend::query;
use crate::lens::TableName;
use crate::phase::Phase;
use crate::splice::{Output, Source};
use crate::statement::TagVerb;

/// What of a legacy row follows the unified one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rewrite) enum Follows {
    /// The columns alone that the statement set. Another proxy may still run a phase in which unified is stale: a
    /// whole image would undo a legacy write.
    Set,
    /// The whole row: it is legacy that may be stale.
    Whole,
}

impl Follows {
    pub fn of(target: &ManagedRef<'_>) -> Follows {
        match target.managed.migration.phase {
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
                Follows::Set
            }
            Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => Follows::Whole,
        }
    }

    pub fn is_whole(self) -> bool {
        self == Follows::Whole
    }
}

pub(in crate::rewrite) struct Own<'w, 'a> {
    pub write: &'w Write<'a>,
    /// The table that it writes.
    pub table: &'w TableName,
    pub carried: Carried,
}

impl Own<'_, '_> {
    /// The rows of the table that the client's UPDATE or DELETE finds; `behind`: none before that query of ours has
    /// run; `lock`: under their locks.
    pub fn found(
        &self,
        source: &Source<'_>,
        results: &str,
        behind: Option<&str>,
        lock: bool,
    ) -> Output {
        let write = self.write;
        let mut rows = Output::default();
        rows.own(&format!("SELECT {results} FROM {}", write.item(self.table)));
        if let Some(joined) = write.clauses.joined() {
            rows.own(", ").client(source, joined);
        }
        let guard = behind.map(guard);
        match (write.clauses.condition(), guard) {
            (Some(condition), Some(guard)) => rows
                .own(" WHERE (")
                .client(source, condition)
                .own(&format!(") AND {guard}")),
            (Some(condition), None) => rows.own(" WHERE (").client(source, condition).own(")"),
            (None, Some(guard)) => rows.own(&format!(" WHERE {guard}")),
            (None, None) => &mut rows,
        };
        if lock {
            rows.own(&format!(" FOR UPDATE OF {}", write.alias));
        }
        rows
    }

    /// All columns of the table.
    pub fn all(&self) -> String {
        format!("{}.*", self.write.alias)
    }

    /// The statement as it came.
    pub fn plain(&self, source: &Source<'_>) -> Output {
        let mut statement = Output::default();
        statement.client(source, self.write.clauses.body.clone());
        statement
    }

    /// The statement, which finds no row before a query of ours has run.
    pub fn behind(&self, source: &Source<'_>, query: &str) -> Output {
        let write = self.write;
        let guard = guard(query);
        let mut statement = Output::default();
        match write.clauses.condition() {
            Some(condition) => statement
                .client(source, write.clauses.body.start..condition.start)
                .own("(")
                .client(source, condition)
                .own(&format!(") AND {guard}")),
            None => statement
                .client(source, write.clauses.body.clone())
                .own(&format!(" WHERE {guard}")),
        };
        statement
    }

    /// `cf_new`, the rows that a statement has written.
    pub fn new_rows(&self, composer: &mut Composer, mut statement: Output) {
        statement.append(returned(self.write, &self.carried, self.table));
        composer.query(query::NEW, statement);
    }

    /// An INSERT with ON CONFLICT DO UPDATE, whose rows tell which were there; the query's name.
    pub fn upserted(&self, composer: &mut Composer, source: &Source<'_>) -> String {
        composer.upserted(source, (self.write, &self.carried), self.table)
    }

    /// What the client is answered.
    pub fn finish(&self, composer: Composer, source: &Source<'_>, verb: TagVerb) -> Composed {
        let new = composer.name(query::NEW);
        composer.select_rows(self.write, source, &new, &self.carried, verb)
    }
}

/// A condition that is true once a query has run.
fn guard(query: &str) -> String {
    format!("(SELECT count(*) FROM {query}) >= 0")
}
