//! The configuration: a TOML file, overridden by environment variables, overridden by flags.
//!
//! Everything has a default, so that `crossfade serve` runs without a file. An unknown key is an
//! error that names the keys there are.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The flags that every subcommand shares.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Configuration file
    #[arg(long, env = "CROSSFADE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where clients connect to, as host:port
    #[arg(long, env = "CROSSFADE_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// The PostgreSQL server, as host:port
    #[arg(long, env = "CROSSFADE_UPSTREAM", value_name = "HOST:PORT")]
    pub upstream: Option<String>,
    /// Directory of rule files (*.toml)
    #[arg(long, env = "CROSSFADE_RULES", value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Connection string for Crossfade's own work in the application's database
    #[arg(long = "control", env = "CROSSFADE_CONTROL_URL", value_name = "URL")]
    pub control_url: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub listen: Listen,
    pub upstream: Upstream,
    /// Without it nothing is managed and everything passes through.
    pub rules: Option<PathBuf>,
    pub control: Control,
    pub limits: Limits,
    pub shadow: Shadow,
    pub cache: Cache,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Listen(pub String);

impl Default for Listen {
    fn default() -> Self {
        Listen("127.0.0.1:6432".to_owned())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Upstream(pub String);

impl Default for Upstream {
    fn default() -> Self {
        Upstream("127.0.0.1:5432".to_owned())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    pub url: Option<String>,
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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Unnamed statements of one session that are kept prepared on the server; 0 keeps none.
    pub statements: usize,
}

impl Default for Cache {
    fn default() -> Self {
        // Each takes some ten kilobytes of the server's memory; an application's hot texts are
        // fewer than that on any one connection.
        Cache { statements: 100 }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub startup_timeout_ms: u64,
    pub startup_bytes_max: u32,
    pub statement_bytes_max: u32,
    pub connections_max: usize,
    pub prepared_statements_max: usize,
    pub prepared_bytes_max: usize,
    pub upstream_connect_timeout_ms: u64,
    pub shutdown_grace_ms: u64,
    pub worker_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            // A client that opens a connection and says nothing holds a slot only this long. The
            // authentication that follows is bounded by the server's own authentication_timeout.
            startup_timeout_ms: 15_000,
            // The server's own limit for a startup packet.
            startup_bytes_max: 10_000,
            // A statement must be held whole to be read; this is the memory one client can take.
            statement_bytes_max: 64 * 1024 * 1024,
            // Two sockets each: stays below a usual limit of 16,384 open files.
            connections_max: 8_000,
            // Far above what any driver caches (pgjdbc 256, asyncpg 1024).
            prepared_statements_max: 10_000,
            // Texts kept to prepare statements anew when a phase changes.
            prepared_bytes_max: 4 * 1024 * 1024,
            // Three attempts of TCP within one network, while a client still waits.
            upstream_connect_timeout_ms: 5_000,
            // Below the ten seconds after which container runtimes kill.
            shutdown_grace_ms: 5_000,
            // 0: one for each core.
            worker_threads: 0,
        }
    }
}

/// Above this the server's memory for plans, and the search for the one used longest ago, would
/// cost more than the cache gains.
const CACHE_STATEMENTS_MAX: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("configuration file {path}: {error}")]
    Parse {
        path: PathBuf,
        error: Box<toml::de::Error>,
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
            config.upstream = Upstream(upstream.clone());
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
            error,
        })?;
        // A relative directory is meant from where the file stands, not from where one happens
        // to start the proxy.
        if let (Some(rules), Some(parent)) = (&config.rules, path.parent()) {
            config.rules = Some(parent.join(rules));
        }
        Ok(config)
    }

    fn parse(text: &str) -> Result<Config, Box<toml::de::Error>> {
        toml::from_str(text).map_err(Box::new)
    }

    fn checked(self) -> Result<Config, ConfigError> {
        for (key, value) in [("listen", &self.listen.0), ("upstream", &self.upstream.0)] {
            let port = value.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                return Err(ConfigError::Value {
                    key,
                    value: format!("{value:?}"),
                    expected: "host:port",
                });
            }
        }
        if self.cache.statements > CACHE_STATEMENTS_MAX {
            return Err(ConfigError::Value {
                key: "cache.statements",
                value: self.cache.statements.to_string(),
                expected: "at most 10000",
            });
        }
        if !(0.0..=1.0).contains(&self.shadow.sample) {
            return Err(ConfigError::Value {
                key: "shadow.sample",
                value: self.shadow.sample.to_string(),
                expected: "a share between 0 and 1",
            });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_the_keys_there_are() {
        let error = Config::parse("[limits]\nstatement_max = 3\n").expect_err("unknown");
        let text = error.to_string();
        assert!(text.contains("statement_max"), "{text}");
        assert!(text.contains("statement_bytes_max"), "{text}");
        assert!(text.contains("line 2"), "{text}");
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
}
