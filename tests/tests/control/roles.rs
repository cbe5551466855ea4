//! What roles of the database could do to a migration by calling Crossfade's functions, by locks, by
//! names: nothing that they could not do to the tables themselves.

use crossfade_testbed::Auth;
use crossfade_tests::control::{self, Running, number, pid, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// A role that may log in and nothing else, in a database of the world.
async fn stranger(world: &World, database: &str) -> Client {
    let made = world
        .postgres
        .create_user("stranger", "secret", Auth::Scram);
    made.await.unwrap();
    let url = world.postgres.url_as("stranger:secret", database);
    world.client(&url).await.unwrap()
}

async fn sqlstate(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().expect("the server's").code().to_owned()
}

/// The name of a function of the lens.
async fn function(operator: &Client, word: &str) -> String {
    let sql = format!(
        "SELECT name FROM crossfade.lens_functions WHERE migration = 'iso_agents' \
         AND name ~ 'crossfade\\.\"?{word}_iso_agents_[0-9a-f]{{8}}\"?$'"
    );
    operator.query_one(&sql, &[]).await.unwrap().get(0)
}

/// A unified row that never had a legacy row, as legacy readers would see it.
const NOBODYS: &str = "INSERT INTO users (clerk_user_id, email, full_name, role) \
                       VALUES ('nobodys', 'nobodys@example.com', 'Nobody', 'sales_rep')";
const LEFT: &str = "SELECT count(*) FROM users WHERE clerk_user_id = 'nobodys'";

#[tokio::test]
async fn who_may_only_log_in_makes_no_command_lie_or_wait() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("forged", Phase::DualWrite).await.unwrap();
    let operator = world.client(&world.postgres.url("forged")).await.unwrap();
    let stranger = stranger(&world, "forged").await;
    operator.batch_execute(NOBODYS).await.unwrap();
    for sql in [
        "SELECT crossfade.tombstone('iso_agents', '\"public\".\"iso_agents\"', '[\"not-a-uuid\"]')",
        "SELECT crossfade.record_divergence('iso_agents', 't', '[1]', 'why', '23505')",
        "SELECT crossfade.claim('iso_agents', 't', '[1]')",
        "SELECT crossfade.legacy_is_stale('iso_agents', true)",
        "SELECT crossfade.fell_back('iso_agents', NULL)",
        "SELECT crossfade.truncate(ARRAY['SELECT 1'])",
        "DO $$ BEGIN LOCK TABLE crossfade.version, crossfade.work; END $$",
    ] {
        assert_eq!(sqlstate(&stranger, sql).await, "42501", "{sql}");
    }
    // The locks that guarded preparations and steps once.
    stranger
        .batch_execute(
            "SELECT pg_advisory_lock(x'0043524f53530001'::bigint); \
             SELECT pg_advisory_lock(hashtext('crossfade ' || w), hashtext('iso_agents')) \
             FROM unnest(ARRAY['step', 'backfill', 'verify by ranges']) AS w",
        )
        .await
        .unwrap();
    for command in ["prepare", "backfill", "verify", "advance"] {
        let args = if command == "prepare" {
            vec![command]
        } else {
            vec![command, "iso_agents"]
        };
        let ended = control::run(&proxy.config(), &args).await.unwrap();
        // A unified row that legacy lacks is verify's to report.
        let fine = ended.status.success() || command == "verify";
        assert!(fine, "{command}: {ended:#?}");
    }
    assert_eq!(number(&operator, LEFT).await.unwrap(), 1);
}

