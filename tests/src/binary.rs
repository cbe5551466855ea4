//! Where the `crossfade` binary is, and that it is no older than its sources.
//!
//! Cargo builds a package's binary for that package's own integration tests only. A stale one
//! would make every test here lie, so it is looked at, and built if need be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The binary built from the sources as they are.
pub fn crossfade() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("CROSSFADE_BIN") {
            return path.into();
        }
        let profile = profile_dir();
        let path = profile.join("crossfade");
        let built = path.metadata().and_then(|meta| meta.modified()).ok();
        if built.is_none_or(|built| newest_source() > built) {
            build(&profile);
        }
        assert!(path.is_file(), "no {} after building it", path.display());
        path
    })
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a member of the workspace")
        .to_owned()
}

/// `target/debug` or its like: test programs are in its `deps`.
fn profile_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own path");
    program
        .ancestors()
        .nth(2)
        .expect("test programs are in target/<profile>/deps")
        .to_owned()
}

fn build(profile: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root())
        .args(["build", "--quiet", "--package", "crossfade"])
        .args(["--bin", "crossfade"]);
    // A test's package is in its environment, and build scripts that look at such variables would
    // have half of the dependencies built anew each time.
    for (name, _) in std::env::vars_os() {
        let plain = name.to_string_lossy();
        if plain.starts_with("CARGO_PKG_") || plain.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo runs");
    assert!(status.success(), "the crossfade binary does not build");
}

fn newest_source() -> SystemTime {
    let root = root();
    [
        "proxy/src",
        "rewrite-rules/src",
        "rewrite-rules/templates",
        "rewrite-rules/rules",
        "demo/src",
        "demo/pieces",
    ]
    .iter()
    .map(|dir| newest_in(&root.join(dir)))
    .max()
    .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn newest_in(dir: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let time = if path.is_dir() {
            newest_in(&path)
        } else {
            let modified = entry.metadata().and_then(|meta| meta.modified());
            modified.unwrap_or(SystemTime::UNIX_EPOCH)
        };
        newest = newest.max(time);
    }
    newest
}
