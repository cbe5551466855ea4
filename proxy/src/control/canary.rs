//! `crossfade.canary`: which sessions read a migration as in its next phase, and what the proxies have counted of them and
//! of all others. The row decides, for every proxy; it ends with the epoch that it began in.

pub mod judge;

use std::collections::BTreeMap;
use std::time::SystemTime;

use rewrite_rules::Epoch;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connection::BEGIN_SHORT;
use super::error::ControlError;
use super::events::Actor;
use crate::generation::ahead::{CANARIES_MAX, Canary};
use judge::Margins;

const DOING: &str = "canary";

/// What was counted of one that is over is looked at no more.
const COUNTS_KEPT: &str = "1 day";

/// A canary that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryRow {
    pub canary: Canary,
    pub margins: Margins,
    pub began_at: SystemTime,
    /// By the database's clock.
    pub age_seconds: f64,
    /// User and machine, and the role in the database.
    pub began_by: String,
}

/// Those that run, whether or not their epoch is still in force. None where the schema is older.
pub async fn running(client: &Client) -> Result<Vec<CanaryRow>, ControlError> {
    let rows = client
        .query(
            "SELECT id, migration, epoch, share, users, applications, error_margin, latency_margin, \
             divergence_margin, began_at, began_by, \
             extract(epoch FROM clock_timestamp() - began_at)::float8 \
             FROM crossfade.canary WHERE ended_at IS NULL ORDER BY id",
            &[],
        )
        .await;
    let rows = match rows {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(Vec::new()),
        rows => rows.map_err(ControlError::sql(DOING))?,
    };
    let row = |row: &tokio_postgres::Row| CanaryRow {
        canary: Canary {
            id: row.get(0),
            migration: row.get(1),
            epoch: Epoch(row.get(2)),
            share: row.get(3),
            users: row.get(4),
            applications: row.get(5),
        },
        margins: Margins {
            errors: row.get(6),
            latency: row.get(7),
            divergence: row.get(8),
        },
        began_at: row.get(9),
        began_by: row.get(10),
        age_seconds: row.get(11),
    };
    Ok(rows.iter().map(row).collect())
}

/// Who is to read ahead. What is left out stays as it is where a canary runs.
#[derive(Clone, Debug, Default)]
pub struct NewCanary {
    pub share: Option<f64>,
    pub users: Option<Vec<String>>,
    pub applications: Option<Vec<String>>,
    pub error_margin: Option<f64>,
    pub latency_margin: Option<f64>,
    pub divergence_margin: Option<f64>,
    /// Why it begins although gates are not met.
    pub forced: Option<String>,
}

/// Begins one, or changes the one that runs. `None`: another epoch is in force by now.
pub async fn begin(
    client: &Client,
    (migration, epoch): (&str, Epoch),
    new: &NewCanary,
    by: &Actor,
) -> Result<Option<i64>, ControlError> {
    let sql = || ControlError::sql(DOING);
    client.batch_execute(BEGIN_SHORT).await.map_err(sql())?;
    let begun = begin_in_transaction(client, (migration, epoch), new, by).await;
    let end = match &begun {
        Ok(Some(_)) => "COMMIT",
        Ok(None) | Err(_) => "ROLLBACK",
    };
    client.batch_execute(end).await.map_err(sql())?;
    begun
}

