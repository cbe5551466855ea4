//! Which host clients are brought to: found by asking each, watched over a connection that is kept, and looked for again as
//! soon as that one ends. A server becomes a standby only by a restart, which ends its connections.
//!
//! Where whichever host takes connections will do, it only looks whether one does, while clients wait.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::control::ControlError;
use crate::control::primary::{self, Candidate, Lineage, Watched};
use crate::shared::Shared;

/// A host that hangs without closing its connections is found out by this, and the pause between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// While somebody waits it is looked sooner.
const LOOK_SOON: Duration = Duration::from_millis(250);
/// A server under load answers late; one that does not answer within this is taken to hang.
const STANDING_TIMEOUT: Duration = Duration::from_secs(10);

/// The hosts, with how each is asked; none where whichever takes connections will do.
pub fn candidates(shared: &Shared) -> Result<Vec<Candidate>, ControlError> {
    let addresses: Vec<_> = shared.upstream.addresses().cloned().collect();
    match &shared.config.control.url {
        Some(url) if shared.upstream.is_chosen() => primary::upstream(url, &addresses),
        Some(_) | None => Ok(Vec::new()),
    }
}

/// Says which host is in use until dropped.
pub async fn watch(shared: &Shared, candidates: Vec<Candidate>) {
    if candidates.is_empty() {
        return take_connections(shared).await;
    }
    let mut known = None;
    let mut last = None;
    let mut told = String::new();
    loop {
        let look = primary::look(&candidates, shared.upstream.wanted(), known).await;
        let why = primary::told(&candidates, &look.told);
        let Some(found) = look.found else {
            // It may be this connection alone that is refused: clients are told by the server itself, if the rules can be
            // read from it.
            if let Some(host) = last.filter(|host| look.undecided.contains(host)) {
                shared.upstream.found(host);
            }
            if told != why {
                tracing::warn!("no host is a primary, clients wait: {why}");
                told = why;
            }
            tokio::time::sleep(pause(shared)).await;
            continue;
        };
        if told != why || shared.upstream.known().host != Some(found.host) {
            let host = shared.upstream.addresses().nth(found.host);
            let timeline = found.standing.lineage.map(|lineage| lineage.timeline);
            let host = host.map(ToString::to_string).unwrap_or_default();
            tracing::info!(host, timeline, others = why, "clients are brought to");
        }
        told = why;
        known = found.standing.lineage.or(known);
        last = Some(found.host);
        shared.upstream.found(found.host);
        let why = stays(shared, found.connection, known).await;
        tracing::warn!("the host in use is looked for again: {why}");
    }
}

fn pause(shared: &Shared) -> Duration {
    match shared.upstream.waiting() {
        0 => LOOK,
        _ => LOOK_SOON,
    }
}

/// Completes when the host is not there any more, or will not do, with the reason. Nobody is brought there from then on.
async fn stays(shared: &Shared, mut host: Watched, known: Option<Lineage>) -> String {
    let mut next = Instant::now() + LOOK;
    loop {
        tokio::select! {
            () = host.ended() => {
                shared.upstream.gone();
                return "its connection has ended".to_owned();
            }
            () = shared.upstream.doubted() => {}
            () = sleep_until(next) => {}
        }
        next = Instant::now() + LOOK;
        let standing = tokio::time::timeout(STANDING_TIMEOUT, host.standing()).await;
        let why = match standing {
            Ok(Ok(standing))
                if standing.is(shared.upstream.wanted()) && standing.may_follow(known) =>
            {
                continue;
            }
            Ok(Ok(_)) => "it does not write any more".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", STANDING_TIMEOUT.as_secs()),
        };
        shared.upstream.gone();
        return why;
    }
}

/// Says that a host takes connections again, once clients wait for that.
async fn take_connections(shared: &Shared) {
    let mut news = shared.upstream.news();
    loop {
        if news.wait_for(|known| known.host.is_none()).await.is_err() {
            return;
        }
        tokio::time::sleep(LOOK_SOON).await;
        for host in 0..shared.upstream.addresses().len() {
            // Closed without a word: the server's log says nothing of it.
            let is_none = shared.upstream.known().host.is_none();
            if is_none && shared.upstream.connect(host).await.is_ok() {
                shared.upstream.found(host);
                break;
            }
        }
    }
}
