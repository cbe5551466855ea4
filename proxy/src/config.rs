//! The configuration: a TOML file, overridden by environment variables, overridden by flags.
//!
//! Everything has a default, so that `crossfade serve` runs without a file. An unknown key is an
//! error that names the keys there are.

mod address;
mod console;
mod hook;
mod limits;
mod sockets;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::session::{CacheLimits, Comments};

pub use address::{Address, AddressError, Listen, UpstreamAddresses};
pub use console::ConsoleConfig;
pub use hook::HookConfig;
pub use limits::Limits;
pub use sockets::{ClientTls, SslMode, SslNegotiation, TargetSessionAttrs, Tcp, UpstreamTls};

/// The flags that every subcommand shares.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Configuration file
    #[arg(long, env = "CROSSFADE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where clients connect to: host:port or unix:/path, several with commas
    #[arg(long, env = "CROSSFADE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// The PostgreSQL server, as host:port or unix:/path; its primary and standbys with commas
    #[arg(long, env = "CROSSFADE_UPSTREAM", value_name = "ADDRESS")]
    pub upstream: Option<String>,
    /// Directory of rule files (*.toml)
    #[arg(long, env = "CROSSFADE_RULES", value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Connection string for Crossfade's own work in the application's database. Everybody on the host
    /// can read a command line: give a password by the variable, by the configuration file, or by a
    /// password file (`passfile=FILE` in the string, PGPASSFILE, or ~/.pgpass)
    #[arg(
        long = "control",
        env = "CROSSFADE_CONTROL_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub control_url: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub listen: Listen,
    pub upstream: UpstreamAddresses,
    /// Which of the upstream's hosts clients are brought to; where it is not said, [`Config::wanted`] tells.
    pub target_session_attrs: Option<TargetSessionAttrs>,
    /// Without it nothing is managed and everything passes through.
    pub rules: Option<PathBuf>,
    /// Lets another process listen on the same ports, to take them over without a gap.
    pub reuse_port: bool,
    /// Who may connect to socket files: octal, as the server's setting of this name.
    pub unix_socket_permissions: Permissions,
    pub tls: ClientTls,
    pub upstream_tls: UpstreamTls,
    pub tcp: Tcp,
    pub control: ControlConfig,
    pub admin: AdminConfig,
    pub console: ConsoleConfig,
    pub hook: HookConfig,
    pub limits: Limits,
    pub shadow: Shadow,
    pub cache: CacheConfig,
    pub comments: CommentsConfig,
    pub gates: Gates,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Permissions(pub String);

impl Default for Permissions {
    fn default() -> Self {
        // The server's default: who gets in is for pg_hba.conf to say.
        Permissions("0777".to_owned())
    }
}

impl Permissions {
    #[must_use]
    pub fn mode(&self) -> Option<u32> {
        let mode = u32::from_str_radix(&self.0, 8).ok();
        mode.filter(|mode| *mode <= 0o777)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    pub url: Option<String>,
}

/// Where operators' programs ask: metrics, and whether this proxy lives and is ready.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// `host:port`. Nothing listens where it is not given.
    pub listen: Option<String>,
    /// Whether the page is there as well, for the users of `[console]`.
    pub page: bool,
    /// The names by which browsers ask for the page, as they stand in an address: `host:port`. A listener of this machine
    /// alone has its own.
    pub hosts: Vec<String>,
    /// TLS ends in front of the listener: browsers ask by `https`.
    pub tls_in_front: bool,
    /// Whether the page shows values of rows that a verify found to differ.
    pub show_values: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shadow {
    /// The share of comparable reads that also run on the unified side, 0 to 1.
    pub sample: f64,
}

impl Default for Shadow {
    fn default() -> Self {
        // One in twenty finds a systematic difference within seconds under any load worth the
        // name, and adds 5 % to the reads of the managed tables only.
        Shadow { sample: 0.05 }
    }
}

/// What `advance` asks of time.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// Before `unified_only`: days since a read last needed legacy.
    pub fallback_free_days: f64,
    /// The age at which a verification no longer counts.
    pub verify_age_max_hours: f64,
    /// Before the drop of a retired table: days on probation in which nobody has touched it.
    pub untouched_days: f64,
    /// Rows that are looked at to rehearse the way back; of a larger table ranges are.
    pub rehearsal_rows_max: u32,
}

