//! `crossfade verify`: exit code 0 only if both sides agree, 1 if they do not, 2 if it could not
//! be found out.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::target::{CommandTarget, MigrationArgs, say};
use crate::repair;
use crate::verify::{self, VerifyOptions, ranges};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: MigrationArgs,
    /// Rows shown of each kind: missing, extra, different
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub samples: u32,
    /// Put right what differs, by the side that decides in this phase; rows that only the other
    /// side has are removed. Then verify again
    #[arg(long)]
    pub repair: bool,
    /// By ranges of the key, each in a snapshot of its own: if it is interrupted, the next one goes
    /// on where it stopped
    #[arg(long, conflicts_with = "repair")]
    pub by_ranges: bool,
    /// By ranges, again and again at a low rate, until Ctrl-C; each pass is recorded
    #[arg(long, conflicts_with = "repair")]
    pub continuous: bool,
    /// By ranges: begin from the lowest key, whatever was compared before
    #[arg(long)]
    pub restart: bool,
    /// By ranges: at most so many rows in a second; 0: no limit [default: 0, 2000 with --continuous]
    #[arg(long, value_name = "ROWS_PER_SECOND", value_parser = clap::value_parser!(i64).range(0..))]
    pub throttle: Option<i64>,
    /// Server processes at work on each side
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub workers: u32,
    /// The report as JSON
    #[arg(long)]
    pub json: bool,
    /// Also writes the report as a page of HTML, for people and archives
    #[arg(long, value_name = "FILE", conflicts_with = "continuous")]
    pub html: Option<PathBuf>,
}

/// An hour for seven million rows, and nothing that an application would notice.
const CONTINUOUS_ROWS_PER_SECOND: i64 = 2_000;

const NOT_CLEAN: u8 = 1;
const FAILED: u8 = 2;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match compare(&args).await {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::from(NOT_CLEAN)),
        // Not by the common way: its exit code would say that differences were found.
        Err(error) => {
            eprintln!("crossfade: {error:#}");
            Ok(ExitCode::from(FAILED))
        }
    }
}

async fn compare(args: &Args) -> anyhow::Result<bool> {
    let target = CommandTarget::load(&args.of.flags).await?;
    let (url, rules, name) = (&target.url, &target.rules, &args.of.migration);
    anyhow::ensure!(
        args.by_ranges || args.continuous || (!args.restart && args.throttle.is_none()),
        "--restart and --throttle go with --by-ranges or --continuous"
    );
    let report = if args.repair {
        let (repaired, report) = repair::run(url, rules, name, args.samples, &mut say).await?;
        say(&format!("{repaired} rows were looked after"));
        report
    } else if args.by_ranges || args.continuous {
        let throttle = args.throttle.unwrap_or(if args.continuous {
            CONTINUOUS_ROWS_PER_SECOND
        } else {
            0
        });
        let options = ranges::RangeOptions {
            samples_max: args.samples,
            restart: args.restart,
            rows_per_second_max: Some(throttle).filter(|rows| *rows > 0),
            continuous: args.continuous,
        };
        ranges::run(url, rules, name, &options, &mut say).await?
    } else {
        let options = VerifyOptions {
            samples_max: args.samples,
            workers: args.workers,
            ..VerifyOptions::default()
        };
        verify::run(url, rules, name, &options).await?
    };
    if let Some(file) = &args.html {
        std::fs::write(file, verify::html::page(&report))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(report.clean)
}
