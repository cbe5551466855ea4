//! What makes two tables of one, each twice: the naive variant, which goes wrong, and ours. Races
//! are in `hazards` and `control_ghosts`; here are values, ids, rights and triggers.

use crossfade_tests::control::{number, run};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// A database without any row in `users`, its rules in `dual_write`, and its operator.
async fn unfilled(world: &World, name: &str) -> (Proxy, Client) {
    world.database(name).await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, name, Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let direct = world.postgres.connect(name).await.unwrap();
    (proxy, direct)
}

/// A database with tables and rules of the test's own.
async fn ruled(world: &World, name: &str, tables: &str, rules: &str) -> (Proxy, Client) {
    world.database(name).await.unwrap();
    let direct = world.client(&world.direct_url(name)).await.unwrap();
    direct.batch_execute(tables).await.unwrap();
    let proxy = Proxy::with_config(&world.postgres, name, "").unwrap();
    proxy.write_rules(name, rules).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    (proxy, direct)
}

#[track_caller]
fn fails_with<T: std::fmt::Debug>(result: Result<T, tokio_postgres::Error>, expected: &SqlState) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), Some(expected), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_run_on_both_tables_gives_the_row_two_ids() {
    let world = World::start().await.unwrap();
    let (proxy, direct) = unfilled(&world, "evaluated").await;
    let same = "SELECT count(*) FROM iso_agents AS l JOIN users AS u \
         USING (id, clerk_user_id, created_at) WHERE clerk_user_id = ";
    let naive = "WITH l AS (INSERT INTO iso_agents (clerk_user_id, email, full_name) \
         VALUES ('n', 'n@example.com', 'naive')) \
         INSERT INTO users (clerk_user_id, email, full_name, role) \
         VALUES ('n', 'n@example.com', 'naive', 'sales_rep')";
    assert_eq!(direct.execute(naive, &[]).await.unwrap(), 1);
    assert_eq!(number(&direct, &format!("{same}'n'")).await.unwrap(), 0);

    let proxy = proxy.serve().await.unwrap();
    let through = proxy.client().await.unwrap();
    let ours = "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
         VALUES ('o', 'o@example.com', 'ours')";
    assert_eq!(through.execute(ours, &[]).await.unwrap(), 1);
    assert_eq!(number(&direct, &format!("{same}'o'")).await.unwrap(), 1);
}

const MEMBERS: &str = "CREATE TABLE members (id int PRIMARY KEY, who text, org text NOT NULL); \
     CREATE TABLE org (id serial PRIMARY KEY, name text UNIQUE NOT NULL); \
     CREATE TABLE person (id int PRIMARY KEY, who text, org_id int NOT NULL REFERENCES org)";

const MEMBERS_RULES: &str = r#"
[migration]
name = "members"
phase = "dual_write"
on_unified_error = "refuse"

[[table]]
legacy = "public.members"
unified = ["public.person", "public.org"]
key = ["id"]
read = """SELECT p.id, p.who, o.name AS org FROM public.person p JOIN public.org o ON o.id = p.org_id"""
put = [
  { name = "made", sql = """INSERT INTO public.org (name) SELECT r.org FROM row_image r
      ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id""" },
  { sql = """INSERT INTO public.person (id, who, org_id) SELECT r.id, r.who, made.id FROM row_image r, made
      ON CONFLICT (id) DO UPDATE SET who = excluded.who, org_id = excluded.org_id""" },
]
remove = [{ sql = "DELETE FROM public.person p USING row_image r WHERE p.id = r.id" }]

