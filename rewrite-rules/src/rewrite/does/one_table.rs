//! Writes to a legacy name once unified leads (`unified_read`, `unified_only`, `retired`).
//!
//! ```text
//! UPDATE iso_agents SET margin_value = margin_value + 1 WHERE role = 'admin'
//!
//! WITH cf_old AS MATERIALIZED (
//!        SELECT "iso_agents"."id" AS cf_k1, margin_value + 1 AS cf_v1
//!        FROM (SELECT … FROM "public"."users" AS cf_u …) AS "iso_agents"
//!        WHERE (role = 'admin') FOR NO KEY UPDATE OF "iso_agents")
//! UPDATE "public"."users" AS cf_u SET "margin_value" = cf_old.cf_v1
//! FROM cf_old WHERE cf_u."id" = cf_old.cf_k1
//! ```
//!
//! The client's expressions stay over a relation that looks like the legacy table, so they mean
//! what they meant. The lock is on the unified rows, and re-reads them if they changed while it
//! waited; without it two concurrent increments would lose one. In `unified_read` the legacy rows
//! are locked first and written last, by row image.

mod arbiter;
mod conflict;
mod insert;
mod merge;
mod one_row;

use super::by::By;
use super::follow::{self, Put, Rows};
use crate::legend::query;
use crate::lens::{LegacyColumn, Lens, all_of, list, quote_ident};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::expression::{assigned, first_of_value, own_put};
use crate::rewrite::says::Says;
use crate::rewrite::says::items::{Items, whole_row};
use crate::rewrite::says::place::Target;
use crate::rewrite::says::set_query::Value;
use crate::rewrite::says::upsert;
use crate::rewrite::{invert, read};
use crate::statement::{Answer, Refusal};
use crate::text::splice::{Output, Source};

enum InOneTable {}

/// A write that goes to the one unified table.
type OneTable<'s, 'w, 'a> = By<'s, 'w, 'a, InOneTable>;

pub(super) fn compose<'a>(
    says: &Says<'_, 'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Composed, Refusal> {
    let write = OneTable::of(says);
    match says.scope.statement.kind() {
        "MergeStmt" => write.merge(composer, source),
        "InsertStmt" => {
            if says.mirrors() {
                upsert::keeps_keys(&says.scope, says.target)?;
            }
            write.insert(composer, source)
        }
        "UpdateStmt" => write.update(composer, source),
        _ => Ok(write.delete(composer, source)),
    }
}

