//! How the demo shows what happens: bars on a terminal, plain lines anywhere else.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::board::{Board, Side};

/// A terminal can follow twice a second; a log is read later.
const INTERVAL_TERMINAL: Duration = Duration::from_millis(500);
const INTERVAL_LINES: Duration = Duration::from_secs(1);

pub struct Display {
    started: Instant,
    bars: Option<Bars>,
    /// Whether lines go to standard error.
    aside: bool,
}

struct Bars {
    all: MultiProgress,
    status: ProgressBar,
    rows: ProgressBar,
}

/// What the database says beside the clients' own counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub legacy_rows: i64,
    pub unified_rows: i64,
    pub fallbacks: i64,
    pub divergences: i64,
}

/// Counts at the last tick, from which the next one computes rates.
pub struct Tick {
    at: Instant,
    old: u64,
    new: u64,
}

impl Display {
    #[must_use]
    pub fn new(aside: bool) -> Self {
        let is_terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Display {
            started: Instant::now(),
            bars: (is_terminal && !aside).then(Bars::new),
            aside,
        }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        match &self.bars {
            // A terminal that went away is no reason to stop.
            Some(bars) => drop(bars.all.println(line)),
            None if self.aside => eprintln!("{line}"),
            None => println!("{line}"),
        }
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    #[must_use]
    pub fn interval(&self) -> Duration {
        match self.bars {
            Some(_) => INTERVAL_TERMINAL,
            None => INTERVAL_LINES,
        }
    }

    #[must_use]
    pub fn tick(&self, board: &Board) -> Tick {
        Tick {
            at: Instant::now(),
            old: board.statements(Side::Old),
            new: board.statements(Side::New),
        }
    }

    /// One line of numbers: replaced on a terminal, added elsewhere.
    pub fn status(&self, board: &Board, seen: Seen, last: &Tick) {
        let seconds = last.at.elapsed().as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss)] // Rates for the eye.
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let line = format!(
            "{:5.1}s  {:12}  old {:5.0}/s  new {:5.0}/s  rows {:>6} legacy {:>6} unified  \
             fallbacks {}  divergences {}  errors {}",
            self.elapsed().as_secs_f64(),
            board.phase().name(),
            rate(board.statements(Side::Old), last.old),
            rate(board.statements(Side::New), last.new),
            seen.legacy_rows,
            seen.unified_rows,
            seen.fallbacks,
            seen.divergences,
            board.errors(),
        );
        match &self.bars {
            Some(bars) => {
                bars.status.set_message(line);
                bars.rows.set_length(seen.legacy_rows.unsigned_abs());
                bars.rows.set_position(seen.unified_rows.unsigned_abs());
            }
            None => self.say(&format!("  {line}")),
        }
    }

    /// Takes the bars away; what was said stays.
    pub fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.status.finish_and_clear();
            bars.rows.finish_and_clear();
        }
    }
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let style = |template: &str| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let rows = all.add(ProgressBar::new(0));
        rows.set_style(style(
            "  moved {bar:40.cyan/dim} {human_pos} of {human_len} rows",
        ));
        let status = all.add(ProgressBar::new_spinner());
        status.set_style(style("  {spinner} {msg}"));
        status.enable_steady_tick(Duration::from_millis(120));
        Bars { all, status, rows }
    }
}
