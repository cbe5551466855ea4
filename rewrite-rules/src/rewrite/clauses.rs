//! A write as those see it who put it together anew: its clauses, what its target is called, and what its
//! RETURNING may say.

use super::returning::{self, Carried};
use super::unqualify::unqualify;
use super::whole_row::{self, Returned};
use super::{ManagedRef, Scope, read};
use crate::bind::{Id, Kind, column_refs};
use crate::lens::{TableName, quote_ident};
use crate::refuse;
use crate::splice::Source;
use crate::statement::Refusal;
use crate::text::clauses::Clauses;
use crate::tree::Tree;

/// A write, taken apart.
pub(super) struct Write<'a> {
    pub statement: &'a Tree,
    pub clauses: Clauses<'a>,
    /// The target's alias or name, quoted.
    pub alias: String,
    /// The target's alias or name, plain.
    pub refname: &'a str,
}

impl<'a> Write<'a> {
    pub fn of(scope: &Scope<'a>, target: &ManagedRef<'a>) -> Result<Write<'a>, Refusal> {
        let clauses = Clauses::of(scope.statement, scope.tokens).ok_or_else(|| {
            refuse::unsupported(
                "this spelling of the statement",
                &target.table_name(),
                "Write it plainly.",
            )
        })?;
        let refname = target.table.refname();
        Ok(Write {
            statement: scope.statement,
            clauses,
            alias: quote_ident(refname),
            refname,
        })
    }

    /// The written table as an item of FROM. An alias would hide it from `schema.table.column`.
    pub fn item(&self, table: &TableName) -> String {
        if self.refname == table.name {
            table.sql()
        } else {
            format!("{table} AS {}", self.alias)
        }
    }

    pub fn is_current_of(&self) -> bool {
        self.statement.get("where_clause").is("CurrentOfExpr")
    }

    /// Checks RETURNING, which will be evaluated over row images instead of the table; gives what
    /// it takes of joined tables.
    pub fn check_returning(
        &self,
        scope: &Scope<'a>,
        target: &ManagedRef<'a>,
        source: &mut Source<'a>,
    ) -> Result<Carried, Refusal> {
        let clause = self.statement.get("returning_clause");
        if !clause.exists() {
            return Ok(Carried::default());
        }
        let rows = self.check_list(scope, target, source)?;
        if self.clauses.joined().is_some() {
            returning::carried(scope, target, (self, &rows), source)
        } else if clause.find("SubLink").is_none() {
            returning::carried_names(scope, target, &rows, source)
        } else {
            Ok(Carried::default())
        }
    }

    /// Refuses what no RETURNING list over row images can have, and gives whole rows their type.
    pub fn check_list(
        &self,
        scope: &Scope<'a>,
        target: &ManagedRef<'a>,
        source: &mut Source<'a>,
    ) -> Result<Returned<'a>, Refusal> {
        let clause = self.statement.get("returning_clause");
        let table = target.table_name();
        let refuse = |what: &str, hint: &str| Err(refuse::unsupported(what, &table, hint));
        if !clause.list("options").is_empty() {
            return refuse(
                "RETURNING WITH (OLD AS …, NEW AS …)",
                "Return the new values only.",
            );
        }
        let system_columns = read::SystemColumns::of(scope.bound, clause);
        if let Some(column) = system_columns.of_table(target) {
            return refuse(
                &format!("the system column {column} in RETURNING"),
                "Return the table's key instead.",
            );
        }
        let rows = whole_row::substitute_returned(scope, target, source)?;
        let is = |id: Id, column: &Tree| Some(id) == target.item && !rows.is_replaced(column);
        unqualify(scope, clause, is, source);
        // From version 18 on these are names for the row as it was and as it is.
        let is_version = |column: &&Tree| {
            let owner = scope.bound.owner(column);
            let kind = owner.map(|id| scope.bound.item(id).kind);
            matches!(kind, Some(Kind::Version))
        };
        if column_refs(clause, true).iter().any(is_version) {
            return refuse("OLD and NEW in RETURNING", "Return the new values only.");
        }
        Ok(rows)
    }
}
