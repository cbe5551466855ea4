//! What all requests to the page share, and what they find out with it.

use std::sync::Arc;
use std::time::Duration;

use rewrite_rules::Phase;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::attempts::Attempts;
use super::looks::Looks;
use super::model::{
    Confirmation, Detail, Gates, History, Overview, Proxies, Sample, Summary, Value as Shown,
};
use super::origin::Hosts;
use super::sessions::Sessions;
use super::steps::Steps;
use super::trends::Watched;
use super::users::UserFile;
use crate::control::connection::Manager;
use crate::control::error::ControlError;
use crate::control::{history, plans, results, schema};
use crate::shared::Shared;
use crate::steps::canary;
use crate::steps::status;
use crate::steps::step::StepDirection;
use crate::steps::views::{self, MigrationRow};
use crate::verify::record;

/// Pages that are made at a time: nobody's dashboard may take the database's connections.
const CONNECTIONS_MAX: u32 = 3;
/// For a connection to the database, a new one or one of those.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Passwords that are looked at at a time: each takes a processor for milliseconds, and how the one before it ended counts.
const VERIFIED_AT_A_TIME: usize = 1;
/// Of the ledger, of the last verify, and of the history.
const ENTRIES_SHOWN: i64 = 20;
const SAMPLES_SHOWN: usize = 20;
const EVENTS_BESIDE: i64 = 8;
const STATEMENTS_SHOWN: i64 = 10;
const PLANS_SHOWN: i64 = 10;
const EVENTS_SHOWN: i64 = 100;
/// A long value would bury the others.
const VALUE_CHARS_MAX: usize = 200;

type Pool = bb8::Pool<Manager>;

pub(super) struct PageState {
    pub shared: Arc<Shared>,
    pub hosts: Hosts,
    pub users: UserFile,
    pub sessions: Sessions,
    pub attempts: Attempts,
    pub verifying: Arc<Semaphore>,
    pub looks: Arc<Looks>,
    pub steps: Steps,
    pub watched: Watched,
    /// The name of this listener's cookie: a browser does not tell ports of a host apart.
    pub cookie: String,
    pool: Pool,
}

impl std::fmt::Debug for PageState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageState")
    }
}

