//! Columns that are lossy for some rows: where legacy can hold a value it follows, and is compared; of the
//! other rows a step back tells how many differ.

use crossfade_tests::twin::{ENHANCED_USER, Twin, answer};
use rewrite_rules::Phase;

/// What was acknowledged of the users whose accounts were made for them.
const OWN: &str = "SELECT username, first_name, email, is_active, date_joined, last_login, phone \
                   FROM main_enhanceduser WHERE username LIKE 'own%' OR username LIKE 'free%' ORDER BY username";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_while_unified_led_is_there_after_a_step_back() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::UnifiedRead)
        .await
        .unwrap();
    for sql in [
        "UPDATE main_enhanceduser SET is_active = false, email = 'moved@x.org', last_login = '2026-02-02' \
         WHERE username = 'own1' RETURNING email, is_active",
        "UPDATE main_enhanceduser SET username = 'free2' WHERE username = 'own2'",
        // Its name is free again, on both sides.
        "INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, \
         is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, \
         updated_at) VALUES ('', false, 'own2', '', '', '', false, true, '2026-01-01', '', '', '', '{}', 0, \
         '2026-01-01', '2026-01-01')",
        "INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, \
         is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, \
         updated_at) VALUES ('', false, 'own3', '', '', 'ups@x.org', false, true, '2026-01-01', '', '', '', '{}', 0, \
         '2026-01-01', '2026-01-01') ON CONFLICT (username) DO UPDATE SET email = excluded.email, phone = '3'",
    ] {
        twin.same(sql).await.unwrap();
    }
    // The same under the new name.
    twin.alone
        .batch_execute("UPDATE main_enhanceduser SET first_name = 'New' WHERE username = 'own4'")
        .await
        .unwrap();
    twin.proxied
        .batch_execute("UPDATE main_customuser SET first_name = 'New' WHERE username = 'own4'")
        .await
        .unwrap();
    let expected = answer(&twin.alone, OWN).await;
    assert_eq!(twin.same(OWN).await.unwrap(), expected);
    assert_eq!(answer(&twin.direct, OWN).await, expected);
    // An account that was there before is not the enhanced user's: legacy keeps what it said.
    twin.proxied
        .batch_execute("UPDATE main_customuser SET email = 'login@x.org' WHERE username = 'u27'")
        .await
        .unwrap();
    let kept = "SELECT email FROM main_enhanceduser WHERE username = 'u27'";
    assert!(answer(&twin.direct, kept).await.contains("u27@x.org"));
    twin.verified(3).await;
    let said = twin.crossfade("rollback").await.unwrap();
    let of_lossy = said
        .lines()
        .find(|line| line.starts_with("lossy columns"))
        .unwrap_or_else(|| panic!("{said}"));
    // 40 and 44 are merged with accounts that say otherwise, own1 to own4 have no password there.
    for part in [
        "met: ",
        "rows of public.main_enhanceduser differ in columns that the rule calls lossy",
        "2 (email)",
    ] {
        assert!(of_lossy.contains(part), "{part}: {said}");
    }
    assert_eq!(twin.same(OWN).await.unwrap(), expected);
    twin.crossfade("rollback").await.unwrap();
    assert_eq!(twin.same(OWN).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_backfill_puts_what_legacy_can_hold() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::UnifiedOnly)
        .await
        .unwrap();
    for sql in [
        "UPDATE main_enhanceduser SET email = 'later@x.org', is_active = true WHERE username = 'own2'",
        "UPDATE main_enhanceduser SET username = 'free3' WHERE username = 'own3'",
    ] {
        twin.same(sql).await.unwrap();
    }
    twin.crossfade("rollback").await.unwrap();
    let said = twin.crossfade("verify").await;
    let said = said.unwrap_or_else(|error| error.to_string());
    assert!(said.contains("different 2"), "{said}");
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(3).await;
    let expected = answer(&twin.alone, OWN).await;
    assert_eq!(answer(&twin.direct, OWN).await, expected);
    twin.crossfade("rollback").await.unwrap();
    assert_eq!(twin.same(OWN).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_compares_a_column_where_it_is_not_lossy() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::DualWrite)
        .await
        .unwrap();
    // Around the proxy: of one user who has an account of her own, and of one who has not.
    let around = "SET session_replication_role = replica; UPDATE main_enhanceduser SET email = 'around@x.org' \
                  WHERE username IN ('own1', 'u27')";
    let operator = twin.superuser().await.unwrap();
    operator.batch_execute(around).await.unwrap();
    for how in ["verify", "verify --by-ranges"] {
        let said = twin.crossfade(how).await;
        let said = said.unwrap_or_else(|error| error.to_string());
        assert!(
            said.contains("missing 0   extra 0   different 1"),
            "{how}: {said}"
        );
        assert!(said.contains("email differs in 1 rows"), "{how}: {said}");
        assert!(said.contains("email of some rows"), "{how}: {said}");
    }
    // What unified can hold it takes.
    twin.crossfade("backfill --restart").await.unwrap();
    twin.verified(3).await;
    let account =
        "SELECT username, email FROM main_customuser WHERE username IN ('own1', 'u27') ORDER BY 1";
    let found = answer(&twin.direct, account).await;
    assert!(
        found.contains("own1|around@x.org\nu27|u27@x.org"),
        "{found}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_new_application_is_carried_to_the_rows_that_can_hold_it() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::DualWrite)
        .await
        .unwrap();
    twin.proxied
        .batch_execute(
            "UPDATE main_customuser SET email = username || '@new.org', is_active = false \
             WHERE username IN ('own1', 'u27')",
        )
        .await
        .unwrap();
    let said = "SELECT username, email, is_active FROM main_enhanceduser WHERE username IN ('own1', 'u27') ORDER BY 1";
    let found = answer(&twin.direct, said).await;
    assert!(
        found.contains("own1|own1@new.org|f\nu27|u27@x.org|t"),
        "{found}"
    );
    // And stays, whatever else the old one writes of the row.
    twin.proxied
        .batch_execute("UPDATE main_enhanceduser SET phone = '1' WHERE username IN ('own1', 'u27')")
        .await
        .unwrap();
    let accounts =
        "SELECT email, is_active FROM main_customuser WHERE username IN ('own1', 'u27') ORDER BY 1";
    let found = answer(&twin.direct, accounts).await;
    assert!(found.contains("own1@new.org|f\nu27@new.org|f"), "{found}");
    twin.verified(3).await;
}
