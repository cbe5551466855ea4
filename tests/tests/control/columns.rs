//! Columns that change around the proxies: refused where an event trigger may be had, and else found by
//! check, by verify and before each step, so that nothing that was acknowledged is left behind unseen.

use crossfade_testbed::Auth;
use crossfade_tests::control;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

async fn told(client: &Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let said = error.as_db_error().expect(sql);
    let hint = said.hint().unwrap_or_default();
    (
        said.code().code().to_owned(),
        format!("{} {hint}", said.message()),
    )
}

async fn says(proxy: &Proxy, command: &[&str], code: i32, texts: &[&str]) {
    let ended = control::run(&proxy.config(), command).await.unwrap();
    assert_eq!(ended.status.code(), Some(code), "{command:?}: {ended:#?}");
    for text in texts {
        let said = ended.output.contains(text) || ended.errors.contains(text);
        assert!(said, "{command:?}: `{text}`: {ended:#?}");
    }
}

#[tokio::test]
async fn nobody_but_an_operator_changes_the_columns_of_a_table_that_is_moved() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("guard", Phase::LegacyOnly).await.unwrap();
    let operator = world.client(&world.postgres.url("guard")).await.unwrap();
    let owner = world.client(&world.direct_url("guard")).await.unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    // Nothing is kept in step yet.
    owner
        .batch_execute("ALTER TABLE iso_agents ADD early int; ALTER TABLE iso_agents DROP early")
        .await
        .unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let mine = "SET crossfade.ddl = 'on'";
    // Where triggers that are not meant for replicas do not fire.
    operator
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    for sql in [
        "ALTER TABLE iso_agents ADD forgotten int",
        "ALTER TABLE iso_agents DROP COLUMN full_name",
        "ALTER TABLE iso_agents ALTER full_name TYPE varchar(1000)",
        "ALTER TABLE iso_agents ALTER full_name DROP NOT NULL",
        "ALTER TABLE iso_agents ALTER margin_value SET DEFAULT 7",
        "ALTER TABLE iso_agents RENAME full_name TO fullname",
        "ALTER TABLE iso_agents RENAME TO agents_of_old",
        "DROP TABLE iso_agents CASCADE",
        "DROP TYPE user_role CASCADE",
        "DO $$ BEGIN EXECUTE 'ALTER TABLE iso_agents ADD forgotten int'; END $$",
    ] {
        // Whoever may do it, and says what an operator says, is not one by that.
        owner.batch_execute("RESET crossfade.ddl").await.unwrap();
        let (code, said) = told(&owner, sql).await;
        assert_eq!(code, "55000", "{sql}: {said}");
        for text in [
            "changes the table public.iso_agents, which the migration iso_agents moves",
            mine,
        ] {
            assert!(said.contains(text), "{sql}: {said}");
        }
        owner.batch_execute(mine).await.unwrap();
        assert_eq!(told(&owner, sql).await.0, "55000", "{sql}");
        // And one who does not say so may have forgotten that there is a migration.
        assert_eq!(told(&operator, sql).await.0, "55000", "{sql}");
    }
    // What leaves the columns as they are is the application's affair, and so are other tables.
    owner
        .batch_execute(
            "CREATE INDEX ON iso_agents (full_name); ALTER TABLE iso_agents ADD CONSTRAINT named CHECK (full_name <> ''); \
             CREATE TABLE of_mine (a int); ALTER TABLE of_mine ADD b int; DROP TABLE of_mine",
        )
        .await
        .unwrap();
    operator
        .batch_execute(&format!(
            "{mine}; ALTER TABLE iso_agents ADD known int; ALTER TABLE iso_agents DROP known"
        ))
        .await
        .unwrap();
    // The command that ends it takes the event triggers along.
    let triggers = "SELECT count(*) FROM pg_event_trigger";
    assert_eq!(control::number(&operator, triggers).await.unwrap(), 2);
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    assert_eq!(control::number(&operator, triggers).await.unwrap(), 0);
    owner
        .batch_execute("ALTER TABLE iso_agents ADD late int")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_column_that_was_added_around_the_proxies_is_not_clean_and_holds_up_steps() {
    let world = World::start().await.unwrap();
    let proxy = world
        .in_phase("forgotten", Phase::UnifiedRead)
        .await
        .unwrap();
    let operator = world
        .client(&world.postgres.url("forgotten"))
        .await
        .unwrap();
    operator
        .batch_execute(
            "SET crossfade.ddl = 'on'; ALTER TABLE iso_agents ADD nickname text; \
             SET session_replication_role = replica; \
             UPDATE iso_agents SET nickname = 'Zoe' WHERE clerk_user_id = 'user_1'",
        )
        .await
        .unwrap();
    let unknown = "column nickname is not in the rule file: nobody copies or compares it";
    for how in [
        &["verify", "iso_agents"][..],
        &["verify", "iso_agents", "--by-ranges"],
    ] {
        says(
            &proxy,
            how,
            1,
            &[
                unknown,
                "iso_agents: NOT clean",
                "missing 0   extra 0   different 0",
            ],
        )
        .await;
    }
    let undeclared = "column nickname is not in `columns`: its values would be lost";
    says(&proxy, &["check", "iso_agents"], 1, &[undeclared]).await;
    says(&proxy, &["advance", "iso_agents"], 1, &[undeclared]).await;
    says(&proxy, &["rollback", "iso_agents"], 1, &[undeclared]).await;
    operator
        .batch_execute("ALTER TABLE iso_agents DROP nickname; ALTER TABLE iso_agents ALTER full_name TYPE varchar(300)")
        .await
        .unwrap();
    let retyped = "column full_name has type character varying(300), the rule file says text";
    says(&proxy, &["rollback", "iso_agents"], 1, &[retyped]).await;
    operator
        .batch_execute("ALTER TABLE iso_agents ALTER full_name TYPE text")
        .await
        .unwrap();
    says(&proxy, &["verify", "iso_agents"], 0, &["iso_agents: clean"]).await;
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
}

