//! A write to one of the unified tables of a written lens, brought back to legacy.
//!
//! ```text
//! UPDATE "user" SET accepted_tos = now() WHERE id = $1
//!
//! WITH cf_keys AS MATERIALIZED (SELECT s.id AS "id" FROM settings AS s
//!        JOIN (SELECT "user".* FROM "user" AS "user" WHERE (id = $1)) AS u ON …),
//!      cf_lock AS MATERIALIZED (SELECT 1 FROM user_settings … FOR UPDATE),
//!      cf_new AS (UPDATE "user" SET … WHERE (id = $1) AND (SELECT count(*) FROM cf_lock) >= 0
//!                 RETURNING "user".*),
//! SELECT FROM cf_new AS "user" WHERE (SELECT crossfade.sync_…(‹keys of cf_keys and of cf_new›, ‹columns›))
//! ```
//!
//! A row of one table is a part of a legacy row. Which legacy rows it has a part in, `read` itself
//! tells, with the written rows in the table's place; what they are now, `read` tells as well. Before
//! `unified_read` unified may be stale, or that of another proxy's phase, so only the columns that the
//! statement set are carried over, and what is read through a join that it changed; a legacy row comes
//! into being only where the statement made it visible.
//!
//! ```text
//! UPDATE settings SET keycloak_user_id = 'k' WHERE id = $1          in dual_read
//!
//! WITH cf_keys …, cf_lock …,
//!      cf_was AS MATERIALIZED (SELECT settings.* FROM settings WHERE (id = $1) AND ‹cf_lock› FOR UPDATE),
//!      cf_before AS (‹legacy keys of› cf_was),
//!      cf_new AS (UPDATE settings SET … WHERE (id = $1) AND (SELECT count(*) FROM cf_was) >= 0 …),
//! SELECT FROM cf_new AS settings WHERE (SELECT sync(‹cf_before›, ‹columns›, false …))
//!   AND (SELECT sync(‹legacy keys of cf_new without cf_before›, ‹columns›, true …))
//! ```
//!
//! What the rows were is read under their locks: the statement's snapshot may be older than the
//! version that it updates.
//!
//! What the database does after the statement (ON DELETE CASCADE, AFTER triggers) is not seen.

mod merge;
mod rekey;