impl<'a> OneTable<'_, '_, 'a> {
    fn update(&self, mut composer: Composer, source: &mut Source<'a>) -> Result<Composed, Refusal> {
        let (sets, queries) = self.assignments()?;
        if let Some(update) = self.update_one(&mut composer, source, &sets) {
            return Ok(self.finish(composer, source, update));
        }
        let places = self.places(self.scope.statement.list("target_list"))?;
        let at_hand = |index: usize| {
            places[index].is_whole() && matches!(sets[index].1, Value::Expression(_))
        };
        let parts: Vec<_> = (0..sets.len()).filter(|index| !at_hand(*index)).collect();
        let parts: Vec<_> = parts.into_iter().map(|index| sets[index]).collect();
        self.brings_nothing(&parts, "a query or a part")?;
        for set in self.scope.statement.list("target_list") {
            self.no_row(upsert::assigned(set))?;
        }
        // Queries run where the rows are locked: over what `cf_old` has found.
        let mut items = Items::of(&self.scope);
        if !queries.is_empty() {
            items.give_rows(&self.scope, source);
            if !items.have_rows() {
                // In FROM the query would keep the values of before, of a row that another
                // transaction changes while this one waits for it.
                return Err(refuse::unsupported(
                    "SET (…) = (a query) beside what has no row of its own",
                    &self.target.table_name(),
                    "Put it into a query, FROM (SELECT …) AS name, or set each column by itself.",
                ));
            }
        }
        let carried = (!queries.is_empty()).then_some(items);
        if let Some(items) = &carried {
            let assigned = self.scope.statement.get("target_list");
            items.unqualify(&self.scope, assigned, source);
        }
        let source: &Source<'_> = source;
        self.old_rows(&mut composer, source, |output| {
            for (index, (column, value)) in sets.iter().enumerate() {
                for (number, subscript) in places[index].computed() {
                    output.own(", ").client(source, subscript.extent());
                    output.own(&format!(" AS cf_s{}_{number}", index + 1));
                }
                match value {
                    Value::Expression(tokens) if places[index].takes_as_it_is(tokens) => continue,
                    Value::Expression(tokens) => {
                        output.own(", ");
                        assigned(output, source, Some(*tokens), column);
                    }
                    Value::OfQuery { .. } => continue,
                }
                output.own(&format!(" AS cf_v{}", index + 1));
            }
            if let Some(items) = &carried {
                let row = whole_row(&self.write.alias);
                output.own(&format!(", {row} AS cf_row{}", items.rows()));
            }
        });
        let old = composer.name(query::OLD);
        let mut update = Output::default();
        update.own(&format!(
            "UPDATE {} AS {} SET ",
            self.lens.unified,
            Lens::ROW
        ));
        let targets: Vec<Target<'_>> = sets
            .iter()
            .zip(&places)
            .enumerate()
            .map(|(index, ((column, _), place))| {
                place.target(source, column, |text, number, _| {
                    text.own(&format!("{old}.cf_s{}_{number}", index + 1));
                })
            })
            .collect();
        for (index, (column, value)) in sets.iter().enumerate() {
            update.own(
                if index == 0 || matches!(value, Value::OfQuery { at: 1.., .. }) {
                    ""
                } else {
                    ", "
                },
            );
            let at = match value {
                // The first of its columns brings them all.
                Value::OfQuery { at: 1.., .. } => continue,
                Value::OfQuery { query, at: 0 } => {
                    let query = &queries[*query];
                    let joined = carried.as_ref().map(|items| items.from(&old));
                    let rows = format!(
                        "(SELECT ({old}.cf_row).*) AS {}{}",
                        self.write.alias,
                        joined.unwrap_or_default()
                    );
                    query.assign(&mut update, source, &targets[index..], &rows);
                    continue;
                }
                // The client can only have written DEFAULT.
                Value::Expression(_) if column.is_computed_in_unified() => {
                    update.append(targets[index].text.clone()).own(" = DEFAULT");
                    continue;
                }
                Value::Expression(_) if column.is_brought() => {
                    self.bring(&mut update, column, &sets, &old);
                    continue;
                }
                Value::Expression(tokens) if places[index].takes_as_it_is(tokens) => {
                    update.append(targets[index].text.clone()).own(" = ");
                    update.client(source, tokens.extent());
                    continue;
                }
                Value::Expression(tokens) => first_of_value(tokens),
            };
            update.append(targets[index].text.clone()).own(" = ");
            let value = targets[index].put_value(&format!("{old}.cf_v{}", index + 1));
            own_put(&mut update, &value, column, at);
        }
        let is_set = |column: &LegacyColumn| sets.iter().any(|(set, _)| set.name == column.name);
        for column in self.lens.brought().filter(|column| !is_set(column)) {
            if sets.iter().any(|(set, _)| column.is_computed_from(set)) {
                update.own(", ");
                self.bring(&mut update, column, &sets, &old);
            }
        }
        update.own(&format!(" FROM {old} WHERE {}", self.key_of(&old)));
        Ok(self.finish(composer, source, update))
    }

