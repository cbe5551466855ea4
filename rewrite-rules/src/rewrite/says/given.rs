//! The rows that an INSERT gives, as legacy row images.
//!
//! ```text
//! INSERT INTO iso_agents (email, role) VALUES ($1, 'admin')
//!
//! (VALUES ((gen_random_uuid())::uuid, ($1)::text, ('admin')::user_role, …)) AS cf_n("id", …)
//! ```
//!
//! Every legacy column gets its value or the legacy default: the unified table's own defaults are
//! another application's.

use std::collections::{HashMap, HashSet};

use super::Says;
use super::generated::Overriding;
use super::place::Place;
use crate::legend::query;
use crate::lens::{Generated, LegacyColumn, Lens, list, quote_ident};
use crate::rewrite::compose::Composer;
use crate::rewrite::expression::{
    assigned, default_value, first_of_value, form, is_bare, is_default, typing,
};
use crate::statement::Refusal;
use crate::text::splice::{MappedAs, Output, Source};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// What a value is given for.
struct Given<'s, 'a> {
    column: &'s LegacyColumn,
    place: Place<'a>,
    /// Its values are used; else the column fills itself.
    used: bool,
}

/// The given values that are parts of columns, with their numbers.
fn parts<'g, 's, 'a>(
    given: &'g [Given<'s, 'a>],
) -> impl Iterator<Item = (usize, &'g Given<'s, 'a>)> {
    given
        .iter()
        .enumerate()
        .filter(|(_, given)| !given.place.is_whole())
}

/// Which of the given values is a column's.
fn whole(given: &[Given<'_, '_>], column: &LegacyColumn) -> Option<usize> {
    given
        .iter()
        .position(|given| given.column.name == column.name && given.place.is_whole() && given.used)
}

/// A value for a column that is not used, and not DEFAULT.
fn unused(given: &[Given<'_, '_>], column: &LegacyColumn) -> Option<usize> {
    let identity = matches!(column.generated, Some(Generated::Identity { .. }));
    let mut given = given.iter();
    given.position(|given| identity && !given.used && given.column.name == column.name)
}

/// The name in an image of a value that is a part of a column.
pub(in crate::rewrite) fn part(at: usize) -> String {
    format!("cf_e{}", at + 1)
}

/// The client's value for a part of a column.
pub(in crate::rewrite) fn part_value(
    output: &mut Output,
    source: &Source<'_>,
    (value, column, place): (&Tokens<'_>, &LegacyColumn, &Place<'_>),
) {
    if place.takes_as_it_is(value) {
        let (before, behind) = place.typing(column);
        output
            .own(&before)
            .client(source, value.extent())
            .own(behind);
    } else {
        output.client(source, value.extent());
    }
}

