//! Ports for servers and proxies that are started in a moment, each given to one program only.
//!
//! A port that was found free stays free only until somebody binds it: another test that looks at
//! the same moment finds the same one. So each is locked by a file, until the program that asked for
//! it ends. They lie below the range from which the system gives connections their own ends, or one
//! of those would take the port of a proxy that is down for a moment.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::TestbedError;

/// Below Linux' usual range for connections, which begins at 32768, and above what services like.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Held until the program ends, and with it the locks.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that nobody else who asks so is given while this program runs.
pub fn free_port() -> Result<u16, TestbedError> {
    let locks = locks();
    // Programs that begin at different places rarely meet.
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap_or(0);
    for offset in 0..COUNT {
        let port = FIRST + (start + offset) % COUNT;
        let held = locks.as_ref().map(|directory| lock(directory, port));
        if matches!(held, Some(None)) {
            continue;
        }
        if TcpListener::bind(("127.0.0.1", port)).is_err() {
            continue;
        }
        let mut all = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(held.flatten());
        return Ok(port);
    }
    Err(TestbedError::Io {
        doing: "find a free port".to_owned(),
        source: io::Error::other(format!("none from {FIRST} on")),
    })
}

/// The lock of a port; `None`: somebody has it.
fn lock(directory: &Path, port: u16) -> Option<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(directory.join(port.to_string())).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

/// This user's directory of locks; `None` where it cannot be had: then it is as without.
fn locks() -> Option<PathBuf> {
    let own = fs::metadata("/proc/self").ok()?.uid();
    let directory = std::env::temp_dir().join(format!("crossfade-ports-{own}"));
    let made = fs::DirBuilder::new().mode(0o700).create(&directory);
    if let Err(error) = made
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return None;
    }
    // Nobody else's, and no link to somewhere.
    let found = fs::symlink_metadata(&directory).ok()?;
    (found.is_dir() && found.uid() == own).then_some(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_although_nobody_listens_on_it() {
        let given: Vec<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        let mut distinct = given.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), given.len(), "{given:?}");
        // Nor is it given to another program: a second lock is what that would ask for.
        let locks = locks().expect("a temporary directory");
        assert!(given.iter().all(|port| lock(&locks, *port).is_none()));
    }
}
