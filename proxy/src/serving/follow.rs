//! What is in force: followed in the database, which decides where there is a control connection, and in the directory of
//! rule files, whose changes are proposed to it. Without a control connection the directory alone decides.
//!
//! A bad set never replaces a good one: every error is logged with file, line and column, and what is in force stays.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use rewrite_rules::{Held, Migration, RuleSet, SourceFile};
use tokio::sync::mpsc;

use super::admission::{self, Admission};
use super::{attached, names};
use crate::control::canary;
use crate::control::epochs::{self, InForce, NewEpoch};
use crate::control::instances::{self, Instance};
use crate::control::{Control, ControlError, connect, events, phase_file};
use crate::generation::Reasons;
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

/// A proxy that has not heard for so long that its canaries still run has none: nobody could end them.
const CANARIES_HEARD: Duration = Duration::from_secs(5);

/// Why the directory's rules are not in force.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Database(#[from] ControlError),
    #[error("{}", listed(.0))]
    Misfit(Reasons),
    #[error("{0}")]
    ByHand(String),
    #[error(
        "crossfade.epochs has nothing of migration {0} any more, which was in force: its statements are refused until it has"
    )]
    Lost(String),
    #[error(
        "{path} is gone, and the rules of {migration} stay in force: `crossfade apply --remove {migration}` ends them"
    )]
    Gone { path: String, migration: String },
    #[error("what is in force has changed meanwhile")]
    Overtaken,
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
    /// The change of the host in use since which it is there.
    change: u64,
    /// The files of the directory as they were when the proxy began, or when they were last put in force: what differs
    /// from them has been changed since, and is proposed.
    considered: Vec<SourceFile>,
    /// Files that were there.
    gone: Vec<SourceFile>,
    refused: Option<RefusedFiles>,
    /// When the database last said which canaries run.
    heard: Option<Instant>,
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

    /// Has the canaries that the database says run; none where it does not say.
    async fn canaries(&mut self, shared: &Shared, answers: bool) {
        let wanted = match &self.connection {
            Some(connection) if answers => {
                let looked = tokio::time::timeout(LOOK_TIMEOUT, canary::running(connection));
                looked.await.ok().and_then(Result::ok)
            }
            Some(_) | None => None,
        };
        match wanted {
            Some(rows) => {
                self.heard = Some(Instant::now());
                let wanted = rows.into_iter().map(|row| row.canary).collect();
                if shared.generations.install_canaries(wanted) {
                    log_canaries(shared);
                }
            }
            None if self.heard.is_some_and(|at| at.elapsed() >= CANARIES_HEARD) => {
                self.heard = None;
                if shared.generations.install_canaries(Vec::new()) {
                    tracing::warn!("no canary: the database does not say whether one runs");
                }
            }
            None => {}
        }
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
        let host = shared.upstream.known();
        if self.change != host.change {
            // What the host before says, nobody need believe any more.
            self.connection = None;
            self.change = host.change;
        }
        let rows = match self.rows(url).await {
            Ok(rows) => rows,
            Err(error) => {
                self.canaries(shared, false).await;
                return Err(error.into());
            }
        };
        if let Ok(files) = &files {
            self.miss(files);
        }
        let adopted = self.adopt(shared, url, &rows).await;
        let is_known = match &adopted {
            Ok(()) | Err(FollowError::Lost(_)) => true,
            Err(FollowError::Database(_)) => false,
            Err(_) if host.is_followed => true,
            Err(_) => {
                // A promoted standby may lack the last steps, and what it has in force cannot be served: nothing is.
                let running = shared.generations.current();
                put(shared, running.rules().held(|_| Held::Unknown));
                true
            }
        };
        if is_known {
            shared.upstream.followed(host.change);
        }
        // Behind a step, which ends them and is not to wait for them.
        self.canaries(shared, true).await;
        adopted?;
        for row in rows.iter().filter(|row| row.older_open) {
            self.close(row).await?;
        }
        // Files that cannot be read hold nobody up who has heard of a step.
        let files = files?;
        let changed = changed(&self.considered, &files, &rows);
        if changed.is_empty() {
            self.refused = None;
            if let Some(by_hand) = by_hand(&self.considered, &files, &rows) {
                return Err(by_hand);
            }
            return self.consider(files, &rows);
        }
        if let Some(refused) = self.refused.as_ref().filter(|last| last.is_this(&files)) {
            return Err(FollowError::Misfit(refused.reasons.clone()));
        }
        match self.propose(shared, url, &rows, &changed).await {
            Ok(()) => {
                self.refused = None;
                let rows = self.rows(url).await?;
                let considered = self.consider(files, &rows);
                self.adopt(shared, url, &rows).await?;
                considered
            }
            // Another proxy that watches the same directory, most likely, with the same file; if not, it is proposed again
            // at the next look.
            Err(FollowError::Overtaken) => {
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
        let running_texts = before.texts(running.rules());
        let next = sources.texts(&rules);
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
        for (migration, difference) in sources::differences(&self.considered, rows) {
            tracing::warn!(migration, "{difference}");
        }
        Ok(())
    }

    /// Opens an epoch for each change of the files that may go into force.
    async fn propose(
        &mut self,
        shared: &Shared,
        url: &str,
        rows: &[InForce],
        changed: &[SourceFile],
    ) -> Result<(), FollowError> {
        let running = shared.generations.current();
        let before = in_force(shared).sources.clone();
        let next = self.sources(shared, rows);
        let next = next.with(rows, changed);
        let rules = next.compile().map_err(RulesError::from)?;
        let rules = names::known(shared, rules).await?;
        shared.served.may_follow(&rules).map_err(RulesError::from)?;
        let (texts, wanted) = (before.texts(running.rules()), next.texts(&rules));
        let Admission { refused, withheld } = admission::following(url, texts, wanted).await?;
        if !refused.is_empty() {
            return Err(FollowError::Misfit(refused));
        }
        let fitting = rules.withheld(|name| withheld.get(name).cloned());
        attached::before(shared, &fitting).await?;
        let Some(client) = &self.connection else {
            return Ok(());
        };
        // What is new has been given its first epoch by what prepared the database.
        let new = changed.iter().filter_map(|file| {
            let migration = rules.migrations().iter().find(|m| m.file == file.path)?;
            let row = rows.iter().find(|row| row.migration == migration.name)?;
            let new = NewEpoch::of(migration, row.phase, "a rule file was changed");
            (!row.rules.is_empty()).then_some((new, Some(row.epoch)))
        });
        let new: Vec<_> = new.collect();
        let opened = epochs::open_all(client, &new).await?;
        for ((new, _), epoch) in new.iter().zip(opened.ok_or(FollowError::Overtaken)?) {
            let details = serde_json::json!({ "epoch": epoch.0, "file": new.file, "why": new.why });
            events::note(client, new.migration, "apply", &details).await?;
        }
        Ok(())
    }

    /// What is not there any more, before anything is made of what was.
    fn miss(&mut self, files: &[SourceFile]) {
        let is_there = |old: &SourceFile| files.iter().any(|file| file.path == old.path);
        let before = std::mem::take(&mut self.considered);
        let (there, gone) = before.into_iter().partition(is_there);
        self.considered = there;
        self.gone.extend::<Vec<_>>(gone);
    }

    /// These files have been put in force. One that was there, of rules that are in force, is told of: it may be a directory
    /// that was not mounted, and what holds for every proxy does not end by it.
    fn consider(&mut self, files: Vec<SourceFile>, rows: &[InForce]) -> Result<(), FollowError> {
        let stays = |file: &SourceFile| {
            let row = rows.iter().find(|row| sources::is_of(file, row));
            row.is_some_and(|row| !files.iter().any(|other| sources::is_of(other, row)))
        };
        self.gone.retain(stays);
        self.considered = files;
        match self.gone.first() {
            None => Ok(()),
            Some(file) => Err(FollowError::Gone {
                path: file.path.display().to_string(),
                migration: phase_file::says(&file.text).map_or_else(String::new, |(name, _)| name),
            }),
        }
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
fn by_hand(
    considered: &[SourceFile],
    files: &[SourceFile],
    rows: &[InForce],
) -> Option<FollowError> {
    let changed = files.iter().filter(|file| !considered.contains(file));
    let mut by_hand = changed.filter_map(|file| {
        let row = rows.iter().find(|row| sources::is_of(file, row))?;
        let said = phase_file::says(&file.text)?.1;
        (said != row.phase).then(|| FollowError::ByHand(sources::another_phase(file, said, row)))
    });
    by_hand.next()
}

/// Files that were changed in the directory, and say something else than what is in force.
fn changed(considered: &[SourceFile], files: &[SourceFile], rows: &[InForce]) -> Vec<SourceFile> {
    let is_new = |file: &&SourceFile| !considered.contains(file);
    let says_more = |file: &&SourceFile| {
        let row = rows.iter().find(|row| sources::is_of(file, row));
        row.is_none_or(|row| !sources::says_the_same(file, row))
    };
    let changed = files.iter().filter(is_new).filter(says_more);
    changed.cloned().collect()
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

fn log_canaries(shared: &Shared) {
    let generation = shared.generations.current();
    let number = generation.number();
    let running = generation.canaries().running();
    if running.is_empty() {
        tracing::info!(generation = number, "no canary runs");
    }
    for running in running {
        let canary = &running.canary;
        tracing::info!(
            generation = number,
            migration = canary.migration,
            members = canary::members(canary),
            "a canary runs"
        );
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
    let mut hosts = shared.upstream.news();
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
            // Nobody is brought to another host before what it has in force is known. Its sender is in `shared`.
            Ok(()) = hosts.changed() => false,
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
