//! What the random statements over tables that refer to each other have found, by columns and by steps.

use crossfade_tests::twin::{Case, Twin, answer};
use rewrite_rules::Phase;

const BY_COLUMNS: Case = Case {
    name: "estate",
    rules: include_str!("../../data/estate/by_columns.toml"),
    tables: 3,
    also: &[],
    server: "CREATE ROLE landlord; CREATE ROLE onlooker; GRANT landlord, onlooker TO app",
    legacy: concat!(
        include_str!("../../data/estate/legacy.sql"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON houses TO landlord; GRANT SELECT ON houses, tenants, staff TO onlooker;"
    ),
    unified: concat!(
        include_str!("../../data/estate/by_columns.sql"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON place TO landlord; GRANT SELECT ON place, dweller, people TO onlooker; \
         GRANT USAGE ON SEQUENCE tenants_id_seq, staff_id_seq, staff_nr_seq TO PUBLIC;"
    ),
};

const BY_STEPS: Case = Case {
    rules: include_str!("../../data/estate/by_steps.toml"),
    unified: concat!(
        include_str!("../../data/estate/by_steps.sql"),
        "GRANT SELECT, INSERT, UPDATE, DELETE ON place, place_times TO landlord; \
         GRANT SELECT ON place, place_times, dweller, people, pays TO onlooker; \
         GRANT USAGE ON SEQUENCE tenants_id_seq, staff_id_seq, staff_nr_seq TO PUBLIC;"
    ),
    ..BY_COLUMNS
};

/// Statements, `{p}` of which is the phase's own number, are answered alike in every phase.
async fn alike(statements: &[&str]) {
    alike_to(Phase::Retired, statements).await;
}

/// By steps no further than to a phase.
async fn alike_to(last: Phase, statements: &[&str]) {
    for (case, last) in [(BY_COLUMNS, Phase::Retired), (BY_STEPS, last)] {
        let twin = Twin::start_as_owner(case).await.unwrap();
        twin.prepare().await.unwrap();
        twin.in_every_phase(async |phase| {
            if phase > last {
                return;
            }
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
    // Behind that such a change is refused, by steps.
    let statements = [
        "INSERT INTO tenants (id, c, h) VALUES (9{p}1, NULL, 9{p}1), (9{p}2, NULL, 9{p}1), (9{p}3, NULL, 9{p}2)",
        "UPDATE tenants SET id = id + 10000, note = 'moved' WHERE id BETWEEN 9{p}1 AND 9{p}3",
        "SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id",
        "UPDATE tenants SET id = 3{p}000 WHERE id = 109{p}1",
        "SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id",
        "DELETE FROM tenants WHERE id = 3{p}000",
        "SELECT count(*) FROM tenants WHERE id > 900",
    ];
    alike_to(Phase::DualRead, &statements).await;
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
