//! What PostgreSQL does not run, a lens by steps or by columns does not run either, once unified leads.

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::newer;
use crossfade_tests::oracle::Kind;
use crossfade_tests::raw::RawClient;
use rewrite_rules::Phase;

const ROW: &str = "INSERT INTO iso_agents (id, clerk_user_id, email, full_name) \
    VALUES ('00000000-0000-4000-8000-000000000001', 'one', 'one@example.com', 'One')";

/// Sends statements straight and through a proxy, in each phase in which unified leads.
async fn told_alike(world: World, kinds: &[Kind], statements: &[&str]) {
    for kind in kinds {
        let prepared = kind.prepared(&world).await.unwrap();
        for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
            let (straight, moved) = (
                format!("straight_{kind}_{phase}"),
                format!("{kind}_{phase}"),
            );
            world.database(&straight).await.unwrap();
            let proxy = kind
                .in_phase(&world, (&prepared, &moved), phase)
                .await
                .unwrap();
            let port = world.postgres.port;
            let mut alone = RawClient::connect(port, &straight).await.unwrap();
            let mut through = RawClient::connect(proxy.port, &moved).await.unwrap();
            let rows = "SELECT id, email, full_name, role, margin_value, is_active FROM iso_agents ORDER BY email";
            for sql in [ROW].iter().chain(statements).chain(&[rows]) {
                let expected = comparable(&alone.simple(sql).await.unwrap());
                let found = comparable(&through.simple(sql).await.unwrap());
                assert_eq!(found, expected, "by {kind} in {phase}: {sql}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_conflict_do_update_without_a_target_is_no_insert() {
    let insert = "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'x@example.com', 'X')";
    let statements = [
        format!("{insert} ON CONFLICT DO UPDATE SET full_name = 'x'"),
        format!("{insert} ON CONFLICT DO NOTHING"),
    ];
    let statements = statements.each_ref().map(String::as_str);
    told_alike(World::start().await.unwrap(), &Kind::ALL, &statements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_set_twice_is_an_error_by_steps_as_well() {
    let statements = [
        "UPDATE iso_agents SET full_name = 'x', full_name = 'y' WHERE email = 'one@example.com'",
        "UPDATE iso_agents SET (full_name, role) = ('x', 'admin'), role = 'admin'",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'one@example.com', 'X') \
         ON CONFLICT (email) DO UPDATE SET full_name = 'x', margin_value = 1, full_name = 'y'",
    ];
    told_alike(World::start().await.unwrap(), &[Kind::Steps], &statements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_only_reads_runs_no_write_that_finds_no_row() {
    let mut statements = Vec::new();
    for write in [
        "UPDATE iso_agents SET full_name = 'x' WHERE false",
        "UPDATE iso_agents SET full_name = full_name || 'x' WHERE email = 'nobody'",
        "DELETE FROM iso_agents WHERE false",
        "DELETE FROM iso_agents WHERE id = '00000000-0000-4000-8000-00000000ffff'",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT 'x', 'x', 'x' WHERE false",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'one@example.com', 'x') ON CONFLICT DO NOTHING",
    ] {
        statements.extend(["BEGIN READ ONLY", write, "ROLLBACK"]);
    }
    told_alike(World::start().await.unwrap(), &[Kind::Steps], &statements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_gives_no_column_a_value_of_another_type() {
    let statements = [
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, is_active) SELECT 'x', 'x@example.com', 'x', 1",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_value) SELECT 'x', 'x@example.com', 'x', '1' || '2'",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, role) SELECT 'x', 'x@example.com', 'x', 'adm' || 'in'",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, is_active) SELECT n, n || '@example.com', n, n FROM generate_series(1, 2) n",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, is_active) VALUES ('x', 'x@example.com', 'x', 1)",
        "INSERT INTO iso_agents (clerk_user_id, email) VALUES ('a', 'b'), ('c')",
        // What an assignment takes.
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, is_active, margin_value, metadata, role) \
         SELECT n, 'n' || n || '@example.com', n, NULL, n::real, '{}', 'admin' FROM generate_series(1, 2) n RETURNING email, margin_value, role",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, margin_type) SELECT DISTINCT 'd', 'd@example.com', 5, NULL::margin_type",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name) SELECT 'e', 'e@example.com', 'e' UNION SELECT 'f', 'f@example.com', 'f'",
    ];
    told_alike(World::start().await.unwrap(), &Kind::ALL, &statements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_predicate_behind_the_columns_of_a_constraint_changes_nothing() {
    let insert = "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('x', 'one@example.com', 'X') ON CONFLICT";
    let statements = [
        "(email) WHERE is_active DO UPDATE SET full_name = excluded.full_name RETURNING full_name",
        "(email) WHERE role = 'admin' AND margin_value > 1 DO NOTHING",
        "(id) WHERE email > 'a' DO NOTHING",
        "(email) WHERE nothing DO NOTHING",
    ];
    let statements = statements.map(|target| format!("{insert} {target}"));
    let statements = statements.each_ref().map(String::as_str);
    told_alike(World::start().await.unwrap(), &Kind::ALL, &statements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_meets_a_row_twice_fails_however_rows_are_found() {
    let Some(binaries) = newer::postgresql() else {
        return;
    };
    let merge = "MERGE INTO iso_agents a USING (VALUES ('one@example.com', 1), ('one@example.com', 2)) v (e, n) ON a.email = v.e";
    let statements = [
        "WHEN MATCHED THEN UPDATE SET margin_value = v.n",
        "WHEN MATCHED THEN DELETE",
        "WHEN MATCHED AND n = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET full_name = 'x'",
        "WHEN MATCHED AND n = 2 THEN UPDATE SET full_name = 'two' RETURNING n",
        "WHEN MATCHED THEN UPDATE SET full_name = 'x', full_name = 'y'",
    ];
    let statements = statements.map(|when| format!("{merge} {when}"));
    let statements = statements.each_ref().map(String::as_str);
    let world = World::start_from(binaries).await.unwrap();
    told_alike(world, &Kind::ALL, &statements).await;
}
