//! SELECT … FOR UPDATE of rows that are read by outer joins: in every phase, each answer compared
//! with that of a database that was left alone; and who waits for whom.

use std::sync::LazyLock;

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::corpus;
use crossfade_tests::twin::{Case, ENHANCED_USER, MEMBERS, Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;

/// A table that moves as it is, but for a name.
pub(crate) const PLAIN: Case = Case {
    name: "plain",
    rules: r#"[migration]
name = "plain"
phase = "legacy_only"
[[table]]
legacy = "public.members"
unified = "public.people"
key = ["id"]
[table.columns]
id = { type = "integer", default = "nextval('public.members_id_seq')" }
email = { type = "varchar(40)", unified = "mail" }
region = { type = "text" }
badge = { type = "integer" }
name = { type = "varchar(20)" }
visits = { type = "integer", default = "0" }
[table.constraints]
members_pkey = "people_pkey"
members_email_key = "people_mail_key"
members_badge = "people_badge"
"#,
    unified: "CREATE TABLE people (id integer PRIMARY KEY DEFAULT nextval('members_id_seq'), \
              mail varchar(40) NOT NULL UNIQUE, region text, badge integer, name varchar(20), \
              visits integer NOT NULL DEFAULT 0 CONSTRAINT few_visits CHECK (visits < 100), \
              CONSTRAINT people_badge UNIQUE (region, badge))",
    ..MEMBERS
};

static STATEMENTS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| corpus::texts(include_str!("../../data/statements/members_locked.sql")));

#[tokio::test]
async fn locked_rows_are_the_same_in_every_phase() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for sql in STATEMENTS.iter() {
            twin.same(sql)
                .await
                .unwrap_or_else(|e| panic!("{phase}: {e}"));
        }
        let bound = "SELECT user_settings.id, user_settings.mcp_config, user_settings.billing_margin FROM user_settings \
                     WHERE user_settings.keycloak_user_id = $1::VARCHAR \n LIMIT $2::INTEGER FOR UPDATE";
        twin.same_with(bound, &[Some("k1"), Some("1")])
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn clients_are_told_the_legacy_tables_types_and_where_they_erred() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::UnifiedOnly)
        .await
        .unwrap();
    twin.told_alike(&[
        "SELECT *, language || '!' FROM user_settings WHERE id = 1 FOR UPDATE",
        "SELECT id, nothing FROM user_settings WHERE id = 1 FOR UPDATE",
        "SELECT id FROM user_settings AS u WHERE id = 1 AND u.nothing = 2 FOR UPDATE",
        "SELECT id FROM user_settings AS u WHERE id = 1 AND language = 2 FOR UPDATE",
        "SELECT id FROM user_settings WHERE id = 1 FOR UPDATE OF nobody",
        "SELECT 1 / (id - 1) FROM user_settings WHERE id = 1 FOR UPDATE",
    ])
    .await
    .unwrap();
}

#[tokio::test]
async fn a_merged_table_is_locked_as_an_orm_does() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::UnifiedRead)
        .await
        .unwrap();
    for sql in [
        "SELECT \"main_enhanceduser\".\"id\", \"main_enhanceduser\".\"department\", \"main_enhanceduser\".\"manager_id\" FROM \"main_enhanceduser\" WHERE \"main_enhanceduser\".\"id\" = 2 LIMIT 21 FOR UPDATE",
        "SELECT id, group_id FROM main_enhanceduser_groups WHERE enhanceduser_id = 2 ORDER BY id FOR UPDATE",
    ] {
        twin.same(sql).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_waits_for_a_lock_reads_what_has_become_of_the_row() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::UnifiedRead)
        .await
        .unwrap();
    let other = twin.another().await.unwrap();
    let process = pid(&other).await.unwrap();
    let lock = "SELECT language, accepted_tos FROM user_settings WHERE keycloak_user_id = 'k1' ORDER BY id FOR UPDATE";
    let head = "(language, accepted_tos)\n";
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        if phase == Phase::UnifiedOnly {
            twin.advance(phase).await.unwrap();
        }
        for (first, found) in [
            // One column of either table that the row is read from.
            (
                "UPDATE user_settings SET language = 'new', accepted_tos = '2027-03-03' WHERE id = 2",
                "new|2027-03-03 00:00:00\ndone 1",
            ),
            // Of the outer join's other side alone, by the new application.
            (
                "UPDATE \"user\" SET accepted_tos = '2027-04-04' WHERE keycloak_user_id = 'k1'",
                "new|2027-04-04 00:00:00\ndone 1",
            ),
            // A row that the condition no longer finds.
            (
                "UPDATE user_settings SET keycloak_user_id = 'elsewhere' WHERE id = 2",
                "done 0",
            ),
            ("DELETE FROM user_settings WHERE id = 2", "done 0"),
        ] {
            answer(&twin.proxied, &format!("BEGIN; {first}")).await;
            let (told, ()) = tokio::join!(answer(&other, lock), async {
                until_blocked(&twin.direct, process).await.unwrap();
                answer(&twin.proxied, "COMMIT").await;
            });
            assert_eq!(told, format!("{head}{found}"), "{phase} {first}");
            let back = "DELETE FROM user_settings WHERE id = 2; \
                        INSERT INTO user_settings (id, keycloak_user_id, language) VALUES (2, 'k1', 'new')";
            if found == "done 0" {
                answer(&twin.proxied, back).await;
            }
        }
        // And whoever writes waits for whoever has locked, by whichever name.
        for write in [
            "UPDATE user_settings SET language = 'w' WHERE id = 2",
            "UPDATE \"user\" SET accepted_tos = NULL WHERE keycloak_user_id = 'k1'",
            "UPDATE settings SET language = 'new' WHERE id = 2",
            "SELECT id FROM user_settings WHERE id = 2 FOR UPDATE",
        ] {
            let locked = answer(&twin.proxied, &format!("BEGIN; {lock}")).await;
            assert!(locked.contains("done 1"), "{phase}: {locked}");
            let (told, ()) = tokio::join!(answer(&other, write), async {
                until_blocked(&twin.direct, process).await.unwrap();
                answer(&twin.proxied, "COMMIT").await;
            });
            assert!(told.contains("done 1"), "{phase} {write}: {told}");
        }
    }
}

