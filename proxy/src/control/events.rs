//! `crossfade.events`: every step, who took it, from where, and what the gates said.

use std::sync::OnceLock;

use rewrite_rules::Phase;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Client;

use super::error::ControlError;

/// Who does something, and from where; the database's role stands beside it by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The system's user of a command; of a proxy that acts for somebody, that one's name with where he is known by it:
    /// `ann (console)`.
    pub user: String,
    /// The machine of a command, or the address that a proxy's client comes from.
    pub from: String,
}

impl Actor {
    /// Whoever runs this process.
    #[must_use]
    pub fn of_process() -> &'static Actor {
        static ACTOR: OnceLock<Actor> = OnceLock::new();
        ACTOR.get_or_init(who)
    }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.from)
    }
}

/// A step as it is about to be taken.
pub struct StepTaken<'a> {
    pub migration: &'a str,
    pub kind: &'static str,
    pub from: Phase,
    pub to: Phase,
    pub forced: bool,
    pub reason: Option<&'a str>,
    pub gates: Value,
    pub by: &'a Actor,
}

/// Records a step before the file is edited; [`drained`] completes it. What is found without its
/// end was interrupted, and the file says on which side.
pub async fn begin(client: &Client, step: &StepTaken<'_>) -> Result<i64, ControlError> {
    let row = client
        .query_one(
            "INSERT INTO crossfade.events \
             (migration, kind, from_phase, to_phase, forced, reason, gates, os_user, host) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
            &[
                &step.migration,
                &step.kind,
                &step.from.name(),
                &step.to.name(),
                &step.forced,
                &step.reason,
                &step.gates,
                &step.by.user,
                &step.by.from,
            ],
        )
        .await
        .map_err(ControlError::sql("record of the step"))?;
    Ok(row.get(0))
}

pub async fn drained(client: &Client, id: i64) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.events SET drained_at = clock_timestamp() WHERE id = $1",
            &[&id],
        )
        .await
        .map_err(ControlError::sql("record of the drain"))?;
    Ok(())
}

/// Completes the record of the last step, if it led to `phase` and nobody saw its drain.
pub async fn last_drained(
    client: &Client,
    migration: &str,
    phase: Phase,
) -> Result<(), ControlError> {
    client
        .execute(
            "UPDATE crossfade.events SET drained_at = clock_timestamp() WHERE id = ( \
             SELECT max(id) FROM crossfade.events WHERE migration = $1 AND to_phase IS NOT NULL) \
             AND to_phase = $2 AND drained_at IS NULL",
            &[&migration, &phase.name()],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("record of the drain"))
}

/// Records work of this process that is no step: a backfill, a verification.
pub async fn note(
    client: &Client,
    migration: &str,
    kind: &str,
    details: &Value,
) -> Result<(), ControlError> {
    note_by(client, migration, kind, details, Actor::of_process()).await
}

/// Records somebody's work that is no step.
pub async fn note_by(
    client: &Client,
    migration: &str,
    kind: &str,
    details: &Value,
    by: &Actor,
) -> Result<(), ControlError> {
    client
        .execute(
            "INSERT INTO crossfade.events (migration, kind, details, os_user, host) \
             VALUES ($1, $2, $3, $4, $5)",
            &[&migration, &kind, details, &by.user, &by.from],
        )
        .await
        .map_err(ControlError::sql("record of the work"))?;
    Ok(())
}

/// The latest step of a migration, for `status`.
#[derive(Clone, Debug, Serialize)]
pub struct LastStep {
    pub kind: String,
    pub from: String,
    pub to: String,
    pub at: String,
    pub by: String,
    pub forced: bool,
    pub reason: Option<String>,
    pub drained: bool,
}

pub async fn last_step(client: &Client, migration: &str) -> Result<Option<LastStep>, ControlError> {
    let row = client
        .query_opt(
            "SELECT kind, from_phase, to_phase, to_char(at, 'YYYY-MM-DD HH24:MI:SS TZ'), \
             os_user || '@' || host || ' as ' || db_user, forced, reason, drained_at IS NOT NULL \
             FROM crossfade.events WHERE migration = $1 AND to_phase IS NOT NULL \
             ORDER BY id DESC LIMIT 1",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql("look at the last step"))?;
    Ok(row.map(|row| LastStep {
        kind: row.get(0),
        from: row.get(1),
        to: row.get(2),
        at: row.get(3),
        by: row.get(4),
        forced: row.get(5),
        reason: row.get(6),
        drained: row.get(7),
    }))
}

/// The operating system's user and machine. The environment is good enough for a log entry that
/// its writer could falsify anyhow; the database's user stands beside it.
fn who() -> Actor {
    let first = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    };
    let uid = || {
        use std::os::unix::fs::MetadataExt;
        let process = std::fs::metadata("/proc/self").ok()?;
        Some(format!("uid {}", process.uid()))
    };
    let user = first(&["SUDO_USER", "USER", "LOGNAME"])
        .or_else(uid)
        .unwrap_or_else(|| "unknown".to_owned());
    let host = std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| first(&["HOSTNAME"]))
        .unwrap_or_else(|| "unknown".to_owned());
    Actor { user, from: host }
}
