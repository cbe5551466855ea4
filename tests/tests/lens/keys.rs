//! Keys of a split table that change under rows that refer to them, under either name: foreign keys do
//! what they do to the straight statement.

use crossfade_tests::twin::{Case, Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;

const SPLIT: Case = USER_SETTINGS;

/// Tables that refer to settings, each by another action, and the row that each refers to.
const ACTIONS: [(&str, &str, u32); 5] = [
    ("deletes", "ON DELETE CASCADE", 41),
    ("restricts", "ON DELETE CASCADE ON UPDATE RESTRICT", 42),
    ("cascades", "ON DELETE CASCADE ON UPDATE CASCADE", 43),
    ("nulls", "ON DELETE CASCADE ON UPDATE SET NULL", 44),
    (
        "waits",
        "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
        45,
    ),
];

async fn with_dependents(phase: Phase) -> Twin {
    let twin = Twin::start_as_owner(SPLIT).await.unwrap();
    twin.prepare().await.unwrap();
    twin.carry_to(phase).await.unwrap();
    for (name, action, row) in ACTIONS {
        let sql = format!(
            "CREATE TABLE {name} (row integer REFERENCES user_settings (id) {action}); INSERT INTO {name} VALUES ({row})"
        );
        for client in [&twin.alone, &twin.direct] {
            client.batch_execute(&sql).await.unwrap();
        }
    }
    twin
}

#[tokio::test]
async fn dependents_of_a_split_row_follow_its_key_as_their_foreign_keys_say() {
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let twin = with_dependents(phase).await;
        let same = async |sql: &str| {
            twin.same(sql)
                .await
                .unwrap_or_else(|e| panic!("{phase}: {e}"))
        };
        for (name, _, row) in ACTIONS {
            same(&format!(
                "UPDATE user_settings SET id = 70{row} WHERE id = {row} RETURNING id"
            ))
            .await;
            same(&format!(
                "UPDATE user_settings SET id = 71{row}, language = 'x' WHERE id IN ({row}, 70{row})"
            ))
            .await;
            same(&format!("SELECT row FROM {name}")).await;
        }
        // The key that one row leaves is another's at the end of the statement.
        same("UPDATE user_settings SET id = CASE id WHEN 41 THEN 9041 ELSE 41 END WHERE id IN (41, 51)").await;
        same("SELECT * FROM deletes").await;
        twin.equal("user_settings", "user_settings").await.unwrap();
        twin.verified(1).await;
    }
}

#[tokio::test]
async fn the_new_applications_change_of_a_key_is_an_update_of_the_legacy_rows() {
    for phase in [Phase::DualRead, Phase::UnifiedRead] {
        let twin = with_dependents(phase).await;
        for (name, _, row) in ACTIONS {
            for (set, condition) in [
                (format!("id = 70{row}"), format!("id = {row}")),
                (
                    format!("id = 71{row}, language = 'new'"),
                    format!("id IN ({row}, 70{row})"),
                ),
            ] {
                let change = |table: &str| format!("UPDATE {table} SET {set} WHERE {condition}");
                let expected = answer(&twin.alone, &change("user_settings")).await;
                let found = answer(&twin.proxied, &change("settings")).await;
                assert_eq!(
                    found[..5],
                    expected[..5],
                    "{phase}: {name}: {found} {expected}"
                );
            }
            twin.same(&format!("SELECT row FROM {name}"))
                .await
                .unwrap_or_else(|e| panic!("{phase}: {e}"));
        }
        let joined = |table: &str| {
            format!(
                "UPDATE {table} AS s SET id = v.to FROM (VALUES (60, 9060), (60, 9060), (61, 60)) AS v (of, to) \
                 WHERE s.id = v.of RETURNING s.id, v.of"
            )
        };
        let expected = answer(&twin.alone, &joined("user_settings")).await;
        let found = answer(&twin.proxied, &joined("settings")).await;
        assert_eq!(found, expected, "{phase}");
        twin.equal("user_settings", "user_settings").await.unwrap();
        twin.verified(1).await;
    }
}

/// A legacy write that unified missed stays, also when the new application moves the row.
#[tokio::test]
async fn a_key_that_changes_before_unified_leads_carries_nothing_else_to_legacy() {
    let twin = Twin::in_phase(SPLIT, Phase::DualRead).await.unwrap();
    let past = "UPDATE user_settings SET language = 'past the proxy' WHERE id = 50";
    twin.direct.batch_execute(past).await.unwrap();
    let moved = "UPDATE settings SET id = 9050, llm_model = 'new' WHERE id = 50";
    assert_eq!(answer(&twin.proxied, moved).await, "done 1");
    let legacy = "SELECT id, language, llm_model FROM user_settings WHERE id IN (50, 9050)";
    let said = answer(&twin.direct, legacy).await;
    assert!(said.contains("9050|past the proxy|new"), "{said}");
}
