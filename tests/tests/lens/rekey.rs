//! Keys of rows that are split or merged change: in every phase, each answer compared with that of a
//! database that was left alone, and what unified alone knows of the rows goes with them.

use std::sync::LazyLock;

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::corpus;
use crossfade_tests::twin::{Case, ENHANCED_USER, Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;

const SPLIT: Case = Case {
    server: "CREATE ROLE onlooker; GRANT onlooker TO app",
    ..USER_SETTINGS
};

/// `{p}` is the phase's own number. The rows: two of one person, and one of nobody.
static OF_A_SPLIT: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/rekey_split.sql")));

async fn of_a_split(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in OF_A_SPLIT.iter() {
        let sql = sql.replace("{p}", &number);
        twin.same(&sql)
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
        if sql.starts_with("INSERT") && phase != Phase::LegacyOnly {
            // What only the new application says of the row's organisation.
            let sql = format!(
                "UPDATE org SET contact_name = 'of {number}' WHERE name = 'user_1{number}000_org'"
            );
            twin.direct.batch_execute(&sql).await.unwrap();
        }
    }
    let denied = format!("UPDATE user_settings SET id = 3{number}009 WHERE id = 3{number}000");
    for client in [&twin.alone, &twin.proxied] {
        let said = answer(client, &denied).await;
        assert!(said.starts_with("42501"), "{phase}: {said}");
    }
    twin.same("RESET ROLE").await.unwrap();
    let moved = "UPDATE user_settings SET id = $1::INTEGER WHERE user_settings.id = $2::INTEGER RETURNING id";
    let (to, from) = (format!("4{number}000"), format!("3{number}000"));
    twin.same_with(moved, &[Some(&to), Some(&from)])
        .await
        .unwrap_or_else(|e| panic!("{phase}: {e}"));
    let joined = format!(
        "UPDATE user_settings AS u SET id = v.n FROM (VALUES (2{number}000, 4{number}001)) AS v (o, n) WHERE u.id = v.o RETURNING u.id"
    );
    twin.same(&joined)
        .await
        .unwrap_or_else(|e| panic!("{phase}: {e}"));
    if phase == Phase::LegacyOnly {
        return;
    }
    let org = format!(
        "SELECT s.id, org.name, org.contact_name, (SELECT count(*) FROM org_user m WHERE m.org_id = org.id) FROM settings s \
         JOIN org ON org.id = s.org_id WHERE s.id IN (4{number}000, 4{number}001) ORDER BY 1"
    );
    let said =
        |id: &str, contact: &str| format!("4{number}{id}|user_4{number}{id}_org|{contact}|1");
    let contact = format!("of {number}");
    // Each brought its own organisation with it.
    assert_eq!(
        answer(&twin.direct, &org).await,
        format!(
            "(id, name, contact_name, count)\n{}\n{}\ndone 2",
            said("000", &contact),
            said("001", &contact)
        ),
        "{phase}"
    );
}

#[tokio::test]
async fn keys_of_a_split_change_in_every_phase() {
    let twin = Twin::start_as_owner(SPLIT).await.unwrap();
    twin.prepare().await.unwrap();
    of_a_split(&twin, Phase::LegacyOnly).await;
    twin.advance(Phase::DualWrite).await.unwrap();
    // A row that no backfill brought over yet.
    twin.same("UPDATE user_settings SET id = 30000 WHERE id = 8 RETURNING keycloak_user_id")
        .await
        .unwrap();
    of_a_split(&twin, Phase::DualWrite).await;
    twin.crossfade("backfill").await.unwrap();
    twin.verified(1).await;
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
        of_a_split(&twin, phase).await;
        twin.verified(1).await;
        twin.equal("user_settings", "user_settings").await.unwrap();
    }
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    of_a_split(&twin, Phase::UnifiedOnly).await;
    // Legacy missed that: rows are under keys there that they have no longer.
    twin.crossfade("rollback").await.unwrap();
    twin.same("UPDATE user_settings SET id = 90000 WHERE id = 45000 RETURNING id, language")
        .await
        .unwrap();
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(1).await;
    twin.equal("user_settings", "user_settings").await.unwrap();
}

#[tokio::test]
async fn the_new_applications_change_of_a_key_reaches_legacy() {
    let twin = Twin::in_phase(SPLIT, Phase::DualWrite).await.unwrap();
    let moved = "UPDATE settings SET id = 50000 WHERE id = 2";
    twin.refused(moved, "before dual_read").await.unwrap();
    twin.verified(1).await;
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
    }
    assert_eq!(answer(&twin.proxied, moved).await, "done 1");
    twin.verified(1).await;
    let legacy = "SELECT id, keycloak_user_id FROM user_settings WHERE id IN (2, 50000)";
    assert!(answer(&twin.direct, legacy).await.contains("50000|k1"));
    // Back again under the legacy name.
    let back = "UPDATE user_settings SET id = 2 WHERE id = 50000 RETURNING keycloak_user_id";
    assert!(answer(&twin.proxied, back).await.contains("k1"));
    twin.equal("user_settings", "user_settings").await.unwrap();
}

