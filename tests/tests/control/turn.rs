//! The step by which reads turn to unified, beside writes whose unified half fails.

use crossfade::fault;
use crossfade_tests::control::{Running, number};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Of a user whom legacy readers do not see.
const TAKEN: &str = "INSERT INTO users (clerk_user_id, email, full_name, role) \
                     VALUES ('hidden', 'taken@example.com', 'Hidden', 'customer')";
/// Legacy takes it, unified does not.
const FAILS: &str = "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
                     VALUES ('another', 'taken@example.com', 'Another')";
const RECORDED: &str = "SELECT count(*) FROM crossfade.divergence";

async fn in_shadow_read(world: &World, name: &str) -> (Proxy, Client) {
    let proxy = world.in_phase(name, Phase::ShadowRead).await.unwrap();
    let operator = world.client(&world.postgres.url(name)).await.unwrap();
    operator.batch_execute(TAKEN).await.unwrap();
    (proxy, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_cannot_be_recorded_while_reads_turn_is_to_be_tried_again() {
    let world = World::start().await.unwrap();
    let (proxy, operator) = in_shadow_read(&world, "again").await;
    let args = ["advance", "iso_agents"];
    let ends = [(fault::VARIABLE, fault::READS_TURN)];
    let killed = Running::start_with(&proxy.config(), &args, &ends).unwrap();
    assert!(!killed.end().await.unwrap().status.success());
    let new = proxy.client().await.unwrap();
    let error = new.batch_execute(FAILS).await.unwrap_err();
    assert_eq!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE),
        "{error}"
    );
    assert_eq!(number(&operator, RECORDED).await.unwrap(), 0);
    let stands = ["advance", "iso_agents", "--to", "shadow_read"];
    proxy.crossfade(&stands).await.unwrap();
    new.batch_execute(FAILS).await.unwrap();
    assert_eq!(number(&operator, RECORDED).await.unwrap(), 1);
}
