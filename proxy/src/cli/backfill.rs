//! `crossfade backfill`: copies legacy rows, and shows how far it is.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::target::{CommandTarget, MigrationArgs};
use crate::backfill::state::{CopyDirection, CopyProgress, Speed, State, Wish};
use crate::backfill::{self, BackfillOptions, Event};
use crate::control::shown;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: MigrationArgs,
    /// Begin from the lowest key again, whatever was copied before
    #[arg(long)]
    pub restart: bool,
    /// From unified back to legacy, in unified_read: what legacy missed while in unified_only. Legacy
    /// rows that unified no longer has are removed, with whatever cascades from them
    #[arg(long)]
    pub reverse: bool,
    /// Show what a backfill would find, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// At most so many rows in a second; 0: no limit. With --adjust it changes the one that runs
    #[arg(long, value_name = "ROWS_PER_SECOND", value_parser = clap::value_parser!(i64).range(0..))]
    pub throttle: Option<i64>,
    /// Copy at full speed whatever else the server does; by default a backfill takes no more than
    /// about a tenth of the work on a server that is busy
    #[arg(long, group = "manners")]
    pub full_speed: bool,
    /// Give way to the application again
    #[arg(long, group = "manners")]
    pub yielding: bool,
    /// Wait while a replica is further behind; 0: do not look at replicas
    #[arg(long, value_name = "SECONDS", value_parser = not_negative)]
    pub replica_lag: Option<f64>,
    /// Give way while the proxies' clients wait longer for an answer, in the 99th percentile; 0: do
    /// not look at them
    #[arg(long, value_name = "MILLISECONDS", value_parser = not_negative)]
    pub p99: Option<f64>,
    /// Change the speed of the backfill that runs instead of starting one
    #[arg(long)]
    pub adjust: bool,
    /// Connections that copy side by side, each a range of the key
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub workers: u8,
    /// Make the backfill that runs wait
    #[arg(long, group = "wish")]
    pub pause: bool,
    /// Make a paused backfill go on
    #[arg(long, group = "wish")]
    pub resume: bool,
    /// End the backfill that runs; the next one goes on where it stopped
    #[arg(long, group = "wish")]
    pub cancel: bool,
    /// The longest wait for earlier transactions to end
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub drain_timeout_seconds: u64,
    /// The outcome as JSON
    #[arg(long)]
    pub json: bool,
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| format!("expected 0 or a positive number, found {text}"))
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::load(&args.of.flags).await?;
    let wish = match (args.pause, args.resume, args.cancel) {
        (true, _, _) => Some(Wish::Pause),
        (_, true, _) => Some(Wish::Run),
        (_, _, true) => Some(Wish::Cancel),
        (false, false, false) => None,
    };
    let speed = Speed {
        rows_per_second_max: args.throttle,
        replica_lag_max_seconds: args.replica_lag,
        p99_max_ms: args.p99,
        yields: match (args.full_speed, args.yielding) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            (false, false) => None,
        },
    };
    anyhow::ensure!(
        !args.adjust || !speed.says_nothing(),
        "--adjust needs what to adjust: --throttle, --replica-lag, --p99, --full-speed or --yielding"
    );
    if wish.is_some() || args.adjust {
        let name = &args.of.migration;
        let count = backfill::adjust(&target.url, &target.rules, name, wish, speed).await?;
        anyhow::ensure!(count > 0, "no backfill of {name} is under way");
        println!("{name}: it is told before its next chunk");
        return Ok(ExitCode::SUCCESS);
    }
    let direction = if args.reverse {
        CopyDirection::UnifiedToLegacy
    } else {
        CopyDirection::LegacyToUnified
    };
    if args.dry_run {
        return preview(&args, &target, direction).await;
    }
    let options = BackfillOptions {
        restart: args.restart,
        direction,
        workers: usize::from(args.workers),
        speed,
        drain_timeout: Duration::from_secs(args.drain_timeout_seconds),
    };
    let mut display = Display::new();
    let outcome = backfill::run(
        &target.url,
        &target.rules,
        &args.of.migration,
        &options,
        &mut |event| display.show(&event),
    )
    .await;
    display.end();
    let tables = outcome?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&tables)?);
    } else {
        for table in &tables {
            println!("{}", summary(table));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a backfill would do, in its words.
async fn preview(
    args: &Args,
    target: &CommandTarget,
    direction: CopyDirection,
) -> anyhow::Result<ExitCode> {
    const SAMPLES: usize = 5;
    let name = &args.of.migration;
    let mut preview = backfill::preview::run(&target.url, &target.rules, name, direction).await?;
    for table in &mut preview.report.tables {
        let all = std::mem::take(&mut table.samples);
        for sample in all {
            let same = table.samples.iter().filter(|s| s.kind == sample.kind);
            if same.count() < SAMPLES {
                table.samples.push(sample);
            }
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&preview)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", preview.report);
    let others = if direction.is_reverse() {
        "removed from legacy"
    } else {
        "left alone in unified"
    };
    println!(
        "a backfill would insert {} rows and change {}; {} {others}. Nothing was written",
        preview.inserted, preview.changed, preview.others
    );
    println!(
        "{} rows are what they should be; {} of the others were tried, {} of these would be set aside",
        preview.unchanged,
        preview.tried,
        preview.set_aside.len()
    );
    for row in preview.set_aside.iter().take(SAMPLES) {
        println!("  {}: {}", row.key, row.reason);
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(table: &CopyProgress) -> String {
    let mut text = format!(
        "{}: {}, {} rows, of which {} were put",
        shown(&table.legacy_table),
        table.state.name(),
        table.rows_done,
        table.rows_put
    );
    if table.rows_set_aside > 0 {
        text += &format!(
            ", {} could not be and were set aside (`crossfade status` shows why)",
            table.rows_set_aside
        );
    }
    if table.ghosts_removed > 0 {
        text += &format!(", {} ghosts removed", table.ghosts_removed);
    }
    text
}

/// Between two lines where there is no terminal to draw on.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// A bar on a terminal, plain lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
    started: Instant,
    /// Rows that were done when this run began: they say nothing of its speed.
    rows_before: Option<i64>,
    last_line: Option<Instant>,
}

impl Display {
    fn new() -> Self {
        Display {
            bar: std::io::stderr().is_terminal().then(bar),
            started: Instant::now(),
            rows_before: None,
            last_line: None,
        }
    }

    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Says(line) => match &self.bar {
                Some(bar) => bar.println(format!("  {line}")),
                None => super::target::say(line),
            },
            Event::Progress(progress) => self.progress(progress),
        }
    }

    fn progress(&mut self, progress: &CopyProgress) {
        let before = *self.rows_before.get_or_insert(progress.rows_done);
        let total = progress.rows_estimated.max(progress.rows_done);
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (progress.rows_done - before) as f64 / seconds;
        let left = Duration::try_from_secs_f64((total - progress.rows_done) as f64 / rate).ok();
        let eta = match left {
            _ if progress.state == State::Complete => "done".to_owned(),
            Some(left) => format!("{:#} left", HumanDuration(left)),
            None => "time left unknown".to_owned(),
        };
        let figures = format!(
            "{}/{total} rows, {rate:.0} rows/s, {eta}, chunks of {}",
            progress.rows_done, progress.chunk_rows
        );
        let figures = match (progress.wish, &progress.held_back) {
            (Wish::Pause, _) => format!("{figures}, paused (--resume goes on)"),
            (_, Some(why)) => format!("{figures}, {why}"),
            (Wish::Run | Wish::Cancel, None) => figures,
        };
        match &self.bar {
            Some(bar) => {
                bar.set_length(u64::try_from(total).unwrap_or(0));
                bar.set_position(u64::try_from(progress.rows_done).unwrap_or(0));
                bar.set_prefix(shown(&progress.legacy_table));
                bar.set_message(figures);
            }
            None if self.last_line.is_none_or(|at| at.elapsed() >= LINE_EVERY) => {
                eprintln!("  {}: {figures}", shown(&progress.legacy_table));
                self.last_line = Some(Instant::now());
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style.progress_chars("=> "))
}
