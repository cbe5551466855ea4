//! `user_settings` split into organisations, people, memberships and settings: through every phase
//! and back, each answer compared with that of a database that was left alone.

use std::sync::LazyLock;

use futures_util::SinkExt;

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::corpus;
use crossfade_tests::twin::{Twin, USER_SETTINGS, answer};
use rewrite_rules::Phase;

/// The columns as the application's ORM lists them.
const LISTED: [&str; 31] = [
    "id",
    "keycloak_user_id",
    "language",
    "agent",
    "max_iterations",
    "security_analyzer",
    "confirmation_mode",
    "llm_model",
    "llm_api_key",
    "llm_api_key_for_byor",
    "llm_base_url",
    "remote_runtime_resource_factor",
    "enable_default_condenser",
    "condenser_max_size",
    "user_consents_to_analytics",
    "billing_margin",
    "enable_sound_notifications",
    "enable_proactive_conversation_starters",
    "sandbox_base_container_image",
    "sandbox_runtime_container_image",
    "user_version",
    "accepted_tos",
    "mcp_config",
    "search_api_key",
    "sandbox_api_key",
    "max_budget_per_task",
    "enable_solvability_analysis",
    "email",
    "email_verified",
    "git_user_name",
    "git_user_email",
];

/// The unified tables seen as the legacy one, by SQL of this test's own.
const AS_LEGACY: &str = "(SELECT s.id, s.keycloak_user_id, language, agent, max_iterations, security_analyzer, \
    confirmation_mode, llm_model, llm_api_key, llm_base_url, remote_runtime_resource_factor, enable_default_condenser, \
    user_consents_to_analytics, billing_margin, sandbox_base_container_image, sandbox_runtime_container_image, \
    settings_version AS user_version, enable_proactive_conversation_starters, mcp_config, search_api_key, \
    max_budget_per_task, sandbox_api_key, enable_solvability_analysis, email, email_verified, llm_api_key_for_byor, \
    git_user_name, git_user_email, condenser_max_size, \
    coalesce((SELECT to_jsonb(a) - 'settings_id' FROM user_settings_apart a WHERE a.settings_id = s.id), \
      (SELECT jsonb_build_object('accepted_tos', u.accepted_tos, 'enable_sound_notifications', u.enable_sound_notifications) \
       FROM \"user\" u WHERE u.keycloak_user_id = s.keycloak_user_id)) AS person FROM settings s \
    JOIN org ON org.id = s.org_id WHERE org.name = 'user_' || s.id || '_org')";

/// The legacy table, with what goes to the person put together likewise.
const LEGACY: &str = "(SELECT (to_jsonb(l) - 'accepted_tos' - 'enable_sound_notifications') AS \"all\", \
    jsonb_build_object('accepted_tos', accepted_tos, 'enable_sound_notifications', enable_sound_notifications) AS person \
    FROM user_settings l)";

fn select(condition: &str) -> String {
    let columns: Vec<String> = LISTED
        .iter()
        .map(|column| format!("user_settings.{column} AS user_settings_{column}"))
        .collect();
    format!(
        "SELECT {} \nFROM user_settings {condition}",
        columns.join(", ")
    )
}

