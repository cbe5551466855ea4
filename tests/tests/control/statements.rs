//! What came of statements, by shape and phase.

use crossfade_tests::World;
use crossfade_tests::control::until;
use rewrite_rules::Phase;
use serde_json::Value;

#[tokio::test]
async fn what_came_of_each_shape_is_counted_in_each_phase_without_its_constants() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("results", Phase::DualRead).await.unwrap();
    let operator = world.postgres.connect("results").await.unwrap();
    let client = proxy.client().await.unwrap();
    for user in 1..=9 {
        let read = format!("SELECT full_name FROM iso_agents WHERE clerk_user_id = 'user_{user}'");
        client.simple_query(&read).await.unwrap();
    }
    let by_user = "SELECT email FROM iso_agents WHERE clerk_user_id = $1";
    for user in ["user_1", "user_2", "nobody"] {
        client.query(by_user, &[&user]).await.unwrap();
    }
    let write =
        "UPDATE iso_agents SET full_name = 'Secret' WHERE clerk_user_id IN ('user_1', 'user_2')";
    client.batch_execute(write).await.unwrap();
    let wrong = "SELECT ('Secret' || email)::int FROM iso_agents";
    assert!(client.batch_execute(wrong).await.is_err());
    let refused = "SELECT ctid FROM iso_agents WHERE email = 'Secret'";
    assert!(client.batch_execute(refused).await.is_err());
    operator
        .batch_execute("DELETE FROM users WHERE clerk_user_id = 'user_3'")
        .await
        .unwrap();
    let missing = "SELECT role FROM iso_agents WHERE clerk_user_id = 'user_3'";
    client.simple_query(missing).await.unwrap();
    until(
        &operator,
        "EXISTS (SELECT FROM crossfade.statement_results WHERE fallbacks = 1)",
    )
    .await
    .unwrap();
    let json = proxy
        .crossfade(&["statements", "iso_agents", "--json"])
        .await
        .unwrap();
    assert!(
        !json.contains("Secret") && !json.contains("user_1"),
        "{json}"
    );
    let all: Vec<Value> = serde_json::from_str(&json).unwrap();
    let of = |word: &str| {
        let mut found = all
            .iter()
            .filter(|one| one["statement"].as_str().is_some_and(|s| s.contains(word)));
        let one = found.next().unwrap_or_else(|| panic!("{word}: {json}"));
        assert!(found.next().is_none(), "{word}: {json}");
        assert_eq!(
            (&one["migration"], &one["phase"]),
            (&"iso_agents".into(), &"dual_read".into())
        );
        one.clone()
    };
    let counts = |one: &Value| {
        ["calls", "rows", "failed", "refused", "fallbacks"].map(|name| one[name].as_i64().unwrap())
    };
    let names = of("SELECT full_name");
    assert_eq!(counts(&names), [9, 9, 0, 0, 0]);
    assert!(
        names["mean_ms"].as_f64() > Some(0.0) && names["p99_ms"].as_f64() > Some(0.0),
        "{names}"
    );
    assert_eq!(counts(&of("SELECT email")), [3, 2, 0, 0, 0]);
    assert_eq!(counts(&of("UPDATE iso_agents")), [1, 2, 0, 0, 0]);
    assert_eq!(counts(&of("::int")), [0, 0, 1, 0, 0]);
    let refused = of("ctid");
    assert_eq!(counts(&refused), [0, 0, 0, 1, 0]);
    assert!(
        refused["why"].as_str().unwrap().contains("ctid"),
        "{refused}"
    );
    assert_eq!(counts(&of("SELECT role")), [1, 1, 0, 0, 1]);
    let text = proxy.crossfade(&["statements"]).await.unwrap();
    assert!(
        text.contains("iso_agents in dual_read: 9 times, 9 rows"),
        "{text}"
    );

    // In another phase they are counted apart.
    proxy
        .turn_to("iso_agents", Phase::UnifiedRead)
        .await
        .unwrap();
    until(
        &operator,
        "EXISTS (SELECT FROM crossfade.instances WHERE phase = 'unified_read')",
    )
    .await
    .unwrap();
    client.simple_query(missing).await.unwrap();
    until(
        &operator,
        "(SELECT array_agg(calls ORDER BY phase) = '{1,1}' FROM crossfade.statement_results \
         WHERE statement LIKE 'SELECT role%')",
    )
    .await
    .unwrap();
}
