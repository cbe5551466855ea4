//! `main_enhanceduser` merged into `main_customuser`: through every phase and back, each answer
//! compared with that of a database that was left alone.

use std::sync::LazyLock;

use crossfade_tests::corpus;
use crossfade_tests::twin::{ENHANCED_USER, Twin, answer};
use rewrite_rules::Phase;

/// `SELECT *` as Django lists it.
fn columns(relation: &str) -> String {
    let names = [
        "id",
        "password",
        "last_login",
        "is_superuser",
        "username",
        "first_name",
        "last_name",
        "email",
        "is_staff",
        "is_active",
        "date_joined",
        "manager_id",
        "technician_id",
        "employee_id",
        "department",
        "job_title",
        "phone",
        "hire_date",
        "custom_fields",
        "last_login_ip",
        "failed_login_attempts",
        "account_locked_until",
        "created_at",
        "updated_at",
    ];
    let all: Vec<String> = names
        .iter()
        .map(|name| format!("{relation}.\"{name}\""))
        .collect();
    all.join(", ")
}

/// What Django sends. `{all}` are the columns, `{p}` the phase's own number, `{id}` the id of the
/// last row that was made.
static DJANGO: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    corpus::texts(include_str!(
        "../../data/statements/enhanced_user_django.sql"
    ))
});

async fn django(twin: &Twin, phase: Phase) {
    let number = (phase as usize + 1).to_string();
    for sql in DJANGO.iter() {
        let sql = sql
            .replace("{all}", &columns("\"main_enhanceduser\""))
            .replace("{T2}", &columns("T2"))
            .replace("{p}", &number);
        twin.same(&sql)
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
    }
    // Of each user what both tables tell alike, the whole of those that are not merged otherwise.
    let own = "(SELECT id, employee_id, department, job_title, phone, custom_fields, failed_login_attempts, \
               manager_id, technician_id, created_at, updated_at FROM main_enhanceduser) AS r ORDER BY id";
    twin.same(&format!("SELECT * FROM {own}"))
        .await
        .unwrap_or_else(|e| panic!("{phase}: {e}"));
    if phase.writes_both() {
        for table in [
            "main_enhanceduser_groups",
            "main_enhanceduser_user_permissions",
        ] {
            twin.equal(table, table).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_merge_goes_through_every_phase_and_back() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    django(&twin, Phase::LegacyOnly).await;
    twin.advance(Phase::DualWrite).await.unwrap();
    django(&twin, Phase::DualWrite).await;
    let said = twin.crossfade("backfill").await.unwrap();
    assert!(said.contains("complete"), "{said}");
    twin.verified(3).await;
    merged_as_stated(&twin).await;
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
        django(&twin, phase).await;
        twin.verified(3).await;
    }
    twin.crossfade("rollback").await.unwrap();
    twin.same("UPDATE main_enhanceduser SET job_title = 'back' WHERE id < 5")
        .await
        .unwrap();
    twin.verified(3).await;
    twin.advance(Phase::UnifiedRead).await.unwrap();
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    django(&twin, Phase::UnifiedOnly).await;
    twin.crossfade("rollback").await.unwrap();
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(3).await;
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    twin.advance(Phase::Retired).await.unwrap();
    let operator = twin.superuser().await.unwrap();
    operator.batch_execute(LEFT_BEHIND).await.unwrap();
    django(&twin, Phase::Retired).await;
}

/// What the operator does before the legacy tables are dropped: as the rule file says.
const LEFT_BEHIND: &str = "
BEGIN;
CREATE OR REPLACE VIEW enhanced_user_seen AS
  SELECT NULL::bigint AS id, NULL::varchar(150) AS username, NULL::varchar(254) AS email WHERE false;
CREATE TEMP TABLE next AS SELECT s.name, pg_sequence_last_value(('main_enhanceduser' || s.name || '_id_seq')::regclass) AS last
  FROM (VALUES (''), ('_groups'), ('_user_permissions')) AS s (name);
DROP TABLE main_enhanceduser_groups, main_enhanceduser_user_permissions, main_enhanceduser;
DO $$ DECLARE s record; BEGIN
  FOR s IN SELECT * FROM next LOOP
    EXECUTE format('CREATE SEQUENCE main_enhanceduser%s_id_seq START %s', s.name, s.last + 1);
  END LOOP;
END $$;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
COMMIT";

/// Who became whom, and that nothing of an account that people log in with was overwritten.
async fn merged_as_stated(twin: &Twin) {
    let found = answer(
        &twin.direct,
        "SELECT k.legacy_id, k.own, c.username, c.password, c.is_superuser, c.first_name, c.department \
         FROM enhanced_user_ids k JOIN main_customuser c ON c.id = k.user_id WHERE k.legacy_id BETWEEN 40 AND 46 ORDER BY 1",
    )
    .await;
    let rows = [
        "40|f|login3|pbkdf2$3|f|First3|HR", // by e-mail; neither rights nor names are taken over
        "41|t|case|!|f|Lower|HR",           // another username than Case
        "42|t|ambiguous|!|f||",             // two accounts have that e-mail
        "43|t|namesake|!|f||",              // its e-mail's account belongs to the next by username
        "44|f|both8|pbkdf2$8|f|First8|",
        "45|t|twin1|!|f||", // two enhanced users have that e-mail
        "46|t|twin2|!|f||",
    ];
    let header = "(legacy_id, own, username, password, is_superuser, first_name, department)";
    assert_eq!(found, format!("{header}\n{}\ndone 7", rows.join("\n")));
    // Row 1 is account 28: a membership that it had before is shared, one that came is new.
    let managers = answer(
        &twin.direct,
        "SELECT count(*) FROM main_customuser c JOIN enhanced_user_ids k ON k.user_id = c.id \
         JOIN main_enhanceduser e ON e.id = k.legacy_id LEFT JOIN enhanced_user_ids m ON m.user_id = c.manager_id \
         WHERE e.manager_id IS DISTINCT FROM m.legacy_id OR c.technician_id IS DISTINCT FROM e.technician_id",
    )
    .await;
    assert!(
        managers.contains("\n0") || managers.contains("0\n"),
        "{managers}"
    );
}

#[tokio::test]
async fn a_legacy_row_that_is_only_stale_is_no_reason_to_refuse_a_write() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::UnifiedOnly)
        .await
        .unwrap();
    // Legacy keeps the number of a user who has it no longer.
    twin.same("UPDATE main_enhanceduser SET employee_id = 'other' WHERE employee_id = 'E9'")
        .await
        .unwrap();
    twin.crossfade("rollback").await.unwrap();
    twin.same("UPDATE main_enhanceduser SET employee_id = 'E9' WHERE id = 5 RETURNING employee_id")
        .await
        .unwrap();
    let operator = twin.superuser().await.unwrap();
    let ledger = "SELECT key::text, sqlstate FROM crossfade.divergence";
    assert_eq!(
        answer(&operator, ledger).await,
        "(key, sqlstate)\n[\"5\"]|23505\ndone 1"
    );
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(3).await;
    assert_eq!(answer(&operator, ledger).await, "(key, sqlstate)\ndone 0");
    // What is not stale is in the way as ever.
    twin.same("UPDATE main_enhanceduser SET employee_id = 'E9' WHERE id = 6")
        .await
        .unwrap();
}