/// What the ORM sends, in the order in which an application would.
async fn orm(twin: &Twin, user: &str) {
    let by_user =
        select("\nWHERE user_settings.keycloak_user_id = $1::VARCHAR \n LIMIT $2::INTEGER");
    let same =
        async |sql: &str, values: &[Option<&str>]| twin.same_with(sql, values).await.unwrap();
    same(&by_user, &[Some(user), Some("1")]).await;
    let given: Vec<&str> = LISTED[1..]
        .iter()
        .copied()
        .filter(|c| *c != "mcp_config")
        .collect();
    let types: Vec<String> = given
        .iter()
        .enumerate()
        .map(|(i, column)| format!("${}::{}", i + 1, type_of(column)))
        .collect();
    let insert = format!(
        "INSERT INTO user_settings ({}) VALUES ({}) RETURNING user_settings.id",
        given.join(", "),
        types.join(", ")
    );
    let values: Vec<Option<&str>> = given
        .iter()
        .map(|column| match *column {
            "keycloak_user_id" => Some(user),
            "confirmation_mode" | "enable_sound_notifications" | "enable_solvability_analysis" => {
                Some("false")
            }
            "enable_default_condenser" | "enable_proactive_conversation_starters" => Some("true"),
            "billing_margin" => Some("1.0"),
            "user_version" => Some("0"),
            "accepted_tos" => Some("2026-11-21 01:08:18.990415"),
            _ => None,
        })
        .collect();
    same(&insert, &values).await;
    same(&by_user, &[Some(user), Some("1")]).await;
    let id = twin
        .alone
        .query_one("SELECT max(id)::text FROM user_settings", &[])
        .await
        .unwrap();
    let id: &str = id.get(0);
    same(
        "UPDATE user_settings SET accepted_tos=$1::TIMESTAMP WITHOUT TIME ZONE WHERE user_settings.id = $2::INTEGER",
        &[Some("2026-11-22 10:00:00"), Some(id)],
    )
    .await;
    same(
        "UPDATE user_settings SET llm_model=$1::VARCHAR, mcp_config=$2::JSON, user_version=$3::INTEGER, \
         enable_sound_notifications=$4::BOOLEAN WHERE user_settings.id = $5::INTEGER",
        &[Some("m"), Some("{\"a\":  1}"), Some("2"), Some("true"), Some(id)],
    )
    .await;
    same(
        &select("\nWHERE user_settings.keycloak_user_id IN ($1::VARCHAR, $2::VARCHAR) AND user_settings.user_version < $3::INTEGER"),
        &[Some(user), Some("none"), Some("4")],
    )
    .await;
    same(
        &format!("SELECT count(*) AS count_1 FROM ({}) AS anon_1", select("")),
        &[],
    )
    .await;
    same(
        "SELECT count(user_settings.id) AS count_1 FROM user_settings",
        &[],
    )
    .await;
    same(
        "UPDATE user_settings SET llm_api_key_for_byor=$1::VARCHAR WHERE user_settings.keycloak_user_id = $2::VARCHAR",
        &[Some("byor"), Some(user)],
    )
    .await;
    same(
        "UPDATE user_settings SET agent=$1::VARCHAR, max_iterations=$2::INTEGER, llm_model=$3::VARCHAR, llm_api_key=$4::VARCHAR, \
         llm_base_url=$5::VARCHAR, remote_runtime_resource_factor=$6::INTEGER, mcp_config=$7::JSON, search_api_key=$8::VARCHAR, \
         sandbox_api_key=$9::VARCHAR, max_budget_per_task=$10::FLOAT, condenser_max_size=$11::INTEGER, email=$12::VARCHAR \
         WHERE user_settings.id = $13::INTEGER",
        &[None, None, None, None, None, None, Some("null"), None, None, None, None, None, Some(id)],
    )
    .await;
    same(&by_user, &[Some(user), Some("1")]).await;
}

fn type_of(column: &str) -> &'static str {
    match column {
        "max_iterations"
        | "remote_runtime_resource_factor"
        | "condenser_max_size"
        | "user_version" => "INTEGER",
        "billing_margin" | "max_budget_per_task" => "FLOAT",
        "accepted_tos" => "TIMESTAMP WITHOUT TIME ZONE",
        "confirmation_mode"
        | "enable_default_condenser"
        | "user_consents_to_analytics"
        | "enable_sound_notifications"
        | "enable_proactive_conversation_starters"
        | "enable_solvability_analysis"
        | "email_verified" => "BOOLEAN",
        _ => "VARCHAR",
    }
}

/// Edge rows, and statements that no ORM sends. `{p}` is the phase's own number.
static EDGES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    corpus::texts(include_str!(
        "../../data/statements/user_settings_edges.sql"
    ))
});

async fn edges(twin: &Twin, phase: Phase) {
    let number = (phase as usize).to_string();
    for sql in EDGES.iter() {
        twin.same(&sql.replace("{p}", &number))
            .await
            .unwrap_or_else(|e| panic!("{phase}: {e}"));
    }
}

async fn all(twin: &Twin, phase: Phase) {
    orm(twin, &format!("orm-{phase}")).await;
    edges(twin, phase).await;
    let unified = format!("(SELECT to_jsonb(m) - 'person' AS \"all\", person FROM {AS_LEGACY} m)");
    twin.equal_in(phase, LEGACY, &unified).await.unwrap();
}

