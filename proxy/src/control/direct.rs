//! Who writes the tables around the proxies while these keep both sides in step: such a write
//! reaches one side only, and nothing fails.
//!
//! The server's counters of written rows cannot tell it: they also count what failed or was rolled
//! back, what cascades and triggers did, and the other half of each dual write. So once a second
//! each proxy looks who holds a write lock on the tables. It puts down whom it does not serve; the
//! proxy that does takes that one out again; who is left when every proxy has looked wrote around
//! them. What is told is certain. What is not seen is a transaction that came and went between two
//! looks, and what a function or trigger of the database writes for a proxy's own session. Where the
//! tables are sealed ([`super::seal`]) the server itself tells, and of everybody.

mod sealed;
mod seen;

use rewrite_rules::{Migration, Phase};
use tokio_postgres::Client;

use super::error::ControlError;
use super::report::REGISTERED_WITHIN;
use super::said::{TEXT, said};
use crate::generation::ENDED_FOR;
pub use sealed::{WriterAround, count_since_verify, written};
pub use seen::{DirectWriter, lines, read};
pub(crate) use seen::{forget, unseen, warnings};

/// Processes put down in one look: enough to be heard of, and no flood.
const ASKED_MAX: i64 = 100;
/// Writers that are remembered, the latest: names of applications may hold anything.
const WRITERS_MAX: i64 = 1_000;

/// What a proxy looks after: the server's processes of its sessions, and the tables.
#[derive(Clone, Debug, Default)]
pub struct LookedAfter {
    /// Sessions that are there.
    pub served: Vec<i32>,
    /// Sessions that ended a moment ago; somebody may have seen them before.
    pub ended: Vec<i32>,
    /// A migration's name, and a table of it as SQL.
    pub tables: Vec<(String, String)>,
    /// The migrations that it serves, in whatever phase: whose tables it will look after in time.
    pub migrations: Vec<String>,
}

/// The tables of a migration that a writer must not write around the proxies. Of one whose columns
/// move in place a trigger sets both, whoever writes.
pub fn watched(migration: &Migration) -> Vec<(String, String)> {
    let of = |lens: &rewrite_rules::Lens| -> Vec<(String, String)> {
        let tables = std::iter::once(&lens.legacy).chain(lens.unified_tables());
        tables
            .map(|table| (migration.name.clone(), table.sql()))
            .collect()
    };
    if is_watched(migration.phase) {
        migration.left_behind().flat_map(of).collect()
    } else {
        Vec::new()
    }
}

/// Whether the proxies write both sides.
fn is_watched(phase: Phase) -> bool {
    match phase {
        Phase::DualWrite | Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead => true,
        // One side is written, by whomever; the other is looked after by its counters.
        Phase::LegacyOnly | Phase::UnifiedOnly | Phase::Retired => false,
    }
}

/// One look of one proxy.
pub async fn look(
    client: &Client,
    instance: &str,
    watch: &LookedAfter,
) -> Result<(), ControlError> {
    claim(client, instance, watch).await?;
    seen::watched(client, instance, &watch.migrations).await?;
    sealed::tidy(client).await?;
    if watch.tables.is_empty() {
        return Ok(());
    }
    ask(client, watch).await?;
    decide(client).await
}

/// Takes out who is served here. Behind another pooler the server's processes are not the ones that
/// the proxy was told of; then it says that it cannot tell.
pub async fn claim(
    client: &Client,
    instance: &str,
    watch: &LookedAfter,
) -> Result<(), ControlError> {
    let own: Vec<i32> = watch.served.iter().chain(&watch.ended).copied().collect();
    client
        .execute(
            "WITH own AS (DELETE FROM crossfade.writers_asked WHERE pid = ANY ($2)) \
             UPDATE crossfade.instances SET looked_at = CASE WHEN can.tell THEN statement_timestamp() END, \
             looked = CASE WHEN can.tell THEN pg_current_snapshot() END, \
             looked_before = CASE WHEN can.tell THEN looked END \
             FROM (SELECT cardinality($3::integer[]) = 0 OR EXISTS (SELECT FROM pg_stat_activity AS a \
             WHERE a.pid = ANY ($3)) AS tell) AS can WHERE instance = $1::text::uuid",
            &[&instance, &own, &watch.served],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("look for writers around the proxies"))
}

