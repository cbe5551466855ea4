//! What a serving proxy does with its control URL: prepares the database for each generation, says
//! which phases it serves, and compares shadow reads. Without a URL it says what is lacking.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rewrite_rules::{Phase, RuleSet};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{canary, hook, shadow, statements};
use crate::control::connection::connect;
use crate::control::direct::{self, LookedAfter};
use crate::control::error::ControlError;
use crate::control::instances::{self, Serving};
use crate::control::plans::InPhase;
use crate::control::report::{HOLDERS_MAX, InstanceReport, MigrationReport};
use crate::control::{origins, schema, seal};
use crate::counters::MigrationTotals;
use crate::shared::Shared;

/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// New rules wait for this; it is a handful of round trips. A server that is too busy to answer these sooner would have
/// the next attempt wait behind what it has not ended of the last.
const BEFORE_TIMEOUT: Duration = Duration::from_secs(30);

/// The tasks beside a serving proxy. Dropped, they end without signing off, as in a crash.
#[derive(Debug)]
pub struct Attached {
    end: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Attached {
    #[must_use]
    pub fn start(shared: &Arc<Shared>) -> Self {
        let (end, ended) = watch::channel(false);
        let mut tasks = JoinSet::new();
        match shared.config.control.url.clone() {
            Some(url) => {
                tasks.spawn(instances::run(
                    ServingProxy(Arc::clone(shared)),
                    url.clone(),
                    until(ended.clone()),
                ));
                tasks.spawn(shadow::run(
                    Arc::clone(shared),
                    url.clone(),
                    until(ended.clone()),
                ));
                tasks.spawn(canary::run(
                    Arc::clone(shared),
                    url.clone(),
                    until(ended.clone()),
                ));
                tasks.spawn(hook::run(
                    Arc::clone(shared),
                    url.clone(),
                    until(ended.clone()),
                ));
                tasks.spawn(statements::run(
                    Arc::clone(shared),
                    url.clone(),
                    until(ended.clone()),
                ));
                tasks.spawn(prepare_each(Arc::clone(shared), url, until(ended)));
            }
            None => {
                tasks.spawn(warn_of_phases(Arc::clone(shared), until(ended)));
            }
        }
        Attached { end, tasks }
    }

    /// Signs off and waits until every task has ended; each of them bounds its own end.
    pub async fn stop(mut self) {
        self.end.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the control connection broke");
            }
        }
    }
}

async fn until(mut ended: watch::Receiver<bool>) {
    // An error says that the sender is gone, which is an end too.
    let _ = ended.wait_for(|ended| *ended).await;
}

struct ServingProxy(Arc<Shared>);

impl Serving for ServingProxy {
    fn report(&self) -> InstanceReport {
        let generation = self.0.generations.current();
        let drained = self.0.generations.drained(generation.number());
        let migrations = generation.rules().migrations().iter();
        let migrations = migrations
            .map(|migration| MigrationReport {
                migration: migration.name.clone(),
                phase: migration.phase,
                epoch: migration.epoch(),
                generation: generation.number(),
                drained,
            })
            .collect();
        InstanceReport {
            rules_hash: self.0.rules_hash(),
            address: self.0.config.listen.0.clone(),
            refused: self.0.rules_refused(),
            held_by: if drained {
                Vec::new()
            } else {
                let generations = &self.0.generations;
                generations.backends_before(generation.number(), HOLDERS_MAX)
            },
            migrations,
        }
    }

    fn news(&self) -> watch::Receiver<()> {
        self.0.generations.news()
    }

    fn totals(&self) -> BTreeMap<String, MigrationTotals> {
        self.0.counters.totals().migrations
    }

    fn latencies(&self) -> Vec<u64> {
        self.0.generations.latencies.counts()
    }

    fn know_around(&self, counts: BTreeMap<String, u64>) {
        let known = self.0.around.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = counts;
    }

    fn know_plans(&self, counts: BTreeMap<InPhase, u64>) {
        let known = self.0.plans.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = counts;
    }