#[tokio::test]
async fn a_split_goes_through_every_phase_and_back() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    // Rows for several chunks.
    twin.same(
        "INSERT INTO user_settings (keycloak_user_id, language, user_version) \
         SELECT 'bulk' || n, 'l' || n, n FROM generate_series(151, 1200) AS n",
    )
    .await
    .unwrap();
    all(&twin, Phase::LegacyOnly).await;
    twin.advance(Phase::DualWrite).await.unwrap();
    all(&twin, Phase::DualWrite).await;
    let said = twin.crossfade("backfill").await.unwrap();
    assert!(said.contains("complete"), "{said}");
    twin.verified(1).await;
    twin.advance(Phase::ShadowRead).await.unwrap();
    all(&twin, Phase::ShadowRead).await;
    twin.advance(Phase::DualRead).await.unwrap();
    all(&twin, Phase::DualRead).await;
    twin.verified(1).await;
    twin.advance(Phase::UnifiedRead).await.unwrap();
    all(&twin, Phase::UnifiedRead).await;
    twin.verified(1).await;
    // The way back, and forward again.
    twin.crossfade("rollback").await.unwrap();
    twin.same("UPDATE user_settings SET language = 'back' WHERE id < 20")
        .await
        .unwrap();
    twin.verified(1).await;
    twin.advance(Phase::UnifiedRead).await.unwrap();
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    all(&twin, Phase::UnifiedOnly).await;
    // Legacy missed these writes; a reverse backfill brings it up to date.
    twin.crossfade("rollback").await.unwrap();
    twin.crossfade("backfill --reverse").await.unwrap();
    twin.verified(1).await;
    twin.equal(LEGACY, LEGACY).await.unwrap();
    twin.advance(Phase::UnifiedOnly).await.unwrap();
    twin.advance(Phase::Retired).await.unwrap();
    twin.direct
        .batch_execute(
            "BEGIN; ALTER TABLE settings ALTER id DROP DEFAULT; \
             CREATE TEMP TABLE next AS SELECT last_value FROM user_settings_id_seq; \
             DROP TABLE user_settings; CREATE SEQUENCE user_settings_id_seq; \
             SELECT setval('user_settings_id_seq', last_value) FROM next; \
             ALTER TABLE settings ALTER id SET DEFAULT nextval('user_settings_id_seq'); COMMIT",
        )
        .await
        .unwrap();
    all(&twin, Phase::Retired).await;
}

async fn told(twin: &Twin, sql: &str) -> String {
    answer(&twin.proxied, sql).await
}

#[tokio::test]
async fn what_the_new_application_writes_reaches_the_legacy_table() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::DualWrite)
        .await
        .unwrap();
    let legacy = "SELECT language, accepted_tos, enable_sound_notifications FROM user_settings WHERE keycloak_user_id = 'k1'";
    // Before dual_read only what the statement set is carried over: the rest may be stale.
    twin.direct
        .batch_execute(
            "UPDATE user_settings SET language = 'past the proxy' WHERE keycloak_user_id = 'k1'",
        )
        .await
        .unwrap();
    let update = "UPDATE \"user\" SET accepted_tos = '2027-01-01' WHERE keycloak_user_id = 'k1' RETURNING id > 0";
    assert_eq!(told(&twin, update).await, "(?column?)\ndone 1\nt");
    assert_eq!(
        answer(&twin.direct, legacy).await,
        "(language, accepted_tos, enable_sound_notifications)\ndone 1\npast the proxy|2027-01-01 00:00:00|f"
    );
    twin.refused(
        "UPDATE \"user\" SET keycloak_user_id = 'k2' WHERE keycloak_user_id = 'k1'",
        "before dual_read",
    )
    .await
    .unwrap();
    // No part of a legacy row: none of our business.
    assert_eq!(
        told(
            &twin,
            "UPDATE org SET contact_name = 'x' WHERE name = 'user_1_org'"
        )
        .await,
        "done 1"
    );
    twin.same("UPDATE user_settings SET language = 'both' WHERE keycloak_user_id = 'k1'")
        .await
        .unwrap();

    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        twin.advance(phase).await.unwrap();
        if phase == Phase::ShadowRead {
            continue;
        }
        let new = format!("new-{phase}");
        let signup = format!(
            "BEGIN; INSERT INTO org (name) VALUES ('{new}'); INSERT INTO \"user\" (keycloak_user_id, accepted_tos) VALUES ('{new}', '2027-02-02'); \
             INSERT INTO settings (org_id, keycloak_user_id, settings_version, language) SELECT org.id, '{new}', 5, 'en' FROM org WHERE name = '{new}'; COMMIT"
        );
        assert_eq!(
            told(&twin, &signup).await.matches("done").count(),
            5,
            "{signup}"
        );
        let row = format!(
            "SELECT user_version, accepted_tos, language FROM user_settings WHERE keycloak_user_id = '{new}'"
        );
        let found = "(user_version, accepted_tos, language)\n5|2027-02-02 00:00:00|en\ndone 1";
        let sorted = |text: &str| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.join("|")
        };
        assert_eq!(sorted(&answer(&twin.direct, &row).await), sorted(found));
        for sql in [
            "UPDATE settings SET language = 'new', llm_model = llm_model || '!' WHERE keycloak_user_id = 'twice'",
            "UPDATE \"user\" AS u SET enable_sound_notifications = true, accepted_tos = now() WHERE u.keycloak_user_id IN ('twice', 'k1')",
            &format!(
                "UPDATE settings s SET keycloak_user_id = 'k1' FROM org WHERE org.id = s.org_id AND org.name = '{new}'"
            ),
            &format!(
                "DELETE FROM \"user\" WHERE keycloak_user_id = '{new}' RETURNING keycloak_user_id"
            ),
            // Before that the legacy row would stay.
            &format!(
                "DELETE FROM settings WHERE keycloak_user_id = 'bulk9' AND {}",
                phase == Phase::UnifiedRead
            ),
        ] {
            assert!(
                told(&twin, sql).await.contains("done"),
                "{sql}: {}",
                told(&twin, sql).await
            );
            twin.verified(1).await;
        }
    }
}