use super::super::clauses::Write;
use super::super::compose::{Composed, Composer, returned};
use super::super::returning::Carried;
use super::super::{ManagedRef, Scope, upsert};
use crate::legend::query;
use crate::lens::{Call, Lens, Lossy, Part, Written, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::splice::{Output, Source};
use crate::statement::{Refusal, TagVerb};
use crate::tree::Tree;

/// `None` when the write needs nothing in legacy.
pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (write, written): (&Write<'a>, &Written),
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Option<Composed>, Refusal> {
    let lens = target.managed.lens;
    let table = target.table_name();
    if !written.reads(target.managed.table) {
        return Ok(None);
    }
    let Some(part) = written.part_of(target.managed.table) else {
        return Err(refuse::unsupported(
            "a write to a table that the lens reads in several places",
            &table,
            "Write it under the legacy table's name, or after the migration.",
        ));
    };
    if write.is_current_of() {
        return Err(refuse::unsupported(
            "WHERE CURRENT OF",
            &table,
            "Name the row by its key.",
        ));
    }
    if scope.statement.is("MergeStmt") {
        return merge::compose(scope, target, (write, written, part), source, composer);
    }
    let reach = Reach::of(target, part);
    let names =
        |list: &'a [Tree]| -> Vec<&'a str> { list.iter().map(|set| set.text("name")).collect() };
    let conflict = scope.statement.get("on_conflict_clause");
    let conflict = names(conflict.list("target_list"));
    let updates = scope.statement.is("UpdateStmt");
    let sets = match updates {
        true => names(scope.statement.list("target_list")),
        false => Vec::new(),
    };
    reach.check(&sets)?;
    let decide: Vec<&str> = part.decides.iter().map(String::as_str).collect();
    upsert::check_keeps(scope, target, &decide, None)?;
    if updates && reach.fed(lens, Some(&sets)).is_empty() && !reach.decides(&sets) {
        return Ok(None);
    }
    let carried = write.check_returning(scope, target, source)?;
    let mirror = Mirror {
        target,
        write,
        written,
        reach,
        carried,
    };
    Ok(Some(match scope.statement.kind() {
        "InsertStmt" if conflict.is_empty() => mirror.insert(composer, source),
        "InsertStmt" => mirror.upsert(composer, source, &conflict),
        "UpdateStmt" if mirror.reach.rekeys(&sets) => mirror.rekey(composer, source, &sets)?,
        "UpdateStmt" => mirror.update(composer, source, &sets),
        _ => mirror.delete(composer, source),
    }))
}

/// How far a write to a unified table reaches into legacy.
struct Reach<'w, 'a> {
    target: &'w ManagedRef<'a>,
    part: &'w Part,
    /// Unified has the rows that legacy has: what a changed join shows is theirs.
    in_step: bool,
    /// Unified leads: whole legacy rows follow it.
    full: bool,
}

impl<'w, 'a> Reach<'w, 'a> {
    fn of(target: &'w ManagedRef<'a>, part: &'w Part) -> Self {
        let (in_step, full) = match target.managed.migration.phase {
            Phase::UnifiedRead => (true, true),
            // A neighbour may be in `shadow_read` still, and record what unified did not take.
            Phase::DualRead => (true, false),
            Phase::LegacyOnly
            | Phase::DualWrite
            | Phase::ShadowRead
            | Phase::UnifiedOnly
            | Phase::Retired => (false, false),
        };
        Reach {
            target,
            part,
            in_step,
            full,
        }
    }

    /// Whether a change of these columns decides which legacy rows there are.
    fn decides(&self, sets: &[&str]) -> bool {
        let mut columns = self.part.decides.iter();
        columns.any(|column| sets.contains(&column.as_str()))
    }

    /// Whether a change of these columns gives legacy rows other keys.
    fn rekeys(&self, sets: &[&str]) -> bool {
        let mut keys = self.part.key.iter().flatten();
        keys.any(|column| sets.contains(&column.as_str()))
    }

    fn check(&self, sets: &[&str]) -> Result<(), Refusal> {
        if self.in_step || !self.decides(sets) {
            return Ok(());
        }
        Err(refuse::unsupported(
            "an UPDATE of what ties this table to the legacy rows, before dual_read",
            &self.target.table_name(),
            "Write it under the legacy table's name until the migration is in dual_read.",
        ))
    }

    /// The legacy columns that are read from these of the table, or through them from others, or of
    /// which these tell whether legacy follows; from any of it.
    fn fed<'l>(&self, lens: &'l Lens, sets: Option<&[&str]>) -> Vec<&'l str> {
        let mut fed = Vec::new();
        for (column, index) in self.part.feeds.iter().chain(&self.part.ties) {
            let legacy = &lens.columns[*index];
            let concerns = sets.is_none_or(|sets| sets.contains(&column.as_str()));
            let may_follow = legacy.lossy != Lossy::Always && !lens.is_key(legacy);
            if concerns && may_follow && !fed.contains(&&*legacy.name) {
                fed.push(&*legacy.name);
            }
        }
        fed
    }

    /// A call that brings the legacy rows of some keys up to date. Of a row that is there that is
    /// the columns that these of the table concern (`None`: all of the table); `makes`: one that is
    /// not there comes into being.
    fn sync(&self, lens: &Lens, keys: &str, sets: Option<&[&str]>, makes: bool) -> String {
        self.synced(lens, keys, sets, (makes, false))
    }

    /// [`Reach::sync`] after a DELETE: once unified leads, a legacy row goes with what it was read from.
    fn sync_gone(&self, lens: &Lens, keys: &str) -> String {
        self.synced(lens, keys, None, (false, self.full))
    }

    fn synced(
        &self,
        lens: &Lens,
        keys: &str,
        sets: Option<&[&str]>,
        (makes, gone): (bool, bool),
    ) -> String {
        let (set, makes) = if self.full {
            ("NULL".to_owned(), true)
        } else {
            let names: Vec<String> = self
                .fed(lens, sets)
                .into_iter()
                .map(quote_literal)
                .collect();
            (format!("ARRAY[{}]::text[]", names.join(", ")), makes)
        };
        let keys_of = lens.key_image("cf_k");
        format!(
            "(SELECT {} FROM ({keys}) AS cf_k)",
            lens.call(
                Call::Sync,
                &format!("array_agg({keys_of}), {set}, {makes}, {gone}, true")
            )
        )
    }
}

