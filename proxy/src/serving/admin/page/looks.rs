//! What the gates said when somebody last looked. Some compare rows with the rules, which takes seconds of the database: a
//! page that looks again every few seconds must not have them looked at as often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rewrite_rules::Phase;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::model::Gates;
use crate::control::connect;
use crate::control::error::ControlError;
use crate::shared::Shared;
use crate::steps::step::StepDirection;
use crate::steps::views::{self, GateRow};

/// What is older is looked at again when somebody is there to see it.
const FRESH: Duration = Duration::from_secs(120);
/// Whoever asks for it again and again has it looked at no more often than this.
const ASKED: Duration = Duration::from_secs(1);

type Step = (String, Phase, bool);

#[derive(Debug, Default)]
pub(super) struct Looks {
    known: Mutex<BTreeMap<Step, Look>>,
}

#[derive(Debug, Default)]
struct Look {
    found: Option<(Instant, Result<Vec<GateRow>, String>)>,
    /// Ends by itself: what it asks of the database has its limits there.
    task: Option<JoinHandle<()>>,
}

impl Look {
    fn is_looking(&self) -> bool {
        self.task.as_ref().is_some_and(|task| !task.is_finished())
    }
}

impl Looks {
    /// What is known of the gates of a step from this phase. They are looked at if that is too old, or `asked` for.
    pub fn of(
        self: &Arc<Self>,
        runtime: &Handle,
        shared: &Arc<Shared>,
        (migration, from): (&str, Phase),
        direction: StepDirection,
        asked: bool,
    ) -> Gates {
        if direction.from(from).is_none() {
            return Gates::NoStep;
        }
        let key = (
            migration.to_owned(),
            from,
            direction == StepDirection::Forward,
        );
        let mut known = lock(&self.known);
        // What another phase's gates said is of no use to anybody.
        known.retain(|(name, phase, _), _| name != migration || *phase == from);
        let look = known.entry(key.clone()).or_default();
        let age = look.found.as_ref().map(|(at, _)| at.elapsed());
        let old_enough = if asked { ASKED } else { FRESH };
        if !look.is_looking() && age.is_none_or(|age| age >= old_enough) {
            let (looks, shared) = (Arc::clone(self), Arc::clone(shared));
            look.task = Some(runtime.spawn(async move {
                let found = ask(&shared, &key.0, direction).await;
                let found = found.map_err(|error| error.to_string());
                // The migration may have left the phase meanwhile.
                if let Some(look) = lock(&looks.known).get_mut(&key) {
                    look.found = Some((Instant::now(), found));
                    look.task = None;
                }
            }));
        }
        let looking = look.is_looking();
        match &look.found {
            None => Gates::Looking,
            Some((at, Ok(rows))) => Gates::Known {
                rows: rows.clone(),
                age: at.elapsed(),
                looking,
            },
            Some((at, Err(why))) => Gates::Failed {
                why: why.clone(),
                age: at.elapsed(),
            },
        }
    }
}

async fn ask(
    shared: &Shared,
    migration: &str,
    direction: StepDirection,
) -> Result<Vec<GateRow>, ControlError> {
    let url = shared.config.control.url.as_deref();
    let url = url.ok_or_else(|| ControlError::Refused("there is no control URL".to_owned()))?;
    let client = connect(url, "gates").await?;
    let generation = shared.generations.current();
    let (rules, times) = (generation.rules(), &shared.config.gates);
    views::gates(&client, rules, migration, direction, times).await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
