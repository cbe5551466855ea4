//! Writes to a legacy name while legacy leads (`dual_write`, `shadow_read`, `dual_read`).
//!
//! ```text
//! UPDATE iso_agents SET full_name = 'x' WHERE id = $1 RETURNING role
//!
//! WITH cf_new AS (UPDATE iso_agents SET full_name = 'x' WHERE id = $1 RETURNING "iso_agents".*),
//!      cf_put AS (INSERT INTO "public"."users" … SELECT … FROM cf_new AS cf_n ON CONFLICT …)
//! SELECT role FROM cf_new AS "iso_agents"
//! ```
//!
//! The client's own statement runs once; its row images feed the unified half. Defaults,
//! sequences, `now()` and BEFORE triggers are in the image, never evaluated a second time.
//! Under `record`, and for deletes and key changes, the lens's functions in the database do the
//! unified half from within the same statement (see `lens::functions`).

//!
//! ```text
//! MERGE INTO iso_agents a USING s ON … WHEN MATCHED AND s.gone THEN DELETE WHEN MATCHED THEN UPDATE …
//!
//! WITH cf_new AS (MERGE INTO iso_agents a USING s ON … WHEN …
//!                 RETURNING merge_action() AS cf_action, ROW("a".*)::"public"."iso_agents" AS cf_row)
//! SELECT FROM cf_new AS cf_all
//!  WHERE CASE WHEN (SELECT remove(…) FROM ‹those of 'DELETE'›) THEN (SELECT put(…) FROM ‹the others›) END
//! ```
//!
//! Rows that go are removed first: one that comes may have a unique value of theirs.

use std::ops::Range;

use crate::legend::query;
use crate::lens::{Lens, Work, list, quote_ident};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer, one_then};
use crate::rewrite::expression::{is_bare, is_default};
use crate::rewrite::says::merge::Did;
use crate::rewrite::says::own::Own;
use crate::rewrite::says::upsert;
use crate::rewrite::says::write::Write;
use crate::rewrite::{ManagedRef, Scope};
use crate::rule_set::OnUnifiedError;
use crate::statement::{Answer, Refusal};
use crate::text::splice::{Output, Source};

pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Composed, Refusal> {
    let lens = target.managed.lens;
    let table = target.table_name();
    if write.is_current_of() && target.reads_unified() {
        return Err(refuse::current_of(&table));
    }
    upsert::keeps_keys(scope, target)?;
    let rekeys = write.sets_key(target) && !write.acts.inserts;
    if write.is_merge() && write.sets_key(target) {
        return Err(refuse::merge_of_key(&table));
    }
    if rekeys && !lens.moves_keys() {
        return Err(refuse::key_change(&table));
    }
    let shape = LegacyFirst {
        own: Own::of(scope, target, write, source)?,
        lens,
        record: target.managed.migration.on_unified_error() == OnUnifiedError::Record,
        is_tried: target.managed.migration.is_tried,
    };
    if rekeys {
        return shape.rekey(composer, source, &table);
    }
    Ok(shape.follow(composer, source))
}

struct LegacyFirst<'w, 'a> {
    own: Own<'w, 'a>,
    lens: &'w Lens,
    record: bool,
    /// It is sent before the one that records.
    is_tried: bool,
}

impl LegacyFirst<'_, '_> {
    /// The client's statement, returning its row images, and what unified takes of them.
    fn follow(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let (own, write) = (&self.own, self.own.write);
        own.write(&mut composer, source, None);
        let (puts, removes) = (write.acts.puts(), write.acts.deletes);
        if puts && !removes && !self.record && self.lens.puts_at_once() {
            let rows = own.rows(&composer, Did::Put);
            let put = match self.is_tried {
                true => self.lens.put_patiently_from(&rows),
                false => self.lens.put_from(&rows),
            };
            if write.clauses.returning.is_none() && !write.is_merge() {
                // An upsert from n images counts n rows: its tag needs only another verb.
                let answer = Answer {
                    tag: Some(write.verb()),
                    ..Answer::default()
                };
                return composer.end(put, answer);
            }
            composer.query(query::PUT, put);
            return own.finish(composer, source);
        }
        let put = puts.then(|| self.function(Work::Put, &own.rows(&composer, Did::Put)));
        let remove =
            removes.then(|| self.function(Work::Remove, &own.rows(&composer, Did::Deleted)));
        let calls = remove.into_iter().chain(put);
        if let Some(call) = calls.reduce(|first, then| one_then(&first, &then)) {
            composer.call(call);
        }
        own.finish(composer, source)
    }

