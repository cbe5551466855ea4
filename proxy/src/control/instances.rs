//! Who serves which phase: every proxy says so in the database, once a second and at each change.
//!
//! The rule for silence: an instance that was not seen for [`GONE_AFTER_SECONDS`] counts as gone.
//! A clean stop removes its rows at once. A proxy that lost only its way to the database of the
//! control URL may then still serve an older phase unseen; adjacent phases are safe side by side,
//! so one step more does no harm, and `advance` and `status` name such an instance until it
//! returns or its rows are a day old. Nothing fences it off yet.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connection::{Control, connect};
use super::direct::{self, LookedAfter};
use super::error::ControlError;
use super::events::Actor;
use super::plans::{self, InPhase};
use super::refused;
use super::report::{GONE_AFTER_SECONDS, InstanceReport};
use crate::counters::MigrationTotals;
use crate::latency::Window;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Between two looks at what changes quickly, sessions that come to the end of a transaction one after
/// the other: each that is among those it waits for is said.
const LOOK: Duration = Duration::from_millis(50);
/// Plans are compared by hand, and thousands of rows are counted.
const PLANS_LOOK: Duration = Duration::from_secs(10);
/// Between attempts to reach a database that is down or not prepared yet.
const RECONNECT: Duration = Duration::from_millis(500);
/// A clean stop must not hang on a database that does not answer.
const SIGN_OFF_TIMEOUT: Duration = Duration::from_secs(2);

/// The proxy's side.
pub trait Serving: Send + Sync {
    /// Asked at each heartbeat and at each piece of news, 20 times a second at most.
    fn report(&self) -> InstanceReport;

    /// Hears when the report may have changed.
    fn news(&self) -> watch::Receiver<()>;

    /// Asked at each heartbeat: a count that changes is no news that could not wait for it.
    fn totals(&self) -> BTreeMap<String, MigrationTotals>;

    /// How often exchanges took how long, asked once a second.
    fn latencies(&self) -> Vec<u64>;

    /// Its sessions, and the tables that nobody else should write; asked once a second.
    fn watch(&self) -> LookedAfter;
    /// How many wrote around the proxies, of each migration, since both sides were found alike.
    fn know_around(&self, counts: BTreeMap<String, u64>);
    /// How many statements would be planned worse, of each migration in each phase to come.
    fn know_plans(&self, counts: BTreeMap<InPhase, u64>);
}

/// Registers, heart-beats and signs off. It ends when `shutdown` does; while the database is away
/// it tries again, for serving does not depend on it.
pub async fn run(serving: impl Serving, url: String, shutdown: impl Future<Output = ()>) {
    tokio::pin!(shutdown);
    let mut instance = None;
    let mut counted = BTreeMap::new();
    let mut told = String::new();
    loop {
        let attempt = async {
            let control = connect(&url, "serve").await?;
            let id = match &instance {
                Some(id) => String::clone(id),
                None => new_instance(&control).await?,
            };
            instance = Some(id.clone());
            heartbeat(&control, &id, &serving, &mut counted).await
        };
        tokio::select! {
            // Dropping an attempt half-way leaves at most rows that the sign-off removes.
            () = &mut shutdown => break,
            result = attempt => match result {
                Ok(()) => {}
                // Not prepared yet; whoever prepares says so if that fails.
                Err(error) if error.sqlstate() == Some(&SqlState::UNDEFINED_TABLE) => {}
                // A database that stays away is told of once.
                Err(error) if error.to_string() == told => {}
                Err(error) => {
                    told = error.to_string();
                    tracing::warn!(%error, "cannot say in crossfade.instances which phase is served");
                }
            },
        }
        tokio::select! {
            () = &mut shutdown => break,
            () = tokio::time::sleep(RECONNECT) => {}
        }
    }
    if let Some(id) = instance {
        let off = tokio::time::timeout(SIGN_OFF_TIMEOUT, sign_off(&url, &id, &serving)).await;
        if !matches!(off, Ok(Ok(()))) {
            tracing::warn!(instance = id, "could not sign off from crossfade.instances");
        }
    }
}

async fn new_instance(client: &Client) -> Result<String, ControlError> {
    let row = client
        .query_one("SELECT gen_random_uuid()::text", &[])
        .await
        .map_err(ControlError::sql("registration of this instance"))?;
    Ok(row.get(0))
}

