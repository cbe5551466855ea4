//! What a role may do under the legacy name is what it may do on the legacy table, in every phase: a
//! statement that PostgreSQL allows it goes through, and one that it does not is told so.

use crossfade_testbed::Auth;
use crossfade_tests::control;
use crossfade_tests::raw::RawClient;
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

/// A role's name, and what it holds on the legacy table.
const ROLES: &[(&str, &str)] = &[
    ("reader", "SELECT"),
    ("inserter", "INSERT"),
    ("adder", "SELECT, INSERT"),
    ("changer", "SELECT, UPDATE"),
    ("blind", "UPDATE"),
    ("remover", "SELECT, DELETE"),
    ("sweeper", "DELETE"),
    ("emptier", "TRUNCATE"),
    ("worker", "SELECT, INSERT, UPDATE, DELETE"),
    ("everything", "ALL"),
    ("glancer", "SELECT (id, email)"),
    ("patcher", "SELECT, UPDATE (full_name)"),
];

const STATEMENTS: &[&str] = &[
    "SELECT count(*) FROM iso_agents",
    "SELECT email FROM iso_agents WHERE clerk_user_id = 'user_1'",
    "SELECT email FROM iso_agents WHERE clerk_user_id = 'user_1' FOR UPDATE",
    "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('n', 'n@example.com', 'N')",
    "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('n', 'n@example.com', 'N') RETURNING id",
    "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('user_1', 'n@example.com', 'N') \
     ON CONFLICT (clerk_user_id) DO UPDATE SET full_name = excluded.full_name",
    "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('user_1', 'n@example.com', 'N') \
     ON CONFLICT DO NOTHING",
    "UPDATE iso_agents SET full_name = 'x'",
    "UPDATE iso_agents SET full_name = 'x' WHERE clerk_user_id = 'user_1'",
    "UPDATE iso_agents SET id = gen_random_uuid() WHERE clerk_user_id = 'user_2'",
    "DELETE FROM iso_agents",
    "DELETE FROM iso_agents WHERE clerk_user_id = 'user_1'",
    "DELETE FROM iso_agents WHERE clerk_user_id = 'user_1' RETURNING email",
    "TRUNCATE iso_agents",
    "COPY iso_agents TO STDOUT",
    "COPY iso_agents (email) TO STDOUT",
    "LOCK TABLE iso_agents IN ACCESS SHARE MODE",
    "LOCK TABLE iso_agents IN ROW EXCLUSIVE MODE",
    "LOCK TABLE iso_agents",
];

/// `ok`, or the SQLSTATE and the message; nothing stays.
async fn outcome(client: &Client, sql: &str) -> String {
    client.batch_execute("BEGIN").await.unwrap();
    let ended = match sql.starts_with("COPY") {
        true => client.copy_out(sql).await.map(drop),
        false => client.batch_execute(sql).await,
    };
    let told = match ended {
        Ok(()) => "ok".to_owned(),
        Err(error) => match error.as_db_error() {
            Some(error) => format!("{} {}", error.code().code(), error.message()),
            None => panic!("{sql}: {error}"),
        },
    };
    client.batch_execute("ROLLBACK").await.unwrap();
    told
}

async fn outcomes(client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    for sql in STATEMENTS {
        all.push(outcome(client, sql).await);
    }
    all
}

async fn granted(operator: &Client) {
    for (role, held) in ROLES {
        let sql = format!("GRANT {held} ON iso_agents TO {role}");
        operator.batch_execute(&sql).await.unwrap();
    }
}

/// What refers to the table is in TRUNCATE's way.
const ALONE: &str = "DO $$ DECLARE k record; BEGIN \
    FOR k IN SELECT conrelid::regclass AS r, conname FROM pg_constraint WHERE confrelid = 'iso_agents'::regclass LOOP \
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.r, k.conname); END LOOP; END $$";

/// The GRANTs that the gate of the first step tells.
async fn told(proxy: &Proxy) -> String {
    let plan = ["advance", "iso_agents", "--dry-run"];
    let plan = control::run(&proxy.config(), &plan).await.unwrap();
    let lines = plan.output.lines().chain(plan.errors.lines());
    let grants = lines.filter_map(|line| line.find("GRANT ").map(|at| &line[at..]));
    grants.collect::<Vec<_>>().join("\n")
}

/// The same, which are all that it wants.
async fn settled(world: &World) -> String {
    let proxy = world.in_phase("before", Phase::LegacyOnly).await.unwrap();
    let operator = world.client(&world.postgres.url("before")).await.unwrap();
    granted(&operator).await;
    let grants = told(&proxy).await;
    operator.batch_execute(&grants).await.unwrap();
    assert_eq!(told(&proxy).await, "");
    grants
}

