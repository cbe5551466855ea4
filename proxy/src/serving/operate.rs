//! What somebody does through a running proxy: steps, taken over connections of their own by the proxy's control URL, with
//! the gates, turns, fences and records that commands have. Who it was is told to the record by whoever asks here.

use std::sync::Arc;

use rewrite_rules::{Phase, RuleSet};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control::error::ControlError;
use crate::control::events::Actor;
use crate::control::gate::Gate;
use crate::control::{Control, connect};
use crate::shared::Shared;
use crate::steps::site::{Site, SiteError, Wanted};
use crate::steps::step::{StepDirection, Taken};
use crate::steps::walk::{self, Told, Walk, WalkError, Walked};

/// Lines that whoever listens has not taken yet. A step tells a few in a second; who takes none of them misses some, and
/// holds nothing up.
const LINES_MAX: usize = 256;

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
}
