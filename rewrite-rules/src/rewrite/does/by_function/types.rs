//! The types of assigned values, judged as an assignment judges them.
//!
//! ```text
//! UPDATE user_settings SET max_iterations = language WHERE id = 1
//!
//! cf_types AS (INSERT INTO crossfade.image_… ("max_iterations")
//!              SELECT language FROM crossfade.image_… AS "user_settings" WHERE false)
//! ```
//!
//! Row images are made by casts, and a cast turns nearly anything into anything: the statement above
//! would read the language as a number. The image's own table takes no row, but PostgreSQL says of
//! the values what it would have said of them on the legacy table (42804), at the same place.

use std::collections::HashSet;

use super::ByFunction;
use crate::legend::query;
use crate::lens::{LegacyColumn, list, quote_ident};
use crate::rewrite::compose::Composer;
use crate::rewrite::expression::{form, is_bare, is_default};
use crate::rewrite::says::assignments::{Assignments, Set};
use crate::rewrite::says::given::result;
use crate::rewrite::says::set_query::{SetQuery, Value};
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};

/// Rows of VALUES that differ in more than their constants; each costs some parsing. Of more rows
/// than this the later ones are cast without being judged.
const ROWS_MAX: usize = 20;

impl<'a> ByFunction<'_, '_, 'a> {
    /// `beside`: another relation of images that the expressions may name.
    pub(super) fn judge_assignments(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        (sets, queries): &Assignments<'_, 'a>,
        beside: Option<&str>,
    ) {
        let image = self.lens.image_type();
        let item = format!("{image} AS {}", self.write.alias);
        let mut from = self.write.from(source, item);
        if let Some(relation) = beside {
            from.own(&format!(", {image} AS {relation}"));
        }
        for (number, query) in queries.iter().enumerate() {
            query.item(number, &mut from, source);
        }
        // An INSERT may have values to judge as well.
        let name = if beside.is_some() {
            query::SETS
        } else {
            query::TYPES
        };
        self.judge(composer, source, (name, from), (sets, queries));
    }

    /// `from`: the relations that the values may name, the queries among them.
    pub(super) fn judge(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        (name, from): (&str, impl Into<Output>),
        (values, queries): (&[Set<'_, 'a>], &[SetQuery<'_>]),
    ) {
        let judged: Vec<_> = values
            .iter()
            .filter(|(_, value)| match value {
                Value::Expression(value) => !is_bare(value) && !is_default(value),
                Value::OfQuery { .. } => true,
            })
            .copied()
            .collect();
        if judged.is_empty() {
            return;
        }
        let mut output = self.values(source, &judged, queries);
        output.append(from.into()).own(" WHERE false");
        composer.query(name, output);
    }

    pub(super) fn judge_inserted(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        given: &[&'a LegacyColumn],
    ) -> Result<(), Refusal> {
        let insert = &self.write.clauses.insert;
        let select = self.scope.statement.get("select_stmt");
        let Some(values) = insert.source else {
            return Ok(());
        };
        if !insert.gives_rows {
            let mut output = self.target_of(given.iter().copied());
            // Each by its name, which can be told where its value stands.
            let columns = select.list("target_list").len();
            let places: Option<Vec<usize>> = (0..columns).map(|at| result(select, at)).collect();
            match places.filter(|places| places.len() == given.len()) {
                Some(places) => {
                    output.own("SELECT ");
                    for (at, place) in places.iter().enumerate() {
                        output.own(if at == 0 { "" } else { ", " });
                        output.own_for(&format!("cf_c{}", at + 1), *place);
                    }
                    let names = list((1..=columns).map(|at| format!("cf_c{at}")));
                    output.own(" FROM (").client(source, values.extent());
                    output.own(&format!(") AS cf_s({}) WHERE false", names));
                }
                None => {
                    output.own("SELECT * FROM (");
                    output.client(source, values.extent());
                    output.own(") AS cf_s WHERE false");
                }
            }
            composer.query(query::TYPES, output);
            return Ok(());
        }
        let mut seen = HashSet::new();
        for items in insert.rows().flatten() {
            let judged = given
                .iter()
                .zip(items)
                .filter(|(_, value)| !is_bare(value) && !is_default(value));
            let (judged, form): (Vec<Set<'_, '_>>, Vec<String>) = judged
                .map(|(column, value)| {
                    let form = format!("{} {}", column.name, form(&value));
                    ((*column, Value::Expression(value)), form)
                })
                .unzip();
            if judged.is_empty() || seen.len() >= ROWS_MAX || !seen.insert(form) {
                continue;
            }
            let mut output = self.values(source, &judged, &[]);
            output.own(" WHERE false");
            composer.query(&format!("{}{}", query::TYPES, seen.len()), output);
        }
        Ok(())
    }

    fn values(
        &self,
        source: &Source<'_>,
        judged: &[Set<'_, '_>],
        queries: &[SetQuery<'_>],
    ) -> Output {
        let mut output = self.target_of(judged.iter().map(|(column, _)| *column));
        for (index, (_, value)) in judged.iter().enumerate() {
            output.own(if index == 0 { "SELECT " } else { ", " });
            match value {
                Value::Expression(value) => _ = output.client(source, value.extent()),
                Value::OfQuery { query, at } => {
                    let value = SetQuery::value(*query, *at);
                    match queries.get(*query) {
                        Some(of) => output.own_for(&value, of.place(*at)),
                        None => output.own(&value),
                    };
                }
            }
        }
        output
    }

    fn target_of<'c>(&self, columns: impl Iterator<Item = &'c LegacyColumn>) -> Output {
        let names = list(columns.map(|column| quote_ident(&column.name)));
        let mut output = Output::default();
        output.own(&format!(
            "INSERT INTO {} ({}) ",
            self.lens.image_type(),
            names
        ));
        output
    }
}
