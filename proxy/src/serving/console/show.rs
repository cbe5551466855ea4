//! What the console shows of migrations: the views of `steps`, in columns; and this proxy's own sessions.

use std::time::SystemTime;

use rewrite_rules::RuleSet;

use super::line::Refusal;
use super::refused;
use super::table::{Column, Kind, Table, Value};
use crate::control::{Control, history, named, plans, results, schema, shown};
use crate::serving::operate::Operator;
use crate::shared::Shared;
use crate::steps::step::StepDirection;
use crate::steps::{canary, status, views};

/// Of what has no bound of its own.
const ROWS_MAX: i64 = 1_000;
/// Events that are shown: the newest. `crossfade events` has all of them.
const EVENTS_MAX: i64 = 200;

pub(super) const MIGRATIONS: &[Column] = &[
    ("migration", Kind::Text),
    ("phase", Kind::Text),
    ("epoch", Kind::Int),
    ("since", Kind::Time),
    ("by", Kind::Text),
    ("why", Kind::Text),
    ("next", Kind::Text),
    ("previous", Kind::Text),
    ("legacy", Kind::Text),
    ("unified", Kind::Text),
    ("refused", Kind::Text),
];

pub(super) const GATES: &[Column] = &[
    ("migration", Kind::Text),
    ("from_phase", Kind::Text),
    ("to_phase", Kind::Text),
    ("gate", Kind::Text),
    ("answer", Kind::Text),
    ("found", Kind::Text),
    ("settle", Kind::Text),
];

pub(super) const FENCES: &[Column] = &[
    ("migration", Kind::Text),
    ("holds", Kind::Text),
    ("epoch", Kind::Int),
    ("phase", Kind::Text),
    ("pid", Kind::Int),
    ("user", Kind::Text),
    ("application", Kind::Text),
    ("client", Kind::Text),
    ("proxy", Kind::Text),
    ("session", Kind::Int),
    ("state", Kind::Text),
    ("statement", Kind::Text),
    ("age", Kind::Interval),
];

pub(super) const INSTANCES: &[Column] = &[
    ("instance", Kind::Text),
    ("address", Kind::Text),
    ("migration", Kind::Text),
    ("phase", Kind::Text),
    ("epoch", Kind::Int),
    ("generation", Kind::Int),
    ("drained", Kind::Bool),
    ("live", Kind::Bool),
    ("seen_ago", Kind::Interval),
    ("p99_ms", Kind::Float),
    ("fallbacks", Kind::Int),
    ("divergences", Kind::Int),
    ("shadow_equal", Kind::Int),
    ("shadow_different", Kind::Int),
    ("shadow_failed", Kind::Int),
];

pub(super) const SESSIONS: &[Column] = &[
    ("id", Kind::Int),
    ("user", Kind::Text),
    ("database", Kind::Text),
    ("application", Kind::Text),
    ("client", Kind::Text),
    ("tls", Kind::Bool),
    ("state", Kind::Text),
    ("rules", Kind::Bool),
    ("pid", Kind::Int),
    ("generation", Kind::Int),
    ("transactions", Kind::Int),
    ("statements", Kind::Int),
    ("bytes_from_client", Kind::Int),
    ("bytes_to_client", Kind::Int),
    ("connected", Kind::Time),
    ("age", Kind::Interval),
];

pub(super) const STATEMENTS: &[Column] = &[
    ("statement", Kind::Text),
    ("migration", Kind::Text),
    ("phase", Kind::Text),
    ("canary", Kind::Bool),
    ("calls", Kind::Int),
    ("rows", Kind::Int),
    ("failed", Kind::Int),
    ("refused", Kind::Int),
    ("why", Kind::Text),
    ("fallbacks", Kind::Int),
    ("mean_ms", Kind::Float),
    ("p99_ms", Kind::Float),
    ("last_seen_ago", Kind::Interval),
    ("plans", Kind::Text),
];

