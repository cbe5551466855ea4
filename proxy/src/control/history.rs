//! `crossfade.events` as it is read: by `crossfade events`. What writes to it is in `events`.

use std::fmt;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::ControlError;

/// Of one look: a history of years must not be in memory at once.
pub const PAGE_ROWS: usize = 1000;

const DOING: &str = "look at the events";

/// What somebody did, and what was found before it.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub id: i64,
    pub at: String,
    /// The same, and `drained_at`, for whoever does not print them.
    #[serde(skip)]
    pub time: SystemTime,
    #[serde(skip)]
    pub drained_time: Option<SystemTime>,
    pub migration: String,
    pub kind: String,
    pub from: Option<String>,
    pub to: Option<String>,
    pub forced: bool,
    pub reason: Option<String>,
    /// The role in the database, the system's user and the machine.
    pub db_user: String,
    pub os_user: String,
    pub host: String,
    /// Since when every proxy had drained, for a step; `None`: nobody saw it.
    pub drained_at: Option<String>,
    /// The gates' answers, for a step.
    pub gates: Option<Value>,
    /// What came of work that is no step.
    pub details: Option<Value>,
}

/// Which events are looked for, and after which.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub migration: Option<&'a str>,
    /// A time of [`time`].
    pub since: Option<&'a str>,
    pub after: i64,
}

/// The oldest of those wanted, the oldest first, [`PAGE_ROWS`] at most.
pub async fn read(client: &Client, wanted: Wanted<'_>) -> Result<Vec<Event>, ControlError> {
    let limit = i64::try_from(PAGE_ROWS).unwrap_or(i64::MAX);
    let rows = client
        .query(
            &format!(
                "SELECT {COLUMNS} FROM crossfade.events WHERE id > $1 AND ($2::text IS NULL OR migration = $2) \
                 AND ($3::text IS NULL OR at >= $3::text::timestamptz) ORDER BY id LIMIT $4"
            ),
            &[&wanted.after, &wanted.migration, &wanted.since, &limit],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(rows.iter().map(event).collect())
}

/// The newest, the newest first, `limit` at most; `before`: of those with a lower id.
pub async fn last(
    client: &Client,
    migration: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Event>, ControlError> {
    let rows = client
        .query(
            &format!(
                "SELECT {COLUMNS} FROM crossfade.events WHERE ($1::text IS NULL OR migration = $1) \
                 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
            ),
            &[&migration, &before, &limit],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(rows.iter().map(event).collect())
}

/// One of them, if it is there.
pub async fn one(client: &Client, id: i64) -> Result<Option<Event>, ControlError> {
    let row = client
        .query_opt(
            &format!("SELECT {COLUMNS} FROM crossfade.events WHERE id = $1"),
            &[&id],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(row.as_ref().map(event))
}

/// The columns of an [`Event`], in its order.
const COLUMNS: &str = "id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), migration, kind, \
    from_phase, to_phase, forced, reason, db_user, os_user, host, \
    to_char(drained_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), gates, details, at, drained_at";

fn event(row: &tokio_postgres::Row) -> Event {
    Event {
        id: row.get(0),
        at: row.get(1),
        time: row.get(14),
        drained_time: row.get(15),
        migration: row.get(2),
        kind: row.get(3),
        from: row.get(4),
        to: row.get(5),
        forced: row.get(6),
        reason: row.get(7),
        db_user: row.get(8),
        os_user: row.get(9),
        host: row.get(10),
        drained_at: row.get(11),
        gates: row.get(12),
        details: row.get(13),
    }
}

/// The time that an operator's word means: that time, or so long ago. The server reads it, as it does everywhere else; a
/// time first, because some dates pass for intervals.
pub async fn time(client: &Client, text: &str) -> Result<String, ControlError> {
    let at = "SELECT $1::text::timestamptz::text";
    let row = match client.query_one(at, &[&text]).await {
        Err(error) if is_unreadable(&error) => {
            let ago = "SELECT (clock_timestamp() - $1::text::interval)::text";
            client.query_one(ago, &[&text]).await
        }
        read => read,
    };
    Ok(row.map_err(ControlError::sql("reading of --since"))?.get(0))
}

fn is_unreadable(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::INVALID_DATETIME_FORMAT | &SqlState::DATETIME_FIELD_OVERFLOW)
    )
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event {
            at,
            migration,
            kind,
            ..
        } = self;
        // What is done to a proxy is done to no migration.
        let of = if migration.is_empty() { "-" } else { migration };
        write!(f, "{at}  {of}  {kind}")?;
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            write!(f, "  {from} -> {to}")?;
            if self.forced {
                write!(f, "  FORCED")?;
            }
            if self.drained_at.is_none() {
                write!(f, "  NOT seen to be drained")?;
            }
        }
        write!(
            f,
            "\n    by {}@{} as {}",
            self.os_user, self.host, self.db_user
        )?;
        if let Some(reason) = &self.reason {
            write!(f, "\n    because: {reason}")?;
        }
        for gate in self.gates.iter().filter_map(Value::as_array).flatten() {
            let word = |name: &str| gate[name].as_str().unwrap_or_default().to_owned();
            let mark = match gate["met"].as_bool() {
                Some(true) => "met",
                Some(false) | None => "NOT met",
            };
            write!(f, "\n    {:<22} {mark}: {}", word("name"), word("found"))?;
        }
        if let Some(details) = &self.details {
            write!(f, "\n    {details}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_forced_step_says_who_why_and_which_gate_was_not_met() {
        let event = Event {
            id: 7,
            at: "2026-11-30T12:00:00.000Z".to_owned(),
            time: SystemTime::UNIX_EPOCH,
            drained_time: None,
            migration: "iso_agents".to_owned(),
            kind: "advance".to_owned(),
            from: Some("dual_write".to_owned()),
            to: Some("shadow_read".to_owned()),
            forced: true,
            reason: Some("agreed at the review".to_owned()),
            db_user: "operator".to_owned(),
            os_user: "ann".to_owned(),
            host: "gate1".to_owned(),
            drained_at: None,
            gates: Some(json!([
                { "name": "backfill", "met": true, "found": "complete", "settle": "" },
                { "name": "verify", "met": false, "found": "never ran", "settle": "run it" },
            ])),
            details: None,
        };
        let said = "2026-11-30T12:00:00.000Z  iso_agents  advance  dual_write -> shadow_read  FORCED  \
             NOT seen to be drained\n    by ann@gate1 as operator\n    because: agreed at the review\n    \
             backfill               met: complete\n    verify                 NOT met: never ran";
        assert_eq!(event.to_string(), said);
    }
}
