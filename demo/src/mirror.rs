//! An application that is watched: whatever it does through Crossfade it does once more on a database
//! that was left alone, and the answers must be the same. Its errands are a piece's; this knows
//! neither their tables nor the phases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use crate::board::{Board, Side as Version};
use crate::check::Verdict;
use crate::dice::Dice;
use crate::piece::{Errand, Piece};

pub mod answer;
pub mod side;
pub mod words;

use answer::{Answer, Apart};
use side::Side;
use words::{CLIENTS, Words};

/// A client thinks this long between two errands: the demo shows a live application, no load test.
const THINK: Duration = Duration::from_millis(25);
/// A client finishes what it is at.
const FINISH_TIMEOUT: Duration = Duration::from_secs(90);
/// How many rows an answer may show in a trouble: the first that differs.
const SHOWN_MAX: usize = 300;

/// All clients of the application, and both databases.
pub struct Mirror {
    piece: Arc<Piece>,
    board: Arc<Board>,
    /// Held by every errand, and by whoever wants none under way.
    quiet: Arc<RwLock<()>>,
    urls: [String; 2],
    rows: u32,
    tasks: Vec<JoinHandle<()>>,
}

impl Mirror {
    /// `urls` lead through Crossfade and to the database that is left alone.
    #[must_use]
    pub fn new(piece: Arc<Piece>, rows: u32, urls: [String; 2], board: Arc<Board>) -> Self {
        Mirror {
            piece,
            board,
            quiet: Arc::new(RwLock::new(())),
            urls,
            rows,
            tasks: Vec::new(),
        }
    }

    pub fn start(&mut self) {
        for number in 1..=CLIENTS {
            let [through, alone] = self.sides("application");
            let client = Client {
                number,
                piece: Arc::clone(&self.piece),
                board: Arc::clone(&self.board),
                rows: self.rows,
                through,
                alone,
                apart: Apart::new(&self.piece.clocks, &self.piece.ids),
                dice: Dice::new(u64::from(number)),
            };
            let quiet = Arc::clone(&self.quiet);
            self.tasks.push(tokio::spawn(client.run(quiet)));
        }
    }

    fn sides(&self, name: &'static str) -> [Side; 2] {
        let [through, alone] = &self.urls;
        [
            Side::new(through.clone(), name),
            Side::new(alone.clone(), name),
        ]
    }

    /// Lets every client finish what it is at.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.board.stop();
        for task in self.tasks.drain(..) {
            tokio::time::timeout(FINISH_TIMEOUT, task)
                .await
                .context("a client did not stop")?
                .context("a client panicked")?;
        }
        Ok(())
    }

    /// All that the piece's queries show, through Crossfade and of the database that was left alone.
    pub async fn compare(&self) -> anyhow::Result<Verdict> {
        let _quiet = self.quiet.write().await;
        let [mut through, mut alone] = self.sides("comparison");
        let apart = Apart::new(&self.piece.clocks, &[]);
        let mut verdict = Verdict::default();
        for sql in &self.piece.compare {
            let (found, expected) = (through.ask(sql).await?, alone.ask(sql).await?);
            if let Some(error) = &expected.error {
                bail!("`{sql}`, straight: {error:?}");
            }
            let [found, expected] = [found, expected].map(|answer| lines(&answer, &apart));
            verdict.compared += expected.len() as u64;
            // How often each row stands on the one side more than on the other.
            let mut surplus: BTreeMap<&str, i64> = BTreeMap::new();
            for row in &expected {
                *surplus.entry(row).or_default() += 1;
            }
            for row in &found {
                *surplus.entry(row).or_default() -= 1;
            }
            for (row, times) in surplus.into_iter().filter(|(_, times)| *times != 0) {
                if times > 0 {
                    verdict.missing += times.unsigned_abs();
                    verdict.sample(format!("only straight: {}", cut(row)));
                } else {
                    verdict.extra += times.unsigned_abs();
                    verdict.sample(format!("only through Crossfade: {}", cut(row)));
                }
            }
        }
        Ok(verdict)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.board.stop();
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn lines(answer: &Answer, apart: &Apart) -> Vec<String> {
    let shown = answer.shown(apart, false);
    shown.lines().map(str::to_owned).collect()
}

struct Client {
    number: u32,
    piece: Arc<Piece>,
    board: Arc<Board>,
    rows: u32,
    through: Side,
    alone: Side,
    apart: Apart,
    dice: Dice,
}

impl Client {
    async fn run(mut self, quiet: Arc<RwLock<()>>) {
        let mut run = 0;
        while !self.board.is_stopping() {
            run += 1;
            let held = quiet.read().await;
            let piece = Arc::clone(&self.piece);
            let errand = self.draw(&piece);
            if let Err(error) = self.make(errand, run).await {
                self.board.trouble(&format!("{}: {error:#}", errand.name));
            }
            drop(held);
            tokio::time::sleep(THINK).await;
        }
    }

    fn draw<'a>(&mut self, piece: &'a Piece) -> &'a Errand {
        let all: u64 = piece
            .errands
            .iter()
            .map(|errand| u64::from(errand.often))
            .sum();
        let mut drawn = self.dice.below(all);
        let mut last = &piece.errands[0];
        for errand in &piece.errands {
            last = errand;
            let often = u64::from(errand.often);
            if drawn < often {
                break;
            }
            drawn -= often;
        }
        last
    }

    /// Makes an errand through Crossfade, then straight, and compares what came of each statement.
    async fn make(&mut self, errand: &Errand, run: u64) -> anyhow::Result<()> {
        let words = Words::draw(
            self.number,
            run,
            self.rows,
            &self.piece.pick,
            &mut self.dice,
        );
        let [mut there, mut here] = [words.clone(), words];
        let found = self.through.make(errand, &mut there).await?;
        let expected = self
            .alone
            .make(errand, &mut here)
            .await
            .context("straight")?;
        for name in errand.sql.iter().filter_map(|statement| statement.keep()) {
            if let (Some(id), Some(other)) = (here.find(name), there.find(name)) {
                self.apart.learn(id.clone(), other.clone());
            }
        }
        self.board.count(Version::Old, errand.sql.len() as u64);
        self.board.retried(found.retries);
        let others = self.apart.without_ids();
        let answers = expected.answers.iter().zip(&found.answers);
        for (statement, (expected, found)) in errand.sql.iter().zip(answers) {
            let is_sorted = statement.text().contains("ORDER BY");
            let shown = [
                expected.shown(&self.apart, is_sorted),
                found.shown(&others, is_sorted),
            ];
            if shown[0] == shown[1] {
                continue;
            }
            if matches!(found.sqlstate(), Some("0A000" | "55000")) {
                self.board.refused();
            }
            self.board.different(&format!(
                "{}: `{}`: {}",
                errand.name,
                there.fill(statement.text()),
                first_difference(&shown[0], &shown[1])
            ));
        }
        Ok(())
    }
}

/// The first line in which two answers differ.
fn first_difference(expected: &str, found: &str) -> String {
    let mut lines = found.lines();
    for line in expected.lines() {
        let other = lines.next().unwrap_or("nothing more");
        if other != line {
            return format!("straight {}, through {}", cut(line), cut(other));
        }
    }
    format!(
        "straight nothing more, through {}",
        cut(lines.next().unwrap_or_default())
    )
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}
