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

/// Runs one script with psql as PostgreSQL's own test runner would; what it prints, whatever
/// that is: most scripts provoke errors.
pub async fn run(psql: &Path, script: &Path, port: u16, database: &str) -> anyhow::Result<String> {
    let results = tempfile::tempdir()?;
    let output = Command::new(installed(psql))
        .args(["--no-psqlrc", "--echo-all", "--quiet"])
        .args(["-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"])
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--username", crossfade::testbed::SUPERUSER])
        .args(["--dbname", database, "--file"])
        .arg(script)
        .current_dir(results.path())
        // A tap reads along: no encryption is asked for.
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .env("PGTZ", "PST8PDT")
        .env("PGDATESTYLE", "Postgres, MDY")
        .env("PGOPTIONS", "-c intervalstyle=postgres_verbose")
        .env("PG_ABS_SRCDIR", script.ancestors().nth(2).unwrap_or(script))
        .env("PG_ABS_BUILDDIR", results.path())
        .env("PG_LIBDIR", results.path())
        .env("PG_DLSUFFIX", ".so")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(text)
}
