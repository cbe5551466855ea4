//! What somebody does through a running proxy: steps, taken over connections of their own by the proxy's control URL, with
//! the gates, turns, fences and records that commands have. Who it was is told to the record by whoever asks here.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rewrite_rules::{Phase, RuleSet};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control::canary::NewCanary;
use crate::control::error::ControlError;
use crate::control::events::{self, Actor};
use crate::control::gate::Gate;
use crate::control::{Control, connect};
use crate::shared::{Pause, Shared};
use crate::steps::canary;
use crate::steps::site::{Site, SiteError, Wanted};
use crate::steps::step::{StepDirection, Taken};
use crate::steps::walk::{self, Told, Walk, WalkError, Walked};

/// Lines that whoever listens has not taken yet. A step tells a few in a second; who takes none of them misses some, and
/// holds nothing up.
const LINES_MAX: usize = 256;

/// Between two looks whether somebody is still in a transaction.
const LOOK: Duration = Duration::from_millis(20);

/// What is done to a proxy is on the record whether or not the database answers at once.
const NOTE_TIMEOUT: Duration = Duration::from_secs(30);
/// Whose events those are.
const NO_MIGRATION: &str = "";

/// Somebody who acts through this proxy.
#[derive(Clone, Debug)]
pub struct Operator {
    shared: Arc<Shared>,
    by: Actor,
}

/// What is told while a step is taken.
#[derive(Clone, Debug)]
pub enum Progress {
    Line(String),
    Step(StepTaken),
}

/// A step that was taken, and what its gates found.
#[derive(Clone, Debug)]
pub struct StepTaken {
    pub from: Phase,
    pub to: Phase,
    pub gates: Vec<Gate>,
    /// Proxies that serve it.
    pub instances: usize,
    /// Transactions that were waited for.
    pub waited_for: usize,
}

impl From<&Taken> for StepTaken {
    fn from(taken: &Taken) -> StepTaken {
        StepTaken {
            from: taken.from,
            to: taken.to,
            gates: taken.gates.clone(),
            instances: taken.drained.instances,
            waited_for: taken.drained.waited_for,
        }
    }
}

/// A step that is being taken. Dropped before its end it is given up, as a command that is killed: the next one completes
/// it.
#[derive(Debug)]
pub struct Running {
    /// Ends with the step.
    pub progress: mpsc::Receiver<Progress>,
    task: JoinHandle<Result<Walked, WalkError>>,
}