#[tokio::test]
async fn a_verify_that_found_such_a_column_opens_no_gate() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("gate", Phase::DualRead).await.unwrap();
    let operator = world.client(&world.postgres.url("gate")).await.unwrap();
    operator
        .batch_execute("SET crossfade.ddl = 'on'; ALTER TABLE iso_agents ADD nickname text")
        .await
        .unwrap();
    says(&proxy, &["verify", "iso_agents"], 1, &[]).await;
    // The column is gone again; what that verify saw is what counts until the next one.
    operator
        .batch_execute("ALTER TABLE iso_agents DROP nickname")
        .await
        .unwrap();
    let found = "the last verify found columns that the rule file does not have: nickname";
    says(&proxy, &["advance", "iso_agents"], 1, &[found]).await;
}

#[tokio::test]
async fn where_the_role_may_create_no_event_trigger_prepare_and_check_say_so() {
    let world = World::start().await.unwrap();
    world.database("plain").await.unwrap();
    world
        .postgres
        .create_user("mover", "secret", Auth::Scram)
        .await
        .unwrap();
    let operator = world.postgres.connect("plain").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "plain", Phase::LegacyOnly).unwrap();
    let grants = proxy
        .crossfade(&["prepare", "--grants-for", "mover"])
        .await
        .unwrap();
    operator.batch_execute(&grants).await.unwrap();
    let url = world.postgres.url_as("mover:secret", "plain");
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let config = config.replace(&world.postgres.url("plain"), &url);
    std::fs::write(proxy.config(), config).unwrap();
    let by_hand = "CREATE EVENT TRIGGER crossfade_ddl ON ddl_command_end EXECUTE FUNCTION crossfade.watch_ddl()";
    says(
        &proxy,
        &["prepare"],
        0,
        &["this role may not create one", by_hand],
    )
    .await;
    let ended = control::run(&proxy.config(), &["check", "iso_agents"])
        .await
        .unwrap();
    let said =
        ended.output.contains("no event trigger refuses it") && ended.output.contains(by_hand);
    assert!(said, "{ended:#?}");
    // What it says is all that there is to do.
    let statements = ended
        .output
        .lines()
        .find_map(|line| line.split_once("a superuser may: "));
    let statements = statements.expect("it is there").1;
    operator.batch_execute(statements).await.unwrap();
    let ended = control::run(&proxy.config(), &["check", "iso_agents"])
        .await
        .unwrap();
    assert!(!ended.output.contains("event trigger"), "{ended:#?}");
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    let owner = world.client(&world.direct_url("plain")).await.unwrap();
    let (code, said) = told(&owner, "ALTER TABLE iso_agents ADD forgotten int").await;
    assert!(
        code == "55000" && said.contains("a member of role mover"),
        "{said}"
    );
}
