//! What is migrated under the random statements.

use anyhow::Context;
use crossfade_testbed::Postgres;
use crossfade_tests::estate::Estate;
use crossfade_tests::generate::{self, Case, Choices};
use crossfade_tests::sides::{self, Sides};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

/// One of each kind of edge row.
const AGENTS: u32 = 115;

/// Rows whose ids the grammar knows, rows that only the unified side has, unique indexes that are no
/// constraints, and no foreign keys on the legacy table: they would act on one side only in the phases
/// that no longer write it.
pub const MORE: &str = "\
    ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey;
    ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey;
    INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role)
    SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid, 'fix_' || n,
           'fix.' || n || '@example.com', 'Fix ' || n,
           (ARRAY['admin', 'operator', 'iso_agent'])[1 + n % 3]::user_role
      FROM generate_series(1, 9) AS n;
    CREATE UNIQUE INDEX iso_agents_lower ON iso_agents (lower(email));
    CREATE UNIQUE INDEX users_lower ON users (lower(email)) WHERE role <> 'customer';
    CREATE UNIQUE INDEX iso_agents_some ON iso_agents (clerk_user_id text_pattern_ops)
        WHERE role = 'iso_agent' AND is_active;
    CREATE UNIQUE INDEX users_some ON users (clerk_user_id text_pattern_ops)
        WHERE role = 'sales_rep' AND is_active;
    INSERT INTO users (clerk_user_id, email, full_name)
    SELECT 'customer_' || n, 'customer.' || n || '@example.com', 'Customer ' || n
      FROM generate_series(1, 3) AS n;";

#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// One table that moves as it is.
    Agents,
    /// Three that refer to each other.
    Estate(&'static Estate),
}

/// The server, and what must live as long as it.
pub enum Ground {
    Agents(Box<World>),
    Estate(Postgres),
}

impl Ground {
    pub fn postgres(&self) -> &Postgres {
        match self {
            Ground::Agents(world) => &world.postgres,
            Ground::Estate(postgres) => postgres,
        }
    }
}

impl Subject {
    pub async fn ground(self) -> anyhow::Result<Ground> {
        Ok(match self {
            Subject::Agents => Ground::Agents(Box::new(World::start_filled(AGENTS, MORE).await?)),
            Subject::Estate(_) => Ground::Estate(Estate::start().await?),
        })
    }

    /// Lays down the database that is left alone; its name.
    pub async fn straight(self, ground: &Ground) -> anyhow::Result<String> {
        match (self, ground) {
            (Subject::Estate(estate), Ground::Estate(postgres)) => {
                estate.straight(postgres).await?;
            }
            (_, Ground::Agents(world)) => {
                world.database("straight").await?;
                let client = world.postgres.connect("straight").await?;
                let both = Sides {
                    legacy: true,
                    unified: false,
                };
                client.batch_execute(&sides::probe(both)).await?;
            }
            (Subject::Agents, Ground::Estate(_)) => anyhow::bail!("another's ground"),
        }
        Ok("straight".to_owned())
    }

    /// Lays down a database in a phase, behind a proxy.
    pub async fn in_phase(self, ground: &Ground, phase: Phase) -> anyhow::Result<(String, Proxy)> {
        let database = Estate::database(phase);
        let proxy = match (self, ground) {
            (Subject::Estate(estate), Ground::Estate(postgres)) => {
                estate.in_phase(postgres, phase).await?
            }
            (_, Ground::Agents(world)) => {
                let proxy = world.in_phase(&database, phase).await?;
                let kept = Sides {
                    legacy: phase.writes_both() || phase == Phase::LegacyOnly,
                    unified: phase != Phase::LegacyOnly,
                };
                let client = world.postgres.connect(&database).await?;
                client.batch_execute(&sides::probe(kept)).await?;
                proxy
            }
            (Subject::Agents, Ground::Estate(_)) => anyhow::bail!("another's ground"),
        };
        Ok((database, proxy))
    }

    pub fn case(self, choices: &mut Choices) -> Case {
        match self {
            Subject::Agents => generate::case(choices),
            Subject::Estate(_) => generate::estate::case(choices),
        }
    }

    /// What must have occurred in a run that is long enough.
    pub fn constructs(self) -> &'static [&'static str] {
        match self {
            Subject::Agents => &[],
            Subject::Estate(_) => generate::estate::CONSTRUCTS,
        }
    }

    /// What brings a session back to what it was.
    pub fn discard(self) -> &'static str {
        match self {
            Subject::Agents => "DISCARD TEMP",
            Subject::Estate(_) => "DISCARD ALL",
        }
    }

    /// Has the sequences begin anew before a statement, where both sides draw from one.
    pub async fn begin(
        self,
        direct: &tokio_postgres::Client,
        statement: usize,
    ) -> anyhow::Result<()> {
        if let Subject::Estate(_) = self {
            let begin = format!("SELECT probe.begin({})", 5_000 + statement * 50);
            direct.batch_execute(&begin).await.context("begin")?;
        }
        Ok(())
    }

    /// The refusals that are accepted, in the words of their messages and of docs/limits.md.
    pub fn accepted(self) -> &'static [&'static str] {
        match self {
            Subject::Agents => &[
                "MERGE into a migrated table before PostgreSQL 17",
                "TABLESAMPLE of a table that is read from its new place",
                "WHERE CURRENT OF once reads are unified",
                "the system column",
                "a whole row as a result column",
                "is named without its schema",
            ],
            Subject::Estate(_) => &[
                "MERGE into a migrated table before PostgreSQL 17",
                "MERGE that updates the key",
                "a whole row as a result column",
                "DEFAULT for id, which is GENERATED ALWAYS AS IDENTITY, in an UPDATE",
                "ON CONFLICT DO UPDATE of what the generated column yearly is computed from",
                "COPY without a list of columns into a table with generated ones",
                "at REPEATABLE READ nothing can tell whether foreign key",
                "at REPEATABLE READ nothing can tell whether unique constraint",
            ],
        }
    }
}
