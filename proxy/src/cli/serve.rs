//! `crossfade serve`: the proxy itself, until SIGTERM or SIGINT. SIGHUP reads the rules and the
//! certificate again.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::{Config, Flags};
use crate::server::Server;
use crate::serving::{admin::Admin, attached, console, follow, hook};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub flags: Flags,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.flags)?;
    // A console that nobody could enter is a mistake to be told of at once.
    console::check(&config.console)?;
    hook::check(&config)?;
    let server = Server::bind(config).await?;
    let shared = server.shared();
    let admin = Admin::bind(&shared).await?;
    let (ask_rules, asked_rules) = mpsc::channel(1);
    let (ask_tls, asked_tls) = mpsc::channel(1);
    let mut hangup = signal(SignalKind::hangup())?;
    let hangups = async {
        loop {
            tokio::select! {
                signal = hangup.recv() => if signal.is_none() { break },
                () = shared.reload.notified() => {}
            }
            // A request that waits already says the same.
            let _ = ask_rules.try_send(());
            let _ = ask_tls.try_send(());
        }
    };
    let certificates = async {
        match &shared.tls {
            Some(tls) => tls.watch(asked_tls).await,
            None => std::future::pending().await,
        }
    };
    let following = follow::begin(&shared).await;
    let control = attached::Attached::start(&shared);
    tokio::select! {
        ended = server.run(shutdown()) => ended?,
        () = follow::watch(&shared, following, asked_rules) => {}
        () = certificates => {}
        () = hangups => {}
        () = admin.run() => {}
    }
    control.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Completes at SIGTERM or SIGINT.
async fn shutdown() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("signals cannot be caught: only a kill will end the proxy");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
