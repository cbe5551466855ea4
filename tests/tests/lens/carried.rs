//! What a write to a unified table carries to the legacy row while legacy leads: what the statement
//! set, and nothing that unified missed.

use crossfade_tests::twin::{Case, Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;

/// Unified halves that fail are recorded in every phase in which legacy leads.
fn recording() -> Case {
    let named = "name  = \"user_settings\"\n";
    let rules =
        USER_SETTINGS
            .rules
            .replacen(named, &format!("{named}on_unified_error = \"record\"\n"), 1);
    assert_ne!(rules, USER_SETTINGS.rules);
    Case {
        rules: Box::leak(rules.into_boxed_str()),
        ..USER_SETTINGS
    }
}

/// Settings that say `poison`, or belong to `kept`, can be neither written nor deleted.
const STUBBORN: &str = "\
CREATE FUNCTION stubborn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'stubborn' USING ERRCODE = '23514'; END $$;
CREATE TRIGGER stubborn BEFORE UPDATE ON settings FOR EACH ROW WHEN (NEW.language = 'poison') EXECUTE FUNCTION stubborn();
CREATE TRIGGER stays BEFORE DELETE ON settings FOR EACH ROW WHEN (OLD.keycloak_user_id = 'bulk7') EXECUTE FUNCTION stubborn();";

const LED_BY_LEGACY: [Phase; 3] = [Phase::DualWrite, Phase::ShadowRead, Phase::DualRead];

async fn done(twin: &Twin, sql: &str) {
    let said = answer(&twin.proxied, sql).await;
    assert!(said.contains("done 1"), "{sql}: {said}");
}

/// The legacy row of a person.
async fn legacy(twin: &Twin, person: &str) -> String {
    let sql = format!(
        "SELECT language, llm_model, enable_sound_notifications, accepted_tos::date \
         FROM user_settings WHERE keycloak_user_id = '{person}'"
    );
    let said = answer(&twin.direct, &sql).await;
    let mut rows = said.lines().filter(|line| line.contains('|'));
    rows.next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_write_to_one_unified_table_does_not_undo_what_another_missed() {
    let case = recording();
    for phase in LED_BY_LEGACY {
        let twin = Twin::in_phase(case, phase).await.unwrap();
        twin.direct.batch_execute(STUBBORN).await.unwrap();
        // Acknowledged: legacy has it, and unified has not.
        done(
            &twin,
            "UPDATE user_settings SET language = 'poison', enable_sound_notifications = true \
             WHERE keycloak_user_id = 'k1'",
        )
        .await;
        done(
            &twin,
            "UPDATE \"user\" SET accepted_tos = '2027-01-01' WHERE keycloak_user_id = 'k1'",
        )
        .await;
        assert_eq!(
            legacy(&twin, "k1").await,
            "poison|∅|t|2027-01-01",
            "{phase}"
        );
        done(
            &twin,
            "INSERT INTO \"user\" (keycloak_user_id, accepted_tos) VALUES ('k1', '2027-02-02') \
             ON CONFLICT (keycloak_user_id) DO UPDATE SET accepted_tos = excluded.accepted_tos \
             RETURNING accepted_tos",
        )
        .await;
        assert_eq!(
            legacy(&twin, "k1").await,
            "poison|∅|t|2027-02-02",
            "{phase}"
        );
        done(
            &twin,
            "INSERT INTO settings (id) VALUES (2) ON CONFLICT (id) DO UPDATE SET llm_model = 'new'",
        )
        .await;
        assert_eq!(
            legacy(&twin, "k1").await,
            "poison|new|t|2027-02-02",
            "{phase}"
        );
        if phase < Phase::DualRead {
            continue;
        }
        // Another person's: what is read of the person follows, what the settings say stays.
        done(
            &twin,
            "UPDATE settings SET keycloak_user_id = 'bulk9' WHERE id = 2 RETURNING id",
        )
        .await;
        let moved = "SELECT language, llm_model, enable_sound_notifications, accepted_tos FROM user_settings WHERE id = 2";
        let said = answer(&twin.direct, moved).await;
        assert!(said.contains("poison|new|∅|∅"), "{said}");
    }
}

#[tokio::test]
async fn a_row_that_legacy_deleted_does_not_come_back_with_a_write_to_what_is_left_of_it() {
    let case = recording();
    for phase in LED_BY_LEGACY {
        let twin = Twin::in_phase(case, phase).await.unwrap();
        twin.direct.batch_execute(STUBBORN).await.unwrap();
        done(
            &twin,
            "DELETE FROM user_settings WHERE keycloak_user_id = 'bulk7'",
        )
        .await;
        for sql in [
            "UPDATE \"user\" SET accepted_tos = '2027-01-01' WHERE keycloak_user_id = 'bulk7'",
            "UPDATE settings SET language = 'x' WHERE keycloak_user_id = 'bulk7'",
            "INSERT INTO \"user\" (keycloak_user_id) VALUES ('bulk7') ON CONFLICT (keycloak_user_id) \
             DO UPDATE SET accepted_tos = '2027-02-02'",
        ] {
            done(&twin, sql).await;
            assert_eq!(legacy(&twin, "bulk7").await, "", "{phase}: {sql}");
        }
    }
}

/// What is left of a person's settings in legacy when the new application deletes them.
#[tokio::test]
async fn settings_that_the_new_application_deletes_stay_in_legacy_while_it_leads() {
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let twin = Twin::in_phase(USER_SETTINGS, phase).await.unwrap();
        done(
            &twin,
            "DELETE FROM settings WHERE keycloak_user_id = 'bulk9'",
        )
        .await;
        let kept = phase != Phase::UnifiedRead;
        assert_eq!(legacy(&twin, "bulk9").await.is_empty(), !kept, "{phase}");
        let operator = twin.superuser().await.unwrap();
        let ledger = "SELECT count(*) FROM crossfade.divergence WHERE sqlstate = 'CF003'";
        let told = format!("(count)\n{}\ndone 1", u8::from(kept));
        assert_eq!(answer(&operator, ledger).await, told, "{phase}");
        if !kept {
            continue;
        }
        // Whoever deletes them under the legacy name settles it.
        done(
            &twin,
            "DELETE FROM user_settings WHERE keycloak_user_id = 'bulk9'",
        )
        .await;
        twin.verified(1).await;
    }
}
