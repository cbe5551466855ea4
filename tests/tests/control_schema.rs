//! What `prepare` puts into the application's database, and who may use it.

use std::sync::{Arc, Mutex};

use crossfade_tests::control::number;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::AsyncMessage;
use tokio_postgres::NoTls;

#[tokio::test]
async fn preparations_at_the_same_time_do_not_collide() {
    let world = World::start().await.unwrap();
    world.database("many").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "many", Phase::LegacyOnly).unwrap();
    let prepare = || proxy.crossfade(&["prepare"]);
    let outcomes = tokio::join!(prepare(), prepare(), prepare(), prepare());
    let texts = [outcomes.0, outcomes.1, outcomes.2, outcomes.3].map(Result::unwrap);
    let created = texts
        .iter()
        .filter(|t| t.contains("created schema"))
        .count();
    assert_eq!(created, 1, "{texts:?}");
}

#[tokio::test]
async fn the_application_may_call_the_functions_and_touch_no_table() {
    let world = World::start().await.unwrap();
    world.database("rights").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "rights", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let application = world.client(&world.direct_url("rights")).await.unwrap();
    application
        .batch_execute(
            "SELECT crossfade.fell_back('iso_agents', NULL); \
             SELECT crossfade.record_divergence('iso_agents', 't', '[1]', 'why', '23505'); \
             SELECT crossfade.record_divergence('iso_agents', 't', '[1]', 'again', '23505'); \
             SELECT crossfade.tombstone('iso_agents', 't', '[1]')",
        )
        .await
        .unwrap();
    for table in [
        "version",
        "divergence",
        "tombstones",
        "backfill",
        "events",
        "instances",
    ] {
        let error = application
            .batch_execute(&format!("TABLE crossfade.{table}"))
            .await
            .unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{table}");
    }
    let client = world.client(&world.postgres.url("rights")).await.unwrap();
    let twice = "SELECT count(*) FROM crossfade.divergence WHERE times = 2 AND reason = 'again'";
    assert_eq!(number(&client, twice).await.unwrap(), 1);
}

#[tokio::test]
async fn a_fallback_is_heard_whatever_the_session_says_and_from_parallel_workers() {
    let world = World::start().await.unwrap();
    world.database("heard").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "heard", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let url = world.postgres.url("heard");
    let (client, mut connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notice(notice) = message {
                let said = (notice.code().code().to_owned(), notice.message().to_owned());
                ear.lock().unwrap().push(said);
            }
        }
    });
    client
        .batch_execute(
            "SET client_min_messages = error; SET force_parallel_mode = on; \
             SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; \
             SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2",
        )
        .await
        .unwrap();
    let counted = "SELECT count(*) FROM iso_agents \
                   WHERE crossfade.fell_back('iso_agents', id::text)";
    let plan: Vec<String> = client
        .query(&format!("EXPLAIN {counted}"), &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(plan.iter().any(|line| line.contains("Gather")), "{plan:?}");
    let rows: i64 = client.query_one(counted, &[]).await.unwrap().get(0);
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), usize::try_from(rows).unwrap());
    assert!(
        heard
            .iter()
            .all(|(code, text)| code == "CF001" && text == "iso_agents")
    );
}
