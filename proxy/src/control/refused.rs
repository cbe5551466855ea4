//! Rules that a proxy has not put into force: it says so in the database as long as that is so, for
//! `status` to tell.

use serde::Serialize;
use tokio_postgres::Client;

use super::error::ControlError;
use super::report::{GONE_AFTER_SECONDS, InstanceReport};

/// Takes part of the report: what is in force again is no longer there.
pub(super) async fn say(
    client: &Client,
    instance: &str,
    report: &InstanceReport,
) -> Result<(), ControlError> {
    let migrations: Vec<&str> = report.refused.keys().map(String::as_str).collect();
    let reasons: Vec<&str> = report.refused.values().map(String::as_str).collect();
    client
        .execute(
            "WITH now AS (SELECT * FROM unnest($2::text[], $3::text[]) AS n (migration, reason)), \
             settled AS (DELETE FROM crossfade.rules_refused AS r WHERE r.instance = $1::text::uuid \
                 AND NOT EXISTS (SELECT FROM now AS n WHERE n.migration = r.migration)), \
             forgotten AS (DELETE FROM crossfade.rules_refused \
                 WHERE seen_at < clock_timestamp() - interval '1 day') \
             INSERT INTO crossfade.rules_refused AS r (instance, migration, address, reason) \
             SELECT $1::text::uuid, n.migration, $4, n.reason FROM now AS n \
             ON CONFLICT (instance, migration) DO UPDATE SET seen_at = clock_timestamp(), \
                 reason = excluded.reason, since = CASE WHEN r.reason = excluded.reason \
                 THEN r.since ELSE clock_timestamp() END",
            &[&instance, &migrations, &reasons, &report.address],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of rules that are not in force"))
}

pub(super) async fn take_back(client: &Client, instance: &str) -> Result<(), ControlError> {
    client
        .execute(
            "DELETE FROM crossfade.rules_refused WHERE instance = $1::text::uuid",
            &[&instance],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("sign-off of this instance"))
}

/// What one proxy has not put into force.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedRules {
    pub address: String,
    pub reason: String,
    pub seconds: f64,
}

/// Those of a migration, and what is said of none in particular; by proxies that are alive.
pub async fn read(client: &Client, migration: &str) -> Result<Vec<RefusedRules>, ControlError> {
    let rows = client
        .query(
            "SELECT address, reason, extract(epoch FROM clock_timestamp() - since)::float8 \
             FROM crossfade.rules_refused WHERE migration IN ($1, '') \
             AND seen_at >= clock_timestamp() - make_interval(secs => $2) ORDER BY since, instance",
            &[&migration, &GONE_AFTER_SECONDS],
        )
        .await
        .map_err(ControlError::sql("look at rules that are not in force"))?;
    let of = |row: &tokio_postgres::Row| RefusedRules {
        address: row.get(0),
        reason: row.get(1),
        seconds: row.get(2),
    };
    Ok(rows.iter().map(of).collect())
}
