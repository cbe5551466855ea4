//! What a proxy puts into force, where it has a control connection to ask by.

use crossfade_tests::control::{self, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const SHIPPED: &str = include_str!("../../../rewrite-rules/rules/iso_agents.toml");
const RIGHT: &str = "full_name     = { type = \"text\" }";
const MISSPELT: &str = "full_name     = { type = \"text\", unified = \"fullname\" }";

fn rules(phase: Phase, full_name: &str) -> String {
    assert!(SHIPPED.contains(RIGHT));
    let line = format!("phase = \"{phase}\"");
    SHIPPED
        .replace("phase = \"legacy_only\"", &line)
        .replace(RIGHT, full_name)
}

async fn status(proxy: &Proxy) -> String {
    proxy.crossfade(&["status", "iso_agents"]).await.unwrap()
}

async fn is_refused(operator: &Client, word: &str) {
    let told = format!(
        "to_regclass('crossfade.rules_refused') IS NOT NULL \
         AND EXISTS (SELECT FROM crossfade.rules_refused WHERE reason LIKE '%{word}%')"
    );
    until(operator, &told).await.unwrap();
}

async fn nothing_is_refused(operator: &Client) {
    let nothing = "NOT EXISTS (SELECT FROM crossfade.rules_refused)";
    until(operator, nothing).await.unwrap();
}

const WRITE: &str = "UPDATE iso_agents SET full_name = full_name || '!' \
                     WHERE email = 'agent.1@example.com'";
const IN_STEP: &str = "EXISTS (SELECT FROM iso_agents AS l JOIN users AS u USING (id, full_name) \
                       WHERE l.email = 'agent.1@example.com' AND l.full_name LIKE '%!')";

#[tokio::test]
async fn a_rule_file_that_does_not_fit_the_tables_leaves_the_rules_in_force_and_status_says_why() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("live", Phase::DualWrite).await.unwrap();
    let operator = world.client(&world.postgres.url("live")).await.unwrap();
    let client = proxy.client().await.unwrap();

    let misspelt = rules(Phase::DualWrite, MISSPELT);
    proxy.write_rules("iso_agents", &misspelt).unwrap();
    is_refused(&operator, "no column fullname").await;
    assert_eq!(client.execute(WRITE, &[]).await.unwrap(), 1);
    until(&operator, IN_STEP).await.unwrap();
    let said = status(&proxy).await;
    for text in ["NOT in force at", "public.users has no column fullname"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let logged = "the rules were not changed: migration iso_agents does not fit the database: \
                  public.iso_agents: public.users has no column fullname";
    assert!(proxy.log().contains(logged), "{}", proxy.log());

    // The database may be what was wrong.
    operator
        .batch_execute("ALTER TABLE users RENAME full_name TO fullname")
        .await
        .unwrap();
    nothing_is_refused(&operator).await;
    assert_eq!(client.execute(WRITE, &[]).await.unwrap(), 1);
    assert!(!status(&proxy).await.contains("NOT in force"));
}

#[tokio::test]
async fn what_is_wrong_with_the_rules_in_force_as_well_is_no_reason_to_keep_them() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("known", Phase::DualWrite).await.unwrap();
    let operator = world.client(&world.postgres.url("known")).await.unwrap();
    operator
        .batch_execute("SET crossfade.ddl = 'on'; ALTER TABLE iso_agents ADD forgotten int")
        .await
        .unwrap();
    let generation = "SELECT max(generation) FROM crossfade.instances";
    until(&operator, "SELECT count(*) = 1 FROM crossfade.instances")
        .await
        .unwrap();
    let before = control::number(&operator, generation).await.unwrap();
    let edited = rules(Phase::DualWrite, RIGHT) + "\n# a comment\n";
    proxy.write_rules("iso_agents", &edited).unwrap();
    let followed = format!("({generation}) > {before}");
    until(&operator, &followed).await.unwrap();
    // And no way back is barred.
    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_starts_with_rules_that_do_not_fit_refuses_what_they_would_rewrite() {
    let world = World::start().await.unwrap();
    world.database("starts").await.unwrap();
    let proxy = Proxy::with_config(&world.postgres, "starts", "").unwrap();
    let operator = world.client(&world.postgres.url("starts")).await.unwrap();
    let misspelt = rules(Phase::DualWrite, MISSPELT);
    proxy.write_rules("iso_agents", &misspelt).unwrap();
    let proxy = proxy.serve().await.unwrap();

    let client = proxy.client().await.unwrap();
    let refused = client.execute(WRITE, &[]).await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "55000", "{refused}");
    let said = refused.message();
    assert!(said.contains("migration iso_agents"), "{said}");
    assert!(
        said.contains("public.users has no column fullname"),
        "{said}"
    );
    for unharmed in ["SELECT full_name FROM iso_agents", "SELECT * FROM requests"] {
        client.simple_query(unharmed).await.unwrap();
    }
    is_refused(&operator, "its statements are refused").await;
    let said = status(&proxy).await;
    assert!(said.contains("its statements are refused"), "{said}");

    // It is looked at again, whichever of the two is mended.
    let right = rules(Phase::DualWrite, RIGHT);
    proxy.write_rules("iso_agents", &right).unwrap();
    nothing_is_refused(&operator).await;
    assert_eq!(client.execute(WRITE, &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_withheld_migration_goes_into_force_when_the_tables_fit_and_may_go_back_before() {
    let world = World::start().await.unwrap();
    let mut proxy = world.in_phase("mended", Phase::DualRead).await.unwrap();
    let operator = world.client(&world.postgres.url("mended")).await.unwrap();
    proxy.stop();
    operator
        .batch_execute("ALTER TABLE users RENAME full_name TO fullname")
        .await
        .unwrap();
    let proxy = proxy.serve().await.unwrap();
    let client = proxy.client().await.unwrap();
    let read = "SELECT full_name FROM iso_agents LIMIT 1";
    let refused = client.query(read, &[]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55000", "{refused}");

    proxy.crossfade(&["rollback", "iso_agents"]).await.unwrap();
    client.query(read, &[]).await.unwrap();
    let refused = client.execute(WRITE, &[]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55000", "{refused}");

    operator
        .batch_execute("ALTER TABLE users RENAME fullname TO full_name")
        .await
        .unwrap();
    nothing_is_refused(&operator).await;
    assert_eq!(client.execute(WRITE, &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_phase_that_somebody_writes_by_hand_is_no_step_and_is_told() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("byhand", Phase::LegacyOnly).await.unwrap();
    let operator = world.client(&world.postgres.url("byhand")).await.unwrap();
    // Nothing is rewritten yet: the file is taken, and its statements are counted.
    let misspelt = rules(Phase::LegacyOnly, MISSPELT);
    proxy.write_rules("iso_agents", &misspelt).unwrap();
    let taken = "SELECT count(*) = 2 FROM crossfade.epochs";
    until(&operator, "to_regclass('crossfade.epochs') IS NOT NULL")
        .await
        .unwrap();
    until(&operator, taken).await.unwrap();

    let by_hand = rules(Phase::DualWrite, MISSPELT);
    proxy.write_rules("iso_agents", &by_hand).unwrap();
    is_refused(&operator, "crossfade advance").await;
    let client = proxy.client().await.unwrap();
    assert_eq!(client.execute(WRITE, &[]).await.unwrap(), 1);
    let served = "SELECT count(*) FROM crossfade.instances WHERE phase = 'legacy_only'";
    assert_eq!(control::number(&operator, served).await.unwrap(), 1);
    proxy.write_rules("iso_agents", &misspelt).unwrap();
    nothing_is_refused(&operator).await;
}

#[tokio::test]
async fn what_check_calls_an_error_stops_each_step_and_what_no_proxy_serves_is_not_forced() {
    let world = World::start().await.unwrap();
    for (name, phase, fault, told) in [
        (
            "role",
            Phase::LegacyOnly,
            "CREATE ROLE writer; GRANT INSERT ON iso_agents TO writer",
            "writer lacks INSERT, SELECT, UPDATE on public.users",
        ),
        (
            "mapped",
            Phase::LegacyOnly,
            "UPDATE iso_agents SET role = 'sales_rep' WHERE email = 'agent.1@example.com'",
            "rows have role = sales_rep, which has no unified value",
        ),
        (
            "columns",
            Phase::DualWrite,
            "ALTER TABLE users RENAME full_name TO fullname",
            "public.users has no column full_name",
        ),
        (
            "later",
            Phase::UnifiedRead,
            "ALTER TABLE iso_agents ADD forgotten int",
            "column forgotten is not in `columns`",
        ),
    ] {
        world.database(name).await.unwrap();
        let proxy = Proxy::with_rules(&world.postgres, name, phase).unwrap();
        let operator = world.postgres.connect(name).await.unwrap();
        crossfade_testbed::iso_agents::carry_over(&operator)
            .await
            .unwrap();
        operator.batch_execute(fault).await.unwrap();
        let plain = ["advance", "iso_agents"];
        let refused = control::run(&proxy.config(), &plain).await.unwrap();
        assert!(!refused.status.success(), "{name}");
        assert!(refused.errors.contains(told), "{name}: {refused:?}");

        let forced = ["advance", "iso_agents", "--force", "--reason", "a test"];
        let forced = control::run(&proxy.config(), &forced).await.unwrap();
        let fits = ["role", "mapped"].contains(&name);
        assert_eq!(forced.status.success(), fits, "{name}: {forced:?}");
        let said = forced.errors.contains("forced or not");
        assert_eq!(said, !fits, "{name}: {forced:?}");
    }
}
