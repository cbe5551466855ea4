//! What legacy takes of a write to one of the unified tables of a lens of steps.
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
//! statement set are carried over, and what is read through a join that it changed.
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
//! A row that a MERGE deletes has its old values in `cf_row`, by which `read` tells its legacy row as well. What a row
//! was that one updates nothing tells, so before `unified_read` it may not change what ties it to the legacy rows.

use super::brought::{Brought, Follows, TiesOfKind};
use crate::legend::query;
use crate::lens::{Call, Lens, Lossy, Part, Written, list, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::rewrite::compose::{Composer, one_then};
use crate::rewrite::says::merge::Did;
use crate::rewrite::says::own::Own;
use crate::rewrite::says::upsert;
use crate::rewrite::says::write::Write;
use crate::rewrite::{ManagedRef, Scope};
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};

/// The part that rows of a unified table have in legacy rows.
pub(super) struct Steps<'w, 'a> {
    target: &'w ManagedRef<'a>,
    /// Which of several lenses it is that read the table, from 1.
    number: usize,
    pub lens: &'w Lens,
    written: &'w Written,
    pub part: &'w Part,
    pub follows: Follows,
}

impl<'w> TiesOfKind<'w> for Steps<'w, '_> {
    fn check(&self, scope: &Scope<'_>, write: &Write<'_>) -> Result<(), Refusal> {
        let table = self.target.table_name();
        if write.is_current_of() {
            let hint = "Name the row by its key.";
            return Err(refuse::unsupported("WHERE CURRENT OF", &table, hint));
        }
        let in_step = match self.target.managed.migration.phase {
            // A neighbour may be in `shadow_read` still, and record what unified did not take.
            Phase::DualRead => true,
            Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => true,
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead => false,
        };
        let inserts = write.acts.inserts && !write.is_merge();
        for sets in write.acts.updates.iter().filter(|_| !inserts) {
            // What a changed join shows must be the rows that legacy has.
            if !in_step && self.decides(sets) {
                return Err(refuse::unsupported(
                    "an UPDATE of what ties this table to the legacy rows, before dual_read",
                    &table,
                    "Write it under the legacy table's name until the migration is in dual_read.",
                ));
            }
            if write.is_merge() && self.rekeys(sets) {
                return Err(refuse::merge_of_key(&table));
            }
            if write.is_merge() && self.follows == Follows::Set && self.decides(sets) {
                return Err(refuse::unsupported(
                    "MERGE that updates what ties the unified table to the legacy rows, before unified_read",
                    &table,
                    "Change it by an UPDATE of its own.",
                ));
            }
        }
        let decide: Vec<&str> = self.part.decides.iter().map(String::as_str).collect();
        upsert::check_keeps(scope, self.target, &decide, None)
    }

    /// What is read from these, or through them from others, or of which they tell whether legacy follows.
    fn fed(&self, sets: &[&str]) -> Vec<&'w str> {
        self.fed_by(|column| sets.contains(&column))
    }

    fn decides(&self, sets: &[&str]) -> bool {
        let mut columns = self.part.decides.iter();
        columns.any(|column| sets.contains(&column.as_str()))
    }

    fn leaves_alone(&self) -> bool {
        true
    }
}

impl<'w, 'a> Steps<'w, 'a> {
    /// `None`: the lens does not read the table.
    pub fn of(
        target: &'w ManagedRef<'a>,
        lens: &'w Lens,
        number: usize,
    ) -> Result<Option<Self>, Refusal> {
        let table = target.managed.table;
        let Some(written) = lens.steps().filter(|written| written.reads(table)) else {
            return Ok(None);
        };
        let Some(part) = written.part_of(table) else {
            return Err(refuse::unsupported(
                "a write to a table that the lens reads in several places",
                &target.table_name(),
                "Write it under the legacy table's name, or after the migration.",
            ));
        };
        Ok(Some(Steps {
            target,
            number,
            lens,
            written,
            part,
            follows: Follows::of(target),
        }))
    }

