//! The operator: steps forward and back, copies, compares, reloads, and pulls plugs.

mod breaking;
mod copying;
mod fleet;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crossfade::control::{epochs, phase_file};
use crossfade_demo::dice::Dice;
use crossfade_testbed::process::Signal;
use rewrite_rules::Phase;

use super::Board;
use super::model::Name;
use super::tables::Tables;
use crate::control::{Ended, Running, run};
use crate::cut::Cuttable;
use crate::{Proxy, World};

pub const DATABASE: &str = "torture";
/// A command waits for transactions of a few statements, across a restart of the server at worst.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(900);
/// Shorter, so that a step which waits in vain says for whom.
const DRAIN_TIMEOUT: [&str; 2] = ["--drain-timeout-seconds", "300"];
/// Where a backfill may run.
const COPYING: [Phase; 3] = [Phase::DualWrite, Phase::ShadowRead, Phase::DualRead];
/// Steps without which a run proves nothing.
pub const STEPS_MIN: u64 = 3;
/// Attempts to turn foreign keys, or reads, elsewhere while everybody works.
const TURNS_MAX: usize = 100;
/// Shorter than the server's `deadlock_timeout`: of two who wait for each other it is the operator who gives up.
const TURN_LOCK_TIMEOUT: &str = "SET lock_timeout = '60ms'";
/// Of a hundred deeds, with a fleet, those that need one.
const FLEET: u64 = 45;
const RECORDED: &str = "SELECT count(*) FROM crossfade.divergence";

/// What was done.
#[derive(Debug, Default)]
pub struct Deeds {
    pub steps: u64,
    pub steps_refused: u64,
    pub steps_interrupted: u64,
    pub visits_to_unified_only: u64,
    pub visits_to_retired: u64,
    pub foreign_keys_turned: u64,
    pub backfills: u64,
    pub backfills_killed: u64,
    pub reverse_backfills: u64,
    pub repairs: u64,
    pub verifies: u64,
    pub reloads: u64,
    pub proxy_kills: u64,
    pub proxy_freezes: u64,
    pub server_crashes: u64,
    pub twice_at_once: u64,
    pub cut_off: u64,
    pub stopped_together: u64,
    pub applies: u64,
    pub control_sessions_ended: u64,
    pub mends: u64,
}

pub struct Operator {
    pub tables: Tables,
    pub world: World,
    pub proxies: Vec<Proxy>,
    /// By which the proxies behind the first one follow the database; none where there is no fleet.
    pub lines: Vec<Cuttable>,
    pub board: Arc<Board>,
    pub dice: Dice,
    pub deeds: Deeds,
    pub backfill: Option<Running>,
    /// A backfill ended well since `legacy_only` was last left.
    pub complete: bool,
}

impl Operator {
    /// Does things until the time is up, and enough was done to prove something.
    pub async fn run(&mut self, time: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        let goes_on = |steps: u64| start.elapsed() < time || steps <= STEPS_MIN;
        while goes_on(self.deeds.steps) && !self.board.is_stopping() {
            self.look_after_backfill().await?;
            if !self.lines.is_empty() && self.dice.below(100) < FLEET {
                self.fleet_deed().await?;
                continue;
            }
            match self.dice.below(100) {
                0..45 => self.step().await?,
                45..57 => self.start_backfill().await?,
                57..69 => self.verify().await?,
                69..79 => self.reload()?,
                79..86 => self.kill_proxy().await?,
                86..91 => self.freeze_proxy().await?,
                91..95 => self.crash_server().await?,
                _rest => self.disturbed_step().await?,
            }
            let pause = self.dice.below(300);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    /// The end: every promise of `unified_read` and of the phases before can be checked.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        if let Some(backfill) = self.backfill.take() {
            let ended = backfill.end().await?;
            println!(
                "the last backfill: {} {}",
                ended.status,
                ended.output.trim()
            );
        }
        while self.phase().await? > Phase::UnifiedRead {
            self.must(&["rollback", self.tables.migration()]).await?;
        }
        if self.phase().await? == Phase::LegacyOnly {
            self.must(&["advance", self.tables.migration()]).await?;
        }
        if COPYING.contains(&self.phase().await?) {
            self.turn_reads().await?;
        } else {
            self.must(&[
                "backfill",
                self.tables.migration(),
                "--reverse",
                "--restart",
                "--full-speed",
            ])
            .await?;
        }
        self.must(&["verify", self.tables.migration(), "--repair"])
            .await?;
        self.must(&["verify", self.tables.migration()]).await?;
        while self.phase().await? < Phase::UnifiedRead {
            self.must(&["advance", self.tables.migration()]).await?;
        }
        self.nobody_went_around().await?;
        if !self.lines.is_empty() {
            self.nothing_is_stuck().await?;
        }
        self.must(&["verify", self.tables.migration()]).await
    }