struct Mirror<'w, 'a> {
    target: &'w ManagedRef<'a>,
    write: &'w Write<'a>,
    written: &'w Written,
    reach: Reach<'w, 'a>,
    carried: Carried,
}

impl Mirror<'_, '_> {
    fn insert(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let mut statement = Output::default();
        statement.client(source, self.write.clauses.body.clone());
        self.new_rows(&mut composer, statement);
        let after = self.after(&composer);
        self.sync(&mut composer, &after, None, self.reach.part.makes_rows);
        self.finish(composer, source, TagVerb::Insert)
    }

    /// An INSERT with ON CONFLICT DO UPDATE: of a row that was there it sets these columns alone.
    ///
    /// ```text
    /// cf_ups AS (INSERT … RETURNING ROW(t.*)::t AS cf_row, t.xmax <> '0' AS cf_was_there),
    /// cf_new AS (SELECT (cf_row).* FROM cf_ups)
    /// ```
    fn upsert(&self, mut composer: Composer, source: &Source<'_>, sets: &[&str]) -> Composed {
        let lens = self.target.managed.lens;
        let write = (self.write, &self.carried);
        let all = composer.upserted(source, write, self.target.managed.table);
        let keys = |there: bool| {
            let rows = format!("(SELECT (cf_row).* FROM {all} WHERE cf_was_there = {there})");
            lens.keys_of_rows(self.written, self.reach.part, rows).sql
        };
        self.sync(
            &mut composer,
            &keys(false),
            None,
            self.reach.part.makes_rows,
        );
        self.sync(&mut composer, &keys(true), Some(sets), false);
        self.finish(composer, source, TagVerb::Insert)
    }

    fn update(&self, mut composer: Composer, source: &Source<'_>, sets: &[&str]) -> Composed {
        let keys = self.lock(&mut composer, source);
        let was = !self.reach.full && self.reach.decides(sets);
        if was {
            let rows = self.found(source, &self.all(), Some(&composer.name(query::LOCK)), true);
            composer.once(query::WAS, rows);
            let before = composer.name(query::WAS);
            let before =
                self.target
                    .managed
                    .lens
                    .keys_of_rows(self.written, self.reach.part, before);
            composer.once(query::BEFORE, before);
        }
        let guard = composer.name(if was { query::WAS } else { query::LOCK });
        let statement = self.behind(source, &guard);
        self.new_rows(&mut composer, statement);
        let after = self.after(&composer);
        if was {
            // The function must not look before the rows are written.
            let before = format!(
                "SELECT * FROM {} WHERE (SELECT count(*) FROM {}) >= 0",
                composer.name(query::BEFORE),
                composer.name(query::NEW)
            );
            let came = format!("{after} EXCEPT {before}");
            let lens = self.target.managed.lens;
            let before = self.reach.sync(lens, &before, Some(sets), false);
            let came = self.reach.sync(lens, &came, Some(sets), true);
            // In this order: a row that goes may hold a unique value of one that comes.
            composer.call(format!("CASE WHEN {before} THEN {came} END"));
        } else if self.reach.full {
            self.sync(
                &mut composer,
                &format!("{keys} UNION {after}"),
                Some(sets),
                true,
            );
        } else {
            self.sync(&mut composer, &after, Some(sets), false);
        }
        self.finish(composer, source, TagVerb::Update)
    }