pub(super) const PLANS: &[Column] = &[
    ("statement", Kind::Text),
    ("migration", Kind::Text),
    ("phase", Kind::Text),
    ("calls", Kind::Int),
    ("verdict", Kind::Text),
    ("legacy_cost", Kind::Float),
    ("cost", Kind::Float),
    ("found", Kind::Text),
    ("compared_ago", Kind::Interval),
];

pub(super) const CANARY: &[Column] = &[
    ("migration", Kind::Text),
    ("reads_as", Kind::Text),
    ("share", Kind::Float),
    ("users", Kind::Text),
    ("applications", Kind::Text),
    ("age", Kind::Interval),
    ("by", Kind::Text),
    ("measure", Kind::Text),
    ("found", Kind::Text),
];

pub(super) const DIVERGENCE: &[Column] = &[
    ("migration", Kind::Text),
    ("legacy_table", Kind::Text),
    ("key", Kind::Text),
    ("reason", Kind::Text),
    ("sqlstate", Kind::Text),
    ("times", Kind::Int),
    ("first_at", Kind::Time),
    ("last_at", Kind::Time),
];

pub(super) const FALLBACKS: &[Column] = &[
    ("migration", Kind::Text),
    ("rows", Kind::Int),
    ("last_at", Kind::Time),
    ("days_without", Kind::Float),
];

pub(super) const BACKFILL: &[Column] = &[
    ("migration", Kind::Text),
    ("legacy_table", Kind::Text),
    ("direction", Kind::Text),
    ("state", Kind::Text),
    ("rows_done", Kind::Int),
    ("rows_estimated", Kind::Int),
    ("rows_put", Kind::Int),
    ("rows_set_aside", Kind::Int),
    ("ghosts_removed", Kind::Int),
    ("chunk_rows", Kind::Int),
    ("wish", Kind::Text),
    ("held_back", Kind::Text),
    ("updated_ago", Kind::Interval),
];

pub(super) const EVENTS: &[Column] = &[
    ("id", Kind::Int),
    ("at", Kind::Time),
    ("migration", Kind::Text),
    ("kind", Kind::Text),
    ("from_phase", Kind::Text),
    ("to_phase", Kind::Text),
    ("forced", Kind::Bool),
    ("reason", Kind::Text),
    ("by", Kind::Text),
    ("from", Kind::Text),
    ("role", Kind::Text),
    ("drained_at", Kind::Time),
];

pub(super) const HELP: &[Column] = &[("command", Kind::Text), ("what", Kind::Text)];

pub(super) fn help() -> Table {
    let mut table = Table::of(HELP);
    for (command, what) in [
        (
            "SHOW MIGRATIONS",
            "where each stands, since when, and who brought it there",
        ),
        (
            "SHOW GATES [migration]",
            "what the next step asks for, and what settles it",
        ),
        (
            "SHOW FENCES [migration]",
            "who holds a phase open, or would hold up the next step",
        ),
        ("SHOW INSTANCES", "which proxies serve what"),
        ("SHOW SESSIONS", "who is connected to this proxy"),
        (
            "SHOW STATEMENTS [migration]",
            "the statements that name a managed table, by phase, and what came of them",
        ),
        (
            "SHOW PLANS [migration]",
            "which statements would be planned worse in the phases to come, as `crossfade coverage --plans` found",
        ),
        (
            "SHOW CANARY [migration]",
            "who reads as in the next phase, and how they do",
        ),
        (
            "SHOW DIVERGENCE [migration]",
            "keys that somebody must look after",
        ),
        ("SHOW FALLBACKS", "reads that needed legacy"),
        ("SHOW BACKFILL", "how far tables are copied"),
        ("SHOW EVENTS [migration]", "who did what, the newest first"),
        ("SHOW CONFIG", "this proxy's settings"),
        ("SHOW VERSION", "this proxy's version"),
        (
            "SHOW LISTS | CLIENTS | SERVERS | STATS | STATS_TOTALS | STATS_AVERAGES | POOLS | DATABASES | USERS | STATE",
            "counts, as PgBouncer shows them",
        ),
        (
            "ADVANCE migration [TO phase]",
            "a phase forward, or up to that one, if the gates let it",
        ),
        ("ROLLBACK migration [TO phase]", "a phase back"),
        (
            "CANARY migration [share %] [USER role] [APPLICATION name] | OFF",
            "let some sessions read as in the next phase, or none",
        ),
        (
            "PAUSE",
            "hold the next transaction of every client of this proxy back, for a while",
        ),
        ("RESUME", "let them go on"),
        ("RELOAD", "read rule files and certificates again"),
        ("KILL session", "end a client's session, by its id"),
    ] {
        table.row(vec![command.into(), what.into()]);
    }
    table
}

