//! What a command that was killed can have left behind, and what puts it right.
//!
//! | left by | found as | put right by |
//! |---|---|---|
//! | a step, behind its opening | not seen to its end, epochs that are open | waiting for the drain and closing them, as the step would |
//! | a step that turns the reads | nothing may be recorded | allowing it |
//! | a step, before its opening or behind its drain | tables watched over in a phase that needs it not, or the other way; a count not begun | the same as the step |
//! | a step, between the two | tables that are sealed though the phase does not ask for it, or the other way | the same as the step |
//! | a close, and whoever looked at its fence meanwhile | closed epochs that are not gone | dropping them |
//! | a backfill | interrupted | running it again: an operator's |
//! | a proxy | silent | making sure that it is stopped: an operator's |
//! | somebody | a stand-in that refuses nothing any more | its owner |
//! | nobody | the hook was not told of events | trying again, once it can be |
//!
//! The next command would put most of it right, and the proxies some of it; this is for whoever wants to know now.

use std::time::Duration;

use rewrite_rules::{Migration, Phase, RuleSet};
use serde::Serialize;
use tokio_postgres::Client;

use super::step::{self, StepDirection, StepOptions};
use crate::backfill::state::{self, CopyDirection};
use crate::config;
use crate::control::error::ControlError;
use crate::control::{
    alone, around, connect, deliveries, epochs, events, guard, instances, named, recording,
    refused, schema, seal, shown, stand_in,
};
use crate::retire;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub migration: String,
    pub what: String,
    /// `None`: `--mend` sees to it.
    pub by_hand: Option<String>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.migration, self.what)?;
        match &self.by_hand {
            Some(by_hand) => write!(f, "\n  {by_hand}"),
            None => write!(f, "\n  `crossfade doctor --mend` puts it right"),
        }
    }
}

/// What is wrong with a migration. While a step of it is under way nothing is, of what that one will see to.
pub async fn look(client: &Client, migration: &Migration) -> Result<Vec<Finding>, ControlError> {
    let name = &migration.name;
    let finding = |what: String, by_hand: Option<String>| Finding {
        migration: name.clone(),
        what,
        by_hand,
    };
    let mut found = Vec::new();
    if let Some(holder) = alone::holder(client, "step", name).await? {
        let what = format!("a step is under way: {holder}");
        found.push(finding(
            what,
            Some("Wait for its end, or end it, and look again.".to_owned()),
        ));
    } else {
        let left = left_by_a_step(client, migration).await?;
        found.extend(left.into_iter().map(|what| finding(what, None)));
    }
    for lens in &migration.tables {
        for direction in [
            CopyDirection::LegacyToUnified,
            CopyDirection::UnifiedToLegacy,
        ] {
            let progress = state::read(client, lens, direction).await?;
            if progress.is_some_and(|progress| progress.interrupted) {
                let (kind, option) = match direction {
                    CopyDirection::LegacyToUnified => ("backfill", ""),
                    CopyDirection::UnifiedToLegacy => ("reverse backfill", " --reverse"),
                };
                let table = shown(&lens.legacy.sql());
                found.push(finding(
                    format!("a {kind} of {table} was interrupted"),
                    Some(format!(
                        "`crossfade backfill {name}{option}` goes on where it stopped."
                    )),
                ));
            }
        }
    }
    for aside in retire::read(client, name).await? {
        let table = &aside.legacy_table;
        if aside.has_stand_in && !stand_in::is_guarded(client, table).await? {
            let what = format!(
                "{}, which stands for a retired table, may be read or written in silence: its trigger or row security is \
                 disabled, or it has another policy",
                shown(table)
            );
            let guard = format!(
                "As its owner: ALTER TABLE {table} ENABLE ALWAYS TRIGGER {0}, ENABLE ROW LEVEL SECURITY; and drop policies \
                 other than {0}. Or drop the table: `crossfade retire {name}` says how.",
                stand_in::NAME
            );
            found.push(finding(what, Some(guard)));
        }
    }
    for instance in instances::instances(client, name).await? {
        if !instance.live {
            let what = format!("{instance} fell silent without signing off");
            let id: String = instance.instance.chars().take(SHORT_ID).collect();
            found.push(finding(
                what,
                Some(format!(
                    "Make sure that it is stopped; `crossfade instances --forget {id}` takes it off the list."
                )),
            ));
        }
    }
    for refused in refused::read(client, name).await? {
        found.push(finding(
            format!(
                "the proxy at {} has not put into force: {}",
                refused.address, refused.reason
            ),
            Some("Change the file, or what it speaks of.".to_owned()),
        ));
    }
    Ok(found)
}

