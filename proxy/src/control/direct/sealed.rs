//! Who wrote around the proxies, as the seals of the tables tell it: for `status`, for metrics and for the gates.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Client;

use super::super::error::ControlError;
use super::super::shown;

/// Writers that are remembered, those first whose writes no comparison has seen: names of applications may hold anything.
const REMEMBERED_MAX: i64 = 10_000;
const DOING: &str = "look at who wrote around the proxies";

/// Whether the last comparison that found both sides alike has not seen what a row (`w`) of `crossfade.writers_around`
/// tells of. One of an older version knows no snapshot, and goes by the time.
const SINCE_VERIFY: &str = "NOT EXISTS (SELECT FROM (SELECT v.snapshot, v.started_at FROM crossfade.verifications AS v \
     WHERE v.migration = w.migration AND v.clean ORDER BY v.id DESC LIMIT 1) AS v \
     WHERE coalesce(pg_visible_in_snapshot(w.by_xid, v.snapshot), v.started_at > w.last_at))";

/// Somebody who wrote a table of a migration without an epoch.
#[derive(Clone, Debug, Serialize)]
pub struct WriterAround {
    pub table_name: String,
    /// INSERT, UPDATE, DELETE, TRUNCATE or COPY.
    pub kind: String,
    pub role: String,
    pub application: String,
    pub client: String,
    /// The server's process of its latest session.
    pub pid: i32,
    /// By a trigger, or by an action of a foreign key: the statement may have come through a proxy, which cannot see it.
    pub within: bool,
    pub last_seconds_ago: f64,
    /// No comparison that found both sides alike has seen what was written.
    pub since_verify: bool,
}

impl std::fmt::Display for WriterAround {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let WriterAround {
            kind,
            role,
            client,
            pid,
            last_seconds_ago,
            ..
        } = self;
        let application = match self.application.as_str() {
            "" => "unnamed",
            named => named,
        };
        let table = shown(&self.table_name);
        let how = match self.within {
            true => "had a trigger or a foreign key write",
            false => "wrote",
        };
        let around = match self.within {
            true => "where no proxy sees it",
            false => "around the proxies",
        };
        write!(
            f,
            "user {role}, application {application}, from {client} {how} {table} {around} ({kind}), last \
             {last_seconds_ago:.0} s ago as pid {pid}"
        )
    }
}

/// All of them, the latest first.
///
/// # Errors
/// The database does not answer.
pub async fn written(client: &Client, migration: &str) -> Result<Vec<WriterAround>, ControlError> {
    let rows = client
        .query(
            &format!(
                "SELECT table_name, kind, role, application, client, (array_agg(pid ORDER BY last_at DESC))[1], within, \
                 extract(epoch FROM clock_timestamp() - max(last_at))::float8, bool_or({SINCE_VERIFY}) \
                 FROM crossfade.writers_around AS w WHERE migration = $1 \
                 GROUP BY table_name, kind, role, application, client, within ORDER BY max(last_at) DESC"
            ),
            &[&migration],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(rows
        .iter()
        .map(|row| WriterAround {
            table_name: row.get(0),
            kind: row.get(1),
            role: row.get(2),
            application: row.get(3),
            client: row.get(4),
            pid: row.get(5),
            within: row.get(6),
            last_seconds_ago: row.get(7),
            since_verify: row.get(8),
        })
        .collect())
}

/// How many, of each migration, no comparison has seen since.
///
/// # Errors
/// The database does not answer.
pub async fn count_since_verify(client: &Client) -> Result<BTreeMap<String, u64>, ControlError> {
    let rows = client
        .query(
            &format!(
                "SELECT migration, count(DISTINCT (table_name, kind, role, application, client)) \
                 FROM crossfade.writers_around AS w WHERE NOT within AND {SINCE_VERIFY} GROUP BY migration"
            ),
            &[],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap_or(0)))
        .collect())
}

/// Of rows that tell of the same writer one is enough: the latest, and one that no comparison has seen.
pub(super) async fn tidy(client: &Client) -> Result<(), ControlError> {
    client
        .execute(
            &format!(
                "WITH told AS (SELECT w.ctid AS place, row_number() OVER same AS nth, \
                     row_number() OVER (ORDER BY {SINCE_VERIFY} DESC, w.by_xid DESC) AS of_all \
                     FROM crossfade.writers_around AS w \
                     WINDOW same AS (PARTITION BY w.migration, w.table_name, w.kind, w.role, w.application, w.client, \
                         w.within, {SINCE_VERIFY} ORDER BY w.by_xid DESC)) \
                 DELETE FROM crossfade.writers_around AS w WHERE w.ctid IN (SELECT d.ctid FROM crossfade.writers_around AS d \
                     WHERE d.ctid IN (SELECT t.place FROM told AS t WHERE t.nth > 1 OR t.of_all > $1) \
                     FOR UPDATE SKIP LOCKED)"
            ),
            &[&REMEMBERED_MAX],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of who wrote around the proxies"))
}