impl Running {
    /// How it ended. Cancel-safe.
    pub async fn end(&mut self) -> Result<Walked, WalkError> {
        let ended = (&mut self.task).await;
        ended.unwrap_or_else(|error| {
            Err(ControlError::Refused(format!("the step broke off: {error}")).into())
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Operator {
    #[must_use]
    pub fn new(shared: &Arc<Shared>, by: Actor) -> Operator {
        Operator {
            shared: Arc::clone(shared),
            by,
        }
    }

    /// Whose name goes on the record.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.by
    }

    /// The database and the rule files of this proxy; an error where it has no control URL.
    pub fn site(&self) -> Result<Site, SiteError> {
        Site::of(&self.shared.config)
    }

    /// A connection for looking; `work` is what `pg_stat_activity` shows of it.
    pub async fn connect(&self, work: &str) -> Result<Control, SiteError> {
        Ok(connect(&self.site()?.url, work).await?)
    }

    /// The rules in force, and the rule files of migrations that the database does not know yet.
    pub async fn rules(&self) -> Result<RuleSet, SiteError> {
        self.site()?.rules(Wanted::InForce, &mut |_| {}).await
    }

    /// One phase forward, or up to a phase.
    #[must_use]
    pub fn advance(&self, migration: &str, to: Option<Phase>) -> Running {
        self.start(Walk::new(
            migration,
            StepDirection::Forward,
            to,
            self.by.clone(),
        ))
    }

    /// One phase back.
    #[must_use]
    pub fn rollback(&self, migration: &str) -> Running {
        self.start(Walk::new(
            migration,
            StepDirection::Back,
            None,
            self.by.clone(),
        ))
    }

    /// Has some sessions read as in the next phase; `None`: none any more. False: there was none.
    pub async fn canary(
        &self,
        migration: String,
        wanted: Option<NewCanary>,
    ) -> Result<bool, SiteError> {
        let (site, by) = (self.site()?, self.by.clone());
        // Reading rules takes a stack that grammars need.
        let done = self.shared.runtime.spawn(async move {
            match wanted {
                Some(new) => {
                    let begun = canary::begin(&site, &migration, &new, &by, &mut |_| {}).await;
                    begun.map(|()| true)
                }
                None => canary::end(&site, &migration, "an operator ended it", &by).await,
            }
        });
        done.await.unwrap_or_else(|error| {
            Err(ControlError::Refused(format!("it broke off: {error}")).into())
        })
    }

    /// Steps as they are asked for, in a task of the proxy's own runtime: reading rules and statements takes a stack that
    /// grammars need, and time that no session is to wait for.
    #[must_use]
    pub fn start(&self, walk: Walk) -> Running {
        let (tells, progress) = mpsc::channel(LINES_MAX);
        let site = self.site();
        let task = self.shared.runtime.spawn(async move {
            let site = site?;
            let mut tell = |told: Told<'_>| {
                let told = match told {
                    Told::Line(line) => Progress::Line(line.to_owned()),
                    Told::Step(taken) => Progress::Step(taken.into()),
                };
                // Nobody listens, or not fast enough: the step goes on.
                let _ = tells.try_send(told);
            };
            walk::walk(&site, &walk, &mut tell).await
        });
        Running { progress, task }
    }

    /// Holds the next transaction of every client back, and waits until none runs any more. After `longest` they go on by
    /// themselves: an operator whose connection breaks must not have stopped an application.
    pub async fn pause(&self, longest: Duration) -> Result<(), PauseError> {
        let until = Instant::now() + longest;
        if let Some(other) = &*self.paused() {
            return Err(PauseError::Already(other.by.clone()));
        }
        *self.paused() = Some(Pause {
            by: self.by.to_string(),
            until,
        });
        self.shared.stop.pause();
        tracing::warn!(by = %self.by, ?longest, "transactions are held back");
        self.note("pause", json!({ "longest_seconds": longest.as_secs_f64() }));
        let ends = self.clone();
        self.shared.runtime.spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            if ends.paused().as_ref().is_some_and(|p| p.until == until) {
                tracing::warn!(by = %ends.by, "the pause has lasted as long as it may");
                ends.resume();
            }
        });
        // Whoever had looked before the pause began has begun its transaction by the second look.
        let mut quiet_looks = 0;
        while quiet_looks < 2 {
            if self.paused().as_ref().is_none_or(|p| p.until != until) {
                return Err(PauseError::Over);
            }
            quiet_looks = match self.is_quiet() {
                true => quiet_looks + 1,
                false => 0,
            };
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Lets clients go on. False: nobody was held.
    pub fn resume(&self) -> bool {
        *self.paused() = None;
        let resumed = self.shared.stop.resume();
        if resumed {
            tracing::warn!(by = %self.by, "transactions go on");
            self.note("resume", json!({}));
        }
        resumed
    }

    /// Ends a client's session. False: there is none of this number.
    pub fn kill(&self, session: u64) -> bool {
        let killed = self.shared.sessions.kill(session);
        if killed {
            tracing::warn!(by = %self.by, session, "a session is to end");
            self.shared.stop.wake();
            self.note("kill", json!({ "session": session }));
        }
        killed
    }

    /// Has rule files and certificates read again; what comes of it is told in the log and by `status`.
    pub fn reload(&self) {
        tracing::info!(by = %self.by, "rule files and certificates are to be read again");
        self.shared.reload.notify_one();
        self.note("reload", json!({}));
    }

    /// Puts on the record what somebody did to this proxy; it is done already, and waits for nothing.
    fn note(&self, kind: &'static str, mut details: Value) {
        let Ok(site) = self.site() else {
            return;
        };
        details["proxy"] = self.shared.config.listen.0.clone().into();
        let by = self.by.clone();
        self.shared.runtime.spawn(async move {
            let noting = async {
                let client = connect(&site.url, "console").await?;
                events::note_by(&client, NO_MIGRATION, kind, &details, &by).await
            };
            let noted = tokio::time::timeout(NOTE_TIMEOUT, noting).await;
            if !matches!(noted, Ok(Ok(()))) {
                tracing::warn!(kind, by = %by, "it is not on the record: the database does not take it");
            }
        });
    }

    fn is_quiet(&self) -> bool {
        let Shared {
            generations,
            elsewhere,
            ..
        } = &*self.shared;
        [generations, elsewhere]
            .iter()
            .all(|all| all.oldest_pinned().is_none())
    }

    /// Nothing that holds the lock can leave what it guards half-changed.
    fn paused(&self) -> MutexGuard<'_, Option<Pause>> {
        let paused = self.shared.pause.lock();
        paused.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why nobody is held back.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    #[error("transactions are held back already, by {0}")]
    Already(String),
    #[error("transactions go on: the pause was over before all of those that ran had ended")]
    Over,
}