/// Why there is no page to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPage {
    #[error("there is no migration of that name")]
    NoMigration,
    #[error("there is no such step from the phase that it is in")]
    NoStep,
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl PageState {
    pub fn new(
        shared: &Arc<Shared>,
        url: &str,
        hosts: Hosts,
        port: u16,
        users: UserFile,
    ) -> Result<PageState, ControlError> {
        let manager = Manager::new(url, "page", "")?;
        let pool = bb8::Pool::builder()
            .max_size(CONNECTIONS_MAX)
            .connection_timeout(CONNECT_TIMEOUT)
            .idle_timeout(Some(Duration::from_secs(60)))
            .test_on_check_out(true)
            .build_unchecked(manager);
        let prefix = if hosts.is_https() { "__Host-" } else { "" };
        Ok(PageState {
            shared: Arc::clone(shared),
            hosts,
            users,
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            verifying: Arc::new(Semaphore::new(VERIFIED_AT_A_TIME)),
            looks: Arc::new(Looks::default()),
            steps: Steps::default(),
            watched: Watched::default(),
            cookie: format!("{prefix}crossfade-{port}"),
            pool,
        })
    }

    pub async fn client(&self) -> Result<bb8::PooledConnection<'_, Manager>, ControlError> {
        self.pool.get().await.map_err(|error| match error {
            bb8::RunError::User(error) => error,
            bb8::RunError::TimedOut => {
                ControlError::Connect("no connection to the database in time".to_owned())
            }
        })
    }

    pub async fn overview(&self) -> Result<Overview, NoPage> {
        let client = self.client().await?;
        let generation = self.shared.generations.current();
        let rules = generation.rules();
        let rows = views::migrations(&client, rules).await?;
        let all = status::read(&client, rules, None, false).await?;
        let mut migrations = Vec::new();
        for (row, status) in rows.into_iter().zip(all) {
            let activity = self.steps.of(&row.name);
            migrations.push(Summary {
                row,
                status,
                activity,
            });
        }
        Ok(Overview { migrations })
    }

    pub async fn migration(&self, name: &str) -> Result<Detail, NoPage> {
        let row = self.row(name).await?;
        let client = self.client().await?;
        let generation = self.shared.generations.current();
        let rules = generation.rules();
        let status = status::read(&client, rules, Some(name), false).await?;
        let status = status.into_iter().next().ok_or(NoPage::NoMigration)?;
        let mut detail = Detail {
            holders: Vec::new(),
            gates: Gates::NoStep,
            activity: self.steps.of(name),
            trends: self.watched.of(name),
            ledger: Vec::new(),
            samples: Vec::new(),
            events: Vec::new(),
            canary: None,
            statements: Vec::new(),
            plans: Vec::new(),
            row,
            status,
        };
        if detail.status.prepared {
            detail.holders = self.holders(&client, &detail.status).await?;
            detail.gates = self.gates(&detail.row, StepDirection::Forward, false);
            detail.ledger = views::divergences(&client, name, ENTRIES_SHOWN).await?;
            let report = record::last_report(&client, name).await?;
            let shows_values = self.shared.config.admin.show_values;
            detail.samples = report.map_or_else(Vec::new, |report| samples(&report, shows_values));
            detail.events = history::last(&client, Some(name), None, EVENTS_BESIDE).await?;
            detail.canary = canary::views(&client, Some(name)).await?.into_iter().next();
            detail.statements = results::read(&client, Some(name), STATEMENTS_SHOWN).await?;
            detail.plans = plans::read(&client, Some(name), PLANS_SHOWN).await?;
        }
        Ok(detail)
    }

    pub async fn confirmation(
        &self,
        name: &str,
        direction: StepDirection,
    ) -> Result<Confirmation, NoPage> {
        let row = self.row(name).await?;
        let to = direction.from(row.phase).ok_or(NoPage::NoStep)?;
        let client = self.client().await?;
        let generation = self.shared.generations.current();
        let status = status::read(&client, generation.rules(), Some(name), false).await?;
        let holders = match status.first() {
            Some(status) if status.prepared => self.holders(&client, status).await?,
            Some(_) | None => Vec::new(),
        };
        Ok(Confirmation {
            gates: self.gates(&row, direction, false),
            row,
            direction,
            to,
            holders,
            wrong: None,
            reason: String::new(),
        })
    }

    pub async fn proxies(&self) -> Result<Proxies, NoPage> {
        let client = self.client().await?;
        let served = views::instances(&client).await?;
        Ok(Proxies { served })
    }

    pub async fn history(
        &self,
        migration: Option<String>,
        before: Option<i64>,
    ) -> Result<History, NoPage> {
        let client = self.client().await?;
        schema::must_be_prepared(&client).await?;
        let more = EVENTS_SHOWN + 1;
        let mut events = history::last(&client, migration.as_deref(), before, more).await?;
        let shown = usize::try_from(EVENTS_SHOWN).unwrap_or(usize::MAX);
        let is_more = events.len() > shown;
        events.truncate(shown);
        let older = events.last().filter(|_| is_more).map(|event| event.id);
        Ok(History {
            migration,
            events,
            older,
        })
    }

    /// What the gates of a step are known to say; looked at again if that is old, or `asked` for.
    pub fn gates(&self, row: &MigrationRow, direction: StepDirection, asked: bool) -> Gates {
        let step = (row.name.as_str(), row.phase);
        let runtime = &self.shared.runtime;
        self.looks.of(runtime, &self.shared, step, direction, asked)
    }

    pub async fn row(&self, name: &str) -> Result<MigrationRow, NoPage> {
        let client = self.client().await?;
        let generation = self.shared.generations.current();
        let rows = views::migrations(&client, generation.rules()).await?;
        let row = rows.into_iter().find(|row| row.name == name);
        row.ok_or(NoPage::NoMigration)
    }

    /// Who holds what, and which of them are clients of this proxy.
    async fn holders(
        &self,
        client: &tokio_postgres::Client,
        status: &status::Status,
    ) -> Result<Vec<views::HolderRow>, ControlError> {
        let mut holders = views::holders(client, status).await?;
        let (ours, _) = self.shared.generations.backends();
        for holder in &mut holders {
            if holder.proxy.is_none() && holder.pid.is_some_and(|pid| ours.contains(&pid)) {
                holder.proxy = Some(format!("this proxy, {}", self.shared.config.listen.0));
            }
        }
        Ok(holders)
    }
}

