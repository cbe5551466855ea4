//! PgBouncer in transaction mode, where it is installed: each transaction of a client gets another server connection.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use crossfade_testbed::free_port;
use crossfade_testbed::process::{Process, dying_with_us, setpriv};

/// A small program on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Fewer than there are clients, so that these change connections.
const POOL: usize = 2;

/// Dropping it ends the program.
pub struct PgBouncer {
    pub port: u16,
    _process: Process,
    _dir: tempfile::TempDir,
}

/// Where it is; `None`, and a word about it, where it is not.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join("pgbouncer"))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: no PgBouncer");
    }
    found
}

impl PgBouncer {
    /// Before a port of this machine, where it logs in as this role, whoever comes; `None` where it is not installed.
    pub async fn start(
        target: u16,
        database: &str,
        (user, password): (&str, &str),
    ) -> anyhow::Result<Option<PgBouncer>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let dir = tempfile::Builder::new()
            .prefix("crossfade-bouncer-")
            .tempdir()?;
        let (port, config) = (free_port()?, dir.path().join("pgbouncer.ini"));
        std::fs::write(
            &config,
            format!(
                "[databases]\n{database} = host=127.0.0.1 port={target} user={user} password={password}\n\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = any\npool_mode = transaction\ndefault_pool_size = {POOL}\n\
                 ignore_startup_parameters = extra_float_digits\nserver_login_retry = 1\n"
            ),
        )?;
        let mut command = match setpriv() {
            // It refuses to run as root.
            Some(setpriv) if is_root()? => {
                let mut command = dying_with_us(&setpriv);
                command
                    .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                    .args(["--pdeathsig", "TERM", "--"])
                    .arg(&program);
                open_to_all(dir.path())?;
                command
            }
            Some(_) | None => dying_with_us(&program),
        };
        command.arg("-q").arg(&config);
        let process = Process::spawn(command)?;
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            ensure!(!process.is_over(), "PgBouncer has ended");
            if begun.elapsed() > START_TIMEOUT {
                bail!("PgBouncer does not answer");
            }
            crate::control::a_moment().await;
        }
        Ok(Some(PgBouncer {
            port,
            _process: process,
            _dir: dir,
        }))
    }

    /// A client's way to the database.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }
}

fn is_root() -> anyhow::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

fn open_to_all(dir: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    Ok(std::fs::set_permissions(
        dir,
        std::fs::Permissions::from_mode(0o755),
    )?)
}