/// A look at the database, by the rules in force.
pub(super) struct Look<'a> {
    pub client: &'a Control,
    pub rules: &'a RuleSet,
    /// One migration alone.
    pub only: Option<&'a str>,
}

impl Look<'_> {
    fn names(&self) -> Result<Vec<&str>, Refusal> {
        if let Some(name) = self.only {
            named::find(self.rules, name).map_err(refused::by_control)?;
            return Ok(vec![name]);
        }
        let all = self.rules.migrations().iter();
        Ok(all.map(|migration| migration.name.as_str()).collect())
    }

    pub async fn migrations(&self) -> Result<Table, Refusal> {
        let names = self.names()?;
        let all = views::migrations(self.client, self.rules).await;
        let mut table = Table::of(MIGRATIONS);
        for row in all.map_err(refused::by_control)? {
            if !names.contains(&row.name.as_str()) {
                continue;
            }
            table.row(vec![
                row.name.into(),
                row.phase.name().into(),
                row.epoch.into(),
                row.since.into(),
                row.by.into(),
                row.why.into(),
                row.next.map(|phase| phase.name()).into(),
                row.previous.map(|phase| phase.name()).into(),
                row.legacy.join(", ").into(),
                row.unified.join(", ").into(),
                row.misfit.into(),
            ]);
        }
        Ok(table)
    }

    pub async fn gates(&self, operator: &Operator) -> Result<Table, Refusal> {
        let site = operator.site().map_err(refused::by_site)?;
        let mut table = Table::of(GATES);
        for name in self.names()? {
            let forward = StepDirection::Forward;
            let gates = views::gates(self.client, self.rules, name, forward, &site.gates).await;
            for gate in gates.map_err(refused::by_control)? {
                table.row(vec![
                    gate.migration.into(),
                    gate.from.name().into(),
                    gate.to.name().into(),
                    gate.name.into(),
                    gate.answer.words().into(),
                    gate.found.into(),
                    gate.settle.into(),
                ]);
            }
        }
        Ok(table)
    }

    pub async fn fences(&self, shared: &Shared) -> Result<Table, Refusal> {
        let sessions = shared.sessions.rows();
        let mut table = Table::of(FENCES);
        for status in self.status().await? {
            let holders = views::holders(self.client, &status).await;
            for row in holders.map_err(refused::by_control)? {
                // Behind this proxy it is known who the client is.
                let ours = sessions
                    .iter()
                    .find(|session| session.backend.is_some() && session.backend == row.pid);
                let here = || shared.config.listen.0.clone();
                table.row(vec![
                    row.migration.into(),
                    row.holds.words().into(),
                    row.epoch.into(),
                    row.phase.into(),
                    row.pid.into(),
                    row.user.into(),
                    row.application.into(),
                    ours.map_or(row.address, |ours| ours.peer.clone()).into(),
                    row.proxy.or_else(|| ours.map(|_| here())).into(),
                    ours.map(|ours| ours.id).into(),
                    row.state.into(),
                    row.statement.into(),
                    Value::Interval(row.age_seconds),
                ]);
            }
        }
        Ok(table)
    }

    async fn status(&self) -> Result<Vec<status::Status>, Refusal> {
        self.names()?;
        let must = schema::must_be_prepared(self.client).await;
        must.map_err(refused::by_control)?;
        let read = status::read(self.client, self.rules, self.only, false).await;
        read.map_err(refused::by_control)
    }

    pub async fn instances(&self) -> Result<Table, Refusal> {
        let names = self.names()?;
        let all = views::instances(self.client).await;
        let mut table = Table::of(INSTANCES);
        for served in all.map_err(refused::by_control)? {
            if !names.contains(&served.migration.as_str()) {
                continue;
            }
            let instance = served.instance;
            let counted = instance.counted;
            table.row(vec![
                instance.instance.into(),
                instance.address.into(),
                served.migration.into(),
                instance.phase.into(),
                instance.epoch.into(),
                instance.generation.into(),
                instance.drained.into(),
                instance.live.into(),
                Value::Interval(instance.seen_seconds_ago),
                instance.p99_ms.into(),
                counted.fallbacks.into(),
                counted.divergences.into(),
                counted.shadow_equal.into(),
                counted.shadow_different.into(),
                counted.shadow_failed.into(),
            ]);
        }
        Ok(table)
    }

    pub async fn statements(&self) -> Result<Table, Refusal> {
        self.names()?;
        let all = results::read(self.client, self.only, ROWS_MAX).await;
        let mut table = Table::of(STATEMENTS);
        for seen in all.map_err(refused::by_control)? {
            table.row(vec![
                seen.statement.into(),
                seen.migration.into(),
                seen.phase.into(),
                seen.canary.into(),
                seen.calls.into(),
                seen.rows.into(),
                seen.failed.into(),
                seen.refused.into(),
                seen.why.into(),
                seen.fallbacks.into(),
                seen.mean_ms.into(),
                seen.p99_ms.into(),
                Value::Interval(seen.last_seen_seconds),
                seen.plans.into(),
            ]);
        }
        Ok(table)
    }

    /// The worst first.
    pub async fn plans(&self) -> Result<Table, Refusal> {
        self.names()?;
        let all = plans::read(self.client, self.only, ROWS_MAX).await;
        let mut table = Table::of(PLANS);
        for found in all.map_err(refused::by_control)? {
            let words = found.words();
            table.row(vec![
                found.statement.into(),
                found.migration.into(),
                found.phase.into(),
                found.calls.into(),
                found.verdict.name().into(),
                found.legacy_cost.into(),
                found.cost.into(),
                words.into(),
                Value::Interval(found.compared_seconds_ago),
            ]);
        }
        Ok(table)
    }

    /// A row for each measure.
    pub async fn canary(&self) -> Result<Table, Refusal> {
        self.names()?;
        let all = canary::views(self.client, self.only).await;
        let mut table = Table::of(CANARY);
        for view in all.map_err(refused::by_control)? {
            let of = &view.row.canary;
            for measure in view.measures() {
                table.row(vec![
                    of.migration.clone().into(),
                    view.reads_as().name().into(),
                    Some(of.share).into(),
                    of.users.join(", ").into(),
                    of.applications.join(", ").into(),
                    Value::Interval(view.row.age_seconds),
                    view.row.began_by.clone().into(),
                    measure.name.into(),
                    measure.found.into(),
                ]);
            }
        }
        Ok(table)
    }

    pub async fn divergence(&self) -> Result<Table, Refusal> {
        let mut table = Table::of(DIVERGENCE);
        for name in self.names()? {
            let entries = views::divergences(self.client, name, ROWS_MAX).await;
            for entry in entries.map_err(refused::by_control)? {
                table.row(vec![
                    name.into(),
                    shown(&entry.legacy_table).into(),
                    entry.key.to_string().into(),
                    entry.reason.into(),
                    entry.sqlstate.into(),
                    entry.times.into(),
                    entry.first_at.into(),
                    entry.last_at.into(),
                ]);
            }
        }
        Ok(table)
    }

    pub async fn fallbacks(&self) -> Result<Table, Refusal> {
        self.names()?;
        let all = views::fallbacks(self.client, self.rules, self.only).await;
        let mut table = Table::of(FALLBACKS);
        for row in all.map_err(refused::by_control)? {
            table.row(vec![
                row.migration.into(),
                row.rows.into(),
                row.last_at.into(),
                row.days_without.into(),
            ]);
        }
        Ok(table)
    }

    pub async fn backfill(&self) -> Result<Table, Refusal> {
        let mut table = Table::of(BACKFILL);
        for status in self.status().await? {
            for progress in &status.backfill {
                let state = match progress.interrupted {
                    true => "interrupted",
                    false => progress.state.name(),
                };
                let direction = match progress.direction.is_reverse() {
                    false => "legacy to unified",
                    true => "unified to legacy",
                };
                table.row(vec![
                    status.migration.clone().into(),
                    shown(&progress.legacy_table).into(),
                    direction.into(),
                    state.into(),
                    progress.rows_done.into(),
                    progress.rows_estimated.max(progress.rows_done).into(),
                    progress.rows_put.into(),
                    progress.rows_set_aside.into(),
                    progress.ghosts_removed.into(),
                    progress.chunk_rows.into(),
                    progress.wish.name().into(),
                    progress.held_back.clone().into(),
                    Value::Interval(progress.updated_seconds_ago),
                ]);
            }
        }
        Ok(table)
    }

    pub async fn events(&self) -> Result<Table, Refusal> {
        // What happened to a migration that is no longer managed did happen.
        let all = history::last(self.client, self.only, None, EVENTS_MAX).await;
        let mut table = Table::of(EVENTS);
        for event in all.map_err(refused::by_control)? {
            table.row(vec![
                event.id.into(),
                event.time.into(),
                event.migration.into(),
                event.kind.into(),
                event.from.into(),
                event.to.into(),
                event.forced.into(),
                event.reason.into(),
                event.os_user.into(),
                event.host.into(),
                event.db_user.into(),
                event.drained_time.into(),
            ]);
        }
        Ok(table)
    }
}