#[tokio::test]
async fn a_lock_that_would_not_be_postgresqls_is_refused() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::UnifiedRead)
        .await
        .unwrap();
    for (sql, why) in [
        (
            "SELECT id FROM user_settings WHERE id = 1 FOR SHARE",
            "FOR SHARE",
        ),
        (
            "SELECT id FROM user_settings WHERE id = 1 FOR UPDATE NOWAIT",
            "NOWAIT",
        ),
        (
            "SELECT id FROM user_settings WHERE id = 1 FOR UPDATE SKIP LOCKED",
            "SKIP LOCKED",
        ),
        (
            "SELECT id FROM user_settings WHERE id > 1 ORDER BY id LIMIT 1 FOR UPDATE",
            "a LIMIT",
        ),
        (
            "SELECT id FROM user_settings WHERE random() < 2 AND id = 1 FOR UPDATE",
            "calls functions",
        ),
        (
            "SELECT u.id FROM user_settings u JOIN org ON true WHERE u.id = 1 FOR UPDATE OF u",
            "beside other tables",
        ),
        (
            "SELECT u.id FROM user_settings u, org WHERE u.id = 1 FOR UPDATE",
            "beside other tables",
        ),
        (
            "SELECT u.a FROM user_settings u (a) WHERE a = 1 FOR UPDATE",
            "other names",
        ),
        (
            "WITH w AS (SELECT id FROM user_settings WHERE id = 1 FOR UPDATE) SELECT * FROM w",
            "within another statement",
        ),
        (
            "SELECT * FROM (SELECT id FROM user_settings WHERE id = 1 FOR UPDATE) AS w",
            "within another statement",
        ),
        (
            "BEGIN; DECLARE c CURSOR FOR SELECT id FROM user_settings WHERE id = 1 FOR UPDATE",
            "within another statement",
        ),
    ] {
        twin.refused(sql, why).await.unwrap();
        answer(&twin.proxied, "ROLLBACK").await;
    }
}

/// Who has locked a row goes on to write it, while another waits to write it.
#[tokio::test]
async fn a_row_that_was_locked_is_written_while_another_writer_waits() {
    for (case, table, column) in [
        (PLAIN, "members", "name"),
        (MEMBERS, "members", "name"),
        (USER_SETTINGS, "user_settings", "language"),
    ] {
        let twin = Twin::in_phase(case, Phase::UnifiedRead).await.unwrap();
        let other = twin.another().await.unwrap();
        let process = pid(&other).await.unwrap();
        let lock = format!("BEGIN; SELECT id FROM {table} WHERE id = 2 FOR UPDATE");
        assert!(answer(&twin.proxied, &lock).await.contains("done 1"));
        let write = |value: &str| format!("UPDATE {table} SET {column} = '{value}' WHERE id = 2");
        let (late, early) = (write("late"), write("early"));
        let (told, ()) = tokio::join!(answer(&other, &late), async {
            until_blocked(&twin.direct, process).await.unwrap();
            assert_eq!(answer(&twin.proxied, &early).await, "done 1", "{table}");
            answer(&twin.proxied, "COMMIT").await;
        });
        assert_eq!(told, "done 1", "{table}");
        let rows = format!("SELECT {column} FROM {table} WHERE id = 2");
        assert!(answer(&other, &rows).await.contains("late"), "{table}");
    }
}
