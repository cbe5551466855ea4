//! Writes of a new version of the application to the unified name, brought back to legacy.
//!
//! ```text
//! UPDATE users SET email = $1 WHERE id = $2
//!
//! WITH cf_lock AS MATERIALIZED (SELECT 1 FROM iso_agents … FOR UPDATE),
//!      cf_new AS (UPDATE users SET email = $1 WHERE (id = $2)
//!                 AND (SELECT count(*) FROM cf_lock) >= 0 RETURNING "users".*),
//!      cf_img AS (SELECT … FROM cf_new AS cf_u WHERE visible),
//!      cf_put AS (UPDATE iso_agents … SET "email" = cf_n."email" … FROM cf_img AS cf_n …)
//! SELECT FROM cf_new AS "users"
//! ```
//!
//! Before `unified_read` another proxy may still run a phase in which unified is stale, so only
//! the columns that the statement set are carried over: a full image would undo a legacy write.
//! In `unified_read` it is legacy that may be stale, and the image is complete.

use super::clauses::Write;
use super::compose::{Composed, Composer, returned};
use super::returning::Carried;
use super::{ManagedRef, Scope, merge, upsert};
use crate::legend::query;
use crate::lens::Lens;
use crate::phase::Phase;
use crate::refuse;
use crate::splice::{Output, Source};
use crate::statement::{Refusal, TagVerb};
use crate::tree::Tree;

/// `None` when the write needs nothing on the other side.
pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Option<Composed>, Refusal> {
    if scope.statement.is("MergeStmt") {
        return merge::mirror::compose(scope, target, write, source, composer);
    }
    let lens = target.managed.lens;
    if sets(scope.statement).any(|name| lens.key_columns().any(|key| key.unified == name))
        && !scope.statement.is("InsertStmt")
    {
        return Err(refuse::unsupported(
            "an UPDATE of the key under its new name",
            &target.table_name(),
            "Keep keys as they are until the migration ends.",
        ));
    }
    let keys: Vec<&str> = lens.key_columns().map(|key| key.unified.as_str()).collect();
    upsert::check_keeps(scope, target, &keys, None)?;
    let full = target.managed.migration.phase == Phase::UnifiedRead;
    let mirror = Mirror {
        scope: *scope,
        write,
        lens,
        full,
        carried: Carried::default(),
    };
    let nothing = mirror.changed().is_empty() && !mirror.moves_rows();
    if scope.statement.is("UpdateStmt") && !full && nothing {
        return Ok(None);
    }
    // Columns of the unified table are not declared: a bare name may be the table's own.
    let mirror = Mirror {
        carried: write.check_returning(scope, target, source)?,
        ..mirror
    };
    Ok(Some(match scope.statement.kind() {
        "InsertStmt" => mirror.insert(composer, source),
        "UpdateStmt" => mirror.update(composer, source),
        _ => mirror.delete(composer, source),
    }))
}

/// Names of the unified columns that an UPDATE or an ON CONFLICT DO UPDATE sets.
fn sets(statement: &Tree) -> impl Iterator<Item = &str> {
    let conflict = statement.get("on_conflict_clause").list("target_list");
    statement
        .list("target_list")
        .iter()
        .chain(conflict)
        .map(|target| target.text("name"))
}

/// The legacy columns that a statement which sets these unified ones changes in rows that are there.
pub(super) fn changed<'l>(lens: &'l Lens, set: &[&str]) -> Vec<&'l str> {
    lens.columns
        .iter()
        .filter(|column| !lens.is_key(column))
        .filter(|column| column.set_by_trigger || set.contains(&column.unified.as_str()))
        .map(|column| column.name.as_str())
        .collect()
}

/// Whether it can make a row visible or hide it from legacy readers.
pub(super) fn moves_rows(lens: &Lens, set: &[&str]) -> bool {
    set.iter().any(|name| {
        let mut visible = lens.visible.iter();
        visible.any(|visible| visible.reads.iter().any(|read| read == name))
            || lens
                .column_by_unified(name)
                .is_some_and(|column| !column.values.is_empty())
    })
}

/// What the statement does in legacy.
enum LegacyHalf {
    /// A function of the lens.
    Call(String),
    /// A statement in a WITH query of its own.
    Query(String),
}

struct Mirror<'w, 'a> {
    scope: Scope<'a>,
    write: &'w Write<'a>,
    lens: &'w Lens,
    /// Whether legacy gets complete images, not only the columns that the statement set.
    full: bool,
    carried: Carried,
}

impl Mirror<'_, '_> {
    fn changed(&self) -> Vec<&str> {
        changed(self.lens, &sets(self.scope.statement).collect::<Vec<_>>())
    }

    fn moves_rows(&self) -> bool {
        moves_rows(self.lens, &sets(self.scope.statement).collect::<Vec<_>>())
    }

    fn insert(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let conflict = self.scope.statement.get("on_conflict_clause");
        let updates = !conflict.list("target_list").is_empty();
        let moves = updates && self.moves_rows();
        let images = composer.name(query::IMG);
        if updates && !self.full && !moves {
            return self.upsert(composer, source);
        }
        let put = if self.full {
            LegacyHalf::Call(self.lens.put_legacy_call(&images))
        } else if updates {
            LegacyHalf::Query(self.lens.put_legacy_from(&images, Some(&self.changed())))
        } else {
            LegacyHalf::Query(self.lens.insert_legacy_from(&images))
        };
        let mut statement = Output::default();
        statement.client(source, self.write.clauses.body.clone());
        self.new_rows(&mut composer, statement);
        self.finish(composer, source, put, moves, TagVerb::Insert)
    }