async fn begin_in_transaction(
    client: &Client,
    (migration, epoch): (&str, Epoch),
    new: &NewCanary,
    by: &Actor,
) -> Result<Option<i64>, ControlError> {
    let sql = || ControlError::sql(DOING);
    // As whoever opens an epoch does.
    client
        .batch_execute("LOCK TABLE crossfade.epochs IN SHARE ROW EXCLUSIVE MODE")
        .await
        .map_err(sql())?;
    let others: i64 = client
        .query_one(
            "SELECT count(*) FROM crossfade.canary WHERE ended_at IS NULL AND migration <> $1",
            &[&migration],
        )
        .await
        .map_err(sql())?
        .get(0);
    if usize::try_from(others).is_ok_and(|others| others >= CANARIES_MAX) {
        return Err(ControlError::Refused(format!(
            "{others} canaries run already, and more cannot: `crossfade canary` lists them, \
             `crossfade canary MIGRATION off` ends one"
        )));
    }
    let defaults = Margins::default();
    let row = client
        .query_opt(
            "INSERT INTO crossfade.canary AS c (migration, epoch, share, users, applications, error_margin, \
                 latency_margin, divergence_margin, began_by) \
             SELECT $1, $2, coalesce($3::float8, 0), coalesce($4::text[], '{}'), coalesce($5::text[], '{}'), \
                 coalesce($6::float8, $9), coalesce($7::float8, $10), coalesce($8::float8, $11), \
                 $12::text || ' as ' || current_user \
             WHERE (SELECT max(e.epoch) FROM crossfade.epochs AS e WHERE e.migration = $1) = $2 \
             ON CONFLICT (migration) WHERE ended_at IS NULL DO UPDATE SET share = coalesce($3, c.share), \
                 users = coalesce($4, c.users), applications = coalesce($5, c.applications), \
                 error_margin = coalesce($6, c.error_margin), latency_margin = coalesce($7, c.latency_margin), \
                 divergence_margin = coalesce($8, c.divergence_margin) \
             RETURNING c.id, c.share, c.users, c.applications, c.epoch",
            &[
                &migration,
                &epoch.0,
                &new.share,
                &new.users,
                &new.applications,
                &new.error_margin,
                &new.latency_margin,
                &new.divergence_margin,
                &defaults.errors,
                &defaults.latency,
                &defaults.divergence,
                &by.to_string(),
            ],
        )
        .await
        .map_err(sql())?;
    let Some(row) = row.filter(|row| row.get::<_, i64>(4) == epoch.0) else {
        return Ok(None);
    };
    let (share, users, applications): (f64, Vec<String>, Vec<String>) =
        (row.get(1), row.get(2), row.get(3));
    let details = json!({
        "share": share, "users": users, "applications": applications, "epoch": epoch.0,
    });
    client
        .execute(
            "INSERT INTO crossfade.events (migration, kind, forced, reason, details, os_user, host) \
             VALUES ($1, 'canary', $2, $3, $4, $5, $6)",
            &[
                &migration,
                &new.forced.is_some(),
                &new.forced,
                &details,
                &by.user,
                &by.from,
            ],
        )
        .await
        .map_err(sql())?;
    client
        .execute(
            "DELETE FROM crossfade.canary_counts AS n WHERE NOT EXISTS (SELECT FROM crossfade.canary AS c \
             WHERE c.id = n.canary AND (c.ended_at IS NULL OR c.ended_at > clock_timestamp() - $1::text::interval))",
            &[&COUNTS_KEPT],
        )
        .await
        .map_err(sql())?;
    Ok(Some(row.get(0)))
}

/// Which one ends.
#[derive(Clone, Copy, Debug)]
pub enum Ends<'a> {
    /// That of a migration, by an operator or by what he does.
    Of(&'a str),
    /// This one, by what was found of it.
    This(i64),
}

/// Ends one and writes down why. False: it has ended already, or there was none. Its own transaction is not needed: it is
/// one statement.
pub async fn end(
    client: &Client,
    which: Ends<'_>,
    (why, details): (&str, Option<&serde_json::Value>),
    by: &Actor,
) -> Result<bool, ControlError> {
    let (id, migration, kind) = match which {
        Ends::Of(migration) => (None, Some(migration), "canary_end"),
        Ends::This(id) => (Some(id), None, "canary_back"),
    };
    let ended = client
        .execute(
            "WITH ended AS (UPDATE crossfade.canary SET ended_at = clock_timestamp(), ended_why = $3 \
                 WHERE ended_at IS NULL AND (id = $1 OR migration = $2::text) RETURNING migration) \
             INSERT INTO crossfade.events (migration, kind, reason, details, os_user, host) \
             SELECT migration, $4, $3, $5, $6, $7 FROM ended",
            &[&id, &migration, &why, &kind, &details, &by.user, &by.from],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    Ok(ended > 0)
}

/// What was counted of one group's reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedReads {
    pub answered: u64,
    pub failed: u64,
    /// By the buckets of [`crate::latency`].
    pub times: BTreeMap<u16, u64>,
}

/// What was counted since a canary began: by one proxy, or by all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub canary: CountedReads,
    pub rest: CountedReads,
    /// Rows read from legacy because unified lacked them, and those among them for canaries.
    pub fallbacks: u64,
    pub fallbacks_of_canaries: u64,
    /// Keys that entered the ledger.
    pub divergences: u64,
    /// Reads that were compared, and those of them that differed.
    pub compared: u64,
    pub different: u64,
}

