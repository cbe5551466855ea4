//! What a client's write says, in one form for every statement.
//!
//! | | |
//! |---|---|
//! | what is done to which columns, which clauses | `write` |
//! | the client's own statement: the rows that it finds and writes | `own` |
//! | the rows that an INSERT gives | `given`; for columns that fill themselves `generated` |
//! | what a SET list assigns to what | `assignments`, `place`; its queries `set_query` |
//! | whether ON CONFLICT DO UPDATE changes keys | `upsert` |
//! | the arms of a MERGE, its source and its answer | `arms`, `merge` |
//! | what is joined, and what RETURNING takes of it | `items`, `returning` |
//!
//! What becomes of it says `does`.

pub(super) mod arms;
pub(super) mod assignments;
mod generated;
pub(super) mod given;
pub(super) mod items;
pub(super) mod merge;
pub(super) mod own;
pub(super) mod place;
pub(super) mod returning;
pub(super) mod set_query;
pub(super) mod upsert;
pub(super) mod write;

use super::read::{self, SystemColumns};
use super::{ManagedRef, Scope};
use crate::lens::Lens;
use crate::refuse;
use crate::statement::Refusal;
use crate::text::splice::Source;
use crate::text::tree::Tree;
use returning::Carried;
use write::Write;

/// A write to a legacy name once unified leads.
pub(super) struct Says<'w, 'a> {
    pub scope: Scope<'a>,
    pub target: &'w ManagedRef<'a>,
    pub write: &'w Write<'a>,
    pub lens: &'w Lens,
    /// What its RETURNING takes of joined tables.
    pub carried: Carried,
}

impl<'w, 'a> Says<'w, 'a> {
    /// Refuses what no such write can do.
    pub fn of(
        scope: &Scope<'a>,
        target: &'w ManagedRef<'a>,
        write: &'w Write<'a>,
        source: &mut Source<'a>,
    ) -> Result<Self, Refusal> {
        let table = target.table_name();
        if write.is_current_of() {
            return Err(refuse::current_of(&table));
        }
        let system_columns = SystemColumns::of(scope.bound, scope.statement);
        if let Some(column) = system_columns.of_table(target) {
            return Err(refuse::unsupported(
                &format!("the system column {column}"),
                &table,
                "Use the table's key: its rows live elsewhere now.",
            ));
        }
        let carried = match write.is_merge() {
            true => Carried::default(),
            false => write.check_returning(scope, target, source)?,
        };
        Ok(Says {
            scope: *scope,
            target,
            write,
            lens: target.managed.lens,
            carried,
        })
    }

    /// Whether legacy still follows by row image.
    pub fn mirrors(&self) -> bool {
        self.target.mirrors()
    }

    /// A query for the rows of the table, as the statement names it.
    pub fn read(&self) -> String {
        read::only(self.target, self.lens.read()).sql
    }

    /// Whether it gives rows that are there another key.
    pub fn updates_key(&self) -> bool {
        self.scope.statement.is("UpdateStmt") && self.write.sets_key(self.target)
    }

    /// A relation of images (`cf_i`), each with what was found beside its row in another (`cf_r`), by a condition on
    /// their keys.
    pub fn with_carried(&self, images: String, found: &str, same_key: &str) -> String {
        if self.carried.is_empty() {
            return images;
        }
        let carried = self.carried.names.iter();
        let carried: String = carried.map(|name| format!(", cf_r.{name}")).collect();
        format!(
            "(SELECT cf_i AS cf_row{carried} FROM {images} AS cf_i JOIN {found} AS cf_r ON {same_key})"
        )
    }

    /// Whether a parameter stands in the condition of an UPDATE and in what it sets: PostgreSQL looks at the
    /// condition first, which then gives the parameter its type. So the condition must stand first somewhere; a
    /// query that nobody reads is not run.
    pub fn types_parameters_first(&self) -> bool {
        let numbers = |clause: &str| {
            let mut numbers = Vec::new();
            self.scope.statement.get(clause).each(&mut |node: &Tree| {
                if node.is("ParamRef") {
                    numbers.push(node.int("number"));
                }
            });
            numbers
        };
        let sets = numbers("target_list");
        !sets.is_empty()
            && numbers("where_clause")
                .iter()
                .any(|number| sets.contains(number))
    }
}
