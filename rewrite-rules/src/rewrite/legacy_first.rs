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

use std::ops::Range;

use super::clauses::Write;
use super::compose::{Composed, Composer, returned};
use super::expression::{is_bare, is_default};
use super::returning::Carried;
use super::{ManagedRef, Scope, upsert};
use crate::failure::Failure;
use crate::legend::query;
use crate::lens::{Lens, Work, quote_ident};
use crate::refuse;
use crate::rule_set::OnUnifiedError;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};

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
        return Err(refuse::unsupported(
            "WHERE CURRENT OF once reads are unified",
            &table,
            "Name the row by its key.",
        ));
    }
    let carried = write.check_returning(scope, target, source)?;
    let record = target.managed.migration.on_unified_error() == OnUnifiedError::Record;
    let shape = Shape {
        write,
        lens,
        record,
        carried,
    };
    match scope.statement.kind() {
        "InsertStmt" => {
            keeps_keys(scope, target)?;
            Ok(shape.put(composer, source, TagVerb::Insert))
        }
        "UpdateStmt" if sets_key(scope, lens) => {
            if lens.written.as_ref().is_some_and(|w| !w.can_rekey()) {
                return Err(refuse::key_change(&table));
            }
            shape.rekey(composer, source, &table)
        }
        "UpdateStmt" => Ok(shape.put(composer, source, TagVerb::Update)),
        _ => Ok(shape.remove(composer, source)),
    }
}

/// An INSERT under the legacy name gives no row that is there another key.
pub(super) fn keeps_keys(scope: &Scope<'_>, target: &ManagedRef<'_>) -> Result<(), Refusal> {
    let lens = target.managed.lens;
    let keys: Vec<&str> = lens.key_columns().map(|key| key.name.as_str()).collect();
    upsert::check_keeps(scope, target, &keys, Some(&lens.key_constraint()))
}

pub(super) fn sets_key(scope: &Scope<'_>, lens: &Lens) -> bool {
    let targets = scope.statement.list("target_list");
    targets
        .iter()
        .any(|set| lens.key_columns().any(|key| key.name == set.text("name")))
}

struct Shape<'w, 'a> {
    write: &'w Write<'a>,
    lens: &'w Lens,
    record: bool,
    carried: Carried,
}

impl Shape<'_, '_> {
    /// The client's statement, returning its row images, as `cf_new`.
    fn image(&self, composer: &mut Composer, source: &Source<'_>) -> String {
        let mut statement = Output::default();
        statement.client(source, self.write.clauses.body.clone());
        statement.append(returned(self.write, &self.carried, &self.lens.legacy));
        composer.query(query::NEW, statement);
        composer.name(query::NEW)
    }

    fn put(&self, mut composer: Composer, source: &Source<'_>, verb: TagVerb) -> Composed {
        let new = self.image(&mut composer, source);
        if self.record || self.lens.written.is_some() || self.lens.row_security {
            composer.call(self.function(Work::Put, &new));
            return composer.select_rows(self.write, source, &new, &self.carried, verb);
        }
        let put = self.lens.put_from(&new);
        if self.write.clauses.returning.is_some() {
            composer.query(query::PUT, put);
            return composer.select_rows(self.write, source, &new, &self.carried, verb);
        }
        // An upsert from n images counts n rows: its tag needs only another verb.
        composer.end(
            put,
            Answer {
                tag: Some(verb),
                ..Answer::default()
            },
        )
    }

    fn remove(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let new = self.image(&mut composer, source);
        composer.call(self.function(Work::Remove, &new));
        composer.select_rows(self.write, source, &new, &self.carried, TagVerb::Delete)
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
        let write = self.write;
        let Some(assigned_to) = write.clauses.assigned_to() else {
            return Err(refuse::unsupported(
                "this UPDATE",
                table,
                "Write it plainly.",
            ));
        };
        let new = composer.name(query::NEW);
        if write.is_current_of() {
            self.update_at_cursor(&mut composer, source, table)?;
        } else {
            self.update_locked(&mut composer, source, assigned_to);
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
            let columns: Vec<String> = columns
                .map(|column| format!("{relation}.{}", quote_ident(&column.name)))
                .collect();
            columns.join(", ")
        };
        if !self.carried.is_empty() {
            // Beside its columns stands the row of before.
            let rows = format!(
                "(SELECT cf_i AS cf_row, {} FROM {new} CROSS JOIN LATERAL (SELECT {}) AS cf_i)",
                self.carried.names.join(", "),
                named(&new)
            );
            let verb = TagVerb::Update;
            return Ok(composer.select_rows(write, source, &rows, &self.carried, verb));
        }
        let images = format!("(SELECT {} FROM {new})", named(&new));
        Ok(composer.select(write, source, &images, TagVerb::Update))
    }