/// What this proxy serves where no database can be asked.
pub(super) fn migrations_of_files(shared: &Shared) -> Table {
    let generation = shared.generations.current();
    let mut table = Table::of(MIGRATIONS);
    for migration in generation.rules().migrations() {
        let phase = migration.phase;
        let legacy: Vec<String> = migration
            .tables
            .iter()
            .map(|lens| shown(&lens.legacy.sql()))
            .collect();
        table.row(vec![
            migration.name.clone().into(),
            phase.name().into(),
            Value::Null,
            Value::Null,
            Value::Null,
            "its rule file says so: there is no control connection".into(),
            phase.next().map(|phase| phase.name()).into(),
            phase.previous().map(|phase| phase.name()).into(),
            legacy.join(", ").into(),
            Value::Null,
            migration.misfit.clone().into(),
        ]);
    }
    table
}

/// Who is connected to this proxy. What they say is not kept, and so not shown.
pub(super) fn sessions(shared: &Shared) -> Table {
    let mut table = Table::of(SESSIONS);
    let newest = shared.generations.newest();
    for row in shared.sessions.rows() {
        let age = SystemTime::now().duration_since(row.since);
        let state = match (row.is_established, row.generation) {
            (false, _) => "login",
            (true, None) => "idle",
            (true, Some(generation)) if row.is_served && generation < newest => {
                "in transaction, older rules"
            }
            (true, Some(_)) => "in transaction",
        };
        table.row(vec![
            row.id.into(),
            row.user.to_string().into(),
            row.database.into(),
            row.application.into(),
            row.peer.into(),
            row.is_tls.into(),
            state.into(),
            row.is_served.into(),
            row.backend.into(),
            row.generation.into(),
            row.counts.transactions.into(),
            row.counts.statements.into(),
            row.counts.bytes_from_clients.into(),
            row.counts.bytes_to_clients.into(),
            row.since.into(),
            Value::Interval(age.unwrap_or_default().as_secs_f64()),
        ]);
    }
    table
}
