//! Look-ups of the shipped lenses have indexes; those that lack one are named.

use crossfade_tests::twin::{Case, ENHANCED_USER, MEMBERS, Twin, USER_SETTINGS};

const TOLD: &str = "looks through the whole of";

async fn told(twin: &Twin) -> Vec<String> {
    // Whether or not there are errors besides.
    let said = match twin.crossfade("check").await {
        Ok(said) => said,
        Err(error) => error.to_string(),
    };
    assert!(said.contains(" notes"), "{said}");
    // Each of them could be planned, or nothing was looked at.
    assert!(!said.contains("cannot be told, it has no plan"), "{said}");
    let lines = said.lines().filter(|line| line.contains(TOLD));
    lines.map(str::to_owned).collect()
}

async fn prepared(case: Case) -> Twin {
    let twin = Twin::start(case).await.unwrap();
    twin.prepare().await.unwrap();
    twin
}

#[tokio::test]
async fn no_look_up_of_a_shipped_lens_reads_a_whole_table_once_it_is_prepared() {
    let mut all = Vec::new();
    for case in [USER_SETTINGS, ENHANCED_USER, MEMBERS] {
        all.append(&mut told(&prepared(case).await).await);
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[tokio::test]
async fn a_look_up_that_lost_its_index_is_named_and_so_is_a_foreign_key_without_one() {
    let twin = prepared(USER_SETTINGS).await;
    let superuser = twin.superuser().await.unwrap();
    superuser
        .batch_execute("DROP INDEX settings_org_id, org_user_user_id, settings_keycloak_user_id")
        .await
        .unwrap();
    let all = told(&twin).await.join("\n");
    for expected in [
        "the whole of public.settings for each row: no index serves (s.org_id = org.id)",
        "step owner of `put` looks through the whole of public.settings",
        "each delete from \"user\" looks through the whole of org_user for its foreign key org_user_user_id_fkey",
        "each delete from org looks through the whole of settings for its foreign key settings_org_id_fkey",
    ] {
        assert!(all.contains(expected), "{expected} in\n{all}");
    }
}
