//! Steps that are taken through this page, one at a time for each migration. A step may wait for minutes, a request must
//! not: it goes on by itself, and whoever looks sees how far it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::model::{Activity, Ended};
use crate::serving::operate::{Progress, Running};

/// The lines that are kept of what a step tells.
const LINES_MAX: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Steps {
    by_migration: Mutex<BTreeMap<String, Step>>,
}

#[derive(Debug)]
struct Step {
    activity: Arc<Mutex<Activity>>,
    ended: watch::Receiver<bool>,
    /// Dropped with the page: the step is given up then as a command is that is killed.
    task: JoinHandle<()>,
}

impl Drop for Step {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{by} is taking a step of it through this proxy, which has not come to its end")]
pub(super) struct UnderWay {
    by: String,
}

impl Steps {
    /// Has a step taken, unless one is under way. What comes back completes with it.
    pub fn begin(
        &self,
        runtime: &Handle,
        migration: &str,
        activity: Activity,
        start: impl FnOnce() -> Running,
    ) -> Result<watch::Receiver<bool>, UnderWay> {
        let mut all = lock(&self.by_migration);
        if let Some(step) = all.get(migration) {
            let known = lock(&step.activity);
            if known.ended.is_none() {
                return Err(UnderWay {
                    by: known.by.clone(),
                });
            }
        }
        let activity = Arc::new(Mutex::new(activity));
        let (ends, ended) = watch::channel(false);
        let follows = follow(start(), Arc::clone(&activity), ends);
        let task = runtime.spawn(follows);
        let step = Step {
            activity,
            ended: ended.clone(),
            task,
        };
        all.insert(migration.to_owned(), step);
        Ok(ended)
    }

    /// The step that is under way, or the last one.
    pub fn of(&self, migration: &str) -> Option<Activity> {
        let all = lock(&self.by_migration);
        let step = all.get(migration)?;
        let mut activity = lock(&step.activity).clone();
        // A task that broke tells nothing any more.
        if activity.ended.is_none() && step.task.is_finished() && !*step.ended.borrow() {
            activity.ended = Some(Ended::Refused("the step broke off".to_owned()));
        }
        Some(activity)
    }
}

async fn follow(mut running: Running, activity: Arc<Mutex<Activity>>, ends: watch::Sender<bool>) {
    let mut taken = None;
    while let Some(progress) = running.progress.recv().await {
        match progress {
            Progress::Line(line) => {
                let lines = &mut lock(&activity).lines;
                if lines.len() >= LINES_MAX {
                    lines.remove(0);
                }
                lines.push(without_statements(&line));
            }
            Progress::Step(step) => taken = Some(step),
        }
    }
    let ended = match (running.end().await, taken) {
        (Ok(_walked), Some(step)) => Ended::Taken {
            instances: step.instances,
            waited_for: step.waited_for,
        },
        // It told of so much that the step's own words found no room.
        (Ok(_walked), None) => Ended::Taken {
            instances: 0,
            waited_for: 0,
        },
        (Err(error), _) => Ended::Refused(without_statements(&error.to_string())),
    };
    lock(&activity).ended = Some(ended);
    ends.send_replace(true);
}

/// Who is waited for is told with the statement that he sent last, as the server has it. The page shows its shape elsewhere,
/// and no constant of it.
fn without_statements(told: &str) -> String {
    let lines = told.lines().map(|line| match line.split_once(", last: ") {
        Some((who, _statement)) => who,
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_others_holds_no_statement_of_theirs() {
        let blocker = crate::control::drain::Blocker {
            virtual_transaction: "1/2".to_owned(),
            pid: Some(7),
            user: "app".to_owned(),
            application: "report".to_owned(),
            age_seconds: 5.0,
            state: "active".to_owned(),
            query: "SELECT 'secret', 'secret, last: secret'".to_owned(),
            address: String::new(),
        };
        let told = format!("it waits for\nit waits for {blocker}\nand then");
        let expected = "it waits for\nit waits for pid 7 (user app, application report), in a transaction for 5 s (active)\nand then";
        assert_eq!(without_statements(&told), expected);
    }
}