    /// What is known beside the rows where these are not what a client was told.
    pub async fn beside_the_rows(&self) -> String {
        let ledger = match self.ledger().await {
            Ok(ledger) => ledger,
            Err(error) => format!("{error:#}"),
        };
        let phase = self.phase().await.map_or_else(
            |error| format!("{error:#}"),
            |phase| phase.name().to_owned(),
        );
        format!(
            "in {phase}, the ledger:\n{ledger}\nthe operator:\n{}",
            self.board.noted()
        )
    }

    /// Nobody does in these tests, whatever happens to proxies and commands: so the seal tells of nobody.
    async fn nobody_went_around(&self) -> anyhow::Result<()> {
        let url = self.world.postgres.url(DATABASE);
        let client = self.world.client(&url).await?;
        let told = crossfade::control::direct::written(&client, self.tables.migration()).await?;
        let told: Vec<String> = told
            .iter()
            .filter(|writer| !writer.within)
            .map(ToString::to_string)
            .collect();
        ensure!(told.is_empty(), "{}", told.join("\n"));
        Ok(())
    }

    fn rule_file(&self) -> PathBuf {
        let name = format!("{}.toml", self.tables.migration());
        self.proxies[0].rules_dir().join(name)
    }

    /// What the database has in force, and the rule file before it has anything.
    pub async fn phase(&self) -> anyhow::Result<Phase> {
        let client = self
            .world
            .client(&self.world.postgres.url(DATABASE))
            .await?;
        if let Some(known) = epochs::of(&client, self.tables.migration()).await? {
            return Ok(known.phase);
        }
        let text = std::fs::read_to_string(self.rule_file())?;
        let (_, phase) = phase_file::says(&text).context("a rule file")?;
        Ok(phase)
    }