    /// The row that a name stands for, as the lens's functions take it.
    fn old_image(&self, alias: &str) -> (String, String) {
        if self.lens.written.is_some() {
            return (self.lens.image_row(alias), self.lens.image_type());
        }
        let legacy = self.lens.legacy.sql();
        (format!("ROW({alias}.*)::{legacy}"), legacy)
    }

    /// `cf_old`, the old images under their locks, and `cf_new`, the client's UPDATE of those rows.
    ///
    /// ```text
    /// UPDATE iso_agents a SET id = c.id FROM client_profiles c WHERE c.iso_agent_id = a.id
    ///
    /// WITH cf_old AS MATERIALIZED (SELECT DISTINCT ON ((cf_row)."id") cf_row FROM (
    ///        SELECT ROW(a.*)::legacy AS cf_row FROM legacy AS a, client_profiles c WHERE … FOR UPDATE OF a) AS cf_q),
    ///      cf_new AS (UPDATE iso_agents a SET id = c.id FROM client_profiles c, cf_old WHERE ‹same key› AND (…)
    ///                 RETURNING a.*, cf_old.cf_row)
    /// ```
    fn update_locked(&self, composer: &mut Composer, source: &Source<'_>, assigned_to: usize) {
        let write = self.write;
        let alias = &write.alias;
        let (old, new) = (composer.name(query::OLD), composer.name(query::NEW));
        let joined = write.clauses.joined();

        let mut locked = Output::default();
        let (row, _) = self.old_image(alias);
        let table = write.item(&self.lens.legacy);
        locked.own(&format!("SELECT {row} AS cf_row FROM {table}"));
        if let Some(joined) = joined.clone() {
            locked.own(", ").client(source, joined);
        }
        if let Some(condition) = write.clauses.condition() {
            locked.own(" WHERE ").client(source, condition);
        }
        if joined.is_some() {
            // A row that several rows are joined to is written once.
            let keys = self.lens.keys_of("(cf_row)");
            let mut once = Output::default();
            once.own(&format!(
                "SELECT DISTINCT ON ({}) cf_row FROM (",
                keys.join(", ")
            ));
            once.append(locked);
            once.own(&format!(" FOR UPDATE OF {alias}) AS cf_q"));
            locked = once;
        } else {
            locked.own(" FOR UPDATE");
        }
        composer.once(query::OLD, locked);

        let mut statement = Output::default();
        statement.client(source, write.clauses.body.start..assigned_to);
        let join = self.lens.same_key(alias, &format!("({old}.cf_row)"));
        statement.own(" FROM ");
        if let Some(joined) = joined {
            statement.client(source, joined).own(", ");
        }
        statement.own(&format!("{old} WHERE {join}"));
        if let Some(condition) = write.clauses.condition() {
            statement.own(" AND (").client(source, condition).own(")");
        }
        statement.own(&format!(" RETURNING {alias}.*, {old}.cf_row"));
        statement.append(self.carried.values.clone());
        composer.query(query::NEW, statement);
        composer.call(format!(
            "CASE WHEN (SELECT count(*) FROM {old}) = (SELECT count(*) FROM {new}) THEN true ELSE {} END",
            Failure::KeyChanged.unless_true(&format!("(SELECT count(*) FROM {new})"))
        ));
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
        let write = self.write;
        let Some((value, cast)) = self.plain_value() else {
            return Err(refuse::unsupported(
                "an UPDATE of the key WHERE CURRENT OF that sets nothing but defaults and values of queries",
                table,
                "Set a column by `column = expression`, or name the row by its key.",
            ));
        };
        let (row, row_type) = self.old_image(&write.alias);
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
        statement.append(self.carried.values.clone());
        composer.query(query::NEW, statement);
        Ok(())
    }

    /// An expression that is assigned to a column, and the cast that gives it the column's type, if
    /// it has none of its own.
    fn plain_value(&self) -> Option<(Range<usize>, String)> {
        let mut targets = self.write.statement.list("target_list").iter();
        for item in &self.write.clauses.assignments {
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
            row = if self.lens.written.is_some() || !self.carried.is_empty() {
                self.lens.image_row(Lens::IMAGE)
            } else {
                format!("ROW({}.*)::{}", Lens::IMAGE, self.lens.legacy)
            },
        )
    }
}
