//! One step, one backfill of a migration at a time: a row in `crossfade.work`, which counts for as long
//! as the session lives that put it there, however that ends.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::connection::BEGIN_SHORT;
use super::error::ControlError;

/// The server notices the end of a killed program's session a moment later than its operator.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Whoever looks whether the other session lives must look after it has put itself down: its look is
/// made under a lock that the other one held as well.
const LOCK: &str =
    "SET LOCAL lock_timeout = '5s'; LOCK TABLE crossfade.work IN SHARE ROW EXCLUSIVE MODE";

/// The session's own row, in the place of one whose session is gone. Of a session whose beginning this
/// role may not see it is not said that it is gone.
const TAKE: &str = "\
INSERT INTO crossfade.work AS w (work, migration, pid, began) \
SELECT $1, $2, a.pid, a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid() \
ON CONFLICT (work, migration) DO UPDATE SET pid = excluded.pid, began = excluded.began, \
    since = clock_timestamp() \
WHERE (w.pid, w.began) = (excluded.pid, excluded.began) OR NOT EXISTS (SELECT FROM pg_stat_activity AS a \
    WHERE a.pid = w.pid AND coalesce(a.backend_start, w.began) = w.began)";

/// Who is at it.
const HOLDER: &str = "\
SELECT format('pid %s (user %s, application %s) since %s', w.pid, coalesce(a.usename::text, 'unknown'), \
    coalesce(nullif(a.application_name, ''), 'unnamed'), to_char(w.since, 'YYYY-MM-DD HH24:MI:SS TZ')) \
FROM crossfade.work AS w LEFT JOIN pg_stat_activity AS a ON a.pid = w.pid \
WHERE w.work = $1 AND w.migration = $2";

/// Takes the turn for `work` on a migration until the connection ends, or says who is at it. The
/// schema must be prepared, and the connection in no transaction.
pub async fn alone(client: &Client, work: &str, migration: &str) -> Result<(), ControlError> {
    let started = Instant::now();
    loop {
        if take(client, work, migration).await? {
            return Ok(());
        }
        if started.elapsed() >= PATIENCE {
            let holder = client
                .query_opt(HOLDER, &[&work, &migration])
                .await
                .map_err(ControlError::sql("look at who is at work"))?;
            let holder: String =
                holder.map_or_else(|| "nobody any more".to_owned(), |row| row.get(0));
            return Err(ControlError::Refused(format!(
                "another {work} of {migration} is under way: {holder}"
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Who is at it now, if anybody is.
pub async fn holder(
    client: &Client,
    work: &str,
    migration: &str,
) -> Result<Option<String>, ControlError> {
    let lives =
        format!("{HOLDER} AND a.pid IS NOT NULL AND coalesce(a.backend_start, w.began) = w.began");
    let row = client.query_opt(&lives, &[&work, &migration]).await;
    let row = row.map_err(ControlError::sql("look at who is at work"))?;
    Ok(row.map(|row| row.get(0)))
}

async fn take(client: &Client, work: &str, migration: &str) -> Result<bool, ControlError> {
    let sql = || ControlError::sql("turn of the work");
    client
        .batch_execute(&format!("{BEGIN_SHORT}; {LOCK}"))
        .await
        .map_err(sql())?;
    let taken = client.execute(TAKE, &[&work, &migration]).await;
    let end = if taken.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await.map_err(sql())?;
    Ok(taken.map_err(sql())? > 0)
}
