//! A throwaway server with databases to spare, each as the `iso_agents` migration finds it.

use anyhow::Context;
use crossfade_testbed::binaries::Binaries;
use crossfade_testbed::iso_agents::{self, Rows};
use crossfade_testbed::{Auth, Postgres};
use rewrite_rules::Phase;
use tokio_postgres::Client;

use crate::Proxy;

/// Enough for every kind of edge row (the rarest is one in 113).
const AGENTS: u32 = 300;
/// The application's user, who must prove itself.
pub const USER: &str = "app";
pub const PASSWORD: &str = "secret";
/// A second one, who owns nothing: what it may do it has been granted.
pub const CLERK: &str = "teller";
const TEMPLATE: &str = "filled";

pub struct World {
    pub postgres: Postgres,
}

impl World {
    /// A server, and a database that the others are copied from.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with further settings of the server.
    pub async fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::copied(Binaries::find()?, settings).await
    }

    /// [`World::start`] on the server of another installation.
    pub async fn start_from(binaries: Binaries) -> anyhow::Result<Self> {
        Self::copied(binaries, &[]).await
    }

    /// Nearly every test begins with it: what it takes to make one is done once.
    async fn copied(binaries: Binaries, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let recipe = [
            include_str!("world.rs"),
            iso_agents::SOURCE,
            iso_agents::SCHEMA,
        ]
        .concat();
        let fill = async |postgres: &Postgres| fill(postgres, AGENTS, "").await;
        let postgres = Postgres::start_filled(binaries, settings, &recipe, fill).await?;
        Ok(World { postgres })
    }

    /// The same with another number of agents, and SQL of the superuser's run in that database.
    pub async fn start_filled(agents: u32, more: &str) -> anyhow::Result<Self> {
        Self::start_filled_from(Binaries::find()?, agents, more).await
    }

    /// The same on the server of another installation.
    pub async fn start_filled_from(
        binaries: Binaries,
        agents: u32,
        more: &str,
    ) -> anyhow::Result<Self> {
        let postgres = Postgres::start_from(binaries, &[]).await?;
        fill(&postgres, agents, more).await?;
        Ok(World { postgres })
    }

    /// A server with the users, for whoever makes databases of their own: there is none to copy.
    pub async fn empty(postgres: Postgres) -> anyhow::Result<Self> {
        users(&postgres).await?;
        Ok(World { postgres })
    }

    /// A database with the tables and rows, owned by the application's user.
    pub async fn database(&self, name: &str) -> anyhow::Result<()> {
        self.sql(&format!(
            "CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {USER}"
        ))
        .await
    }

    /// A copy of one of the databases, in which nobody may be.
    pub async fn copy(&self, name: &str, of: &str) -> anyhow::Result<()> {
        self.sql(&format!(
            "CREATE DATABASE {name} TEMPLATE {of} OWNER {USER}"
        ))
        .await
    }

    /// A database and a proxy in front of it that serves it in a phase, as a migration that
    /// went well would have left both.
    pub async fn in_phase(&self, name: &str, phase: Phase) -> anyhow::Result<Proxy> {
        self.in_phase_with(name, phase, "").await
    }

    /// The same with more in the proxy's configuration.
    pub async fn in_phase_with(
        &self,
        name: &str,
        phase: Phase,
        more: &str,
    ) -> anyhow::Result<Proxy> {
        self.database(name).await?;
        let operator = self.client(&self.postgres.url(name)).await?;
        if phase > Phase::LegacyOnly {
            iso_agents::carry_over(&operator).await?;
        }
        let proxy = Proxy::with_config(&self.postgres, name, more)?;
        proxy.write_phase(phase)?;
        if phase > Phase::LegacyOnly {
            proxy.crossfade(&["prepare"]).await?;
        }
        if phase == Phase::Retired {
            operator
                .batch_execute("DROP TABLE iso_agents CASCADE")
                .await?;
        }
        proxy.serve().await
    }

    /// A database, and a proxy that does not serve yet, by rules that leave writers around the proxies to those who look once
    /// a second: no table bears a seal.
    pub async fn unsealed(&self, name: &str, phase: Phase) -> anyhow::Result<Proxy> {
        self.database(name).await?;
        let proxy = Proxy::with_rules(&self.postgres, name, phase)?;
        let rules = std::fs::read_to_string(proxy.rule_file())?;
        let ignoring = "[migration]\nwriters_around = \"ignore\"\n";
        std::fs::write(
            proxy.rule_file(),
            rules.replacen("[migration]\n", ignoring, 1),
        )?;
        if phase > Phase::LegacyOnly {
            let client = self.client(&self.postgres.url(name)).await?;
            iso_agents::carry_over(&client).await?;
            proxy.crossfade(&["prepare"]).await?;
        }
        Ok(proxy)
    }

    /// Whatever the application's user or the operator will make in a database, the clerk may use.
    pub async fn let_clerk_in(&self, database: &str) -> anyhow::Result<()> {
        let_clerk_in(&self.postgres, database).await
    }

    /// A role's way to a database, past any proxy.
    #[must_use]
    pub fn url_of(&self, user: &str, database: &str) -> String {
        url_of(&self.postgres, user, database)
    }

    /// The application's own way to a database, past any proxy.
    #[must_use]
    pub fn direct_url(&self, database: &str) -> String {
        self.url_of(USER, database)
    }

    pub async fn client(&self, url: &str) -> anyhow::Result<Client> {
        crossfade_demo::client::connect(url, "test").await
    }

    async fn sql(&self, sql: &str) -> anyhow::Result<()> {
        run(&self.postgres, sql).await
    }
}

async fn users(postgres: &Postgres) -> anyhow::Result<()> {
    postgres.create_user(USER, PASSWORD, Auth::Scram).await?;
    postgres.create_user(CLERK, PASSWORD, Auth::Scram).await?;
    Ok(())
}

async fn fill(postgres: &Postgres, agents: u32, more: &str) -> anyhow::Result<()> {
    users(postgres).await?;
    run(
        postgres,
        &format!("CREATE DATABASE {TEMPLATE} OWNER {USER}"),
    )
    .await?;
    let_clerk_in(postgres, TEMPLATE).await?;
    let owner = crossfade_demo::client::connect(&url_of(postgres, USER, TEMPLATE), "test").await?;
    iso_agents::install(&owner).await?;
    iso_agents::fill(&owner, &Rows::agents(agents)).await?;
    // The template must have no sessions when it is copied.
    drop(owner);
    let superuser = postgres.connect(TEMPLATE).await?;
    superuser.batch_execute(more).await?;
    drop(superuser);
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{TEMPLATE}'"
    );
    run(postgres, &end).await
}

async fn let_clerk_in(postgres: &Postgres, database: &str) -> anyhow::Result<()> {
    let operator = postgres.connect(database).await?;
    for owner in [USER, "CURRENT_USER"] {
        for what in ["TABLES", "SEQUENCES"] {
            let sql = format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT ALL ON {what} TO {CLERK}"
            );
            operator.batch_execute(&sql).await?;
        }
    }
    Ok(())
}

fn url_of(postgres: &Postgres, user: &str, database: &str) -> String {
    postgres.url_as(&format!("{user}:{PASSWORD}"), database)
}

async fn run(postgres: &Postgres, sql: &str) -> anyhow::Result<()> {
    let client = postgres.connect("postgres").await?;
    client
        .batch_execute(sql)
        .await
        .with_context(|| format!("`{sql}`"))
}
