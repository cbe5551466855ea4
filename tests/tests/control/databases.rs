//! Rules hold in the database that they name. Another one behind the same proxy, with tables of the
//! same names, is nobody's business.

use crossfade_tests::control::{number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;

const UPDATE: &str =
    "UPDATE iso_agents SET full_name = 'Moved' WHERE clerk_user_id = 'user_1' -- here";
const UNIFIED: &str = "SELECT count(*) FROM users WHERE full_name = 'Moved'";

#[tokio::test]
async fn a_second_database_with_tables_of_the_same_names_passes_through_untouched() {
    let world = World::start().await.unwrap();
    world.database("others").await.unwrap();
    let proxy = world.in_phase("ours", Phase::DualRead).await.unwrap();
    let others = world
        .client(&proxy.url_as("app:secret", "others"))
        .await
        .unwrap();
    // It has no schema crossfade, and its unified table is empty: a rewritten read would answer otherwise.
    let rows = "SELECT count(*) FROM iso_agents";
    let before = number(&others, rows).await.unwrap();
    assert!(before > 0);
    assert_eq!(
        number(&others, "SELECT count(*) FROM users").await.unwrap(),
        0
    );
    assert_eq!(others.execute(UPDATE, &[]).await.unwrap(), 1);
    assert_eq!(number(&others, UNIFIED).await.unwrap(), 0);
    // What would be refused where the rules hold.
    others
        .batch_execute(
            "ALTER TABLE iso_agents ADD COLUMN more int; SELECT ctid, xmin FROM iso_agents; \
             DO $$ BEGIN DELETE FROM ISO_AGENTS; END $$; DROP TABLE iso_agents CASCADE",
        )
        .await
        .unwrap();

    let ours = proxy.client().await.unwrap();
    assert_eq!(ours.execute(UPDATE, &[]).await.unwrap(), 1);
    assert_eq!(number(&ours, UNIFIED).await.unwrap(), 1);
    let refused = ours.batch_execute("DROP TABLE iso_agents").await;
    assert!(refused.is_err());
    // Coverage counts what came in the database that the rules are for.
    let operator = world.client(&world.postgres.url("ours")).await.unwrap();
    let seen = "FROM crossfade.statements WHERE statement LIKE '%iso_agents%'";
    until(&operator, &format!("SELECT count(*) > 0 {seen}"))
        .await
        .unwrap();
    let counted = format!("SELECT count(*) {seen} AND statement LIKE '%more%'");
    assert_eq!(number(&operator, &counted).await.unwrap(), 0);
    let updates =
        "SELECT sum(calls)::bigint FROM crossfade.statements WHERE statement LIKE 'UPDATE%'";
    assert_eq!(number(&operator, updates).await.unwrap(), 1);
}

#[tokio::test]
async fn a_long_transaction_in_another_database_holds_no_step_up() {
    let world = World::start().await.unwrap();
    world.database("busy").await.unwrap();
    let proxy = world.in_phase("stepping", Phase::LegacyOnly).await.unwrap();
    let busy = world
        .client(&proxy.url_as("app:secret", "busy"))
        .await
        .unwrap();
    busy.batch_execute("BEGIN; UPDATE iso_agents SET full_name = 'x'")
        .await
        .unwrap();
    proxy.crossfade(&["advance", "iso_agents"]).await.unwrap();
    busy.batch_execute("COMMIT").await.unwrap();
}

/// The rule file of a proxy, with a database named in it.
fn name_database(proxy: &Proxy, database: &str) {
    let text = std::fs::read_to_string(proxy.rule_file()).unwrap();
    let named = text.replacen(
        "phase = ",
        &format!("database = \"{database}\"\nphase = "),
        1,
    );
    assert_ne!(text, named);
    std::fs::write(proxy.rule_file(), named).unwrap();
}

#[tokio::test]
async fn rules_of_another_database_than_the_control_urls_are_not_served_and_no_command_takes_them()
{
    let world = World::start().await.unwrap();
    world.database("here").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "here", Phase::LegacyOnly).unwrap();
    name_database(&proxy, "there");
    let said = proxy.crossfade(&["status"]).await.expect_err("another's");
    let said = said.to_string();
    assert!(said.contains("is for database there"), "{said}");
    assert!(said.contains("the control URL is for here"), "{said}");
    let served = proxy.serve().await.err().expect("another's").to_string();
    assert!(served.contains("is for database there"), "{served}");
}

#[tokio::test]
async fn without_a_control_url_the_rule_file_says_which_database_it_is_for() {
    let world = World::start().await.unwrap();
    world.database("second").await.unwrap();
    world.database("first").await.unwrap();
    let operator = world.client(&world.postgres.url("first")).await.unwrap();
    crossfade_testbed::iso_agents::carry_over(&operator)
        .await
        .unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "first", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    name_database(&proxy, "first");
    let (_, upstream) = world
        .postgres
        .address()
        .rsplit_once(':')
        .map(|(h, p)| (h.to_owned(), p.parse().unwrap()))
        .unwrap();
    proxy.detach(upstream, 0).unwrap();
    let proxy = proxy.serve().await.unwrap();
    let second = world
        .client(&proxy.url_as("app:secret", "second"))
        .await
        .unwrap();
    assert_eq!(second.execute(UPDATE, &[]).await.unwrap(), 1);
    assert_eq!(number(&second, UNIFIED).await.unwrap(), 0);
    let first = proxy.client().await.unwrap();
    assert_eq!(first.execute(UPDATE, &[]).await.unwrap(), 1);
    assert_eq!(number(&first, UNIFIED).await.unwrap(), 1);
    assert!(!proxy.log().contains("hold in every database"));
}
