//! What `prepare` puts into the application's database, and who may use it.

use std::sync::{Arc, Mutex};

use crossfade_testbed::Auth;
use crossfade_tests::control::{self, number, pid, until_blocked};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::AsyncMessage;
use tokio_postgres::NoTls;

#[tokio::test]
async fn preparations_at_the_same_time_do_not_collide() {
    let world = World::start().await.unwrap();
    world.database("many").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "many", Phase::LegacyOnly).unwrap();
    let prepare = || proxy.crossfade(&["prepare"]);
    let outcomes = tokio::join!(prepare(), prepare(), prepare(), prepare());
    let texts = [outcomes.0, outcomes.1, outcomes.2, outcomes.3].map(Result::unwrap);
    let created = texts
        .iter()
        .filter(|t| t.contains("created schema"))
        .count();
    assert_eq!(created, 1, "{texts:?}");
}

#[tokio::test]
async fn a_fallback_is_heard_whatever_the_session_says_and_from_parallel_workers() {
    let world = World::start().await.unwrap();
    world.database("heard").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "heard", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let url = world.postgres.url("heard");
    let (client, mut connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notice(notice) = message {
                let said = (notice.code().code().to_owned(), notice.message().to_owned());
                ear.lock().unwrap().push(said);
            }
        }
    });
    client
        .batch_execute(
            "SET client_min_messages = error; \
             SELECT set_config(name, 'on', false) FROM pg_settings \
             WHERE name IN ('force_parallel_mode', 'debug_parallel_query'); \
             SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; \
             SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2",
        )
        .await
        .unwrap();
    let counted = "SELECT count(*) FROM iso_agents \
                   WHERE crossfade.fell_back('iso_agents', id::text)";
    let plan: Vec<String> = client
        .query(&format!("EXPLAIN {counted}"), &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(plan.iter().any(|line| line.contains("Gather")), "{plan:?}");
    let rows: i64 = client.query_one(counted, &[]).await.unwrap().get(0);
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), usize::try_from(rows).unwrap());
    assert!(
        heard
            .iter()
            .all(|(code, text)| code == "CF001" && text == "iso_agents")
    );
}

/// What each version added, as it was released.
const VERSIONS: [&str; 15] = [
    include_str!("../../../proxy/src/control/schema.sql"),
    include_str!("../../../proxy/src/control/schema_2.sql"),
    include_str!("../../../proxy/src/control/schema_3.sql"),
    include_str!("../../../proxy/src/control/schema_4.sql"),
    include_str!("../../../proxy/src/control/schema_5.sql"),
    include_str!("../../../proxy/src/control/schema_6.sql"),
    include_str!("../../../proxy/src/control/schema_7.sql"),
    include_str!("../../../proxy/src/control/schema_8.sql"),
    include_str!("../../../proxy/src/control/schema_9.sql"),
    include_str!("../../../proxy/src/control/schema_10.sql"),
    include_str!("../../../proxy/src/control/schema_11.sql"),
    include_str!("../../../proxy/src/control/schema_12.sql"),
    include_str!("../../../proxy/src/control/schema_13.sql"),
    include_str!("../../../proxy/src/control/schema_14.sql"),
    include_str!("../../../proxy/src/control/schema_15.sql"),
];

const NEWEST: usize = VERSIONS.len() + 1;

/// Every column of the schema, with its type and default.
const COLUMNS: &str = "SELECT string_agg(format('%s.%s %s %s %s', c.relname, a.attname, \
     format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)), E'\\n' \
     ORDER BY c.relname, a.attname) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid \
     LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum \
     WHERE c.relnamespace = 'crossfade'::regnamespace AND c.relkind = 'r' AND a.attnum > 0";

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_and_keeps_what_it_holds() {
    let world = World::start().await.unwrap();
    world.database("fresh").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "fresh", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let fresh = world.client(&world.postgres.url("fresh")).await.unwrap();
    let expected: String = fresh.query_one(COLUMNS, &[]).await.unwrap().get(0);

    for version in 1..=VERSIONS.len() {
        let name = format!("from_{version}");
        world.database(&name).await.unwrap();
        let client = world.client(&world.postgres.url(&name)).await.unwrap();
        for ddl in &VERSIONS[..version] {
            client.batch_execute(ddl).await.unwrap();
        }
        if version > 10 {
            let known = "INSERT INTO crossfade.recording (migration) VALUES ('iso_agents')";
            client.batch_execute(known).await.unwrap();
        }
        client
            .batch_execute(&format!(
                "UPDATE crossfade.version SET version = {version}; \
                 SELECT crossfade.record_divergence('iso_agents', 't', '[1]', 'kept', '23505')"
            ))
            .await
            .unwrap();
        let proxy = Proxy::with_rules(&world.postgres, &name, Phase::DualWrite).unwrap();
        let said = proxy.crossfade(&["prepare"]).await.unwrap();
        let told = format!("brought schema crossfade from version {version} to {NEWEST}");
        assert!(said.contains(&told), "{said}");
        let found: String = client.query_one(COLUMNS, &[]).await.unwrap().get(0);
        assert_eq!(found, expected, "from version {version}");
        let kept = "SELECT count(*) FROM crossfade.divergence WHERE reason = 'kept'";
        assert_eq!(number(&client, kept).await.unwrap(), 1);
        let again = proxy.crossfade(&["prepare"]).await.unwrap();
        assert!(again.contains("is up to date"), "{again}");
        assert!(!again.contains("created"), "{again}");

        let newer = "UPDATE crossfade.version SET version = 99";
        client.batch_execute(newer).await.unwrap();
        let refused = control::run(&proxy.config(), &["prepare"]).await.unwrap();
        let told = "has version 99, made by a newer Crossfade";
        assert!(refused.errors.contains(told), "{refused:?}");
    }
}

