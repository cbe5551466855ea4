//! What is migrated under the random statements.

use anyhow::Context;
use crossfade_testbed::Postgres;
use crossfade_tests::estate::{BY_STEPS, Estate, ROLES, Role};
use crossfade_tests::generate::{self, Case, Choices, Statement};
use crossfade_tests::sides::{self, Sides};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

use super::compare::{Failure, Limit};

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

    /// The limit that an answer to the last of some statements is an instance of.
    pub fn limit(
        self,
        phase: Phase,
        statements: &[&Statement],
        wanted: &[String],
        got: &[String],
    ) -> Option<Limit> {
        let (Subject::Estate(estate), Some(last)) = (self, statements.last()) else {
            return None;
        };
        let (wanted, got) = (Failure::of(wanted), Failure::of(got));
        let is = |sqlstate: &str| got.as_ref().is_some_and(|failure| failure.is(sqlstate));
        let becomes = |role: &&Role| {
            let set = format!("SET ROLE {}", role.name);
            statements.iter().any(|statement| statement.sql == set)
        };
        let role = ROLES.iter().find(becomes);
        let same_key = |failure: &Failure| {
            let key = failure.told.rsplit(" | ").next().map(str::to_owned);
            failure.is("23503").then_some(key)
        };
        let of_one = |failure: &Option<Failure<'_>>| failure.as_ref().and_then(same_key);
        // At the end of a transaction a row that was written and the row that it refers to both have their say.
        let ends = last.sql.starts_with("COMMIT") || last.sql.starts_with("SET CONSTRAINTS");
        if ends && of_one(&got).is_some() && of_one(&got) == of_one(&wanted) {
            return Some(Limit::Apart);
        }
        // A role with less than it needs is denied more, never less.
        if is("42501") && role.is_some_and(|role| !role.settled) {
            return Some(Limit::Apart);
        }
        // The row that it refers to is locked as if its key changed, or another key's change was waited for.
        let repeatable = |statement: &&Statement| statement.sql.contains("REPEATABLE READ");
        let refers = last.sql.contains("tenants") && statements.iter().any(repeatable);
        if is("40001") && (refers || last.sql.contains("SET id")) {
            return Some(Limit::Apart);
        }
        // Whoever is put is locked as if its key changed: a cycle where PostgreSQL has none.
        if is("40P01") && (phase.writes_both() || estate.name == BY_STEPS.name) {
            return Some(Limit::Apart);
        }
        let leads = phase >= Phase::UnifiedRead;
        // The place of a value in ON CONFLICT DO UPDATE that its column does not take.
        let conflicts = last.sql.contains("DO UPDATE SET") && leads;
        if conflicts && is("22") && wanted.as_ref().is_some_and(|failure| failure.is("22")) {
            return Some(Limit::Apart);
        }
        // Of two errors in values either may be told.
        let values = last
            .constructs
            .iter()
            .filter(|c| c.starts_with("no room"))
            .count();
        let of_values = |failure: &Failure| failure.is("22") || failure.is("23");
        let both = got.as_ref().is_some_and(of_values) && wanted.as_ref().is_some_and(of_values);
        if values > 1 && both {
            return Some(Limit::Apart);
        }
        // What is left of the table is rows, of which something may be pending.
        let emptied = last.sql.starts_with("TRUNCATE") && phase >= Phase::UnifiedOnly;
        if emptied && got.is_none() && wanted.as_ref().is_some_and(|w| w.is("55006")) {
            return Some(Limit::Apart);
        }
        // Of two errors: what a column may not be set to, and a parameter that nothing uses.
        if is("428C9") && wanted.as_ref().is_some_and(|w| w.is("42P18")) {
            return Some(Limit::Apart);
        }
        // An action of a foreign key that lenses see to is done with the rights of whoever deletes or moves; up to
        // shadow_read a failure of it is recorded.
        let acts = ["key change", "DELETE"];
        let acts = acts.iter().any(|word| last.constructs.contains(word))
            || last.sql.starts_with("DELETE FROM houses");
        let recorded = matches!(phase, Phase::DualWrite | Phase::ShadowRead);
        let alone = role.is_some_and(|role| role.name == "estate_landlord");
        if estate.name == BY_STEPS.name && alone && acts && (is("42501") || recorded) {
            return Some(Limit::Apart);
        }
        // Of two errors: a constant that is no such value is found as it is planned.
        if is("42501") && wanted.is_some_and(|failure| failure.is("22")) {
            return Some(Limit::Apart);
        }
        None
    }
}
