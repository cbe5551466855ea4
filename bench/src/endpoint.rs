//! What clients can connect to: the server itself and the proxies in front of it, each a process
//! of its own whose processor time and memory can be read.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use crossfade_testbed::free_port;
use crossfade_testbed::process::{Process, dying_with_us, setpriv};
use rewrite_rules::Phase;

use crate::load::client::Client;
use crate::rules::{held_in, rules_in};
use crate::workload::{PGBOUNCER, RELAY};

const START_TIMEOUT: Duration = Duration::from_secs(10);
const START_POLL: Duration = Duration::from_millis(20);

/// Above what any measurement here opens.
const CONNECTIONS_MAX: usize = 60_000;

pub struct Endpoint {
    pub name: String,
    pub address: String,
    /// Kept for its end: dropped, it kills the child.
    process: Option<Process>,
}

impl Endpoint {
    /// Something that runs already: the server, or what the command line names.
    pub fn running(name: impl Into<String>, address: impl Into<String>) -> Endpoint {
        Endpoint {
            name: name.into(),
            address: address.into(),
            process: None,
        }
    }

    /// The process whose cost is the endpoint's, where it is ours.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid)
    }
}

/// Starts endpoints in front of one server.
pub struct Starter<'a> {
    /// For configuration files and logs.
    pub dir: &'a Path,
    /// The `crossfade` binary.
    pub crossfade: &'a Path,
    pub upstream: &'a str,
}

impl Starter<'_> {
    /// This program again, as the bare relay.
    pub async fn relay(&self) -> anyhow::Result<Endpoint> {
        let listen = free_address()?;
        let mut command = with_open_files(&std::env::current_exe()?);
        command.args(["relay", "--listen", &listen, "--upstream", self.upstream]);
        self.start(RELAY, listen, command).await
    }

    /// `crossfade serve` with the rules of `iso_agents` in a phase.
    pub async fn crossfade(&self, name: &str, phase: Phase) -> anyhow::Result<Endpoint> {
        self.crossfade_set(name, phase, "").await
    }

    /// The same over a database of its own, which holds it to its phase's epoch.
    pub async fn held(&self, name: &str, phase: Phase) -> anyhow::Result<Endpoint> {
        let database = held_in(phase);
        let settings = format!(
            "[control]\nurl = \"postgres://postgres@{}/{database}\"\n",
            self.upstream
        );
        let listen = free_address()?;
        let config = self.crossfade_config(name, &listen, phase, &settings)?;
        let mut command = with_open_files(self.crossfade);
        command.args(["serve", "--config"]).arg(config);
        self.start(name, format!("{listen}/{database}"), command)
            .await
    }

    /// The same, with settings of its own.
    pub async fn crossfade_set(
        &self,
        name: &str,
        phase: Phase,
        settings: &str,
    ) -> anyhow::Result<Endpoint> {
        let listen = free_address()?;
        let config = self.crossfade_config(name, &listen, phase, settings)?;
        let mut command = with_open_files(self.crossfade);
        command.args(["serve", "--config"]).arg(config);
        self.start(name, listen, command).await
    }

    /// Writes rules and configuration, for those who start the proxy in a way of their own.
    pub fn crossfade_config(
        &self,
        name: &str,
        listen: &str,
        phase: Phase,
        settings: &str,
    ) -> anyhow::Result<PathBuf> {
        let rules = self.dir.join(name);
        fs::create_dir_all(&rules)?;
        fs::write(rules.join("iso_agents.toml"), rules_in(phase))?;
        let config = self.dir.join(format!("{name}.toml"));
        let text = format!(
            "listen = {listen:?}\nupstream = {:?}\nrules = {name:?}\n\n\
             [limits]\nconnections_max = {CONNECTIONS_MAX}\n\n{settings}",
            self.upstream
        );
        fs::write(&config, text)?;
        Ok(config)
    }

    /// PgBouncer in session mode, if there is one; whoever connects is the superuser.
    pub async fn pgbouncer(&self) -> anyhow::Result<Option<Endpoint>> {
        let Some(program) = installed("pgbouncer") else {
            return Ok(None);
        };
        let listen = free_address()?;
        let (_, listen_port) = listen.split_once(':').context("no port")?;
        let (host, port) = self.upstream.split_once(':').context("no port")?;
        let config = self.dir.join("pgbouncer.ini");
        let text = format!(
            "[databases]\npostgres = host={host} port={port} user=postgres\n\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listen_port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = session\n\
             max_client_conn = {CONNECTIONS_MAX}\ndefault_pool_size = {CONNECTIONS_MAX}\n"
        );
        fs::write(&config, text)?;
        let mut command = with_open_files(&program);
        if let (0, Some(setpriv)) = (owner_of(self.dir)?, setpriv()) {
            // It refuses to run as root.
            command = with_open_files(&setpriv);
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .args(["--pdeathsig", "TERM", "--"])
                .arg(&program);
        }
        command.arg(config);
        self.start(PGBOUNCER, listen, command).await.map(Some)
    }

    /// A command line of the user's.
    pub async fn command(&self, name: &str, line: &str) -> anyhow::Result<Endpoint> {
        let listen = free_address()?;
        let line = line
            .replace("{upstream}", self.upstream)
            .replace("{listen}", &listen);
        let mut command = with_open_files(Path::new("/bin/sh"));
        // With `exec` the process that is measured is the proxy, not the shell.
        command.args(["-c", &format!("exec {line}")]);
        self.start(name, listen, command).await
    }

    /// A server that answers without a database behind it, for sessions by the thousand.
    pub async fn stub(&self) -> anyhow::Result<Endpoint> {
        let listen = free_address()?;
        let mut command = with_open_files(&std::env::current_exe()?);
        command.args(["stub", "--listen", &listen]);
        self.start("stub", listen, command).await
    }

    async fn start(
        &self,
        name: &str,
        address: String,
        mut command: Command,
    ) -> anyhow::Result<Endpoint> {
        let log_path = self.dir.join(format!("{name}.log"));
        let log = File::create(&log_path)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let process = Process::spawn(command).with_context(|| format!("starting {name}"))?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match Client::connect(&address).await {
                Ok(_client) => break,
                Err(error) if process.is_over() || Instant::now() > deadline => {
                    let log = fs::read_to_string(&log_path).unwrap_or_default();
                    bail!("{name} does not answer ({error:#}); its log:\n{log}");
                }
                Err(_still_starting) => tokio::time::sleep(START_POLL).await,
            }
        }
        Ok(Endpoint {
            name: name.to_owned(),
            address,
            process: Some(process),
        })
    }
}