#[tokio::test]
async fn an_entry_in_the_ledger_holds_no_gate_shut_unless_both_sides_disagree() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("ledger", Phase::ShadowRead).await.unwrap();
    let operator = world.client(&world.postgres.url("ledger")).await.unwrap();
    let application = world.client(&world.direct_url("ledger")).await.unwrap();
    for command in ["backfill", "verify"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    let record = function(&operator, "record").await;
    let forge = format!("SELECT {record}(l, E'it\\x1b[2J\\nlies', 'made up') FROM iso_agents AS l");
    application.batch_execute(&forge).await.unwrap();
    // What is no key is refused where it would enter.
    let none = format!("SELECT {record}(('(not-a-uuid,,,,,,,,,,)')::iso_agents, '', '23505')");
    assert_eq!(sqlstate(&application, &none).await, "22P02");
    let shown = "SELECT count(*) FROM crossfade.divergence \
                 WHERE reason = 'it [2J lies' AND sqlstate = 'XX000'";
    let forged = number(&operator, shown).await.unwrap();
    assert!(forged > 100, "{forged}");

    // The step puts the keys of the ledger once more; this one does not fit.
    let wrong = "SET session_replication_role = replica; UPDATE users SET full_name = 'wrong' WHERE clerk_user_id = 'user_1'; \
                 ALTER TABLE users ADD CONSTRAINT barred CHECK (clerk_user_id <> 'user_1' OR full_name = 'wrong')";
    operator.batch_execute(wrong).await.unwrap();
    let refused = control::run(&proxy.config(), &["advance", "iso_agents"]).await;
    let refused = refused.unwrap();
    let told = "1 key whose unified row is known to be wrong";
    assert!(refused.errors.contains(told), "{refused:#?}");
    operator
        .batch_execute(
            "ALTER TABLE users DROP CONSTRAINT barred; \
             UPDATE users AS u SET full_name = l.full_name FROM iso_agents AS l WHERE l.id = u.id",
        )
        .await
        .unwrap();
    let plan = proxy
        .crossfade(&["advance", "iso_agents", "--dry-run"])
        .await
        .unwrap();
    let told = "both sides agree about each of their keys";
    assert!(plan.contains(told), "{plan}");
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
}

#[tokio::test]
async fn a_notice_that_somebody_else_raises_counts_as_no_fallback() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("raised", Phase::DualRead).await.unwrap();
    let operator = world.client(&world.postgres.url("raised")).await.unwrap();
    let _there = stranger(&world, "raised").await;
    let through = format!("postgres://stranger:secret@127.0.0.1:{}/raised", proxy.port);
    let stranger = world.client(&through).await.unwrap();
    for code in ["CF001", "CF002"] {
        let raise = format!(
            "DO $$ BEGIN RAISE INFO USING ERRCODE = '{code}', MESSAGE = 'iso_' || 'agents', DETAIL = 'proof'; END $$"
        );
        stranger.batch_execute(&raise).await.unwrap();
    }
    operator
        .batch_execute("DELETE FROM users WHERE clerk_user_id = 'user_1'")
        .await
        .unwrap();
    let application = proxy.client().await.unwrap();
    let read = "SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'user_1'";
    assert_eq!(number(&application, read).await.unwrap(), 1);
    let counted = "SELECT sum(fallbacks) FROM crossfade.instances";
    until(&operator, &format!("({counted}) > 0")).await.unwrap();
    let counted = "SELECT sum(fallbacks + divergences)::int8 FROM crossfade.instances";
    assert_eq!(number(&operator, counted).await.unwrap(), 1);
}

