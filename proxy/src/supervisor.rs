//! Tells the supervisor that started us (systemd, by NOTIFY_SOCKET) where we stand. Without one,
//! nothing here does anything.

use sd_notify::NotifyState;

/// Clients are served.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Reading the rules and certificates again; `ready` ends it.
pub fn reloading() {
    // Type=notify-reload needs the time, to tell this reload from an earlier one.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// No more clients are taken; those that are there end their transactions.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the supervisor cannot be told");
    }
}