/// Puts down who holds a write lock and is not served here, Crossfade's own sessions excepted: they have
/// put themselves down, in a table that nobody else may write.
async fn ask(client: &Client, watch: &LookedAfter) -> Result<(), ControlError> {
    let (migrations, tables): (Vec<&str>, Vec<&str>) = watch
        .tables
        .iter()
        .map(|(migration, table)| (migration.as_str(), table.as_str()))
        .unzip();
    let own: Vec<i32> = watch.served.iter().chain(&watch.ended).copied().collect();
    let found = client
        .query(
            &format!(
                "SELECT DISTINCT t.migration, t.name, l.pid, coalesce(a.usename::text, 'unknown'), \
                 coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'this machine'), {TEXT} \
                 FROM unnest($1::text[], $2::text[]) AS t (migration, name) \
                 JOIN pg_locks AS l ON l.relation = to_regclass(t.name) OR l.relation IN \
                 (SELECT p.relid FROM pg_partition_tree(to_regclass(t.name)) AS p) \
                 JOIN pg_stat_activity AS a ON a.pid = l.pid \
                 WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted \
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                 AND l.pid <> ALL ($3) AND NOT EXISTS (SELECT FROM crossfade.sessions AS s WHERE s.pid = a.pid \
                 AND s.began = coalesce(a.backend_start, s.began)) \
                 AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'parallel worker') LIMIT $4"
            ),
            &[&migrations, &tables, &own, &ASKED_MAX],
        )
        .await
        .map_err(ControlError::sql("look for writers around the proxies"))?;
    if found.is_empty() {
        return Ok(());
    }
    let texts = |column: usize| -> Vec<&str> { found.iter().map(|row| row.get(column)).collect() };
    let pids: Vec<i32> = found.iter().map(|row| row.get(2)).collect();
    // What is kept of a text has no constants.
    let said: Vec<String> = found.iter().map(|row| said(row.get(6))).collect();
    client
        .execute(
            "INSERT INTO crossfade.writers_asked \
             (migration, table_name, pid, role, application, client, query) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::text[]) \
             ON CONFLICT DO NOTHING",
            &[&texts(0), &texts(1), &pids, &texts(3), &texts(4), &texts(5), &said],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("put down writers around the proxies"))
}

/// Who was put down, and is still there when every proxy of that time could see it and named its
/// sessions once more, wrote around them. Nobody's answer is waited for longer than proxies remember
/// whom they served: one that was killed may have served that process.
async fn decide(client: &Client) -> Result<(), ControlError> {
    client
        .execute(
            "WITH due AS (SELECT a.migration, a.table_name, a.pid FROM crossfade.writers_asked AS a \
                 WHERE a.at < statement_timestamp() - make_interval(secs => $2) \
                 OR a.at < statement_timestamp() - make_interval(secs => $1) AND NOT EXISTS ( \
                     SELECT FROM crossfade.instances AS i WHERE i.migration = a.migration \
                     AND i.seen_at > a.at - make_interval(secs => $2) \
                     AND pg_visible_in_snapshot(a.asked_by, i.looked_before) IS NOT TRUE) \
                 FOR UPDATE OF a SKIP LOCKED), \
             decided AS (DELETE FROM crossfade.writers_asked AS w USING due AS d \
                 WHERE (w.migration, w.table_name, w.pid) = (d.migration, d.table_name, d.pid) \
                 RETURNING w.*), \
             forgotten AS (DELETE FROM crossfade.direct_writers AS f USING ( \
                 SELECT o.* FROM crossfade.direct_writers AS o ORDER BY o.last_at DESC OFFSET $3) AS o \
                 WHERE (f.migration, f.table_name, f.role, f.application, f.client) \
                 = (o.migration, o.table_name, o.role, o.application, o.client)) \
             INSERT INTO crossfade.direct_writers AS w (migration, table_name, role, application, \
                 client, pid, query, times, first_at, last_at) \
             SELECT migration, table_name, role, application, client, \
                 (array_agg(pid ORDER BY at DESC))[1], (array_agg(query ORDER BY at DESC))[1], \
                 count(*), min(at), max(at) FROM decided \
                 WHERE at >= statement_timestamp() - make_interval(secs => $2) \
                 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 \
             ON CONFLICT (migration, table_name, role, application, client) DO UPDATE \
             SET pid = excluded.pid, query = excluded.query, times = w.times + excluded.times, \
                 last_at = greatest(w.last_at, excluded.last_at)",
            &[&REGISTERED_WITHIN.as_secs_f64(), &ENDED_FOR.as_secs_f64(), &WRITERS_MAX],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("look for writers around the proxies"))
}