impl Default for Gates {
    fn default() -> Self {
        // A week has every weekday and most batch jobs in it; a day's writes can be repaired.
        Gates {
            fallback_free_days: 7.0,
            verify_age_max_hours: 24.0,
            untouched_days: 7.0,
            // Some seconds' work, and enough for a value in ten thousand to be met.
            rehearsal_rows_max: 1_000_000,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Unnamed statements of one session that are kept prepared on the server; 0, the default, keeps
    /// none: see docs/running.md for what it gains and what it cannot notice. A hundred are enough for the hot texts of a
    /// connection; each takes some ten kilobytes of the server's memory.
    pub statements: usize,
    /// The same for statements that were rewritten and find one row by its key, by whatever protocol they come; 0 keeps
    /// none. An application has a few dozen of them.
    pub rewritten: usize,
    /// How often one of them is executed before it is prepared anew. The server plans the first
    /// five executions for their values; with more it may choose one plan for all, as it does for
    /// what drivers prepare.
    pub executions: u32,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        let CacheLimits {
            statements,
            executions,
            rewritten: _,
        } = CacheLimits::default();
        CacheConfig {
            statements,
            rewritten: REWRITTEN_STATEMENTS,
            executions,
        }
    }
}

impl CacheConfig {
    /// What a session has to know.
    #[must_use]
    pub fn limits(&self) -> CacheLimits {
        CacheLimits {
            statements: self.statements,
            rewritten: self.rewritten,
            executions: self.executions,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommentsConfig {
    /// Which comments of clients reach the server: see docs/running.md.
    pub forward: Comments,
}

/// Each takes up to a quarter of a MiB of the server's process, and beyond so many an application's statements by key are rare
/// ones.
const REWRITTEN_STATEMENTS: usize = 20;

/// Above this the server's memory for plans, and the search for the one used longest ago, would
/// cost more than the cache gains.
const CACHE_STATEMENTS_MAX: usize = 10_000;

/// Prepared for one execution alone, a statement would cost more than an unnamed one.
const CACHE_EXECUTIONS_MIN: u32 = 2;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("configuration file {path}: {said}")]
    Parse { path: PathBuf, said: String },
    #[error("{key} = {error}")]
    Address {
        key: &'static str,
        error: AddressError,
    },
    #[error("{key} = {value}: expected {expected}")]
    Value {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
}

impl Config {
    /// File, then environment, then flags; `clap` has already merged the last two.
    pub fn load(flags: &Flags) -> Result<Config, ConfigError> {
        let mut config = match &flags.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(listen) = &flags.listen {
            config.listen = Listen(listen.clone());
        }
        if let Some(upstream) = &flags.upstream {
            config.upstream = UpstreamAddresses(upstream.clone());
        }
        if let Some(rules) = &flags.rules {
            config.rules = Some(rules.clone());
        }
        if let Some(url) = &flags.control_url {
            config.control.url = Some(url.clone());
        }
        config.checked()
    }

    fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        let mut config = Config::parse(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            said: told(&text, &error),
        })?;
        // A relative directory is meant from where the file stands, not from where one happens
        // to start the proxy.
        if let Some(parent) = path.parent() {
            config.rules = config.rules.map(|rules| parent.join(rules));
            config.tls.relative_to(parent);
            config.upstream_tls.relative_to(parent);
            config.console.relative_to(parent);
            config.hook.relative_to(parent);
        }
        Ok(config)
    }

    fn parse(text: &str) -> Result<Config, Box<toml::de::Error>> {
        toml::from_str(text).map_err(Box::new)
    }

