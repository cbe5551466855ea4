//! A write to a unified table, brought to the legacy table of each lens that reads it.
//!
//! ```text
//! UPDATE people SET email = 'x' WHERE id = 1                          admins and members become people
//!
//! WITH cf_keys AS MATERIALIZED (‹keys of admins›), cf_lock AS MATERIALIZED (SELECT 1 FROM admins … FOR UPDATE),
//!      cf_keys2 AS MATERIALIZED (‹keys of members›), cf_lock2 AS MATERIALIZED (SELECT 1 FROM members … FOR UPDATE),
//!      cf_locks AS MATERIALIZED (SELECT 1 FROM cf_lock UNION ALL SELECT 1 FROM cf_lock2),
//!      cf_new AS (UPDATE people SET … WHERE (id = 1) AND (SELECT count(*) FROM cf_locks) >= 0 RETURNING "people".*)
//! SELECT FROM cf_new AS people WHERE CASE WHEN (SELECT sync_admins(…)) THEN (SELECT sync_members(…)) END
//! ```
//!
//! Legacy rows are locked, and follow, table by table in the order of the rule file, whatever the statement: two writers of
//! one row so wait for each other at the first of them. Who writes under a legacy name locks rows of that table alone.

use super::brought::{Brought, Follows, brought};
use super::steps::Steps;
use crate::legend::query;
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer, one_then};
use crate::rewrite::says::own::Own;
use crate::rewrite::says::write::Write;
use crate::rewrite::{ManagedRef, Scope};
use crate::statement::Refusal;
use crate::text::splice::Source;

/// The lenses in whose legacy rows something changes, each with what it is.
pub(super) struct Parts<'w, 'a>(Vec<(Steps<'w, 'a>, Brought<'w, 'a>)>);

impl<'w, 'a> Parts<'w, 'a> {
    pub fn of(
        scope: &Scope<'a>,
        target: &'w ManagedRef<'a>,
        write: &'w Write<'a>,
    ) -> Result<Self, Refusal> {
        let mut parts = Vec::new();
        for lens in target.managed.lenses() {
            let number = parts.len() + 1;
            let Some(steps) = Steps::of(target, lens, number)? else {
                continue;
            };
            let brought = brought(&steps, scope, (target, lens), write)?;
            parts.extend(brought.map(|brought| (steps, brought)));
        }
        let rekeyed = |(steps, _): &(Steps<'_, '_>, _)| {
            let mut sets = write.acts.updates.iter();
            sets.any(|sets| steps.rekeys(sets))
        };
        if parts.len() > 1 && !write.acts.inserts && parts.iter().any(rekeyed) {
            return Err(refuse::unsupported(
                "an UPDATE of a legacy key under its new name, where several legacy tables have a part in the row",
                &target.table_name(),
                "Write it under the legacy table's name.",
            ));
        }
        Ok(Parts(parts))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bring(
        &self,
        own: Own<'_, '_>,
        source: &Source<'_>,
        mut composer: Composer,
    ) -> Result<Composed, Refusal> {
        let acts = &own.write.acts;
        let merges = own.write.is_merge();
        let plain_insert = acts.inserts && !merges;
        let set = self
            .0
            .iter()
            .any(|(steps, _)| steps.follows == Follows::Set);
        let own = match plain_insert && set && !acts.updates.is_empty() {
            true => own.telling_which_were_there(),
            false => own,
        };
        let mut behind = (!plain_insert).then(|| self.lock(&mut composer, source, &own));
        if let ([(steps, brought)], false) = (&self.0[..], plain_insert || merges)
            && acts.updates.iter().any(|sets| steps.rekeys(sets))
        {
            let keys = steps.locked_keys(&composer);
            steps.rekey(&mut composer, source, (&own, &brought.columns), &keys)?;
            return Ok(own.finish(composer, source));
        }
        let was = |brought: &Brought<'_, '_>| set && brought.decides && !plain_insert;
        let looked: Vec<&Steps<'_, '_>> = self
            .0
            .iter()
            .filter(|(_, brought)| was(brought))
            .map(|(steps, _)| steps)
            .collect();
        if !looked.is_empty() {
            let rows = own.found(source, &own.all(), behind.as_deref(), true);
            composer.once(query::WAS, rows);
            let was = composer.name(query::WAS);
            for steps in looked {
                steps.looks_before(&mut composer, &was);
            }
            behind = Some(was);
        }
        own.write(&mut composer, source, behind.as_deref());
        let mut calls: Vec<String> = Vec::new();
        for (steps, brought) in &self.0 {
            calls.extend(match steps.follows {
                Follows::Whole => steps.whole(&composer, &own, !plain_insert),
                Follows::Set if was(brought) => steps.came(&composer, &own, &brought.columns),
                Follows::Set => steps.set(&composer, &own, brought),
            });
        }
        if self.0.len() > 1 {
            // Each takes locks of its table.
            let in_turn = calls
                .into_iter()
                .reduce(|first, then| one_then(&first, &then));
            calls = in_turn.into_iter().collect();
        }
        for call in calls {
            composer.call(call);
        }
        Ok(own.finish(composer, source))
    }

    /// Locks the legacy rows before any of unified; the query that has them all.
    fn lock(&self, composer: &mut Composer, source: &Source<'_>, own: &Own<'_, '_>) -> String {
        let locks = self.0.iter();
        let locks: Vec<String> = locks
            .map(|(steps, _)| steps.lock(composer, source, own))
            .collect();
        if let [lock] = &locks[..] {
            return lock.clone();
        }
        // Read from the first to the last, and so taken in this order.
        let all = locks.iter().map(|lock| format!("SELECT 1 FROM {lock}"));
        let all: Vec<String> = all.collect();
        composer.once(query::LOCKS, all.join(" UNION ALL "));
        composer.name(query::LOCKS)
    }
}
