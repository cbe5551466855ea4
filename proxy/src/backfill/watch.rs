//! What whoever paces a backfill looks at, several times a second.

use tokio_postgres::{Client, Statement};

use super::state::Wish;
use super::throttle::{ServerLoad, Wanted};
use crate::control::ControlError;

/// What is wanted of a run, and what the server does besides. Of other roles' sessions a role sees
/// only with `pg_monitor` (or `pg_read_all_stats`) whether they are at work.
pub struct Watch<'a> {
    client: &'a Client,
    run: &'a str,
    // Prepared: to parse and plan the statistics views costs more than to read them.
    look: Statement,
}

impl<'a> Watch<'a> {
    pub async fn of(client: &'a Client, run: &'a str) -> Result<Watch<'a>, ControlError> {
        let look = client
            .prepare(
                "SELECT b.wish, b.rows_per_second_max, b.replica_lag_max_seconds, b.yields, \
                 (SELECT count(*) FROM pg_stat_activity AS o WHERE state = 'active' \
                 AND backend_type = 'client backend' AND pid <> pg_backend_pid() \
                 AND NOT EXISTS (SELECT FROM crossfade.sessions AS s WHERE s.pid = o.pid \
                 AND s.began = coalesce(o.backend_start, s.began)))::float8, \
                 (SELECT max(extract(epoch FROM replay_lag)) FROM pg_stat_replication)::float8, \
                 b.p99_max_ms, (SELECT max(i.p99_ms) FROM crossfade.instances AS i \
                 WHERE i.migration = b.migration AND i.seen_at > clock_timestamp() - interval '5 s') \
                 FROM (VALUES (1)) AS one LEFT JOIN crossfade.backfill AS b \
                 ON b.run = $1::text::uuid",
            )
            .await
            .map_err(ControlError::sql("look at what is wanted"))?;
        Ok(Watch { client, run, look })
    }

    pub async fn look(&self) -> Result<(Wanted, ServerLoad), ControlError> {
        let row = self
            .client
            .query_one(&self.look, &[&self.run])
            .await
            .map_err(ControlError::sql("look at what is wanted"))?;
        let settings = Wanted {
            // A run that was started anew is found out by its next chunk.
            wish: row.get::<_, Option<&str>>(0).map_or(Wish::Run, Wish::of),
            rows_per_second_max: row.get(1),
            replica_lag_max_seconds: row.get(2),
            p99_max_ms: row.get(6),
            yields: row.get::<_, Option<bool>>(3).unwrap_or(true),
        };
        let seen = ServerLoad {
            busy: row.get(4),
            replica_lag_seconds: row.get(5),
            p99_ms: row.get(7),
            brake: 1.0,
        };
        Ok((settings, seen))
    }
}