    /// INSERT with ON CONFLICT DO UPDATE while legacy leads: of a row that was there the columns that
    /// it set. If legacy has it no more it was deleted there, and stays so.
    fn upsert(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let write = (self.write, &self.carried);
        let all = composer.upserted(source, write, &self.lens.unified);
        let images = |there: bool| {
            let rows = format!("(SELECT (cf_row).* FROM {all} WHERE cf_was_there = {there})");
            format!("({})", self.lens.read_from(&rows))
        };
        let changed = self.changed();
        let put = self.lens.put_legacy_from(&images(false), Some(&changed));
        composer.query(query::PUT, put);
        if !changed.is_empty() {
            let update = self.lens.update_legacy_from(&images(true), &changed);
            composer.query(query::UPD, update);
        }
        let new = composer.name(query::NEW);
        composer.select_rows(self.write, source, &new, &self.carried, TagVerb::Insert)
    }

    fn update(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let moves = self.moves_rows();
        let images = composer.name(query::IMG);
        let changed = self.changed();
        let at_cursor = self.write.is_current_of();
        self.locked(&mut composer, source, moves && !self.full);
        let put = if self.full {
            LegacyHalf::Call(self.lens.put_legacy_call(&images))
        } else if !moves {
            LegacyHalf::Query(self.lens.update_legacy_from(&images, &changed))
        } else if at_cursor {
            // Nothing tells what the row was.
            LegacyHalf::Query(self.lens.put_legacy_from(&images, Some(&changed)))
        } else {
            self.put_shown(&mut composer, &changed)
        };
        self.finish(composer, source, put, moves, TagVerb::Update)
    }

    /// Of rows that are there the columns that were set. One that comes into being is one that nobody
    /// saw before: another that legacy has no more was deleted there.
    fn put_shown(&self, composer: &mut Composer, changed: &[&str]) -> LegacyHalf {
        let new = composer.name(query::NEW);
        let shown = self.lens.shown_among(&new, &composer.name(query::WAS));
        let shown = format!("({})", self.lens.read_from(&shown));
        if !changed.is_empty() {
            let all = format!("({})", self.lens.read_from(&new));
            composer.query(query::UPD, self.lens.update_legacy_from(&all, changed));
        }
        LegacyHalf::Query(self.lens.put_legacy_from(&shown, Some(&[])))
    }

    fn delete(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        self.locked(&mut composer, source, false);
        let images = composer.name(query::IMG);
        // While legacy leads, its row is not the new application's to delete.
        let remove = LegacyHalf::Call(if self.full {
            self.lens.remove_legacy_call(&images)
        } else {
            self.lens.hide_legacy_call(&images)
        });
        self.finish(composer, source, remove, false, TagVerb::Delete)
    }

    fn new_rows(&self, composer: &mut Composer, mut statement: Output) {
        statement.append(returned(self.write, &self.carried, &self.lens.unified));
        composer.query(query::NEW, statement);
    }

    /// The client's UPDATE or DELETE as `cf_new`, with the legacy rows locked before it; between them
    /// `cf_was`, if it is needed which rows legacy readers saw before: under their locks, since the
    /// statement's snapshot may be older than the version that it updates.
    fn locked(&self, composer: &mut Composer, source: &Source<'_>, was: bool) {
        let write = self.write;
        let mut statement = Output::default();
        if write.is_current_of() {
            statement.client(source, write.clauses.body.clone());
            return self.new_rows(composer, statement);
        }
        let found = |columns: &str| {
            let mut found = Output::default();
            found.own(&format!("SELECT {columns} FROM "));
            found.own(&write.item(&self.lens.unified));
            if let Some(joined) = write.clauses.joined() {
                found.own(", ").client(source, joined);
            }
            if let Some(condition) = write.clauses.condition() {
                found.own(" WHERE (").client(source, condition).own(")");
            }
            found
        };
        let keys = found(&self.lens.legacy_key_of(&write.alias));
        composer.once(query::LOCK, self.lens.lock_legacy(keys));
        let guard = |name: &str| format!("(SELECT count(*) FROM {name}) >= 0");
        let mut guarded = guard(&composer.name(query::LOCK));
        if was {
            let mut rows = found(&self.lens.was_shown(&write.alias));
            let and = if write.clauses.condition().is_some() {
                "AND"
            } else {
                "WHERE"
            };
            rows.own(&format!(" {and} {guarded} FOR UPDATE OF {}", write.alias));
            composer.once(query::WAS, rows);
            guarded = guard(&composer.name(query::WAS));
        }
        match write.clauses.condition() {
            Some(condition) => statement
                .client(source, write.clauses.body.start..condition.start)
                .own("(")
                .client(source, condition)
                .own(&format!(") AND {guarded}")),
            None => statement
                .client(source, write.clauses.body.clone())
                .own(&format!(" WHERE {guarded}")),
        };
        self.new_rows(composer, statement);
    }

    fn finish(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        legacy_half: LegacyHalf,
        hides: bool,
        verb: TagVerb,
    ) -> Composed {
        let new = composer.name(query::NEW);
        composer.query(query::IMG, self.lens.read_from(&new));
        let hidden = hides.then(|| {
            let hidden = format!("({})", self.lens.hidden_from(&new));
            self.lens.hide_legacy_call(&hidden)
        });
        match (hidden, legacy_half) {
            // In this order: a row that goes may hold a unique value of one that stays.
            (Some(remove), LegacyHalf::Call(put)) => {
                composer.call(format!("CASE WHEN {remove} THEN {put} END"));
            }
            (Some(remove), LegacyHalf::Query(put)) => {
                composer.query(query::PUT, put);
                composer.call(remove);
            }
            (None, LegacyHalf::Call(call)) => composer.call(call),
            (None, LegacyHalf::Query(put)) => composer.query(query::PUT, put),
        }
        composer.select_rows(self.write, source, &new, &self.carried, verb)
    }
}