/// The proxy's binary: the one that is named, or the one that was built with this program.
pub fn crossfade_binary(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("crossfade"),
    };
    ensure!(
        path.is_file(),
        "no proxy at {}: build it (`cargo build --release`), or say where it is (--crossfade)",
        path.display()
    );
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures mean nothing");
    }
    Ok(path)
}

/// A temporary directory. PgBouncer reads its configuration from there as another user.
pub fn readable_dir() -> anyhow::Result<tempfile::TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("crossfade-bench-")
        .tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// A program on the PATH, or where Debian puts daemons.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// A superuser may raise the hard limit, others the soft one up to it.
const RAISE_LIMIT: &str = "ulimit -n 131072 2>/dev/null || ulimit -n \"$(ulimit -H -n)\";";

/// A command that ends with us and may open two sockets for each of many sessions: the usual
/// limit of 1,024 files is a shell's, not a server's.
pub fn with_open_files(program: &Path) -> Command {
    let mut command = dying_with_us(Path::new("/bin/sh"));
    command
        .args(["-c", &format!("{RAISE_LIMIT} exec \"$0\" \"$@\"")])
        .arg(program);
    command
}

/// How many files such a command may open.
pub fn open_files_max() -> anyhow::Result<usize> {
    let mut command = dying_with_us(Path::new("/bin/sh"));
    command.args(["-c", &format!("{RAISE_LIMIT} ulimit -n")]);
    let said = command.output()?.stdout;
    let said = String::from_utf8(said)?;
    said.trim()
        .parse()
        .with_context(|| format!("the shell's limit of open files: {said:?}"))
}

fn free_address() -> anyhow::Result<String> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}

fn owner_of(path: &Path) -> anyhow::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(path)?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_compile_in_every_phase() {
        for phase in Phase::ALL {
            let file = rewrite_rules::SourceFile {
                path: "iso_agents.toml".into(),
                text: rules_in(phase),
            };
            let rules = rewrite_rules::RuleSet::compile(vec![file]).expect("they are the shipped");
            assert_eq!(rules.migrations()[0].phase, phase);
        }
    }
}
