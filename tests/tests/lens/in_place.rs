//! Columns that move in place: both are set whoever writes, and nobody can talk the trigger out of it.

use crossfade_tests::twin::{Twin, answer};
use rewrite_rules::Phase;

use super::iso_agents::case;

const BOTH: &str =
    "SELECT iso_agent_id = user_id AS x FROM client_profiles WHERE company_name = 'C'";

#[tokio::test]
async fn both_columns_are_set_also_of_what_replication_writes_and_whatever_a_client_has_set() {
    let twin = Twin::start_as_owner(case()).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    let operator = twin.superuser().await.unwrap();
    let replicated = "SET session_replication_role = replica; \
        INSERT INTO client_profiles (iso_agent_id, company_name, contact_name, email) VALUES (md5('a3')::uuid, 'C', 'N', 'n@example.com')";
    operator.batch_execute(replicated).await.unwrap();
    assert_eq!(answer(&twin.direct, BOTH).await, "(x)\ndone 1\nt");
    let moved = "UPDATE client_profiles SET user_id = md5('a4')::uuid WHERE company_name = 'C'";
    operator.batch_execute(moved).await.unwrap();
    assert_eq!(answer(&twin.direct, BOTH).await, "(x)\ndone 1\nt");
    // A client's word for it, and even a superuser's, is not the backfill's.
    for client in [&twin.direct, &operator] {
        for of in ["a3", "a4"] {
            let past = format!(
                "SET crossfade.in_place = 'on'; UPDATE client_profiles SET user_id = md5('{of}')::uuid WHERE company_name = 'C'"
            );
            client.batch_execute(&past).await.unwrap();
            assert_eq!(answer(&twin.direct, BOTH).await, "(x)\ndone 1\nt");
        }
    }
}
