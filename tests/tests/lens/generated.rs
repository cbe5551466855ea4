//! Columns that fill themselves, on either side: what may be given for them, in every phase.

use crossfade_tests::answer::comparable;
use crossfade_tests::raw::RawClient;
use crossfade_tests::twin::{Case, Twin, USER_SETTINGS};
use rewrite_rules::Phase;

const STAFF: Case = Case {
    name: "staff",
    rules: include_str!("../../data/lens/staff.toml"),
    tables: 1,
    also: &[],
    server: "",
    legacy: include_str!("../../data/lens/staff_legacy.sql"),
    unified: include_str!("../../data/lens/staff_unified.sql"),
};

/// The same lens by steps.
const BY_STEPS: Case = Case {
    rules: include_str!("../../data/lens/staff_steps.toml"),
    ..STAFF
};

const AS_LEGACY: &str =
    "(SELECT id, nr, first, last, pay, full_name AS called, yearly FROM people)";

/// `{p}` is the phase's own number.
const STATEMENTS: [&str; 30] = [
    "INSERT INTO staff (first, last, pay) VALUES ('Ann{p}', 'B', 10.005) RETURNING *",
    "INSERT INTO staff VALUES (DEFAULT, DEFAULT, 'all{p}', 'y', 1) RETURNING *",
    "INSERT INTO staff VALUES (DEFAULT, 40{p}, 'all{p}', 'y', 1, DEFAULT, DEFAULT) RETURNING *",
    "INSERT INTO staff VALUES (7, 8, 'x', 'y', 1)",
    "INSERT INTO staff (id, first) VALUES (90{p}, 'given{p}')",
    "INSERT INTO staff (id, first) OVERRIDING SYSTEM VALUE VALUES (90{p}, 'given{p}') RETURNING *",
    "INSERT INTO staff (id, nr, first) OVERRIDING USER VALUE VALUES (91{p}, 5, 'user{p}') RETURNING *",
    "INSERT INTO staff (nr, first, called) OVERRIDING USER VALUE VALUES (5, 'user{p}', DEFAULT) RETURNING *",
    "INSERT INTO staff (nr, first) VALUES (5{p}, 'nr{p}') RETURNING *",
    "INSERT INTO staff (nr, first) OVERRIDING SYSTEM VALUE VALUES (6{p}, 'nr{p}') RETURNING *",
    "INSERT INTO staff (id, first) VALUES (DEFAULT, 'd{p}'), (DEFAULT, 'e{p}') RETURNING *",
    "INSERT INTO staff (id, first) VALUES (DEFAULT, 'd{p}'), (5, 'e{p}')",
    "INSERT INTO staff (id, first) SELECT 5, 'q{p}'",
    "INSERT INTO staff (id, first) OVERRIDING USER VALUE SELECT 5, 'q{p}' RETURNING *",
    "INSERT INTO staff (id, first) OVERRIDING SYSTEM VALUE SELECT 92{p}, 'q{p}' RETURNING *",
    "INSERT INTO staff (first, called) VALUES ('a', 'b')",
    "INSERT INTO staff (first, called, yearly) VALUES ('a{p}', DEFAULT, DEFAULT) RETURNING *",
    "INSERT INTO staff (first, yearly) OVERRIDING SYSTEM VALUE VALUES ('a', 1)",
    "INSERT INTO staff (first, yearly) SELECT 'a', 1",
    "UPDATE staff SET id = 5 WHERE first = 'given{p}'",
    "UPDATE staff SET called = 'x' WHERE id = 1",
    "UPDATE staff SET (yearly, first) = (1, 'x') WHERE id = 1",
    "UPDATE staff SET yearly = DEFAULT, pay = 3.005 WHERE first = 'Ann{p}' RETURNING *",
    "UPDATE staff SET first = 'Eve{p}', pay = pay + 1 WHERE first = 'Ann{p}' RETURNING *",
    "UPDATE staff SET called = DEFAULT, last = first WHERE first = 'Eve{p}' RETURNING *",
    "UPDATE staff SET called = DEFAULT WHERE id = 1",
    "UPDATE staff SET (first, last) = (SELECT 'z{p}', 'w') WHERE id = 1 RETURNING *",
    "INSERT INTO staff (id, first) OVERRIDING SYSTEM VALUE VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET last = 'c{p}' RETURNING *",
    "DELETE FROM staff WHERE called = 'Two{p}'",
    "SELECT * FROM staff ORDER BY id",
];

