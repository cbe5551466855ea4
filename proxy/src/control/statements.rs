//! `crossfade.statements`: which statements the proxies saw, for `coverage` to judge.

use tokio_postgres::Client;

use super::error::ControlError;

/// Rows of the table: several proxies with different applications may write to it.
const STATEMENTS_MAX: i64 = 20_000;

/// A statement and what is known of it.
#[derive(Clone, Debug)]
pub struct SeenStatement {
    pub statement: String,
    pub calls: i64,
    /// Seconds since it came last; `None` where nobody noted the time.
    pub last_seen_seconds: Option<f64>,
}

/// All of them at once or none, so that who reads the table never sees half of what was counted.
pub async fn note(
    client: &Client,
    statements: &[String],
    calls: &[i64],
) -> Result<(), ControlError> {
    client
        .execute(
            "INSERT INTO crossfade.statements AS s (hash, statement, calls) \
             SELECT md5(t.statement), t.statement, sum(t.calls)::bigint \
             FROM unnest($1::text[], $2::bigint[]) AS t (statement, calls) \
             WHERE (SELECT count(*) FROM crossfade.statements) < $3 \
             OR EXISTS (SELECT FROM crossfade.statements WHERE hash = md5(t.statement)) \
             GROUP BY t.statement ORDER BY 1 \
             ON CONFLICT (hash) DO UPDATE SET calls = s.calls + excluded.calls, last_seen = clock_timestamp()",
            &[&statements, &calls, &STATEMENTS_MAX],
        )
        .await
        .map_err(ControlError::sql("note of the statements"))?;
    Ok(())
}

/// Everything noted, most called first.
pub async fn read(client: &Client) -> Result<Vec<SeenStatement>, ControlError> {
    let rows = client
        .query(
            "SELECT statement, calls, extract(epoch FROM clock_timestamp() - last_seen)::float8 \
             FROM crossfade.statements ORDER BY calls DESC, statement",
            &[],
        )
        .await
        .map_err(ControlError::sql("read of the statements"))?;
    Ok(rows
        .iter()
        .map(|row| SeenStatement {
            statement: row.get(0),
            calls: row.get(1),
            last_seen_seconds: Some(row.get(2)),
        })
        .collect())
}

/// What the server's own statistics hold, for an application that has not met a proxy yet.
pub async fn from_pg_stat_statements(client: &Client) -> Result<Vec<SeenStatement>, ControlError> {
    let rows = client
        .query(
            "SELECT query, sum(calls)::bigint FROM pg_stat_statements s \
             JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database() \
             GROUP BY query ORDER BY 2 DESC",
            &[],
        )
        .await
        .map_err(ControlError::sql(
            "read of pg_stat_statements (is the extension installed?)",
        ))?;
    Ok(rows
        .iter()
        .map(|row| SeenStatement {
            statement: row.get(0),
            calls: row.get(1),
            last_seen_seconds: None,
        })
        .collect())
}
