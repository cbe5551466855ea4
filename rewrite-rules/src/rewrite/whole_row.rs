//! Whole rows of a table whose rows come from a query: they keep the legacy table's row type.
//!
//! ```text
//! SELECT a, c.notes FROM client_profiles c LEFT JOIN iso_agents a ON …
//!
//! SELECT (CASE WHEN "a".* IS DISTINCT FROM NULL THEN ROW("a".*)::"public"."iso_agents" END) AS "a", c.notes
//! FROM client_profiles c LEFT JOIN (read) a ON …
//! ```
//!
//! A row of a derived table has no type of its own: clients would be told `record`, and the names
//! of its columns would be those of an alias. The row itself, and not its fields, tells whether an
//! outer join made it NULL. Where nobody can see the type the name stays: to count rows, to compare
//! them, to make JSON of them or to take a field of one is the same for any row.
//!
//! A bare name is a column's before it is a table's, and the columns of tables without rules are
//! not known here. Such a name is taken for the row only where its type would show, and the server
//! is asked whether it is one.

mod uses;

use std::collections::HashSet;
use std::ops::Range;

use super::{ManagedRef, Scope};
use crate::lens::{quote_ident, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::Side;
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;
use uses::{Certainty, RowUse, Shown, UsedAs};

/// Gives the whole rows of tables that are read from unified their type. The starts of what was
/// replaced are given back: nothing else may be edited there.
pub(super) fn substitute<'a>(
    scope: &Scope<'a>,
    read: &[&ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<HashSet<usize>, Refusal> {
    let shown: Vec<Shown<'a>> = read.iter().map(|found| shown(found)).collect();
    let uses = uses::of_statement(scope, &shown);
    replace(scope, &uses, &shown, source)
}

/// The same of a RETURNING list over row images, for what it says of the written table's row. What
/// may be a column of a table whose columns are not known is left to the caller.
pub(super) fn substitute_returned<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<Returned<'a>, Refusal> {
    let shown = [shown(target)];
    let uses = uses::of_returning(scope, &shown);
    let (known, unknown): (Vec<RowUse<'a>>, Vec<RowUse<'a>>) = uses
        .into_iter()
        .partition(|found| found.certainty == Certainty::Row);
    let shows = |found: &&RowUse<'_>| matches!(found.place, UsedAs::Result { .. } | UsedAs::Typed);
    if shown[0].row_type.is_none() && unknown.iter().any(|found| shows(&found)) {
        return Err(untyped(&shown[0]));
    }
    Ok(Returned {
        replaced: replace(scope, &known, &shown, source)?,
        known,
        unknown,
    })
}

/// Takes what may be a row for one, where the answer has the same names at hand as the statement.
pub(super) fn ask<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    returned: &Returned<'a>,
    source: &mut Source<'a>,
) -> Result<(), Refusal> {
    replace(scope, &returned.unknown, &[shown(target)], source).map(drop)
}

/// Whole rows of the written table in its RETURNING list.
pub(super) struct Returned<'a> {
    /// Where those stood that have been replaced.
    pub replaced: HashSet<usize>,
    /// References that are whole rows.
    known: Vec<RowUse<'a>>,
    /// References that are whole rows or columns.
    unknown: Vec<RowUse<'a>>,
}

impl<'a> Returned<'a> {
    pub fn is_replaced(&self, column: &Tree) -> bool {
        column
            .location()
            .is_some_and(|at| self.replaced.contains(&at))
    }

    /// Whether a reference is the whole row for sure.
    pub fn is_row(&self, column: &Tree) -> bool {
        let mut known = self.known.iter();
        known.any(|known| std::ptr::eq(known.column, column))
    }

    /// Whether a reference may be a whole row or a column.
    pub fn is_unknown(&self, column: &Tree) -> bool {
        let mut unknown = self.unknown.iter();
        unknown.any(|known| std::ptr::eq(known.column, column))
    }

    /// The references that may be either, and whose type shows.
    pub fn unknown(&self) -> impl Iterator<Item = &'a Tree> {
        let unknown = self.unknown.iter();
        let shown =
            unknown.filter(|found| matches!(found.place, UsedAs::Result { .. } | UsedAs::Typed));
        shown.map(|found| found.column)
    }
}

/// SQL that fails if a name that stands for a row is a column's.
pub(super) fn is_row(name: &str) -> String {
    let alias = quote_ident(name);
    let message = format!(
        "{alias} is a column here and the name of a table, write {alias}.column; its type is "
    );
    format!(
        "CASE pg_catalog.pg_typeof({alias})::text WHEN 'record' THEN true \
         ELSE ({} || pg_catalog.pg_typeof({alias}))::boolean END",
        quote_literal(&message)
    )
}

/// Whether a table has rows like those of a written one.
pub(super) fn has_type(target: &ManagedRef<'_>) -> bool {
    row_type(target).is_some()
}

