//! The operator's commands as child processes, watched while they run.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use crossfade_testbed::process::{self, Signal, surroundings};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio_postgres::Client;

use crate::binary;

/// A `crossfade` command that is still running.
pub struct Running {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub output: String,
    pub errors: String,
}

impl Running {
    pub fn start(config: &Path, args: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(config, args, &[])
    }

    /// The same with variables of its environment.
    pub fn start_with(
        config: &Path,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary::crossfade());
        for name in surroundings() {
            command.env_remove(name);
        }
        let mut child = command
            .args(args)
            .envs(variables.iter().copied())
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let stderr = BufReader::new(stderr).lines();
        Ok(Running { child, stderr })
    }

    /// Reads on until a line holds `text`, and returns it.
    pub async fn says(&mut self, text: &str) -> anyhow::Result<String> {
        let mut seen = String::new();
        while let Some(line) = self.stderr.next_line().await? {
            if line.contains(text) {
                return Ok(line);
            }
            seen += &line;
            seen.push('\n');
        }
        bail!("it ended without saying `{text}`:\n{seen}")
    }

    /// Like a power cut: nothing in it gets a word in.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Until it has stopped where a test wanted it to; or an error, if it has ended.
    pub async fn until_stopped(&self) -> anyhow::Result<()> {
        let pid = self.child.id().context("it has ended")?;
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // Behind the name, in which anything may stand.
            match stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.chars().next())
            {
                Some('T') => return Ok(()),
                Some('Z' | 'X') | None => bail!("it has ended without stopping"),
                Some(_) => a_moment().await,
            }
        }
    }

    /// Wakes one that has stopped.
    pub fn go_on(&self) -> anyhow::Result<()> {
        let pid = self.child.id().context("it has ended")?;
        Ok(process::send(pid, Signal::Continue)?)
    }

    pub fn is_over(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    pub async fn end(mut self) -> anyhow::Result<Ended> {
        let mut errors = String::new();
        while let Some(line) = self.stderr.next_line().await? {
            errors += &line;
            errors.push('\n');
        }
        let mut output = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut output).await?;
        }
        let status = self.child.wait().await?;
        Ok(Ended {
            status,
            output,
            errors,
        })
    }
}

/// Runs a command to its end, whatever its exit code.
pub async fn run(config: &Path, args: &[&str]) -> anyhow::Result<Ended> {
    Running::start(config, args)?.end().await
}

/// Between two looks at what is waited for. Whoever looks without a pause takes the time of those who must do it:
/// in a second a database was asked two thousand times.
const LOOK: Duration = Duration::from_millis(5);

/// Between two looks at what is certain to come and to stay.
pub async fn a_moment() {
    tokio::time::sleep(LOOK).await;
}

/// Asks the database until it says yes. What is waited for must be certain to come, and to stay; the limit of
/// a test is the runner's.
pub async fn until(client: &Client, condition: &str) -> anyhow::Result<()> {
    let sql = format!("SELECT coalesce(({condition}), false)");
    loop {
        let rows = client.query_typed(&sql, &[]).await;
        let rows = rows.with_context(|| sql.clone())?;
        if rows.first().context("a row")?.get(0) {
            return Ok(());
        }
        a_moment().await;
    }
}

/// The first column of the only row.
pub async fn number(client: &Client, sql: &str) -> anyhow::Result<i64> {
    Ok(client
        .query_one(sql, &[])
        .await
        .with_context(|| sql.to_owned())?
        .get(0))
}

/// The server's process of a connection.
pub async fn pid(client: &Client) -> anyhow::Result<i32> {
    Ok(client
        .query_one("SELECT pg_backend_pid()", &[])
        .await?
        .get(0))
}

/// Until that process waits for another one's lock.
pub async fn until_blocked(client: &Client, pid: i32) -> anyhow::Result<()> {
    until(client, &format!("cardinality(pg_blocking_pids({pid})) > 0")).await
}
