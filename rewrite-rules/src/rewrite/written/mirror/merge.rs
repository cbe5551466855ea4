//! MERGE into one of the unified tables of a written lens, brought back to legacy.
//!
//! ```text
//! MERGE INTO badge b USING s ON b.person_id = s.id WHEN MATCHED THEN UPDATE … WHEN NOT MATCHED …
//!
//! WITH cf_keys AS MATERIALIZED (‹legacy keys of› (SELECT b.* FROM s JOIN badge AS b ON (…))),
//!      cf_lock AS MATERIALIZED (SELECT 1 FROM members … FOR UPDATE),
//!      cf_new AS (MERGE INTO badge b USING s ON (…) AND (SELECT count(*) FROM cf_lock) >= 0 WHEN …
//!                 RETURNING merge_action() AS cf_action, ROW("b".*)::badge AS cf_row)
//! SELECT FROM cf_new AS cf_all WHERE (SELECT crossfade.sync_…(‹keys›, ‹columns›))
//! ```
//!
//! A row that goes has its old values in `cf_row`, by which `read` tells its legacy row as well.
//! Before `unified_read` only the columns that an action set are carried over. `merge_action()` does not
//! tell which of several UPDATE actions it was, so all of them must set the same columns then; nor what
//! the row was, so none of them may change what ties it to the legacy rows.

use super::{Part, Reach, Written};
use crate::legend::query;
use crate::refuse;
use crate::rewrite::clauses::Write;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::merge::{Joined, returning};
use crate::rewrite::{ManagedRef, Scope};
use crate::splice::{Output, Source};
use crate::statement::Refusal;
use crate::text::clauses::merge::{Action, When};

/// `None` when the write needs nothing in legacy.
pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (write, written, part): (&Write<'a>, &Written, &Part),
    source: &mut Source<'a>,
    mut composer: Composer,
) -> Result<Option<Composed>, Refusal> {
    let lens = target.managed.lens;
    let merge = &write.clauses.merge;
    let reach = Reach::of(target, part);
    let mut updates: Option<Vec<&str>> = None;
    let mut decides = false;
    for arm in &merge.arms {
        if !matches!(arm.action, Action::Update(_)) {
            continue;
        }
        let targets = arm.tree.list("target_list").iter();
        let sets: Vec<&str> = targets.map(|set| set.text("name")).collect();
        reach.check(&sets)?;
        decides |= reach.decides(&sets);
        if reach.rekeys(&sets) {
            return Err(refuse::unsupported(
                "MERGE that updates the key",
                &target.table_name(),
                "Change the key by an UPDATE of its own.",
            ));
        }
        if !reach.full && decides {
            return Err(refuse::unsupported(
                "MERGE that updates what ties the unified table to the legacy rows, before unified_read",
                &target.table_name(),
                "Change it by an UPDATE of its own.",
            ));
        }
        let fed = |sets: &[&str]| reach.fed(lens, Some(sets));
        if !reach.full
            && updates
                .as_ref()
                .is_some_and(|known| fed(known) != fed(&sets))
        {
            return Err(refuse::unsupported(
                "MERGE into the unified table with UPDATE actions that set different columns, before \
                 unified_read",
                &target.table_name(),
                "Set the same columns in each, or use UPDATE.",
            ));
        }
        updates.get_or_insert(sets);
    }
    let inserts = |action: &Action<'_>| matches!(action, Action::Insert(_) | Action::Delete);
    let others = merge.arms.iter().any(|arm| inserts(&arm.action));
    let feeds = |sets: &Vec<&str>| !reach.fed(lens, Some(sets)).is_empty();
    let nothing = !updates.as_ref().is_some_and(feeds);
    if nothing && !others && !decides {
        return Ok(None);
    }
    let joined = Joined::of(scope, target, write.clauses.returning.is_some(), source);
    returning(scope, target, (write, &joined, "cf_all"), source)?;

    let mut rows = Output::default();
    let table = format!("{} AS {}", target.managed.table, write.alias);
    rows.own(&format!("(SELECT {}.* FROM ", write.alias));
    if merge.has(When::NotMatchedBySource) {
        rows.own(&table);
    } else {
        rows.client(source, merge.source.clone())
            .own(&format!(" JOIN {table} ON ("))
            .client(source, merge.condition.clone())
            .own(")");
    }
    rows.own(")");
    composer.once(query::KEYS, lens.keys_of_rows(written, part, rows));
    let keys = format!("SELECT * FROM {}", composer.name(query::KEYS));
    composer.once(query::LOCK, lens.lock_legacy(keys.as_str()));
    let statement = Composer::merge_behind(source, write, &composer.name(query::LOCK));
    composer.own_merge(statement, (write, &joined), target.managed.table);
    let new = composer.name(query::NEW);
    let did = |actions: &str| {
        let rows = format!("(SELECT (cf_row).* FROM {new} WHERE cf_action {actions})");
        lens.keys_of_rows(written, part, rows).sql
    };
    if reach.full {
        let all = format!("{keys} UNION {}", did("IS NOT NULL"));
        let gone = reach.sync_gone(lens, &did("= 'DELETE'"));
        let others = reach.sync(lens, &all, None, true);
        composer.call(format!("CASE WHEN {gone} THEN {others} END"));
    } else {
        let gone = reach.sync_gone(lens, &did("= 'DELETE'"));
        let came = reach.sync(lens, &did("= 'INSERT'"), None, part.makes_rows);
        // In this order: a row that goes may hold a unique value of one that comes.
        composer.call(format!("CASE WHEN {gone} THEN {came} END"));
        if let Some(sets) = updates {
            composer.call(reach.sync(lens, &did("= 'UPDATE'"), Some(&sets), false));
        }
    }
    Ok(Some(composer.select_own_merge(source, (write, &joined))))
}