#[tokio::test]
async fn a_role_may_under_the_legacy_name_what_it_may_on_the_legacy_table() {
    let world = World::start_filled(30, ALONE).await.unwrap();
    for (role, _) in ROLES {
        let made = world.postgres.create_user(role, "secret", Auth::Scram);
        made.await.unwrap();
    }
    let settled = settled(&world).await;
    world.database("straight").await.unwrap();
    let operator = world.client(&world.postgres.url("straight")).await.unwrap();
    granted(&operator).await;
    operator.batch_execute(&settled).await.unwrap();
    let mut straight = Vec::new();
    for (role, _) in ROLES {
        let url = world.postgres.url_as(&format!("{role}:secret"), "straight");
        straight.push(outcomes(&world.client(&url).await.unwrap()).await);
    }
    let denied = straight
        .iter()
        .flatten()
        .filter(|told| *told != "ok")
        .count();
    assert!(
        denied > 20 && denied < ROLES.len() * STATEMENTS.len() - 20,
        "{denied}"
    );
    let mut wrong = Vec::new();
    for phase in Phase::ALL {
        let database = format!("rights_{phase}");
        let proxy = world.in_phase(&database, phase).await.unwrap();
        let operator = world.client(&world.postgres.url(&database)).await.unwrap();
        if phase != Phase::Retired {
            granted(&operator).await;
        }
        for grant in settled.lines() {
            if phase != Phase::Retired || !grant.contains("public.iso_agents") {
                operator.batch_execute(grant).await.unwrap();
            }
        }
        proxy.crossfade(&["prepare"]).await.unwrap();
        for ((role, held), straight) in ROLES.iter().zip(&straight) {
            let through = format!(
                "postgres://{role}:secret@127.0.0.1:{}/{database}",
                proxy.port
            );
            let client = world.client(&through).await.unwrap();
            for ((sql, before), now) in STATEMENTS.iter().zip(straight).zip(outcomes(&client).await)
            {
                if *before != now {
                    wrong.push(format!("{phase}, {held}: {sql}: {before} -> {now}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// COPY FROM by a role that may not insert, with a value that is none, and what comes behind it in the same session.
#[tokio::test]
async fn copy_tells_of_the_right_before_it_reads_a_value() {
    let world = World::start_filled(3, ALONE).await.unwrap();
    let made = world.postgres.create_user("reader", "secret", Auth::Scram);
    made.await.unwrap();
    let grant = "GRANT SELECT ON iso_agents TO reader";
    world.database("straight").await.unwrap();
    let operator = world.client(&world.postgres.url("straight")).await.unwrap();
    operator.batch_execute(grant).await.unwrap();
    let expected = copied(world.postgres.port, "straight").await;
    assert!(
        expected[0].contains("permission denied for table iso_agents"),
        "{expected:?}"
    );
    for phase in Phase::ALL
        .into_iter()
        .filter(|phase| *phase != Phase::Retired)
    {
        let database = format!("copied_{phase}");
        let proxy = world.in_phase(&database, phase).await.unwrap();
        let operator = world.client(&world.postgres.url(&database)).await.unwrap();
        let both = format!("{grant}; GRANT SELECT ON users TO reader");
        operator.batch_execute(&both).await.unwrap();
        proxy.crossfade(&["prepare"]).await.unwrap();
        assert_eq!(copied(proxy.port, &database).await, expected, "{phase}");
    }
}

/// The errors of one with a wrong value and one with too few, and the answer to a read.
async fn copied(port: u16, database: &str) -> Vec<String> {
    let mut client = RawClient::connect(port, database).await.unwrap();
    client.simple("SET ROLE reader").await.unwrap();
    let mut told = Vec::new();
    for (columns, data) in [("id, email", "none\tx\n"), ("id, email", "x\n")] {
        let sql = format!("COPY iso_agents ({columns}) FROM STDIN");
        let answer = client.copy_in(&sql, data).await.unwrap();
        let fields = answer
            .iter()
            .map(|m| [m.field(b'C'), m.field(b'M')].map(Option::unwrap_or_default));
        told.push(fields.map(|fields| fields.concat()).collect::<String>());
    }
    let count = client.simple("SELECT count(*) FROM iso_agents").await;
    told.push(format!("{:?}", count.unwrap()[1].values()));
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_speak_of_no_migration_or_of_another_take_nobodys_rights() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("partial", Phase::DualRead).await.unwrap();
    let operator = world.client(&world.postgres.url("partial")).await.unwrap();
    let reader = world
        .postgres
        .create_user("reader", "secret", Auth::Scram)
        .await;
    reader.unwrap();
    operator
        .batch_execute(
            "GRANT SELECT ON iso_agents, users TO reader; DELETE FROM users WHERE clerk_user_id = 'user_1'; \
             CREATE TABLE old_notes (id integer PRIMARY KEY); CREATE TABLE new_notes (id integer PRIMARY KEY)",
        )
        .await
        .unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let client = world
        .client(&proxy.url_as("reader:secret", "partial"))
        .await
        .unwrap();
    // What unified lacks is read from legacy, and counted by a function that its reader may call.
    let falls_back = async |after: &str| {
        let sql = "SELECT full_name FROM iso_agents WHERE clerk_user_id = 'user_1'";
        let rows = client.query(sql, &[]).await;
        let rows = rows.unwrap_or_else(|error| panic!("after {after}: {error:?}"));
        assert_eq!(rows.len(), 1, "after {after}");
    };
    falls_back("prepare").await;
    // Nothing changes; all the same it has been at the schema.
    proxy.crossfade(&["apply"]).await.unwrap();
    falls_back("apply").await;
    let other = Proxy::with_config(&world.postgres, "partial", "").unwrap();
    other
        .write_rules(
            "notes",
            "[migration]\nname = \"notes\"\nphase = \"legacy_only\"\n[[table]]\nlegacy = \"public.old_notes\"\n\
             unified = \"public.new_notes\"\nkey = [\"id\"]\ncolumns = \"id integer NOT NULL\"\n",
        )
        .unwrap();
    other.crossfade(&["prepare"]).await.unwrap();
    falls_back("a preparation by the rules of another migration").await;
    let may = "SELECT count(*) FROM pg_proc WHERE proname = 'fell_back' AND has_function_privilege('reader', oid, 'EXECUTE')";
    assert_eq!(control::number(&operator, may).await.unwrap(), 1);
    // With all of them, who has no right any more loses that as well.
    operator
        .batch_execute("REVOKE SELECT ON iso_agents FROM reader")
        .await
        .unwrap();
    other
        .write_rules("iso_agents", &Proxy::rules_in(Phase::DualRead))
        .unwrap();
    other.crossfade(&["prepare"]).await.unwrap();
    assert_eq!(control::number(&operator, may).await.unwrap(), 0);
}
