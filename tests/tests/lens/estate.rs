//! What the random statements over tables that refer to each other have found, by columns and by steps.

use crossfade_tests::control::{pid, until_blocked};
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

/// Statements, `{p}` of which is the phase's own number, are answered alike in every phase.
async fn alike(statements: &[&str]) {
    for case in [BY_COLUMNS, BY_STEPS] {
        let twin = Twin::start_as_owner(case).await.unwrap();
        twin.prepare().await.unwrap();
        twin.in_every_phase(async |phase| {
            for sql in statements {
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
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_refer_to_rows_of_their_own_table_follow_their_keys() {
    alike(&[
        "INSERT INTO tenants (id, c, h) VALUES (9{p}1, NULL, 9{p}1), (9{p}2, NULL, 9{p}1), (9{p}3, NULL, 9{p}2)",
        "UPDATE tenants SET id = id + 10000, note = 'moved' WHERE id BETWEEN 9{p}1 AND 9{p}3 RETURNING id, h",
        "SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id",
        "UPDATE tenants SET id = 3{p}000 WHERE id = 109{p}1",
        "SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id",
        // One that is set to refer to nothing, and one that is set to refer to itself by its new key.
        "UPDATE tenants SET id = 4{p}000, h = NULL WHERE id = 3{p}000",
        "UPDATE tenants SET id = 5{p}000, h = 5{p}000 WHERE id = 4{p}000",
        "UPDATE tenants SET id = 6{p}000, h = 5{p}000 WHERE id = 5{p}000",
        "UPDATE tenants SET id = 7{p}000, h = 777 WHERE id = 6{p}000",
        "UPDATE tenants SET id = 109{p}4 WHERE h = 109{p}2",
        "BEGIN",
        "SET CONSTRAINTS tenants_h_fkey DEFERRED",
        "UPDATE tenants SET id = 7{p}000, h = 7{p}001 WHERE id = 6{p}000",
        "UPDATE tenants SET id = 7{p}001 WHERE id = 7{p}000",
        "COMMIT",
        "SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id",
        "DELETE FROM tenants WHERE id = 7{p}001",
        "SELECT count(*) FROM tenants WHERE id > 900",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_a_row_is_told_by_its_legacy_names() {
    alike(&[
        "UPDATE houses SET id = 9{p} WHERE id = 41",
        "UPDATE houses SET id = 8{p} WHERE id = 51",
        "DELETE FROM houses WHERE id = 52",
        "BEGIN",
        "DELETE FROM houses WHERE id = 62",
        "COMMIT",
        "BEGIN",
        "SET CONSTRAINTS tenants_a_fkey DEFERRED",
        "ROLLBACK",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_as_a_whole_depends_on_its_key() {
    alike(&[
        // The other table has a column of that name.
        "SELECT to_jsonb(h.*) AS j, count(*) FROM houses AS h LEFT JOIN tenants AS t ON t.a = h.id GROUP BY h.id ORDER BY h.id",
        "SELECT row_to_json(x) AS j, count(*) FROM houses AS x LEFT JOIN tenants AS t ON t.a = x.id GROUP BY x.id ORDER BY x.id",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_told_of_tables_and_need_no_right_to_what_nothing_is_done_to() {
    alike(&[
        "SET ROLE landlord",
        "INSERT INTO houses (id, name) VALUES (60{p}, 'role {p}') RETURNING id",
        "UPDATE houses SET id = 70{p}, size = 3 WHERE id = 60{p} RETURNING size",
        "INSERT INTO houses (id, name) VALUES (70{p}, 'role {p}') ON CONFLICT (id) DO UPDATE SET size = 4 RETURNING size",
        "DELETE FROM houses WHERE id = 70{p}",
        "SELECT count(*) FROM tenants",
        "UPDATE tenants SET note = 'x'",
        "SET ROLE onlooker",
        "SELECT count(*) FROM houses",
        "INSERT INTO houses (id, name) VALUES (60{p}, 'role {p}')",
        "INSERT INTO staff (first) VALUES ('x')",
        "UPDATE houses SET id = 200 WHERE id = 5",
        "UPDATE tenants SET note = 'x' WHERE id = 11",
        "DELETE FROM staff WHERE nr = 101",
        "SELECT id FROM staff WHERE nr = 101 FOR UPDATE",
        "RESET ROLE",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_asked_for_its_rights_whether_or_not_there_is_a_row() {
    alike(&[
        "SET ROLE adder",
        "DELETE FROM houses WHERE id = -1",
        "DELETE FROM houses AS h USING (VALUES (-1)) AS v (i) WHERE v.i = h.id RETURNING h.id",
        "WITH w AS (DELETE FROM houses WHERE name = 'nobody' RETURNING id) SELECT count(*) FROM w",
        "UPDATE houses SET size = 1 WHERE id = -1",
        "INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false",
        "SET ROLE onlooker",
        "DELETE FROM houses WHERE id = -1",
        "UPDATE houses SET size = 1 WHERE id = -1",
        "INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false",
        "INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false ON CONFLICT (id) DO UPDATE SET size = 1",
        "RESET ROLE",
        // What may not write at all is told so first.
        "BEGIN READ ONLY",
        "UPDATE houses SET size = 1 WHERE id = -1",
        "ROLLBACK",
        "BEGIN READ ONLY",
        "INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false ON CONFLICT (id) DO UPDATE SET size = 1",
        "ROLLBACK",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_referred_to_is_truncated_with_those_that_refer_to_it_alone() {
    let counts = "SELECT (SELECT count(*) FROM houses), (SELECT count(*) FROM tenants), (SELECT count(*) FROM staff)";
    alike(&[
        "TRUNCATE houses",
        "TRUNCATE houses, staff",
        "TRUNCATE staff, houses",
        "BEGIN",
        "TRUNCATE houses, tenants, staff",
        counts,
        "ROLLBACK",
        "BEGIN",
        "TRUNCATE tenants",
        counts,
        "ROLLBACK",
        "SET ROLE onlooker",
        "TRUNCATE houses",
        "RESET ROLE",
        counts,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_joined_may_be_called_like_a_column_of_the_table() {
    alike(&[
        "UPDATE houses SET size = size",
        "UPDATE tenants SET note = note",
        "UPDATE tenants SET note = a.name FROM houses AS a WHERE a.id = tenants.a AND a = 11 RETURNING tenants.id, a, a.name",
        "UPDATE tenants AS t SET note = left(b.name, 5) || t.id FROM houses AS b WHERE b.id = t.b AND t.note IS DISTINCT FROM 'x' RETURNING t.id, b.*",
        "UPDATE tenants SET (note, c) = (SELECT left(a.name, 6), tenants.c) FROM houses AS a WHERE a.id = tenants.a RETURNING tenants.id, note",
        "BEGIN",
        "DELETE FROM tenants AS t USING houses AS e WHERE e.id = t.e AND e.id = 51 RETURNING t.id, e.name",
        "DELETE FROM tenants USING houses AS a, staff AS b WHERE a.id = tenants.a AND b.nr = 101 RETURNING b.first, a.id",
        "SELECT id, note FROM tenants ORDER BY id",
        "ROLLBACK",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_values_is_assigned_by_its_own_types() {
    alike(&[
        "INSERT INTO houses (id, name) VALUES (3000 + {p}, 12345{p}), ('310{p}', 'n{p}'), (3200.4 + {p}, 'x{p}'::text) RETURNING id, name",
        "INSERT INTO houses (id, name, born) VALUES (3300 + {p}, 'b{p}', '2024-02-29'), (3400 + {p}, 'c{p}', '2024-07-01 23:30Z'::timestamptz) RETURNING born",
        "INSERT INTO houses (id, name) VALUES (3500 + {p}, 'too long a name'), (3600 + {p}, 1)",
        "INSERT INTO houses (id, name) VALUES (3500 + {p}, DEFAULT), (3600 + {p}, 1)",
        "SELECT id, name, born FROM houses WHERE id > 3000 ORDER BY id",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_gives_an_insert_as_many_columns_as_it_names() {
    alike(&[
        "INSERT INTO staff (first, last) SELECT * FROM (SELECT 'a', 'b', 'c') AS s",
        "INSERT INTO staff (first, last) SELECT s.* FROM (SELECT 'a' AS x, 'b' AS y) AS s RETURNING first, last",
        "INSERT INTO tenants (id, note) TABLE houses",
        "INSERT INTO tenants (id, note) SELECT id, name FROM houses WHERE false UNION ALL SELECT 1, 'x' WHERE false",
        "INSERT INTO tenants (id, note) SELECT id, name, size FROM houses UNION ALL SELECT 1, 'x', 2",
        "INSERT INTO houses SELECT 700 + {p}, 'short {p}'",
        "INSERT INTO houses SELECT h.id + 7000, 'c {p}' FROM houses AS h WHERE h.id = 700 + {p} RETURNING *",
        "INSERT INTO houses SELECT *, 1 FROM houses",
        "SELECT count(*) FROM tenants",
    ])
    .await;
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
