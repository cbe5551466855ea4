//! Rows brought over, compared and put right, whatever else goes on.

use std::time::Duration;

use anyhow::{bail, ensure};
use rewrite_rules::Phase;

use super::{COPYING, DATABASE, Operator, RECORDED, TURNS_MAX};
use crate::control::{Ended, Running};
use crate::torture::tables::MIGRATED;

impl Operator {
    /// Up to the first phase in which nothing is recorded any more. Until then any write whose unified half fails may
    /// make the sides differ; but no other.
    pub(super) async fn turn_reads(&mut self) -> anyhow::Result<()> {
        let mut said = String::new();
        for _ in 0..TURNS_MAX {
            self.must(&["backfill", self.tables.migration(), "--full-speed"])
                .await?;
            self.complete = true;
            self.repair().await?;
            let verified = self.command(&["verify", self.tables.migration()]).await?;
            let recorded = self.number(RECORDED).await?;
            ensure!(
                verified.status.success() || recorded > 0,
                "nothing was recorded, and the sides differ: {verified:#?}"
            );
            let from = self.phase().await?;
            if from == Phase::DualRead {
                return Ok(());
            }
            let ended = self.command(&["advance", self.tables.migration()]).await?;
            ensure!(
                ended.status.success() || ended.errors.contains("Not met for"),
                "`advance` from {from}: {ended:#?}"
            );
            said = ended.errors;
        }
        bail!("reads do not turn: {said}\n{}", self.ledger().await?)
    }

    /// What stands in the ledger, and why.
    pub(super) async fn ledger(&self) -> anyhow::Result<String> {
        let url = self.world.postgres.url(DATABASE);
        let client = self.world.client(&url).await?;
        let sql =
            "SELECT concat_ws(' ', legacy_table, key, sqlstate, reason) FROM crossfade.divergence";
        let rows = client.query(sql, &[]).await?;
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(lines.join("\n"))
    }

    /// Legacy gets what it missed; sometimes in two attempts.
    pub(super) async fn copy_back(&mut self) -> anyhow::Result<()> {
        self.deeds.reverse_backfills += 1;
        let args = [
            "backfill",
            self.tables.migration(),
            "--reverse",
            "--restart",
            "--full-speed",
        ];
        self.board.note(&args.join(" "));
        let mut backfill = Running::start(&self.proxies[0].config(), &args)?;
        if self.dice.below(3) == 0 {
            let moment = self.dice.below(400);
            tokio::time::sleep(Duration::from_millis(moment)).await;
            if !backfill.is_over()? {
                self.deeds.backfills_killed += 1;
            }
            backfill.kill().await?;
            return Ok(());
        }
        let ended = backfill.end().await?;
        ensure!(ended.status.success(), "the reverse backfill: {ended:#?}");
        self.repair().await
    }

    pub(super) async fn repair(&mut self) -> anyhow::Result<()> {
        self.deeds.repairs += 1;
        let ended = self
            .command(&["verify", self.tables.migration(), "--repair"])
            .await?;
        ensure!(ended.status.code() != Some(2), "the repair: {ended:#?}");
        Ok(())
    }

    pub(super) async fn start_backfill(&mut self) -> anyhow::Result<()> {
        if self.backfill.is_some() || !COPYING.contains(&self.phase().await?) {
            return Ok(());
        }
        let mut args = vec!["backfill", self.tables.migration()];
        if self.dice.below(2) == 0 {
            args.push("--restart");
        }
        // One that gives way to the clients may take longer than a short run.
        if self.dice.below(3) > 0 {
            args.push("--full-speed");
        }
        self.board.note(&args.join(" "));
        self.backfill = Some(Running::start(&self.proxies[0].config(), &args)?);
        self.deeds.backfills += 1;
        Ok(())
    }

    pub(super) async fn look_after_backfill(&mut self) -> anyhow::Result<()> {
        let Some(mut backfill) = self.backfill.take() else {
            return Ok(());
        };
        if backfill.is_over()? {
            return self.backfill_ended(backfill.end().await?);
        }
        if self.dice.below(4) == 0 {
            self.deeds.backfills_killed += 1;
            self.board.note("kills the backfill");
            return backfill.kill().await;
        }
        self.backfill = Some(backfill);
        Ok(())
    }

    /// It may fail of a crash, and of a phase in which it may not run; never of anything else.
    pub(super) fn backfill_ended(&mut self, ended: Ended) -> anyhow::Result<()> {
        if ended.status.success() {
            self.complete = true;
            return Ok(());
        }
        let excused = [
            "connect",
            "closed",
            "57P0",
            "a copy of legacy rows",
            "legacy_only",
            "another backfill",
            "somebody took a step",
            "has changed since this command began",
        ];
        ensure!(
            excused.iter().any(|excuse| ended.errors.contains(excuse)),
            "the backfill: {ended:#?}"
        );
        Ok(())
    }

    /// Clean, wherever both sides are promised to be in step.
    pub(super) async fn verify(&mut self) -> anyhow::Result<()> {
        let settled = "SELECT count(*) FROM crossfade.backfill WHERE state = 'complete' \
             AND NOT reverse AND NOT EXISTS (SELECT FROM crossfade.divergence) \
             AND NOT EXISTS (SELECT FROM crossfade.migrations AS m \
             WHERE m.unified_stale_since IS NOT NULL OR m.legacy_stale_since IS NOT NULL)";
        let phase = self.phase().await?;
        let promised = self.backfill.is_none()
            && (Phase::DualWrite..=Phase::UnifiedRead).contains(&phase)
            && self
                .number("SELECT count(*) FROM pg_namespace WHERE nspname = 'crossfade'")
                .await?
                == 1
            && self.number(settled).await? == MIGRATED;
        let ended = self.command(&["verify", self.tables.migration()]).await?;
        self.deeds.verifies += 1;
        if promised {
            self.nobody_went_around().await?;
        }
        let still = promised && self.number(settled).await? == MIGRATED;
        ensure!(
            !still || ended.status.success(),
            "not in step in {phase}: {ended:#?}"
        );
        ensure!(
            ended.status.code() != Some(2) || !promised,
            "verify: {ended:#?}"
        );
        Ok(())
    }
}