impl<'a> Says<'_, 'a> {
    /// The client's rows as legacy row images, a relation called [`Lens::IMAGE`].
    pub(in crate::rewrite) fn images(
        &self,
        output: &mut Output,
        source: &mut Source<'a>,
    ) -> Result<(), Refusal> {
        let named = self.scope.statement.list("cols");
        let columns = self.columns_named(named)?;
        let places = self.places(named)?;
        if self.lens.is_row_for_row() {
            let select = self.scope.statement.get("select_stmt");
            let rows = select.list("values_lists").iter();
            for value in rows.flat_map(Tree::in_list) {
                self.no_row(value)?;
            }
            for item in select.list("target_list") {
                self.no_row(item.get("val"))?;
            }
        }
        let places = places
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat_with(|| None));
        let given: Vec<Given<'_, 'a>> = columns
            .into_iter()
            .zip(places)
            .map(|(column, place)| Given {
                column,
                place: place.unwrap_or_default(),
                used: true,
            })
            .collect();
        let insert = &self.write.clauses.insert;
        let select = self.scope.statement.get("select_stmt");
        let mut given = self.used(given, select)?;
        if self.gives_query() && named.is_empty() {
            given.truncate(columns_of(select).unwrap_or(usize::MAX));
        }
        self.type_select_items(select, &given, source);
        let source: &Source<'_> = source;
        match insert.source {
            Some(_) if insert.gives_rows => self.values(output, source, &given)?,
            Some(query) => {
                self.counted(select)?;
                self.query(output, source, &query, &given);
            }
            None => {
                let defaults = list(self.lens.columns.iter().map(default_value));
                output.own(&format!("(VALUES ({}))", defaults));
            }
        }
        let names = self.lens.columns.iter().map(|c| quote_ident(&c.name));
        let names = list(names.chain(parts(&given).map(|(at, _)| part(at))));
        output.own(&format!(" AS {}({})", Lens::IMAGE, names));
        Ok(())
    }

    /// Which of the values are used, of columns that fill themselves.
    fn used<'s>(
        &self,
        mut given: Vec<Given<'s, 'a>>,
        select: &Tree,
    ) -> Result<Vec<Given<'s, 'a>>, Refusal> {
        let overriding = Overriding::of(self.scope.statement);
        let rows = select.list("values_lists");
        let targets = select.list("target_list");
        // Without a list a row may have fewer values than there are columns.
        let named = !self.scope.statement.list("cols").is_empty();
        let filled = |one: &(usize, &mut Given<'_, '_>)| one.1.column.generated.is_some();
        for (at, one) in given.iter_mut().enumerate().filter(filled) {
            let is_given = match rows.first() {
                Some(row) => named || row.in_list().len() > at,
                None => select.exists() && (named || targets.len() > at),
            };
            if !is_given {
                continue;
            }
            let defaults = !rows.is_empty()
                && rows.iter().all(|row| {
                    let value = row.in_list().get(at);
                    value.is_some_and(|value| value.is("SetToDefault"))
                });
            one.used = self.uses(one.column, overriding, defaults)?;
        }
        Ok(given)
    }

    /// The columns that the client names, or as many of the shape as it gives values.
    pub(in crate::rewrite) fn given_columns(&self) -> Result<Vec<&LegacyColumn>, Refusal> {
        let named = self.scope.statement.list("cols");
        let mut columns = self.columns_named(named)?;
        if self.gives_query() && named.is_empty() {
            let given = columns_of(self.scope.statement.get("select_stmt"));
            columns.truncate(given.unwrap_or(usize::MAX));
        }
        Ok(columns)
    }

    /// The columns of a list; all of them where there is none.
    pub(in crate::rewrite) fn columns_named(
        &self,
        named: &[Tree],
    ) -> Result<Vec<&LegacyColumn>, Refusal> {
        if named.is_empty() {
            return Ok(self.lens.columns.iter().collect());
        }
        let mut columns = Vec::new();
        let mut before: HashMap<&str, bool> = HashMap::new();
        for target in named {
            let name = target.text("name");
            let is_whole = target.list("indirection").is_empty();
            // Parts of one column may be several.
            let known = before.insert(name, is_whole);
            if known.is_some_and(|was_whole| was_whole || is_whole) {
                let message = format!("column \"{name}\" specified more than once");
                return Err(self.scope.mistake("42701", message, target.location()));
            }
            columns.push(self.legacy_column(target)?);
        }
        Ok(columns)
    }

    /// Whether the rows come from a query, not from VALUES.
    fn gives_query(&self) -> bool {
        let insert = &self.write.clauses.insert;
        insert.source.is_some() && !insert.gives_rows
    }

    fn values(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        given: &[Given<'_, 'a>],
    ) -> Result<(), Refusal> {
        let mixed = self.mixed(given);
        let mut length = None;
        output.own("(VALUES ");
        for (index, row) in self.write.clauses.insert.rows().enumerate() {
            let items =
                row.ok_or_else(|| self.wrong_count("target columns than expressions", None))?;
            let first = *length.get_or_insert(items.len());
            if items.len() != first {
                let message = "VALUES lists must all be the same length".to_owned();
                let at = items.first().map(first_of_value);
                return Err(self.scope.mistake("42601", message, at));
            }
            if let Some(extra) = items.get(given.len()) {
                let at = Some(extra.extent().start);
                return Err(self.wrong_count("expressions than target columns", at));
            }
            if let Some(extra) = self.scope.statement.list("cols").get(items.len()) {
                return Err(self.wrong_count("target columns than expressions", extra.location()));
            }
            output.own(if index == 0 { "(" } else { ", (" });
            for (position, column) in self.lens.columns.iter().enumerate() {
                if position > 0 {
                    output.own(", ");
                }
                let at = whole(given, column);
                let value = at.and_then(|at| items.get(at)).copied();
                let unused = unused(given, column).and_then(|at| items.get(at));
                if let Some(unused) = unused.filter(|value| !is_default(value)) {
                    // It has its place among the statement's parameters all the same.
                    let cast = column.base_type();
                    output
                        .own("CASE WHEN false THEN (")
                        .client(source, unused.extent());
                    output.own(&format!(")::{cast} ELSE {} END", default_value(column)));
                    continue;
                }
                let cast = !self.lens.is_row_for_row() || mixed.contains(column.name.as_str());
                let cast = cast && !column.may_be_domain();
                match value.filter(|value| cast && !is_default(value)) {
                    // Judged already, or of another type than another row's: each comes by its own.
                    Some(value) => {
                        output.own("(").client(source, value.extent());
                        output.own(&format!(")::{}", column.base_type()));
                    }
                    None => assigned(output, source, value, column),
                }
            }
            for (at, given) in parts(given) {
                output.own(", ");
                match items.get(at) {
                    Some(value) if is_default(value) => {
                        return Err(self.no_default(&self.scope.statement.list("cols")[at]));
                    }
                    Some(value) => part_value(output, source, (value, given.column, &given.place)),
                    None => _ = output.own("NULL"),
                }
            }
            output.own(")");
        }
        output.own(")");
        Ok(())
    }

    /// The columns whose values in several rows may be of unlike types. PostgreSQL assigns each row's to the column; in
    /// VALUES that is no INSERT's own they would have to be of one.
    fn mixed(&self, given: &[Given<'_, 'a>]) -> HashSet<&str> {
        if !self.lens.is_row_for_row() {
            return HashSet::new();
        }
        let mut forms: HashMap<usize, String> = HashMap::new();
        let mut mixed = HashSet::new();
        for row in self.write.clauses.insert.rows().flatten() {
            for (at, value) in row.iter().enumerate() {
                let form = if is_bare(value) || is_default(value) {
                    String::new()
                } else {
                    form(value)
                };
                let first = forms.entry(at).or_insert_with(|| form.clone());
                if *first != form && given.get(at).is_some_and(|given| given.place.is_whole()) {
                    mixed.insert(at);
                }
            }
        }
        let columns = self.lens.columns.iter();
        columns
            .filter(|column| whole(given, column).is_some_and(|at| mixed.contains(&at)))
            .map(|column| column.name.as_str())
            .collect()
    }

    /// Whether a query gives as many columns as the client names, where its text tells how many.
    fn counted(&self, select: &Tree) -> Result<(), Refusal> {
        let Some(columns) = columns_of(select) else {
            return Ok(());
        };
        let named = self.scope.statement.list("cols");
        if let Some(lacking) = named.get(columns) {
            return Err(self.wrong_count("target columns than expressions", lacking.location()));
        }
        let taken = if named.is_empty() {
            self.lens.columns.len()
        } else {
            named.len()
        };
        if columns > taken {
            return Err(self.wrong_count("expressions than target columns", result(select, taken)));
        }
        Ok(())
    }

    /// `cf_counted`, which nobody reads: has the server say that a query gives more columns than are taken, where its
    /// text does not tell how many. Beside names for some of them the others would go unnoticed.
    pub(in crate::rewrite) fn count(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        taken: usize,
    ) {
        let select = self.scope.statement.get("select_stmt");
        let query = self.write.clauses.insert.source;
        let query = query.filter(|_| self.gives_query() && columns_of(select).is_none());
        let Some(query) = query else { return };
        let names = list((1..=taken).map(|at| format!("cf_c{at}")));
        let mut counted = Output::default();
        counted
            .own("SELECT * FROM (")
            .client(source, query.extent());
        counted.own(&format!(") AS cf_s({}) UNION ALL SELECT ", names));
        let nulls = vec!["NULL"; taken].join(", ");
        let last = last_of(select).unwrap_or(query.extent().start);
        counted.own_columns(&nulls, last, MappedAs::InsertColumns);
        composer.query(query::COUNTED, counted);
    }

    fn query(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        query: &Tokens<'_>,
        given: &[Given<'_, 'a>],
    ) {
        let columns = self
            .lens
            .columns
            .iter()
            .map(|column| match whole(given, column) {
                // The unified column's type, or what makes it of the legacy one, is an assignment's; so
                // is what becomes of a value of another type, which a cast would take.
                Some(at)
                    if column.may_be_domain()
                        || self.lens.is_row_for_row() && column.sql_type == column.unified_type =>
                {
                    format!("cf_s.cf_c{}", at + 1)
                }
                Some(at) => format!("(cf_s.cf_c{})::{}", at + 1, column.base_type()),
                None => default_value(column),
            });
        let parts = parts(given).map(|(at, _)| format!("cf_s.cf_c{}", at + 1));
        let columns = list(columns.chain(parts));
        let names = list((1..=given.len()).map(|at| format!("cf_c{at}")));
        output.own(&format!("(SELECT {} FROM (", columns));
        output.client(source, query.extent());
        output.own(&format!(") AS cf_s({}))", names));
    }

    /// `INSERT … SELECT $1, 'x'` gives parameters and strings the type of the column they go to.
    fn type_select_items(&self, select: &Tree, given: &[Given<'_, 'a>], source: &mut Source<'_>) {
        let tokens = self.scope.tokens;
        for (item, given) in select.list("target_list").iter().zip(given) {
            let value = item.get("val");
            let token = value.location().and_then(|start| tokens.at(start));
            let Some(index) = token.filter(|_| value.is("ParamRef") || value.is("AConst")) else {
                continue;
            };
            let tokens = tokens.slice(index..index + 1);
            if !is_bare(&tokens) {
                continue;
            }
            let extent = tokens.extent();
            if given.place.is_whole() {
                let (before, behind) = typing(&tokens, given.column);
                source.edit(extent.start..extent.start, before);
                source.edit(extent.end..extent.end, behind);
            } else {
                let (before, behind) = given.place.typing(given.column);
                source.edit(extent.start..extent.start, before);
                source.edit(extent.end..extent.end, behind.to_owned());
            }
        }
    }

    pub(in crate::rewrite) fn wrong_count(&self, more: &str, at: Option<usize>) -> Refusal {
        let message = format!("INSERT has more {more}");
        self.scope.mistake("42601", message, at)
    }
}

/// How many columns a query gives, where its text tells.
fn columns_of(select: &Tree) -> Option<usize> {
    let columns = select.list("target_list").len();
    result(select, columns.checked_sub(1)?).map(|_| columns)
}

/// Where what a query gives last stands: mostly it is a `*` that gives more than is taken.
fn last_of(select: &Tree) -> Option<usize> {
    let mut first = select;
    while first.get("larg").exists() {
        first = first.get("larg");
    }
    first.list("target_list").last()?.location()
}

/// Where PostgreSQL says that a column of a query's result stands; `None` behind `*`, and of the queries that
/// are put together from several.
pub(in crate::rewrite) fn result(select: &Tree, at: usize) -> Option<usize> {
    let items = select.list("target_list");
    let before = items.get(..=at)?;
    if before
        .iter()
        .any(|item| item.get("val").find("AStar").is_some())
    {
        return None;
    }
    let mut first: Option<usize> = None;
    before.last()?.get("val").each(&mut |node| {
        // It is never the first of the text: what has no place says 0.
        let place = node.location().filter(|&place| place > 0);
        first = first.into_iter().chain(place).min();
    });
    first
}
