//! Plugs that are pulled: of proxies, of commands, of the server.

use std::time::Duration;

use anyhow::ensure;
use crossfade_testbed::process::Signal;
use rewrite_rules::Phase;

use super::{DRAIN_TIMEOUT, Operator};
use crate::control::Running;

impl Operator {
    /// A step whose command, proxy or server is killed while it waits.
    pub(super) async fn disturbed_step(&mut self) -> anyhow::Result<()> {
        let from = self.phase().await?;
        let direction = self.direction(from);
        self.open_unified_names(false).await;
        self.leave_keys(direction == "rollback" && from == Phase::DualWrite)
            .await;
        if !self.turn(from, direction).await? {
            return Ok(());
        }
        let [option, seconds] = DRAIN_TIMEOUT;
        let mut step = Running::start(
            &self.proxies[0].config(),
            &[direction, self.tables.migration(), option, seconds],
        )?;
        self.board.note(&format!("{direction}, to be disturbed"));
        let moment = self.dice.below(250);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        match self.dice.below(3) {
            0 => {
                if !step.is_over()? {
                    self.deeds.steps_interrupted += 1;
                }
                step.kill().await?;
            }
            1 => {
                self.kill_proxy().await?;
                let ended = step.end().await?;
                ensure!(
                    ended.status.success() || ended.errors.contains("Not met for"),
                    "`{direction}` from {from}, a proxy was killed meanwhile: {ended:#?}"
                );
            }
            _rest => {
                self.crash_server().await?;
                let ended = step.end().await?;
                // It may well fail, of the crash, but not wait in vain.
                ensure!(
                    !ended.errors.contains("gave up after"),
                    "`{direction}` from {from}, the server crashed meanwhile: {ended:#?}"
                );
            }
        }
        // Names stay closed until a step was seen to its end.
        let now = self.phase().await?;
        if now == Phase::LegacyOnly {
            self.complete = false;
        }
        ensure!(
            now == from || Some(now) == from.next() || Some(now) == from.previous(),
            "a disturbed step led from {from} to {now}"
        );
        Ok(())
    }

    pub(super) async fn kill_proxy(&mut self) -> anyhow::Result<()> {
        self.deeds.proxy_kills += 1;
        let at = usize::try_from(self.dice.below(self.proxies.len() as u64)).unwrap_or_default();
        let mut proxy = self.proxies.remove(at);
        self.board.note(&format!("kills proxy {at}"));
        proxy.kill();
        self.counts_as_gone(proxy.port).await?;
        let pause = self.dice.below(150);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        // A command that was killed may not have noted its step in the file.
        let proxy = proxy.serve_what_is_in_force().await?;
        self.proxies.insert(at, proxy);
        Ok(())
    }

    /// Whoever pulled the plug of a proxy knows that it is gone; others would wait to see.
    pub(super) async fn counts_as_gone(&self, port: u16) -> anyhow::Result<()> {
        let prepared = "SELECT count(*) FROM pg_namespace WHERE nspname = 'crossfade'";
        if self.number(prepared).await? == 1 {
            let gone = format!(
                "WITH gone AS (DELETE FROM crossfade.instances WHERE address LIKE '%:{port}' RETURNING 1) \
                 SELECT count(*) FROM gone"
            );
            self.number(&gone).await?;
        }
        Ok(())
    }

    /// A proxy is stopped in whatever it does, and counts as gone; a step is taken without it, or waits for those of its
    /// sessions that have begun; then it goes on, and must not write as in the phase that it believes in.
    pub(super) async fn freeze_proxy(&mut self) -> anyhow::Result<()> {
        let from = self.phase().await?;
        let direction = self.direction(from);
        self.open_unified_names(false).await;
        self.leave_keys(direction == "rollback" && from == Phase::DualWrite)
            .await;
        if !self.turn(from, direction).await? {
            return Ok(());
        }
        self.deeds.proxy_freezes += 1;
        let at = usize::try_from(self.dice.below(self.proxies.len() as u64)).unwrap_or_default();
        self.board.note(&format!("stops proxy {at}, {direction}"));
        self.proxies[at].signal(Signal::Stop)?;
        self.counts_as_gone(self.proxies[at].port).await?;
        let [option, seconds] = DRAIN_TIMEOUT;
        let step = Running::start(
            &self.proxies[0].config(),
            &[direction, self.tables.migration(), option, seconds],
        )?;
        let moment = self.dice.below(1500);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        self.board.note(&format!("continues proxy {at}"));
        self.proxies[at].signal(Signal::Continue)?;
        let ended = step.end().await?;
        self.board.note(&format!("{direction}: {}", ended.status));
        ensure!(
            ended.status.success() || ended.errors.contains("Not met for"),
            "`{direction}` from {from}, a proxy was frozen meanwhile: {ended:#?}"
        );
        self.after_step().await
    }

    pub(super) async fn crash_server(&mut self) -> anyhow::Result<()> {
        self.deeds.server_crashes += 1;
        self.board.note("crashes the server");
        self.world.postgres.stop_immediate().await?;
        let pause = self.dice.below(200);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        self.world.postgres.start_again().await?;
        Ok(())
    }
}
