//! The `iso_agents` → `users` schema of the demo and the tests, and rows for it.
//!
//! Knows the tables and the rows that make a migration fail elsewhere. Knows nothing of how
//! one side maps to the other: that is the rule file's.

use tokio_postgres::Client;

/// Both sides as they stand before the first step.
pub const SCHEMA: &str = include_str!("iso_agents.sql");

/// All that decides which rows there are, for whoever keeps what was filled.
pub const SOURCE: &str = include_str!("iso_agents.rs");

/// What [`fill`] puts into the legacy tables.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Agents beside the seeded `system` one; client profiles and requests follow from it.
    pub agents: u32,
    /// Also one agent whose phone has 21 characters, which `users.phone` cannot hold: no
    /// backfill can carry that row.
    pub unmovable: bool,
}

impl Rows {
    #[must_use]
    pub fn agents(agents: u32) -> Self {
        Rows {
            agents,
            unmovable: false,
        }
    }
}

/// Creates both sides' tables in the client's database.
pub async fn install(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(SCHEMA).await
}

/// Fills the legacy tables. The rows depend on `rows` alone (ids included), timestamps excepted.
pub async fn fill(client: &Client, rows: &Rows) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(SYSTEM).await?;
    let agents = i32::try_from(rows.agents).unwrap_or(i32::MAX);
    client.execute(AGENTS, &[&agents]).await?;
    client.execute(CLIENT_PROFILES, &[&agents]).await?;
    client.execute(REQUESTS, &[&agents]).await?;
    if rows.unmovable {
        client.batch_execute(UNMOVABLE).await?;
    }
    client
        .batch_execute("ANALYZE iso_agents, client_profiles, requests")
        .await
}

/// Puts every legacy row into the unified table, as a backfill should: by SQL of its own, so
/// that tests can start in a late phase without trusting the lens that they test.
pub async fn carry_over(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(CARRY_OVER).await?;
    client.batch_execute("ANALYZE users").await
}

const CARRY_OVER: &str = "\
INSERT INTO users (id, clerk_user_id, email, full_name, margin_type, margin_value, is_active,
                   metadata, created_at, updated_at, role, phone, timezone)
SELECT id, clerk_user_id, email, full_name, margin_type, margin_value, is_active,
       metadata, created_at, updated_at,
       CASE role WHEN 'iso_agent' THEN 'sales_rep' ELSE role END,
       metadata->>'phone', coalesce(nullif(metadata->>'timezone', ''), 'UTC')
  FROM iso_agents";

const SYSTEM: &str = "\
INSERT INTO iso_agents (clerk_user_id, email, full_name, role)
VALUES ('system', 'system@jetvision.ai', 'System User', 'admin')";

/// Agent `n` has the same id in every cluster, so that tests can name rows. Every nullable
/// column is NULL somewhere; metadata is absent, empty, half filled, and has a time zone of ''.
const AGENTS: &str = "\
INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, margin_type, margin_value,
                        is_active, metadata, created_at, updated_at)
SELECT md5('iso_agent ' || n)::uuid,
       'user_' || n,
       'agent.' || n || '@example.com',
       CASE WHEN n % 89 = 0 THEN 'Zoë O''Brien-' || n || E' \\\\ \"quoted\"'
            ELSE 'Agent ' || n END,
       CASE WHEN n % 50 = 0 THEN 'admin'
            WHEN n % 20 = 1 THEN 'operator'
            ELSE 'iso_agent' END::user_role,
       CASE WHEN n % 61 = 0 THEN NULL WHEN n % 4 = 0 THEN 'fixed'
            ELSE 'percentage' END::margin_type,
       CASE WHEN n % 67 = 0 THEN NULL ELSE (n % 1000) / 10.0 END,
       CASE WHEN n % 71 = 0 THEN NULL ELSE n % 9 <> 0 END,
       CASE WHEN n % 97 = 0 THEN NULL
            WHEN n % 101 = 0 THEN jsonb_build_object('timezone', '')
            WHEN n % 103 = 0 THEN 'null'::jsonb
            WHEN n % 5 = 0 THEN jsonb_build_object('phone', '+1555' || lpad(n::text, 7, '0'),
                                                   'timezone', 'Europe/Berlin')
            WHEN n % 3 = 0 THEN jsonb_build_object('timezone', 'America/New_York')
            WHEN n % 7 = 0 THEN jsonb_build_object('phone', '+44 20 ' || lpad(n::text, 8, '0'))
            ELSE '{}' END,
       CASE WHEN n % 109 = 0 THEN NULL
            ELSE timestamptz '2024-01-01 00:00:00+00' + n * interval '37 minutes' END,
       CASE WHEN n % 113 = 0 THEN NULL
            ELSE timestamptz '2024-06-01 00:00:00.123456+00' + n * interval '41 minutes' END
  FROM generate_series(1, $1::int) AS n";

const CLIENT_PROFILES: &str = "\
INSERT INTO client_profiles (id, iso_agent_id, company_name, contact_name, email)
SELECT md5('client_profile ' || n)::uuid, md5('iso_agent ' || n)::uuid,
       'Company ' || n, 'Contact ' || n, 'contact.' || n || '@example.com'
  FROM generate_series(1, $1::int, 10) AS n";

const REQUESTS: &str = "\
INSERT INTO requests (id, iso_agent_id, client_profile_id, departure_airport, arrival_airport,
                      departure_date, passengers)
SELECT md5('request ' || n)::uuid, md5('iso_agent ' || n)::uuid,
       md5('client_profile ' || n)::uuid, 'KTEB', 'EGGW', now() + interval '30 days', 1 + n % 12
  FROM generate_series(1, $1::int, 10) AS n";

const UNMOVABLE: &str = "\
INSERT INTO iso_agents (id, clerk_user_id, email, full_name, metadata)
VALUES (md5('iso_agent unmovable')::uuid, 'user_unmovable', 'unmovable@example.com',
        'Phone of 21 characters', '{\"phone\": \"+49 30 123456 ext. 99\"}')";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Postgres;

    #[tokio::test]
    async fn the_rows_hold_every_edge_that_the_tables_allow() {
        let server = Postgres::start().await.unwrap();
        let client = server.connect("postgres").await.unwrap();
        install(&client).await.unwrap();
        let rows = Rows {
            agents: 1_000,
            unmovable: true,
        };
        fill(&client, &rows).await.unwrap();

        for (edge, condition) in [
            ("no metadata", "metadata IS NULL"),
            ("a JSON null", "metadata = 'null'"),
            ("an empty time zone", "metadata->>'timezone' = ''"),
            ("a phone", "length(metadata->>'phone') <= 20"),
            ("a phone too long", "length(metadata->>'phone') = 21"),
            ("no margin type", "margin_type IS NULL"),
            ("no margin", "margin_value IS NULL"),
            ("neither active nor not", "is_active IS NULL"),
            ("never created", "created_at IS NULL"),
            ("never updated", "updated_at IS NULL"),
            ("an operator", "role = 'operator'"),
            ("an admin", "role = 'admin'"),
            ("a quote in the name", "full_name LIKE '%''%'"),
        ] {
            let sql = format!("SELECT count(*) FROM iso_agents WHERE {condition}");
            let found: i64 = client.query_one(&sql, &[]).await.unwrap().get(0);
            assert!(found > 0, "{edge}: no row where {condition}");
        }
        let row = client
            .query_one(
                "SELECT (SELECT count(*) FROM iso_agents), (SELECT count(*) FROM users)",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 1_002);
        assert_eq!(row.get::<_, i64>(1), 0);
    }
}
