//! Several proxies before one database, of which one is stopped, cut off, late or has other rule files: none of them can
//! write in a phase that is over.

use crossfade::fault;
use crossfade_testbed::process::Signal;
use crossfade_tests::control::{self, number, until};
use crossfade_tests::{Proxy, World};
use futures_util::SinkExt;
use rewrite_rules::Phase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

const NAMES: &str = "SELECT count(*) FROM iso_agents AS l JOIN users AS u USING (id) \
    WHERE l.full_name IS DISTINCT FROM u.full_name";
/// A heartbeat that is not there any more: what ten seconds would make of it.
const SILENT: &str = "UPDATE crossfade.instances SET seen_at = seen_at - interval '1 minute'";
const FORCED: [&str; 3] = ["--force", "--reason", "test"];

/// Two proxies of one database, of which the second has its control connection as a role of its own.
struct Fleet {
    world: World,
    first: Proxy,
    second: Proxy,
    operator: Client,
}

impl Fleet {
    async fn in_phase(name: &str, phase: Phase) -> Fleet {
        Self::in_phase_with(name, phase, "").await
    }

    /// The same with more in the second one's configuration.
    async fn in_phase_with(name: &str, phase: Phase, more: &str) -> Fleet {
        let world = World::start().await.unwrap();
        let first = world.in_phase(name, phase).await.unwrap();
        let operator = world.client(&world.postgres.url(name)).await.unwrap();
        until(&operator, "to_regclass('crossfade.epochs') IS NOT NULL")
            .await
            .unwrap();
        operator
            .batch_execute("CREATE ROLE second SUPERUSER LOGIN")
            .await
            .unwrap();
        // Its directory is another host's, and says what was in force when somebody put it there.
        let second = Proxy::with_rules(&world.postgres, name, phase).unwrap();
        let config = std::fs::read_to_string(second.config()).unwrap();
        let config = config.replace(
            &world.postgres.url(name),
            &world.postgres.url_as("second", name),
        );
        let config = config + more;
        std::fs::write(second.config(), config).unwrap();
        let second = second.serve().await.unwrap();
        let fleet = Fleet {
            world,
            first,
            second,
            operator,
        };
        fleet.both_serve(phase).await;
        fleet
    }

    async fn both_serve(&self, phase: Phase) {
        let both = format!(
            "SELECT count(*) = 2 FROM crossfade.instances WHERE phase = '{phase}' AND drained \
             AND seen_at > clock_timestamp() - interval '10 s' \
             AND epoch = (SELECT max(epoch) FROM crossfade.epochs)"
        );
        until(&self.operator, &both).await.unwrap();
    }

    /// The second proxy is there, serves its clients, and cannot reach the database for itself.
    async fn cut_off(&self) {
        self.operator
            .batch_execute(
                "ALTER ROLE second NOLOGIN; SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                 WHERE usename = 'second'",
            )
            .await
            .unwrap();
        self.operator.batch_execute(SILENT).await.unwrap();
    }

    async fn step(&self) -> String {
        let mut args = vec!["advance", "iso_agents"];
        args.extend(FORCED);
        self.first.crossfade(&args).await.unwrap()
    }

    async fn agree(&self) {
        assert_eq!(number(&self.operator, NAMES).await.unwrap(), 0);
    }
}

fn code(result: Result<u64, tokio_postgres::Error>) -> Option<SqlState> {
    result.err().and_then(|error| error.code().cloned())
}

const RENAME: &str =
    "UPDATE iso_agents SET full_name = full_name || '!' WHERE clerk_user_id = 'user_2'";

