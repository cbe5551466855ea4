//! `crossfade demo`: arguments, Ctrl-C, the exit code. What is played is `crossfade_demo`'s.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use rewrite_rules::Phase;

use crossfade_demo::piece::{self, Files};
use crossfade_demo::{Demo, Options};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Play this shipped migration under its application's statements, each answer compared with that of a
    /// database left alone; without it agents move under two versions of an application
    #[arg(long, value_name = "NAME", value_parser = Files::find)]
    migration: Option<Files>,
    /// List the shipped migrations instead
    #[arg(long, conflicts_with_all = ["migration", "keep", "rows", "until", "json"])]
    list: bool,
    /// Leave the server and the proxy running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Rows in the legacy table at the start [default: 10000, or as many as suit the migration]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rows: Option<u32>,
    /// How long the application runs after each step
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds_per_phase: f64,
    /// Stop in this phase instead of going to the end
    #[arg(long, value_name = "PHASE")]
    until: Option<Phase>,
    /// Print the summary as JSON; what happens goes to standard error
    #[arg(long, conflicts_with = "keep")]
    json: bool,
}

/// 130 is what shells make of a process that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.list {
        return list();
    }
    let options = Options {
        program: std::env::current_exe().context("finding our own program")?,
        migration: args.migration,
        rows: args.rows,
        live: Duration::try_from_secs_f64(args.seconds_per_phase)
            .context("--seconds-per-phase must be a positive number")?,
        until: args.until,
        aside: args.json,
    };
    // Dropping the future drops what it holds: clients, proxy, server, files.
    tokio::select! {
        ended = play(&options, args.keep, args.json) => ended,
        signal = interrupted() => {
            signal?;
            eprintln!("interrupted; everything is removed");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Every migration that can be played.
fn list() -> anyhow::Result<ExitCode> {
    for files in piece::ALL {
        let piece = files.read()?;
        println!(
            "{:17} {} to {}; {}",
            piece.name, piece.from, piece.to, piece.application
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn play(options: &Options, keep: bool, json: bool) -> anyhow::Result<ExitCode> {
    let mut demo = Demo::start(options).await?;
    demo.play(options).await?;
    let summary = demo.finish().await?;
    let clean = summary.is_clean();
    if json {
        println!("{}", summary.json());
    } else {
        for line in summary.lines() {
            println!("{line}");
        }
        println!(
            "\n{}",
            match (clean, options.until) {
                (true, None) => format!("{}; no client noticed.", summary.moved),
                (true, Some(_)) => "So far no client noticed.".to_owned(),
                (false, _) => "This is not what should have happened.".to_owned(),
            }
        );
    }
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