#[tokio::test]
async fn two_writers_of_one_row_lose_nothing() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::UnifiedOnly)
        .await
        .unwrap();
    let other = twin.another().await.unwrap();
    let process = pid(&other).await.unwrap();
    // As an ORM saves: by the key, to constants. Both changes stand.
    answer(
        &twin.proxied,
        "BEGIN; UPDATE user_settings SET accepted_tos = '2027-01-01' WHERE id = 1",
    )
    .await;
    let waits = answer(
        &other,
        "UPDATE user_settings SET language = 'second' WHERE id = 1 RETURNING accepted_tos, language",
    );
    let (second, ()) = tokio::join!(waits, async {
        until_blocked(&twin.direct, process).await.unwrap();
        answer(&twin.proxied, "COMMIT").await;
    });
    assert!(second.contains("2027-01-01 00:00:00|second"), "{second}");
    // A value that is made from the row is made from what the row is now.
    answer(
        &twin.proxied,
        "BEGIN; UPDATE user_settings SET max_iterations = 60 WHERE id = 1",
    )
    .await;
    let waits = answer(
        &other,
        "UPDATE user_settings SET max_iterations = max_iterations + 1 WHERE id = 1",
    );
    let (second, ()) = tokio::join!(waits, async {
        until_blocked(&twin.direct, process).await.unwrap();
        answer(&twin.proxied, "COMMIT").await;
    });
    assert_eq!(second, "done 1");
    let both = "SELECT max_iterations FROM user_settings WHERE id = 1";
    assert!(answer(&other, both).await.contains("61"));
}

#[tokio::test]
async fn of_two_upserts_of_a_new_key_the_later_one_updates_the_row() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::UnifiedRead)
        .await
        .unwrap();
    let other = twin.another().await.unwrap();
    let process = pid(&other).await.unwrap();
    let upsert = |language: &str| {
        format!(
            "INSERT INTO user_settings (id, language) VALUES (9500, '{language}') \
             ON CONFLICT (id) DO UPDATE SET language = excluded.language || user_settings.language"
        )
    };
    answer(&twin.proxied, &format!("BEGIN; {}", upsert("a"))).await;
    let second = upsert("b");
    let (second, ()) = tokio::join!(answer(&other, &second), async {
        until_blocked(&twin.direct, process).await.unwrap();
        answer(&twin.proxied, "COMMIT").await;
    });
    assert_eq!(second, "done 1");
    let found = "SELECT language FROM user_settings WHERE id = 9500";
    assert!(answer(&other, found).await.contains("ba"));
    twin.verified(1).await;
}