    fn checked(self) -> Result<Config, ConfigError> {
        let wrong = |key, value: String, expected| {
            Err(ConfigError::Value {
                key,
                value,
                expected,
            })
        };
        if let Err(error) = self.listen.addresses() {
            return Err(ConfigError::Address {
                key: "listen",
                error,
            });
        }
        match self.upstream.addresses() {
            Err(error) => {
                return Err(ConfigError::Address {
                    key: "upstream",
                    error,
                });
            }
            Ok(hosts) => self.check_hosts(&hosts)?,
        }
        if self.unix_socket_permissions.mode().is_none() {
            let value = format!("{:?}", self.unix_socket_permissions.0);
            return wrong(
                "unix_socket_permissions",
                value,
                "an octal mode, at most 0777",
            );
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return wrong(
                "tls",
                "one of two".to_owned(),
                "both certificate and key, or neither",
            );
        }
        if self.tls.required && self.tls.certificate.is_none() {
            return wrong(
                "tls.required",
                "true".to_owned(),
                "a certificate and its key beside it",
            );
        }
        let sslmode = self.upstream_tls.sslmode;
        if matches!(sslmode, SslMode::VerifyCa | SslMode::VerifyFull)
            && self.upstream_tls.root_certificates.is_none()
        {
            let expected = "root_certificates beside it, to verify with";
            return wrong("upstream_tls.sslmode", format!("{sslmode:?}"), expected);
        }
        if self.upstream_tls.sslnegotiation == SslNegotiation::Direct
            && matches!(sslmode, SslMode::Disable | SslMode::Prefer)
        {
            // Where TLS is only a wish, a server without it could not say so.
            let expected = "sslmode require, verify-ca or verify-full beside direct";
            return wrong("upstream_tls.sslmode", format!("{sslmode:?}"), expected);
        }
        if let Some((key, value, expected)) = self.console.fault() {
            return wrong(key, value, expected);
        }
        if let Some((key, value, expected)) = self.hook.fault(self.control.url.is_some()) {
            return wrong(key, value, expected);
        }
        if self.cache.statements > CACHE_STATEMENTS_MAX {
            let value = self.cache.statements.to_string();
            return wrong("cache.statements", value, "at most 10000");
        }
        if self.cache.rewritten > CACHE_STATEMENTS_MAX {
            let value = self.cache.rewritten.to_string();
            return wrong("cache.rewritten", value, "at most 10000");
        }
        if self.cache.executions < CACHE_EXECUTIONS_MIN {
            let value = self.cache.executions.to_string();
            return wrong("cache.executions", value, "2 or more");
        }
        for (key, value) in [
            ("gates.fallback_free_days", self.gates.fallback_free_days),
            (
                "gates.verify_age_max_hours",
                self.gates.verify_age_max_hours,
            ),
            ("gates.untouched_days", self.gates.untouched_days),
        ] {
            if !(0.0..=100_000.0).contains(&value) {
                return wrong(key, value.to_string(), "a time, not negative");
            }
        }
        if self.admin.page {
            let lacks = [
                (self.admin.listen.is_none(), "listen in [admin] beside it"),
                (
                    self.console.users.is_none(),
                    "users in [console], who may log in",
                ),
                (self.control.url.is_none(), "url in [control], to ask"),
            ];
            if let Some((_, expected)) = lacks.into_iter().find(|(lacks, _)| *lacks) {
                return wrong("admin.page", "true".to_owned(), expected);
            }
        }
        if !(0.0..=1.0).contains(&self.shadow.sample) {
            let value = self.shadow.sample.to_string();
            return wrong("shadow.sample", value, "a share between 0 and 1");
        }
        Ok(self)
    }

    /// Which host clients are brought to. Where there are several, and somebody can be asked which of them is the primary,
    /// a standby is none of them.
    #[must_use]
    pub fn wanted(&self) -> TargetSessionAttrs {
        let several = self.upstream.addresses().is_ok_and(|all| all.len() > 1);
        match self.target_session_attrs {
            Some(wanted) => wanted,
            None if several && self.control.url.is_some() => TargetSessionAttrs::ReadWrite,
            None => TargetSessionAttrs::Any,
        }
    }

