//! `crossfade demo`: a table moves under a live application, from the first phase to the last.
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
pub mod cast;
pub mod check;
pub mod client;
pub mod dice;
pub mod display;
pub mod model;
pub mod new_app;
pub mod old_app;
pub mod operator;
pub mod stage;
pub mod story;

use board::{Board, Side};
use cast::Cast;
use check::Verdict;
use display::{Display, Seen};
use stage::{MIGRATION, Stage};
use story::{Act, STORY};

#[derive(Clone, Debug)]
pub struct Options {
    /// The `crossfade` program that serves and operates.
    pub program: PathBuf,
    pub rows: u32,
    /// How long the application runs after each step.
    pub live: Duration,
    /// Play to this phase and stay there.
    pub until: Option<Phase>,
}

/// What the demo has to show for itself.
#[derive(Debug)]
pub struct Summary {
    pub statements_old: u64,
    pub statements_new: u64,
    pub client_errors: u64,
    pub troubles: Vec<String>,
    pub fallbacks: i64,
    pub divergences: i64,
    pub data: Verdict,
    pub elapsed: Duration,
}

impl Summary {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.client_errors == 0
            && self.divergences == 0
            && self.data.is_clean()
            && self.statements_old > 0
    }

    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            String::new(),
            format!(
                "  statements     {:>8}  ({} by the old version, {} by the new one)",
                self.statements_old + self.statements_new,
                self.statements_old,
                self.statements_new
            ),
            format!("  client errors  {:>8}", self.client_errors),
            format!("  rows compared  {:>8}", self.data.compared),
            format!("  missing        {:>8}", self.data.missing),
            format!("  extra          {:>8}", self.data.extra),
            format!("  different      {:>8}", self.data.different),
            format!("  divergences    {:>8}", self.divergences),
            format!("  fallbacks      {:>8}", self.fallbacks),
            format!("  time           {:>7.1}s", self.elapsed.as_secs_f64()),
        ];
        for trouble in self.troubles.iter().chain(&self.data.samples) {
            lines.push(format!("  ! {trouble}"));
        }
        lines
    }
}

/// A running demo. Dropping it stops the clients, the proxy and the server, in this order.
pub struct Demo {
    cast: Cast,
    board: Arc<Board>,
    operator: Client,
    verdict: Verdict,
    numbers: JoinHandle<()>,
    pub stage: Stage,
    pub display: Arc<Display>,
}

impl Demo {
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let display = Arc::new(Display::new());
        display.say("A throwaway PostgreSQL, the iso_agents schema, and a proxy in front of it.");
        let stage = Stage::build(&options.program, options.rows).await?;
        let operator = client::connect(&stage.operator_url(), "operator").await?;
        let board = Arc::new(Board::new(Phase::LegacyOnly));
        let mut cast = Cast::gather(&operator, stage.url(), Arc::clone(&board)).await?;
        cast.start_old();
        let watcher = client::connect(&stage.operator_url(), "numbers").await?;
        let numbers = tokio::spawn(tick(watcher, Arc::clone(&board), Arc::clone(&display)));
        Ok(Demo {
            cast,
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
            if !text.is_empty() {
                self.display.say(text);
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

    async fn perform(&mut self, act: Act, live: Duration) -> anyhow::Result<()> {
        match act {
            Act::Command(command) => self.stage.crossfade(command, &self.display).await,
            Act::Advance(phase) => self.step("advance", phase).await,
            Act::Rollback(phase) => self.step("rollback", phase).await,
            Act::StartNewVersion => {
                self.cast.start_new();
                Ok(())
            }
            Act::CompareSides => {
                let verdict = check::sides(&self.operator).await?;
                self.display.say(&format!(
                    "    {} rows: {} missing, {} extra, {} different",
                    verdict.compared, verdict.missing, verdict.extra, verdict.different
                ));
                self.verdict.add(verdict);
                Ok(())
            }
            Act::ReferToUnified => operator::refer_to_unified(&self.operator).await,
            Act::PutLegacyAway => operator::put_legacy_away(&self.operator).await,
            Act::Live => {
                tokio::time::sleep(live).await;
                Ok(())
            }
        }
    }

    async fn step(&mut self, command: &str, phase: Phase) -> anyhow::Result<()> {
        self.stage
            .crossfade(&[command, MIGRATION], &self.display)
            .await?;
        let text = std::fs::read_to_string(self.stage.rules_dir().join("iso_agents.toml"))?;
        ensure!(
            text.contains(&format!("phase = \"{phase}\"")),
            "after `{command}` the rule file is not in {phase}"
        );
        self.board.enter(phase);
        Ok(())
    }

    /// Stops the clients and compares what they know with what is there.
    pub async fn finish(&mut self) -> anyhow::Result<Summary> {
        self.cast.stop().await?;
        self.numbers.abort();
        self.display.clear();
        let seen = look(&self.operator).await?;
        let mut data = self.verdict.clone();
        if self.board.phase() >= Phase::DualRead {
            data.add(self.cast.compare(&self.operator).await?);
        }
        Ok(Summary {
            statements_old: self.board.statements(Side::Old),
            statements_new: self.board.statements(Side::New),
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
            cast,
            operator,
            numbers,
            stage,
            ..
        } = self;
        numbers.abort();
        drop((cast, operator));
        // A panic in there has nowhere to go but the log, and the files are removed anyway.
        let _ended = tokio::task::spawn_blocking(move || stage.strike()).await;
    }
}

/// Shows the numbers until it is aborted, or the server does not answer any more.
async fn tick(operator: Client, board: Arc<Board>, display: Arc<Display>) {
    loop {
        let last = display.tick(&board);
        tokio::time::sleep(display.interval()).await;
        match look(&operator).await {
            Ok(seen) => display.status(&board, seen, &last),
            // Between looking for a table and counting it, it can be renamed: the next look tells.
            Err(_) if !operator.is_closed() => {}
            Err(_) => return,
        }
    }
}

/// What the database says. Tables come and go along the story, hence the guarded counts.
async fn look(operator: &Client) -> anyhow::Result<Seen> {
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
        legacy_rows: count("iso_agents", "count(*)").await?,
        unified_rows: count("users", "count(*)").await?,
        fallbacks: count("crossfade.instances", "coalesce(sum(fallbacks), 0)::int8").await?,
        divergences: count("crossfade.divergence", "count(*)").await?,
    })
}

#[cfg(test)]
mod tests;