#[tokio::test]
async fn what_a_split_cannot_do_is_refused() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::UnifiedRead)
        .await
        .unwrap();
    for (sql, why) in [
        ("SELECT ctid FROM user_settings", "the system column ctid"),
        ("TRUNCATE settings", "TRUNCATE of the unified table"),
    ] {
        twin.refused(sql, why).await.unwrap();
    }
    // What PostgreSQL itself does not do is told as it does.
    for action in ["DO UPDATE SET language = 'x'", "DO NOTHING"] {
        let sql =
            format!("INSERT INTO user_settings (id) VALUES (1) ON CONFLICT (language) {action}");
        let said = told(&twin, &sql).await;
        assert!(said.starts_with("42P10"), "{said}");
    }
}

#[tokio::test]
async fn a_row_that_only_unified_cannot_take_is_not_skipped_in_silence() {
    let twin = Twin::in_phase(USER_SETTINGS, Phase::UnifiedRead)
        .await
        .unwrap();
    twin.direct
        .batch_execute("ALTER TABLE settings ADD CONSTRAINT one_email UNIQUE (email)")
        .await
        .unwrap();
    let first = "INSERT INTO user_settings (email) VALUES ('one@x')";
    assert_eq!(told(&twin, first).await, "done 1");
    let both = "INSERT INTO user_settings (email) VALUES ('two@x'), ('one@x') ON CONFLICT DO NOTHING RETURNING email";
    let said = told(&twin, both).await;
    assert!(
        said.starts_with("23505") && said.contains("one_email"),
        "{said}"
    );
    let kept = "SELECT email FROM user_settings WHERE email LIKE '%@x'";
    assert_eq!(told(&twin, kept).await, "(email)\ndone 1\none@x");
}