/// As much of an instance's id as tells it from the others.
const SHORT_ID: usize = 8;

async fn left_by_a_step(
    client: &Client,
    migration: &Migration,
) -> Result<Vec<String>, ControlError> {
    let name = &migration.name;
    let mut left = Vec::new();
    let phase = epochs::phase(client, migration).await?;
    let last = events::last_step(client, name).await?;
    if let Some(last) = last.filter(|last| !last.drained && last.to == phase.name()) {
        left.push(format!(
            "the step to {} at {} by {} was not seen to its end",
            last.to, last.at, last.by
        ));
    }
    for open in epochs::still_open(client, name).await? {
        let held = match open.holders.is_empty() {
            true => "nobody holds it".to_owned(),
            false => {
                let holders: Vec<String> = open.holders.iter().map(ToString::to_string).collect();
                format!("held by {}", holders.join("; "))
            }
        };
        left.push(format!(
            "epoch {}, {}, is still open: {held}",
            open.epoch, open.phase
        ));
    }
    if !recording::is_allowed(client, name).await? {
        left.push(
            "writes whose unified half fails may not be recorded, as while reads turn".to_owned(),
        );
    }
    if guard::is_entered(client, name).await? != guard::is_guarded(phase) {
        left.push(match guard::is_guarded(phase) {
            true => format!("nobody watches over the columns of its tables in {phase}"),
            false => format!("DDL on its tables is refused, though it is in {phase}"),
        });
    }
    left.extend(seal::off(client, migration, phase).await?);
    if phase == Phase::UnifiedOnly && !around::is_begun(client, migration).await? {
        left.push("what touches the legacy tables around the proxies is not counted".to_owned());
    }
    Ok(left)
}

/// Whose finding it is that is no migration's.
pub const ALL: &str = "all migrations";

/// Closed epochs that are not gone yet, of whichever migration.
pub async fn remains(client: &Client) -> Result<Option<Finding>, ControlError> {
    let left = epochs::not_swept(client).await?;
    Ok((left > 0).then(|| Finding {
        migration: ALL.to_owned(),
        what: format!("{left} closed epochs are not gone: somebody looked at their fences when they were closed"),
        by_hand: None,
    }))
}

/// Events that the hook was not told of: those that were given up, and those that are tried again.
pub async fn undelivered(client: &Client) -> Result<Vec<Finding>, ControlError> {
    let deliveries::Undelivered {
        waiting,
        given_up,
        said,
    } = deliveries::undelivered(client).await?;
    let said = said.unwrap_or_default();
    let finding = |what: String, by_hand| Finding {
        migration: ALL.to_owned(),
        what,
        by_hand,
    };
    let events = |count: i64| match count {
        1 => "1 event".to_owned(),
        _ => format!("{count} events"),
    };
    let mut found = Vec::new();
    if given_up > 0 {
        let what = format!("the hook was not told of {}: {said}", events(given_up));
        found.push(finding(what, None));
    }
    if waiting > 0 {
        let what = format!(
            "the hook is still to be told of {}: {said}",
            events(waiting)
        );
        let wait = "It is tried again by itself; see to what it speaks of.".to_owned();
        found.push(finding(what, Some(wait)));
    }
    Ok(found)
}

/// Puts right what can be without anybody's decision.
pub async fn mend(
    url: &str,
    rules: &RuleSet,
    name: &str,
    drain_timeout: Duration,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    let migration = named::find(rules, name)?;
    let options = StepOptions {
        direction: StepDirection::Forward,
        force: None,
        reason: None,
        times: config::Gates::default(),
        drain_timeout,
        terminate_after: None,
        by: events::Actor::of_process().clone(),
    };
    let client = connect(url, "doctor").await?;
    schema::must_be_prepared(&client).await?;
    guard::before(&client, migration, epochs::phase(&client, migration).await?).await?;
    step::stand(url, rules, name, &options, tell).await?;
    epochs::sweep(&client).await?;
    deliveries::again(&client).await?;
    events::note(&client, name, "doctor", &serde_json::json!({})).await
}