[table.columns]
id = { type = "integer" }
who = { type = "text" }
org = { type = "text" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_threaded_by_do_nothing_is_lost_when_the_row_is_there_already() {
    let world = World::start().await.unwrap();
    let naive = MEMBERS_RULES.replace(
        "DO UPDATE SET name = excluded.name RETURNING",
        "DO NOTHING RETURNING",
    );
    assert_ne!(naive, MEMBERS_RULES);
    for (name, rules, persons) in [("nothing", naive.as_str(), 1), ("update", MEMBERS_RULES, 2)] {
        let (proxy, direct) = ruled(&world, name, MEMBERS, rules).await;
        let proxy = proxy.serve().await.unwrap();
        let through = proxy.client().await.unwrap();
        for member in ["(1, 'Ann', 'Acme')", "(2, 'Bob', 'Acme')"] {
            let insert = format!("INSERT INTO members VALUES {member}");
            assert_eq!(through.execute(&insert, &[]).await.unwrap(), 1);
        }
        let found = number(&direct, "SELECT count(*) FROM person").await;
        assert_eq!(found.unwrap(), persons, "{name}");
        let verify = run(&proxy.config(), &["verify", "members"]).await.unwrap();
        let missing = format!("missing {}", 2 - persons);
        assert!(verify.output.contains(&missing), "{name}: {verify:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_insert_cannot_read_its_image_back_and_check_says_so_before() {
    let world = World::start().await.unwrap();
    let (proxy, direct) = unfilled(&world, "insert_only").await;
    direct
        .batch_execute(
            "CREATE ROLE importer; GRANT importer TO app; \
             GRANT INSERT ON iso_agents, users TO importer",
        )
        .await
        .unwrap();
    let insert = |who: &str| {
        format!(
            "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
             VALUES ('{who}', '{who}@example.com', '{who}')"
        )
    };
    let owner = world
        .client(&world.direct_url("insert_only"))
        .await
        .unwrap();
    owner.batch_execute("SET ROLE importer").await.unwrap();
    assert_eq!(owner.execute(&insert("a"), &[]).await.unwrap(), 1);
    let naive = format!(
        "WITH l AS ({} RETURNING *) INSERT INTO users (id, clerk_user_id, email, \
         full_name, role) SELECT id, clerk_user_id, email, full_name, 'sales_rep' FROM l",
        insert("b")
    );
    fails_with(
        owner.execute(&naive, &[]).await,
        &SqlState::INSUFFICIENT_PRIVILEGE,
    );

    let check = run(&proxy.config(), &["check", "iso_agents"])
        .await
        .unwrap();
    assert_eq!(check.status.code(), Some(1), "{check:#?}");
    for lacks in [
        "role importer may write the legacy table but lacks SELECT, UPDATE on public.iso_agents",
        "role importer may write the legacy table but lacks SELECT, UPDATE on public.users",
    ] {
        assert!(check.output.contains(lacks), "{lacks}: {check:#?}");
    }
    let proxy = proxy.serve().await.unwrap();
    let through = proxy.client().await.unwrap();
    through.batch_execute("SET ROLE importer").await.unwrap();
    fails_with(
        through.execute(&insert("c"), &[]).await,
        &SqlState::INSUFFICIENT_PRIVILEGE,
    );
    direct
        .batch_execute("GRANT SELECT, UPDATE ON iso_agents, users TO importer")
        .await
        .unwrap();
    assert_eq!(through.execute(&insert("c"), &[]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_repaired_by_an_update_differs_for_ever_in_what_a_trigger_stamps() {
    let world = World::start().await.unwrap();
    let (proxy, direct) = unfilled(&world, "stamped").await;
    proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    let broken = "UPDATE users SET full_name = 'x' WHERE clerk_user_id = 'user_1'";
    let differ = "SELECT count(*) FROM iso_agents AS l JOIN users AS u USING (id) \
         WHERE (l.full_name, l.updated_at) IS DISTINCT FROM (u.full_name, u.updated_at)";
    direct.batch_execute(broken).await.unwrap();
    let naive = "UPDATE users AS u SET full_name = l.full_name, updated_at = l.updated_at \
         FROM iso_agents AS l WHERE l.id = u.id \
         AND (l.full_name, l.updated_at) IS DISTINCT FROM (u.full_name, u.updated_at)";
    for _ in 0..3 {
        assert_eq!(direct.execute(naive, &[]).await.unwrap(), 1);
    }
    assert_eq!(number(&direct, differ).await.unwrap(), 1);

    direct.batch_execute(broken).await.unwrap();
    let repair = ["verify", "iso_agents", "--repair"];
    proxy.crossfade(&repair).await.unwrap();
    assert_eq!(number(&direct, differ).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_on_the_time_of_day_stops_one_large_copy_and_only_its_rows_of_a_backfill() {
    let world = World::start().await.unwrap();
    let (proxy, direct) = unfilled(&world, "too_old").await;
    direct
        .batch_execute(
            "ALTER TABLE users ADD CONSTRAINT recent CHECK (created_at > now() - interval '1 day'); \
             UPDATE iso_agents SET created_at = now() WHERE clerk_user_id NOT IN ('user_1', 'user_2')",
        )
        .await
        .unwrap();
    let naive = "INSERT INTO users (id, clerk_user_id, email, full_name, role, created_at) \
         SELECT id, clerk_user_id, email, full_name, 'admin', created_at FROM iso_agents";
    fails_with(direct.execute(naive, &[]).await, &SqlState::CHECK_VIOLATION);
    assert_eq!(
        number(&direct, "SELECT count(*) FROM users").await.unwrap(),
        0
    );

    let backfill = proxy.crossfade(&["backfill", "iso_agents"]).await.unwrap();
    assert!(
        backfill.contains("2 could not be and were set aside"),
        "{backfill}"
    );
    let left = "SELECT (SELECT count(*) FROM iso_agents) - (SELECT count(*) FROM users)";
    assert_eq!(number(&direct, left).await.unwrap(), 2);
    let told = "SELECT count(*) FROM crossfade.divergence WHERE reason LIKE '%\"recent\"%'";
    assert_eq!(number(&direct, told).await.unwrap(), 2);
}

const ITEMS: &str = "CREATE TABLE items (id serial PRIMARY KEY, name text NOT NULL); \
     CREATE TABLE things (id serial PRIMARY KEY, name text NOT NULL); \
     INSERT INTO items (name) VALUES ('a'), ('b'), ('c')";

const ITEMS_RULES: &str = r#"
[migration]
name = "items"
phase = "dual_write"

[[table]]
legacy = "public.items"
unified = "public.things"
key = ["id"]

[table.columns]
id = { type = "integer", default = "nextval('items_id_seq'::regclass)" }
name = { type = "text" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_were_copied_leave_the_unified_sequence_behind_and_a_gate_says_so() {
    let world = World::start().await.unwrap();
    let (proxy, direct) = ruled(&world, "sequence", ITEMS, ITEMS_RULES).await;
    proxy.crossfade(&["backfill", "items"]).await.unwrap();
    // A copy alone is what the naive variant is: the first id of the sequence is in use.
    let insert = "INSERT INTO things (name) VALUES ('new')";
    fails_with(
        direct.execute(insert, &[]).await,
        &SqlState::UNIQUE_VIOLATION,
    );

    let turned = proxy.turn_to("items", Phase::UnifiedRead).await;
    turned.unwrap();
    let dry = async || {
        let ended = run(&proxy.config(), &["advance", "items", "--dry-run"]).await;
        ended.unwrap()
    };
    let held = dry().await;
    assert_eq!(held.status.code(), Some(1), "{held:#?}");
    let settle = held.output.lines().find(|line| line.contains("setval("));
    let settle = settle.unwrap_or_else(|| panic!("{held:#?}"));
    let (_, settle) = settle.split_once("-> ").unwrap();
    direct.batch_execute(settle).await.unwrap();
    let free = dry().await;
    assert!(free.output.contains("ahead of the ids in use"), "{free:#?}");
    assert_eq!(direct.execute(insert, &[]).await.unwrap(), 1);
}
