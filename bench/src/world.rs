//! The database under load: pgbench's tables, both sides of the `iso_agents` migration in step,
//! and the same rows arranged as the alternatives inside PostgreSQL need them.

use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, ensure};
use crossfade::control::schema;
use crossfade_testbed::{Postgres, iso_agents};
use rewrite_rules::{Phase, RuleSet, SourceFile};

use crate::rules::{HELD, held_in, rules_in};

const AGENTS: u32 = 10_000;

/// Connections of clients and proxies at one time: small runs only, thousands go to the stub.
const CONNECTIONS_MAX: &str = "300";

pub struct World {
    pub postgres: Postgres,
    /// Keys of `iso_agents`, the same on both sides.
    pub agents: Arc<Vec<String>>,
    pub accounts: u64,
}

impl World {
    pub async fn build(scale: u32) -> anyhow::Result<World> {
        let settings = [
            ("max_connections", CONNECTIONS_MAX),
            ("shared_buffers", "512MB"),
            // A checkpoint in the middle of one round would be that round's endpoint's.
            ("checkpoint_timeout", "1h"),
            ("max_wal_size", "8GB"),
            ("autovacuum", "off"),
        ];
        let postgres = Postgres::start_with(&settings).await?;
        initialize_pgbench(&postgres, scale)?;
        let client = postgres.connect("postgres").await?;
        iso_agents::install(&client).await?;
        iso_agents::fill(&client, &iso_agents::Rows::agents(AGENTS)).await?;
        iso_agents::carry_over(&client).await?;
        let agents = client
            .query("SELECT id::text FROM iso_agents ORDER BY id", &[])
            .await?;
        drop(client);
        copy(&postgres).await?;
        let client = postgres.connect("postgres").await?;
        prepare(&client, Phase::DualWrite).await?;
        client
            .batch_execute(include_str!("alternatives.sql"))
            .await?;
        Ok(World {
            agents: Arc::new(agents.iter().map(|row| row.get(0)).collect()),
            accounts: u64::from(scale) * 100_000,
            postgres,
        })
    }

    /// Between rounds: what updates have left behind must not slow the later ones.
    pub async fn tidy(&self) -> anyhow::Result<()> {
        let held = HELD.into_iter().map(held_in);
        for database in held.chain(["postgres".to_owned()]) {
            let client = self.postgres.connect(&database).await?;
            // Not in one text: VACUUM refuses the transaction that this would be.
            client.batch_execute("VACUUM").await?;
            client.batch_execute("CHECKPOINT").await?;
        }
        Ok(())
    }
}

fn initialize_pgbench(postgres: &Postgres, scale: u32) -> anyhow::Result<()> {
    let status = Command::new(postgres.bin("pgbench"))
        .args(["--initialize", "--quiet", "--scale", &scale.to_string()])
        .args(["--host", "127.0.0.1", "--username", "postgres"])
        .args(["--port", &postgres.port.to_string(), "postgres"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("running pgbench (Debian, Ubuntu: package postgresql-contrib)")?;
    ensure!(status.success(), "pgbench could not fill its tables");
    Ok(())
}

/// A database for each phase that proxies are held to: one has one phase.
async fn copy(postgres: &Postgres) -> anyhow::Result<()> {
    let client = postgres.connect("template1").await?;
    for phase in HELD {
        let database = held_in(phase);
        let create = format!("CREATE DATABASE {database} TEMPLATE postgres");
        client.batch_execute(&create).await?;
        prepare(&postgres.connect(&database).await?, phase).await?;
    }
    Ok(())
}

/// What dual writes call inside the database.
async fn prepare(client: &tokio_postgres::Client, phase: Phase) -> anyhow::Result<()> {
    let file = SourceFile {
        path: "iso_agents.toml".into(),
        text: rules_in(phase),
    };
    schema::prepare(client, &RuleSet::compile(vec![file])?, schema::Ddl::OfAll).await?;
    Ok(())
}
