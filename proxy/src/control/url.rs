//! What a control URL says of how to connect.

use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;

use super::error::ControlError;
use super::passfile;
use crate::tls::control::Wishes;

/// A database that does not answer within this is taken to be down; the work is tried again later.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What connections call themselves, with their work behind it.
pub(super) const OWN_NAME: &str = "crossfade ";

/// How to connect as a control URL says.
pub(super) fn config(wishes: &Wishes) -> Result<Config, ControlError> {
    let mut config = plain(wishes)?;
    passfile::add_password(&mut config, wishes.passfile.as_deref());
    Ok(config)
}

/// Without a password from a file, which may have another one for each host.
pub(super) fn plain(wishes: &Wishes) -> Result<Config, ControlError> {
    let url = &wishes.url;
    // The driver's own words name what it took for an option, which may be a part of the password.
    let unreadable = |_| ControlError::Url("it is no connection string".to_owned());
    let mut config = Config::from_str(url).map_err(unreadable)?;
    config
        .ssl_mode(wishes.driver_mode())
        .connect_timeout(CONNECT_TIMEOUT);
    Ok(config)
}
