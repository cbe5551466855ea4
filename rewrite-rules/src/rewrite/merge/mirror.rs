//! MERGE into the unified name by a new version of the application, brought back to legacy.
//!
//! ```text
//! MERGE INTO users u USING s ON u.id = s.id WHEN MATCHED THEN … WHEN NOT MATCHED THEN …
//!
//! WITH cf_lock AS MATERIALIZED (SELECT 1 FROM iso_agents … FOR UPDATE),
//!      cf_new AS (MERGE INTO users u USING s ON (u.id = s.id) AND (SELECT count(*) FROM cf_lock) >= 0
//!                 WHEN … RETURNING merge_action() AS cf_action, ROW("u".*)::"public"."users" AS cf_row)
//! SELECT FROM cf_new AS cf_all
//!  WHERE CASE WHEN remove_legacy(‹images of deleted rows›) THEN put_legacy(‹images of the others›) END
//! ```
//!
//! Before `unified_read` only the columns that the statement set are carried over (see `mirror`).
//! `merge_action()` does not tell which of several UPDATE actions it was, so all of them must set
//! the same columns then.

use super::{Joined, check_keys, returning};
use crate::legend::query;
use crate::lens::Lens;
use crate::phase::Phase;
use crate::refuse;
use crate::rewrite::clauses::Write;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::mirror::{changed, moves_rows};
use crate::rewrite::{ManagedRef, Scope};
use crate::splice::{Output, Source};
use crate::statement::Refusal;
use crate::text::clauses::Merge;
use crate::text::clauses::merge::{Action, When};

/// `None` when it needs nothing on the other side.
pub(in crate::rewrite) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    mut composer: Composer,
) -> Result<Option<Composed>, Refusal> {
    let lens = target.managed.lens;
    let merge = &write.clauses.merge;
    check_keys(merge, target)?;
    let full = target.managed.migration.phase == Phase::UnifiedRead;
    let carried = Carried::of(merge, lens);
    if !full && carried.differ {
        return Err(refuse::unsupported(
            "MERGE into the unified table with UPDATE actions that set different columns, before \
             unified_read",
            &target.table_name(),
            "Set the same columns in each, or use UPDATE.",
        ));
    }
    let nothing = carried.columns.is_empty() && !carried.moves;
    if !full && nothing && !carried.inserts && !merge.deletes() {
        return Ok(None);
    }
    let joined = Joined::of(scope, target, write.clauses.returning.is_some(), source);
    returning(scope, target, (write, &joined, "cf_all"), source)?;

    let was = !full && carried.moves;
    lock(&mut composer, (merge, write, lens), source, was);
    let behind = composer.name(if was { query::WAS } else { query::LOCK });
    let statement = Composer::merge_behind(source, write, &behind);
    composer.own_merge(statement, (write, &joined), &lens.unified);
    if full {
        put_full(&mut composer, merge, lens, carried.moves);
    } else {
        put_changed(&mut composer, merge, lens, &carried);
    }
    Ok(Some(composer.select_own_merge(source, (write, &joined))))
}

/// What is brought back of rows that are there.
struct Carried<'l> {
    columns: Vec<&'l str>,
    /// The UPDATE actions do not agree on them.
    differ: bool,
    /// A row can become visible or be hidden from legacy readers.
    moves: bool,
    inserts: bool,
}

impl<'l> Carried<'l> {
    fn of(merge: &Merge<'_>, lens: &'l Lens) -> Carried<'l> {
        let mut carried = Carried {
            columns: Vec::new(),
            differ: false,
            moves: false,
            inserts: false,
        };
        let mut first = true;
        for arm in &merge.arms {
            carried.inserts |= matches!(arm.action, Action::Insert(_));
            if !matches!(arm.action, Action::Update(_)) {
                continue;
            }
            let targets = arm.tree.list("target_list").iter();
            let set: Vec<&str> = targets.map(|target| target.text("name")).collect();
            let columns = changed(lens, &set);
            carried.moves |= moves_rows(lens, &set);
            carried.differ |= !first && columns != carried.columns;
            carried.columns = columns;
            first = false;
        }
        carried
    }
}

/// Locks the legacy rows of what may be written, before any unified row; behind them, as `cf_was`, what
/// these are to legacy readers, if that is needed.
fn lock(
    composer: &mut Composer,
    (merge, write, lens): (&Merge<'_>, &Write<'_>, &Lens),
    source: &Source<'_>,
    was: bool,
) {
    let table = write.item(&lens.unified);
    let found = |columns: &str| {
        let mut rows = Output::default();
        rows.own(&format!("SELECT {columns} FROM "));
        if merge.has(When::NotMatchedBySource) {
            rows.own(&table);
        } else {
            rows.client(source, merge.source.clone())
                .own(&format!(" JOIN {table} ON ("))
                .client(source, merge.condition.clone())
                .own(")");
        }
        rows
    };
    let keys = found(&lens.legacy_key_of(&write.alias));
    composer.once(query::LOCK, lens.lock_legacy(keys));
    if was {
        let mut rows = found(&lens.was_shown(&write.alias));
        rows.own(&format!(
            " WHERE (SELECT count(*) FROM {}) >= 0 FOR UPDATE OF {}",
            composer.name(query::LOCK),
            write.alias
        ));
        composer.once(query::WAS, rows);
    }
}

fn put_full(composer: &mut Composer, merge: &Merge<'_>, lens: &Lens, moves: bool) {
    let there = composer.merged(None);
    let mut removes = Vec::new();
    if merge.deletes() {
        let gone = lens.read_from(&composer.merged(Some("DELETE")));
        removes.push(lens.remove_legacy_call(&format!("({gone})")));
    }
    if moves {
        let hidden = lens.hidden_from(&there);
        removes.push(lens.hide_legacy_call(&format!("({hidden})")));
    }
    let put = lens.put_legacy_call(&format!("({})", lens.read_from(&there)));
    // In this order: a row that goes may hold a unique value of one that stays.
    composer.call(match removes.as_slice() {
        [] => put,
        removes => format!("CASE WHEN {} THEN {put} END", removes.join(" AND ")),
    });
}

fn put_changed(composer: &mut Composer, merge: &Merge<'_>, lens: &Lens, carried: &Carried<'_>) {
    let images = |action: &str| format!("({})", lens.read_from(&composer.merged(Some(action))));
    let (inserted, updated, gone) = (images("INSERT"), images("UPDATE"), images("DELETE"));
    let hidden = lens.hidden_from(&composer.merged(None));
    if carried.inserts {
        composer.query(query::PUT, lens.insert_legacy_from(&inserted));
    }
    if !carried.columns.is_empty() {
        composer.query(
            query::UPD,
            lens.update_legacy_from(&updated, &carried.columns),
        );
    }
    if carried.moves {
        let shown = lens.shown_among(&composer.merged(Some("UPDATE")), &composer.name(query::WAS));
        let shown = format!("({})", lens.read_from(&shown));
        composer.query(query::SHOWN, lens.put_legacy_from(&shown, Some(&[])));
        composer.call(lens.hide_legacy_call(&format!("({hidden})")));
    }
    if merge.deletes() {
        composer.call(lens.hide_legacy_call(&gone));
    }
}