#[tokio::test]
async fn a_proxy_that_was_stopped_over_two_steps_cannot_write_as_it_did() {
    let fleet = Fleet::in_phase("stopped", Phase::DualWrite).await;
    let client = fleet.second.client().await.unwrap();
    client.execute(RENAME, &[]).await.unwrap();
    let prepared = fleet.second.client().await.unwrap();
    let statement = prepared.prepare(RENAME).await.unwrap();
    let in_a_block = fleet.second.client().await.unwrap();
    in_a_block.batch_execute("BEGIN; SELECT 1").await.unwrap();
    fleet.second.signal(Signal::Stop).unwrap();
    fleet.operator.batch_execute(SILENT).await.unwrap();
    fleet.step().await;
    fleet.step().await;
    // The new application writes unified; legacy follows it.
    let direct = fleet.first.client().await.unwrap();
    direct
        .execute(
            "UPDATE users SET full_name = 'New' WHERE clerk_user_id = 'user_2'",
            &[],
        )
        .await
        .unwrap();
    fleet.second.signal(Signal::Continue).unwrap();
    // It is said again by what is in force as soon as the proxy has found out, and never carried out as in `dual_write`. A
    // transaction that began before must begin anew.
    let told = code(in_a_block.execute(RENAME, &[]).await);
    assert_eq!(told, Some(SqlState::T_R_SERIALIZATION_FAILURE));
    in_a_block.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(client.execute(RENAME, &[]).await.unwrap(), 1);
    assert_eq!(prepared.execute(&statement, &[]).await.unwrap(), 1);
    client.batch_execute(RENAME).await.unwrap();
    let name = "SELECT full_name FROM users WHERE clerk_user_id = 'user_2'";
    let name: String = fleet.operator.query_one(name, &[]).await.unwrap().get(0);
    assert_eq!(name, "New!!!");
    fleet.agree().await;
    fleet.both_serve(Phase::DualRead).await;
}

#[tokio::test]
async fn what_is_kept_prepared_of_an_epoch_that_is_over_writes_nothing_and_is_made_anew() {
    let fleet = Fleet::in_phase("kept", Phase::DualWrite).await;
    let id = "SELECT id::text FROM iso_agents WHERE clerk_user_id = 'user_2'";
    let id: String = fleet.operator.query_one(id, &[]).await.unwrap().get(0);
    let named =
        |name: &str| format!("UPDATE iso_agents SET full_name = '{name}' WHERE id = '{id}'");
    let client = fleet.second.client().await.unwrap();
    let unnamed = fleet.second.client().await.unwrap();
    let text = "UPDATE iso_agents SET full_name = $1 WHERE id = $2::text::uuid";
    let in_a_block = fleet.second.client().await.unwrap();
    for name in ["a", "b", "c", "d"] {
        client.simple_query(&named(name)).await.unwrap();
        in_a_block.simple_query(&named(name)).await.unwrap();
        let values = [(&name as _, Type::TEXT), (&id as _, Type::TEXT)];
        unnamed.query_typed(text, &values).await.unwrap();
    }
    fleet.second.signal(Signal::Stop).unwrap();
    fleet.operator.batch_execute(SILENT).await.unwrap();
    fleet.step().await;
    fleet.step().await;
    fleet.second.signal(Signal::Continue).unwrap();
    in_a_block.simple_query("BEGIN").await.unwrap();
    let told = in_a_block.simple_query(&named("late")).await.map(|_| ());
    // It may have found out meanwhile.
    let is_over = |told: &Result<(), tokio_postgres::Error>| match told {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(
                error.code(),
                Some(&SqlState::T_R_SERIALIZATION_FAILURE),
                "{error}"
            );
            true
        }
    };
    let stays = is_over(&told);
    in_a_block.simple_query("ROLLBACK").await.unwrap();
    let name = "SELECT full_name FROM users WHERE clerk_user_id = 'user_2'";
    let name: String = fleet.operator.query_one(name, &[]).await.unwrap().get(0);
    assert!(!stays || name == "d", "{name}");
    // Outside of a block it is said again.
    client.simple_query(&named("simple")).await.unwrap();
    let values = [(&"unnamed" as _, Type::TEXT), (&id as _, Type::TEXT)];
    unnamed.query_typed(text, &values).await.unwrap();
    fleet.agree().await;
    let last =
        "SELECT count(*) FROM iso_agents WHERE clerk_user_id = 'user_2' AND full_name = 'unnamed'";
    assert_eq!(number(&fleet.operator, last).await.unwrap(), 1);
    for name in ["e", "f", "g"] {
        client.simple_query(&named(name)).await.unwrap();
        in_a_block.simple_query(&named(name)).await.unwrap();
    }
    fleet.agree().await;
}

async fn copied(client: &Client) -> Result<u64, tokio_postgres::Error> {
    let copy = "COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN";
    let mut sink = std::pin::pin!(client.copy_in::<_, bytes::Bytes>(copy).await?);
    let row = bytes::Bytes::from_static(b"late\tlate@example.com\tLate\n");
    sink.send(row).await?;
    sink.finish().await
}