    fn fed_by(&self, concerns: impl Fn(&str) -> bool) -> Vec<&'w str> {
        let mut fed = Vec::new();
        for (column, index) in self.part.feeds.iter().chain(&self.part.ties) {
            let legacy = &self.lens.columns[*index];
            let may_follow = legacy.lossy != Lossy::Always && !self.lens.is_key(legacy);
            if concerns(column) && may_follow && !fed.contains(&&*legacy.name) {
                fed.push(&*legacy.name);
            }
        }
        fed
    }

    /// Whether a change of these columns gives legacy rows other keys.
    pub fn rekeys(&self, sets: &[&str]) -> bool {
        let mut keys = self.part.key.iter().flatten();
        keys.any(|column| sets.contains(&column.as_str()))
    }

    /// The word of one of our queries that is made for each lens.
    fn word(&self, word: &str) -> String {
        match self.number {
            1 => word.to_owned(),
            number => format!("{word}{number}"),
        }
    }

    /// Locks the legacy rows; the query's name.
    pub fn lock(&self, composer: &mut Composer, source: &Source<'_>, own: &Own<'_, '_>) -> String {
        let mut rows = Output::from("(");
        rows.append(own.found(source, &own.all(), None, false))
            .own(")");
        composer.once(&self.word(query::KEYS), self.keys_of(rows));
        let lock = self.word(query::LOCK);
        composer.once(
            &lock,
            self.lens.lock_legacy(self.locked_keys(composer), "UPDATE"),
        );
        composer.name(&lock)
    }

    /// A query for the keys that [`Steps::lock`] locks.
    pub fn locked_keys(&self, composer: &Composer) -> String {
        format!("SELECT * FROM {}", composer.name(&self.word(query::KEYS)))
    }

    /// Notes the legacy keys of rows as they were.
    pub fn looks_before(&self, composer: &mut Composer, was: &str) {
        composer.once(&self.word(query::BEFORE), self.keys_of(was));
    }

    /// A query for the legacy keys that rows of the table have a part in.
    pub fn keys_of(&self, rows: impl Into<Output>) -> Output {
        self.lens.keys_of_rows(self.written, self.part, rows)
    }

    /// The same of written rows.
    fn keys_of_own(&self, composer: &Composer, own: &Own<'_, '_>, did: Did) -> String {
        self.keys_of(own.rows(composer, did)).sql
    }

    pub fn whole(&self, composer: &Composer, own: &Own<'_, '_>, locked: bool) -> Vec<String> {
        let acts = &own.write.acts;
        let with_found = |rows: String| match locked {
            true => format!("{} UNION {rows}", self.locked_keys(composer)),
            false => rows,
        };
        let gone = || self.keys_of_own(composer, own, Did::Deleted);
        let all = || with_found(self.keys_of_own(composer, own, Did::Anything));
        let call = if own.write.is_merge() {
            one_then(&self.sync_gone(&gone()), &self.sync(&all(), &[], true))
        } else if acts.deletes {
            self.sync_gone(&with_found(gone()))
        } else {
            self.sync(&all(), &[], true)
        };
        vec![call]
    }

    /// Where the statement may change which legacy rows there are: those that were there, and those that come.
    pub fn came(&self, composer: &Composer, own: &Own<'_, '_>, columns: &[&str]) -> Vec<String> {
        // The function must not look before the rows are written.
        let before = format!(
            "SELECT * FROM {} WHERE {}",
            composer.name(&self.word(query::BEFORE)),
            composer.behind(query::NEW)
        );
        let after = self.keys_of_own(composer, own, Did::Updated);
        let came = format!("{after} EXCEPT {before}");
        // In this order: a row that goes may hold a unique value of one that comes.
        vec![one_then(
            &self.sync(&before, columns, false),
            &self.sync(&came, columns, true),
        )]
    }

    pub fn set(
        &self,
        composer: &Composer,
        own: &Own<'_, '_>,
        brought: &Brought<'_, '_>,
    ) -> Vec<String> {
        let acts = brought.acts;
        let keys = |did: Did| self.keys_of_own(composer, own, did);
        let mut calls = Vec::new();
        // In this order: a row that goes may hold a unique value of one that comes.
        if acts.deletes {
            calls.push(self.sync_gone(&keys(Did::Deleted)));
        }
        if acts.inserts {
            let all = self.fed_by(|_| true);
            calls.push(self.sync(&keys(Did::Inserted), &all, self.part.makes_rows));
        }
        let calls = calls
            .into_iter()
            .reduce(|first, then| one_then(&first, &then));
        let updated = (!acts.updates.is_empty())
            .then(|| self.sync(&keys(Did::Updated), &brought.columns, false));
        calls.into_iter().chain(updated).collect()
    }

    /// A call that brings the legacy rows of some keys up to date. Of a row that is there that is these columns, or
    /// all where whole rows follow; `makes`: one that is not there comes into being.
    pub fn sync(&self, keys: &str, columns: &[&str], makes: bool) -> String {
        let rows = SyncedRows {
            make: makes,
            go: false,
        };
        self.synced(keys, columns, rows)
    }

    /// [`Steps::sync`] after a DELETE: once unified leads, a legacy row goes with what it was read from.
    fn sync_gone(&self, keys: &str) -> String {
        let whole = self.follows == Follows::Whole;
        let rows = SyncedRows {
            make: false,
            go: whole,
        };
        self.synced(keys, &self.fed_by(|_| true), rows)
    }

    fn synced(&self, keys: &str, columns: &[&str], rows: SyncedRows) -> String {
        let gone = rows.go;
        let (set, makes) = match self.follows {
            Follows::Whole => ("NULL".to_owned(), true),
            Follows::Set => {
                let names = list(columns.iter().map(|name| quote_literal(name)));
                (format!("ARRAY[{}]::text[]", names), rows.make)
            }
        };
        let keys_of = self.lens.key_image("cf_k");
        let arguments = format!("array_agg({keys_of}), {set}, {makes}, {gone}, true");
        let call = self.lens.call(Call::Sync, &arguments);
        format!("(SELECT {call} FROM ({keys}) AS cf_k)")
    }
}

/// Whether legacy rows of keys that follow may come into being, and whether they may go.
#[derive(Clone, Copy)]
struct SyncedRows {
    make: bool,
    go: bool,
}
