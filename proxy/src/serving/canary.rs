//! Canaries are watched: what this proxy has counted of their reads and of all others' is written down each second, what
//! all proxies have written is judged, and one that does worse than it may goes back, by whichever proxy finds it first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rewrite_rules::Phase;
use serde_json::json;

use crate::control::canary::judge::{self, Measure, Seen};
use crate::control::canary::{self, CanaryRow, Counted, CountedReads, Ends};
use crate::control::connection::{Control, connect};
use crate::control::epochs;
use crate::control::error::ControlError;
use crate::control::events::Actor;
use crate::counters::MigrationTotals;
use crate::generation::ahead::{Group, ReadCounts, RunningCanary};
use crate::shared::Shared;

/// What is told within it is acted upon within three of them, anywhere in the fleet.
const PERIOD: Duration = Duration::from_secs(1);
/// Errors and times are judged by the last so many looks: what was well for an hour must not hide what is not now.
const LOOKS: usize = 60;
/// A round of a database that does not answer is given up; the proxy has no canary by then.
const ROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// Watches until `shutdown`.
pub async fn run(shared: Arc<Shared>, url: String, shutdown: impl Future<Output = ()>) {
    let forever = async {
        let mut watching = Watching::default();
        loop {
            tokio::time::sleep(PERIOD).await;
            let generation = shared.generations.current();
            let running = generation.canaries().running();
            if running.is_empty() {
                watching = Watching::default();
                continue;
            }
            let round = watching.round(&shared, &url, running);
            let ended = tokio::time::timeout(ROUND_TIMEOUT, round).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::debug!(?ended, "canaries could not be looked at");
                watching.control = None;
            }
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = forever => {}
    }
}

#[derive(Debug, Default)]
struct Watching {
    control: Option<(Control, String)>,
    /// By the canary's id.
    before: HashMap<i64, Before>,
}

/// What is known of a canary from the looks before.
#[derive(Debug)]
struct Before {
    /// What had happened in this proxy when it first saw the canary.
    totals: MigrationTotals,
    looks: VecDeque<Counted>,
}

impl Watching {
    async fn round(
        &mut self,
        shared: &Shared,
        url: &str,
        running: &[RunningCanary],
    ) -> Result<(), ControlError> {
        let (control, reporter) = match &mut self.control {
            Some(known) => known,
            none @ None => {
                let control = connect(url, "canary").await?;
                let drawn = control.query_one("SELECT gen_random_uuid()::text", &[]);
                let drawn = drawn.await.map_err(ControlError::sql("canary"))?.get(0);
                none.insert((control, drawn))
            }
        };
        let totals = shared.counters.totals().migrations;
        for running in running {
            let id = running.canary.id;
            let now = totals.get(&running.canary.migration).copied();
            let now = now.unwrap_or_default();
            let before = self.before.entry(id).or_insert_with(|| Before {
                totals: now,
                looks: VecDeque::new(),
            });
            let counted = counted(running, before.totals, now);
            canary::report(control, id, reporter, &counted).await?;
        }
        self.before
            .retain(|id, _| running.iter().any(|running| running.canary.id == *id));
        let rows = canary::running(control).await?;
        let in_force = epochs::in_force(control).await?;
        for row in rows {
            let newest = in_force
                .iter()
                .find(|newest| newest.migration == row.canary.migration);
            // That of an epoch that is over was ended with it.
            let Some(newest) = newest.filter(|newest| newest.epoch == row.canary.epoch) else {
                continue;
            };
            if let Some(before) = self.before.get_mut(&row.canary.id) {
                judged(control, &row, newest.phase, before).await?;
            }
        }
        Ok(())
    }
}

/// What this proxy has counted since it saw the canary.
fn counted(running: &RunningCanary, before: MigrationTotals, now: MigrationTotals) -> Counted {
    let since = |of: fn(&MigrationTotals) -> u64| of(&now).saturating_sub(of(&before));
    let different = since(|totals| totals.shadow_different);
    Counted {
        canary: reads(running.counts(Group::Canary)),
        rest: reads(running.counts(Group::Rest)),
        fallbacks: since(|totals| totals.fallbacks),
        fallbacks_of_canaries: since(|totals| totals.fallbacks_of_canaries),
        divergences: since(|totals| totals.divergences),
        compared: since(|totals| totals.shadow_equal) + different,
        different,
    }
}

fn reads(counts: &ReadCounts) -> CountedReads {
    let times = (0..).zip(counts.times.counts());
    CountedReads {
        answered: counts.answered(),
        failed: counts.failed(),
        times: times
            .filter(|(_, count)| *count > 0)
            .collect::<BTreeMap<u16, u64>>(),
    }
}

/// Looks at what all proxies have counted of one, and has it go back if it must.
async fn judged(
    control: &Control,
    row: &CanaryRow,
    phase: Phase,
    before: &mut Before,
) -> Result<(), ControlError> {
    let in_all = canary::counted(control, row.canary.id).await?;
    let nothing = Counted::default();
    // A proxy that has joined looks back to when it did.
    let is_young = row.age_seconds < PERIOD.as_secs_f64() * LOOKS as f64;
    let first = match is_young {
        true => &nothing,
        false => before.looks.front().unwrap_or(&in_all),
    };
    let lately = in_all.since(first);
    let seen = Seen {
        lately: &lately,
        in_all: &in_all,
    };
    let found = judge::judge(phase, seen, &row.margins);
    before.looks.push_back(in_all);
    if before.looks.len() > LOOKS {
        before.looks.pop_front();
    }
    let beyond: Vec<&Measure> = found.iter().filter(|measure| measure.beyond).collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let reasons = beyond.iter().map(|m| format!("{}: {}", m.name, m.found));
    let why = reasons.collect::<Vec<_>>().join("; ");
    let details = json!({
        "measures": found,
        "level": judge::LEVEL,
        "margins": { "errors": row.margins.errors, "latency": row.margins.latency,
            "divergence": row.margins.divergence },
    });
    let by = Actor::of_process();
    let ends = Ends::This(row.canary.id);
    if canary::end(control, ends, (&why, Some(&details)), by).await? {
        let migration = &row.canary.migration;
        tracing::warn!(migration, why, "a canary goes back");
        let notify = format!("NOTIFY {}", epochs::CHANNEL);
        let told = control.batch_execute(&notify).await;
        told.map_err(ControlError::sql("end of a canary"))?;
    }
    Ok(())
}
