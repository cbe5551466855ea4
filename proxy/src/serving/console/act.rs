//! What comes of a command: rows or a word, told beside it what goes on; or a refusal in SQL's codes.

use std::sync::Arc;
use std::time::Duration;

use super::bouncer::{self, Side};
use super::command::{self, Command, Constant, Show};
use super::line::Refusal;
use super::refused;
use super::show::{self, Look};
use super::table::{Column, Kind, Table};
use crate::serving::operate::Operator;
use crate::serving::operators::Role;
use crate::shared::Shared;

/// A look at the database that takes longer is given up: gates compare rows, which takes seconds.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// What ADVANCE and ROLLBACK answer: a row for each step.
pub(super) const STEPS: &[Column] = &[
    ("migration", Kind::Text),
    ("from_phase", Kind::Text),
    ("to_phase", Kind::Text),
    ("serving", Kind::Int),
    ("waited_for", Kind::Int),
];

const ONE: &[Column] = &[("?column?", Kind::Int)];
const VERSION: &[Column] = &[("version", Kind::Text)];
const USER: &[Column] = &[("current_user", Kind::Text)];
const DATABASE: &[Column] = &[("current_database", Kind::Text)];
const SETTING: &[Column] = &[("setting", Kind::Text)];

impl Command {
    /// The columns of its answer, which do not depend on what is found; `None`: it has no rows.
    pub fn columns(&self) -> Option<&'static [Column]> {
        Some(match self {
            Command::Show { what, .. } => match what {
                Show::Backfill => show::BACKFILL,
                Show::Canary => show::CANARY,
                Show::Clients | Show::Servers => bouncer::SOCKETS,
                Show::Config => bouncer::CONFIG,
                Show::Databases => bouncer::DATABASES,
                Show::Divergence => show::DIVERGENCE,
                Show::Events => show::EVENTS,
                Show::Fallbacks => show::FALLBACKS,
                Show::Fences => show::FENCES,
                Show::Gates => show::GATES,
                Show::Help => show::HELP,
                Show::Instances => show::INSTANCES,
                Show::Lists => bouncer::LISTS,
                Show::Migrations => show::MIGRATIONS,
                Show::Plans => show::PLANS,
                Show::Pools => bouncer::POOLS,
                Show::Sessions => show::SESSIONS,
                Show::State => bouncer::STATE,
                Show::Statements => show::STATEMENTS,
                Show::Stats => bouncer::STATS,
                Show::StatsAverages | Show::StatsTotals => bouncer::STATS_TOTALS,
                Show::Users => bouncer::USERS,
                Show::Version => bouncer::VERSION,
            },
            Command::Advance { .. } | Command::Rollback { .. } => STEPS,
            Command::ShowSetting(_) => SETTING,
            Command::Select(Constant::One) => ONE,
            Command::Select(Constant::Version) => VERSION,
            Command::Select(Constant::User) => USER,
            Command::Select(Constant::Database) => DATABASE,
            Command::Canary { .. }
            | Command::Pause
            | Command::Resume
            | Command::Reload
            | Command::Kill { .. }
            | Command::Set { .. }
            | Command::Begin
            | Command::Commit
            | Command::RollbackTransaction
            | Command::Deallocate(_)
            | Command::Tag(_) => return None,
        })
    }

    /// What somebody must be to say it.
    fn role(&self) -> Role {
        match self {
            Command::Advance { .. }
            | Command::Rollback { .. }
            | Command::Canary { .. }
            | Command::Pause
            | Command::Resume
            | Command::Reload
            | Command::Kill { .. } => Role::Operate,
            Command::Show { .. }
            | Command::ShowSetting(_)
            | Command::Select(_)
            | Command::Set { .. }
            | Command::Begin
            | Command::Commit
            | Command::RollbackTransaction
            | Command::Deallocate(_)
            | Command::Tag(_) => Role::See,
        }
    }

    /// Whether somebody of this role may say it.
    pub fn may(&self, role: Role, user: &str) -> Result<(), Refusal> {
        match (self.role(), role) {
            (Role::See, Role::See | Role::Operate) | (Role::Operate, Role::Operate) => Ok(()),
            (Role::Operate, Role::See) => Err(Refusal::new(
                "42501",
                format!("permission denied: {user} may see, and not operate"),
            )
            .hint("The role stands behind the name in the console's users file.")),
        }
    }
}

