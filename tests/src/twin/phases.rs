//! A migration taken along its phases, with its rows copied and compared on the way.

use rewrite_rules::Phase;

use super::{Case, Twin};

impl Twin {
    /// A prepared migration in `dual_write` or a later phase, its rows copied.
    pub async fn in_phase(case: Case, phase: Phase) -> anyhow::Result<Self> {
        let twin = Self::start(case).await?;
        twin.prepare().await?;
        twin.carry_to(phase).await?;
        Ok(twin)
    }

    /// Takes a prepared migration from `legacy_only` on to `dual_write` or a later phase.
    pub async fn carry_to(&self, phase: Phase) -> anyhow::Result<()> {
        self.advance(Phase::DualWrite).await?;
        self.copy().await?;
        for next in Phase::ALL
            .into_iter()
            .filter(|next| (Phase::ShadowRead..=phase).contains(next))
        {
            self.advance(next).await?;
        }
        Ok(())
    }

    /// Runs a check in every phase but `retired`: in `dual_write` before the rows are copied.
    pub async fn in_every_phase(&self, mut check: impl AsyncFnMut(Phase)) -> anyhow::Result<()> {
        for phase in Phase::ALL {
            match phase {
                Phase::LegacyOnly => {}
                Phase::ShadowRead => {
                    self.copy().await?;
                    self.advance(phase).await?;
                }
                Phase::DualWrite | Phase::DualRead | Phase::UnifiedRead | Phase::UnifiedOnly => {
                    self.advance(phase).await?;
                }
                // What has to be done before it differs.
                Phase::Retired => break,
            }
            check(phase).await;
        }
        Ok(())
    }

    /// Checks that the sides which a phase keeps have a table's rows: legacy while it is written, and
    /// `unified`, a query in its place, where reads are unified.
    pub async fn equal_in(&self, phase: Phase, legacy: &str, unified: &str) -> anyhow::Result<()> {
        if phase.writes_both() || phase == Phase::LegacyOnly {
            self.equal(legacy, legacy).await?;
        }
        if phase.reads_unified() {
            self.equal(legacy, unified).await?;
        }
        Ok(())
    }

    async fn copy(&self) -> anyhow::Result<()> {
        self.crossfade("backfill").await?;
        self.verified(self.case.tables).await;
        Ok(())
    }
}
