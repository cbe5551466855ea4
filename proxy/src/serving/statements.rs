//! Which statements the sessions saw, put down for `coverage` to judge, and what came of them.
//!
//! Written from counters beside the clients' path; what cannot be written is dropped, since it
//! comes again.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rewrite_rules::{Phase, Tally};

use crate::control::connection::connect;
use crate::control::error::ControlError;
use crate::control::results::{self, ResultKey};
use crate::control::statements::note;
use crate::generation::Generation;
use crate::shared::Shared;

/// Often enough for an operator who waits for a statement to show, rare enough to cost nothing.
const PERIOD: Duration = Duration::from_secs(2);
/// At a stop the rest is written if it can be written quickly.
const LAST_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes what was counted until `shutdown`, then once more.
pub async fn run(shared: Arc<Shared>, url: String, shutdown: impl Future<Output = ()>) {
    tokio::pin!(shutdown);
    // A session may still count in the generation before the newest.
    let mut generations: Vec<Arc<Generation>> = Vec::new();
    loop {
        let ended = tokio::select! {
            () = &mut shutdown => true,
            () = tokio::time::sleep(PERIOD) => false,
        };
        let newest = shared.generations.current();
        if generations
            .last()
            .is_none_or(|last| last.number() != newest.number())
        {
            generations.push(newest);
        }
        let writing = write(&url, &generations);
        if ended {
            if tokio::time::timeout(LAST_TIMEOUT, writing).await.is_err() {
                tracing::debug!("no time to write the last statements");
            }
            return;
        }
        if let Err(error) = writing.await {
            tracing::debug!(%error, "statements could not be noted");
        }
        let drop_before = generations.len().saturating_sub(2);
        generations.drain(..drop_before);
    }
}

async fn write(url: &str, generations: &[Arc<Generation>]) -> Result<(), ControlError> {
    let generations = generations.to_vec();
    let take = move || -> BTreeMap<ResultKey, Tally> {
        let mut taken: BTreeMap<ResultKey, Tally> = BTreeMap::new();
        let all = generations.iter().flat_map(|g| g.take_statements());
        for (shape, canary) in all {
            let key = ResultKey {
                statement: shape.statement,
                migration: shape.migration,
                phase: shape.phase.map_or("", Phase::name).to_owned(),
                canary,
            };
            *taken.entry(key).or_default() += shape.tally;
        }
        taken
    };
    // Finds the shapes of new texts, which may be thousands.
    let taken = tokio::task::spawn_blocking(take).await.unwrap_or_default();
    if taken.is_empty() {
        return Ok(());
    }
    let came = taken.iter().filter(|(_, tally)| tally.calls > 0);
    let came = came.filter_map(|(key, tally)| {
        let calls = i64::try_from(tally.calls).unwrap_or(i64::MAX);
        Some((key.statement.clone()?, calls))
    });
    let (statements, calls): (Vec<String>, Vec<i64>) = came.unzip();
    let control = connect(url, "statements").await?;
    note(&control, &statements, &calls).await?;
    results::note(&control, &taken).await
}
