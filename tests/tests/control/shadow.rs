//! Shadow reads: compared in one snapshot, off the client's path, by the client's own parameters.

use crossfade_tests::control::a_moment;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

#[tokio::test]
async fn a_read_that_unified_would_answer_otherwise_is_reported() {
    let world = World::start().await.unwrap();
    world.database("shadow").await.unwrap();
    let proxy = Proxy::with_config(&world.postgres, "shadow", "[shadow]\nsample = 1.0\n").unwrap();
    proxy.write_phase(Phase::DualWrite).unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    proxy
        .turn_to("iso_agents", Phase::ShadowRead)
        .await
        .unwrap();
    let operator = world.client(&world.postgres.url("shadow")).await.unwrap();
    operator
        .batch_execute("UPDATE users SET full_name = 'other' WHERE clerk_user_id = 'user_2'")
        .await
        .unwrap();
    let proxy = proxy.serve().await.unwrap();
    let application = proxy.client().await.unwrap();

    // The same on both sides first, so that the report below can only be the second one's.
    let by_user = "SELECT full_name, role FROM iso_agents WHERE clerk_user_id = $1";
    application.query_one(by_user, &[&"user_3"]).await.unwrap();
    let row = application.query_one(by_user, &[&"user_2"]).await.unwrap();
    assert_eq!(
        row.get::<_, &str>(0),
        "Agent 2",
        "the client is answered by legacy"
    );
    while !proxy.log().contains("a shadow read differs") {
        a_moment().await;
    }
    let log = proxy.log();
    let line = log
        .lines()
        .find(|line| line.contains("a shadow read differs"))
        .unwrap();
    // One row on each side only: the other read was equal, or the count would be 2.
    assert!(
        line.contains("rows=2") && line.contains("count=1"),
        "{line}"
    );
    assert!(!log.contains("could not be compared"), "{log}");
}

#[tokio::test]
async fn a_function_of_somebodys_with_a_name_of_postgresqls_is_no_difference() {
    let world = World::start().await.unwrap();
    world.database("namesakes").await.unwrap();
    let config = "[shadow]\nsample = 1.0\n";
    let proxy = Proxy::with_config(&world.postgres, "namesakes", config).unwrap();
    proxy.write_phase(Phase::DualWrite).unwrap();
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    proxy
        .turn_to("iso_agents", Phase::ShadowRead)
        .await
        .unwrap();
    let operator = world
        .client(&world.postgres.url("namesakes"))
        .await
        .unwrap();
    // What has the very types of PostgreSQL's would be called only where it is said to come first.
    operator
        .batch_execute(
            "CREATE FUNCTION public.reverse(user_role) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'mine' $$; \
             UPDATE users SET full_name = 'other' WHERE clerk_user_id = 'user_2'",
        )
        .await
        .unwrap();
    let proxy = proxy.serve().await.unwrap();
    let application = proxy.client().await.unwrap();
    let mine = "SELECT reverse(role) FROM iso_agents WHERE clerk_user_id = $1";
    let row = application.query_one(mine, &[&"user_3"]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "mine");
    let differs = "SELECT full_name FROM iso_agents WHERE clerk_user_id = $1";
    application.query_one(differs, &[&"user_2"]).await.unwrap();
    while !proxy.log().contains("a shadow read differs") {
        a_moment().await;
    }
    // The first was not compared: it would have been told before.
    assert!(proxy.log().contains("count=1"), "{}", proxy.log());
}
