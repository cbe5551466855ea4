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

pub(super) mod arbiter;
pub(super) mod assignments;
mod conflict;
mod generated;
pub(super) mod insert;
pub(super) mod merge;
pub(super) mod set_query;
pub(super) mod target;
mod write;

use super::clauses::Write;
use super::compose::{Composed, Composer};
use super::expression::{assigned, first_of_value, own_put};
use super::items::{Items, whole_row};
use super::returning::Carried;
use super::{ManagedRef, Scope, invert, legacy_first, upsert};
use crate::legend::query;
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::refuse;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};
use crate::tree::Tree;
use set_query::Value;
use target::Target;
pub(super) use write::Unified;

pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Composed, Refusal> {
    if scope.statement.is("MergeStmt") {
        return Unified::of(scope, target, write).merge(composer, source);
    }
    let carried = check(scope, target, write, source)?;
    let unified = Unified {
        carried,
        ..Unified::of(scope, target, write)
    };
    match scope.statement.kind() {
        "InsertStmt" => {
            if unified.mirrors {
                legacy_first::keeps_keys(scope, target)?;
            }
            unified.insert(composer, source)
        }
        "UpdateStmt" => unified.update(composer, source),
        _ => Ok(unified.delete(composer, source)),
    }
}

/// What no write to the legacy name can do once unified leads; gives what its RETURNING takes of
/// joined tables.
pub(super) fn check<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    let table = target.table_name();
    if write.is_current_of() {
        return Err(refuse::unsupported(
            "WHERE CURRENT OF once reads are unified",
            &table,
            "Name the row by its key.",
        ));
    }
    let system_columns = super::read::SystemColumns::of(scope.bound, scope.statement);
    if let Some(column) = system_columns.of_table(target) {
        return Err(refuse::unsupported(
            &format!("the system column {column}"),
            &table,
            "Use the table's key: its rows live elsewhere now.",
        ));
    }
    write.check_returning(scope, target, source)
}

