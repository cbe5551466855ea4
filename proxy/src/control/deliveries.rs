//! `crossfade.hook_deliveries`: events that somebody outside is to be told of, and which proxy of a fleet tells of one.
//!
//! An event is taken by its row, which no other proxy takes meanwhile (FOR UPDATE SKIP LOCKED), and leased for as long as
//! an attempt may last: if the proxy dies within it, another tries. So each is told at least once, and twice only where an
//! attempt succeeded and nobody lived to write that down; its id tells the two from two events.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::ControlError;
use super::history::{self, Event};

/// Events that wait to be told, of all proxies together. Where there are more, the others wait in `crossfade.events`.
const WAITING_MAX: i64 = 1_000;

/// An event is entered while it is younger than this, and forgotten long after that.
const ENTERED_WITHIN: &str = "1 day";
const KEPT: &str = "7 days";

/// A step is told when its drain was seen; one of which nobody saw it, after this.
const DRAIN_AWAITED: &str = "10 minutes";

/// Between two attempts: twice as long each time, from a second to ten minutes. That is some two hours in all.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(600);
pub const ATTEMPTS_MAX: i32 = 20;

const DOING: &str = "deliveries to the hook";

/// From now on there is a hook.
pub async fn begin(client: &Client) -> Result<(), ControlError> {
    client
        .batch_execute("INSERT INTO crossfade.hook DEFAULT VALUES ON CONFLICT DO NOTHING")
        .await
        .map_err(ControlError::sql(DOING))
}

/// Enters events of these kinds that nobody has entered yet, and forgets those of last week. One that nobody who took it
/// has lived to tell of is given up as well, or it would end them all.
pub async fn enter(client: &Client, kinds: &[String]) -> Result<(), ControlError> {
    client
        .execute(
            "WITH forgotten AS (DELETE FROM crossfade.hook_deliveries \
                 WHERE coalesce(told_at, given_up_at) < clock_timestamp() - $3::text::interval), \
             lost AS (UPDATE crossfade.hook_deliveries SET given_up_at = clock_timestamp(), \
                 said = coalesce(said, 'the proxies that took it ended before they could say') \
                 WHERE told_at IS NULL AND given_up_at IS NULL AND attempts >= $6 AND next_at <= clock_timestamp()), \
             room AS (SELECT greatest(0, $5 - count(*)) AS n FROM crossfade.hook_deliveries \
                 WHERE told_at IS NULL AND given_up_at IS NULL) \
             INSERT INTO crossfade.hook_deliveries (event) \
             SELECT e.id FROM crossfade.events AS e, crossfade.hook AS h WHERE e.at >= h.since \
                 AND e.at > clock_timestamp() - $2::text::interval AND e.kind = ANY ($1) \
                 AND (e.to_phase IS NULL OR e.drained_at IS NOT NULL \
                     OR e.at < clock_timestamp() - $4::text::interval) \
                 AND NOT EXISTS (SELECT FROM crossfade.hook_deliveries AS d WHERE d.event = e.id) \
             ORDER BY e.id LIMIT (SELECT n FROM room) ON CONFLICT DO NOTHING",
            &[&kinds, &ENTERED_WITHIN, &KEPT, &DRAIN_AWAITED, &WAITING_MAX, &ATTEMPTS_MAX],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql(DOING))
}

/// An event to be told of now, and the number of this attempt.
#[derive(Debug)]
pub struct Taken {
    pub event: Event,
    pub attempt: i32,
}

