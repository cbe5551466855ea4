//! A server that restarts, and a primary that dies while its standby is promoted: clients wait, the rules in force are those
//! of the new primary, and an epoch that was closed is closed there too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crossfade_testbed::{Postgres, free_port};
use crossfade_tests::control::{a_moment, number, until};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

const CLIENTS: usize = 4;
/// Writes of all clients together, before and after.
const WRITES: usize = 40;
const RENAME: &str =
    "UPDATE iso_agents SET full_name = full_name || '!' WHERE clerk_user_id = 'user_2'";

/// Puts both hosts into a proxy's configuration, in this order.
fn lead_to_both(proxy: &Proxy, database: &str, hosts: [&Postgres; 2], more: &str) {
    let config = std::fs::read_to_string(proxy.config()).unwrap();
    let [first, second] = hosts;
    let both = format!("{}, {}", first.address(), second.address());
    let config = config
        .replace(
            &format!("upstream = \"{}\"", first.address()),
            &format!("upstream = \"{both}\"\n{more}"),
        )
        .replace(
            &format!("@{}/{database}", first.address()),
            &format!("@{}/{database}", both.replace(", ", ",")),
        );
    std::fs::write(proxy.config(), config).unwrap();
}

/// What the clients that write have seen.
#[derive(Default)]
struct Seen {
    /// They begin to connect.
    connecting: AtomicUsize,
    written: AtomicUsize,
    stop: AtomicBool,
}

/// Writes until it is told to stop, and connects again whenever its connection is lost; the names that it was told are
/// written, and what it was told in place of a connection.
async fn writes(url: String, client: usize, seen: Arc<Seen>) -> (Vec<String>, Vec<String>) {
    let (mut written, mut refused) = (Vec::new(), Vec::new());
    let mut next = 0;
    while !seen.stop.load(SeqCst) {
        seen.connecting.fetch_add(1, SeqCst);
        let connection = match crossfade_demo::client::connect(&url, "test").await {
            Ok(connection) => connection,
            Err(error) => {
                refused.push(format!("{error:#}"));
                continue;
            }
        };
        while !seen.stop.load(SeqCst) {
            next += 1;
            let name = format!("writer_{client}_{next}");
            let sql = format!(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) \
                 VALUES ('{name}', '{name}@example.com', '{name}')"
            );
            match connection.batch_execute(&sql).await {
                Ok(()) => {
                    written.push(name);
                    seen.written.fetch_add(1, SeqCst);
                }
                // Whether it is there, nobody knows.
                Err(_) => break,
            }
        }
    }
    (written, refused)
}

async fn until_written(seen: &Seen, more: usize) {
    let wanted = seen.written.load(SeqCst) + more;
    while seen.written.load(SeqCst) < wanted {
        a_moment().await;
    }
}

