//! What is in force: followed in the database, which decides where there is a control connection, and in the directory of
//! rule files, whose changes are proposed to it. Without a control connection the directory alone decides.
//!
//! A bad set never replaces a good one: every error is logged with file, line and column, and what is in force stays.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use rewrite_rules::{Held, Migration, Phase, RuleSet, SourceFile};
use tokio::sync::mpsc;

use super::admission::{self, Admission, Texts};
use super::{attached, names};
use crate::control::epochs::{self, InForce, NewEpoch};
use crate::control::instances::{self, Instance};
use crate::control::{Control, ControlError, connect, events, phase_file};
use crate::generation::{InstallError, Reasons};
use crate::rules_dir::{self, RulesError};
use crate::shared::{LoadedRules, Shared};
use crate::sources::{self, Sources};
use crate::supervisor;

/// Editors write a file in several steps: the directory is read once they have been quiet so long.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Network and overlay filesystems may send no events, and an edit may fall into the time before the
/// directory is watched: it is read as well.
const POLL: Duration = Duration::from_secs(1);

/// Nobody is served before the first look has ended.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

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
    #[error(
        "{path} says {said}, and {migration} is in {phase}: a phase is no text that is edited, \
         `crossfade advance` and `crossfade rollback` lead from one to the next"
    )]
    ByHand {
        path: String,
        migration: String,
        said: Phase,
        phase: Phase,
    },
    #[error(
        "crossfade.epochs has nothing of migration {0} any more, which was in force: its statements are refused until it has"
    )]
    Lost(String),
    #[error("migration {0} has changed meanwhile")]
    Overtaken(String),
}

