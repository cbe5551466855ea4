//! ON CONFLICT of an INSERT that goes to unified.
//!
//! ```text
//! ON CONFLICT (email) DO UPDATE SET role = excluded.role WHERE iso_agents.is_active
//! ON CONFLICT ("email") DO UPDATE SET "role" = CASE (CASE excluded."role" WHEN …) WHEN … END
//!   WHERE (visible) AND ("iso_agents"."is_active")
//! ```
//!
//! There is no FROM to put a derived table into, so each column reference becomes the expression
//! that reads it. What has a query in it, or a name that the server must find, gets a FROM:
//!
//! ```text
//! SET full_name = (SELECT p.notes FROM profiles p WHERE p.id = iso_agents.id)
//!
//! "full_name" = (SELECT cf_v.cf_v
//!   FROM (SELECT excluded."id" AS "id", …) AS excluded
//!   CROSS JOIN (SELECT "iso_agents"."id" AS "id", …) AS "iso_agents"
//!   CROSS JOIN LATERAL (VALUES ((SELECT p.notes FROM profiles p WHERE p.id = iso_agents.id))) AS cf_v(cf_v))
//! ```
//!
//! A conflict with a unified row that legacy readers cannot see is an error: the
//! client must neither change that row nor believe that nothing was there. What DO NOTHING has passed over is looked at
//! behind it (`templates/columns/skipped.sql`).

use super::OneTable;
use crate::bind::{ItemKind, Referent, column_refs};
use crate::failure::Failure;
use crate::lens::{LegacyColumn, Lens, list, quote_ident};
use crate::rewrite::expression::{assigned, first_of_value, is_default, own_put};
use crate::rewrite::says::place::{Place, Target};
use crate::rewrite::says::set_query::Value;
use crate::rewrite::says::upsert::{self, EXCLUDED};
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// A value that ON CONFLICT DO UPDATE assigns.
struct Assigned<'t> {
    tokens: Tokens<'t>,
    tree: &'t Tree,
    /// To the whole column, not to a part of it.
    whole: bool,
}

impl<'a> OneTable<'_, '_, 'a> {
    pub(super) fn conflict(&self, output: &mut Output, source: &Source<'_>) -> Result<(), Refusal> {
        let tree = self.scope.statement.get("on_conflict_clause");
        output.own(" ON CONFLICT");
        self.arbiter(output, source)?;
        if tree.list("target_list").is_empty() {
            output.own(" DO NOTHING");
            return Ok(());
        }
        let conflict = self.assignments_on_conflict()?;
        let (sets, queries) = &conflict.assigned;
        self.brings_nothing(sets, "ON CONFLICT DO UPDATE")?;
        let trees = tree.list("target_list");
        let places = self.places(trees)?;
        let targets: Vec<Target<'_>> = sets
            .iter()
            .zip(&places)
            .zip(trees)
            .map(|(((column, _), place), tree)| self.target_of(place, column, source, tree))
            .collect();
        output.own(" DO UPDATE SET ");
        for (index, ((column, value), tree)) in sets.iter().zip(trees).enumerate() {
            match value {
                // The first of its columns brings them all.
                Value::OfQuery { at: 1.., .. } => continue,
                Value::OfQuery { query, at: 0 } => {
                    output.own(if index == 0 { "" } else { ", " });
                    let rows = self.conflicting_rows();
                    queries[*query].assign(output, source, &targets[index..], &rows);
                }
                Value::Expression(value) => {
                    output.own(if index == 0 { "" } else { ", " });
                    output.append(targets[index].text.clone()).own(" = ");
                    if places[index].takes_as_it_is(value) {
                        output.client(source, value.extent());
                    } else {
                        let whole = places[index].is_whole();
                        let value = Assigned {
                            tokens: *value,
                            tree: upsert::assigned(tree),
                            whole,
                        };
                        self.set(output, source, column, &value);
                    }
                }
            }
        }
        let visible = self.lens.visible_or_error(&self.write.alias);
        output.own(&format!(" WHERE {visible}"));
        if let Some(condition) = conflict.condition {
            output.own(" AND (");
            match self.inline(tree.get("where_clause")) {
                Some(inline) => output.client(&inline, condition.extent()),
                None => self.beside_conflicting_rows(output, "cf_v.cf_v".to_owned(), |output| {
                    output.client(source, condition.extent());
                }),
            };
            output.own(")");
        }
        Ok(())
    }

