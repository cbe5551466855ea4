//! What the random statements over tables that refer to each other have found, by columns and by steps.

use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::corpus::texts;
use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

const BY_COLUMNS: Case = Case {
    name: "estate",
    rules: include_str!("../../data/estate/by_columns.toml"),
    tables: 3,
    also: &[],
    server: "CREATE ROLE landlord; CREATE ROLE onlooker; CREATE ROLE adder; \
        GRANT landlord, onlooker, adder TO app",
    legacy: concat!(
        include_str!("../../data/estate/legacy.sql"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON houses TO landlord; GRANT SELECT ON houses, tenants, staff TO onlooker; \
         GRANT SELECT, INSERT, UPDATE ON houses TO adder;"
    ),
    unified: concat!(
        include_str!("../../data/estate/by_columns.sql"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON place TO landlord; GRANT SELECT ON place, dweller, people TO onlooker; \
         GRANT SELECT, INSERT, UPDATE ON place TO adder; \
         GRANT USAGE ON SEQUENCE tenants_id_seq, staff_id_seq, staff_nr_seq TO PUBLIC;"
    ),
};

const BY_STEPS: Case = Case {
    rules: include_str!("../../data/estate/by_steps.toml"),
    unified: concat!(
        include_str!("../../data/estate/by_steps.sql"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON place, place_times TO landlord; \
         GRANT SELECT ON place, place_times, dweller, people, pays TO onlooker; \
         GRANT SELECT, INSERT, UPDATE ON place, place_times TO adder; \
         GRANT USAGE ON SEQUENCE tenants_id_seq, staff_id_seq, staff_nr_seq TO PUBLIC;"
    ),
    ..BY_COLUMNS
};

/// What is asked, in the order in which it is: each group leaves no transaction open, and knows its own rows.
const ASKED: &str = include_str!("../../data/estate/asked.sql");

/// Statements, `{p}` of which is the phase's own number, are answered alike in every phase: one walk for all of them, since
/// that is what takes the time.
async fn alike(case: Case) {
    let twin = Twin::start_as_owner(case).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for sql in texts(ASKED) {
            let sql = sql.replace("{p}", &(phase as usize + 1).to_string());
            let asked = twin.same(&sql).await;
            asked.unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
        if phase.writes_both() && phase > Phase::DualWrite {
            twin.verified(3).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_random_statements_found_is_answered_alike_by_columns() {
    alike(BY_COLUMNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_random_statements_found_is_answered_alike_by_steps() {
    alike(BY_STEPS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_have_the_modifiers_and_domains_of_narrower_columns() {
    let twin = Twin::start_as_owner(BY_COLUMNS).await.unwrap();
    twin.prepare().await.unwrap();
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        match phase {
            Phase::DualRead => twin.carry_to(phase).await.unwrap(),
            _ => twin.advance(phase).await.unwrap(),
        }
        let told = twin
            .told_alike(&[
                "SELECT * FROM houses WHERE id = 2",
                "SELECT name, price, pg_typeof(zip) FROM houses WHERE id = 2",
                "SELECT note FROM tenants WHERE id = 11",
            ])
            .await;
        told.unwrap_or_else(|error| panic!("{phase}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_other_columns_than_the_key_keeps_nobody_from_referring_to_the_row() {
    let twin = Twin::start_as_owner(BY_COLUMNS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.carry_to(Phase::UnifiedOnly).await.unwrap();
    let refer = "SELECT id FROM place WHERE id = 5 FOR KEY SHARE NOWAIT";
    for (write, waits) in [
        ("UPDATE houses SET size = size + 1 WHERE id = 5", false),
        ("UPDATE houses SET id = 1005 WHERE id = 5", true),
        ("DELETE FROM houses WHERE id = 5", true),
    ] {
        twin.proxied.batch_execute("BEGIN").await.unwrap();
        let said = answer(&twin.proxied, write).await;
        assert_eq!(said, "done 1", "{write}");
        let referred = answer(&twin.direct, refer).await;
        assert_eq!(referred.starts_with("55P03"), waits, "{write}: {referred}");
        twin.proxied.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// The new application inserts a row under its own names, and leaves its transaction open while a legacy one of the key
/// comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_comes_under_its_new_name_meanwhile_is_met_and_not_overwritten() {
    let twin = Twin::start_as_owner(BY_STEPS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.carry_to(Phase::UnifiedOnly).await.unwrap();
    let waiting = pid(&twin.proxied).await.unwrap();
    let watcher = twin.superuser().await.unwrap();
    for (number, write, told, note) in [
        (
            1,
            "",
            "23505 duplicate key value violates unique constraint \"tenants_pkey\" [tenants tenants_pkey]",
            "theirs",
        ),
        (2, "ON CONFLICT DO NOTHING", "done 0", "theirs"),
        (3, "ON CONFLICT (id) DO NOTHING", "done 0", "theirs"),
        (
            4,
            "ON CONFLICT (id) DO UPDATE SET note = tenants.note || '+'",
            "done 1",
            "theirs+",
        ),
    ] {
        let key = 9000 + number;
        let theirs = format!("BEGIN; INSERT INTO dweller (id, note) VALUES ({key}, 'theirs')");
        twin.direct.batch_execute(&theirs).await.unwrap();
        let ours =
            format!("INSERT INTO tenants (id, note, c) VALUES ({key}, 'ours', NULL) {write}");
        let commit = async {
            until_blocked(&watcher, waiting).await.unwrap();
            answer(&twin.direct, "COMMIT").await
        };
        let (said, committed) = tokio::join!(answer(&twin.proxied, &ours), commit);
        assert_eq!(committed, "done 0");
        assert_eq!(said, told, "{write}");
        let there = answer(
            &twin.direct,
            &format!("SELECT note FROM dweller WHERE id = {key} ORDER BY id"),
        )
        .await;
        assert_eq!(there, format!("(note)\n{note}\ndone 1"), "{write}");
    }
}

/// Who refers to a row that goes or moves may refer to another one when it has been waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_refers_to_another_by_now_is_left_alone() {
    let twin = Twin::start_as_owner(BY_STEPS).await.unwrap();
    twin.prepare().await.unwrap();
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        match phase {
            Phase::UnifiedRead => twin.carry_to(phase).await.unwrap(),
            _ => twin.advance(phase).await.unwrap(),
        }
        let other = twin.another().await.unwrap();
        let waiting = pid(&other).await.unwrap();
        for (number, to, act) in [
            (1, "5", "UPDATE houses SET id = {h} + 1 WHERE id = {h}"),
            (2, "NULL", "UPDATE houses SET id = {h} + 1 WHERE id = {h}"),
            (3, "5", "DELETE FROM houses WHERE id = {h}"),
        ] {
            let house = 20_000 + phase as usize * 1000 + number * 10;
            let made = format!(
                "INSERT INTO houses (id, name) VALUES ({house}, 'h {house}'); \
                 INSERT INTO tenants (id, note, a, c) VALUES ({house}, 'here', {house}, NULL)"
            );
            twin.proxied.batch_execute(&made).await.unwrap();
            let moves = format!("BEGIN; UPDATE tenants SET a = {to} WHERE id = {house}");
            twin.proxied.batch_execute(&moves).await.unwrap();
            let watcher = twin.superuser().await.unwrap();
            let commit = async {
                until_blocked(&watcher, waiting).await.unwrap();
                answer(&twin.proxied, "COMMIT").await
            };
            let act = act.replace("{h}", &house.to_string());
            let (said, committed) = tokio::join!(answer(&other, &act), commit);
            assert_eq!((said.as_str(), committed.as_str()), ("done 1", "done 0"));
            let sql = format!(
                "SELECT coalesce(a::text, 'NULL') AS a FROM tenants WHERE id = {house} ORDER BY id"
            );
            let told = answer(&other, &sql).await;
            assert_eq!(told, format!("(a)\n{to}\ndone 1"), "{phase}: {act}");
        }
    }
}