fn listed(reasons: &Reasons) -> String {
    let lines = reasons.iter().map(|(migration, reason)| {
        format!("migration {migration} does not fit the database: {reason}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The first rules, before anybody is served: those that the database has in force, and the directory's where it has none.
/// A migration that does not fit the database is withheld, and so is each as long as it is not known, for what was served
/// before is not known either.
pub async fn begin(shared: &Shared) -> Following {
    let mut following = Following {
        considered: in_force(shared).sources.files.clone(),
        ..Following::default()
    };
    let Some(url) = &shared.config.control.url else {
        return following;
    };
    let rows = following.rows_at_last(url).await;
    for (migration, difference) in sources::differences(&following.considered, &rows) {
        tracing::warn!(migration, "{difference}");
    }
    let taken = following.sources(shared, &rows);
    if let Err(error) = put_in_force(shared, taken) {
        tracing::error!("statements are refused, for what is in force cannot be served: {error}");
        let rules = shared.generations.current();
        put(shared, rules.rules().held(|_| Held::Unknown));
    }
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
        put(shared, rules.withheld(|name| withheld.get(name).cloned()));
    }
    let generation = shared.generations.current();
    if let Err(error) = attached::before(shared, generation.rules()).await {
        tracing::error!("the database is not prepared for the rules: {error}");
    }
    // With the epochs of what was new to the database. If somebody else was faster to say what holds, that is adopted
    // first of all.
    if let Ok(rows) = following.rows(url).await {
        let taken = following.sources(shared, &rows);
        let rules = shared.generations.current();
        if in_force(shared).sources.files != taken.files {
            put(shared, rules.rules().held(|_| Held::Unknown));
        } else if in_force(shared).sources != taken {
            put(shared, rules.rules().held(|name| taken.held(name)));
            *in_force(shared) = LoadedRules::of(taken);
        }
    }
    following
}

/// Rules of the same phases as those that are served, so that there is no step which could be refused.
fn put(shared: &Shared, rules: RuleSet) {
    if let Err(error) = shared.generations.install(rules) {
        tracing::error!("the rules are those of before: {error}");
    }
}

fn put_in_force(shared: &Shared, sources: Sources) -> Result<(), RulesError> {
    let mut loaded = in_force(shared);
    if loaded.sources != sources {
        let rules = sources.compile()?;
        shared.served.may_follow(&rules)?;
        shared.generations.install(rules)?;
        *loaded = LoadedRules::of(sources);
    }
    Ok(())
}

/// What a proxy follows: what the database has in force, and the directory's files, which propose.
#[derive(Debug, Default)]
pub struct Following {
    /// Listens for steps and rules of others.
    connection: Option<Control>,
    /// The files of the directory as they were when the proxy began, or when they were last put in force: what differs
    /// from them has been changed since, and is proposed.
    considered: Vec<SourceFile>,
    refused: Option<RefusedFiles>,
}

impl Following {
    /// What the database has in force.
    async fn rows(&mut self, url: &str) -> Result<Vec<InForce>, ControlError> {
        let look = async {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none @ None => {
                    let connection = connect(url, "follow").await?;
                    let listen = format!("LISTEN {}", epochs::CHANNEL);
                    // Where nobody can listen (behind a pooler), it is looked at once a second.
                    let _: Result<(), tokio_postgres::Error> =
                        connection.batch_execute(&listen).await;
                    none.insert(connection)
                }
            };
            epochs::in_force(connection).await
        };
        let looked = tokio::time::timeout(LOOK_TIMEOUT, look).await;
        let looked = looked.unwrap_or_else(|_| {
            Err(ControlError::TimedOut {
                waited_seconds: LOOK_TIMEOUT.as_secs(),
                waiting_for: "the database to say which rules are in force".to_owned(),
            })
        });
        if looked.is_err() {
            // Whatever was wrong, the next look begins anew.
            self.connection = None;
        }
        looked
    }

    /// The same as soon as the database says it: which names are managed, rule files beside the proxy do not tell.
    async fn rows_at_last(&mut self, url: &str) -> Vec<InForce> {
        let mut told = String::new();
        loop {
            match self.rows(url).await {
                Ok(rows) => return rows,
                Err(error) => {
                    let error = error.to_string();
                    if told != error {
                        tracing::error!(
                            "nobody is served until the database says which rules are in force: {error}"
                        );
                    }
                    told = error;
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until somebody has taken a step or applied rules.
    async fn notified(&self) {
        match &self.connection {
            Some(connection) => connection.notified().await,
            None => std::future::pending().await,
        }
    }

    fn sources(&self, shared: &Shared, rows: &[InForce]) -> Sources {
        Sources::in_force(rows, shared.config.rules.as_deref(), &self.considered)
    }

    /// Puts in force what the database says, and then proposes to it what was changed in the directory.
    async fn follow(&mut self, shared: &Shared) -> Result<(), FollowError> {
        // Before the database is asked: a phase that a command notes in a file is in force already.
        let files = match &shared.config.rules {
            Some(dir) => rules_dir::read(dir),
            None => Ok(Vec::new()),
        };
        let Some(url) = &shared.config.control.url else {
            return self.alone(shared, files?).await;
        };
        let rows = self.rows(url).await?;
        self.adopt(shared, url, &rows).await?;
        for row in rows.iter().filter(|row| row.older_open) {
            self.close(row).await?;
        }
        // Files that cannot be read hold nobody up who has heard of a step.
        let files = files?;
        let proposal = Proposal::of(&self.considered, &files, &rows);
        if proposal.is_nothing() {
            self.refused = None;
            if let Some(by_hand) = by_hand(&self.considered, &files, &rows) {
                return Err(by_hand);
            }
            self.considered = files;
            return Ok(());
        }
        if let Some(refused) = self.refused.as_ref().filter(|last| last.is_this(&files)) {
            return Err(FollowError::Misfit(refused.reasons.clone()));
        }
        match self.propose(shared, url, &rows, &proposal).await {
            Ok(()) => {
                self.refused = None;
                self.considered = files;
                let rows = self.rows(url).await?;
                self.adopt(shared, url, &rows).await
            }
            // Another proxy that watches the same directory, most likely, with the same file; if not, it is proposed again
            // at the next look.
            Err(FollowError::Overtaken(_)) => {
                let rows = self.rows(url).await?;
                self.adopt(shared, url, &rows).await
            }
            Err(FollowError::Misfit(reasons)) => {
                self.refused = Some(RefusedFiles::now(files, reasons.clone()));
                Err(FollowError::Misfit(reasons))
            }
            Err(error) => Err(error),
        }
    }

    /// The directory decides where there is no database to ask.
    async fn alone(&mut self, shared: &Shared, files: Vec<SourceFile>) -> Result<(), FollowError> {
        let sources = Sources::of_files(files);
        if in_force(shared).sources == sources {
            return Ok(());
        }
        let rules = sources.compile().map_err(RulesError::from)?;
        let rules = names::known(shared, rules).await?;
        shared.served.may_follow(&rules).map_err(RulesError::from)?;
        let mut loaded = in_force(shared);
        let installed = shared.generations.install(rules);
        installed.map_err(RulesError::from)?;
        *loaded = LoadedRules::of(sources);
        drop(loaded);
        log_phases(shared);
        Ok(())
    }

    /// What the database has in force is served, whatever it is: what does not fit the tables is withheld.
    async fn adopt(&self, shared: &Shared, url: &str, rows: &[InForce]) -> Result<(), FollowError> {
        let running = shared.generations.current();
        let is_lost = |m: &&Migration| {
            m.held != Held::ByFile && !rows.iter().any(|row| row.migration == m.name)
        };
        if let Some(lost) = running.rules().migrations().iter().find(is_lost) {
            // Somebody has dropped the schema, or put another in its place: an old rule file is not to be believed. What
            // prepares the database again begins with what was in force here.
            let name = lost.name.clone();
            if lost.held != Held::Unknown {
                put(shared, running.rules().held(|_| Held::Unknown));
            }
            return Err(FollowError::Lost(name));
        }
        let sources = self.sources(shared, rows);
        let is_same = in_force(shared).sources == sources;
        let unknown = |m: &Migration| m.held == Held::Unknown;
        let is_known = !running.rules().migrations().iter().any(unknown);
        if is_same && is_known && !running.withholds() {
            return Ok(());
        }
        let rules = sources.compile().map_err(RulesError::from)?;
        let rules = names::known(shared, rules).await?;
        shared.served.may_follow(&rules).map_err(RulesError::from)?;
        let before = in_force(shared).sources.clone();
        let running_texts = Texts {
            rules: running.rules(),
            files: &before.files,
        };
        let next = Texts {
            rules: &rules,
            files: &sources.files,
        };
        let withheld = admission::adopted(url, running_texts, next).await?;
        let rules = rules.withheld(|name| withheld.get(name).cloned());
        if is_same && is_known && rules.same_misfits(running.rules()) {
            return Ok(());
        }
        if !withheld.is_empty() {
            tracing::error!("statements are refused: {}", listed(&withheld));
        }
        attached::before(shared, &rules).await?;
        let mut loaded = in_force(shared);
        let installed = shared.generations.install(rules);
        installed.map_err(RulesError::from)?;
        *loaded = LoadedRules::of(sources);
        drop(loaded);
        log_phases(shared);
        Ok(())
    }

    /// Opens an epoch for each change of the files that may go into force.
    async fn propose(
        &mut self,
        shared: &Shared,
        url: &str,
        rows: &[InForce],
        proposal: &Proposal,
    ) -> Result<(), FollowError> {
        let running = shared.generations.current();
        let before = in_force(shared).sources.clone();
        let next = self.sources(shared, rows);
        let next = next
            .with(rows, &proposal.changed)
            .without(&proposal.removed_files(&before));
        let rules = next.compile().map_err(RulesError::from)?;
        let rules = names::known(shared, rules).await?;
        shared.served.may_follow(&rules).map_err(RulesError::from)?;
        let texts = Texts {
            rules: running.rules(),
            files: &before.files,
        };
        let wanted = Texts {
            rules: &rules,
            files: &next.files,
        };
        let Admission { refused, withheld } = admission::following(url, texts, wanted).await?;
        if !refused.is_empty() {
            return Err(FollowError::Misfit(refused));
        }
        proposal.may_remove(rows)?;
        let fitting = rules.withheld(|name| withheld.get(name).cloned());
        attached::before(shared, &fitting).await?;
        let Some(client) = &self.connection else {
            return Ok(());
        };
        for file in &proposal.changed {
            let Some(migration) = rules.migrations().iter().find(|m| m.file == file.path) else {
                continue;
            };
            let row = rows.iter().find(|row| row.migration == migration.name);
            // What is new has been given its first epoch by what prepared the database.
            let Some(row) = row.filter(|row| !row.rules.is_empty()) else {
                continue;
            };
            let new = NewEpoch::of(migration, row.phase, "a rule file was changed");
            open(client, new, row).await?;
        }
        for name in &proposal.removed {
            let row = rows.iter().find(|row| row.migration == *name);
            let Some(row) = row else {
                continue;
            };
            let new = NewEpoch {
                migration: name,
                phase: row.phase,
                rules: "",
                file: &row.file,
                why: "its rule file was removed",
            };
            open(client, new, row).await?;
        }
        Ok(())
    }

    /// Closes what a command that was killed has left open, once nobody serves it any more.
    async fn close(&self, row: &InForce) -> Result<(), FollowError> {
        let Some(client) = &self.connection else {
            return Ok(());
        };
        let all = instances::instances(client, &row.migration).await?;
        let there = |instance: &Instance| {
            instance.drained && instance.epoch.is_some_and(|epoch| epoch >= row.epoch.0)
        };
        if all.iter().filter(|i| i.live).all(there) {
            epochs::close_those_left(client, &row.migration).await?;
        }
        Ok(())
    }
}

/// A file in which nothing but the phase was changed, to one that is not in force.
/// Puts a file's rules into force, and leaves word of it as `crossfade apply` does.
async fn open(client: &Control, new: NewEpoch<'_>, row: &InForce) -> Result<(), FollowError> {
    let (name, why) = (new.migration, new.why);
    let file = new.file.to_owned();
    let Some(epoch) = epochs::open(client, new, Some(row.epoch)).await? else {
        return Err(FollowError::Overtaken(name.to_owned()));
    };
    let details = serde_json::json!({ "epoch": epoch.0, "file": file, "why": why });
    events::note(client, name, "apply", &details).await?;
    Ok(())
}

fn by_hand(
    considered: &[SourceFile],
    files: &[SourceFile],
    rows: &[InForce],
) -> Option<FollowError> {
    let changed = files.iter().filter(|file| !considered.contains(file));
    let mut by_hand = changed.filter_map(|file| {
        let row = rows.iter().find(|row| sources::is_of(file, row))?;
        let (migration, said) = phase_file::says(&file.text)?;
        (said != row.phase).then(|| FollowError::ByHand {
            path: file.path.display().to_string(),
            migration,
            said,
            phase: row.phase,
        })
    });
    by_hand.next()
}

/// What was changed in the directory.
#[derive(Debug, Default)]
struct Proposal {
    changed: Vec<SourceFile>,
    /// Migrations whose files are gone.
    removed: Vec<String>,
}

impl Proposal {
    fn of(considered: &[SourceFile], files: &[SourceFile], rows: &[InForce]) -> Proposal {
        let is_new = |file: &&SourceFile| {
            let known = considered.iter().find(|known| known.path == file.path);
            known.is_none_or(|known| known.text != file.text)
        };
        let says_more = |file: &&SourceFile| {
            let row = rows.iter().find(|row| sources::is_of(file, row));
            row.is_none_or(|row| !sources::says_the_same(file, row))
        };
        let is_there = |row: &InForce| files.iter().any(|file| sources::is_of(file, row));
        let was_there = |row: &InForce| considered.iter().any(|file| sources::is_of(file, row));
        let rows = rows.iter().filter(|row| !row.rules.is_empty());
        Proposal {
            changed: files
                .iter()
                .filter(|file| is_new(file) && says_more(file))
                .cloned()
                .collect(),
            removed: rows
                .filter(|row| was_there(row) && !is_there(row))
                .map(|row| row.migration.clone())
                .collect(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    fn removed_files(&self, before: &Sources) -> Vec<std::path::PathBuf> {
        let is_removed = |file: &&SourceFile| {
            let says = phase_file::says(&file.text);
            says.is_some_and(|(name, _)| self.removed.contains(&name))
        };
        let files = before.files.iter().filter(is_removed);
        files.map(|file| file.path.clone()).collect()
    }

    /// Unmanaged is what a migration is to a client in two phases already.
    fn may_remove(&self, rows: &[InForce]) -> Result<(), FollowError> {
        for name in &self.removed {
            let row = rows.iter().find(|row| row.migration == *name);
            match row.map(|row| row.phase) {
                None | Some(Phase::LegacyOnly | Phase::Retired) => {}
                Some(from) => {
                    let migration = name.clone();
                    let removed = InstallError::Removed { migration, from };
                    return Err(RulesError::from(removed).into());
                }
            }
        }
        Ok(())
    }
}

/// Files that were refused for what the database says of them.
#[derive(Debug)]
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
        self.at.elapsed() < AGAIN && self.files == files
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
pub async fn watch(shared: &Shared, mut following: Following, mut asked: mpsc::Receiver<()>) {
    // One event waiting is as good as many.
    let (changed, mut changes) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading of the directory is an event too, and must not wake us again.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = changed.try_send(());
        }
    });
    let _watching = shared.config.rules.as_ref().and_then(|dir| {
        let watching = watcher.and_then(|mut w| {
            w.watch(dir, RecursiveMode::NonRecursive)?;
            Ok(w)
        });
        watching
            .inspect_err(|error| {
                tracing::warn!(dir = %dir.display(), %error, "no file events: polling only");
            })
            .ok()
    });
    let mut told = String::new();
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
            () = following.notified() => false,
            _ = poll.tick() => false,
        };
        if forced {
            supervisor::reloading();
        }
        if forced {
            following.refused = None;
        }
        let followed = following.follow(shared).await;
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