/// Has the application leave a tombstone for a row that it never deleted, and a backfill sweep it.
async fn swept(world: &World, database: &str, more: &str) -> (Client, String) {
    world.database(database).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, database, Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let operator = world.client(&world.postgres.url(database)).await.unwrap();
    operator.batch_execute(NOBODYS).await.unwrap();
    operator.batch_execute(more).await.unwrap();
    let tombstone = function(&operator, "tombstone").await;
    let forge = format!(
        "SELECT {tombstone}(jsonb_populate_record(NULL::iso_agents, to_jsonb(u) - 'role')) \
         FROM users AS u WHERE clerk_user_id = 'nobodys'"
    );
    let application = world.client(&world.direct_url(database)).await.unwrap();
    // The application sees the row that it is not to delete only by its key.
    let forge = match more.contains("POLICY") {
        true => {
            let id: String = operator
                .query_one(
                    "SELECT id::text FROM users WHERE clerk_user_id = 'nobodys'",
                    &[],
                )
                .await
                .unwrap()
                .get(0);
            format!(
                "SELECT {tombstone}(jsonb_populate_record(NULL::iso_agents, '{{\"id\": \"{id}\"}}'))"
            )
        }
        false => forge,
    };
    application.batch_execute(&forge).await.unwrap();
    // What an older version let in.
    operator
        .batch_execute(
            "INSERT INTO crossfade.tombstones (migration, legacy_table, key) SELECT 'iso_agents', \
             '\"public\".\"iso_agents\"', k FROM (VALUES (jsonb '[\"not-a-uuid\"]'), ('{}'), ('[]')) AS v (k); \
             INSERT INTO crossfade.divergence (migration, legacy_table, key, reason, sqlstate) \
             SELECT 'iso_agents', '\"public\".\"iso_agents\"', k, '', '23505' \
             FROM (VALUES (jsonb '[\"not-a-uuid\"]'), ('{}'), ('[]')) AS v (k)",
        )
        .await
        .unwrap();
    let ended = control::run(&proxy.config(), &["backfill", "iso_agents"]).await;
    let ended = ended.unwrap();
    assert!(ended.status.success(), "{ended:#?}");
    for table in ["divergence", "tombstones"] {
        let told = format!("3 rows of crossfade.{table} named no key of public.iso_agents");
        assert!(ended.errors.contains(&told), "{ended:#?}");
    }
    let tombstones = "SELECT count(*) FROM crossfade.tombstones";
    assert_eq!(number(&operator, tombstones).await.unwrap(), 0);
    let ledger = "SELECT coalesce(string_agg(sqlstate, ','), '') FROM crossfade.divergence";
    let ledger: String = operator.query_one(ledger, &[]).await.unwrap().get(0);
    (operator, ledger)
}

#[tokio::test]
async fn a_tombstone_removes_no_row_that_who_left_it_could_not_have_deleted() {
    let world = World::start().await.unwrap();
    let more = "ALTER TABLE users ENABLE ROW LEVEL SECURITY; \
                ALTER TABLE users FORCE ROW LEVEL SECURITY; \
                CREATE POLICY others ON users USING (clerk_user_id <> 'nobodys')";
    let (operator, ledger) = swept(&world, "policies", more).await;
    assert_eq!(number(&operator, LEFT).await.unwrap(), 1);
    assert_eq!(ledger, "42501");
}

#[tokio::test]
async fn a_ghost_that_something_refers_to_stays_and_stops_no_backfill() {
    let world = World::start().await.unwrap();
    let more = "CREATE TABLE refers (id uuid REFERENCES users); \
                INSERT INTO refers SELECT id FROM users WHERE clerk_user_id = 'nobodys'";
    let (operator, ledger) = swept(&world, "referred", more).await;
    assert_eq!(number(&operator, LEFT).await.unwrap(), 1);
    assert_eq!(ledger, "23503");
    // A role that may delete unified rows could have removed it by itself.
    let (operator, ledger) = swept(&world, "deleted", "SELECT 1").await;
    assert_eq!(number(&operator, LEFT).await.unwrap(), 0);
    assert_eq!(ledger, "");
}

