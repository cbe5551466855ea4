//! What happens to a fleet: several proxies stop at once, lose their way to the database, are told of changed rules, and
//! two operators do the same.

use std::time::Duration;

use anyhow::ensure;
use crossfade_testbed::process::Signal;
use rewrite_rules::Phase;

use super::{DATABASE, DRAIN_TIMEOUT, Operator};
use crate::control::{Ended, Running};

/// What a command may say that was overtaken by another one.
const OVERTAKEN: [&str; 5] = [
    "Not met for",
    "somebody else took a step",
    "is under way",
    "has changed since this command began",
    "there is no step to",
];

fn was_overtaken(ended: &Ended) -> bool {
    OVERTAKEN.iter().any(|said| ended.errors.contains(said))
}

impl Operator {
    /// One of the things that need several proxies.
    pub(super) async fn fleet_deed(&mut self) -> anyhow::Result<()> {
        match self.dice.below(12) {
            0..3 => self.two_operators().await,
            3..6 => self.cut_off().await,
            6..8 => self.stop_several().await,
            8..10 => self.apply().await,
            10 => self.end_control_sessions().await,
            _rest => self.mend().await,
        }
    }

    /// Closes what a step may not be taken under, for one or two steps in this direction.
    async fn make_way(&mut self, direction: &str, from: Phase) {
        self.open_unified_names(false).await;
        let may_arrive = from <= Phase::ShadowRead;
        self.leave_keys(direction == "rollback" && may_arrive).await;
    }

    /// Two say the same at once: one step is taken, or two one after the other, and neither waits in vain.
    async fn two_operators(&mut self) -> anyhow::Result<()> {
        let from = self.phase().await?;
        let direction = self.direction(from);
        self.make_way(direction, from).await;
        if !self.turn(from, direction).await? {
            return Ok(());
        }
        self.deeds.twice_at_once += 1;
        self.board.note(&format!("{direction}, twice at once"));
        let [option, seconds] = DRAIN_TIMEOUT;
        let args = [direction, self.tables.migration(), option, seconds];
        let config = self.proxies[0].config();
        let one = Running::start(&config, &args)?;
        let pause = self.dice.below(60);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let other = Running::start(&config, &args)?;
        let (one, other) = tokio::join!(one.end(), other.end());
        let (one, other) = (one?, other?);
        for ended in [&one, &other] {
            ensure!(
                ended.status.success() || was_overtaken(ended),
                "`{direction}` from {from}, twice at once: {ended:#?}"
            );
        }
        let taken = [&one, &other].iter().filter(|e| e.status.success()).count();
        let (now, from_at) = (self.phase().await? as usize, from as usize);
        ensure!(
            now.abs_diff(from_at) == taken,
            "{taken} of two commands took a step from {from}: {one:#?} {other:#?}"
        );
        self.deeds.steps += taken as u64;
        self.after_step().await
    }