/// The answer to a SHOW, found out in a task of the proxy's own runtime.
pub(super) async fn show(
    shared: &Arc<Shared>,
    operator: &Operator,
    what: Show,
    migration: Option<String>,
) -> Result<Table, Refusal> {
    let table = match what {
        Show::Clients => bouncer::sockets(shared, Side::Clients),
        Show::Config => bouncer::config(shared),
        Show::Databases => bouncer::databases(shared),
        Show::Help => show::help(),
        Show::Lists => bouncer::lists(shared),
        Show::Pools => bouncer::pools_table(shared),
        Show::Servers => bouncer::sockets(shared, Side::Servers),
        Show::Sessions => show::sessions(shared),
        Show::State => bouncer::state(shared),
        Show::Stats => bouncer::stats(shared),
        Show::StatsAverages => bouncer::stats_averages(shared),
        Show::StatsTotals => bouncer::stats_totals(shared),
        Show::Users => bouncer::users(shared),
        Show::Version => bouncer::version(),
        Show::Migrations if shared.config.control.url.is_none() => {
            show::migrations_of_files(shared)
        }
        Show::Backfill
        | Show::Canary
        | Show::Divergence
        | Show::Events
        | Show::Fallbacks
        | Show::Fences
        | Show::Gates
        | Show::Instances
        | Show::Migrations
        | Show::Plans
        | Show::Statements => {
            let looking = look(Arc::clone(shared), operator.clone(), what, migration);
            let limited = tokio::time::timeout(LOOK_TIMEOUT, looking);
            let mut task = Task(shared.runtime.spawn(limited));
            return match (&mut task.0).await {
                Ok(Ok(table)) => table,
                Ok(Err(_)) => Err(Refusal::new(
                    "57014",
                    format!(
                        "gave up after {} s: the database does not answer",
                        LOOK_TIMEOUT.as_secs()
                    ),
                )),
                Err(error) => Err(Refusal::new("XX000", format!("it broke off: {error}"))),
            };
        }
    };
    Ok(table)
}

/// Given up with whoever waits for it.
struct Task<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn look(
    shared: Arc<Shared>,
    operator: Operator,
    what: Show,
    migration: Option<String>,
) -> Result<Table, Refusal> {
    let client = operator
        .connect("console")
        .await
        .map_err(refused::by_site)?;
    let rules = operator.rules().await.map_err(refused::by_site)?;
    let look = Look {
        client: &client,
        rules: &rules,
        only: migration.as_deref(),
    };
    match what {
        Show::Backfill => look.backfill().await,
        Show::Canary => look.canary().await,
        Show::Divergence => look.divergence().await,
        Show::Events => look.events().await,
        Show::Fallbacks => look.fallbacks().await,
        Show::Fences => look.fences(&shared).await,
        Show::Gates => look.gates(&operator).await,
        Show::Instances => look.instances().await,
        Show::Migrations => look.migrations().await,
        Show::Plans => look.plans().await,
        Show::Statements => look.statements().await,
        // Answered without the database.
        Show::Clients
        | Show::Config
        | Show::Databases
        | Show::Help
        | Show::Lists
        | Show::Pools
        | Show::Servers
        | Show::Sessions
        | Show::State
        | Show::Stats
        | Show::StatsAverages
        | Show::StatsTotals
        | Show::Users
        | Show::Version => Err(Refusal::new(
            "XX000",
            "this is not the database's to answer",
        )),
    }
}

pub(super) fn constant(of: Constant, user: &str, database: &str) -> Table {
    let (columns, value) = match of {
        Constant::One => (ONE, 1_i64.into()),
        Constant::Version => (VERSION, command::SERVER_VERSION.into()),
        Constant::User => (USER, user.into()),
        Constant::Database => (DATABASE, database.into()),
    };
    Table {
        columns,
        rows: vec![vec![value]],
    }
}

pub(super) fn setting(value: &str) -> Table {
    Table {
        columns: SETTING,
        rows: vec![vec![value.into()]],
    }
}
