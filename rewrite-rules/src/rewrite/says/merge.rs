//! MERGE into a managed table, taken apart; and its answer, put together.
//!
//! Every rewrite of a MERGE has its written rows in `cf_new`: what was done to each (`cf_action`),
//! the row (`cf_row`) and, where RETURNING may speak of them, the rows of the source that it was
//! joined to (`cf_r1`, …). So the client's list stays as it is, in a scope with the same names:
//!
//! ```text
//! MERGE INTO iso_agents a USING s ON … WHEN … RETURNING merge_action(), s.n, a.email
//!
//! SELECT cf_x."merge_action", s.n, a.email FROM cf_new AS cf_all
//!   CROSS JOIN LATERAL (SELECT cf_all.cf_action AS "merge_action") AS cf_x
//!   CROSS JOIN LATERAL (SELECT (cf_all.cf_row).*) AS "a"
//!   CROSS JOIN LATERAL (SELECT (cf_all.cf_r1).*) AS "s"
//! ```
//!
//! Servers before 17 neither return rows of a MERGE nor tell what was done to them.

use super::items::{Items, STAR};
use super::returning::results;
use super::write::Write;
use crate::bind::{Referent, column_refs};
use crate::legend::query;
use crate::lens::{TableName, quote_ident};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::{ManagedRef, Scope, whole_row};
use crate::rule_set::Side;
use crate::statement::{Answer, Refusal};
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;

/// The first version of PostgreSQL whose MERGE returns what it wrote.
pub(in crate::rewrite) const SERVER_MIN: u32 = 17;

/// What was done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rewrite) enum Did {
    Inserted,
    Updated,
    Deleted,
    /// Inserted or updated: they are there.
    Put,
    Anything,
}

/// What each query that writes tells of its rows.
pub(in crate::rewrite) const RETURNING: &str = "merge_action() AS cf_action";

/// What was done to a row, for the client's list.
const ACTION: &str = "cf_x.\"merge_action\"";

/// The items of USING, by which the client's text names the source's columns.
pub(in crate::rewrite) struct Joined<'a> {
    pub items: Items<'a>,
    table: String,
}

impl<'a> Joined<'a> {
    /// `carries`: the source's rows will be needed beside the written ones.
    pub fn of(
        scope: &Scope<'a>,
        target: &ManagedRef<'a>,
        carries: bool,
        source: &mut Source<'a>,
    ) -> Joined<'a> {
        let mut items = Items::of(scope);
        let mut results = results(scope.statement.get("returning_clause"));
        items.star = items.merged
            && results.any(|column| scope.bound.referent(column) == Referent::All(None));
        if carries {
            items.give_rows(scope, source);
        }
        Joined {
            items,
            table: target.table_name(),
        }
    }

    /// Checks that the source can be carried along as whole rows.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.items.have_rows() {
            return Ok(());
        }
        Err(refuse::unsupported(
            "MERGE with what has no row of columns as its source",
            &self.table,
            "Put it into a query: USING (SELECT … FROM …) AS name.",
        ))
    }

    /// The source's rows as results.
    pub fn rows(&self) -> String {
        self.items.rows()
    }

    /// The source's items again, over a relation that has those rows: to stand in FROM.
    pub fn from(&self, relation: &str) -> String {
        self.items.from(relation)
    }

    /// The item whose row a reference is.
    fn row(&self, scope: &Scope<'_>, column: &Tree) -> Option<usize> {
        let id = scope.bound.row_of(column)?;
        self.items.at(id)
    }
}