/// Ends only by an error. What is `counted` outlives it: what had been told of before a connection
/// broke did not happen when the next one is made.
async fn heartbeat(
    client: &Control,
    instance: &str,
    serving: &impl Serving,
    counted: &mut BTreeMap<String, MigrationTotals>,
) -> Result<(), ControlError> {
    let mut said: Option<(InstanceReport, Instant)> = None;
    let mut looked: Option<Instant> = None;
    let mut planned = None;
    let mut window = Window::default();
    let mut p99 = (None, None::<Instant>);
    let mut news = serving.news();
    loop {
        let report = serving.report();
        let due = said
            .as_ref()
            .is_none_or(|(last, at)| *last != report || at.elapsed() >= HEARTBEAT);
        if due {
            let totals = serving.totals();
            if p99.1.is_none_or(|at| at.elapsed() >= HEARTBEAT) {
                p99 = (window.p99_ms(serving.latencies()), Some(Instant::now()));
            }
            say(client, instance, &report, &totals, p99.0).await?;
            refused::say(client, instance, &report).await?;
            for (name, now) in &totals {
                let before = counted.get(name).copied().unwrap_or_default();
                happened(client, name, before, *now).await?;
            }
            *counted = totals;
            said = Some((report, Instant::now()));
        }
        if looked.is_none_or(|at| at.elapsed() >= HEARTBEAT) {
            direct::look(client, instance, &serving.watch()).await?;
            serving.know_around(direct::count_since_verify(client).await?);
            looked = Some(Instant::now());
        }
        if planned.is_none_or(|at: Instant| at.elapsed() >= PLANS_LOOK) {
            // It is told for a picture: no heart stops for it.
            match plans::regressions(client).await {
                Ok(counts) => serving.know_plans(counts),
                Err(error) => tracing::debug!(%error, "plans could not be counted"),
            }
            planned = Some(Instant::now());
        }
        tokio::time::sleep(LOOK).await;
        let next = [said.as_ref().map(|(_, at)| *at), looked]
            .into_iter()
            .flatten()
            .min();
        let next = next.map_or_else(Instant::now, |at| at + HEARTBEAT);
        tokio::select! {
            // Without a sender nothing changes any more, but the heart beats on.
            Ok(()) = news.changed() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}

/// One statement, so that nobody reads half a report. It also keeps what the phases imply and an
/// operator who edits the file by hand would not: `legacy_only` voids a backfill, `unified_only`
/// leaves legacy behind.
async fn say(
    client: &Client,
    instance: &str,
    report: &InstanceReport,
    totals: &BTreeMap<String, MigrationTotals>,
    p99_ms: Option<f64>,
) -> Result<(), ControlError> {
    let count = report.migrations.len();
    let mut names = Vec::with_capacity(count);
    let mut phases = Vec::with_capacity(count);
    let mut generations = Vec::with_capacity(count);
    let mut drained = Vec::with_capacity(count);
    let mut epochs = Vec::with_capacity(count);
    for migration in &report.migrations {
        names.push(migration.migration.as_str());
        phases.push(migration.phase.name());
        generations.push(i64::try_from(migration.generation).unwrap_or(i64::MAX));
        drained.push(migration.drained);
        epochs.push(migration.epoch.map(|epoch| epoch.0));
    }
    let counted = |of: fn(&MigrationTotals) -> u64| -> Vec<i64> {
        let of_name = |name: &&str| totals.get(*name).map_or(0, of);
        let saturated = |count| i64::try_from(count).unwrap_or(i64::MAX);
        names.iter().map(of_name).map(saturated).collect()
    };
    client
        .execute(
            "WITH report AS (SELECT * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::boolean[], \
                 $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $15::bigint[]) \
                 AS r (migration, phase, generation, drained, \
                 fallbacks, divergences, shadow_equal, shadow_different, shadow_failed, epoch)), \
             gone AS (DELETE FROM crossfade.instances AS i WHERE i.instance = $1::text::uuid \
                 AND NOT EXISTS (SELECT FROM report AS r WHERE r.migration = i.migration)), \
             forgotten AS (DELETE FROM crossfade.instances \
                 WHERE seen_at < clock_timestamp() - interval '1 day'), \
             voided AS (UPDATE crossfade.backfill AS b SET state = 'void', \
                 updated_at = clock_timestamp() FROM report AS r \
                 WHERE r.migration = b.migration AND b.state <> 'void' \
                 AND (r.phase = 'legacy_only' OR r.phase IN ('unified_only', 'retired') AND b.reverse)), \
             missed AS (INSERT INTO crossfade.migrations AS m (migration, unified_stale_since) \
                 SELECT r.migration, clock_timestamp() FROM report AS r WHERE r.phase = 'legacy_only' \
                 AND EXISTS (SELECT FROM crossfade.instances AS i WHERE i.migration = r.migration \
                 AND i.instance = $1::text::uuid AND i.phase <> 'legacy_only') \
                 ON CONFLICT (migration) DO UPDATE SET unified_stale_since = \
                 clock_timestamp()), \
             stale AS (INSERT INTO crossfade.migrations AS m (migration, legacy_stale_since) \
                 SELECT r.migration, clock_timestamp() FROM report AS r \
                 WHERE r.phase IN ('unified_only', 'retired') AND NOT EXISTS (SELECT \
                 FROM crossfade.migrations AS m WHERE m.migration = r.migration \
                 AND m.legacy_stale_since IS NOT NULL) \
                 ON CONFLICT (migration) DO UPDATE SET legacy_stale_since = \
                 coalesce(m.legacy_stale_since, excluded.legacy_stale_since)) \
             INSERT INTO crossfade.instances AS i \
                 (instance, migration, phase, generation, drained, rules_hash, address, held_by, \
                 p99_ms, fallbacks, divergences, shadow_equal, shadow_different, shadow_failed, epoch) \
             SELECT $1::text::uuid, r.migration, r.phase, r.generation, r.drained, $6, $7, $13, $14, \
                 r.fallbacks, r.divergences, r.shadow_equal, r.shadow_different, r.shadow_failed, r.epoch \
             FROM report AS r \
             ON CONFLICT (instance, migration) DO UPDATE SET phase = excluded.phase, \
                 generation = excluded.generation, drained = excluded.drained, epoch = excluded.epoch, \
                 rules_hash = excluded.rules_hash, held_by = excluded.held_by, \
                 p99_ms = excluded.p99_ms, seen_at = clock_timestamp(), \
                 fallbacks = excluded.fallbacks, divergences = excluded.divergences, \
                 shadow_equal = excluded.shadow_equal, \
                 shadow_different = excluded.shadow_different, \
                 shadow_failed = excluded.shadow_failed",
            &[
                &instance,
                &names,
                &phases,
                &generations,
                &drained,
                &report.rules_hash,
                &report.address,
                &counted(|totals| totals.fallbacks),
                &counted(|totals| totals.divergences),
                &counted(|totals| totals.shadow_equal),
                &counted(|totals| totals.shadow_different),
                &counted(MigrationTotals::shadow_failed),
                &report.held_by,
                &p99_ms,
                &epochs,
            ],
        )
        .await
        .map_err(ControlError::sql("heartbeat of this instance"))?;
    Ok(())
}

/// When something last fell back or diverged is remembered longer than any instance lives.
async fn happened(
    client: &Client,
    migration: &str,
    before: MigrationTotals,
    now: MigrationTotals,
) -> Result<(), ControlError> {
    let (fell_back, diverged) = (
        now.fallbacks > before.fallbacks,
        now.divergences > before.divergences,
    );
    if !fell_back && !diverged {
        return Ok(());
    }
    client
        .execute(
            "UPDATE crossfade.migrations SET \
             last_fallback_at = CASE WHEN $2 THEN clock_timestamp() ELSE last_fallback_at END, \
             last_divergence_at = CASE WHEN $3 THEN clock_timestamp() ELSE last_divergence_at END \
             WHERE migration = $1",
            &[&migration, &fell_back, &diverged],
        )
        .await
        .map_err(ControlError::sql("note of the last fallback"))?;
    if diverged {
        tell_of_divergence(client, migration).await?;
    }
    Ok(())
}

/// Keys may enter the ledger by the thousand: one event for all of a while.
async fn tell_of_divergence(client: &Client, migration: &str) -> Result<(), ControlError> {
    let by = Actor::of_process();
    client
        .execute(
            "INSERT INTO crossfade.events (migration, kind, details, os_user, host) \
             SELECT $1, 'divergence', jsonb_build_object('keys_in_the_ledger', \
                 (SELECT count(*) FROM crossfade.divergence AS d WHERE d.migration = $1)), $2, $3 \
             WHERE NOT EXISTS (SELECT FROM crossfade.events AS e WHERE e.migration = $1 AND e.kind = 'divergence' \
                 AND e.at > clock_timestamp() - interval '10 minutes')",
            &[&migration, &by.user, &by.from],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of a divergence"))
}

async fn sign_off(url: &str, instance: &str, serving: &impl Serving) -> Result<(), ControlError> {
    let client = connect(url, "serve").await?;
    // Nobody else could say later that these were its sessions.
    direct::claim(&client, instance, &serving.watch()).await?;
    refused::take_back(&client, instance).await?;
    client
        .execute(
            "DELETE FROM crossfade.instances WHERE instance = $1::text::uuid",
            &[&instance],
        )
        .await
        .map_err(ControlError::sql("sign-off of this instance"))?;
    Ok(())
}

/// An instance as the database knows it.
#[derive(Clone, Debug, Serialize)]
pub struct Instance {
    pub instance: String,
    pub address: String,
    pub phase: String,
    /// The epoch that it serves; `None`: it knows of none.
    pub epoch: Option<i64>,
    pub generation: i64,
    pub drained: bool,
    /// The server's processes whose sessions it waits for, some of them.
    pub held_by: Vec<i32>,
    /// The 99th percentile of what its clients wait for an answer; `None`: too few asked.
    pub p99_ms: Option<f64>,
    pub seen_seconds_ago: f64,
    /// Seen within the limit.
    pub live: bool,
    pub counted: InstanceTotals,
}

/// What an instance counted since it started.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct InstanceTotals {
    pub fallbacks: i64,
    pub divergences: i64,
    pub shadow_equal: i64,
    pub shadow_different: i64,
    pub shadow_failed: i64,
}

impl std::iter::Sum for InstanceTotals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(InstanceTotals::default(), |a, b| InstanceTotals {
            fallbacks: a.fallbacks + b.fallbacks,
            divergences: a.divergences + b.divergences,
            shadow_equal: a.shadow_equal + b.shadow_equal,
            shadow_different: a.shadow_different + b.shadow_different,
            shadow_failed: a.shadow_failed + b.shadow_failed,
        })
    }
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.instance.get(..8).unwrap_or(&self.instance);
        write!(f, "instance {id} at {}", self.address)
    }
}