#[tokio::test]
async fn accounts_go_on_living_beside_the_merge() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::DualWrite)
        .await
        .unwrap();
    let told = async |sql: &str| answer(&twin.proxied, sql).await;
    // What the login does, and a save of the whole account: nothing that legacy has to know.
    assert_eq!(told("UPDATE main_customuser SET last_login = now(), password = 'new', first_name = 'New' WHERE id = 28").await, "done 1");
    let made = "INSERT INTO main_customuser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined) VALUES ('x', false, 'fresh', '', '', '', false, true, now()) RETURNING username";
    assert!(told(made).await.contains("fresh"));
    assert_eq!(
        told("UPDATE main_customuser SET department = 'Fleet' WHERE username = 'u28'").await,
        "done 1"
    );
    assert!(
        answer(
            &twin.direct,
            "SELECT department FROM main_enhanceduser WHERE username = 'u28'"
        )
        .await
        .contains("Fleet")
    );
    twin.verified(3).await;
    twin.refused(
        "UPDATE main_customuser SET manager_id = 1 WHERE id = 28",
        "before dual_read",
    )
    .await
    .unwrap();
    // The full save of an enhanced user leaves the account's password and rights alone.
    told("UPDATE main_enhanceduser SET password = '', is_superuser = true, is_staff = true, is_active = false, last_login = NULL, department = 'D' WHERE username = 'u28'").await;
    let account = answer(&twin.direct, "SELECT password, is_superuser, is_staff, is_active, last_login IS NULL, department FROM main_customuser WHERE id = 28").await;
    assert!(account.contains("new|f|f|t|f|D"), "{account}");
    // A deleted enhanced user: its account stays, without the added columns.
    told("DELETE FROM main_enhanceduser_groups WHERE enhanceduser_id = 1; DELETE FROM main_enhanceduser_user_permissions WHERE enhanceduser_id = 1; UPDATE main_enhanceduser SET manager_id = NULL WHERE manager_id = 1; DELETE FROM main_enhanceduser WHERE id = 1").await;
    let account = answer(&twin.direct, "SELECT username, department IS NULL, employee_id IS NULL, (SELECT count(*) FROM main_customuser_groups WHERE customuser_id = 28) FROM main_customuser WHERE id = 28").await;
    assert!(account.contains("u28|t|t|1"), "{account}");
    twin.verified(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lastval_is_the_id_of_the_user_that_was_inserted() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for sql in [
            "INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, \
             is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, \
             updated_at) VALUES ('', false, 'last-{p}', '', '', 'last-{p}@example.com', false, true, '2026-01-01', '', \
             '', '', '{}', 0, '2026-01-01', '2026-01-01')",
            "SELECT lastval()",
            "UPDATE main_enhanceduser SET phone = '1' WHERE username = 'last-{p}'",
            "SELECT lastval()",
        ] {
            let number = (phase as usize).to_string();
            let asked = twin.same(&sql.replace("{p}", &number)).await;
            asked.unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
    })
    .await
    .unwrap();
}
