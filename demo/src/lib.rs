//! `crossfade demo`: tables move under a live application, from the first phase to the last.
//!
//! Everything is real but the size: a PostgreSQL server, the `crossfade` binary serving and
//! operating, clients that check every answer. It knows the phases' order and nothing of how
//! the proxy does what it does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rewrite_rules::Phase;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

pub mod board;
pub mod broker;
pub mod cast;
pub mod check;
pub mod client;
pub mod dice;
pub mod display;
pub mod mirror;
pub mod model;
pub mod new_app;
pub mod old_app;
pub mod operator;
pub mod piece;
pub mod players;
pub mod stage;
pub mod story;
pub mod summary;

use board::{Board, Side};
use check::Verdict;
use display::{Display, Seen};
use operator::politely;
use piece::Files;
use players::{Players, Words};
use stage::Stage;
use story::{Act, STORY};
pub use summary::Summary;

#[derive(Clone, Debug)]
pub struct Options {
    /// The `crossfade` program that serves and operates.
    pub program: PathBuf,
    /// Whose tables move; those of the broker's two versions if none is named.
    pub migration: Option<Files>,
    /// Rows at the start; as many as suit the migration if none are asked for.
    pub rows: Option<u32>,
    /// How long the application runs after each step.
    pub live: Duration,
    /// Play to this phase and stay there.
    pub until: Option<Phase>,
    /// Whether standard output is kept for something else than what happens.
    pub aside: bool,
}

/// A running demo. Dropping it stops the clients, the proxy and the server, in this order.
pub struct Demo {
    players: Players,
    words: Words,
    board: Arc<Board>,
    operator: Client,
    verdict: Verdict,
    numbers: JoinHandle<()>,
    pub stage: Stage,
    pub display: Arc<Display>,
}

