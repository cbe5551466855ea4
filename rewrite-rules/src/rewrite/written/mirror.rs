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
//!      cf_after AS (SELECT s.id AS "id" FROM settings AS s JOIN cf_new AS u ON …)
//! SELECT FROM cf_new AS "user" WHERE (SELECT crossfade.sync_…(‹keys before and after›, ‹columns›))
//! ```
//!
//! A row of one table is a part of a legacy row. Which legacy rows it has a part in, `read` itself
//! tells, with the written rows in the table's place; what they are now, `read` tells as well. Until
//! `dual_read` unified may be stale, so only the columns that the statement set are carried over.
//!
//! What the database does after the statement (ON DELETE CASCADE, AFTER triggers) is not seen.

mod merge;

use super::super::clauses::Write;
use super::super::compose::{Composed, Composer, returned};
use super::super::returning::Carried;
use super::super::{ManagedRef, Scope, upsert};
use crate::lens::{Call, Lens, Part, Written, quote_literal};
use crate::phase::Phase;
use crate::refuse;
use crate::splice::{Output, Source};
use crate::statement::{Refusal, TagVerb};

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
    let full = reach.full;
    let conflict = scope
        .statement
        .get("on_conflict_clause")
        .list("target_list");
    let updates = scope.statement.is("UpdateStmt");
    let own = updates.then(|| scope.statement.list("target_list"));
    let sets: Vec<&str> = own
        .into_iter()
        .flatten()
        .chain(conflict)
        .map(|set| set.text("name"))
        .collect();
    reach.check(&sets)?;
    let decide: Vec<&str> = part.decides.iter().map(String::as_str).collect();
    upsert::check_keeps(scope.statement, target, &decide, None)?;
    let fed = reach.fed(lens, updates.then_some(&sets));
    if updates && fed.is_empty() && !reach.decides(&sets) {
        return Ok(None);
    }
    let carried = write.check_returning(scope, target, source)?;
    let mirror = Mirror {
        target,
        write,
        written,
        part,
        carried,
    };
    let set = if full {
        "NULL".to_owned()
    } else {
        let names: Vec<String> = fed.iter().map(|name| quote_literal(name)).collect();
        format!("ARRAY[{}]::text[]", names.join(", "))
    };
    Ok(Some(match scope.statement.kind() {
        "InsertStmt" => mirror.insert(composer, source, &set),
        "UpdateStmt" => mirror.locked(composer, source, &set, TagVerb::Update),
        _ => mirror.locked(composer, source, &set, TagVerb::Delete),
    }))
}

/// How far a write to a unified table reaches into legacy.
struct Reach<'w, 'a> {
    target: &'w ManagedRef<'a>,
    part: &'w Part,
    /// Unified is in step: whole legacy rows follow it.
    full: bool,
}

impl<'w, 'a> Reach<'w, 'a> {
    fn of(target: &'w ManagedRef<'a>, part: &'w Part) -> Self {
        let full = match target.managed.migration.phase {
            Phase::DualRead | Phase::UnifiedRead => true,
            Phase::LegacyOnly
            | Phase::DualWrite
            | Phase::ShadowRead
            | Phase::UnifiedOnly
            | Phase::Retired => false,
        };
        Reach { target, part, full }
    }

    /// Whether a change of these columns decides which legacy rows there are.
    fn decides(&self, sets: &[&str]) -> bool {
        let mut columns = self.part.decides.iter();
        columns.any(|column| sets.contains(&column.as_str()))
    }

    fn check(&self, sets: &[&str]) -> Result<(), Refusal> {
        if self.full || !self.decides(sets) {
            return Ok(());
        }
        Err(refuse::unsupported(
            "an UPDATE of what ties this table to the legacy rows, before dual_read",
            &self.target.table_name(),
            "Write it under the legacy table's name until the migration is in dual_read.",
        ))
    }

