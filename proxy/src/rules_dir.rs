//! The directory of rule files: read, watched, and put into force when it changes.
//!
//! A bad set never replaces a good one: every error is logged with file, line and column, and the
//! running generation stays.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher};
use rewrite_rules::{RuleErrors, RuleSet, SourceFile};
use tokio::sync::mpsc;

use crate::control::{ControlError, attached};
use crate::generation::InstallError;
use crate::server::Shared;
use crate::supervisor;

/// A rule file is written by hand; more than this is not one.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Editors write a file in several steps: the directory is read once they have been quiet so long.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Network and overlay filesystems may send no events: modification times are looked at as well.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error("cannot read {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{path} has {bytes} bytes; a rule file may have {FILE_BYTES_MAX}")]
    TooLong { path: PathBuf, bytes: u64 },
    #[error("{0}")]
    Rules(#[from] RuleErrors),
    #[error(transparent)]
    Step(#[from] InstallError),
}

/// Reads the `*.toml` files of a directory, in the order of their names. One that does not exist
/// is an error: a name mistyped must not mean that everything passes through.
pub fn read(dir: &Path) -> Result<Vec<SourceFile>, RulesError> {
    let mut files = Vec::new();
    for path in paths(dir)? {
        let failed = |error| RulesError::Read {
            path: path.clone(),
            error,
        };
        let bytes = std::fs::metadata(&path).map_err(failed)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(RulesError::TooLong { path, bytes });
        }
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        files.push(SourceFile { path, text });
    }
    Ok(files)
}

fn paths(dir: &Path) -> Result<Vec<PathBuf>, RulesError> {
    let failed = |error| RulesError::Read {
        path: dir.to_owned(),
        error,
    };
    let entries = std::fs::read_dir(dir).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads and compiles a directory's rules.
pub fn load(dir: &Path) -> Result<RuleSet, RulesError> {
    Ok(RuleSet::compile(read(dir)?)?)
}

/// Reads the proxy's directory again and puts it into force if any text has changed. Returns the
/// number of the generation that holds afterwards.
pub fn reload(shared: &Shared) -> Result<u64, RulesError> {
    let Some(dir) = &shared.config.rules else {
        return Ok(shared.generations.newest());
    };
    let files = read(dir)?;
    let mut loaded = shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
    if same(&loaded, &files) {
        return Ok(shared.generations.newest());
    }
    let rules = RuleSet::compile(files.clone())?;
    let number = shared.generations.install(rules)?;
    *loaded = files;
    drop(loaded);
    log_phases(shared);
    Ok(number)
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
    for (migration, phase) in generation.phases() {
        tracing::info!(generation = number, migration, %phase, "rules in force");
    }
}

/// Reloads and logs the outcome.
pub fn reload_and_log(shared: &Shared) {
    if let Err(error) = reload(shared) {
        let generation = shared.generations.newest();
        tracing::error!(generation, "the rules were not changed: {error}");
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
    let mut seen = fingerprint(dir);
    let mut told = String::new();
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
        let now = fingerprint(dir);
        if !forced && now == seen {
            continue;
        }
        if forced {
            supervisor::reloading();
        }
        match prepared(shared, dir).await {
            Ok(()) => {
                seen = now;
                told.clear();
                reload_and_log(shared);
            }
            // Not seen, hence tried again at the next poll.
            Err(error) => {
                let error = error.to_string();
                if forced || told != error {
                    tracing::error!("the rules were not changed: {error}");
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

/// Makes in the database what new rules will call. Rules that are wrong need nothing; the reload
/// says what is wrong with them.
async fn prepared(shared: &Shared, dir: &Path) -> Result<(), ControlError> {
    match load(dir) {
        Ok(rules) => attached::before(shared, &rules).await,
        Err(_) => Ok(()),
    }
}

/// Names, lengths and modification times: cheap to compare, and enough to notice an edit.
fn fingerprint(dir: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let paths = paths(dir).unwrap_or_default();
    let stat = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok()?;
        Some((path, metadata.len(), metadata.modified().ok()))
    };
    paths.into_iter().filter_map(stat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_the_order_of_their_names_and_others_ignored() {
        let dir = tempfile::tempdir().expect("temporary directory");
        for name in ["b.toml", "a.toml", "a.toml~", "readme"] {
            std::fs::write(dir.path().join(name), name).expect("write");
        }
        let files = read(dir.path()).expect("readable");
        let texts: Vec<_> = files.iter().map(|file| file.text.as_str()).collect();
        assert_eq!(texts, ["a.toml", "b.toml"]);
    }

    #[test]
    fn a_directory_that_does_not_exist_is_an_error_that_names_it() {
        let error = read(Path::new("/nonexistent/rules")).expect_err("no such directory");
        assert!(error.to_string().contains("/nonexistent/rules"), "{error}");
    }
}