/// Whatever names a row, in each of the ways in which it may be sent.
const STALE: [&str; 9] = [
    "SELECT full_name FROM iso_agents",
    RENAME,
    "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('late', 'late@example.com', 'Late')",
    "DELETE FROM iso_agents WHERE clerk_user_id = 'user_3'",
    "TRUNCATE iso_agents CASCADE",
    "EXPLAIN ANALYZE DELETE FROM iso_agents",
    "WITH gone AS (DELETE FROM iso_agents RETURNING id) SELECT count(*) FROM gone",
    "PREPARE late AS UPDATE iso_agents SET full_name = 'Late'",
    "COPY (SELECT * FROM iso_agents) TO STDOUT",
];

#[tokio::test]
async fn a_proxy_that_is_cut_off_refuses_what_names_a_row_and_passes_the_rest_until_it_can_follow()
{
    for phase in [Phase::LegacyOnly, Phase::DualWrite, Phase::UnifiedRead] {
        // It cannot follow, so its statements wait in vain.
        let soon = "\n[limits]\nrules_wait_ms = 100\n";
        let fleet = Fleet::in_phase_with("cut", phase, soon).await;
        let client = fleet.second.client().await.unwrap();
        let prepared = client.prepare(RENAME).await.unwrap();
        client.execute(&prepared, &[]).await.unwrap();
        fleet.cut_off().await;
        fleet.step().await;

        let before = number(&fleet.operator, "SELECT count(*) FROM users")
            .await
            .unwrap();
        for stale in STALE {
            let error = client.batch_execute(stale).await.unwrap_err();
            let code = error.code();
            assert_eq!(
                code,
                Some(&SqlState::T_R_SERIALIZATION_FAILURE),
                "{phase}: {stale}: {error}"
            );
        }
        // What was prepared before, too, and in a block.
        let told = code(client.execute(&prepared, &[]).await);
        assert_eq!(told, Some(SqlState::T_R_SERIALIZATION_FAILURE), "{phase}");
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
            .await
            .unwrap();
        let told = code(client.execute(RENAME, &[]).await);
        assert_eq!(told, Some(SqlState::T_R_SERIALIZATION_FAILURE), "{phase}");
        client.batch_execute("ROLLBACK").await.unwrap();
        let told = copied(&client).await.unwrap_err().code().cloned();
        assert_eq!(told, Some(SqlState::T_R_SERIALIZATION_FAILURE), "{phase}");
        let after = number(&fleet.operator, "SELECT count(*) FROM users")
            .await
            .unwrap();
        assert_eq!(after, before, "{phase}");
        let client = fleet.second.client().await.unwrap();
        client
            .batch_execute("SELECT 1; SELECT count(*) FROM requests")
            .await
            .unwrap();

        fleet
            .operator
            .batch_execute("ALTER ROLE second LOGIN")
            .await
            .unwrap();
        fleet.both_serve(phase.next().unwrap()).await;
        client.execute(RENAME, &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_backfill_is_not_complete_while_a_proxy_that_nobody_sees_may_write_legacy_alone() {
    let fleet = Fleet::in_phase("unseen", Phase::LegacyOnly).await;
    let client = fleet.second.client().await.unwrap();
    client
        .batch_execute("BEGIN; SELECT FROM iso_agents")
        .await
        .unwrap();
    fleet.cut_off().await;
    // Its transaction is waited for, and named.
    let args = ["advance", "iso_agents", "--drain-timeout-seconds", "1"];
    let waited = control::run(&fleet.first.config(), &args).await.unwrap();
    assert!(!waited.status.success(), "{waited:#?}");
    let who = "(idle in transaction), last: BEGIN; SELECT FROM iso_agents";
    assert!(waited.errors.contains(who), "{waited:#?}");
    let args = ["backfill", "iso_agents", "--drain-timeout-seconds", "1"];
    let waited = control::run(&fleet.first.config(), &args).await.unwrap();
    assert!(
        !waited.status.success() && waited.errors.contains(who),
        "{waited:#?}"
    );
    let status = fleet
        .first
        .crossfade(&["status", "iso_agents"])
        .await
        .unwrap();
    assert!(
        status.contains("still open  legacy_only (epoch 1), by pid"),
        "{status}"
    );

    client.execute(RENAME, &[]).await.unwrap();
    client.batch_execute("COMMIT").await.unwrap();
    fleet
        .first
        .crossfade(&["backfill", "iso_agents"])
        .await
        .unwrap();
    let told = code(client.execute(RENAME, &[]).await);
    assert_eq!(told, Some(SqlState::T_R_SERIALIZATION_FAILURE));
    fleet.agree().await;
}

#[tokio::test]
async fn a_proxy_that_starts_with_an_old_file_or_with_none_serves_what_is_in_force() {
    let fleet = Fleet::in_phase("late", Phase::DualWrite).await;
    fleet.step().await;
    fleet.step().await;
    let late = Proxy::with_rules(&fleet.world.postgres, "late", Phase::LegacyOnly).unwrap();
    let none = Proxy::with_config(&fleet.world.postgres, "late", "").unwrap();
    let late = late.serve_what_is_in_force().await.unwrap();
    let none = none.serve().await.unwrap();
    let all = "SELECT count(*) = 4 AND bool_and(phase = 'dual_read') AND count(DISTINCT rules_hash) = 1 \
        FROM crossfade.instances";
    until(&fleet.operator, all).await.unwrap();
    for proxy in [&late, &none] {
        let client = proxy.client().await.unwrap();
        assert_eq!(client.execute(RENAME, &[]).await.unwrap(), 1);
        fleet.agree().await;
    }
    // And commands work where there is no rule file at all.
    let said = none.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    assert!(said.contains("dual_read -> shadow_read"), "{said}");
    let said = none.crossfade(&["rules"]).await.unwrap();
    assert!(said.contains("iso_agents: epoch 4, shadow_read"), "{said}");
    let text = none.crossfade(&["rules", "iso_agents"]).await.unwrap();
    assert!(text.contains("name  = \"iso_agents\""), "{text}");
}

#[tokio::test]
async fn a_proxy_whose_file_maps_values_otherwise_serves_what_the_others_serve() {
    let fleet = Fleet::in_phase("maps", Phase::DualWrite).await;
    let other = Proxy::with_config(&fleet.world.postgres, "maps", "").unwrap();
    let text = Proxy::rules_in(Phase::DualWrite);
    let otherwise = text.replace(
        "visible = \"role <> 'customer'\"",
        "visible = \"role = 'admin'\"",
    );
    assert_ne!(otherwise, text);
    other.write_rules("iso_agents", &otherwise).unwrap();
    let other = other.serve_what_is_in_force().await.unwrap();
    until(
        &fleet.operator,
        "SELECT count(*) = 3 AND count(DISTINCT rules_hash) = 1 FROM crossfade.instances",
    )
    .await
    .unwrap();
    assert!(
        other.log().contains("says other rules than those in force"),
        "{}",
        other.log()
    );
    let told = control::run(&other.config(), &["status"]).await.unwrap();
    assert!(told.errors.contains("crossfade apply"), "{told:#?}");
}

#[tokio::test]
async fn rules_that_are_applied_are_served_by_all_and_those_before_by_none() {
    let fleet = Fleet::in_phase("applied", Phase::DualWrite).await;
    let next = Proxy::with_config(&fleet.world.postgres, "applied", "").unwrap();
    let text = Proxy::rules_in(Phase::DualWrite) + "\n# other words\n";
    next.write_rules("iso_agents", &text).unwrap();
    let dry = next.crossfade(&["apply", "--dry-run"]).await.unwrap();
    assert!(
        dry.contains("iso_agents: other rules than those of epoch 1"),
        "{dry}"
    );
    fleet.cut_off().await;
    let client = fleet.second.client().await.unwrap();
    let said = next.crossfade(&["apply"]).await.unwrap();
    assert!(
        said.contains("in force as epoch 2, in dual_write (1 serving)"),
        "{said}"
    );
    let told = code(client.execute(RENAME, &[]).await);
    assert_eq!(told, Some(SqlState::T_R_SERIALIZATION_FAILURE));
    next.write_rules("iso_agents", &text.replace("\"dual_write\"", "\"retired\""))
        .unwrap();
    let again = control::run(&next.config(), &["apply"]).await.unwrap();
    assert!(again.output.contains("nothing changes"), "{again:#?}");
    assert!(
        again
            .errors
            .contains("says retired, and iso_agents is in dual_write"),
        "{again:#?}"
    );

    let right = "full_name     = { type = \"text\" }";
    let misspelt = "full_name     = { type = \"text\", unified = \"fullname\" }";
    let wrong = text.replace(right, misspelt);
    assert_ne!(wrong, text);
    next.write_rules("iso_agents", &wrong).unwrap();
    let refused = control::run(&next.config(), &["apply"]).await.unwrap();
    assert!(!refused.status.success(), "{refused:#?}");
    let epochs = "SELECT count(*) FROM crossfade.epochs";
    assert_eq!(number(&fleet.operator, epochs).await.unwrap(), 2);
}

#[tokio::test]
async fn who_dumps_the_database_holds_up_no_step_and_what_is_left_goes_later() {
    let fleet = Fleet::in_phase("dumped", Phase::DualWrite).await;
    let dump = fleet
        .world
        .client(&fleet.world.postgres.url("dumped"))
        .await
        .unwrap();
    // As `pg_dump --exclude-schema=crossfade` does it, by a role with a right to the application's tables alone.
    dump.batch_execute(
        "CREATE ROLE dumps; SET ROLE dumps; \
         BEGIN; LOCK TABLE crossfade_e1_iso_agents.fence IN ACCESS SHARE MODE",
    )
    .await
    .unwrap();
    fleet.step().await;
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'crossfade\\_closed%'";
    assert_eq!(number(&fleet.operator, left).await.unwrap(), 1);
    dump.batch_execute("COMMIT").await.unwrap();
    fleet.step().await;
    // A proxy may have closed it, which sweeps behind that.
    let gone = left.replace("count(*)", "count(*) = 0");
    until(&fleet.operator, &gone).await.unwrap();
}

#[tokio::test]
async fn who_holds_an_epoch_open_is_ended_on_request_and_a_silent_instance_forgotten() {
    let fleet = Fleet::in_phase("ended", Phase::DualWrite).await;
    let client = fleet.second.client().await.unwrap();
    client
        .batch_execute("BEGIN; SELECT FROM iso_agents")
        .await
        .unwrap();
    fleet.cut_off().await;
    let mut args = vec!["advance", "iso_agents", "--terminate-after", "1"];
    args.extend(FORCED);
    let step = control::run(&fleet.first.config(), &args).await.unwrap();
    assert!(step.status.success(), "{step:#?}");
    assert!(step.errors.contains("ended:"), "{step:#?}");
    let gone = client.batch_execute("COMMIT").await.unwrap_err();
    assert!(
        gone.is_closed() || gone.code() == Some(&SqlState::ADMIN_SHUTDOWN),
        "{gone}"
    );

    let listed = fleet.first.crossfade(&["instances", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.await.unwrap()).unwrap();
    let of = |live: bool| {
        let mut all = listed.as_array().unwrap().iter();
        let found = all.find(|one| one["live"] == live).unwrap();
        assert_eq!(found["migration"], "iso_agents");
        found["instance"].as_str().unwrap().to_owned()
    };
    let forget = ["instances", "--forget", &of(true)];
    let refused = control::run(&fleet.first.config(), &forget).await.unwrap();
    assert!(
        refused.errors.contains("signs off by itself"),
        "{refused:#?}"
    );
    let silent = of(false);
    let told = fleet.first.crossfade(&["instances"]).await.unwrap();
    assert!(told.contains("silent for"), "{told}");
    let forget = ["instances", "--forget", &silent[..8]];
    fleet.first.crossfade(&forget).await.unwrap();
    let left = "SELECT count(*) FROM crossfade.instances";
    assert_eq!(number(&fleet.operator, left).await.unwrap(), 1);
}

#[tokio::test]
async fn a_file_that_contradicts_what_is_in_force_stays_a_matter_of_its_host() {
    let fleet = Fleet::in_phase("contradicts", Phase::DualWrite).await;
    let other = Proxy::with_config(&fleet.world.postgres, "contradicts", "").unwrap();
    let text = Proxy::rules_in(Phase::LegacyOnly);
    let same_table = text.replace("name  = \"iso_agents\"", "name  = \"agents\"");
    assert_ne!(same_table, text);
    other.write_rules("agents", &same_table).unwrap();
    let other = other.serve_what_is_in_force().await.unwrap();
    let client = other.client().await.unwrap();
    let told = code(client.execute(RENAME, &[]).await);
    assert_eq!(told, Some(SqlState::CANNOT_CONNECT_NOW));
    let log = other.log();
    assert!(log.contains("contradict the rules that are"), "{log}");
    let epochs = "SELECT count(*) FROM crossfade.epochs";
    assert_eq!(number(&fleet.operator, epochs).await.unwrap(), 1);
    fleet.step().await;
    fleet.both_serve(Phase::ShadowRead).await;
}

fn last(what: &str) -> String {
    format!("SELECT {what} FROM crossfade.epochs ORDER BY epoch DESC LIMIT 1")
}

#[tokio::test]
async fn a_file_that_goes_away_ends_nothing_and_rules_that_were_ended_come_back_where_they_stood() {
    let fleet = Fleet::in_phase("gone", Phase::LegacyOnly).await;
    std::fs::remove_file(fleet.first.rule_file()).unwrap();
    let told =
        "SELECT count(*) FROM crossfade.rules_refused WHERE reason LIKE '%is gone%--remove%'";
    until(&fleet.operator, &format!("({told}) = 1"))
        .await
        .unwrap();
    assert_eq!(number(&fleet.operator, &last("epoch")).await.unwrap(), 1);
    fleet.both_serve(Phase::LegacyOnly).await;
    // Nobody has the file any more.
    std::fs::remove_file(fleet.second.rule_file()).unwrap();
    until(&fleet.operator, &format!("({told}) = 2"))
        .await
        .unwrap();
    let remove = ["apply", "--remove", "iso_agents"];
    let said = fleet.first.crossfade(&remove).await.unwrap();
    assert!(said.contains("have ended (epoch 2)"), "{said}");
    until(&fleet.operator, &last("rules = ''")).await.unwrap();
    until(
        &fleet.operator,
        "NOT EXISTS (SELECT FROM crossfade.rules_refused)",
    )
    .await
    .unwrap();
    let again = control::run(&fleet.first.config(), &remove).await.unwrap();
    assert!(
        again.errors.contains("no rules of iso_agents"),
        "{again:#?}"
    );
    let text = Proxy::rules_in(Phase::DualWrite);
    fleet.first.write_rules("iso_agents", &text).unwrap();
    until(&fleet.operator, &last("rules <> ''")).await.unwrap();
    fleet.both_serve(Phase::LegacyOnly).await;
    fleet.step().await;
    let refused = control::run(&fleet.first.config(), &remove).await.unwrap();
    assert!(refused.errors.contains("is in dual_write"), "{refused:#?}");
}

#[tokio::test]
async fn names_that_somebody_has_taken_hold_up_no_step_and_nothing_of_theirs_is_lost() {
    let fleet = Fleet::in_phase("taken", Phase::DualWrite).await;
    fleet
        .operator
        .batch_execute(
            "CREATE ROLE squatter LOGIN; GRANT CREATE ON DATABASE taken TO squatter; SET ROLE squatter; \
             CREATE SCHEMA crossfade_e2_iso_agents; CREATE SCHEMA crossfade_e3_iso_agents; \
             CREATE SCHEMA crossfade_closed_e1_iso_agents; CREATE TABLE crossfade_closed_e1_iso_agents.fence (); \
             CREATE SCHEMA crossfade_closed_e1_0123456789abcdef0123456789abcdef; \
             CREATE TABLE crossfade_closed_e1_0123456789abcdef0123456789abcdef.fence (); RESET ROLE",
        )
        .await
        .unwrap();
    fleet.step().await;
    fleet.both_serve(Phase::ShadowRead).await;
    assert_eq!(number(&fleet.operator, &last("epoch")).await.unwrap(), 4);
    let theirs = "SELECT count(*) FROM pg_namespace WHERE nspowner = 'squatter'::regrole";
    assert_eq!(number(&fleet.operator, theirs).await.unwrap(), 4);
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^crossfade_.*e[0-9]' \
        AND nspowner <> 'squatter'::regrole";
    assert_eq!(number(&fleet.operator, left).await.unwrap(), 1);
    // Nor are theirs taken for those of a schema that was dropped.
    fleet
        .operator
        .batch_execute("DROP SCHEMA crossfade CASCADE")
        .await
        .unwrap();
    let there = "to_regclass('crossfade.epochs') IS NOT NULL";
    until(&fleet.operator, there).await.unwrap();
    fleet.both_serve(Phase::ShadowRead).await;
    assert_eq!(number(&fleet.operator, theirs).await.unwrap(), 4);
    let client = fleet.first.client().await.unwrap();
    assert_eq!(client.execute(RENAME, &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn two_epochs_that_killed_commands_left_open_are_closed_when_nobody_holds_them() {
    let fleet = Fleet::in_phase("two", Phase::DualWrite).await;
    let client = fleet.first.client().await.unwrap();
    // Who reads holds an epoch open as well, and holds up no step before that is opened.
    client
        .batch_execute("BEGIN; SELECT FROM iso_agents")
        .await
        .unwrap();
    let ends = [(fault::VARIABLE, "step: opened")];
    let mut forward = vec!["advance", "iso_agents"];
    forward.extend(FORCED);
    for args in [forward.as_slice(), &["rollback", "iso_agents"]] {
        let killed = control::Running::start_with(&fleet.first.config(), args, &ends).unwrap();
        let killed = killed.end().await.unwrap();
        assert_eq!(killed.status.code(), None, "{killed:#?}");
    }
    let open = "SELECT count(*) FROM crossfade.epochs WHERE closed_at IS NULL";
    assert_eq!(number(&fleet.operator, open).await.unwrap(), 3);
    let fences = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^crossfade_e[0-9]'";
    assert_eq!(number(&fleet.operator, fences).await.unwrap(), 3);
    client.batch_execute("COMMIT").await.unwrap();
    until(&fleet.operator, &format!("({open}) = 1 AND ({fences}) = 1"))
        .await
        .unwrap();
    fleet.both_serve(Phase::DualWrite).await;
    fleet.agree().await;
}

#[tokio::test]
async fn a_proxy_serves_nobody_before_it_knows_what_is_in_force_whatever_files_it_has() {
    let fleet = Fleet::in_phase("blind", Phase::DualWrite).await;
    fleet
        .operator
        .batch_execute("CREATE ROLE third SUPERUSER")
        .await
        .unwrap();
    let blind = Proxy::with_config(&fleet.world.postgres, "blind", "").unwrap();
    let config = std::fs::read_to_string(blind.config()).unwrap();
    let config = config.replace(
        &fleet.world.postgres.url("blind"),
        &fleet.world.postgres.url_as("third", "blind"),
    );
    std::fs::write(blind.config(), config).unwrap();
    let log = blind.log_path();
    let serving = tokio::spawn(blind.serve_what_is_in_force());
    let waits = "nobody is served until the database says which rules are in force";
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains(waits)) {
        tokio::task::yield_now().await;
    }
    fleet
        .operator
        .batch_execute("ALTER ROLE third LOGIN")
        .await
        .unwrap();
    let proxy = serving.await.unwrap().unwrap();
    let client = proxy.client().await.unwrap();
    assert_eq!(client.execute(RENAME, &[]).await.unwrap(), 1);
    fleet.agree().await;
}

#[tokio::test]
async fn where_the_schema_is_dropped_under_a_proxy_its_old_file_is_not_believed() {
    let fleet = Fleet::in_phase("dropped", Phase::DualWrite).await;
    fleet.step().await;
    // What the file says is not what is in force.
    let old = Proxy::rules_in(Phase::LegacyOnly);
    fleet.first.write_rules("iso_agents", &old).unwrap();
    let is_told =
        "EXISTS (SELECT FROM crossfade.rules_refused WHERE reason LIKE '%crossfade advance%')";
    until(&fleet.operator, is_told).await.unwrap();
    fleet
        .operator
        .batch_execute("DROP SCHEMA crossfade CASCADE")
        .await
        .unwrap();
    let there = "to_regclass('crossfade.epochs') IS NOT NULL";
    until(&fleet.operator, there).await.unwrap();
    fleet.both_serve(Phase::ShadowRead).await;
    let client = fleet.first.client().await.unwrap();
    assert_eq!(client.execute(RENAME, &[]).await.unwrap(), 1);
    fleet.agree().await;
}