    async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let client = self
            .world
            .client(&self.world.postgres.url(DATABASE))
            .await?;
        crate::control::number(&client, sql).await
    }

    async fn command(&self, args: &[&str]) -> anyhow::Result<Ended> {
        let config = self.proxies[0].config();
        let command = args.join(" ");
        self.board.note(&command);
        let ended = tokio::time::timeout(COMMAND_TIMEOUT, run(&config, args))
            .await
            .with_context(|| format!("`crossfade {command}` does not end"))??;
        self.board.note(&format!("{command}: {}", ended.status));
        Ok(ended)
    }

    async fn must(&self, args: &[&str]) -> anyhow::Result<()> {
        let ended = self.command(args).await?;
        ensure!(
            ended.status.success(),
            "`crossfade {}`: {ended:#?}",
            args.join(" ")
        );
        Ok(())
    }

    /// Nobody uses unified names any more when this returns, if they are closed.
    async fn open_unified_names(&self, open: bool) {
        *self.board.unified_names.write().await = open;
    }

    /// What `users` alone has of a row would stay behind if the row went in `legacy_only`.
    async fn leave_keys(&self, leave: bool) {
        if leave {
            *self.board.keys_stay.write().await = true;
        }
    }

    /// Which way: forward more often than back, to `unified_only` and to `legacy_only` too.
    fn direction(&mut self, phase: Phase) -> &'static str {
        let back = self.dice.below(100) < 40;
        match phase {
            Phase::LegacyOnly => "advance",
            Phase::DualWrite | Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead if back => {
                "rollback"
            }
            Phase::DualWrite | Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead => {
                "advance"
            }
            Phase::UnifiedOnly if self.dice.below(100) < 40 => "advance",
            Phase::UnifiedOnly | Phase::Retired => "rollback",
        }
    }

    /// Before legacy or unified is left behind `errands` must refer to the other; whether they do. Legacy must
    /// have what unified has before they can turn back to it.
    async fn turn(&mut self, from: Phase, direction: &str) -> anyhow::Result<bool> {
        if from != Phase::UnifiedRead {
            return Ok(true);
        }
        let in_step = "SELECT count(*) FROM crossfade.migrations WHERE legacy_stale_since IS NULL \
            AND NOT EXISTS (SELECT FROM crossfade.divergence)";
        let to = match direction {
            "advance" => Name::Unified,
            _ if self.number(in_step).await? == 0 => return Ok(false),
            _ => Name::Legacy,
        };
        let referring = format!(
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'errands'::regclass \
             AND confrelid = '{}'::regclass",
            self.tables.table(to)
        );
        if self.number(&referring).await? > 0 {
            return Ok(true);
        }
        let client = self
            .world
            .client(&self.world.postgres.url(DATABASE))
            .await?;
        client.batch_execute(TURN_LOCK_TIMEOUT).await?;
        for _ in 0..TURNS_MAX {
            match client.batch_execute(&self.tables.turned_to(to)).await {
                Ok(()) => {
                    self.deeds.foreign_keys_turned += 1;
                    return Ok(true);
                }
                Err(error) => {
                    let code = error.code().map_or("", |code| code.code());
                    ensure!(
                        matches!(code, "55P03" | "40P01"),
                        "the foreign keys to {to:?}: {error:?}"
                    );
                }
            }
            let pause = self.dice.below(40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(false)
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let from = self.phase().await?;
        let direction = self.direction(from);
        if direction == "rollback" {
            self.open_unified_names(false).await;
            self.leave_keys(from == Phase::DualWrite).await;
        }
        if !self.turn(from, direction).await? {
            return match direction {
                "rollback" => self.copy_back().await,
                _ => Ok(()),
            };
        }
        let [option, seconds] = DRAIN_TIMEOUT;
        let ended = self
            .command(&[direction, self.tables.migration(), option, seconds])
            .await?;
        if ended.status.success() {
            self.deeds.steps += 1;
            return self.after_step().await;
        }
        self.deeds.steps_refused += 1;
        ensure!(
            ended.errors.contains("Not met for"),
            "`{direction}` from {from}: {ended:#?}"
        );
        self.after_step().await?;
        // What the gates ask for.
        if from == Phase::UnifiedRead {
            self.copy_back().await?;
        } else if COPYING.contains(&from) {
            self.start_backfill().await?;
            if let Some(backfill) = self.backfill.take() {
                self.backfill_ended(backfill.end().await?)?;
            }
            self.repair().await?;
        }
        Ok(())
    }

    async fn after_step(&mut self) -> anyhow::Result<()> {
        let phase = self.phase().await?;
        if phase == Phase::LegacyOnly {
            self.complete = false;
        }
        if phase == Phase::UnifiedOnly {
            self.deeds.visits_to_unified_only += 1;
        }
        if phase == Phase::Retired {
            self.deeds.visits_to_retired += 1;
        }
        if phase >= Phase::DualRead {
            *self.board.keys_stay.write().await = false;
        }
        self.open_unified_names(phase >= Phase::DualRead && self.complete)
            .await;
        Ok(())
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        self.deeds.reloads += 1;
        let file = self.rule_file();
        let text = std::fs::read_to_string(&file)?;
        let body = text.split("# reloaded").next().unwrap_or_default();
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{body}# reloaded {}\n", self.deeds.reloads))?;
        std::fs::rename(new, file)?;
        for proxy in &self.proxies {
            proxy.signal(Signal::Hangup)?;
        }
        Ok(())
    }

    /// What the board says, with the proxies' last words.
    pub fn tell(&self) -> String {
        let figures = &self.board.figures;
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
        let deeds = &self.deeds;
        let kills = deeds.backfills_killed
            + deeds.steps_interrupted
            + deeds.proxy_kills
            + deeds.server_crashes;
        format!(
            "{}: {} operations ({} commits, {} conflicts, {} connections lost, {} outcomes unknown; refused as they must \
             be: {} by a foreign key, {} by a unique one, {} for want of a right), {kills} kills, {} phase changes; {deeds:?}",
            self.tables.migration(),
            of(&figures.statements),
            of(&figures.commits),
            of(&figures.conflicts),
            of(&figures.connections_lost),
            of(&figures.outcomes_unknown),
            of(&figures.referred_to),
            of(&figures.taken),
            of(&figures.forbidden),
            deeds.steps,
        )
    }
}
