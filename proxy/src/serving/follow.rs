//! The directory of rule files, watched, and put into force when it changes.
//!
//! A bad set never replaces a good one: every error is logged with file, line and column, and the
//! running generation stays.

use std::path::Path;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use rewrite_rules::{RuleSet, SourceFile};
use tokio::sync::mpsc;

use super::admission::{self, Admission, Texts};
use super::{attached, names};
use crate::control::ControlError;
use crate::generation::{Generation, Reasons};
use crate::rules_dir::{self, RulesError};
use crate::shared::{LoadedRules, Shared};
use crate::supervisor;

/// Editors write a file in several steps: the directory is read once they have been quiet so long.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Network and overlay filesystems may send no events, and an edit may fall into the time before the
/// directory is watched: it is read as well.
const POLL: Duration = Duration::from_secs(1);

/// Rules that were refused are compared with the database again: it may be what was wrong. It takes a
/// transaction that tries rows.
const AGAIN: Duration = Duration::from_secs(10);

/// Why the directory's rules are not in force.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Database(#[from] ControlError),
    #[error("{}", listed(.0))]
    Misfit(Reasons),
}

fn listed(reasons: &Reasons) -> String {
    let lines = reasons.iter().map(|(migration, reason)| {
        format!("migration {migration} does not fit the database: {reason}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The first rules, before anybody is served: a migration that does not fit the database is withheld,
/// and so is each as long as it is not known, for what was served before is not known either.
pub async fn begin(shared: &Shared) {
    let Some(url) = &shared.config.control.url else {
        return;
    };
    names::begin(shared).await;
    let generation = shared.generations.current();
    let rules = generation.rules();
    let withheld = match admission::first(url, rules).await {
        Ok(withheld) => withheld,
        Err(error) => admission::all(
            rules,
            &format!("it is not known yet whether they do: {error}"),
        ),
    };
    if !withheld.is_empty() {
        tracing::error!("statements are refused: {}", listed(&withheld));
        let rules = rules.withheld(|name| withheld.get(name).cloned());
        // Of the same phases, so there is no step that could be refused.
        if let Err(error) = shared.generations.install(rules) {
            tracing::error!("the rules were not withheld: {error}");
        }
    }
    let generation = shared.generations.current();
    if let Err(error) = attached::before(shared, generation.rules()).await {
        tracing::error!("the database is not prepared for the rules: {error}");
    }
}

/// Reads the proxy's directory and puts it into force if its texts are not those that are: what is
/// in force decides, never what was seen last, so no change can be missed, whenever it was made.
/// The database is asked first, and then prepared: what new rules call must be there.
async fn follow(
    shared: &Shared,
    dir: &Path,
    last: &mut Option<RefusedFiles>,
) -> Result<(), FollowError> {
    let files = rules_dir::read(dir)?;
    let running = shared.generations.current();
    let is_same = same(&in_force(shared).files, &files);
    if is_same && !running.withholds() {
        *last = None;
        return Ok(());
    }
    if let Some(last) = last.as_ref().filter(|last| last.is_this(&files)) {
        return Err(FollowError::Misfit(last.reasons.clone()));
    }
    let rules = RuleSet::compile(files.clone()).map_err(RulesError::from)?;
    let rules = names::known(shared, rules).await?;
    shared.served.may_follow(&rules).map_err(RulesError::from)?;
    shared
        .generations
        .may_follow(&rules)
        .map_err(RulesError::from)?;
    let Admission { refused, withheld } = admitted(shared, &running, (&rules, &files)).await?;
    if !refused.is_empty() {
        *last = Some(RefusedFiles::now(files, refused.clone()));
        return Err(FollowError::Misfit(refused));
    }
    *last = None;
    let rules = rules.withheld(|name| withheld.get(name).cloned());
    if is_same && rules.same_misfits(running.rules()) {
        return Ok(());
    }
    attached::before(shared, &rules).await?;
    let mut loaded = in_force(shared);
    shared
        .generations
        .install(rules)
        .map_err(RulesError::from)?;
    *loaded = LoadedRules::of(files);
    drop(loaded);
    log_phases(shared);
    Ok(())
}

/// Without a control connection nobody can be asked, and nothing is known against them.
async fn admitted(
    shared: &Shared,
    running: &Generation,
    (rules, files): (&RuleSet, &[SourceFile]),
) -> Result<Admission, ControlError> {
    let Some(url) = &shared.config.control.url else {
        return Ok(Admission::default());
    };
    let in_force = in_force(shared).files.clone();
    let running = Texts {
        rules: running.rules(),
        files: &in_force,
    };
    admission::following(url, running, Texts { rules, files }).await
}

/// Files that were refused for what the database says of them.
struct RefusedFiles {
    files: Vec<SourceFile>,
    reasons: Reasons,
    at: Instant,
}

impl RefusedFiles {
    fn now(files: Vec<SourceFile>, reasons: Reasons) -> RefusedFiles {
        RefusedFiles {
            files,
            reasons,
            at: Instant::now(),
        }
    }

    /// Whether they are the same, and were looked at a moment ago.
    fn is_this(&self, files: &[SourceFile]) -> bool {
        self.at.elapsed() < AGAIN && same(&self.files, files)
    }
}

/// What `status` is to tell of rules that are not in force.
fn note(shared: &Shared, result: &Result<(), FollowError>) {
    let reasons = match result {
        Ok(()) => Reasons::new(),
        Err(FollowError::Misfit(reasons)) => reasons.clone(),
        Err(error) => Reasons::from([(String::new(), error.to_string())]),
    };
    let mut noted = shared
        .refused
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    *noted = reasons;
}

fn in_force(shared: &Shared) -> MutexGuard<'_, LoadedRules> {
    shared.loaded.lock().unwrap_or_else(PoisonError::into_inner)
}

fn same(a: &[SourceFile], b: &[SourceFile]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.path == b.path && a.text == b.text)
}

/// One line for each migration: what holds from now on.
pub fn log_phases(shared: &Shared) {
    let generation = shared.generations.current();
    let number = generation.number();
    if generation.phases().next().is_none() {
        tracing::info!(generation = number, "no rules: everything passes through");
    }
    let database = shared.served.database();
    for (migration, phase) in generation.phases() {
        tracing::info!(generation = number, migration, %phase, database, "rules in force");
        if database.is_none() {
            tracing::warn!(
                migration,
                "no control URL and no `database` in a rule file: these rules hold in every database"
            );
        }
    }
}

/// Follows the directory until dropped. `asked` wakes it as well (SIGHUP).
///
/// Not awaited to an end: cancel it by dropping, no reload is ever left half-done.
pub async fn watch(shared: &Shared, mut asked: mpsc::Receiver<()>) {
    let Some(dir) = &shared.config.rules else {
        // Nothing to follow, and a request to reload has nothing to do.
        while asked.recv().await.is_some() {
            supervisor::reloading();
            tracing::info!("no rules directory is configured: nothing to reload");
            supervisor::ready();
        }
        return std::future::pending().await;
    };
    // One event waiting is as good as many.
    let (changed, mut changes) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading of the directory is an event too, and must not wake us again.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    });
    let _watching = match watcher.and_then(|mut w| {
        w.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(w)
    }) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "no file events: polling only");
            None
        }
    };
    let mut told = String::new();
    let mut refused = None;
    let mut names = names::Following::default();
    let mut poll = tokio::time::interval(POLL);
    loop {
        // Each of these is cancel-safe.
        let forced = tokio::select! {
            Some(()) = changes.recv() => {
                tokio::time::sleep(DEBOUNCE).await;
                while changes.try_recv().is_ok() {}
                false
            }
            Some(()) = asked.recv() => true,
            _ = poll.tick() => false,
        };
        if forced {
            supervisor::reloading();
        }
        if forced {
            refused = None;
        }
        let followed = follow(shared, dir, &mut refused).await;
        // What stands against it is told, and looked for again.
        drop(names.look(shared).await);
        note(shared, &followed);
        match followed {
            Ok(()) => told.clear(),
            // Tried again at the next poll, and told of once.
            Err(error) => {
                let error = error.to_string();
                if forced || told != error {
                    let generation = shared.generations.newest();
                    tracing::error!(generation, "the rules were not changed: {error}");
                }
                told = error;
            }
        }
        if forced {
            // With the rules of before, where the new ones are wrong.
            supervisor::ready();
        }
    }
}