    fn check_hosts(&self, hosts: &[Address]) -> Result<(), ConfigError> {
        let wrong = |key, value: String, expected| {
            Err(ConfigError::Value {
                key,
                value,
                expected,
            })
        };
        if hosts.len() > UPSTREAM_HOSTS_MAX {
            return wrong("upstream", hosts.len().to_string(), "at most 16 hosts");
        }
        if hosts.len() > 1
            && let Some(name) = &self.upstream_tls.server_name
        {
            let expected = "none beside several hosts: each must bear its own name";
            return wrong("upstream_tls.server_name", format!("{name:?}"), expected);
        }
        let wanted = self.wanted();
        if wanted == TargetSessionAttrs::Any {
            return Ok(());
        }
        if self.control.url.is_none() {
            let expected = "any, or url in [control]: it is asked which host is the primary";
            return wrong("target_session_attrs", format!("{wanted:?}"), expected);
        }
        if let Some(unnamed) = hosts.iter().find(|host| host.port().is_none()) {
            let expected = "a socket file named .s.PGSQL.port, where the primary is looked for";
            return wrong("upstream", unnamed.to_string(), expected);
        }
        Ok(())
    }
}

/// Each is asked at each look for the primary.
const UPSTREAM_HOSTS_MAX: usize = 16;

/// What is wrong and in which line, without the line: it may be the one with a password.
fn told(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let line = line
        .map(|line| format!("line {line}: "))
        .unwrap_or_default();
    format!("{line}{}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_the_keys_there_are() {
        let file = "[limits]\nstatement_max = 3\n";
        let text = told(file, &Config::parse(file).expect_err("unknown"));
        assert!(text.contains("statement_max"), "{text}");
        assert!(text.contains("statement_bytes_max"), "{text}");
        assert!(text.contains("line 2"), "{text}");
    }

    #[test]
    fn no_error_repeats_the_control_connections_password() {
        for line in [
            "url = \"postgres://a:secret@host/db",
            "url = \"postgres://a:secret@host/db\" x",
            "urls = \"postgres://a:secret@host/db\"",
            "url = [\"postgres://a:secret@host/db\"]",
        ] {
            let file = format!("[control]\n{line}\n");
            let text = told(&file, &Config::parse(&file).expect_err(line));
            assert!(text.contains("line 2"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        for url in [
            "postgres://a:sec ret@host/db",
            "postgres://a:secret?secret@host/db",
            "host=h password=x secret=1",
            "password='secret",
            "host=h sslmode=secret",
        ] {
            let error = crate::control::connection::database_of(url).map(|_| ());
            let told = error.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(!told.contains("secret"), "{url}: {told}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Flags {
            upstream: Some("db:1".to_owned()),
            ..Flags::default()
        };
        let config = Config::load(&flags).expect("valid");
        assert_eq!(config.upstream.0, "db:1");
        assert_eq!(config.listen.0, "127.0.0.1:6432");
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        let flags = Flags {
            listen: Some("localhost".to_owned()),
            ..Flags::default()
        };
        let error = Config::load(&flags).expect_err("no port");
        assert!(error.to_string().contains("host:port"), "{error}");
    }

    #[test]
    fn a_wish_for_tls_that_could_not_be_kept_is_refused() {
        for (text, word) in [
            ("[tls]\ncertificate = \"a\"", "key"),
            ("[tls]\nrequired = true", "certificate"),
            (
                "[upstream_tls]\nsslmode = \"verify-full\"",
                "root_certificates",
            ),
            (
                "[upstream_tls]\nsslmode = \"prefer\"\nsslnegotiation = \"direct\"",
                "require",
            ),
        ] {
            let config = Config::parse(text).expect(text);
            let error = config.checked().expect_err(text).to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(Config::parse("[upstream_tls]\nsslmode = \"allow\"").is_err());
    }

    #[test]
    fn files_are_meant_from_where_the_configuration_stands() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("crossfade.toml");
        std::fs::write(&path, "[tls]\ncertificate = \"a.crt\"\nkey = \"/b.key\"\n").expect("write");
        let config = Config::read(&path).expect("valid");
        assert_eq!(config.tls.certificate, Some(dir.path().join("a.crt")));
        assert_eq!(config.tls.key, Some("/b.key".into()));
    }
}
