//! The hook: a program, or somebody's web service, that is told of events. Whichever proxy takes an event tells it.

mod send;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub use send::HookError;
use send::Sender;

use crate::config::Config;
use crate::control::connection::{Control, connect};
use crate::control::deliveries::{self, ATTEMPTS_MAX, Taken};
use crate::control::error::ControlError;
use crate::shared::Shared;

/// Between two looks for events: nobody outside is told sooner.
const PERIOD: Duration = Duration::from_secs(1);
/// For what is written down before and after an attempt.
const LEASE_MORE: Duration = Duration::from_secs(20);

/// What a proxy with a hook checks before it serves: the secret, the certificates, the program.
pub fn check(config: &Config) -> Result<(), HookError> {
    Sender::of(&config.hook).map(drop)
}

/// Tells of events until `shutdown`. An attempt that is under way then is somebody else's to repeat.
pub async fn run(shared: Arc<Shared>, url: String, shutdown: impl Future<Output = ()>) {
    let hook = &shared.config.hook;
    let sender = match Sender::of(hook) {
        Ok(Some(sender)) => sender,
        Ok(None) => return,
        Err(error) => {
            tracing::error!("nobody is told of events: {error}");
            return;
        }
    };
    let forever = async {
        let mut control = None;
        let mut said = String::new();
        loop {
            match look(&shared, &url, &mut control, &sender).await {
                Ok(()) => said.clear(),
                Err(error) => {
                    control = None;
                    let error = error.to_string();
                    if said != error {
                        tracing::warn!("events for the hook could not be looked for: {error}");
                    }
                    said = error;
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = forever => {}
    }
}

/// Tells of all that there is to tell.
async fn look(
    shared: &Shared,
    url: &str,
    control: &mut Option<Control>,
    sender: &Sender,
) -> Result<(), ControlError> {
    let client = match control {
        Some(client) => client,
        none @ None => {
            let client = connect(url, "hook").await?;
            deliveries::begin(&client).await?;
            none.insert(client)
        }
    };
    deliveries::enter(client, &shared.config.hook.kinds).await?;
    let lease = sender.timeout() + LEASE_MORE;
    while let Some(Taken { event, attempt }) = deliveries::take(client, lease).await? {
        let (id, kind) = (event.id, &event.kind);
        match sender.send(&event).await {
            Ok(()) => {
                shared.counters.hook_told.fetch_add(1, Relaxed);
                deliveries::told(client, id).await?;
            }
            Err(error) => {
                let said = error.to_string();
                shared.counters.hook_failed.fetch_add(1, Relaxed);
                if deliveries::failed(client, id, attempt, &said).await? {
                    shared.counters.hook_given_up.fetch_add(1, Relaxed);
                    tracing::error!(
                        event = id,
                        kind,
                        "the hook was not told after {ATTEMPTS_MAX} attempts: {said}"
                    );
                } else {
                    tracing::warn!(event = id, kind, attempt, "the hook was not told: {said}");
                }
            }
        }
    }
    Ok(())
}
