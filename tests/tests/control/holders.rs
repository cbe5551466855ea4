//! Sessions that do not come to the end of a transaction: a step waits for them, says whose they
//! are, and after its time gives up with the new phase written down.

use bytes::BytesMut;
use crossfade_tests::control::{self, Running, number, until};
use crossfade_tests::raw::RawClient;
use crossfade_tests::{Proxy, World};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use rewrite_rules::Phase;
use tokio_postgres::Client;

const PATIENCE: [&str; 2] = ["--drain-timeout-seconds", "1"];

/// A proxy in `legacy_only` whose last step is over: the next one waits for nobody before it begins.
async fn settled(world: &World, name: &str) -> (Proxy, Client) {
    let proxy = world.in_phase(name, Phase::LegacyOnly).await.unwrap();
    for command in ["advance", "rollback"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    let client = world.client(&world.postgres.url(name)).await.unwrap();
    (proxy, client)
}

/// While the session is as it is, steps wait for it, and name it.
async fn is_waited_for(proxy: &Proxy, client: &Client, said: &str) {
    let [option, seconds] = PATIENCE;
    let args = ["advance", "iso_agents", option, seconds];
    let pid = "SELECT pid::int8 FROM pg_stat_activity WHERE backend_type = 'client backend' \
               AND datname = current_database() AND query LIKE '%iso_agents%' \
               AND pid <> pg_backend_pid() AND application_name = ''";
    let pid = number(client, pid).await.unwrap();
    for text in [
        // The step's time is up: its phase stays written down, and is not served alone yet.
        "iso_agents is in dual_write and stays so, but it is not drained yet",
        // Nor is the next step taken before that.
        "stays in dual_write, which is not drained yet",
    ] {
        let ended = control::run(&proxy.config(), &args).await.unwrap();
        assert!(!ended.status.success(), "{ended:#?}");
        let who = format!("it waits for pid {pid} (user postgres, application unnamed)");
        for text in [text, "gave up after 1 s", &who, said] {
            assert!(ended.errors.contains(text), "`{text}`: {ended:#?}");
        }
        let file = std::fs::read_to_string(proxy.rule_file()).unwrap();
        assert!(file.contains("phase = \"dual_write\""), "{file}");
    }
    let status = proxy.crossfade(&["status", "iso_agents"]).await.unwrap();
    for text in [
        "dual_write (epoch ",
        &format!("waits for   pid {pid}"),
        "its drain was not seen to end",
    ] {
        assert!(status.contains(text), "`{text}`: {status}");
    }
    // A backfill would miss what it writes.
    let backfill = ["backfill", "iso_agents", option, seconds];
    let ended = control::run(&proxy.config(), &backfill).await.unwrap();
    assert!(!ended.status.success(), "{ended:#?}");
    assert!(ended.errors.contains(&format!("pid {pid}")), "{ended:#?}");
}

/// Once it has ended, the step is over, and the row that it wrote is carried over.
async fn is_let_go(proxy: &Proxy, client: &Client, written: &str) {
    until(client, "SELECT drained FROM crossfade.instances")
        .await
        .unwrap();
    for command in ["backfill", "verify", "advance"] {
        proxy.crossfade(&[command, "iso_agents"]).await.unwrap();
    }
    let both = format!(
        "SELECT (SELECT count(*) FROM iso_agents WHERE email = '{written}') \
         + (SELECT count(*) FROM users WHERE email = '{written}')"
    );
    assert_eq!(number(client, &both).await.unwrap(), 2);
}

#[tokio::test]
async fn a_copy_that_goes_on_is_waited_for() {
    let world = World::start().await.unwrap();
    let (proxy, client) = settled(&world, "copies").await;
    let mut session = RawClient::connect(proxy.port, "copies").await.unwrap();
    let mut out = BytesMut::new();
    let copy = "COPY iso_agents (clerk_user_id, email, full_name) FROM STDIN";
    frontend::query(copy, &mut out).unwrap();
    session.send(&out).await.unwrap();
    session.until(b'G').await.unwrap();

    is_waited_for(&proxy, &client, "last: COPY iso_agents").await;
    // It still goes where it began to.
    let mut out = BytesMut::new();
    let row = &b"held\theld@example.com\tHeld\n"[..];
    frontend::CopyData::new(row).unwrap().write(&mut out);
    frontend::copy_done(&mut out);
    session.send(&out).await.unwrap();
    session.until(b'Z').await.unwrap();
    is_let_go(&proxy, &client, "held@example.com").await;
}

#[tokio::test]
async fn a_pipeline_without_a_sync_is_waited_for() {
    let world = World::start().await.unwrap();
    let (proxy, client) = settled(&world, "pipes").await;
    let mut session = RawClient::connect(proxy.port, "pipes").await.unwrap();
    let insert = "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ($1, $2, 'Held')";
    let run = |id: &str, out: &mut BytesMut| {
        frontend::parse("", insert, [], out).unwrap();
        let values = [id.to_owned(), format!("{id}@example.com")];
        let write = |value: String, out: &mut BytesMut| {
            out.extend_from_slice(value.as_bytes());
            Ok(IsNull::No)
        };
        let bound = frontend::bind("", "", [0, 0], values, write, [0], out);
        assert!(bound.is_ok());
        frontend::execute("", 0, out).unwrap();
        frontend::flush(out);
    };
    let mut out = BytesMut::new();
    run("held", &mut out);
    session.send(&out).await.unwrap();
    session.until(b'C').await.unwrap();

    is_waited_for(&proxy, &client, "last: INSERT INTO iso_agents").await;
    // One more, under the old rules still: the implicit transaction has not ended.
    let mut out = BytesMut::new();
    run("again", &mut out);
    session.send(&out).await.unwrap();
    session.until(b'C').await.unwrap();
    let mut out = BytesMut::new();
    frontend::sync(&mut out);
    session.send(&out).await.unwrap();
    session.until(b'Z').await.unwrap();
    is_let_go(&proxy, &client, "again@example.com").await;
}

#[tokio::test]
async fn a_step_ends_by_itself_once_the_last_session_that_held_it_up_has_gone() {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("gone", Phase::LegacyOnly).await.unwrap();
    let session = RawClient::connect(proxy.port, "gone");
    let mut session = session.await.unwrap();
    session.simple("BEGIN").await.unwrap();
    session.simple("SELECT 1 FROM iso_agents").await.unwrap();
    let mut step = Running::start(&proxy.config(), &["advance", "iso_agents"]).unwrap();
    let who = step.says("it waits for pid").await.unwrap();
    assert!(who.contains("(idle in transaction)"), "{who}");
    drop(session);
    let ended = step.end().await.unwrap();
    assert!(ended.status.success(), "{ended:#?}");
}
