//! `crossfade demo`: arguments, Ctrl-C, the exit code. What is played is `crossfade_demo`'s.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use rewrite_rules::Phase;

use crossfade_demo::{Demo, Options};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave the server and the proxy running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Rows in the legacy table at the start
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rows: u32,
    /// How long the application runs after each step
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds_per_phase: f64,
    /// Stop in this phase instead of going to the end
    #[arg(long, value_name = "PHASE")]
    until: Option<Phase>,
}

/// 130 is what shells make of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let options = Options {
        program: std::env::current_exe().context("finding our own program")?,
        rows: args.rows,
        live: Duration::try_from_secs_f64(args.seconds_per_phase)
            .context("--seconds-per-phase must be a positive number")?,
        until: args.until,
    };
    // Dropping the future drops what it holds: clients, proxy, server, files.
    tokio::select! {
        ended = play(&options, args.keep) => ended,
        signal = interrupted() => {
            signal?;
            eprintln!("interrupted; everything is removed");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

async fn play(options: &Options, keep: bool) -> anyhow::Result<ExitCode> {
    let mut demo = Demo::start(options).await?;
    demo.play(options).await?;
    let summary = demo.finish().await?;
    for line in summary.lines() {
        println!("{line}");
    }
    let clean = summary.is_clean();
    println!(
        "\n{}",
        match (clean, options.until) {
            (true, None) => "iso_agents moved to users; no client noticed.",
            (true, Some(_)) => "So far no client noticed.",
            (false, _) => "This is not what should have happened.",
        }
    );
    if keep {
        println!("\nStill running, until Ctrl-C:");
        println!("  through Crossfade  psql '{}'", demo.stage.url());
        println!("  past it            psql '{}'", demo.stage.operator_url());
        println!(
            "  commands           --config {}",
            demo.stage.config().display()
        );
        std::future::pending::<()>().await;
    }
    demo.strike().await;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Ctrl-C, or the request to end that supervisors send.
async fn interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("listening for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}