async fn port_of(client: &Client) -> u16 {
    let port = number(client, "SELECT inet_server_port()::bigint").await;
    port.unwrap().try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_wait_for_a_promoted_standby_lose_nothing_and_no_closed_epoch_writes_there() {
    // A step is taken before the failover: they are served in shadow_read and unified_read.
    for phase in [Phase::DualWrite, Phase::DualRead] {
        let name = "promoted";
        let mut world = World::start_with(&[("synchronous_commit", "on")])
            .await
            .unwrap();
        let standby = world.postgres.standby("s1").await.unwrap();
        let mut proxy = world.in_phase(name, phase).await.unwrap();
        proxy.stop();
        let port = free_port().unwrap();
        let admin = format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n");
        lead_to_both(&proxy, name, [&world.postgres, &standby], "");
        let mut config = std::fs::read_to_string(proxy.config()).unwrap();
        config.push_str(&admin);
        std::fs::write(proxy.config(), config).unwrap();
        let proxy = proxy.serve().await.unwrap();
        let operator = world.client(&world.postgres.url(name)).await.unwrap();

        // One that will know nothing of the step, and leads to the standby.
        operator
            .batch_execute("CREATE ROLE second SUPERUSER LOGIN")
            .await
            .unwrap();
        let late = Proxy::with_rules(&world.postgres, name, phase).unwrap();
        let config = std::fs::read_to_string(late.config()).unwrap();
        let config = config
            .replace(
                &format!("upstream = \"{}\"", world.postgres.address()),
                &format!("upstream = \"{}\"", standby.address()),
            )
            .replace("postgres@", "second@");
        std::fs::write(late.config(), config).unwrap();
        let late = late.serve().await.unwrap();
        let cut_off = "ALTER ROLE second NOLOGIN; SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
            WHERE usename = 'second'; \
            UPDATE crossfade.instances SET seen_at = seen_at - interval '1 minute'";
        until(&operator, "SELECT count(*) = 2 FROM crossfade.instances")
            .await
            .unwrap();
        operator.batch_execute(cut_off).await.unwrap();
        let forced = ["advance", "iso_agents", "--force", "--reason", "test"];
        proxy.crossfade(&forced).await.unwrap();
        world.postgres.commit_on("s1").await.unwrap();

        let seen = Arc::new(Seen::default());
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(writes(proxy.url(), client, Arc::clone(&seen)));
        }
        until_written(&seen, WRITES).await;
        let connected = seen.connecting.load(SeqCst);
        assert_eq!(connected, CLIENTS);
        drop(operator);
        world.postgres.stop_immediate().await.unwrap();
        // All of them have lost their connections, and ask for new ones while nobody can write anywhere.
        while seen.connecting.load(SeqCst) < connected + CLIENTS {
            a_moment().await;
        }
        standby.promote().await.unwrap();
        until_written(&seen, WRITES).await;
        seen.stop.store(true, SeqCst);
        let mut written = BTreeSet::new();
        while let Some(ended) = clients.join_next().await {
            let (names, refused) = ended.unwrap();
            assert!(refused.is_empty(), "{phase}: {refused:?}");
            written.extend(names);
        }

        // What was acknowledged is there, on both sides.
        let operator = standby.connect(name).await.unwrap();
        for table in ["iso_agents", "users"] {
            let sql =
                format!("SELECT clerk_user_id FROM {table} WHERE clerk_user_id LIKE 'writer\\_%'");
            let rows = operator.query(&sql, &[]).await.unwrap();
            let there: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
            let lost: Vec<_> = written.difference(&there).collect();
            assert!(lost.is_empty(), "{phase}: {table}: {lost:?}");
        }
        let said = proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
        assert!(said.contains("missing 0   extra 0   different 0"), "{said}");

        // The epoch that was closed on the old primary is closed here.
        let client = late.client().await.unwrap();
        assert_eq!(port_of(&client).await, standby.port);
        let told = client.execute(RENAME, &[]).await.unwrap_err();
        assert_eq!(
            told.code(),
            Some(&SqlState::T_R_SERIALIZATION_FAILURE),
            "{phase}: {told}"
        );
        let client = proxy.client().await.unwrap();
        assert_eq!(client.execute(RENAME, &[]).await.unwrap(), 1);
        // And steps are taken on, here.
        let epoch = "SELECT max(epoch) FROM crossfade.epochs";
        let before = number(&operator, epoch).await.unwrap();
        proxy
            .crossfade(&["rollback", "iso_agents", "--force", "--reason", "test"])
            .await
            .unwrap();
        assert!(number(&operator, epoch).await.unwrap() > before);

        // The old primary is there again, as nobody has told it: it is not used, whoever looks.
        world.postgres.start_again().await.unwrap();
        assert_eq!(port_of(&proxy.client().await.unwrap()).await, standby.port);
        let mut proxy = proxy;
        proxy.stop();
        let proxy = proxy.serve_what_is_in_force().await.unwrap();
        let client = proxy.client().await.unwrap();
        assert_eq!(port_of(&client).await, standby.port);
        assert_eq!(client.execute(RENAME, &[]).await.unwrap(), 1);
        let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
        assert!(status.contains(&standby.address()), "{status}");
        let ready = get(port, "/readyz").await;
        assert!(ready.contains(&standby.address()), "{ready}");
        let metrics = get(port, "/metrics").await;
        let in_use = format!(
            "crossfade_upstream_host{{host=\"{}\"}} 1",
            standby.address()
        );
        assert!(metrics.contains(&in_use), "{metrics}");

        // A cancel finds the host that its session is on.
        let cancel = client.cancel_token();
        let sleep = client.batch_execute("SELECT pg_sleep(60)");
        let cancelled = async {
            let sleeps =
                "SELECT count(*) = 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'";
            until(&operator, sleeps).await.unwrap();
            cancel.cancel_query(NoTls).await.unwrap();
        };
        let (told, ()) = tokio::join!(sleep, cancelled);
        assert_eq!(told.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_a_failover_lost_are_followed_back_and_their_numbers_are_nobodys() {
    let name = "lost";
    let mut world = World::start().await.unwrap();
    let standby = world.postgres.standby("s1").await.unwrap();
    let mut proxy = world.in_phase(name, Phase::DualWrite).await.unwrap();
    proxy.stop();
    lead_to_both(&proxy, name, [&world.postgres, &standby], "");
    let proxy = proxy.serve().await.unwrap();
    let operator = world.client(&world.postgres.url(name)).await.unwrap();
    let newest = "SELECT max(epoch) FROM crossfade.epochs";
    let before = number(&operator, newest).await.unwrap();
    let follower = standby.connect(name).await.unwrap();
    until(&follower, &format!("({newest}) = {before}"))
        .await
        .unwrap();

    // What the primary does from now on, the standby never hears of.
    follower
        .batch_execute("ALTER SYSTEM SET primary_conninfo = ''")
        .await
        .unwrap();
    follower
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    until(&follower, "NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")
        .await
        .unwrap();
    let forced = ["advance", "iso_agents", "--force", "--reason", "test"];
    for _ in 0..3 {
        proxy.crossfade(&forced).await.unwrap();
    }
    let lost = number(&operator, newest).await.unwrap();
    assert_eq!(lost, before + 3);
    let through = proxy.client().await.unwrap();
    assert_eq!(through.execute(RENAME, &[]).await.unwrap(), 1);
    drop(operator);
    world.postgres.stop_immediate().await.unwrap();
    standby.promote().await.unwrap();

    // Three phases back, by the proxy that has served the last of them.
    let through = proxy.client().await.unwrap();
    assert_eq!(port_of(&through).await, standby.port);
    assert_eq!(through.execute(RENAME, &[]).await.unwrap(), 1);
    let operator = standby.connect(name).await.unwrap();
    assert_eq!(number(&operator, newest).await.unwrap(), before);
    let both = "SELECT count(*) FROM iso_agents AS a JOIN users AS u USING (id) \
                WHERE a.clerk_user_id = 'user_2' AND a.full_name LIKE '%!' AND u.full_name = a.full_name";
    assert_eq!(number(&operator, both).await.unwrap(), 1);
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    let there = format!("phase       dual_write (epoch {before})");
    assert!(status.contains(&there), "{status}");
    let checked = proxy.crossfade(&["check", "iso_agents"]).await.unwrap();
    let host = format!("notes, at {}", standby.address());
    assert!(checked.contains(&host), "{checked}");

    proxy.crossfade(&forced).await.unwrap();
    let next = number(&operator, newest).await.unwrap();
    assert!(next > 1_000_000 && next > lost, "{next}");
    assert_eq!(through.execute(RENAME, &[]).await.unwrap(), 1);
}

async fn get(port: u16, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_connects_while_the_server_restarts_waits_and_is_served() {
    let mut world = World::start().await.unwrap();
    let proxy = world.in_phase("restarted", Phase::DualWrite).await.unwrap();
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(writes(proxy.url(), client, Arc::clone(&seen)));
    }
    until_written(&seen, WRITES).await;
    world.postgres.stop().await.unwrap();
    while seen.connecting.load(SeqCst) < 2 * CLIENTS {
        a_moment().await;
    }
    world.postgres.start_again().await.unwrap();
    until_written(&seen, WRITES).await;
    seen.stop.store(true, SeqCst);
    while let Some(ended) = clients.join_next().await {
        let (_, refused) = ended.unwrap();
        assert!(refused.is_empty(), "{refused:?}");
    }
    let said = proxy.crossfade(&["verify", "iso_agents"]).await.unwrap();
    assert!(said.contains("missing 0   extra 0   different 0"), "{said}");
}