    /// An UPDATE that sets the key: the unified row keeps its other columns and moves along.
    ///
    /// The old images are read under the lock that the UPDATE would take, so that each new image
    /// has its old one. If a concurrent change of the same keys still pairs them differently the
    /// statement fails instead of guessing.
    fn rekey(
        &self,
        mut composer: Composer,
        source: &mut Source<'_>,
        table: &str,
    ) -> Result<Composed, Refusal> {
        let new = composer.name(query::NEW);
        if self.own.write.is_current_of() {
            self.update_at_cursor(&mut composer, source, table)?;
        } else {
            self.update_locked(&mut composer, source, table)?;
        }
        composer.call(format!(
            "(SELECT {}(array_agg({image}.cf_row), array_agg({}), {}) FROM {new} AS {image})",
            self.lens.function_name(Work::Rekey),
            self.lens.image_row(Lens::IMAGE),
            self.record,
            image = Lens::IMAGE,
        ));
        let named = |relation: &str| {
            let columns = self.lens.columns.iter();
            list(columns.map(|column| format!("{relation}.{}", quote_ident(&column.name))))
        };
        let carried = &self.own.carried;
        let rows = if carried.is_empty() {
            format!("(SELECT {} FROM {new})", named(&new))
        } else {
            // Beside its columns stands the row of before.
            format!(
                "(SELECT cf_i AS cf_row, {} FROM {new} CROSS JOIN LATERAL (SELECT {}) AS cf_i)",
                carried.names.join(", "),
                named(&new)
            )
        };
        Ok(composer.select_rows(self.own.write, source, &rows, carried))
    }

    /// `cf_was`, the old images under their locks, and `cf_new`, the client's UPDATE of those rows.
    fn update_locked(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        table: &str,
    ) -> Result<(), Refusal> {
        let alias = &self.own.write.alias;
        let keys = self.lens.legacy_key();
        let row = self.lens.whole_row(alias);
        self.own.was(composer, source, (&row, &keys), None);
        let statement = self.own.of_those_that_were(composer, source, &keys);
        let mut statement = statement
            .ok_or_else(|| refuse::unsupported("this UPDATE", table, "Write it plainly."))?;
        let was = composer.name(query::WAS);
        statement.own(&format!(" RETURNING {alias}.*, {was}.cf_row"));
        statement.append(self.own.carried.values.clone());
        composer.query(query::NEW, statement);
        composer.same_number(query::WAS, query::NEW);
        Ok(())
    }

    /// `cf_new`, the client's UPDATE of the row that a cursor is at. No other statement can find that
    /// row, so one of the assignments notes what the row was: it is computed of the version that is
    /// updated, and there is one row at most.
    fn update_at_cursor(
        &self,
        composer: &mut Composer,
        source: &mut Source<'_>,
        table: &str,
    ) -> Result<(), Refusal> {
        const OLD: &str = "'crossfade.old_row'";
        let write = self.own.write;
        let Some((value, cast)) = self.plain_value() else {
            return Err(refuse::unsupported(
                "an UPDATE of the key WHERE CURRENT OF that sets nothing but defaults and values of queries",
                table,
                "Set a column by `column = expression`, or name the row by its key.",
            ));
        };
        let (row, row_type) = (self.lens.whole_row(&write.alias), self.lens.image_type());
        let mut noting = Output::default();
        noting.own(&format!(
            "CASE WHEN pg_catalog.set_config({OLD}, ({row})::text, true) IS NOT NULL THEN ("
        ));
        noting.client(source, value.clone());
        noting.own(&format!("){cast} END"));
        source.clear(&value);
        source.edit(value, noting);
        let mut statement = Output::default();
        statement.client(source, write.clauses.body.clone());
        statement.own(&format!(
            " RETURNING {}.*, pg_catalog.current_setting({OLD})::{row_type} AS cf_row",
            write.alias
        ));
        statement.append(self.own.carried.values.clone());
        composer.query(query::NEW, statement);
        Ok(())
    }

    /// An expression that is assigned to a column, and the cast that gives it the column's type, if
    /// it has none of its own.
    fn plain_value(&self) -> Option<(Range<usize>, String)> {
        let mut targets = self.own.write.statement.list("target_list").iter();
        for item in &self.own.write.clauses.assignments {
            let Some(values) = item.values() else {
                targets.nth(item.columns().checked_sub(1)?)?;
                continue;
            };
            for value in values {
                let target = targets.next()?;
                let column = self.lens.column(target.text("name"));
                let (Some(column), true) = (column, target.list("indirection").is_empty()) else {
                    continue;
                };
                if is_default(&value) {
                    continue;
                }
                let cast = if is_bare(&value) {
                    format!("::{}", column.base_type())
                } else {
                    String::new()
                };
                return Some((value.extent(), cast));
            }
        }
        None
    }

    /// A call of one of the lens's functions over the images in a relation.
    fn function(&self, work: Work, relation: &str) -> String {
        format!(
            "(SELECT {}(array_agg({row}), {}) FROM {relation} AS {image})",
            self.lens.function_name(work),
            self.record,
            image = Lens::IMAGE,
            row = match self.own.carried.is_empty() {
                true => self.lens.whole_row(Lens::IMAGE),
                false => self.lens.image_row(Lens::IMAGE),
            },
        )
    }
}
