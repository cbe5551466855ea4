//! A running `crossfade serve` of a test's own, and the other commands on its rules.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use crossfade::control::epochs::{self, NewEpoch};
use crossfade::control::events::Actor;
use crossfade::control::phase_file;
use crossfade_testbed::process::{Process, Signal, dying_with_us, surroundings};
use crossfade_testbed::{Postgres, free_port};
use rewrite_rules::Phase;

use crate::binary;
use crate::control::until;
use crate::world::{PASSWORD, USER};

const RULES: &str = include_str!("../../rewrite-rules/rules/iso_agents.toml");
/// A debug build on a busy machine; a proxy that needs longer hangs.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// It looks once a second.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Dropping it ends the proxy and removes its files.
pub struct Proxy {
    pub port: u16,
    database: String,
    process: Option<Process>,
    dir: Arc<tempfile::TempDir>,
}

impl Proxy {
    /// The files of a proxy that manages `iso_agents`, not yet serving.
    pub fn with_rules(postgres: &Postgres, database: &str, phase: Phase) -> anyhow::Result<Self> {
        let proxy = Self::with_config(postgres, database, "")?;
        proxy.write_phase(phase)?;
        Ok(proxy)
    }

    /// The files of a proxy without any rule, with more lines for its configuration.
    pub fn with_config(postgres: &Postgres, database: &str, more: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("crossfade-test-")
            .tempdir()?;
        std::fs::create_dir(dir.path().join("rules"))?;
        Self::in_dir(Arc::new(dir), postgres, database, more)
    }

    /// The files of a second proxy of the same database, which reads the same rules.
    pub fn beside(&self, postgres: &Postgres) -> anyhow::Result<Self> {
        Self::in_dir(Arc::clone(&self.dir), postgres, &self.database, "")
    }

    fn in_dir(
        dir: Arc<tempfile::TempDir>,
        postgres: &Postgres,
        database: &str,
        more: &str,
    ) -> anyhow::Result<Self> {
        let proxy = Proxy {
            port: free_port()?,
            database: database.to_owned(),
            process: None,
            dir,
        };
        // Every test can be run with the cache on.
        let cache = match std::env::var("CROSSFADE_TEST_CACHE") {
            Ok(statements) => format!("[cache]\nstatements = {statements}\n"),
            Err(_not_asked_for) => String::new(),
        };
        std::fs::write(
            proxy.config(),
            format!(
                "listen = \"127.0.0.1:{}\"\nupstream = \"{}\"\nrules = \"{}\"\n{more}\n\
                 [gates]\nfallback_free_days = 0\n\
                 [control]\nurl = \"{}\"\n{cache}",
                proxy.port,
                postgres.address(),
                proxy.rules_dir().display(),
                postgres.url(database),
            ),
        )?;
        Ok(proxy)
    }

    /// Takes the control connection out of the configuration, and puts another upstream and size
    /// of cache in: a proxy that leaves no trace in the database but its clients'.
    pub fn detach(&self, upstream: u16, cached_statements: usize) -> anyhow::Result<()> {
        let config = std::fs::read_to_string(self.config())?;
        let (without_control, _) = config
            .split_once("[control]")
            .context("the configuration has a control connection")?;
        let upstream = format!("upstream = \"127.0.0.1:{upstream}\"");
        let lines = without_control.lines().map(|line| {
            if line.starts_with("upstream = ") {
                upstream.as_str()
            } else {
                line
            }
        });
        let lines: Vec<&str> = lines.collect();
        let cache = format!("\n[cache]\nstatements = {cached_statements}\n");
        std::fs::write(self.config(), lines.join("\n") + &cache)?;
        Ok(())
    }

    /// Starts serving and waits until a session can be had. What the database has in force must be what the rule files
    /// say, or a test would not be in the phase that it names.
    pub async fn serve(self) -> anyhow::Result<Self> {
        for entry in std::fs::read_dir(self.rules_dir())? {
            let text = std::fs::read_to_string(entry?.path())?;
            let (Some((migration, said)), Ok(url)) = (phase_file::says(&text), self.control_url())
            else {
                continue;
            };
            // Whoever may not connect is a test's own affair.
            let Ok(client) = crossfade_demo::client::connect(&url, "test").await else {
                continue;
            };
            let known = epochs::of(&client, &migration).await?;
            let phase = known.map_or(said, |known| known.phase);
            ensure!(
                phase == said,
                "{migration} is in {phase}, its file says {said}: turn it there first"
            );
        }
        self.serve_what_is_in_force().await
    }

    /// The same, whatever the rule files say.
    pub async fn serve_what_is_in_force(mut self) -> anyhow::Result<Self> {
        // The first use of the binary may build it: the time runs from then on.
        let mut process = self.spawn()?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let connected = crossfade_demo::client::connect(&self.url(), "test").await;
            if process.is_over() {
                // Somebody else's connection may have been given the port of a proxy that was killed.
                let log = self.log();
                let last = log.lines().last().unwrap_or_default();
                let taken = last.contains("Address already in use");
                ensure!(
                    taken && Instant::now() < deadline,
                    "the proxy exited:\n{log}"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
                process = self.spawn()?;
                continue;
            }
            match connected {
                Ok(_client) => break,
                Err(error) if Instant::now() > deadline => {
                    bail!("the proxy does not answer ({error:#}):\n{}", self.log())
                }
                Err(_still_starting) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        self.process = Some(process);
        Ok(self)
    }

    fn spawn(&self) -> anyhow::Result<Process> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = dying_with_us(binary::crossfade());
        command
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Process::spawn(command)?)
    }