    fn watch(&self) -> LookedAfter {
        let generation = self.0.generations.current();
        let migrations = generation.rules().migrations();
        if migrations.is_empty() {
            return LookedAfter::default();
        }
        // In every phase: another proxy may be a step ahead, and see the sessions of this one.
        let (served, ended) = self.0.generations.backends();
        LookedAfter {
            served,
            ended,
            tables: migrations.iter().flat_map(direct::watched).collect(),
            migrations: migrations.iter().map(|m| m.name.clone()).collect(),
        }
    }
}

/// Tries again what [`before`] could not do, while the database was away for instance.
async fn prepare_each(
    shared: Arc<Shared>,
    url: String,
    shutdown: impl std::future::Future<Output = ()>,
) {
    let forever = async {
        let mut done = 0;
        let mut told = String::new();
        let mut news = shared.generations.news();
        loop {
            let generation = shared.generations.current();
            if generation.number() == done {
                // Its sender is in `shared`.
                let _ = news.changed().await;
                continue;
            }
            match prepare(&shared, &url, generation.rules()).await {
                Ok(()) => {
                    done = generation.number();
                    told.clear();
                    seal(&url, generation.rules()).await;
                }
                Err(error) => {
                    let error = error.to_string();
                    if told != error {
                        tracing::error!("the database is not prepared for the rules: {error}");
                    }
                    told = error;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = forever => {}
    }
}

/// What lacks of the tables' seals; of no statement does it decide.
async fn seal(url: &str, rules: &RuleSet) {
    let sealed = async {
        let client = connect(url, "serve").await?;
        for migration in rules.migrations() {
            seal::complete(&client, migration).await?;
        }
        Ok::<(), ControlError>(())
    };
    match sealed.await {
        Ok(()) => {}
        // Whoever takes a step waits for those that have it in use.
        Err(error @ ControlError::TimedOut { .. }) => tracing::debug!("left to the step: {error}"),
        Err(error) => {
            tracing::warn!("a table is not sealed against writers around the proxies: {error}");
        }
    }
}

/// Prepares the database for rules that are about to be served; nothing to do without a control
/// URL. Functions must be there before the first statement that calls them.
pub async fn before(shared: &Shared, rules: &RuleSet) -> Result<(), ControlError> {
    match &shared.config.control.url {
        Some(url) => tokio::time::timeout(BEFORE_TIMEOUT, prepare(shared, url, rules))
            .await
            .unwrap_or_else(|_| {
                Err(ControlError::TimedOut {
                    waited_seconds: BEFORE_TIMEOUT.as_secs(),
                    waiting_for: "the database to be prepared for the rules".to_owned(),
                })
            }),
        None => Ok(()),
    }
}

async fn prepare(shared: &Shared, url: &str, rules: &RuleSet) -> Result<(), ControlError> {
    let client = connect(url, "serve").await?;
    let prepared = schema::prepare(&client, rules, schema::Ddl::OfNone).await?;
    shared.counters.believe(schema::proof(&client).await?);
    let origins = origins::read(&client, rules).await?;
    shared.generations.know_origins(origins);
    for name in &prepared.functions_created {
        tracing::info!(name, "created a function");
    }
    for table in &prepared.tables_absent {
        tracing::warn!(table, "no such table: its functions were not created");
    }
    Ok(())
}

/// A phase that writes both sides needs the schema `crossfade`, and its proxies should be seen.
async fn warn_of_phases(shared: Arc<Shared>, shutdown: impl std::future::Future<Output = ()>) {
    let forever = async {
        let mut seen = 0;
        let mut news = shared.generations.news();
        loop {
            let generation = shared.generations.current();
            if generation.number() != seen {
                seen = generation.number();
                for (migration, phase) in
                    generation.phases().filter(|(_, p)| *p != Phase::LegacyOnly)
                {
                    tracing::warn!(
                        migration,
                        %phase,
                        "no control URL: `crossfade prepare` must have run in the database, \
                         `advance` cannot see this proxy, and shadow reads are not compared"
                    );
                }
            }
            // Its sender is in `shared`.
            let _ = news.changed().await;
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = forever => {}
    }
}
