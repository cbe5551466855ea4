//! `crossfade.statement_results`: what came of the statements that name a managed table, by shape and phase. Constants are
//! in none of it.

use std::collections::BTreeMap;

use rewrite_rules::{TIMES, Tally};
use serde::Serialize;
use tokio_postgres::Client;

use super::error::ControlError;

/// Several phases of as many shapes as `crossfade.statements` holds; further ones share one row for each phase.
const RESULTS_MAX: i64 = 40_000;

/// What tells rows apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResultKey {
    /// `None`: of all those whose shape found no room.
    pub statement: Option<String>,
    pub migration: String,
    pub phase: String,
    pub canary: bool,
}

/// Adds what was counted, all of it or nothing.
pub async fn note(
    client: &Client,
    results: &BTreeMap<ResultKey, Tally>,
) -> Result<(), ControlError> {
    let column = |of: fn(&Tally) -> u64| -> Vec<i64> {
        let all = results.values().map(of);
        all.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
            .collect()
    };
    let (mut statements, mut migrations) = (Vec::new(), Vec::new());
    let (mut phases, mut canaries) = (Vec::new(), Vec::new());
    let (mut times, mut whys) = (Vec::new(), Vec::new());
    for (key, tally) in results {
        statements.push(key.statement.as_deref());
        migrations.push(key.migration.as_str());
        phases.push(key.phase.as_str());
        canaries.push(key.canary);
        let counts: Vec<String> = tally.times.iter().map(u64::to_string).collect();
        times.push(format!("{{{}}}", counts.join(",")));
        whys.push(tally.why.as_deref());
    }
    client
        .execute(
            "WITH came AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], \
                 $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[]) \
                 AS t (statement, migration, phase, canary, calls, rows, failed, refused, fallbacks, micros, times, why)), \
             known AS (SELECT count(*) AS n FROM crossfade.statement_results), \
             placed AS (SELECT CASE WHEN c.statement IS NULL OR k.n >= $13 AND NOT EXISTS (SELECT \
                     FROM crossfade.statement_results AS r WHERE r.hash = md5(c.statement)) THEN '' \
                     ELSE md5(c.statement) END AS hash, c.* FROM came AS c, known AS k), \
             summed AS (SELECT p.hash, p.migration, p.phase, p.canary, \
                 CASE WHEN p.hash = '' THEN '' ELSE min(p.statement) END AS statement, \
                 sum(p.calls)::bigint AS calls, sum(p.rows)::bigint AS rows, sum(p.failed)::bigint AS failed, \
                 sum(p.refused)::bigint AS refused, min(p.why) AS why, sum(p.fallbacks)::bigint AS fallbacks, \
                 sum(p.micros)::bigint AS micros, \
                 (SELECT array_agg(s.n ORDER BY s.at) FROM (SELECT u.at, sum(u.n)::bigint AS n \
                     FROM placed AS q, unnest(q.times::bigint[]) WITH ORDINALITY AS u (n, at) \
                     WHERE (q.hash, q.migration, q.phase, q.canary) = (p.hash, p.migration, p.phase, p.canary) \
                     GROUP BY u.at) AS s) AS times \
                 FROM placed AS p GROUP BY p.hash, p.migration, p.phase, p.canary) \
             INSERT INTO crossfade.statement_results AS r (hash, migration, phase, canary, statement, calls, rows, \
                 failed, refused, why, fallbacks, micros, times) \
             SELECT hash, migration, phase, canary, statement, calls, rows, failed, refused, why, fallbacks, micros, \
                 times FROM summed ORDER BY 1, 2, 3, 4 \
             ON CONFLICT ON CONSTRAINT statement_results_pkey DO UPDATE SET calls = r.calls + excluded.calls, \
                 rows = r.rows + excluded.rows, failed = r.failed + excluded.failed, \
                 refused = r.refused + excluded.refused, why = coalesce(excluded.why, r.why), \
                 fallbacks = r.fallbacks + excluded.fallbacks, micros = r.micros + excluded.micros, \
                 times = (SELECT array_agg(coalesce(u.a, 0) + coalesce(u.b, 0) ORDER BY u.at) \
                     FROM unnest(r.times, excluded.times) WITH ORDINALITY AS u (a, b, at)), \
                 last_seen = clock_timestamp()",
            &[
                &statements,
                &migrations,
                &phases,
                &canaries,
                &column(|tally| tally.runs),
                &column(|tally| tally.rows),
                &column(|tally| tally.failed),
                &column(|tally| tally.refused),
                &column(|tally| tally.fallbacks),
                &column(|tally| tally.micros),
                &times,
                &whys,
                &RESULTS_MAX,
            ],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of what came of statements"))
}

/// What came of the statements of one shape in one phase.
#[derive(Clone, Debug, Serialize)]
pub struct StatementResult {
    /// `None`: of all those whose shape found no room.
    pub statement: Option<String>,
    pub migration: String,
    pub phase: String,
    /// They were sent by canaries, and read as in the phase told here.
    pub canary: bool,
    /// How often they ran to their end.
    pub calls: i64,
    pub rows: i64,
    pub failed: i64,
    pub refused: i64,
    pub why: Option<String>,
    pub fallbacks: i64,
    /// Of those that were timed; `None`: none was.
    pub mean_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub last_seen_seconds: f64,
    /// Phases to come in which it would be planned worse, as the last comparison of plans found it: `scan in dual_read`.
    pub plans: Option<String>,
}

/// Those of a migration, or all; the most called first, `limit` at most.
pub async fn read(
    client: &Client,
    migration: Option<&str>,
    limit: i64,
) -> Result<Vec<StatementResult>, ControlError> {
    let rows = client
        .query(
            "SELECT hash <> '', statement, migration, phase, canary, calls, rows, failed, refused, why, fallbacks, micros, \
             times, extract(epoch FROM clock_timestamp() - last_seen)::float8, \
             (SELECT string_agg(p.verdict || ' in ' || p.phase, ', ' ORDER BY p.phase) FROM crossfade.plans AS p \
                 WHERE p.hash = r.hash AND p.migration = r.migration AND p.verdict IN ('scan', 'dearer')) \
             FROM crossfade.statement_results AS r WHERE $1::text IS NULL OR migration = $1 \
             ORDER BY calls DESC, statement, migration, phase, canary LIMIT $2",
            &[&migration, &limit],
        )
        .await
        .map_err(ControlError::sql("look at what came of statements"))?;
    let result = |row: &tokio_postgres::Row| {
        let (is_one, micros, times): (bool, i64, Vec<i64>) = (row.get(0), row.get(11), row.get(12));
        let timed: i64 = times.iter().sum();
        StatementResult {
            statement: Some(row.get(1)).filter(|_| is_one),
            migration: row.get(2),
            phase: row.get(3),
            canary: row.get(4),
            calls: row.get(5),
            rows: row.get(6),
            failed: row.get(7),
            refused: row.get(8),
            why: row.get(9),
            fallbacks: row.get(10),
            mean_ms: (timed > 0).then(|| micros as f64 / timed as f64 / 1000.0),
            p99_ms: p99_ms(&times),
            last_seen_seconds: row.get(13),
            plans: row.get(14),
        }
    };
    Ok(rows.iter().map(result).collect())
}

/// The upper bound of the place in which the 99th percentile lies.
fn p99_ms(times: &[i64]) -> Option<f64> {
    let mut above = times.iter().sum::<i64>() / 100;
    for (at, count) in times.iter().enumerate().take(TIMES).rev() {
        if *count > above {
            return Some(2_f64.powi(at as i32 + 1) / 1000.0);
        }
        above -= count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::p99_ms;

    #[test]
    fn the_99th_percentile_is_the_bound_of_its_place() {
        let mut times = vec![0; 26];
        assert_eq!(p99_ms(&times), None);
        times[9] = 990;
        times[19] = 10;
        assert_eq!(p99_ms(&times), Some(1.024));
        times[19] = 11;
        assert_eq!(p99_ms(&times), Some(1048.576));
    }
}
