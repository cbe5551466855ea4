//! Who was seen to write around the proxies: for `status`, for warnings, and for the gates.

use rewrite_rules::{Migration, Phase};
use serde::Serialize;
use tokio_postgres::Client;

use super::super::error::ControlError;
use super::super::gates::Gate;
use super::super::instances::GONE_AFTER_SECONDS;
use super::super::shown;
use super::is_watched;

/// Shown to people.
const SHOWN_MAX: usize = 5;

/// Somebody who wrote around the proxies.
#[derive(Clone, Debug, Serialize)]
pub struct DirectWriter {
    pub table_name: String,
    pub role: String,
    pub application: String,
    pub client: String,
    pub pid: i32,
    pub query: String,
    /// In how many looks.
    pub times: i64,
    pub last_seconds_ago: f64,
    /// Later than the last verify that was clean: what was written may differ.
    pub since_verify: bool,
}

impl std::fmt::Display for DirectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "user {}, application {}, from {} wrote {} around the proxies, seen {} times, last {:.0} s \
             ago as pid {}: {}",
            self.role,
            if self.application.is_empty() {
                "unnamed"
            } else {
                &self.application
            },
            self.client,
            shown(&self.table_name),
            self.times,
            self.last_seconds_ago,
            self.pid,
            self.query
        )
    }
}

/// Who was seen, the latest first.
pub async fn read(client: &Client, migration: &str) -> Result<Vec<DirectWriter>, ControlError> {
    let rows = client
        .query(
            "SELECT table_name, role, application, client, pid, query, times, \
             extract(epoch FROM clock_timestamp() - last_at)::float8, NOT EXISTS ( \
             SELECT FROM crossfade.verifications AS v WHERE v.migration = w.migration AND v.clean \
             AND v.started_at > w.last_at) \
             FROM crossfade.direct_writers AS w WHERE migration = $1 ORDER BY last_at DESC",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at who wrote around the proxies"))?;
    Ok(rows
        .iter()
        .map(|row| DirectWriter {
            table_name: row.get(0),
            role: row.get(1),
            application: row.get(2),
            client: row.get(3),
            pid: row.get(4),
            query: row.get(5),
            times: row.get(6),
            last_seconds_ago: row.get(7),
            since_verify: row.get(8),
        })
        .collect())
}

/// What was seen in an earlier attempt at the migration is of no interest to the next one.
pub(in crate::control) async fn forget(
    client: &Client,
    migration: &Migration,
) -> Result<(), ControlError> {
    client
        .execute(
            "DELETE FROM crossfade.direct_writers WHERE migration = $1",
            &[&migration.name],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of who wrote around the proxies"))
}

async fn since_verify(client: &Client, migration: &str) -> Result<Vec<String>, ControlError> {
    let mut seen = read(client, migration).await?;
    seen.retain(|writer| writer.since_verify);
    let count = seen.len();
    let mut lines: Vec<String> = seen
        .iter()
        .take(SHOWN_MAX)
        .map(ToString::to_string)
        .collect();
    if count > SHOWN_MAX {
        lines.push(format!("and {} more", count - SHOWN_MAX));
    }
    Ok(lines)
}

/// Whether a proxy looks, and can tell its own sessions.
async fn is_looked(client: &Client, migration: &str) -> Result<bool, ControlError> {
    let row = client
        .query_one(
            "SELECT count(*) > 0 AND bool_and(looked_at IS NOT NULL) FROM crossfade.instances \
             WHERE migration = $1 AND seen_at > clock_timestamp() - make_interval(secs => $2)",
            &[&migration, &GONE_AFTER_SECONDS],
        )
        .await
        .map_err(ControlError::sql("look at who wrote around the proxies"))?;
    Ok(row.get::<_, Option<bool>>(0).unwrap_or(false))
}

/// What `status` says while both sides are written.
pub async fn lines(
    client: &Client,
    migration: &str,
    phase: Phase,
    writers: &[DirectWriter],
) -> Result<Vec<String>, ControlError> {
    let mut lines: Vec<String> = writers.iter().map(ToString::to_string).collect();
    if lines.is_empty() && is_watched(phase) {
        lines.push(
            if is_looked(client, migration).await? {
                "nobody was seen to write around the proxies, which look once a second"
            } else {
                "no proxy can tell who writes around it"
            }
            .to_owned(),
        );
    }
    Ok(lines)
}

/// Before a step at which a row that only one side has would not yet be missed.
pub(in crate::control) async fn warnings(
    client: &Client,
    migration: &Migration,
    (from, to): (Phase, Phase),
) -> Result<Vec<String>, ControlError> {
    match (from, to) {
        (Phase::DualWrite, Phase::ShadowRead) | (Phase::ShadowRead, Phase::DualRead) => {
            let seen = since_verify(client, &migration.name).await?;
            Ok(seen.iter().map(|line| format!("warning: {line}")).collect())
        }
        // The gate says it, or nobody was watched.
        _any_other_step => Ok(Vec::new()),
    }
}

/// Nobody was seen to write around the proxies since both sides were found to be the same.
pub(in crate::control) async fn unseen(
    client: &Client,
    migration: &Migration,
) -> Result<Gate, ControlError> {
    let seen = since_verify(client, &migration.name).await?;
    Ok(Gate {
        name: "around the proxies",
        met: seen.is_empty(),
        found: if !seen.is_empty() {
            seen.join("; ")
        } else if is_looked(client, &migration.name).await? {
            "nobody was seen to write there since the last clean verify".to_owned()
        } else {
            "no proxy can tell who writes around it".to_owned()
        },
        settle: format!(
            "send them through a proxy, then `crossfade verify {0}`, with --repair if that is not clean",
            migration.name
        ),
    })
}