/// In `unified_read` legacy would draw another number for itself.
const DRAWN: &str =
    "UPDATE staff SET id = DEFAULT, nr = DEFAULT WHERE first = 'given{p}' RETURNING *";

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_legacy_draws_anew_is_unifieds_as_well() {
    let twin = Twin::start(STAFF).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    let given = STATEMENTS.iter().find(|sql| sql.contains("given{p}"));
    for sql in [*given.unwrap(), DRAWN, "SELECT * FROM staff ORDER BY id"] {
        twin.same(&sql.replace("{p}", "1")).await.unwrap();
    }
    twin.crossfade("backfill").await.unwrap();
    twin.verified(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_fill_themselves_answer_as_before() {
    fill_themselves(STAFF).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_fill_themselves_answer_as_before_by_steps() {
    fill_themselves(BY_STEPS).await;
}

async fn fill_themselves(case: Case) {
    let twin = Twin::start(case).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let number = (phase as usize).to_string();
        let mut wrong = String::new();
        let drawn = DRAWN.replace("{p}", &number);
        match phase {
            Phase::UnifiedRead => twin.refused(&drawn, "GENERATED ALWAYS").await.unwrap(),
            Phase::UnifiedOnly => drop(twin.same(&drawn).await.unwrap()),
            // It would be counted, and hold up the step to where it is refused.
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => {}
            Phase::Retired => unreachable!("nobody is left to compare with"),
        }
        for sql in STATEMENTS {
            if let Err(error) = twin.same(&sql.replace("{p}", &number)).await {
                wrong += &format!("{phase}: {error}\n\n");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
        twin.equal_in(phase, "staff", AS_LEGACY).await.unwrap();
    })
    .await
    .unwrap();
}

/// What COPY is answered.
async fn copied(session: &mut RawClient, copy: &str, rows: Option<&str>) -> Vec<String> {
    let messages = match rows {
        Some(rows) => session.copy_in(copy, rows).await,
        None => session.simple(copy).await,
    };
    comparable(&messages.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_neither_shows_nor_expects_computed_columns() {
    copies(STAFF).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_neither_shows_nor_expects_computed_columns_by_steps() {
    copies(BY_STEPS).await;
}

async fn copies(case: Case) {
    let twin = Twin::start(case).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let (mut alone, mut through) = (twin.raw_alone().await.unwrap(), twin.raw().await.unwrap());
        let rows = format!("70{}\t1\tcopied\tx\t1.5\n", phase as usize);
        for (copy, rows) in [
            ("COPY staff FROM STDIN", Some(rows.as_str())),
            ("COPY staff (first, pay) FROM STDIN", Some("named\t2\n")),
            ("COPY staff (first, called) FROM STDIN", Some("named\tx\n")),
            ("COPY (SELECT * FROM staff) TO STDOUT", None),
            ("COPY staff (called) TO STDOUT", None),
            ("COPY staff TO STDOUT CSV HEADER", None),
        ] {
            let expected = copied(&mut alone, copy, rows).await;
            let found = copied(&mut through, copy, rows).await;
            assert_eq!(found, expected, "{phase}: {copy}");
        }
        twin.equal_in(phase, "staff", AS_LEGACY).await.unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn overriding_a_value_means_the_same_in_a_table_that_is_split() {
    let twin = Twin::start(USER_SETTINGS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for sql in [
            "INSERT INTO user_settings (id, keycloak_user_id) OVERRIDING USER VALUE VALUES (50{p}, 'over-{p}') RETURNING id",
            "INSERT INTO user_settings (id, keycloak_user_id) OVERRIDING USER VALUE SELECT 50{p}, 'more-{p}' RETURNING id",
            "INSERT INTO user_settings (id, keycloak_user_id) OVERRIDING SYSTEM VALUE VALUES (60{p}, 'system-{p}') RETURNING id",
            "INSERT INTO user_settings (id, keycloak_user_id) VALUES (70{p}, 'given-{p}') RETURNING id",
            "UPDATE user_settings SET id = DEFAULT WHERE id = 70{p} RETURNING id",
            "SELECT id, keycloak_user_id FROM user_settings ORDER BY id",
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
async fn check_compares_with_the_catalog_what_fills_a_column() {
    let twin = Twin::start(STAFF).await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    assert!(said.contains("staff: 0 errors"), "{said}");
    twin.direct
        .batch_execute(
            "ALTER TABLE staff ALTER nr SET GENERATED ALWAYS, ALTER called DROP EXPRESSION, DROP yearly; \
             ALTER TABLE staff ADD yearly numeric(9,2) GENERATED ALWAYS AS (pay * 13) STORED; \
             ALTER TABLE people ALTER full_name DROP EXPRESSION",
        )
        .await
        .unwrap();
    let said = format!("{:?}", twin.crossfade("check").await);
    for told in [
        "column nr is GENERATED ALWAYS AS IDENTITY, the rule file says GENERATED BY DEFAULT AS IDENTITY",
        "column called is not generated, the rule file says GENERATED ALWAYS AS (…)",
        "column yearly is computed otherwise than the rule file says, as 1 rows show",
        "people.full_name is not generated, and the rule file says otherwise",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
}