impl<'a> Unified<'_, 'a> {
    fn update(&self, mut composer: Composer, source: &mut Source<'a>) -> Result<Composed, Refusal> {
        let (sets, queries) = self.assignments()?;
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
        self.old_rows(&mut composer, source, TagVerb::Update, |output| {
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
        Ok(self.finish(composer, source, update, TagVerb::Update))
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
        self.old_rows(&mut composer, source, TagVerb::Delete, |_| {});
        let old = composer.name(query::OLD);
        let delete = format!(
            "DELETE FROM {} AS {row} USING {old} WHERE {}",
            self.lens.unified,
            self.key_of(&old),
            row = Lens::ROW,
        );
        self.finish(composer, source, delete.into(), TagVerb::Delete)
    }

    /// The queries that find and lock the rows to write: `cf_old`, and `cf_lock` before it.
    /// As PostgreSQL locks what it writes: who refers to a row waits if it goes or gets another key.
    fn old_rows(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        verb: TagVerb,
        values: impl Fn(&mut Output),
    ) {
        let alias = &self.write.alias;
        let conditions = invert::conditions(&self.scope, self.target);
        let read = super::read::only(self.target, self.lens.read_where(&conditions));
        let from = |output: &mut Output| {
            output.own(" FROM (").append(read.clone());
            output.own(&format!(") AS {alias}"));
            if let Some(joined) = self.write.clauses.joined() {
                output.own(", ").client(source, joined);
            }
            if let Some(condition) = self.write.clauses.condition() {
                output.own(" WHERE (").client(source, condition).own(")");
            }
        };
        let keys = self.lens.keys_of(alias);
        let types_first = types_parameters_first(self.scope.statement);
        if self.mirrors || types_first {
            let mut found = Output::default();
            found.own(&format!("SELECT {}", keys.join(", ")));
            from(&mut found);
            composer.query(query::KEYS, found);
        }
        if self.mirrors {
            let locked = self
                .lens
                .lock_legacy(format!("SELECT * FROM {}", composer.name(query::KEYS)));
            composer.once(query::LOCK, locked);
        }
        let named: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| format!("{key} AS cf_k{}", i + 1))
            .collect();
        let mut old = Output::default();
        old.own(&format!("SELECT {}", named.join(", ")));
        values(&mut old);
        old.append(self.carried.values.clone());
        from(&mut old);
        if self.mirrors {
            // Makes the locks on legacy come first.
            let word = if self.write.clauses.condition().is_some() {
                "AND"
            } else {
                "WHERE"
            };
            old.own(&format!(
                " {word} (SELECT count(*) FROM {}) >= 0",
                composer.name(query::LOCK)
            ));
        }
        let strength = match verb == TagVerb::Update && !self.keys_may_move(verb) {
            true => "NO KEY UPDATE",
            false => "UPDATE",
        };
        old.own(&format!(" FOR {strength} OF {alias}"));
        composer.once(query::OLD, old);
    }

    fn key_of(&self, old: &str) -> String {
        let keys = self.lens.key_columns().enumerate().map(|(index, column)| {
            let value = column.put_value(&format!("{old}.cf_k{}", index + 1));
            format!("{}.{} = {value}", Lens::ROW, quote_ident(&column.unified))
        });
        let own = self.lens.is_of_tenant(Lens::ROW).into_iter();
        own.chain(keys).collect::<Vec<_>>().join(" AND ")
    }

    /// The unified statement, then the legacy half and the client's RETURNING list.
    fn finish(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        mut unified: Output,
        verb: TagVerb,
    ) -> Composed {
        let loses = verb == TagVerb::Update && self.may_lose();
        if !self.mirrors && self.write.clauses.returning.is_none() && !loses {
            return composer.end(unified, Answer::default());
        }
        let (new, images) = (composer.name(query::NEW), composer.name(query::IMG));
        unified.own(&format!(" RETURNING {}.*", Lens::ROW));
        let old = composer.name(query::OLD);
        for name in &self.carried.names {
            unified.own(&format!(", {old}.{name}"));
        }
        let moves = self.mirrors && self.keys_may_move(verb);
        for (at, _) in (1..).zip(self.lens.key.iter().filter(|_| moves)) {
            unified.own(&format!(", {old}.cf_k{at}"));
        }
        composer.query(query::NEW, unified);
        composer.query(query::IMG, self.read_back(loses, &new));
        if self.mirrors && verb == TagVerb::Delete {
            composer.call(self.lens.remove_legacy_call(&images));
        } else if moves {
            composer.call(self.lens.rekey_legacy_call(&new));
        } else if self.mirrors {
            composer.call(self.lens.put_legacy_call(&images));
        }
        if self.carried.is_empty() {
            return composer.select(self.write, source, &images, verb);
        }
        // An image and the row that it is of have the same key.
        let carried: Vec<String> = self
            .carried
            .names
            .iter()
            .map(|name| format!(", cf_r.{name}"))
            .collect();
        let base = format!(
            "(SELECT cf_i AS cf_row{} FROM {images} AS cf_i JOIN {new} AS cf_r ON {})",
            carried.concat(),
            self.lens.key_join("cf_r", "cf_i")
        );
        composer.select_rows(self.write, source, &base, &self.carried, verb)
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

    fn keys_may_move(&self, verb: TagVerb) -> bool {
        verb == TagVerb::Update
            && self.scope.statement.list("target_list").iter().any(|set| {
                self.lens
                    .key_columns()
                    .any(|key| key.name == set.text("name"))
            })
    }
}

/// Whether a parameter stands in the condition of an UPDATE and in what it sets: PostgreSQL looks at the
/// condition first, which then gives the parameter its type. So the condition must stand first somewhere; a
/// query that nobody reads is not run.
pub(super) fn types_parameters_first(statement: &Tree) -> bool {
    let numbers = |clause: &str| {
        let mut numbers = Vec::new();
        statement.get(clause).each(&mut |node| {
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
