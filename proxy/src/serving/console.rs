//! The admin console, where it is configured: whoever asks for its database on the clients' port speaks with the proxy
//! itself, as with a server, by a name and a password of the console's own.
//!
//! | | |
//! |---|---|
//! | `line` | messages in and out, within limits |
//! | `users`, `login` | who may enter, and how he proves it |
//! | `talk` | the conversation: statements in, answers out |
//! | `words`, `command` | what a text asks for |
//! | `act`, `refused` | what comes of it, or why nothing does |
//! | `show`, `bouncer`, `table` | rows: Crossfade's own, PgBouncer's, and how they are written |
//!
//! It looks by the views that the commands have, acts by [`super::operate`], and knows no SQL. No password and no constant
//! that a client wrote stands in any answer.

mod act;
mod bouncer;
mod command;
mod line;
mod login;
mod refused;
mod show;
mod table;
mod talk;
mod words;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::operators::Users;
pub use super::operators::UsersError;
use crate::config::ConsoleConfig;
use crate::door::Handshake;
use crate::shared::Shared;
use crate::stream::Stream;
use line::{Line, LineError, Refusal};
use login::LoginError;
use talk::{Talk, TalkEnd};

/// Who wants to enter.
#[derive(Debug)]
pub(crate) struct Caller {
    pub user: Arc<str>,
    pub peer: String,
    /// The startup packet.
    pub packet: Vec<u8>,
    pub handshake: Handshake,
}

/// Whether the users of a console can be read, where there is to be one.
pub fn check(config: &ConsoleConfig) -> Result<(), UsersError> {
    match &config.users {
        Some(users) => Users::read(users).map(drop),
        None => Ok(()),
    }
}

/// Whether a client that asks for this database means the console.
#[must_use]
pub(crate) fn is_meant(shared: &Shared, database: &[u8]) -> bool {
    let console = &shared.config.console;
    console.users.is_some() && console.database.as_bytes() == database
}

/// A place among those in the console, for as long as it lives.
struct Place<'a>(&'a Shared);

impl<'a> Place<'a> {
    fn take(shared: &'a Shared) -> Option<Place<'a>> {
        let limit = shared.config.console.sessions_max;
        let before = shared.consoles_open.fetch_add(1, Relaxed);
        let place = Place(shared);
        // Otherwise it is given back at once.
        (before < limit).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.consoles_open.fetch_sub(1, Relaxed);
    }
}

/// Serves one user until one of the two has enough.
pub(crate) async fn serve(shared: &Arc<Shared>, client: Stream, caller: Caller) {
    let Caller {
        user,
        peer,
        packet,
        handshake,
    } = caller;
    let mut line = Line::new(client);
    let Some(users) = &shared.config.console.users else {
        return;
    };
    if shared.must_be_encrypted(line.stream()) {
        let refusal = Refusal::new("28000", "Crossfade takes no connection without TLS here")
            .hint("Connect with sslmode=require or above.");
        return line.farewell(&refusal).await;
    }
    let limit = Duration::from_millis(shared.config.limits.authentication_timeout_ms);
    let login = login::login(&mut line, users, &user, &packet);
    let role = match tokio::time::timeout(limit, login).await {
        Ok(Ok(role)) => role,
        Ok(Err(LoginError::Refused(refusal))) => {
            tracing::info!(%peer, message = refusal.message, "the console turns somebody away");
            return line.farewell(&refusal).await;
        }
        Ok(Err(LoginError::Line(error))) => return broken(line, &error, &peer).await,
        Err(_) => {
            let refusal = Refusal::new("57014", "canceling authentication due to timeout");
            return line.farewell(&refusal).await;
        }
    };
    drop(handshake);
    // Only whoever has proved who he is takes a place from others.
    let Some(_place) = Place::take(shared) else {
        let limit = shared.config.console.sessions_max;
        let message = format!("the console has {limit} sessions already");
        let refusal = Refusal::new("53300", message).hint("Raise console.sessions_max.");
        return line.farewell(&refusal).await;
    };
    let key = match shared.own_keys.make() {
        Ok(key) => key,
        Err(error) => {
            tracing::error!(%error, "the console cannot be entered");
            let refusal = Refusal::new("58000", error.to_string());
            return line.farewell(&refusal).await;
        }
    };
    tracing::info!(%peer, user = &*user, role = role.word(), "somebody has entered the console");
    let mut talk = Talk::new(shared, line, (&user, role), &peer, key);
    let end = talk.run().await;
    match end {
        TalkEnd::Terminated => {}
        TalkEnd::Stopped => {
            let message = "terminating connection because Crossfade is shutting down";
            talk.line.farewell(&Refusal::new("57P01", message)).await;
        }
        TalkEnd::Broken(error) => broken(talk.line, &error, &peer).await,
    }
}

/// Says what is wrong with what came, if anybody still hears it.
async fn broken(line: Line, error: &LineError, peer: &str) {
    let sqlstate = match error {
        LineError::Gone(error) => {
            return tracing::debug!(%peer, %error, "a user of the console went away");
        }
        LineError::Slow => "57P05",
        LineError::Message(_) => "08P01",
        LineError::Encode(_) => "XX000",
    };
    tracing::info!(%peer, %error, "a session of the console ends");
    line.farewell(&Refusal::new(sqlstate, error.to_string()))
        .await;
}
