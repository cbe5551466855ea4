//! `crossfade.plans`: what the last comparison of each migration's plans found, for whoever takes the next step.

use std::collections::BTreeMap;

use rewrite_rules::Phase;
use serde::Serialize;
use tokio_postgres::{Client, Row};

use super::error::ControlError;
use super::shown;

/// Of what is shown of a condition: one that lists hundreds of values says no more.
const CONDITION_CHARS_MAX: usize = 200;

/// What is to be said of a plan beside that on the legacy table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum PlanVerdict {
    /// A table is read whole where the legacy one is not.
    Scan {
        /// The table as SQL.
        scanned: String,
        /// Its size, in the server's pages; 0 where it is not filled yet.
        pages: i64,
        condition: Option<String>,
        /// An index that might serve, as SQL.
        index_ddl: Option<String>,
    },
    /// The planner thinks it costs many times as much.
    Dearer,
    CannotTell {
        reason: String,
    },
    Same,
}

impl PlanVerdict {
    /// In tables, on the console and in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            PlanVerdict::Scan { .. } => "scan",
            PlanVerdict::Dearer => "dearer",
            PlanVerdict::CannotTell { .. } => "cannot_tell",
            PlanVerdict::Same => "same",
        }
    }

    #[must_use]
    pub fn is_regression(&self) -> bool {
        match self {
            PlanVerdict::Scan { .. } | PlanVerdict::Dearer => true,
            PlanVerdict::CannotTell { .. } | PlanVerdict::Same => false,
        }
    }

    /// The worst first.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            PlanVerdict::Scan { .. } => 0,
            PlanVerdict::Dearer => 1,
            PlanVerdict::CannotTell { .. } => 2,
            PlanVerdict::Same => 3,
        }
    }
}

/// A statement of the application, as it would be planned in a phase.
#[derive(Clone, Debug, Serialize)]
pub struct PlanFinding {
    pub migration: String,
    pub phase: String,
    /// Its shape.
    pub statement: String,
    pub calls: i64,
    #[serde(flatten)]
    pub verdict: PlanVerdict,
    /// What the planner thinks that it costs on the legacy table, and in that phase; `None` where there is no such plan.
    pub legacy_cost: Option<f64>,
    pub cost: Option<f64>,
    pub compared_seconds_ago: f64,
}

impl PlanFinding {
    /// How many times as dear it is.
    #[must_use]
    pub fn times(&self) -> Option<f64> {
        Some(self.cost? / self.legacy_cost?.max(f64::MIN_POSITIVE))
    }

    /// What was found, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.verdict {
            PlanVerdict::Scan {
                scanned,
                pages,
                condition,
                index_ddl,
            } => {
                let size = match pages {
                    0 => "which is not filled yet".to_owned(),
                    1 => "1 page now".to_owned(),
                    pages => format!("{pages} pages now"),
                };
                let mut words = format!("reads the whole of {} ({size})", shown(scanned));
                if let Some(condition) = condition {
                    let short: String = condition.chars().take(CONDITION_CHARS_MAX).collect();
                    words += &format!(" for {short}");
                }
                if let Some(index) = index_ddl {
                    words += &format!("; an index might serve: {index}");
                }
                words
            }
            PlanVerdict::Dearer => {
                let cost = |cost: Option<f64>| cost.map_or("?".to_owned(), |c| format!("{c:.0}"));
                format!(
                    "dearer ×{:.0}: costs {} where legacy costs {}",
                    self.times().unwrap_or_default(),
                    cost(self.cost),
                    cost(self.legacy_cost)
                )
            }
            PlanVerdict::CannotTell { reason } => format!("cannot be compared: {reason}"),
            PlanVerdict::Same => "no worse".to_owned(),
        }
    }
}

/// The worst first, then the most called.
pub fn sort(findings: &mut [PlanFinding]) {
    findings.sort_by(|a, b| {
        let times = |f: &PlanFinding| f.times().unwrap_or_default();
        let worse = a.verdict.rank().cmp(&b.verdict.rank());
        worse
            .then_with(|| b.calls.cmp(&a.calls))
            .then_with(|| times(b).total_cmp(&times(a)))
            .then_with(|| a.statement.cmp(&b.statement))
    });
}