/// Checks the client's RETURNING list, and has it name what it will find in the answer's FROM, where
/// `rows` is the relation with the source's rows.
pub(in crate::rewrite) fn returning<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (write, joined, rows): (&Write<'a>, &Joined<'a>, &str),
    source: &mut Source<'a>,
) -> Result<(), Refusal> {
    let clause = scope.statement.get("returning_clause");
    if !clause.exists() {
        return Ok(());
    }
    joined.check()?;
    let rows_of_target = write.check_list(scope, target, source)?;
    if target.managed.side == Side::Legacy {
        whole_row::ask(scope, target, &rows_of_target, source)?;
    }
    joined.items.unqualify(scope, clause, source);
    let refuse = |what: &str, hint: &str| {
        let table = target.table_name();
        Err(refuse::unsupported(what, &table, hint))
    };
    for column in column_refs(clause, true) {
        let parts = column.column_parts();
        match parts.as_slice() {
            ["*"] if results(clause).any(|result| std::ptr::eq(result, column)) => {
                let range = scope.tokens.column(column);
                let Some(range) = range else {
                    return refuse("this RETURNING", "Name the columns.");
                };
                // The source's columns come first.
                let names = joined.items.all.iter();
                let names = names.map(|item| format!("{}.*", quote_ident(item.name)));
                let mut all: Vec<String> = names.collect();
                if joined.items.star {
                    all = vec![STAR.to_owned()];
                }
                source.edit(range, format!("{}, {}.*", all.join(", "), write.alias));
            }
            [name] if let Some(at) = joined.row(scope, column) => {
                let range = scope.tokens.column(column);
                let Some(range) = range else {
                    return refuse("this RETURNING", "Name the columns.");
                };
                let row = format!("{rows}.cf_r{}", at + 1);
                let value = match source.withdraw(&range) {
                    // Its type is that of a table; a source that did not match has no row.
                    Some(typed) => format!(
                        "(CASE WHEN {row} IS DISTINCT FROM NULL THEN {} END)",
                        typed.sql
                    ),
                    None => {
                        whole_row::keep_name(scope, column, source);
                        format!("(CASE WHEN {} THEN {row} END)", whole_row::is_row(name))
                    }
                };
                source.edit(range, value);
            }
            _ => {}
        }
    }
    let mut calls = Vec::new();
    clause.each(&mut |node| calls.extend(node.is("MergeSupportFunc").then_some(node)));
    for call in calls {
        let Some(range) = scope.tokens.call(call) else {
            return refuse("this merge_action()", "Write it plainly.");
        };
        source.edit(range, ACTION.to_owned());
    }
    Ok(())
}

impl Composer {
    /// `cf_new` from the client's own MERGE into a table; `rows`: those of the source, as results.
    pub(in crate::rewrite) fn merging(
        &mut self,
        mut statement: Output,
        write: &Write<'_>,
        table: &TableName,
        rows: &str,
    ) {
        statement.own(&format!(
            " RETURNING {RETURNING}, ROW({}.*)::{table} AS cf_row{rows}",
            write.alias
        ));
        self.query(query::NEW, statement);
    }

    /// Ends with the client's RETURNING list over the rows of `cf_new`, or with rows only to be
    /// counted. `image` is SQL for the target's columns over one of them, called `cf_all`;
    /// `joined` the FROM items of the source.
    pub(in crate::rewrite) fn select_merged(
        self,
        write: &Write<'_>,
        source: &Source<'_>,
        (image, joined): (&str, &str),
    ) -> Composed {
        let mut last = Output::default();
        last.own("SELECT ");
        let hide_rows = write.clauses.returning.is_none();
        if let Some(list) = write.clauses.returning.clone() {
            last.client(source, list);
        }
        last.own(&format!(" FROM {} AS cf_all", self.name(query::NEW)));
        if !hide_rows {
            last.own(" CROSS JOIN LATERAL (SELECT cf_all.cf_action AS \"merge_action\") AS cf_x");
            last.own(&format!(
                " CROSS JOIN LATERAL ({image}) AS {}{joined}",
                write.alias
            ));
        }
        let answer = Answer {
            tag: Some(write.verb()),
            hide_rows,
            ..Answer::default()
        };
        self.end(last, answer)
    }

    /// The rows of `cf_new` to which this was done, as a relation.
    pub(in crate::rewrite) fn merged(&self, did: Did) -> String {
        let condition = match did {
            Did::Inserted => "= 'INSERT'",
            Did::Updated => "= 'UPDATE'",
            Did::Deleted => "= 'DELETE'",
            Did::Put => "<> 'DELETE'",
            Did::Anything => "IS NOT NULL",
        };
        format!(
            "(SELECT (cf_row).* FROM {} WHERE cf_action {condition})",
            self.name(query::NEW)
        )
    }
}
