//! Client programs in other languages, and what they say. Each prints a transcript of what it
//! was answered; two transcripts that must be equal are the test.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::ensure;
use tokio::process::Command;

use crate::binary;

/// What a program printed, errors included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    pub output: String,
    pub errors: String,
    pub succeeded: bool,
}

impl Transcript {
    /// Fails with both texts' first difference. Line numbers of long texts help nobody.
    pub fn assert_same_as(&self, expected: &Transcript, who: &str) {
        for (ours, theirs, stream) in [
            (&self.output, &expected.output, "output"),
            (&self.errors, &expected.errors, "errors"),
        ] {
            let differing = ours
                .lines()
                .map(Some)
                .chain(std::iter::repeat(None))
                .zip(theirs.lines().map(Some).chain(std::iter::repeat(None)))
                .take(ours.lines().count().max(theirs.lines().count()))
                .find(|(ours, theirs)| ours != theirs);
            if let Some((ours, theirs)) = differing {
                panic!(
                    "{who}: the {stream} differ\n expected: {}\n     came: {}\n\nall of it:\n{}\n{}",
                    theirs.unwrap_or("(nothing more)"),
                    ours.unwrap_or("(nothing more)"),
                    self.output,
                    self.errors,
                );
            }
        }
        assert_eq!(self.succeeded, expected.succeeded, "{who}: exit codes");
    }
}

/// A program of the server's installation, or of the system where that has none.
#[must_use]
pub fn installed(beside_server: &Path) -> PathBuf {
    if beside_server.is_file() {
        return beside_server.to_owned();
    }
    beside_server
        .file_name()
        .map_or_else(|| beside_server.to_owned(), PathBuf::from)
}

async fn transcript(mut command: Command) -> anyhow::Result<Transcript> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(Transcript {
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        succeeded: output.status.success(),
    })
}

/// Runs a file of `tests/drivers` with psql, everything echoed.
pub async fn psql(psql: &Path, script: &str, url: &str) -> anyhow::Result<Transcript> {
    let mut command = Command::new(installed(psql));
    command
        .args(["--no-psqlrc", "--echo-all", "--file", script])
        .arg(url)
        // File names are in error messages; the directory's would differ between machines.
        .current_dir(drivers())
        .env("PGCLIENTENCODING", "UTF8");
    transcript(command).await
}

/// Runs a script of `tests/drivers` with Python; psycopg, asyncpg and pg8000 are there.
pub async fn python(script: &str, args: &[&str]) -> anyhow::Result<Transcript> {
    let python = installed_driver("venv/bin/python")?;
    let mut command = Command::new(python);
    command
        .args(["-X", "utf8", script])
        .args(args)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(drivers());
    transcript(command).await
}

/// Runs a script of `tests/drivers` with Node.js; node-postgres and postgres.js are there.
pub async fn node(script: &str, args: &[&str]) -> anyhow::Result<Transcript> {
    transcript(node_command(script, args)?).await
}

/// The same, for whoever talks with it.
pub fn node_command(script: &str, args: &[&str]) -> anyhow::Result<Command> {
    let modules = installed_driver("node/node_modules/pg/package.json")?;
    let mut command = Command::new("node");
    command
        .arg(script)
        .args(args)
        .env("DRIVER_ROOT", modules)
        // A warning about queued queries, with the process id in it.
        .env("NODE_NO_WARNINGS", "1")
        .current_dir(drivers());
    Ok(command)
}

/// Where Debian's package has the JDBC driver.
const JDBC: &str = "/usr/share/java/postgresql.jar";

/// Runs a Java source of `tests/drivers` with the JDBC driver.
pub async fn java(source: &str, args: &[&str]) -> anyhow::Result<Transcript> {
    ensure!(
        Path::new(JDBC).is_file(),
        "no {JDBC}: `scripts/test` installs the drivers"
    );
    let mut command = Command::new("java");
    command
        .args(["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"])
        .args(["-XX:TieredStopAtLevel=1", "-cp", JDBC, source])
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(drivers());
    transcript(command).await
}

/// Runs the program of `tests/drivers/sqlx`.
pub async fn sqlx(args: &[&str]) -> anyhow::Result<Transcript> {
    let mut command = Command::new(installed_driver("sqlx/debug/with-sqlx")?);
    command.args(args);
    transcript(command).await
}

fn drivers() -> PathBuf {
    binary::root().join("tests/drivers")
}

fn installed_driver(path: &str) -> anyhow::Result<PathBuf> {
    let path = binary::root().join("target/drivers").join(path);
    ensure!(
        path.exists(),
        "no {}: `scripts/test` installs the drivers",
        path.display()
    );
    Ok(path)
}
