//! Keys that change under rows that refer to them: foreign keys do what they do to the straight
//! statement, whichever side leads.

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::raw::RawClient;
use rewrite_rules::Phase;

/// Tables that refer to agents, each by another action, and the agent that each refers to.
const ACTIONS: [(&str, &str, u32); 6] = [
    ("deletes", "ON DELETE CASCADE", 2),
    ("restricts", "ON DELETE CASCADE ON UPDATE RESTRICT", 3),
    ("cascades", "ON DELETE CASCADE ON UPDATE CASCADE", 4),
    ("nulls", "ON DELETE CASCADE ON UPDATE SET NULL", 5),
    (
        "waits",
        "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
        6,
    ),
    (
        "cascades_late",
        "ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED",
        7,
    ),
];

fn tables() -> String {
    let table = |(name, action, agent): &(&str, &str, u32)| {
        format!(
            "CREATE TABLE {name} (agent uuid REFERENCES iso_agents (id) {action}); \
             INSERT INTO {name} SELECT id FROM iso_agents WHERE email = 'agent.{agent}@example.com'; \
             GRANT ALL ON {name} TO PUBLIC;"
        )
    };
    ACTIONS.iter().map(table).collect()
}

async fn told(port: u16, database: &str, sql: &str) -> anyhow::Result<Vec<String>> {
    let mut client = RawClient::connect(port, database).await?;
    Ok(comparable(&client.simple(sql).await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_changes_does_to_its_dependents_what_their_foreign_keys_say()
-> anyhow::Result<()> {
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let world = World::start().await?;
        world.database("alone").await?;
        let proxy = world.in_phase("moved", phase).await?;
        let mut statements = Vec::new();
        for (name, _, agent) in ACTIONS {
            let row = format!("WHERE email = 'agent.{agent}@example.com'");
            statements.extend([
                format!("UPDATE iso_agents SET id = '00000000-0000-4000-8000-00000000000{agent}' {row} RETURNING id, email"),
                format!("UPDATE iso_agents SET id = '00000000-0000-4000-8000-00000000001{agent}', full_name = 'x', margin_value = 7 {row}"),
                format!("BEGIN; UPDATE iso_agents SET id = '00000000-0000-4000-8000-00000000002{agent}' {row}; UPDATE {name} SET agent = '00000000-0000-4000-8000-00000000002{agent}'; COMMIT"),
                format!("SELECT agent FROM {name}"),
            ]);
        }
        statements.extend([
            // The key that a row leaves is another's at the end of the statement.
            "UPDATE iso_agents SET id = CASE email WHEN 'agent.2@example.com' THEN '00000000-0000-4000-8000-000000000100' \
             ELSE md5('iso_agent 2')::uuid END WHERE email IN ('agent.2@example.com', 'agent.12@example.com')".to_owned(),
            "SELECT agent FROM deletes".to_owned(),
            // Profiles and requests refer to it.
            "UPDATE iso_agents SET id = gen_random_uuid() WHERE email = 'agent.1@example.com'".to_owned(),
            "SELECT count(*) FROM client_profiles".to_owned(),
            "SELECT id, email, full_name, margin_value FROM iso_agents ORDER BY email".to_owned(),
        ]);
        let owner = world.postgres.connect("moved").await?;
        owner.batch_execute(&tables()).await?;
        let alone = world.postgres.connect("alone").await?;
        alone.batch_execute(&tables()).await?;
        for sql in &statements {
            let expected = told(world.postgres.port, "alone", sql).await?;
            let found = told(proxy.port, "moved", sql).await?;
            assert_eq!(found, expected, "{phase}: {sql}");
        }
        let differ = "SELECT count(*) FROM (SELECT id, email, full_name, margin_value FROM iso_agents) AS l \
                      FULL JOIN (SELECT id, email, full_name, margin_value FROM users) AS u USING (id, email, full_name) \
                      WHERE l.margin_value IS DISTINCT FROM u.margin_value";
        let differ: i64 = owner.query_one(differ, &[]).await?.get(0);
        assert_eq!(differ, 0, "{phase}");
    }
    Ok(())
}