/// Puts down what a comparison found, in place of what the one before it did.
///
/// # Errors
/// The database does not answer, or was never prepared.
pub async fn replace(
    client: &Client,
    migration: &str,
    findings: &[PlanFinding],
) -> Result<(), ControlError> {
    let texts = |of: fn(&PlanFinding) -> Option<&str>| -> Vec<Option<&str>> {
        findings.iter().map(of).collect()
    };
    let numbers = |of: fn(&PlanFinding) -> Option<f64>| -> Vec<Option<f64>> {
        findings.iter().map(of).collect()
    };
    let counts = |of: fn(&PlanFinding) -> Option<i64>| -> Vec<Option<i64>> {
        findings.iter().map(of).collect()
    };
    client
        .execute(
            // One statement: whoever looks sees the one comparison or the other. Two at a time: the later one stands.
            "WITH given AS (SELECT DISTINCT ON (t.phase, md5(t.statement)) md5(t.statement) AS hash, t.* \
                 FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::float8[], $7::float8[], $8::text[], \
                 $9::bigint[], $10::text[], $11::text[], $12::text[]) AS t (phase, statement, calls, verdict, legacy_cost, \
                 cost, scanned, pages, condition, index_ddl, reason) ORDER BY 1, 2), \
             gone AS (DELETE FROM crossfade.plans AS p WHERE p.migration = $1 AND NOT EXISTS (SELECT FROM given AS g \
                 WHERE (g.phase, g.hash) = (p.phase, p.hash))) \
             INSERT INTO crossfade.plans (migration, phase, hash, statement, calls, verdict, legacy_cost, cost, scanned, pages, \
                 condition, index_ddl, reason) \
             SELECT $1, phase, hash, statement, calls, verdict, legacy_cost, cost, scanned, pages, condition, index_ddl, reason \
             FROM given ORDER BY phase, hash \
             ON CONFLICT ON CONSTRAINT plans_pkey DO UPDATE SET calls = excluded.calls, verdict = excluded.verdict, \
                 legacy_cost = excluded.legacy_cost, cost = excluded.cost, scanned = excluded.scanned, \
                 pages = excluded.pages, condition = excluded.condition, index_ddl = excluded.index_ddl, \
                 reason = excluded.reason, compared_at = excluded.compared_at",
            &[
                &migration,
                &texts(|f| Some(&f.phase)),
                &texts(|f| Some(&f.statement)),
                &counts(|f| Some(f.calls)),
                &texts(|f| Some(f.verdict.name())),
                &numbers(|f| f.legacy_cost),
                &numbers(|f| f.cost),
                &texts(|f| scan(f).map(|(scanned, _)| scanned)),
                &counts(|f| scan(f).map(|(_, pages)| pages)),
                &texts(condition),
                &texts(index_ddl),
                &texts(reason),
            ],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of the plans"))
}

fn scan(finding: &PlanFinding) -> Option<(&str, i64)> {
    match &finding.verdict {
        PlanVerdict::Scan { scanned, pages, .. } => Some((scanned, *pages)),
        PlanVerdict::Dearer | PlanVerdict::CannotTell { .. } | PlanVerdict::Same => None,
    }
}

fn condition(finding: &PlanFinding) -> Option<&str> {
    match &finding.verdict {
        PlanVerdict::Scan { condition, .. } => condition.as_deref(),
        PlanVerdict::Dearer | PlanVerdict::CannotTell { .. } | PlanVerdict::Same => None,
    }
}

fn index_ddl(finding: &PlanFinding) -> Option<&str> {
    match &finding.verdict {
        PlanVerdict::Scan { index_ddl, .. } => index_ddl.as_deref(),
        PlanVerdict::Dearer | PlanVerdict::CannotTell { .. } | PlanVerdict::Same => None,
    }
}

fn reason(finding: &PlanFinding) -> Option<&str> {
    match &finding.verdict {
        PlanVerdict::CannotTell { reason } => Some(reason),
        PlanVerdict::Scan { .. } | PlanVerdict::Dearer | PlanVerdict::Same => None,
    }
}

/// What the last comparison found of one migration, or of all; the worst first, `limit` at most.
///
/// # Errors
/// The database does not answer, or was never prepared.
pub async fn read(
    client: &Client,
    migration: Option<&str>,
    limit: i64,
) -> Result<Vec<PlanFinding>, ControlError> {
    let rows = client
        .query(
            "SELECT migration, phase, statement, calls, verdict, legacy_cost, cost, scanned, pages, condition, index_ddl, \
             reason, extract(epoch FROM clock_timestamp() - compared_at)::float8 FROM crossfade.plans \
             WHERE $1::text IS NULL OR migration = $1 \
             ORDER BY array_position('{scan,dearer,cannot_tell,same}'::text[], verdict), calls DESC, \
                 cost / greatest(legacy_cost, 1e-9) DESC NULLS LAST, statement, migration, phase LIMIT $2",
            &[&migration, &limit],
        )
        .await
        .map_err(ControlError::sql("look at the plans"))?;
    Ok(rows.iter().map(finding).collect())
}

fn finding(row: &Row) -> PlanFinding {
    let verdict = match row.get(4) {
        "scan" => PlanVerdict::Scan {
            scanned: row.get::<_, Option<String>>(7).unwrap_or_default(),
            pages: row.get::<_, Option<i64>>(8).unwrap_or_default(),
            condition: row.get(9),
            index_ddl: row.get(10),
        },
        "dearer" => PlanVerdict::Dearer,
        "same" => PlanVerdict::Same,
        _ => PlanVerdict::CannotTell {
            reason: row.get::<_, Option<String>>(11).unwrap_or_default(),
        },
    };
    PlanFinding {
        migration: row.get(0),
        phase: row.get(1),
        statement: row.get(2),
        calls: row.get(3),
        verdict,
        legacy_cost: row.get(5),
        cost: row.get(6),
        compared_seconds_ago: row.get(12),
    }
}

/// A migration, and a phase of it.
pub type InPhase = (String, Phase);

/// How many statements would be planned worse, of each migration that was compared and each phase to come.
///
/// # Errors
/// The database does not answer.
pub async fn regressions(client: &Client) -> Result<BTreeMap<InPhase, u64>, ControlError> {
    let rows = client
        .query(
            "SELECT migration, phase, count(*) FILTER (WHERE verdict IN ('scan', 'dearer')) \
             FROM crossfade.plans GROUP BY migration, phase",
            &[],
        )
        .await
        .map_err(ControlError::sql("count of the plans"))?;
    let counted = rows.iter().filter_map(|row| {
        let phase: Phase = row.get::<_, &str>(1).parse().ok()?;
        let count = u64::try_from(row.get::<_, i64>(2)).unwrap_or(0);
        Some(((row.get(0), phase), count))
    });
    Ok(counted.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: PlanVerdict, calls: i64, cost: f64) -> PlanFinding {
        PlanFinding {
            migration: "m".to_owned(),
            phase: "dual_read".to_owned(),
            statement: "SELECT".to_owned(),
            calls,
            verdict,
            legacy_cost: Some(8.0),
            cost: Some(cost),
            compared_seconds_ago: 0.0,
        }
    }

    #[test]
    fn the_worst_comes_first_and_each_is_told_in_words() {
        let scan = PlanVerdict::Scan {
            scanned: "\"public\".\"users\"".to_owned(),
            pages: 370,
            condition: Some("(u.email = $1)".to_owned()),
            index_ddl: Some("CREATE INDEX ON public.users (email)".to_owned()),
        };
        let reason = "it names a view".to_owned();
        let mut all = [
            finding(PlanVerdict::Same, 9, 8.0),
            finding(PlanVerdict::CannotTell { reason }, 9, 8.0),
            finding(PlanVerdict::Dearer, 1, 8000.0),
            finding(PlanVerdict::Dearer, 2, 1600.0),
            finding(scan, 1, 640.0),
        ];
        sort(&mut all);
        let words: Vec<String> = all.iter().map(PlanFinding::words).collect();
        assert_eq!(
            words,
            [
                "reads the whole of public.users (370 pages now) for (u.email = $1); an index might serve: \
                 CREATE INDEX ON public.users (email)",
                "dearer ×200: costs 1600 where legacy costs 8",
                "dearer ×1000: costs 8000 where legacy costs 8",
                "cannot be compared: it names a view",
                "no worse",
            ]
        );
    }
}