    /// The legacy columns that are read from these of the table; from any of it.
    fn fed<'l>(&self, lens: &'l Lens, sets: Option<&Vec<&str>>) -> Vec<&'l str> {
        let feeds = self.part.feeds.iter();
        feeds
            .filter(|(column, _)| sets.is_none_or(|sets| sets.contains(&column.as_str())))
            .map(|(_, index)| &lens.columns[*index])
            .filter(|column| !column.lossy && !lens.is_key(column))
            .map(|column| column.name.as_str())
            .collect()
    }

    /// The legacy keys that rows of the table have a part in.
    fn keys(&self, lens: &Lens, written: &Written, rows: Output) -> Output {
        /// Stands for the rows that the statement will write.
        const ROWS: char = '\u{1}';
        let keys = lens.keys_of_rows(written, self.part, &ROWS.to_string());
        let (before, after) = keys.split_once(ROWS).unwrap_or((&keys, ""));
        let mut found = Output::default();
        found.own(before).append(rows).own(after);
        found
    }
}

struct Mirror<'w, 'a> {
    target: &'w ManagedRef<'a>,
    write: &'w Write<'a>,
    written: &'w Written,
    part: &'w Part,
    carried: Carried,
}

impl Mirror<'_, '_> {
    fn insert(&self, mut composer: Composer, source: &Source<'_>, set: &str) -> Composed {
        let mut statement = Output::default();
        statement.client(source, self.write.body.clone());
        self.new_rows(&mut composer, statement);
        let after = format!("SELECT * FROM {}", composer.name("after"));
        self.finish(composer, source, (&after, set), TagVerb::Insert)
    }

    /// The client's UPDATE or DELETE, with the legacy rows locked before it.
    fn locked(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        set: &str,
        verb: TagVerb,
    ) -> Composed {
        let (write, lens) = (self.write, self.target.managed.lens);
        let mut rows = Output::default();
        rows.own(&format!(
            "(SELECT {}.* FROM {}",
            write.alias,
            write.item(self.target.managed.table)
        ));
        if let Some(joined) = write.joined() {
            rows.own(", ").client(source, joined);
        }
        if let Some(condition) = write.condition() {
            rows.own(" WHERE (").client(source, condition).own(")");
        }
        rows.own(")");
        let found = Reach::of(self.target, self.part).keys(lens, self.written, rows);
        composer.once("keys", found);
        let keys = format!("SELECT * FROM {}", composer.name("keys"));
        composer.once("lock", lens.lock_legacy(&keys));
        let guard = format!("(SELECT count(*) FROM {}) >= 0", composer.name("lock"));
        let mut statement = Output::default();
        match write.condition() {
            Some(condition) => statement
                .client(source, write.body.start..condition.start)
                .own("(")
                .client(source, condition)
                .own(&format!(") AND {guard}")),
            None => statement
                .client(source, write.body.clone())
                .own(&format!(" WHERE {guard}")),
        };
        self.new_rows(&mut composer, statement);
        let both = format!("{keys} UNION SELECT * FROM {}", composer.name("after"));
        self.finish(composer, source, (&both, set), verb)
    }

    fn new_rows(&self, composer: &mut Composer, mut statement: Output) {
        statement.append(returned(
            self.write,
            &self.carried,
            self.target.managed.table,
        ));
        composer.query("new", statement);
        let lens = self.target.managed.lens;
        let new = composer.name("new");
        composer.query("after", lens.keys_of_rows(self.written, self.part, &new));
    }

    fn finish(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        (keys, set): (&str, &str),
        verb: TagVerb,
    ) -> Composed {
        let lens = self.target.managed.lens;
        let arguments = format!("array_agg({}), {set}, true", lens.key_image("cf_k"));
        composer.call(format!(
            "(SELECT {} FROM ({keys}) AS cf_k)",
            lens.call(Call::Sync, &arguments)
        ));
        let new = composer.name("new");
        composer.select_rows(self.write, source, &new, &self.carried, verb)
    }
}