#[tokio::test]
async fn commands_and_copies_of_a_split_reach_both_sides() {
    for phase in [Phase::DualWrite, Phase::UnifiedRead, Phase::UnifiedOnly] {
        let twin = Twin::in_phase(USER_SETTINGS, phase).await.unwrap();
        let copy = "COPY user_settings (keycloak_user_id, language, mcp_config) FROM STDIN CSV";
        let rows = "copied,de,\"{\"\"a\"\": 1}\"\ntwice,fr,\n,es,null\n";
        let mut sink = std::pin::pin!(twin.alone.copy_in(copy).await.unwrap());
        sink.send(bytes::Bytes::from(rows)).await.unwrap();
        assert_eq!(sink.finish().await.unwrap(), 3);
        let mut raw = twin.raw().await.unwrap();
        let told = raw.copy_in(copy, rows).await.unwrap();
        assert!(told.iter().any(|m| m.tag_text() == "COPY 3"), "{phase}");
        for sql in [
            "SELECT id, keycloak_user_id, language, mcp_config::text FROM user_settings WHERE id > 150 ORDER BY id",
            "BEGIN; DECLARE c CURSOR FOR SELECT id, language FROM user_settings ORDER BY id DESC; FETCH 3 FROM c; COMMIT",
            "CREATE TEMP TABLE kept AS SELECT id, keycloak_user_id FROM user_settings WHERE language = 'de' ORDER BY id",
            "SELECT * FROM kept ORDER BY id",
            "BEGIN; LOCK TABLE user_settings IN SHARE MODE; COMMIT",
            "SELECT u, pg_typeof(u), array_agg(u) FROM user_settings u WHERE id < 4 GROUP BY u ORDER BY u",
            "SELECT u, v IS NULL, coalesce(v, u), row_to_json(u)::text FROM user_settings u LEFT JOIN user_settings v ON v.id = u.id + 1 AND v.language = 'de' ORDER BY u.id LIMIT 5",
            "UPDATE user_settings u SET language = 'row' WHERE id = 2 RETURNING u, pg_typeof(u), (u).language",
            "WITH w AS (UPDATE user_settings SET language = 'de' WHERE id = 2 RETURNING user_settings) SELECT * FROM w",
            "BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE user_settings SET language = 'rr' WHERE id = 2; DELETE FROM user_settings WHERE id = 3; INSERT INTO user_settings (keycloak_user_id) VALUES ('rr') RETURNING id; COMMIT",
            "SELECT id, language FROM user_settings WHERE id < 6 ORDER BY id",
        ] {
            twin.same(sql)
                .await
                .unwrap_or_else(|e| panic!("{phase}: {e}"));
        }
        let unified =
            format!("(SELECT to_jsonb(m) - 'person' AS \"all\", person FROM {AS_LEGACY} m)");
        twin.equal(LEGACY, &unified).await.unwrap();
        let plan = answer(
            &twin.proxied,
            "EXPLAIN UPDATE user_settings SET language = 'x' WHERE id = 1",
        )
        .await;
        assert!(plan.contains("QUERY PLAN"), "{plan}");
        twin.same("TRUNCATE user_settings, ONLY user_settings CASCADE")
            .await
            .unwrap();
        twin.same("SELECT count(*) FROM user_settings")
            .await
            .unwrap();
        twin.equal(LEGACY, &unified).await.unwrap();
        assert_eq!(
            answer(&twin.direct, "SELECT count(*) FROM org").await,
            "(count)\n0\ndone 1"
        );
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_split_enters_the_ledger_and_settles_later() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.direct
        .batch_execute("ALTER TABLE settings ADD CHECK (language <> 'xx')")
        .await
        .unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    twin.crossfade("backfill").await.unwrap();
    // The legacy write stands, and so do its neighbours on the unified side.
    twin.same(
        "UPDATE user_settings SET language = CASE WHEN id = 2 THEN 'xx' ELSE 'yy' END WHERE id < 4",
    )
    .await
    .unwrap();
    let ledger = "SELECT key::text, sqlstate FROM crossfade.divergence";
    let operator = twin.superuser().await.unwrap();
    assert_eq!(
        answer(&operator, ledger).await,
        "(key, sqlstate)\n[\"2\"]|23514\ndone 1"
    );
    let kept = answer(
        &twin.direct,
        "SELECT id, language FROM settings WHERE id < 4 ORDER BY id",
    )
    .await;
    assert_eq!(kept, "(id, language)\n1|yy\n2|∅\n3|yy\ndone 3");
    twin.same("UPDATE user_settings SET language = 'zz' WHERE id = 2")
        .await
        .unwrap();
    twin.crossfade("backfill").await.unwrap();
    twin.verified(1).await;
    assert_eq!(answer(&operator, ledger).await, "(key, sqlstate)\ndone 0");
}

#[tokio::test]
async fn the_check_tries_a_written_lens_on_rows() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    assert!(said.contains("rows read back as they were put"), "{said}");
    twin.direct
        .batch_execute("ALTER TABLE user_settings ALTER language TYPE text")
        .await
        .unwrap();
    let error = format!("{:#}", twin.crossfade("check").await.unwrap_err());
    assert!(error.contains("language"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lastval_is_the_id_of_the_row_that_was_inserted() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for sql in [
            "INSERT INTO user_settings (keycloak_user_id) VALUES ('last-{p}')",
            "SELECT lastval()",
            "INSERT INTO user_settings (keycloak_user_id) VALUES ('last-{p}'), (NULL), ('other-{p}') RETURNING id",
            "SELECT lastval()",
            "INSERT INTO user_settings (id, keycloak_user_id) VALUES (70000{p}, 'given-{p}')",
            "SELECT lastval()",
            "INSERT INTO user_settings (keycloak_user_id) SELECT 'more-{p}' ON CONFLICT (id) DO UPDATE SET agent = 'x'",
            "SELECT lastval()",
            "UPDATE user_settings SET keycloak_user_id = 'moved-{p}' WHERE id = 70000{p}",
            "SELECT lastval()",
            "BEGIN",
            "INSERT INTO user_settings (keycloak_user_id) VALUES ('undone-{p}')",
            "SELECT lastval(), currval('user_settings_id_seq')",
            "COMMIT",
            "DELETE FROM user_settings WHERE id = 70000{p}",
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

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_was_drawn_lastval_is_not_defined() {
    for phase in [Phase::DualWrite, Phase::UnifiedRead] {
        let twin = Twin::in_phase(USER_SETTINGS, phase).await.unwrap();
        for sql in [
            "INSERT INTO user_settings (id, keycloak_user_id) VALUES (70000, 'given')",
            "SELECT lastval()",
            "INSERT INTO user_settings (keycloak_user_id) VALUES ('drawn')",
            "SELECT lastval()",
        ] {
            twin.same(sql)
                .await
                .unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
    }
}
