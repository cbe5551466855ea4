//! A canary begins, changes and ends, by an operator's word. It asks for what the next step asks for: answers of the next
//! phase are given, to some.

use rewrite_rules::Phase;

use super::gates::gates;
use super::site::{Site, SiteError, Wanted};
use crate::control::canary::judge::{self, Measure, Seen};
use crate::control::canary::{self, CanaryRow, Counted, Ends, NewCanary};
use crate::control::error::ControlError;
use crate::control::events::Actor;
use crate::control::gate::Gate;
use crate::control::named::find;
use crate::control::{Control, connect, epochs, schema};
use crate::generation::ahead::may_read_ahead;

/// A canary as it is shown.
#[derive(Clone, Debug)]
pub struct CanaryView {
    pub row: CanaryRow,
    /// The phase that the migration is in.
    pub phase: Phase,
    pub counted: Counted,
}

impl CanaryView {
    /// What is known of it since it began.
    #[must_use]
    pub fn measures(&self) -> Vec<Measure> {
        let seen = Seen {
            lately: &self.counted,
            in_all: &self.counted,
        };
        judge::judge(self.phase, seen, &self.row.margins)
    }

    /// The phase that its reads are of.
    #[must_use]
    pub fn reads_as(&self) -> Phase {
        self.phase.next().unwrap_or(self.phase)
    }
}

/// Those that run; one migration's where it is named.
pub async fn views(client: &Control, only: Option<&str>) -> Result<Vec<CanaryView>, ControlError> {
    let in_force = epochs::in_force(client).await?;
    let mut views = Vec::new();
    for row in canary::running(client).await? {
        let newest = in_force.iter().find(|newest| {
            newest.migration == row.canary.migration && newest.epoch == row.canary.epoch
        });
        let Some(newest) = newest else {
            continue;
        };
        if only.is_some_and(|only| only != row.canary.migration) {
            continue;
        }
        let counted = canary::counted(client, row.canary.id).await?;
        views.push(CanaryView {
            phase: newest.phase,
            counted,
            row,
        });
    }
    Ok(views)
}

/// Begins a canary of a migration, or changes the one that runs. `tell` hears what is going on.
pub async fn begin(
    site: &Site,
    name: &str,
    new: &NewCanary,
    by: &Actor,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), SiteError> {
    if let Some(share) = new.share
        && !(0.0..=1.0).contains(&share)
    {
        let said = canary::percent(share);
        let wrong = format!("{said} is no share of sessions: expected 0 % to 100 %");
        return Err(ControlError::Refused(wrong).into());
    }
    let rules = site.rules(Wanted::InForce, tell).await?;
    let migration = find(&rules, name)?;
    let client = connect(&site.url, "canary").await?;
    schema::must_be_prepared(&client).await?;
    let phase = migration.phase;
    let (Some(next), Some(epoch)) = (
        phase.next().filter(|_| may_read_ahead(phase)),
        migration.epoch(),
    ) else {
        let wrong = format!(
            "{name} is in {phase}: a canary reads as in the phase that comes next, which is safe in shadow_read and in \
             dual_read alone"
        );
        return Err(ControlError::Refused(wrong).into());
    };
    let found = gates(&client, &rules, migration, (phase, next), &site.gates).await?;
    let unmet = found.iter().filter(|gate| !gate.met).map(Gate::to_string);
    let unmet = unmet.collect::<Vec<_>>().join("\n");
    if !unmet.is_empty() && new.forced.is_none() {
        return Err(ControlError::Unmet(format!(
            "{name} has no canary: its reads would be those of {next}. Not met for {next}:\n{unmet}\n\
             (--force --reason TEXT goes on regardless, and is recorded)"
        ))
        .into());
    }
    if canary::begin(&client, (name, epoch), new, by)
        .await?
        .is_none()
    {
        return Err(ControlError::Overtaken(name.to_owned()).into());
    }
    notify(&client).await?;
    Ok(())
}

/// Ends the canary of a migration. False: there was none.
pub async fn end(site: &Site, name: &str, reason: &str, by: &Actor) -> Result<bool, SiteError> {
    let client = connect(&site.url, "canary").await?;
    schema::must_be_prepared(&client).await?;
    let why = (reason, None);
    let ended = canary::end(&client, Ends::Of(name), why, by).await?;
    notify(&client).await?;
    Ok(ended)
}

async fn notify(client: &Control) -> Result<(), ControlError> {
    let notify = format!("NOTIFY {}", epochs::CHANNEL);
    let told = client.batch_execute(&notify).await;
    told.map_err(ControlError::sql("canary"))
}
