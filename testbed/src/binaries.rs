//! Where PostgreSQL's programs are on this machine. Knows places, not versions' differences.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::TestbedError;

/// Names the directory to use, whatever else is installed.
const VARIABLE: &str = "CROSSFADE_PG_BIN";
/// Where Debian and Ubuntu keep each major version's programs, outside of PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A directory that holds both `initdb` and `postgres`.
#[derive(Clone, Debug)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// The directory named by the environment, else what `pg_config` says, else the newest
    /// version in Debian's place, else whatever PATH leads to.
    pub fn find() -> Result<Self, TestbedError> {
        let mut looked = Vec::new();
        if let Some(dir) = std::env::var_os(VARIABLE) {
            // Said on purpose: a wrong value is an error, not a reason to look elsewhere.
            let dir = PathBuf::from(dir);
            looked.push(dir);
        } else {
            looked.extend(pg_config_bindir());
            looked.extend(debian_newest_first());
            looked.extend(path_directories());
        }
        match looked.iter().find(|dir| is_complete(dir)) {
            Some(dir) => Ok(Binaries { dir: dir.clone() }),
            None => Err(TestbedError::NoBinaries {
                looked: looked
                    .iter()
                    .map(|dir| dir.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// The programs in one directory, and nowhere else.
    pub fn in_dir(dir: &Path) -> Result<Self, TestbedError> {
        if is_complete(dir) {
            return Ok(Binaries {
                dir: dir.to_owned(),
            });
        }
        Err(TestbedError::NoBinaries {
            looked: dir.display().to_string(),
        })
    }

    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn is_complete(dir: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|program| dir.join(program).is_file())
}

/// `pg_config` often comes with the client library alone: its answer still has to be looked at.
fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let dir = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| PathBuf::from(dir.trim_end()))
}

fn debian_newest_first() -> Vec<PathBuf> {
    let mut versions: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable();
    versions
        .iter()
        .rev()
        .map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin"))
        .collect()
}

/// Links are followed: PostgreSQL finds its libraries from the place of the real program.
fn path_directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter_map(|dir| {
            let real = fs::canonicalize(dir.join("postgres")).ok()?;
            Some(real.parent()?.to_owned())
        })
        .collect()
}