    /// Sets a column to what legacy would compute from the row as it is to be.
    fn bring(
        &self,
        update: &mut Output,
        column: &LegacyColumn,
        sets: &[(&LegacyColumn, Value<'a>)],
        old: &str,
    ) {
        let value = self.lens.computed(column, |other| {
            match sets.iter().position(|(set, _)| set.name == other.name) {
                Some(index) => format!("{old}.cf_v{}", index + 1),
                None => {
                    let stored = format!("{}.{}", Lens::ROW, quote_ident(&other.unified));
                    other.read_value(&stored)
                }
            }
        });
        let put = column.put_value(&value.unwrap_or_default());
        update.own(&format!("{} = {put}", quote_ident(&column.unified)));
    }

    fn delete(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        self.old_rows(&mut composer, source, |_| {});
        let old = composer.name(query::OLD);
        let delete = format!(
            "DELETE FROM {} AS {row} USING {old} WHERE {}",
            self.lens.unified,
            self.key_of(&old),
            row = Lens::ROW,
        );
        self.finish(composer, source, delete.into())
    }

    /// The queries that find and lock the rows to write: `cf_old`, and `cf_lock` before it.
    /// As PostgreSQL locks what it writes: who refers to a row waits if it goes or gets another key.
    fn old_rows(&self, composer: &mut Composer, source: &Source<'_>, values: impl Fn(&mut Output)) {
        let alias = &self.write.alias;
        let conditions = invert::conditions(&self.scope, self.target);
        let mut item = Output::from("(");
        item.append(read::only(self.target, self.lens.read_where(&conditions)))
            .own(&format!(") AS {alias}"));
        let from = self.write.from(source, item);
        let keys = self.lens.keys_of(alias);
        if self.mirrors() || self.types_parameters_first() {
            let mut found = Output::from(format!("SELECT {}", keys.join(", ")));
            found
                .append(from.clone())
                .append(self.write.filter(source, None));
            composer.query(query::KEYS, found);
        }
        let goes = self.write.acts.deletes || self.updates_key();
        let strength = if goes { "UPDATE" } else { "NO KEY UPDATE" };
        if self.mirrors() {
            let keys = format!("SELECT * FROM {}", composer.name(query::KEYS));
            composer.once(query::LOCK, self.lens.lock_legacy(keys, strength));
        }
        let named = list(
            keys.iter()
                .enumerate()
                .map(|(i, key)| format!("{key} AS cf_k{}", i + 1)),
        );
        let mut old = Output::from(format!("SELECT {}", named));
        values(&mut old);
        // Makes the locks on legacy come first.
        let behind = self.mirrors().then(|| composer.behind(query::LOCK));
        old.append(self.carried.values.clone())
            .append(from)
            .append(self.write.filter(source, behind.as_deref()));
        old.own(&format!(" FOR {strength} OF {alias}"));
        composer.once(query::OLD, old);
    }

    fn key_of(&self, old: &str) -> String {
        let keys = self.lens.key_columns().enumerate().map(|(index, column)| {
            let value = column.put_value(&format!("{old}.cf_k{}", index + 1));
            format!("{}.{} = {value}", Lens::ROW, quote_ident(&column.unified))
        });
        all_of(self.lens.is_of_tenant(Lens::ROW).into_iter().chain(keys))
    }

    /// The unified statement, then the legacy half and the client's RETURNING list.
    fn finish(&self, mut composer: Composer, source: &Source<'_>, mut unified: Output) -> Composed {
        let loses = !self.write.acts.deletes && self.may_lose();
        if !self.mirrors() && self.write.clauses.returning.is_none() && !loses {
            return composer.end(unified, Answer::default());
        }
        let (new, images) = (composer.name(query::NEW), composer.name(query::IMG));
        unified.own(&format!(" RETURNING {}.*", Lens::ROW));
        let old = composer.name(query::OLD);
        for name in &self.carried.names {
            unified.own(&format!(", {old}.{name}"));
        }
        let moves = self.mirrors() && self.updates_key();
        for (at, _) in (1..).zip(self.lens.key.iter().filter(|_| moves)) {
            unified.own(&format!(", {old}.cf_k{at}"));
        }
        composer.query(query::NEW, unified);
        composer.query(query::IMG, self.read_back(loses, &new));
        if self.mirrors() && self.write.acts.deletes {
            composer.call(self.lens.remove_legacy_call(&images));
        } else if moves {
            composer.call(self.lens.rekey_legacy_call(&new));
        } else if self.mirrors() {
            let rows = if self.finds_one() {
                Rows::One
            } else {
                Rows::Any
            };
            follow::put_legacy(&mut composer, self.target, &images, (Put::Updated, rows));
        }
        let same = self.lens.key_join("cf_r", "cf_i");
        let rows = self.with_carried(images, &new, &same);
        composer.select_rows(self.write, source, &rows, &self.carried)
    }

    /// Whether what an UPDATE sets may take a row from the legacy table's readers.
    fn may_lose(&self) -> bool {
        let set = self.scope.statement.list("target_list").iter();
        let columns = set.filter_map(|set| self.lens.column(set.text("name")));
        self.lens.may_lose(columns)
    }

    /// The images of rows that were written.
    fn read_back(&self, loses: bool, rows: &str) -> String {
        if loses {
            self.lens.read_back_from(rows)
        } else {
            self.lens.read_from(rows)
        }
    }
}
