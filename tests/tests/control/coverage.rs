//! An operator learns which statements a later phase would refuse before the first step.

use crossfade_tests::{World, control};
use rewrite_rules::Phase;

/// What Sequelize's findOrCreate sends, with the words that differ each time.
fn find_or_create(tag: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION pg_temp.testfunc(OUT response \"iso_agents\", OUT sequelize_caught_exception text) \
         RETURNS RECORD AS $func_{tag}$ BEGIN INSERT INTO \"iso_agents\" (\"email\") VALUES ('{tag}') \
         RETURNING * INTO response; EXCEPTION WHEN unique_violation THEN GET STACKED DIAGNOSTICS \
         sequelize_caught_exception = PG_EXCEPTION_DETAIL; END; $func_{tag}$ LANGUAGE plpgsql; \
         SELECT (testfunc.response).\"id\" FROM pg_temp.testfunc(); DROP FUNCTION IF EXISTS pg_temp.testfunc()"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_will_be_refused_is_counted_once_for_each_time_that_it_was_sent()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("once", Phase::LegacyOnly).await?;
    let operator = world.postgres.connect("once").await?;
    // Nobody has sent anything yet, and whoever takes the step is told.
    let first = proxy
        .crossfade(&["advance", "iso_agents", "--dry-run"])
        .await?;
    assert!(
        first.contains("no statement was seen in the last week"),
        "{first}"
    );

    let client = proxy.client().await?;
    let prepared = client
        .prepare("SELECT id, role FROM iso_agents WHERE id IS NULL")
        .await?;
    client.query(&prepared, &[]).await?;
    client.query(&prepared, &[]).await?;
    client
        .batch_execute("PREPARE p AS SELECT id, metadata FROM iso_agents; EXECUTE p; DEALLOCATE p")
        .await?;
    client
        .batch_execute("DO $$ BEGIN PERFORM 1 FROM iso_agents; END $$")
        .await?;
    client
        .batch_execute("COMMENT ON TABLE iso_agents IS 'seen'")
        .await?;
    // A driver that prepares every text prepares this one as well.
    client.prepare("COPY iso_agents (email) FROM STDIN").await?;
    for tag in ["a1", "b2"] {
        // It fails, for columns that must not be NULL are.
        let _ = client.batch_execute(&find_or_create(tag)).await;
    }
    control::until(
        &operator,
        "SELECT sum(calls) >= 7 FROM crossfade.statements",
    )
    .await?;
    let rows = operator
        .query(
            "SELECT statement, calls FROM crossfade.statements ORDER BY 1",
            &[],
        )
        .await?;
    let seen: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let calls = |word: &str| -> Vec<i64> {
        let found = seen
            .iter()
            .filter(|(statement, _)| statement.contains(word));
        found.map(|(_, calls)| *calls).collect()
    };
    for (word, expected) in [
        ("SELECT id, role", 1),
        ("SELECT id, metadata", 1),
        ("DO ", 1),
        ("COMMENT ON TABLE", 1),
        ("COPY", 1),
        ("CREATE OR REPLACE FUNCTION", 2),
    ] {
        assert_eq!(calls(word), [expected], "{word}: {seen:#?}");
    }
    let refused = control::run(&proxy.config(), &["advance", "iso_agents"]).await?;
    for told in [
        "CREATE OR REPLACE FUNCTION names table iso_agents",
        "DO names table iso_agents",
    ] {
        assert!(refused.errors.contains(told), "{told}: {refused:#?}");
    }
    assert!(!refused.errors.contains("COPY"), "{refused:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_seen_in_legacy_only_are_judged_for_every_later_phase() -> anyhow::Result<()> {
    let world = World::start().await?;
    let proxy = world.in_phase("seen", Phase::LegacyOnly).await?;
    proxy.crossfade(&["prepare"]).await?;
    let client = proxy.client().await?;
    for email in ["a@example.com", "b@example.com"] {
        client
            .query("SELECT id FROM iso_agents WHERE email = $1", &[&email])
            .await?;
    }
    client
        .batch_execute("SELECT count(*) FROM iso_agents WHERE role = 'admin'")
        .await?;
    client
        .batch_execute("SELECT count(full_name) FROM iso_agents TABLESAMPLE BERNOULLI (100)")
        .await?;
    client.batch_execute("SELECT 1 AS iso_agents").await?;
    let operator = world.postgres.connect("seen").await?;
    control::until(
        &operator,
        "EXISTS (SELECT FROM crossfade.statements WHERE statement LIKE '%TABLESAMPLE%')",
    )
    .await?;
    let calls: i64 = operator
        .query_one(
            "SELECT calls FROM crossfade.statements WHERE statement LIKE '%email%'",
            &[],
        )
        .await?
        .get(0);
    assert!(
        calls >= 1,
        "a prepared statement is counted when its text is sent"
    );

    let judged = control::run(&proxy.config(), &["coverage", "iso_agents"]).await?;
    assert_eq!(judged.status.code(), Some(1), "{judged:?}");
    let said = judged.output;
    assert!(
        said.contains("3 distinct statements, 1 of them not covered"),
        "{said}"
    );
    assert!(
        said.contains("REFUSED: crossfade does not rewrite TABLESAMPLE"),
        "{said}"
    );
    assert!(
        said.contains("in dual_read, unified_read, unified_only, retired"),
        "{said}"
    );
    Ok(())
}
