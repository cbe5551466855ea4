//! All chunks of a table: workers that take ranges from a common list, and one that watches over
//! them and says how fast they may go.
//!
//! They run within one task, each on its own connection: their work is the server's. It knows
//! nothing of what a chunk does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use rewrite_rules::{Lens, Migration};
use tokio::sync::watch;
use tokio_postgres::Client;

use super::chunk::Chunks;
use super::conflict::{LOCK_WAIT_MAX, backoff, is_conflict};
use super::parts::{self, KeyPart};
use super::state::{self, CopyProgress, State, Wish};
use super::throttle::{Allowed, ServerLoad, allowed, brake};
use super::watch::Watch;
use super::{Event, Tell};
use crate::control::hold::Hold;
use crate::control::{ControlError, connect, drain};
use crate::pace::Pace;

/// How often it is looked at what is wanted and what the server does besides.
const LOOK: Duration = Duration::from_millis(100);
/// Proxies say once a second how long their clients wait.
const LOOKS_FOR_A_BRAKE: u64 = 10;
/// How much the latest look counts: of the others at work an average over about a second.
const LATEST: f64 = 0.1;

/// What workers share.
struct SharedByWorkers<'a> {
    url: &'a str,
    migration: &'a Migration,
    lens: &'a Lens,
    hold: &'a Hold<'a>,
    parts: Mutex<VecDeque<KeyPart>>,
    told: Mutex<ToldSoFar<'a>>,
}

struct ToldSoFar<'a> {
    tell: Tell<'a>,
    progress: CopyProgress,
}

impl ToldSoFar<'_> {
    fn says(&mut self, line: &str) {
        (self.tell)(Event::Says(line));
    }
}

impl<'a> SharedByWorkers<'a> {
    fn told(&self) -> MutexGuard<'_, ToldSoFar<'a>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_part(&self) -> Option<KeyPart> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.pop_front()
    }
}