#[tokio::test]
async fn a_preparation_and_a_step_that_wait_say_for_whom() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("waits", Phase::LegacyOnly).await.unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let holder = world.client(&world.postgres.url("waits")).await.unwrap();
    let who = format!("pid {} (user postgres", pid(&holder).await.unwrap());
    holder
        .batch_execute("BEGIN; LOCK TABLE crossfade.version IN SHARE ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut prepare = Running::start(&proxy.config(), &["prepare"]).unwrap();
    let said = prepare.says("prepare waits for crossfade.version").await;
    let said = said.unwrap();
    assert!(said.contains(&who), "{said}");
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(prepare.end().await.unwrap().status.success());

    // Somebody is at a step: a session of an operator's that is there.
    holder
        .batch_execute(
            "INSERT INTO crossfade.work (work, migration, pid, began) SELECT 'step', 'iso_agents', pid, \
             backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        )
        .await
        .unwrap();
    let refused = control::run(&proxy.config(), &["advance", "iso_agents"]).await;
    let refused = refused.unwrap();
    let told = format!("another step of iso_agents is under way: {who}");
    assert!(refused.errors.contains(&told), "{refused:#?}");
    drop(holder);
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_name_hides_no_writer() {
    let world = World::start().await.unwrap();
    let _proxy = world.in_phase("hidden", Phase::DualWrite).await.unwrap();
    let operator = world.client(&world.postgres.url("hidden")).await.unwrap();
    let writer = world.client(&world.direct_url("hidden")).await.unwrap();
    writer
        .batch_execute(
            "SET application_name = 'crossfade backfill'; BEGIN; \
             UPDATE iso_agents SET full_name = 'around' WHERE clerk_user_id = 'user_1'",
        )
        .await
        .unwrap();
    until(
        &operator,
        "SELECT EXISTS (SELECT FROM crossfade.direct_writers WHERE role = 'app' \
         AND application = 'crossfade backfill')",
    )
    .await
    .unwrap();
    writer.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_schema_that_somebody_else_made_before_is_left_alone() {
    let world = World::start().await.unwrap();
    world.database("planted").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "planted", Phase::DualWrite).unwrap();
    // The application owns the database.
    let application = world.client(&world.direct_url("planted")).await.unwrap();
    application
        .batch_execute("CREATE SCHEMA crossfade; CREATE TABLE crossfade.sessions (pid integer, began timestamptz, work text)")
        .await
        .unwrap();
    for args in [["prepare"].as_slice(), &["status", "iso_agents"]] {
        let refused = control::run(&proxy.config(), args).await.unwrap();
        assert!(!refused.status.success(), "{refused:#?}");
        let told = "schema crossfade belongs to app";
        assert!(refused.errors.contains(told), "{refused:#?}");
    }
}

#[tokio::test]
async fn who_is_granted_a_table_later_is_named_by_check_and_served_once_prepared() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("later", Phase::DualWrite).await.unwrap();
    let operator = world.client(&world.postgres.url("later")).await.unwrap();
    let made = world.postgres.create_user("clerk", "secret", Auth::Scram);
    made.await.unwrap();
    let through = format!("postgres://clerk:secret@127.0.0.1:{}/later", proxy.port);
    let clerk = world.client(&through).await.unwrap();
    let write = "UPDATE iso_agents SET full_name = 'by a clerk' WHERE clerk_user_id = 'user_1'";
    assert_eq!(sqlstate(&clerk, write).await, "42501");
    let both = "SELECT count(*) FROM iso_agents AS l JOIN users AS u USING (id, full_name) \
                WHERE full_name = 'by a clerk'";
    let check = async || {
        control::run(&proxy.config(), &["check", "iso_agents"])
            .await
            .unwrap()
    };
    let named = "role clerk may use the tables but lacks EXECUTE ON FUNCTION crossfade.";
    assert!(!check().await.output.contains("clerk"));

    operator
        .batch_execute(
            "GRANT ALL ON iso_agents, users TO clerk; GRANT EXECUTE ON FUNCTION \
             crossfade.tombstone(text, text, jsonb) TO clerk; GRANT INSERT ON crossfade.events TO clerk; \
             GRANT CREATE ON SCHEMA crossfade TO clerk",
        )
        .await
        .unwrap();
    let found = check().await;
    assert!(found.output.contains(named), "{found:#?}");
    for too_much in [
        "role clerk has no right on the tables that calls for",
        "EXECUTE ON FUNCTION crossfade.tombstone(",
        "INSERT ON TABLE crossfade.events",
        "CREATE ON SCHEMA crossfade",
        "`crossfade prepare` mends it",
    ] {
        assert!(found.output.contains(too_much), "{too_much}: {found:#?}");
    }
    proxy.crossfade(&["prepare"]).await.unwrap();
    let found = check().await;
    assert!(!found.output.contains("clerk"), "{found:#?}");
    clerk.batch_execute(write).await.unwrap();
    assert_eq!(number(&operator, both).await.unwrap(), 1);

    operator
        .batch_execute("REVOKE ALL ON iso_agents, users FROM clerk")
        .await
        .unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let left = "SELECT count(*) FROM pg_proc AS p, aclexplode(p.proacl) AS a \
                WHERE p.pronamespace = 'crossfade'::regnamespace AND a.grantee = 'clerk'::regrole";
    assert_eq!(number(&operator, left).await.unwrap(), 0);
}
