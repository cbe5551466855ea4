//! Gates that look at what has been going on: how long nothing has fallen back, and what the
//! application still says that the next phase would refuse.

use std::time::SystemTime;

use rewrite_rules::{Migration, Phase, RuleSet};
use tokio_postgres::Client;

use crate::control::error::ControlError;
use crate::control::gate::Gate;
use crate::control::{coverage, statements};

/// Statements that nobody has sent for a week are not held against a step.
const SEEN_SECONDS_MAX: f64 = 7.0 * 86_400.0;
/// Enough to see what kind of statement it is; `coverage` has all of them.
const STATEMENTS_SHOWN: usize = 3;
const STATEMENT_CHARS_MAX: usize = 100;

/// Since when reads of the unified side have needed nothing of legacy, in days: since the last
/// fallback, and at most since `dual_read` was entered, before which none was possible. `None`:
/// it was never entered.
pub async fn days_without_fallback(
    client: &Client,
    migration: &str,
) -> Result<Option<f64>, ControlError> {
    let row = client
        .query_one(
            "SELECT extract(epoch FROM clock_timestamp() - greatest( \
             (SELECT max(e.at) FROM crossfade.events AS e WHERE e.migration = $1 \
             AND e.from_phase = 'shadow_read' AND e.to_phase = 'dual_read'), \
             (SELECT m.last_fallback_at FROM crossfade.migrations AS m \
             WHERE m.migration = $1)))::float8 / 86400",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at the last fallback"))?;
    Ok(row.get(0))
}

/// When a read last needed legacy, and when a key last entered the ledger.
pub(super) async fn last_times(
    client: &Client,
    migration: &str,
) -> Result<(Option<String>, Option<String>), ControlError> {
    let row = client
        .query_opt(
            "SELECT to_char(last_fallback_at, 'YYYY-MM-DD HH24:MI:SS TZ'), \
             to_char(last_divergence_at, 'YYYY-MM-DD HH24:MI:SS TZ') \
             FROM crossfade.migrations WHERE migration = $1",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at the last fallback"))?;
    Ok(row.map_or((None, None), |row| (row.get(0), row.get(1))))
}

/// When a read last needed legacy.
pub async fn last_fallback(
    client: &Client,
    migration: &str,
) -> Result<Option<SystemTime>, ControlError> {
    let row = client
        .query_opt(
            "SELECT last_fallback_at FROM crossfade.migrations WHERE migration = $1",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at the last fallback"))?;
    Ok(row.and_then(|row| row.get(0)))
}

pub async fn fallback_free(
    client: &Client,
    migration: &Migration,
    days_min: f64,
) -> Result<Gate, ControlError> {
    let days = days_without_fallback(client, &migration.name).await?;
    Ok(Gate {
        name: "fallbacks",
        met: days_min <= 0.0 || days.is_some_and(|days| days >= days_min),
        found: match days {
            None => "no step to dual_read is on record".to_owned(),
            Some(days) => format!("none for {days:.1} days, {days_min} are asked for"),
        },
        settle: "wait (fallback_free_days in [gates] says how long); \
                 `crossfade verify` finds rows that unified lacks"
            .to_owned(),
    })
}

/// What a later phase refuses is refused at run time; who says it should know before.
pub async fn covered(
    client: &Client,
    rules: &RuleSet,
    migration: &Migration,
    step: (Phase, Phase),
) -> Result<Gate, ControlError> {
    let mut seen = statements::read(client).await?;
    seen.retain(|seen| {
        seen.last_seen_seconds
            .is_none_or(|seconds| seconds <= SEEN_SECONDS_MAX)
    });
    let count = seen.len();
    let lost = coverage::lost_between(rules, &migration.name, step, seen, client).await;
    let shown: Vec<String> = lost
        .iter()
        .take(STATEMENTS_SHOWN)
        .map(|(statement, problem)| {
            let words: Vec<&str> = statement.split_whitespace().collect();
            let short: String = words.join(" ").chars().take(STATEMENT_CHARS_MAX).collect();
            format!("{short}: {problem}")
        })
        .collect();
    Ok(Gate {
        name: "coverage",
        met: lost.is_empty(),
        found: if count == 0 {
            "no statement was seen in the last week: nothing is known of what would be refused"
                .to_owned()
        } else if lost.is_empty() {
            format!("none of {count} statements of the last week would be refused")
        } else {
            format!(
                "{} of {count} statements of the last week would be refused: {}",
                lost.len(),
                shown.join("; ")
            )
        },
        settle: format!(
            "change them; `crossfade coverage {}` lists all of them, and why",
            migration.name
        ),
    })
}
