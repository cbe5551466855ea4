//! Why there is no server.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    #[error(
        "no PostgreSQL server programs found: looked in {looked}; \
         install them (Debian, Ubuntu: `apt-get install postgresql`) \
         or set CROSSFADE_PG_BIN to the directory that holds `initdb` and `postgres`"
    )]
    NoBinaries { looked: String },
    #[error(
        "PostgreSQL refuses to run as root and there is no user `postgres` or `nobody` \
         to run it as; run as an ordinary user instead"
    )]
    NoUser,
    #[error(
        "running as root needs `setpriv` (Debian, Ubuntu: package util-linux) to start \
         PostgreSQL as user `{0}`"
    )]
    NoSetpriv(String),
    #[error("cannot {doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("initdb failed:\n{0}")]
    Initdb(String),
    #[error("PostgreSQL did not start ({reason}); the end of its log:\n{log}")]
    Start { reason: String, log: String },
    #[error("PostgreSQL is stopped")]
    Stopped,
    #[error("a statement that sets the cluster up failed: {0}")]
    Sql(#[from] tokio_postgres::Error),
}

pub(crate) fn io_error(doing: impl Into<String>) -> impl FnOnce(io::Error) -> TestbedError {
    let doing = doing.into();
    move |source| TestbedError::Io { doing, source }
}