#[tokio::test]
async fn a_role_with_no_more_than_the_printed_grants_moves_a_table_and_goes_back() {
    let world = World::start().await.unwrap();
    world.database("granted").await.unwrap();
    let operator = world.client(&world.postgres.url("granted")).await.unwrap();
    let mover = world.postgres.create_user("mover", "secret", Auth::Scram);
    mover.await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "granted", Phase::LegacyOnly).unwrap();
    let superuser = std::fs::read_to_string(proxy.config()).unwrap();
    let (own, as_mover) = (
        world.postgres.url("granted"),
        world.postgres.url_as("mover:secret", "granted"),
    );
    assert!(superuser.contains(&own));
    std::fs::write(proxy.config(), superuser.replace(&own, &as_mover)).unwrap();

    let early = control::run(&proxy.config(), &["prepare"]).await.unwrap();
    assert!(!early.status.success(), "{early:?}");
    let grants = proxy
        .crossfade(&["prepare", "--grants-for", "mover"])
        .await
        .unwrap();
    // What it lacks is said as well when it tries without.
    let lacks = early.errors.lines().filter(|line| line.contains("GRANT "));
    let lacks: Vec<&str> = lacks.map(str::trim).collect();
    assert!(lacks.len() >= 3, "{early:?}");
    assert!(
        lacks.iter().all(|line| grants.contains(line)),
        "{grants}\n{early:?}"
    );
    operator.batch_execute(&grants).await.unwrap();

    let proxy = proxy.serve().await.unwrap();
    for command in [
        "prepare", "check", "advance", "backfill", "verify", "coverage", "advance", "advance",
        "advance", "status", "rollback",
    ] {
        let mut args = vec![command];
        if command != "prepare" {
            args.push("iso_agents");
        }
        let ended = control::run(&proxy.config(), &args).await.unwrap();
        assert!(ended.status.success(), "{command}: {ended:#?}");
        assert!(!ended.errors.contains("lacks rights"), "{ended:#?}");
    }
    let application = proxy.client().await.unwrap();
    let write = "UPDATE iso_agents SET full_name = 'Granted' WHERE clerk_user_id = 'user_1'";
    assert_eq!(application.execute(write, &[]).await.unwrap(), 1);
    let unified = "SELECT count(*) FROM users WHERE full_name = 'Granted'";
    assert_eq!(number(&operator, unified).await.unwrap(), 1);
}

#[tokio::test]
async fn claims_wait_for_their_own_key_alone() {
    let world = World::start().await.unwrap();
    world.database("claims").await.unwrap();
    let proxy = Proxy::with_rules(&world.postgres, "claims", Phase::DualWrite).unwrap();
    proxy.crossfade(&["prepare"]).await.unwrap();
    let url = world.postgres.url("claims");
    let (one, other) = tokio::try_join!(world.client(&url), world.client(&url)).unwrap();
    let watcher = world.client(&url).await.unwrap();
    let begin = |key: u32| {
        format!("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT crossfade.claim('m', 't', '[{key}]')")
    };
    one.batch_execute(&begin(1)).await.unwrap();
    other.batch_execute(&begin(2)).await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();
    other.batch_execute("COMMIT").await.unwrap();

    one.batch_execute(&begin(3)).await.unwrap();
    let waiting = pid(&other).await.unwrap();
    let again = begin(3);
    let (claimed, ()) = tokio::join!(other.batch_execute(&again), async {
        until_blocked(&watcher, waiting).await.unwrap();
        one.batch_execute("COMMIT").await.unwrap();
    });
    claimed.unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    let left = "SELECT count(*) FROM crossfade.claims";
    assert_eq!(number(&watcher, left).await.unwrap(), 0);
}