    /// The application's connection string, through the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as(&format!("{USER}:{PASSWORD}"), &self.database)
    }

    #[must_use]
    pub fn url_as(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The same as one of the world's roles.
    pub async fn client_of(&self, user: &str) -> anyhow::Result<tokio_postgres::Client> {
        let url = self.url_as(&format!("{user}:{PASSWORD}"), &self.database);
        crossfade_demo::client::connect(&url, "test").await
    }

    /// A tokio-postgres client through the proxy.
    pub async fn client(&self) -> anyhow::Result<tokio_postgres::Client> {
        crossfade_demo::client::connect(&self.url(), "test").await
    }

    #[must_use]
    pub fn rules_dir(&self) -> PathBuf {
        self.dir.path().join("rules")
    }

    #[must_use]
    pub fn rule_file(&self) -> PathBuf {
        self.rules_dir().join("iso_agents.toml")
    }

    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir
            .path()
            .join(format!("crossfade-{}.toml", self.port))
    }

    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join(format!("serve-{}.log", self.port))
    }

    /// What the proxy has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The rule file of the tests in a phase: the shipped one, but that the new application of the tests
    /// deletes and hides rows in every phase, and both sides are expected to be alike behind it.
    ///
    /// # Panics
    ///
    /// If the shipped file does not say what is replaced.
    #[must_use]
    pub fn rules_in(phase: Phase) -> String {
        let phase = format!("\nphase = \"{phase}\"\n");
        let replaced = [
            ("\nphase = \"legacy_only\"\n", phase.as_str()),
            ("\nwhen_hidden = \"keep\"\n", "\nwhen_hidden = \"remove\"\n"),
        ];
        replaced
            .into_iter()
            .fold(RULES.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "the shipped rules say {from}");
                text.replace(from, to)
            })
    }

    /// Writes the rule file in a phase, whatever it was before. A serving proxy will notice.
    pub fn write_phase(&self, phase: Phase) -> anyhow::Result<()> {
        let text = Self::rules_in(phase);
        // As editors do it: the watcher must never see half a file.
        let new = self.dir.path().join("iso_agents.toml.new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, self.rule_file())?;
        Ok(())
    }

    /// Turns a migration that is in force to a phase, past all gates; whoever serves will follow.
    pub async fn turn_to(&self, migration: &str, phase: Phase) -> anyhow::Result<()> {
        let client = crossfade_demo::client::connect(&self.control_url()?, "test").await?;
        let known = epochs::of(&client, migration).await?;
        let known = known.context("it is in force")?;
        let new = NewEpoch {
            migration,
            phase,
            rules: &known.rules,
            file: &known.file,
            why: "test",
            by: Actor::of_process(),
        };
        let opened = epochs::open(&client, new, Some(known.epoch)).await?;
        opened.context("nobody else takes a step")?;
        let file = self.rules_dir().join(&known.file);
        if file.exists() {
            phase_file::write(&file, phase)?;
        }
        Ok(())
    }

    /// Has this proxy follow the database by another port of this machine.
    pub fn control_by(&self, port: u16) -> anyhow::Result<()> {
        let url = self.control_url()?;
        let (before, _port) = url.rsplit_once(':').context("a port")?;
        let (_, database) = url.rsplit_once('/').context("a database")?;
        let by = format!("{before}:{port}/{database}");
        let config = std::fs::read_to_string(self.config())?;
        std::fs::write(self.config(), config.replace(&url, &by))?;
        Ok(())
    }

    fn control_url(&self) -> anyhow::Result<String> {
        let config = std::fs::read_to_string(self.config())?;
        let control = config.lines().skip_while(|line| *line != "[control]");
        let mut urls = control.filter_map(|line| line.strip_prefix("url = \"")?.strip_suffix('"'));
        Ok(urls.next().context("no control connection")?.to_owned())
    }

    /// Writes a rule file of another migration.
    pub fn write_rules(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(
            self.rules_dir().join(format!("{name}.toml")),
            text,
        )?)
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let process = self.process.as_ref().context("the proxy is not serving")?;
        Ok(process.signal(signal)?)
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid)
    }

    /// Whether the proxy has exited.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.process.as_ref().is_none_or(Process::is_over)
    }

    /// Runs `crossfade` with this proxy's configuration; its output, or an error with it.
    pub async fn crossfade(&self, args: &[&str]) -> anyhow::Result<String> {
        if let (Some(_), ["verify", migration, ..]) = (&self.process, args) {
            // What was written around it between a verification and its first look, nobody could tell afterwards,
            // and a gate would say so. A proxy that cannot look does not keep anybody waiting.
            let looked = tokio::time::timeout(LOOK_TIMEOUT, self.first_look(migration));
            let _: Result<anyhow::Result<()>, _> = looked.await;
        }
        run_crossfade(args, &self.config()).await
    }

    /// Until this proxy has looked for writers around it, in a phase in which it does.
    async fn first_look(&self, migration: &str) -> anyhow::Result<()> {
        let client = crossfade_demo::client::connect(&self.control_url()?, "test").await?;
        let looked = format!(
            "EXISTS (SELECT FROM crossfade.watches WHERE migration = '{migration}') OR EXISTS ( \
             SELECT FROM crossfade.instances WHERE migration = '{migration}' \
             AND phase NOT IN ('dual_write', 'shadow_read', 'dual_read', 'unified_read'))"
        );
        until(&client, &looked).await
    }

    /// Like a power cut: nothing in it gets a word in.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop(Signal::Kill, STOP_TIMEOUT);
        }
    }

    /// Ends the proxy as a supervisor would.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop(Signal::Terminate, STOP_TIMEOUT);
        }
    }
}

async fn run_crossfade(args: &[&str], config: &Path) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(binary::crossfade());
    for name in surroundings() {
        command.env_remove(name);
    }
    let output = command
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "`crossfade {}`: {}\n{text}{errors}",
        args.join(" "),
        output.status
    );
    Ok(text)
}
