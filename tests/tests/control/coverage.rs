//! An operator learns which statements a later phase would refuse before the first step.

use crossfade_tests::{World, control};
use rewrite_rules::Phase;

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