/// What a verify has written down of rows that differ, with their values or without.
fn samples(report: &Value, shows_values: bool) -> Vec<Sample> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tables = report["tables"].as_array().into_iter().flatten();
    let all = tables.flat_map(|table| {
        let of_table = table["samples"].as_array().into_iter().flatten();
        of_table.map(|sample| {
            let columns = sample["columns"].as_object().into_iter().flatten();
            let kind = word(&sample["kind"]);
            let side = |sides: &Value, at: usize| match (kind.as_str(), at) {
                ("extra", 0) | ("missing", 1) => Shown::Absent,
                _there => shown(sides[at].as_str(), shows_values),
            };
            let columns = columns.map(|(column, sides)| {
                // Of a row that stands on one side there is nothing to compare.
                let differs = kind == "different" && sides[0] != sides[1];
                (column.clone(), side(sides, 0), side(sides, 1), differs)
            });
            Sample {
                table: word(&table["legacy_table"]),
                key: sample["key"].to_string(),
                columns: columns.collect(),
                kind: kind.clone(),
            }
        })
    });
    all.take(SAMPLES_SHOWN).collect()
}

fn shown(value: Option<&str>, shows_values: bool) -> Shown {
    match (value, shows_values) {
        (_, false) => Shown::Hidden,
        (None, true) => Shown::Null,
        (Some(value), true) if value.chars().count() > VALUE_CHARS_MAX => {
            let begin: String = value.chars().take(VALUE_CHARS_MAX).collect();
            Shown::Text(format!("{begin}…"))
        }
        (Some(value), true) => Shown::Text(value.to_owned()),
    }
}

/// Where a step from this phase leads, if a form says so.
pub(super) fn as_sent(from: &str, to: &str, direction: StepDirection) -> Option<(Phase, Phase)> {
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (direction.from(from) == Some(to)).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_rows_are_shown_where_that_is_allowed_and_differing_columns_are_known_anyway() {
        let report = json!({"tables": [{"legacy_table": "\"t\"", "samples": [
            {"kind": "different", "key": ["7"], "columns": {"a": ["x", null], "b": ["y", "y"]}},
            {"kind": "missing", "key": 8, "columns": {"a": ["x", null]}},
        ]}]});
        let hidden = samples(&report, false);
        let columns = &hidden[0].columns;
        assert_eq!(
            columns[0],
            ("a".to_owned(), Shown::Hidden, Shown::Hidden, true)
        );
        assert_eq!(
            columns[1],
            ("b".to_owned(), Shown::Hidden, Shown::Hidden, false)
        );
        assert_eq!(
            (hidden[1].kind.as_str(), hidden[1].key.as_str()),
            ("missing", "8")
        );
        let shown = samples(&report, true);
        let expected = (
            "a".to_owned(),
            Shown::Text("x".to_owned()),
            Shown::Null,
            true,
        );
        assert_eq!(shown[0].columns[0], expected);
        let expected = (
            "a".to_owned(),
            Shown::Text("x".to_owned()),
            Shown::Absent,
            false,
        );
        assert_eq!(shown[1].columns[0], expected);
        assert_eq!(samples(&json!({"tables": 5}), true), []);
    }

    #[test]
    fn a_form_can_only_mean_a_step() {
        let forward = StepDirection::Forward;
        let step = Some((Phase::LegacyOnly, Phase::DualWrite));
        assert_eq!(as_sent("legacy_only", "dual_write", forward), step);
        assert_eq!(as_sent("legacy_only", "shadow_read", forward), None);
        assert_eq!(as_sent("dual_write", "legacy_only", forward), None);
        assert_eq!(as_sent("", "", forward), None);
    }
}
