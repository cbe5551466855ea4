//! What the demo plays on: a throwaway server, a rules directory, a running proxy, and the
//! `crossfade` command line as an operator would use it. Knows no table, and no phase but the first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::display::Display;
use crossfade_testbed::process::{Process, Signal, dying_with_us, surroundings};
use crossfade_testbed::{Auth, Postgres, free_port};

const DATABASE: &str = "application";
/// The same tables, which nobody migrates.
const ALONE: &str = "left_alone";
/// Owns both databases; the application.
pub const USER: &str = "app";
const PASSWORD: &str = "correct horse";

/// Starting takes the proxy milliseconds; a debug build on a busy machine takes longer.
const PROXY_START_TIMEOUT: Duration = Duration::from_secs(20);
/// The proxy lets its sessions go when asked to end; the demo's are idle by then.
const PROXY_STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// No command of the demo should take seconds, but drains and backfills wait for others.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);

pub struct Stage {
    program: PathBuf,
    port: u16,
    // Dropped in this order: the proxy before the server it talks to, the files last.
    proxy: Option<Process>,
    postgres: Postgres,
    dir: tempfile::TempDir,
}

impl Stage {
    /// Starts the server, on which `roles` run; two empty databases.
    pub async fn build(program: &Path, roles: &str) -> anyhow::Result<Self> {
        let postgres = Postgres::start().await?;
        postgres.create_user(USER, PASSWORD, Auth::Scram).await?;
        let superuser = postgres.connect("postgres").await?;
        for database in [DATABASE, ALONE] {
            superuser
                .batch_execute(&format!("CREATE DATABASE {database} OWNER {USER}"))
                .await?;
        }
        superuser
            .batch_execute(roles)
            .await
            .context("making roles")?;
        // What `prepare` makes beside the application's tables is the application's as well.
        let operator = postgres.connect(DATABASE).await?;
        operator
            .batch_execute(&format!(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {USER}"
            ))
            .await?;
        let dir = tempfile::Builder::new()
            .prefix("crossfade-demo-")
            .tempdir()
            .context("making a temporary directory")?;
        Ok(Stage {
            program: program.to_owned(),
            port: free_port()?,
            proxy: None,
            postgres,
            dir,
        })
    }

    /// Starts `program serve` with one migration's rules, which begins in `legacy_only`.
    pub async fn serve(&mut self, migration: &str, rules: &str) -> anyhow::Result<()> {
        let dir = self.rules_dir();
        std::fs::create_dir(&dir)?;
        std::fs::write(dir.join(format!("{migration}.toml")), rules)?;
        let config = format!(
            "listen = \"127.0.0.1:{}\"\nupstream = \"{}\"\nrules = \"{}\"\n\n\
             [gates]\nfallback_free_days = 0\nuntouched_days = 0\n\n[control]\nurl = \"{}\"\n",
            self.port,
            self.postgres.address(),
            dir.display(),
            self.operator_url(),
        );
        std::fs::write(self.config(), config)?;
        self.start_proxy().await
    }

    async fn start_proxy(&mut self) -> anyhow::Result<()> {
        let log = File::create(self.log_path())?;
        let mut command = dying_with_us(&self.program);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let proxy = Process::spawn(command).context("starting `crossfade serve`")?;
        let deadline = Instant::now() + PROXY_START_TIMEOUT;
        loop {
            if proxy.is_over() {
                bail!("`crossfade serve` exited:\n{}", self.log());
            }
            match super::client::connect(&self.url(), "setup").await {
                Ok(_client) => break,
                Err(error) if Instant::now() > deadline => {
                    bail!(
                        "`crossfade serve` does not answer ({error:#}):\n{}",
                        self.log()
                    );
                }
                Err(_still_starting) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        self.proxy = Some(proxy);
        Ok(())
    }

    /// The application's connection string: through the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!(
            "postgres://{USER}:{password}@127.0.0.1:{}/{DATABASE}",
            self.port
        )
    }

    /// The same user, past the proxy.
    #[must_use]
    pub fn direct_url(&self) -> String {
        let password = PASSWORD.replace(' ', "%20");
        self.postgres
            .url_as(&format!("{USER}:{password}"), DATABASE)
    }

    /// The same user, on the database that is left alone.
    #[must_use]
    pub fn alone_url(&self) -> String {
        let password = PASSWORD.replace(' ', "%20");
        self.postgres.url_as(&format!("{USER}:{password}"), ALONE)
    }

    /// The superuser, past the proxy: for the operator, for Crossfade's own work, for checks.
    #[must_use]
    pub fn operator_url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    #[must_use]
    pub fn rules_dir(&self) -> PathBuf {
        self.dir.path().join("rules")
    }

    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("crossfade.toml")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("serve.log")
    }

    /// What the proxy has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Whether the proxy still runs.
    #[must_use]
    pub fn is_proxy_up(&self) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| !proxy.is_over())
    }

    /// Runs a `crossfade` command (`["verify", "iso_agents"]`), shows its output, fails if it
    /// fails. The lines of its standard output.
    pub async fn crossfade(
        &self,
        command: &[&str],
        display: &Display,
    ) -> anyhow::Result<Vec<String>> {
        let words = command.join(" ");
        display.say(&format!("  $ crossfade {words}"));
        let mut program = tokio::process::Command::new(&self.program);
        for name in surroundings() {
            program.env_remove(name);
        }
        let mut child = program
            .args(command)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting `crossfade {words}`"))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let ended = tokio::time::timeout(COMMAND_TIMEOUT, async {
            let (said, _errors, status) =
                tokio::join!(show(out, display), show(err, display), child.wait());
            (said, status)
        });
        let (said, status) = ended
            .await
            .with_context(|| format!("`crossfade {words}` took too long"))?;
        let status = status?;
        if !status.success() {
            bail!("`crossfade {words}` failed: {status}");
        }
        Ok(said)
    }

    /// Ends the proxy, then the server. Blocks for a moment.
    pub fn strike(mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.stop(Signal::Terminate, PROXY_STOP_TIMEOUT);
        }
    }
}

/// The lines of an output, shown as they come.
async fn show(output: Option<impl AsyncRead + Unpin>, display: &Display) -> Vec<String> {
    let mut said = Vec::new();
    let Some(output) = output else { return said };
    let mut lines = BufReader::new(output).lines();
    // Output that is no text ends the showing, not the command.
    while let Ok(Some(line)) = lines.next_line().await {
        display.say(&format!("    {line}"));
        said.push(line);
    }
    said
}
