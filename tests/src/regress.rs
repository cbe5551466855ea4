//! PostgreSQL's own regression scripts, run by psql: where they are, how they are run, and a
//! database to run them on.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use tokio::process::Command;

use crate::binary;
use crate::program::installed;

/// Names another directory of regression scripts, such as `src/test/regress` of PostgreSQL's
/// source: its `sql` is run in place of the selection kept here.
pub const OTHER_SCRIPTS: &str = "CROSSFADE_REGRESS_DIR";

/// The scripts, in the order in which they depend on each other.
pub fn scripts() -> anyhow::Result<Vec<PathBuf>> {
    let (dir, schedule) = match std::env::var_os(OTHER_SCRIPTS) {
        Some(dir) => (PathBuf::from(dir), "parallel_schedule"),
        None => (kept(), "schedule"),
    };
    let schedule = dir.join(schedule);
    let text = std::fs::read_to_string(&schedule)
        .with_context(|| format!("cannot read {}", schedule.display()))?;
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("test:"))
        .flat_map(str::split_whitespace);
    Ok(names
        .map(|name| dir.join("sql").join(format!("{name}.sql")))
        .filter(|path| path.is_file())
        .collect())
}

fn kept() -> PathBuf {
    binary::root().join("tests/regress")
}

/// A directory that no machine has: what the scripts would load from or write to is missing.
const NOWHERE: &str = "/nonexistent";

/// The scripts have tables of their own called `users`, which is a name that the rules manage.
fn without_managed_names(text: &[u8]) -> Vec<u8> {
    let mut renamed = text.to_vec();
    let (managed, free) = (b"users", b"folks");
    for at in 0..renamed.len().saturating_sub(managed.len()) {
        if renamed[at..].starts_with(managed) {
            renamed[at..at + managed.len()].copy_from_slice(free);
        }
    }
    renamed
}

/// Runs one script with psql as PostgreSQL's own test runner would; what it prints, whatever
/// that is: most scripts provoke errors.
pub async fn run(psql: &Path, script: &Path, port: u16, database: &str) -> anyhow::Result<String> {
    let dir = tempfile::tempdir()?;
    let name = script.file_name().context("a script has a name")?;
    let text = without_managed_names(&std::fs::read(script)?);
    std::fs::write(dir.path().join(name), text)?;
    let output = Command::new(installed(psql))
        .args(["--no-psqlrc", "--echo-all", "--quiet"])
        .args(["-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"])
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--username", crossfade_testbed::SUPERUSER])
        .args(["--dbname", database, "--file"])
        .arg(name)
        .current_dir(dir.path())
        // A tap reads along: no encryption is asked for.
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .env("PGTZ", "PST8PDT")
        .env("PGDATESTYLE", "Postgres, MDY")
        .env("PGOPTIONS", "-c intervalstyle=postgres_verbose")
        .env("PG_ABS_SRCDIR", script.ancestors().nth(2).unwrap_or(script))
        .env("PG_ABS_BUILDDIR", NOWHERE)
        .env("PG_LIBDIR", NOWHERE)
        .env("PG_DLSUFFIX", ".so")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(text)
}