#[tokio::test]
async fn rows_that_exchange_their_keys_at_the_end_of_a_statement_are_refused() {
    let twin = Twin::in_phase(SPLIT, Phase::DualWrite).await.unwrap();
    // No key that `check` accepts allows that.
    let operator = twin.superuser().await.unwrap();
    operator
        .batch_execute(
            "ALTER TABLE user_settings DROP CONSTRAINT user_settings_pkey, \
             ADD CONSTRAINT user_settings_pkey PRIMARY KEY (id) DEFERRABLE",
        )
        .await
        .unwrap();
    let exchange =
        "UPDATE user_settings SET id = CASE id WHEN 2 THEN 4 ELSE 2 END WHERE id IN (2, 4)";
    twin.refused(exchange, "exchange their keys in one statement")
        .await
        .unwrap();
    twin.verified(1).await;
    let ledger = answer(&operator, "SELECT key::text FROM crossfade.divergence").await;
    assert_eq!(ledger, "(key)\ndone 0");
    twin.equal("user_settings", "user_settings").await.unwrap();
}

#[tokio::test]
async fn whoever_waits_for_a_key_that_changes_finds_the_row_gone_or_the_key_taken() {
    let twin = Twin::in_phase(SPLIT, Phase::DualWrite).await.unwrap();
    let other = twin.another().await.unwrap();
    let process = pid(&other).await.unwrap();
    for phase in [
        Phase::DualWrite,
        Phase::ShadowRead,
        Phase::DualRead,
        Phase::UnifiedRead,
        Phase::UnifiedOnly,
    ] {
        if phase != Phase::DualWrite {
            twin.advance(phase).await.unwrap();
        }
        let number = 30 + phase as usize;
        let first = format!("BEGIN; UPDATE user_settings SET id = 7{number}00 WHERE id = {number}");
        let while_it_is_open = async |sql: String| {
            assert!(answer(&twin.proxied, &first).await.contains("done 1"));
            let (second, ()) = tokio::join!(answer(&other, &sql), async {
                until_blocked(&twin.direct, process).await.unwrap();
                answer(&twin.proxied, "COMMIT").await;
            });
            second
        };
        // As PostgreSQL has it: the row that it finds behind the wait has another key.
        let save = format!("UPDATE user_settings SET language = 'late' WHERE id = {number}");
        let second = while_it_is_open(save).await;
        assert_eq!(second, "done 0", "{phase}");
        let back = format!("UPDATE user_settings SET id = {number} WHERE id = 7{number}00");
        assert_eq!(answer(&twin.proxied, &back).await, "done 1", "{phase}");
        let same = format!("UPDATE user_settings SET id = 7{number}00 WHERE id = 1{number}");
        let second = while_it_is_open(same).await;
        assert!(second.starts_with("23505"), "{phase}: {second}");
        if phase.writes_both() {
            twin.verified(1).await;
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_carried_over_enters_the_ledger_and_settles_later() {
    let twin = Twin::in_phase(SPLIT, Phase::DualWrite).await.unwrap();
    twin.direct
        .batch_execute("ALTER TABLE org ADD CONSTRAINT barred CHECK (name <> 'user_60000_org')")
        .await
        .unwrap();
    // The legacy write stands; both keys are looked after.
    twin.same("UPDATE user_settings SET id = 60000, language = 'ledger' WHERE id = 4 RETURNING id")
        .await
        .unwrap();
    let operator = twin.superuser().await.unwrap();
    let ledger = "SELECT key::text, sqlstate FROM crossfade.divergence ORDER BY 1";
    assert_eq!(
        answer(&operator, ledger).await,
        "(key, sqlstate)\n[\"4\"]|23514\n[\"60000\"]|23514\ndone 2"
    );
    twin.direct
        .batch_execute("ALTER TABLE org DROP CONSTRAINT barred")
        .await
        .unwrap();
    twin.crossfade("backfill").await.unwrap();
    twin.crossfade("verify --repair").await.unwrap();
    // Takes keys out that neither side has any more.
    twin.crossfade("backfill").await.unwrap();
    twin.verified(1).await;
    assert_eq!(answer(&operator, ledger).await, "(key, sqlstate)\ndone 0");
}

/// A migration's rules with another text in place of `rekey`.
fn with_rekey(case: Case, rekey: &str) -> Case {
    let start = case.rules.find("rekey = [").expect("it has a rekey");
    let rules = format!("{}{rekey}\n", &case.rules[..start]);
    Case {
        rules: Box::leak(rules.into_boxed_str()),
        ..case
    }
}

#[tokio::test]
async fn without_rekey_a_change_of_the_key_is_refused_with_what_to_do() {
    let twin = Twin::start(with_rekey(SPLIT, "")).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    let moved = "UPDATE user_settings SET id = 50000 WHERE id = 2";
    twin.refused(
        moved,
        "an UPDATE of the key of a table that is split or merged",
    )
    .await
    .unwrap();
    let error = twin.proxied.batch_execute(moved).await.unwrap_err();
    let hint = error.as_db_error().and_then(|said| said.hint()).unwrap();
    assert!(hint.contains("`rekey`"), "{hint}");
}

#[tokio::test]
async fn the_check_tries_other_keys_on_rows() {
    let twin = Twin::start(SPLIT).await.unwrap();
    twin.prepare().await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    assert!(
        said.contains("rows are the same under another key"),
        "{said}"
    );
    let count = "SELECT (SELECT count(*) FROM settings), (SELECT count(*) FROM org)";
    assert!(answer(&twin.direct, count).await.contains("0|0"));

    for (rekey, says) in [
        (
            "rekey = [\"UPDATE org SET name = name FROM row_image r WHERE false\"]",
            "leaves a row under its old key",
        ),
        (
            "rekey = [\"DELETE FROM settings USING old_image o WHERE settings.id = o.id\"]",
            "loses a row",
        ),
        (
            "rekey = [\"UPDATE settings SET id = r.id, language = o.agent FROM row_image r, old_image o WHERE settings.id = o.id\", \
             \"UPDATE user_settings_apart a SET settings_id = r.id FROM row_image r, old_image o WHERE a.settings_id = o.id\"]",
            "column language reads differently in",
        ),
    ] {
        let twin = Twin::start(with_rekey(SPLIT, rekey)).await.unwrap();
        twin.prepare().await.unwrap();
        let error = format!("{:#}", twin.crossfade("check").await.unwrap_err());
        assert!(error.contains(says), "{error}");
    }
}

static OF_A_MERGE: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/rekey_merge.sql")));

async fn of_a_merge(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in OF_A_MERGE.iter() {
        let sql = sql.replace("{p}", &number);
        twin.same(&sql)
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
        if sql.starts_with("INSERT INTO main_enhanceduser (") {
            // The account has a login that the enhanced user knows nothing of.
            let sql = format!(
                "UPDATE main_customuser SET password = 'login' WHERE username = 'rk{number}'"
            );
            twin.direct.batch_execute(&sql).await.unwrap();
        }
    }
    let account = format!(
        "SELECT k.legacy_id, k.own, c.password, (SELECT count(*) FROM main_customuser_groups g WHERE g.customuser_id = c.id) \
         FROM main_customuser c JOIN enhanced_user_ids k ON k.user_id = c.id WHERE c.username = 'rk{number}'"
    );
    assert_eq!(
        answer(&twin.direct, &account).await,
        format!("(legacy_id, own, password, count)\n7{number}00|t|login|2\ndone 1")
            .lines()
            .map(str::to_owned)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join("\n"),
        "{phase}"
    );
    let user = format!(
        "UPDATE main_enhanceduser SET id = 8{number}00, manager_id = NULL WHERE id = 7{number}00"
    );
    let groups = format!(
        "UPDATE main_enhanceduser_groups SET enhanceduser_id = 8{number}00 WHERE enhanceduser_id = 7{number}00"
    );
    match phase {
        // With all that refers to it.
        Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {
            for sql in ["BEGIN", &user, &groups, "COMMIT"] {
                twin.same(sql).await.unwrap();
            }
        }
        // Groups follow the account at once, legacy's rows do not: its foreign key has its say.
        Phase::UnifiedRead => {
            let said = twin.same(&user).await.unwrap();
            assert!(said.contains("23503"), "{said}");
        }
        Phase::LegacyOnly | Phase::UnifiedOnly | Phase::Retired => {}
    }
}

#[tokio::test]
async fn keys_of_a_merge_change_in_every_phase() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    of_a_merge(&twin, Phase::DualWrite).await;
    twin.crossfade("backfill").await.unwrap();
    twin.verified(3).await;
    let said = twin.crossfade("check").await.unwrap();
    assert!(
        said.contains("rows are the same under another key"),
        "{said}"
    );
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
        of_a_merge(&twin, phase).await;
        twin.verified(3).await;
        // Lossy columns too: the row moved, it was not made anew.
        for table in ["main_enhanceduser", "main_enhanceduser_groups"] {
            twin.equal(table, table).await.unwrap();
        }
    }
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    of_a_merge(&twin, Phase::UnifiedOnly).await;
    twin.crossfade("rollback").await.unwrap();
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(3).await;
}
