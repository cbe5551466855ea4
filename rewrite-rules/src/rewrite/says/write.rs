//! A write as those see it who put it together anew: its clauses, what it does to which columns, what its target is
//! called, and what its RETURNING may say.

use super::returning::{self, Carried};
use crate::bind::{Id, ItemKind, column_refs};
use crate::lens::{TableName, quote_ident};
use crate::refuse;
use crate::rewrite::unqualify::unqualify;
use crate::rewrite::whole_row::{self, Returned};
use crate::rewrite::{ManagedRef, Scope, read};
use crate::statement::{Refusal, TagVerb};
use crate::text::clauses::Clauses;
use crate::text::clauses::merge::MergeAction;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;

/// What a write does to the rows of its target, whatever statement it is.
#[derive(Default)]
pub(in crate::rewrite) struct Acts<'a> {
    pub inserts: bool,
    pub deletes: bool,
    /// The columns that are set in rows that are there: by the UPDATE, by ON CONFLICT DO UPDATE, by each such arm of
    /// a MERGE.
    pub updates: Vec<Vec<&'a str>>,
}

impl<'a> Acts<'a> {
    fn of(statement: &'a Tree, clauses: &Clauses<'a>) -> Acts<'a> {
        let mut acts = Acts::default();
        let sets = |targets: &'a [Tree]| targets.iter().map(|set| set.text("name")).collect();
        match statement.kind() {
            "InsertStmt" => {
                acts.inserts = true;
                let conflict = statement.get("on_conflict_clause").list("target_list");
                acts.updates
                    .extend((!conflict.is_empty()).then(|| sets(conflict)));
            }
            "UpdateStmt" => acts.updates.push(sets(statement.list("target_list"))),
            "MergeStmt" => {
                for arm in &clauses.merge.arms {
                    match arm.action {
                        MergeAction::Insert(_) => acts.inserts = true,
                        MergeAction::Delete => acts.deletes = true,
                        MergeAction::Update(_) => {
                            acts.updates.push(sets(arm.tree.list("target_list")))
                        }
                        MergeAction::Nothing => {}
                    }
                }
            }
            _ => acts.deletes = true,
        }
        acts
    }

    /// Whether rows can be there afterwards that were not, or were otherwise.
    pub fn puts(&self) -> bool {
        self.inserts || !self.updates.is_empty()
    }

    /// Whether a column of which this is true is set.
    pub fn sets(&self, is: impl Fn(&str) -> bool) -> bool {
        self.updates.iter().flatten().any(|name| is(name))
    }
}

/// A write, taken apart.
pub(in crate::rewrite) struct Write<'a> {
    pub statement: &'a Tree,
    pub clauses: Clauses<'a>,
    pub acts: Acts<'a>,
    /// The target's alias or name, quoted.
    pub alias: String,
    /// The target's alias or name, plain.
    pub refname: &'a str,
}

impl<'a> Write<'a> {
    pub fn of(scope: &Scope<'a>, target: &ManagedRef<'a>) -> Result<Write<'a>, Refusal> {
        let clauses = Clauses::of(scope.statement, scope.tokens);
        let clauses = clauses.ok_or_else(|| {
            refuse::unsupported(
                "this spelling of the statement",
                &target.table_name(),
                "Write it plainly.",
            )
        })?;
        let refname = target.table.refname();
        Ok(Write {
            statement: scope.statement,
            acts: Acts::of(scope.statement, &clauses),
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

    /// Whether it gives rows that are there another key.
    pub fn sets_key(&self, target: &ManagedRef<'_>) -> bool {
        let keys = target.keys();
        self.acts.sets(|name| keys.contains(&name))
    }

    /// ` FROM` a relation that stands for the written table, and what the statement joins.
    pub fn from(&self, source: &Source<'_>, relation: impl Into<Output>) -> Output {
        let mut from = Output::from(" FROM ");
        from.append(relation.into());
        if let Some(joined) = self.clauses.joined() {
            from.own(", ").client(source, joined);
        }
        from
    }

    /// ` WHERE` the statement's condition holds, and this one.
    pub fn filter(&self, source: &Source<'_>, and: Option<&str>) -> Output {
        let mut filter = Output::default();
        if let Some(condition) = self.clauses.condition() {
            filter.own(" WHERE (").client(source, condition).own(")");
        }
        if let Some(and) = and {
            let word = if filter.sql.is_empty() {
                " WHERE "
            } else {
                " AND "
            };
            filter.own(word).own(and);
        }
        filter
    }

    /// What its command tag says.
    pub fn verb(&self) -> TagVerb {
        match self.statement.kind() {
            "InsertStmt" => TagVerb::Insert,
            "UpdateStmt" => TagVerb::Update,
            "MergeStmt" => TagVerb::Merge,
            _ => TagVerb::Delete,
        }
    }

    pub fn is_merge(&self) -> bool {
        self.statement.is("MergeStmt")
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
            matches!(kind, Some(ItemKind::Version))
        };
        if column_refs(clause, true).iter().any(is_version) {
            return refuse("OLD and NEW in RETURNING", "Return the new values only.");
        }
        Ok(rows)
    }
}