/// The row of a written table as it is now, in its RETURNING list; with its type, if it has one.
pub(super) fn current_row(target: &ManagedRef<'_>, at: usize) -> Output {
    let name = target.table.refname();
    match row_type(target) {
        Some(row_type) => typed(name, &row_type, None, at),
        None => quote_ident(name).into(),
    }
}

/// A whole row with its type, by the name that stands for it, under a further condition. `at` is
/// where the client wrote it: an error about it is told there.
fn typed(name: &str, row_type: &str, condition: Option<String>, at: usize) -> Output {
    let alias = quote_ident(name);
    let condition = condition.map_or_else(String::new, |sql| format!(" AND {sql}"));
    let mut output = Output::default();
    output.own("(").own_for("CASE WHEN ", at).own_for(
        &format!("{alias}.* IS DISTINCT FROM NULL{condition} THEN ROW({alias}.*)::{row_type} END)"),
        at,
    );
    output
}

/// Keeps the name of a result column that is a bare name.
pub(super) fn keep_name(scope: &Scope<'_>, column: &Tree, source: &mut Source<'_>) {
    let results = scope.statement.get("returning_clause").list("exprs").iter();
    let mut unnamed = results.filter(|result| result.name("name").is_none());
    let named = unnamed.find(|result| std::ptr::eq(result.get("val"), column));
    let range = named.and_then(|result| scope.tokens.result(result));
    if let (Some(Range { end, .. }), Some(name)) = (range, column.column_parts().last()) {
        source.edit(end..end, format!(" AS {}", quote_ident(name)));
    }
}

fn shown<'a>(found: &ManagedRef<'a>) -> Shown<'a> {
    Shown {
        item: found.item,
        name: found.table.refname(),
        lens: found.managed.lens,
        renamed: found.table.renames_columns(),
        row_type: row_type(found),
    }
}

/// The type of the table's rows; `None` where no table has rows like these.
fn row_type(found: &ManagedRef<'_>) -> Option<String> {
    let legacy = found.managed.side == Side::Legacy;
    match found.managed.migration.phase {
        Phase::Retired if legacy => None,
        // Its row has the columns of both versions, and either version sees its own.
        _ if found.is_in_place() => None,
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead
        | Phase::UnifiedOnly
        | Phase::Retired => Some(found.managed.table.sql()),
    }
}

fn replace<'a>(
    scope: &Scope<'a>,
    uses: &[RowUse<'a>],
    shown: &[Shown<'a>],
    source: &mut Source<'a>,
) -> Result<HashSet<usize>, Refusal> {
    let mut replaced = HashSet::new();
    // Equal values are looked for by their expressions: none may differ from the others.
    let grouped = scope.statement.groups();
    for found in uses {
        let item = &shown[found.item];
        let Some(row_type) = &item.row_type else {
            refuse_untyped(found, item)?;
            continue;
        };
        let replaces = match (found.place, found.certainty) {
            (UsedAs::Field, _) => false,
            (UsedAs::Result { .. } | UsedAs::Typed, _) => true,
            (UsedAs::Value, certainty) => certainty == Certainty::Row,
            (UsedAs::Plain, certainty) => certainty == Certainty::Row && (grouped || item.renamed),
        };
        if !replaces {
            continue;
        }
        let Some(range) = scope.tokens.column(found.column) else {
            return Err(refuse::unsupported(
                "this spelling of a whole row",
                item.name,
                "Write the table's alias.",
            ));
        };
        replaced.insert(range.start);
        source.clear(&range);
        let asks = found.certainty == Certainty::Unknown;
        let asked = asks.then(|| is_row(item.name));
        let row = typed(item.name, row_type, asked, range.start);
        source.edit(range, row);
        if let UsedAs::Result {
            unnamed: Some(target),
            ..
        } = found.place
            && let Some(Range { end, .. }) = scope.tokens.result(target)
        {
            source.edit(end..end, format!(" AS {}", quote_ident(item.name)));
        }
    }
    Ok(replaced)
}

/// Refuses a whole row that would show its type, of a table without one. What a query within the
/// statement has for a result may be the client's in the end.
fn refuse_untyped(found: &RowUse<'_>, item: &Shown<'_>) -> Result<(), Refusal> {
    let shows = match (found.place, found.certainty) {
        (UsedAs::Result { .. }, _) => true,
        // A function may give back what it is given.
        (UsedAs::Typed | UsedAs::Value, certainty) => certainty == Certainty::Row,
        (UsedAs::Plain | UsedAs::Field, _) => false,
    };
    if shows { Err(untyped(item)) } else { Ok(()) }
}

fn untyped(item: &Shown<'_>) -> Refusal {
    refuse::unsupported(
        "a whole row as a result column",
        &item.lens.legacy.name,
        "No table has rows of this type any more: select its columns, or use row_to_json().",
    )
}

impl Tree {
    /// Whether the statement groups rows, or leaves out equal ones.
    fn groups(&self) -> bool {
        let mut groups = false;
        self.each(&mut |node| {
            groups |= !node.list("group_clause").is_empty()
                || !node.list("distinct_clause").is_empty()
                || node.flag("agg_distinct");
        });
        groups
    }
}
