//! PgBouncer in transaction mode before the proxy, and behind it, while a migration goes through its phases and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crossfade_tests::bouncer::PgBouncer;
use crossfade_tests::control::{a_moment, number};
use crossfade_tests::world::{PASSWORD, USER};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio::task::JoinSet;
use tokio_postgres::types::Type;

/// More than the pool has connections.
const CLIENTS: usize = 6;
/// Turns of all clients together in each phase.
const TURNS: usize = 40;

#[derive(Default)]
struct Seen {
    turns: AtomicUsize,
    again: AtomicUsize,
    stop: AtomicBool,
}

/// Counts a row of its own up until it is told to stop, in a transaction block and by itself; how often it was told that
/// this was done.
async fn counts(url: String, number: usize, seen: Arc<Seen>) -> usize {
    let client = crossfade_demo::client::connect(&url, "test").await.unwrap();
    let who = format!("user_{}", number + 1);
    let update = "UPDATE iso_agents SET margin_value = margin_value + 1 WHERE clerk_user_id = ";
    let mut counted = 0;
    while !seen.stop.load(SeqCst) {
        let text = format!("{update}'{who}'");
        let done = match counted % 3 {
            0 => client.batch_execute(&text).await,
            1 => {
                let begun = client.batch_execute(&format!("BEGIN; {text}")).await;
                let end = if begun.is_ok() { "COMMIT" } else { "ROLLBACK" };
                let ended = client.batch_execute(end).await;
                begun.and(ended)
            }
            // Parsed, bound and executed in one flight, as a driver behind PgBouncer does it.
            _rest => {
                let sql = format!("{update}$1 RETURNING id");
                let rows = client.query_typed(&sql, &[(&who, Type::TEXT)]).await;
                rows.map(|rows| assert_eq!(rows.len(), 1))
            }
        };
        match done {
            Ok(()) => {
                counted += 1;
                seen.turns.fetch_add(1, SeqCst);
            }
            Err(error) => {
                let code = error.code().map(|code| code.code().to_owned());
                assert_eq!(code.as_deref(), Some("40001"), "{error:?}");
                seen.again.fetch_add(1, SeqCst);
            }
        }
    }
    counted
}

async fn some_turns(seen: &Seen) {
    let wanted = seen.turns.load(SeqCst) + TURNS;
    while seen.turns.load(SeqCst) < wanted {
        a_moment().await;
    }
}

/// Takes the migration there and back under clients that come by these ways; nothing of theirs gets lost.
async fn there_and_back(world: &World, proxy: &Proxy, database: &str, url: &str, sum_before: i64) {
    let operator = world.client(&world.postgres.url(database)).await.unwrap();
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(counts(url.to_owned(), number, Arc::clone(&seen)));
    }
    let command = async |command: &str| {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.insert(1, "iso_agents");
        proxy.crossfade(&args).await.unwrap()
    };
    for to in [
        Phase::DualWrite,
        Phase::ShadowRead,
        Phase::DualRead,
        Phase::UnifiedRead,
    ] {
        some_turns(&seen).await;
        if to == Phase::ShadowRead {
            command("backfill --full-speed").await;
            command("verify --repair").await;
            command("verify").await;
        }
        let said = command("advance").await;
        assert!(said.contains(&format!("-> {to}")), "{said}");
    }
    for _ in 0..4 {
        some_turns(&seen).await;
        command("rollback").await;
    }
    command("advance").await;
    some_turns(&seen).await;
    seen.stop.store(true, SeqCst);
    let mut counted = 0;
    while let Some(ended) = clients.join_next().await {
        counted += i64::try_from(ended.unwrap()).unwrap();
    }
    println!(
        "{counted} counted, {} told to try again",
        seen.again.load(SeqCst)
    );
    command("backfill --full-speed").await;
    command("verify --repair").await;
    for table in ["iso_agents", "users"] {
        let sum = sum_of(table);
        assert_eq!(
            number(&operator, &sum).await.unwrap() - sum_before,
            counted,
            "{table}"
        );
    }
    let around = "SELECT count(*) FROM crossfade.writers_around";
    assert_eq!(number(&operator, around).await.unwrap(), 0);
}

fn sum_of(table: &str) -> String {
    let who: Vec<String> = (1..=CLIENTS).map(|n| format!("'user_{n}'")).collect();
    format!(
        "SELECT sum(margin_value)::bigint FROM {table} WHERE clerk_user_id IN ({})",
        who.join(", ")
    )
}

async fn setup(database: &str) -> (World, i64) {
    let world = World::start().await.unwrap();
    world.database(database).await.unwrap();
    let operator = world.client(&world.postgres.url(database)).await.unwrap();
    let whole = "UPDATE iso_agents SET margin_value = 0 WHERE margin_value IS NULL OR margin_value % 1 <> 0";
    operator.batch_execute(whole).await.unwrap();
    let sum = number(&operator, &sum_of("iso_agents")).await.unwrap();
    (world, sum)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_by_transactions_before_the_proxy_loses_nothing_while_phases_change() {
    let database = "pooled_before";
    let (world, sum) = setup(database).await;
    let proxy = Proxy::with_rules(&world.postgres, database, Phase::LegacyOnly).unwrap();
    let proxy = proxy.serve().await.unwrap();
    let bouncer = PgBouncer::start(proxy.port, database, (USER, PASSWORD)).await;
    let Some(bouncer) = bouncer.unwrap() else {
        return;
    };
    let url = bouncer.url(USER, database);
    there_and_back(&world, &proxy, database, &url, sum).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_one_behind_it_of_whose_sessions_the_seal_tells_and_no_look_could() {
    let database = "pooled_behind";
    let (world, sum) = setup(database).await;
    let bouncer = PgBouncer::start(world.postgres.port, database, (USER, PASSWORD)).await;
    let Some(bouncer) = bouncer.unwrap() else {
        return;
    };
    // What is kept prepared of rewritten statements gives way by itself.
    let proxy = Proxy::with_rules(&world.postgres, database, Phase::LegacyOnly).unwrap();
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let config = config.replace(
        &format!("upstream = \"{}\"", world.postgres.address()),
        &format!("upstream = \"127.0.0.1:{}\"", bouncer.port),
    );
    std::fs::write(proxy.config(), config).unwrap();
    let proxy = proxy.serve().await.unwrap();
    there_and_back(&world, &proxy, database, &proxy.url(), sum).await;
}