impl Demo {
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let display = Arc::new(Display::new(options.aside));
        let name = options
            .migration
            .map_or(broker::MIGRATION, |files| files.name);
        display.say(&format!(
            "A throwaway PostgreSQL, the {name} schema, and a proxy in front of it."
        ));
        let board = Arc::new(Board::new(Phase::LegacyOnly));
        let (stage, players, words) = Players::enter(options, &board).await?;
        let operator = client::connect(&stage.operator_url(), "operator").await?;
        let watcher = client::connect(&stage.operator_url(), "numbers").await?;
        let numbers = tokio::spawn(tick(
            watcher,
            words.counted.clone(),
            Arc::clone(&board),
            Arc::clone(&display),
        ));
        Ok(Demo {
            players,
            words,
            board,
            operator,
            verdict: Verdict::default(),
            numbers,
            stage,
            display,
        })
    }

    /// Plays the story, showing the numbers beside it.
    pub async fn play(&mut self, options: &Options) -> anyhow::Result<()> {
        for (act, text) in STORY {
            if let Act::Advance(phase) | Act::Rollback(phase) = act
                && options.until.is_some_and(|until| *phase > until)
            {
                break;
            }
            if self.is_left_out(*act) {
                continue;
            }
            if !text.is_empty() {
                self.display.say(&self.words.fill(text));
            }
            self.perform(*act, options.live).await.with_context(|| {
                let log = self.stage.log();
                let lines: Vec<&str> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(15)..].join("\n");
                format!("{act:?}; the end of the proxy's log:\n{end}\n")
            })?;
            ensure!(self.stage.is_proxy_up(), "the proxy is gone");
        }
        Ok(())
    }

    /// Whether the migration has no such act: no new version that runs beside the old one, no foreign
    /// key that would have to turn.
    fn is_left_out(&self, act: Act) -> bool {
        match act {
            Act::StartNewVersion => !self.players.has_new_version(),
            Act::ReferToUnified => !self.players.has_references(),
            Act::Command(_)
            | Act::Advance(_)
            | Act::Rollback(_)
            | Act::CompareSides
            | Act::PutLegacyAway
            | Act::Live => false,
        }
    }

    async fn perform(&mut self, act: Act, live: Duration) -> anyhow::Result<()> {
        match act {
            Act::Command(command) => {
                let words: Vec<String> = command.iter().map(|word| self.words.fill(word)).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.stage.crossfade(&words, &self.display).await?;
                Ok(())
            }
            Act::Advance(phase) => self.step("advance", phase).await,
            Act::Rollback(phase) => self.step("rollback", phase).await,
            Act::StartNewVersion => {
                self.players.start_new();
                Ok(())
            }
            Act::CompareSides => {
                let verdict = self.players.compare_sides(&self.operator).await?;
                self.display.say(&format!(
                    "    {} rows: {} missing, {} extra, {} different",
                    verdict.compared, verdict.missing, verdict.extra, verdict.different
                ));
                self.verdict.add(verdict);
                Ok(())
            }
            Act::ReferToUnified => self.players.refer_to_unified(&self.operator).await,
            Act::PutLegacyAway => self.put_legacy_away(live).await,
            Act::Live => {
                tokio::time::sleep(live).await;
                Ok(())
            }
        }
    }

    /// By hand, or as an operator does it: on probation first, then what `crossfade retire` prints.
    async fn put_legacy_away(&mut self, live: Duration) -> anyhow::Result<()> {
        let (by_hand, is_retired) = self.players.gone();
        if !is_retired {
            return politely(&self.operator, by_hand).await;
        }
        let retire = ["retire", self.words.migration.as_str()];
        self.stage.crossfade(&retire, &self.display).await?;
        tokio::time::sleep(live).await;
        // What leans on the tables would stop the drop.
        politely(&self.operator, by_hand).await?;
        let said = self.stage.crossfade(&retire, &self.display).await?;
        let drops = said
            .iter()
            .skip_while(|line| !line.ends_with("to drop it, run:"));
        let drops: Vec<&str> = drops.skip(1).map(String::as_str).collect();
        politely(&self.operator, &drops.join("\n")).await
    }

    async fn step(&mut self, command: &str, phase: Phase) -> anyhow::Result<()> {
        self.stage
            .crossfade(&[command, &self.words.migration], &self.display)
            .await?;
        let file = format!("{}.toml", self.words.migration);
        let text = std::fs::read_to_string(self.stage.rules_dir().join(file))?;
        ensure!(
            text.contains(&format!("phase = \"{phase}\"")),
            "after `{command}` the rule file is not in {phase}"
        );
        self.board.enter(phase);
        Ok(())
    }

    /// Stops the clients and compares what they know with what is there.
    pub async fn finish(&mut self) -> anyhow::Result<Summary> {
        self.players.stop().await?;
        self.numbers.abort();
        self.display.clear();
        let seen = look(&self.operator, &self.words.counted).await?;
        let mut data = self.verdict.clone();
        let phase = self.board.phase();
        data.add(self.players.compare(&self.operator, phase).await?);
        Ok(Summary {
            migration: self.words.migration.clone(),
            moved: self.words.fill("{from} moved to {to}"),
            statements_old: self.board.statements(Side::Old),
            statements_new: self.board.statements(Side::New),
            phases: self.board.tallies(),
            client_errors: self.board.errors(),
            troubles: self.board.troubles(),
            fallbacks: seen.fallbacks,
            divergences: seen.divergences,
            data,
            elapsed: self.display.elapsed(),
        })
    }

    /// Ends everything in order, and gives the proxy time to say goodbye.
    pub async fn strike(self) {
        let Demo {
            players,
            operator,
            numbers,
            stage,
            ..
        } = self;
        numbers.abort();
        drop((players, operator));
        // A panic in there has nowhere to go but the log, and the files are removed anyway.
        let _ended = tokio::task::spawn_blocking(move || stage.strike()).await;
    }
}

/// Shows the numbers until it is aborted, or the server does not answer any more.
async fn tick(operator: Client, counted: [String; 2], board: Arc<Board>, display: Arc<Display>) {
    loop {
        let last = display.tick(&board);
        tokio::time::sleep(display.interval()).await;
        match look(&operator, &counted).await {
            Ok(seen) => display.status(&board, seen, &last),
            // Between looking for a table and counting it, it can be renamed: the next look tells.
            Err(_) if !operator.is_closed() => {}
            Err(_) => return,
        }
    }
}

/// What the database says. Tables come and go along the story, hence the guarded counts.
async fn look(operator: &Client, [legacy, unified]: &[String; 2]) -> anyhow::Result<Seen> {
    let count = async |table: &str, what: &str| -> anyhow::Result<i64> {
        let known = operator
            .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
            .await?;
        if !known.try_get::<_, bool>(0)? {
            return Ok(0);
        }
        let sql = format!("SELECT {what} FROM {table} AS t");
        Ok(operator.query_one(&sql, &[]).await?.try_get(0)?)
    };
    Ok(Seen {
        legacy_rows: count(legacy, "count(*)").await?,
        unified_rows: count(unified, "count(*)").await?,
        fallbacks: count("crossfade.instances", "coalesce(sum(fallbacks), 0)::int8").await?,
        divergences: count("crossfade.divergence", "count(*)").await?,
    })
}

#[cfg(test)]
mod tests;