    /// What is assigned to, with its subscripts over the rows in conflict.
    fn target_of<'s>(
        &self,
        place: &Place<'a>,
        column: &'s LegacyColumn,
        source: &Source<'_>,
        tree: &Tree,
    ) -> Target<'s> {
        let subscripts = self.inline(tree.get("indirection"));
        place.target(source, column, |text, _, subscript| match &subscripts {
            Some(inline) => _ = text.client(inline, subscript.extent()),
            None => {
                let value = "cf_v.cf_v".to_owned();
                self.beside_conflicting_rows(text, value, |output| {
                    output.client(source, subscript.extent());
                });
            }
        })
    }

    fn set(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        column: &LegacyColumn,
        assigned_value: &Assigned<'_>,
    ) {
        let Assigned {
            tokens: value,
            tree,
            whole,
        } = *assigned_value;
        let at = first_of_value(&value);
        let plain = !whole || column.is_same();
        // Mapping names its value twice, so that one shall be nothing that could differ or cost.
        let simple = plain || ["", "ColumnRef", "ParamRef", "AConst"].contains(&tree.kind());
        match self.inline(tree).filter(|_| simple || is_default(&value)) {
            Some(inline) if plain => assigned(output, &inline, Some(value), column),
            Some(inline) => {
                let mut expression = Output::default();
                assigned(&mut expression, &inline, Some(value), column);
                let put = column.put_value(&format!("({})", expression.sql));
                own_put(output, &put, column, at);
            }
            None => {
                let mut mapped = Output::default();
                let put = if whole {
                    column.put_value("cf_v.cf_v")
                } else {
                    "cf_v.cf_v".to_owned()
                };
                own_put(&mut mapped, &put, column, at);
                output.own_for("", at);
                self.beside_conflicting_rows(output, mapped, |output| {
                    assigned(output, source, Some(value), column);
                });
            }
        }
    }

    /// A query of its own for an expression of the clause: `cf_v.cf_v` is its value. In VALUES nothing
    /// is allowed that is not in an assignment either: no aggregate, no function that returns a set.
    fn beside_conflicting_rows<'o>(
        &self,
        output: &'o mut Output,
        result: impl Into<Output>,
        value: impl Fn(&mut Output),
    ) -> &'o mut Output {
        output.own("(SELECT ").append(result.into());
        output.own(&format!(
            " FROM {} CROSS JOIN LATERAL (VALUES (",
            self.conflicting_rows()
        ));
        value(output);
        output.own(")) AS cf_v(cf_v))")
    }

    /// Both rows in conflict as they were on the legacy table, as items of FROM.
    fn conflicting_rows(&self) -> String {
        let alias = self.write.alias.as_str();
        let image = |row: &str| {
            let columns = self.lens.columns.iter().map(|column| {
                let value = column.read_value(&format!("{row}.{}", quote_ident(&column.unified)));
                format!("{value} AS {}", quote_ident(&column.name))
            });
            let columns = list(columns);
            format!("(SELECT {}) AS {row}", columns)
        };
        format!("{} CROSS JOIN {}", image(EXCLUDED), image(alias))
    }

    /// The text with every column reference of an expression made what reads it, if that can be done
    /// without a query: what a nested query's names mean only the server knows, and it tells of names
    /// without a table, which both rows have.
    fn inline(&self, tree: &Tree) -> Option<Source<'a>> {
        let mut edited = Source::new(self.scope.tokens.text);
        if tree.find("SubLink").is_some() {
            return None;
        }
        for column in column_refs(tree, true) {
            let parts = column.list("fields");
            let Referent::Column(id, name) = self.scope.bound.referent(column) else {
                return None;
            };
            let relation = match self.scope.bound.item(id).kind {
                // Both rows have a column of that name.
                _ if parts.len() == 1 => return None,
                ItemKind::Excluded => EXCLUDED,
                ItemKind::Table(_) => self.write.alias.as_str(),
                ItemKind::Query | ItemKind::Function | ItemKind::Join | ItemKind::Version => {
                    return None;
                }
            };
            let read = self.lens.column(name)?;
            let mut value = read.read_value(&format!("{relation}.{}", quote_ident(&read.unified)));
            if !read.values.is_empty() {
                value = format!("({value})");
            }
            let range = self.scope.tokens.column(column)?;
            edited.edit(range, value);
        }
        Some(edited)
    }
}

impl Lens {
    /// A condition that is true for a visible unified row and an error for any other.
    fn visible_or_error(&self, row: &str) -> String {
        match self.visible_condition(row) {
            None => "true".to_owned(),
            Some(visible) => {
                let key = self.legacy_key_of(row);
                let hidden = Failure::Hidden.unless_true(&format!("(ROW({key}) IS NULL)::text"));
                format!("CASE WHEN {visible} THEN true ELSE {hidden} END")
            }
        }
    }
}