impl std::ops::AddAssign<&CountedReads> for CountedReads {
    fn add_assign(&mut self, more: &CountedReads) {
        self.answered += more.answered;
        self.failed += more.failed;
        for (bucket, count) in &more.times {
            *self.times.entry(*bucket).or_default() += count;
        }
    }
}

impl CountedReads {
    fn since(&self, before: &CountedReads) -> CountedReads {
        let times = self.times.iter().map(|(bucket, count)| {
            let then = before.times.get(bucket).copied().unwrap_or(0);
            (*bucket, count.saturating_sub(then))
        });
        CountedReads {
            answered: self.answered.saturating_sub(before.answered),
            failed: self.failed.saturating_sub(before.failed),
            times: times.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

impl Counted {
    /// What was counted after `before`, which is an earlier look.
    #[must_use]
    pub fn since(&self, before: &Counted) -> Counted {
        Counted {
            canary: self.canary.since(&before.canary),
            rest: self.rest.since(&before.rest),
            fallbacks: self.fallbacks.saturating_sub(before.fallbacks),
            fallbacks_of_canaries: self
                .fallbacks_of_canaries
                .saturating_sub(before.fallbacks_of_canaries),
            divergences: self.divergences.saturating_sub(before.divergences),
            compared: self.compared.saturating_sub(before.compared),
            different: self.different.saturating_sub(before.different),
        }
    }
}

impl std::ops::AddAssign<&Counted> for Counted {
    fn add_assign(&mut self, more: &Counted) {
        self.canary += &more.canary;
        self.rest += &more.rest;
        self.fallbacks += more.fallbacks;
        self.fallbacks_of_canaries += more.fallbacks_of_canaries;
        self.divergences += more.divergences;
        self.compared += more.compared;
        self.different += more.different;
    }
}

/// Writes down what one proxy has counted, over what it wrote before.
pub async fn report(
    client: &Client,
    canary: i64,
    reporter: &str,
    counted: &Counted,
) -> Result<(), ControlError> {
    let counted = serde_json::to_value(counted).unwrap_or_default();
    client
        .execute(
            "INSERT INTO crossfade.canary_counts (canary, reporter, counted) VALUES ($1, $2::text::uuid, $3) \
             ON CONFLICT (canary, reporter) DO UPDATE SET counted = excluded.counted, at = clock_timestamp()",
            &[&canary, &reporter, &counted],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("counts of a canary"))
}

/// What all proxies have counted. A row that says something else counts for nothing.
pub async fn counted(client: &Client, canary: i64) -> Result<Counted, ControlError> {
    let rows = client
        .query(
            "SELECT counted FROM crossfade.canary_counts WHERE canary = $1",
            &[&canary],
        )
        .await
        .map_err(ControlError::sql("counts of a canary"))?;
    let mut all = Counted::default();
    for row in rows {
        match serde_json::from_value::<Counted>(row.get(0)) {
            Ok(counted) => all += &counted,
            Err(error) => tracing::warn!(%error, "a row of crossfade.canary_counts is not read"),
        }
    }
    Ok(all)
}

/// Who is in, in words.
#[must_use]
pub fn members(canary: &Canary) -> String {
    let mut said = vec![format!("{} of the sessions", percent(canary.share))];
    for (what, names) in [
        ("users", &canary.users),
        ("applications", &canary.applications),
    ] {
        if !names.is_empty() {
            said.push(format!("{what} {}", names.join(", ")));
        }
    }
    said.join("; ")
}

/// A share as people write it, without digits that say nothing.
#[must_use]
pub fn percent(share: f64) -> String {
    let hundredths = (share * 10_000.0).round() / 100.0;
    format!("{hundredths} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_several_proxies_add_up_and_earlier_ones_are_taken_off() {
        let one = Counted {
            canary: CountedReads {
                answered: 5,
                failed: 1,
                times: BTreeMap::from([(7, 2), (9, 1)]),
            },
            different: 3,
            ..Counted::default()
        };
        let mut all = one.clone();
        all += &one;
        assert_eq!(all.canary.times, BTreeMap::from([(7, 4), (9, 2)]));
        assert_eq!(all.since(&one), one);
        assert_eq!(one.since(&all), Counted::default(), "a proxy that left");
        let text = serde_json::to_value(&one).expect("JSON");
        assert_eq!(serde_json::from_value::<Counted>(text).expect("it"), one);
    }

    #[test]
    fn shares_are_shown_as_they_were_given() {
        for (share, shown) in [
            (0.05, "5 %"),
            (0.125, "12.5 %"),
            (1.0, "100 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(percent(share), shown);
        }
    }
}