/// An instance, and one of the migrations that it serves.
#[derive(Clone, Debug, Serialize)]
pub struct Served {
    pub migration: String,
    #[serde(flatten)]
    pub instance: Instance,
}

const COLUMNS: &str = "instance::text, address, phase, generation, drained, \
    extract(epoch FROM clock_timestamp() - seen_at)::float8, \
    fallbacks, divergences, shadow_equal, shadow_different, shadow_failed, held_by, p99_ms, epoch, migration";

/// All instances that serve a migration, those that fell silent included.
pub async fn instances(client: &Client, migration: &str) -> Result<Vec<Instance>, ControlError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM crossfade.instances WHERE migration = $1 ORDER BY started_at, instance"
    );
    let rows = client.query(&sql, &[&migration]).await;
    let rows = rows.map_err(ControlError::sql("list of instances"))?;
    Ok(rows.iter().map(instance).collect())
}

/// All that serve anything.
pub async fn all(client: &Client) -> Result<Vec<Served>, ControlError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM crossfade.instances ORDER BY started_at, instance, migration"
    );
    let rows = client.query(&sql, &[]).await;
    let rows = rows.map_err(ControlError::sql("list of instances"))?;
    let served = |row: &tokio_postgres::Row| Served {
        migration: row.get(14),
        instance: instance(row),
    };
    Ok(rows.iter().map(served).collect())
}