    /// A proxy loses its way to the database's word, and its clients keep theirs: a step is taken without it.
    async fn cut_off(&mut self) -> anyhow::Result<()> {
        let from = self.phase().await?;
        let direction = self.direction(from);
        self.make_way(direction, from).await;
        if !self.turn(from, direction).await? {
            return Ok(());
        }
        self.deeds.cut_off += 1;
        let at = usize::try_from(self.dice.below(self.lines.len() as u64)).unwrap_or_default();
        // The first proxy's is the operator's own.
        let port = self.proxies[at + 1].port;
        self.board
            .note(&format!("cuts off proxy {}, {direction}", at + 1));
        self.lines[at].cut();
        self.counts_as_gone(port).await?;
        let stepped = self.one_step(direction, from).await;
        let pause = self.dice.below(1500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.board
            .note(&format!("mends the line of proxy {}", at + 1));
        self.lines[at].mend();
        stepped
    }

    async fn one_step(&mut self, direction: &str, from: Phase) -> anyhow::Result<()> {
        let [option, seconds] = DRAIN_TIMEOUT;
        let ended = self
            .command(&[direction, self.tables.migration(), option, seconds])
            .await?;
        ensure!(
            ended.status.success() || was_overtaken(&ended),
            "`{direction}` from {from}, without a proxy: {ended:#?}"
        );
        self.deeds.steps += u64::from(ended.status.success());
        self.after_step().await
    }

    /// All proxies but one are stopped in whatever they do while a step begins; they go on one after the other.
    async fn stop_several(&mut self) -> anyhow::Result<()> {
        let from = self.phase().await?;
        let direction = self.direction(from);
        self.make_way(direction, from).await;
        if !self.turn(from, direction).await? {
            return Ok(());
        }
        self.deeds.stopped_together += 1;
        let spared =
            usize::try_from(self.dice.below(self.proxies.len() as u64)).unwrap_or_default();
        self.board
            .note(&format!("stops all proxies but {spared}, {direction}"));
        let stopped: Vec<usize> = (0..self.proxies.len()).filter(|at| *at != spared).collect();
        for at in &stopped {
            self.proxies[*at].signal(Signal::Stop)?;
            self.counts_as_gone(self.proxies[*at].port).await?;
        }
        let [option, seconds] = DRAIN_TIMEOUT;
        let args = [direction, self.tables.migration(), option, seconds];
        let step = Running::start(&self.proxies[0].config(), &args)?;
        for at in &stopped {
            let moment = self.dice.below(1200);
            tokio::time::sleep(Duration::from_millis(moment)).await;
            self.board.note(&format!("continues proxy {at}"));
            self.proxies[*at].signal(Signal::Continue)?;
        }
        let ended = step.end().await?;
        self.board.note(&format!("{direction}: {}", ended.status));
        ensure!(
            ended.status.success() || was_overtaken(&ended),
            "`{direction}` from {from}, proxies were stopped meanwhile: {ended:#?}"
        );
        self.deeds.steps += u64::from(ended.status.success());
        self.after_step().await
    }

    /// Rules that say the same otherwise: another epoch of the same phase, by a command and by whichever proxy is quicker.
    async fn apply(&mut self) -> anyhow::Result<()> {
        self.deeds.applies += 1;
        let file = self.rule_file();
        let text = std::fs::read_to_string(&file)?;
        let body = text.split("# applied").next().unwrap_or_default();
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{body}# applied {}\n", self.deeds.applies))?;
        std::fs::rename(new, &file)?;
        let ended = self.command(&["apply"]).await?;
        ensure!(
            ended.status.success()
                || was_overtaken(&ended)
                || ended.errors.contains("run it again"),
            "`apply`: {ended:#?}"
        );
        Ok(())
    }

    /// The server ends what proxies follow it by.
    async fn end_control_sessions(&mut self) -> anyhow::Result<()> {
        self.deeds.control_sessions_ended += 1;
        self.board.note("ends the proxies' control sessions");
        let url = self.world.postgres.url(DATABASE);
        let client = self.world.client(&url).await?;
        client
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name ~ '^crossfade (serve|follow|check|primary)'",
            )
            .await?;
        Ok(())
    }

    /// Whatever commands that were killed have left behind, it puts right, or says whose decision it is.
    pub(super) async fn mend(&mut self) -> anyhow::Result<()> {
        self.deeds.mends += 1;
        let ended = self.command(&["doctor", "--mend"]).await?;
        ensure!(
            matches!(ended.status.code(), Some(0 | 1)) || was_overtaken(&ended),
            "`doctor --mend`: {ended:#?}"
        );
        Ok(())
    }

    /// In the end nothing is left that a command could put right.
    pub(super) async fn nothing_is_stuck(&mut self) -> anyhow::Result<()> {
        let mended = self.command(&["doctor", "--mend"]).await?;
        ensure!(
            !mended
                .output
                .contains("`crossfade doctor --mend` puts it right"),
            "{mended:#?}"
        );
        Ok(())
    }
}