/// Takes one for as long as an attempt may last.
pub async fn take(client: &Client, lease: Duration) -> Result<Option<Taken>, ControlError> {
    let sql = || ControlError::sql(DOING);
    let row = client
        .query_opt(
            "UPDATE crossfade.hook_deliveries AS d SET attempts = d.attempts + 1, \
                 next_at = clock_timestamp() + make_interval(secs => $1) \
             WHERE d.event = (SELECT w.event FROM crossfade.hook_deliveries AS w \
                 WHERE w.told_at IS NULL AND w.given_up_at IS NULL AND w.attempts < $2 \
                 AND w.next_at <= clock_timestamp() \
                 ORDER BY w.next_at, w.event LIMIT 1 FOR UPDATE SKIP LOCKED) \
             RETURNING d.event, d.attempts",
            &[&lease.as_secs_f64(), &ATTEMPTS_MAX],
        )
        .await
        .map_err(sql())?;
    let Some(row) = row else {
        return Ok(None);
    };
    let (id, attempt): (i64, i32) = (row.get(0), row.get(1));
    if let Some(event) = history::one(client, id).await? {
        return Ok(Some(Taken { event, attempt }));
    }
    // Somebody has deleted the event.
    client
        .execute(
            "DELETE FROM crossfade.hook_deliveries WHERE event = $1",
            &[&id],
        )
        .await
        .map_err(sql())?;
    Ok(None)
}

/// It was told.
pub async fn told(client: &Client, event: i64) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.hook_deliveries SET told_at = clock_timestamp(), said = NULL WHERE event = $1",
            &[&event],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql(DOING))
}

/// It was not: it is tried again later, or no more. True: no more.
pub async fn failed(
    client: &Client,
    event: i64,
    attempt: i32,
    said: &str,
) -> Result<bool, ControlError> {
    let is_last = attempt >= ATTEMPTS_MAX;
    client
        .execute(
            "UPDATE crossfade.hook_deliveries SET said = $2, \
                 next_at = clock_timestamp() + make_interval(secs => $3), \
                 given_up_at = CASE WHEN $4 THEN clock_timestamp() END WHERE event = $1 AND told_at IS NULL",
            &[&event, &said, &back_off(attempt).as_secs_f64(), &is_last],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(is_last)
}

fn back_off(attempt: i32) -> Duration {
    let doubled = u32::try_from(attempt - 1).map_or(0, |doubled| doubled.min(16));
    (BACK_OFF_MIN * (1 << doubled)).min(BACK_OFF_MAX)
}

/// What was not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// An attempt failed, and others follow.
    pub waiting: i64,
    pub given_up: i64,
    /// Why the last of them failed.
    pub said: Option<String>,
}

/// Nothing in a database whose schema has no hook.
pub async fn undelivered(client: &Client) -> Result<Undelivered, ControlError> {
    let row = client
        .query_one(
            "SELECT count(*) FILTER (WHERE given_up_at IS NULL), count(*) FILTER (WHERE given_up_at IS NOT NULL), \
                 (array_agg(said ORDER BY next_at DESC) FILTER (WHERE said IS NOT NULL))[1] \
             FROM crossfade.hook_deliveries WHERE told_at IS NULL AND said IS NOT NULL",
            &[],
        )
        .await;
    let row = match row {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
            return Ok(Undelivered::default());
        }
        row => row.map_err(ControlError::sql(DOING))?,
    };
    Ok(Undelivered {
        waiting: row.get(0),
        given_up: row.get(1),
        said: row.get(2),
    })
}

/// Those that were given up are tried again.
pub async fn again(client: &Client) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.hook_deliveries SET attempts = 0, given_up_at = NULL, next_at = clock_timestamp() \
             WHERE told_at IS NULL AND given_up_at IS NOT NULL",
            &[],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql(DOING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_further_apart_each_time_up_to_ten_minutes_and_end_after_some_hours() {
        let seconds = |attempt| back_off(attempt).as_secs();
        assert_eq!([1, 2, 3, 10].map(seconds), [1, 2, 4, 512]);
        assert_eq!([11, 20, i32::MAX].map(seconds), [600, 600, 600]);
        let all: u64 = (1..ATTEMPTS_MAX).map(seconds).sum();
        assert!((3_600..4 * 3_600).contains(&all), "{all}");
    }
}