    fn delete(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        let keys = self.lock(&mut composer, source);
        let statement = self.behind(source, &composer.name(query::LOCK));
        self.new_rows(&mut composer, statement);
        let mut gone = self.after(&composer);
        if self.reach.full {
            gone = format!("{keys} UNION {gone}");
        }
        composer.call(self.reach.sync_gone(self.target.managed.lens, &gone));
        self.finish(composer, source, TagVerb::Delete)
    }

    /// The rows of the table that the client's UPDATE or DELETE finds.
    fn found(
        &self,
        source: &Source<'_>,
        results: &str,
        behind: Option<&str>,
        lock: bool,
    ) -> Output {
        let write = self.write;
        let mut rows = Output::default();
        rows.own(&format!(
            "SELECT {results} FROM {}",
            write.item(self.target.managed.table)
        ));
        if let Some(joined) = write.clauses.joined() {
            rows.own(", ").client(source, joined);
        }
        let guard = behind.map(|query| format!("(SELECT count(*) FROM {query}) >= 0"));
        match (write.clauses.condition(), guard) {
            (Some(condition), Some(guard)) => rows
                .own(" WHERE (")
                .client(source, condition)
                .own(&format!(") AND {guard}")),
            (Some(condition), None) => rows.own(" WHERE (").client(source, condition).own(")"),
            (None, Some(guard)) => rows.own(&format!(" WHERE {guard}")),
            (None, None) => &mut rows,
        };
        if lock {
            rows.own(&format!(" FOR UPDATE OF {}", write.alias));
        }
        rows
    }

    /// All columns of the table.
    fn all(&self) -> String {
        format!("{}.*", self.write.alias)
    }

    /// Locks the legacy rows before any of unified; a query for their keys.
    fn lock(&self, composer: &mut Composer, source: &Source<'_>) -> String {
        let lens = self.target.managed.lens;
        let mut rows = Output::default();
        rows.own("(");
        rows.append(self.found(source, &self.all(), None, false))
            .own(")");
        composer.once(
            query::KEYS,
            lens.keys_of_rows(self.written, self.reach.part, rows),
        );
        let keys = format!("SELECT * FROM {}", composer.name(query::KEYS));
        composer.once(query::LOCK, lens.lock_legacy(keys.as_str()));
        keys
    }

    /// The client's own statement, which finds no row before a query of ours has run.
    fn behind(&self, source: &Source<'_>, query: &str) -> Output {
        let write = self.write;
        let guard = format!("(SELECT count(*) FROM {query}) >= 0");
        let mut statement = Output::default();
        match write.clauses.condition() {
            Some(condition) => statement
                .client(source, write.clauses.body.start..condition.start)
                .own("(")
                .client(source, condition)
                .own(&format!(") AND {guard}")),
            None => statement
                .client(source, write.clauses.body.clone())
                .own(&format!(" WHERE {guard}")),
        };
        statement
    }

    fn new_rows(&self, composer: &mut Composer, mut statement: Output) {
        statement.append(returned(
            self.write,
            &self.carried,
            self.target.managed.table,
        ));
        composer.query(query::NEW, statement);
    }

    /// The legacy keys that the written rows have a part in.
    fn after(&self, composer: &Composer) -> String {
        let lens = self.target.managed.lens;
        lens.keys_of_rows(self.written, self.reach.part, composer.name(query::NEW))
            .sql
    }

    /// Brings the legacy rows of some keys up to date, in what these unified columns concern, unless
    /// whole rows follow.
    fn sync(&self, composer: &mut Composer, keys: &str, sets: Option<&[&str]>, makes: bool) {
        let call = self.reach.sync(self.target.managed.lens, keys, sets, makes);
        composer.call(call);
    }

    fn finish(&self, composer: Composer, source: &Source<'_>, verb: TagVerb) -> Composed {
        let new = composer.name(query::NEW);
        composer.select_rows(self.write, source, &new, &self.carried, verb)
    }
}