/// Copies what is left of a run, and notes that all of it is in.
pub async fn copy(
    url: &str,
    client: &mut Client,
    (migration, lens, hold): (&Migration, &Lens, &Hold<'_>),
    progress: CopyProgress,
    workers: usize,
    tell: Tell<'_>,
) -> Result<(), ControlError> {
    let run = progress.run.clone();
    if let Some(highest) = progress.highest_key.clone() {
        parts::divide(client, lens, &progress, &highest).await?;
        let parts = parts::unfinished(client, &run).await?;
        let workers = workers.clamp(1, parts.len().max(1));
        let shared = SharedByWorkers {
            url,
            migration,
            lens,
            hold,
            parts: Mutex::new(parts.into()),
            told: Mutex::new(ToldSoFar { tell, progress }),
        };
        let watch = Watch::of(client, &run).await?;
        let (settings, seen) = watch.look().await?;
        let (allows, allowance) = watch::channel(allowed(&settings, seen, workers));
        let all = try_join_all((0..workers).map(|_| worker(&shared, allowance.clone())));
        tokio::select! {
            done = all => { done?; }
            failed = look_after(&watch, seen, workers, &allows, &shared) => failed?,
        }
    }
    state::enter(client, (lens, hold), &run, State::Running, State::Sweeping).await
}

/// Says again and again how fast they may go. It ends only by failing.
async fn look_after(
    watch: &Watch<'_>,
    mut seen: ServerLoad,
    workers: usize,
    allows: &watch::Sender<Allowed>,
    shared: &SharedByWorkers<'_>,
) -> Result<(), ControlError> {
    for look in 1_u64.. {
        tokio::time::sleep(LOOK).await;
        let (settings, now) = watch.look().await?;
        seen = ServerLoad {
            busy: seen.busy + LATEST * (now.busy - seen.busy),
            brake: if look.is_multiple_of(LOOKS_FOR_A_BRAKE) {
                brake(seen.brake, now.p99_ms, settings.p99_max_ms)
            } else {
                seen.brake
            },
            ..now
        };
        let allowed = allowed(&settings, seen, workers);
        let mut told = shared.told();
        let ToldSoFar { tell, progress } = &mut *told;
        progress.wish = settings.wish;
        progress.rows_per_second_max = settings.rows_per_second_max;
        progress.replica_lag_max_seconds = settings.replica_lag_max_seconds;
        progress.p99_max_ms = settings.p99_max_ms;
        progress.yields = settings.yields;
        progress.held_back.clone_from(&allowed.why);
        tell(Event::Progress(progress));
        drop(told);
        allows.send_replace(allowed);
    }
    Ok(())
}

async fn worker(
    shared: &SharedByWorkers<'_>,
    mut allowance: watch::Receiver<Allowed>,
) -> Result<(), ControlError> {
    let (run, direction, chunk_rows) = {
        let told = shared.told();
        let progress = &told.progress;
        (
            progress.run.clone(),
            progress.direction,
            progress.chunk_rows,
        )
    };
    let mut client = connect(shared.url, "backfill").await?;
    let chunks = Chunks::prepare(&client, shared.lens, direction, Some(shared.hold)).await?;
    let mut pace = Pace::start(chunk_rows);
    while let Some(mut part) = shared.next_part() {
        while one_chunk(
            shared,
            &mut client,
            &chunks,
            &run,
            &mut part,
            &mut pace,
            &mut allowance,
        )
        .await?
        {}
        parts::finish(&client, &run, part.number).await?;
    }
    Ok(())
}

/// The next chunk of a range, once it is allowed; false when there is none.
async fn one_chunk(
    shared: &SharedByWorkers<'_>,
    client: &mut Client,
    chunks: &Chunks<'_>,
    run: &str,
    part: &mut KeyPart,
    pace: &mut Pace,
    allowance: &mut watch::Receiver<Allowed>,
) -> Result<bool, ControlError> {
    let mut blocked: Option<(Instant, u32)> = None;
    loop {
        let allowed = until_allowed(allowance).await?;
        let rows = pace.throttled_rows(allowed.rows_per_second_max);
        let started = Instant::now();
        match chunks.copy(client, run, part, rows).await {
            Ok(None) => return Ok(false),
            Ok(Some(copied)) => {
                // A chunk that reached the end early says nothing of the size.
                if copied.counts.rows >= rows {
                    pace.took(started.elapsed());
                }
                part.last_key = Some(copied.last_key);
                {
                    let mut told = shared.told();
                    let ToldSoFar { tell, progress } = &mut *told;
                    progress.rows_done += copied.counts.rows;
                    progress.rows_put += copied.counts.put;
                    progress.rows_set_aside += copied.counts.set_aside;
                    progress.chunk_rows = pace.chunk_rows();
                    tell(Event::Progress(progress));
                }
                let rest = allowed.rest(copied.counts.rows, started.elapsed());
                tokio::time::sleep(rest).await;
                return Ok(true);
            }
            Err(error) if is_conflict(&error) => {
                let (since, attempt) = blocked.unwrap_or((started, 0));
                if since.elapsed() >= LOCK_WAIT_MAX {
                    return Err(gave_up(client, shared.migration, since).await?);
                }
                if attempt == 1 {
                    shared.told().says(
                        "a row of the next chunk is locked by another transaction; waiting for it",
                    );
                }
                pace.blocked();
                tokio::time::sleep(backoff(attempt)).await;
                blocked = Some((since, attempt + 1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits while it is paused or held up.
async fn until_allowed(allowance: &mut watch::Receiver<Allowed>) -> Result<Allowed, ControlError> {
    loop {
        let allowed = allowance.borrow_and_update().clone();
        match allowed.wish {
            Wish::Run if !allowed.hold => return Ok(allowed),
            Wish::Run | Wish::Pause => {}
            Wish::Cancel => {
                return Err(ControlError::Refused(
                    "the backfill was cancelled; run again, it goes on where it stopped".to_owned(),
                ));
            }
        }
        // Its sender lives as long as the workers do.
        if allowance.changed().await.is_err() {
            return Ok(allowed);
        }
    }
}

async fn gave_up(
    client: &Client,
    migration: &Migration,
    since: Instant,
) -> Result<ControlError, ControlError> {
    let writers = drain::writers(client, migration).await?;
    let lines: Vec<String> = writers.iter().map(ToString::to_string).collect();
    Ok(ControlError::TimedOut {
        waited_seconds: since.elapsed().as_secs(),
        waiting_for: format!(
            "a row of the next chunk stays locked; who writes to the table now:\n{}\n\
             The backfill goes on from here when it is run again",
            lines.join("\n")
        ),
    })
}