/// Takes one that fell silent off the list; its id. Nothing is decided by this: its epoch is open for as long as the
/// database says so.
pub async fn forget(client: &Client, id: &str) -> Result<String, ControlError> {
    let all = all(client).await?;
    let mut of_id: Vec<&Instance> = all.iter().map(|served| &served.instance).collect();
    of_id.retain(|instance| !id.is_empty() && instance.instance.starts_with(id));
    of_id.dedup_by(|one, other| one.instance == other.instance);
    let [instance] = of_id.as_slice() else {
        return Err(ControlError::Refused(format!(
            "{} instances have an id that begins with `{id}`: expected one; `crossfade instances` lists them",
            of_id.len()
        )));
    };
    if instance.live {
        return Err(ControlError::Refused(format!(
            "{instance} was heard of {:.0} s ago: stop it, and it signs off by itself",
            instance.seen_seconds_ago
        )));
    }
    client
        .execute(
            "DELETE FROM crossfade.instances WHERE instance = $1::text::uuid",
            &[&instance.instance],
        )
        .await
        .map_err(ControlError::sql("removal of an instance"))?;
    Ok(instance.to_string())
}

fn instance(row: &tokio_postgres::Row) -> Instance {
    let seen_seconds_ago: f64 = row.get(5);
    Instance {
        instance: row.get(0),
        address: row.get(1),
        phase: row.get(2),
        epoch: row.get(13),
        generation: row.get(3),
        drained: row.get(4),
        held_by: row.get(11),
        p99_ms: row.get(12),
        seen_seconds_ago,
        live: seen_seconds_ago <= GONE_AFTER_SECONDS,
        counted: InstanceTotals {
            fallbacks: row.get(6),
            divergences: row.get(7),
            shadow_equal: row.get(8),
            shadow_different: row.get(9),
            shadow_failed: row.get(10),
        },
    }
}
