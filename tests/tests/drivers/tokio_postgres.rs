//! tokio-postgres through the proxy: pipelining, COPY, cancelling, portals, notifications and
//! errors in the middle of things, where programs in other languages are too tame.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use crossfade_tests::control::a_moment;
use crossfade_tests::{Proxy, World};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt, future};
use rewrite_rules::Phase;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, CopyOutStream, NoTls};

async fn proxied() -> (World, Proxy) {
    let world = World::start().await.unwrap();
    let proxy = world.in_phase("ordinary", Phase::DualWrite).await.unwrap();
    (world, proxy)
}

#[tokio::test]
async fn pipelined_statements_are_answered_in_order() {
    let (_world, proxy) = proxied().await;
    let client = proxy.client().await.unwrap();
    let statement = client.prepare("SELECT $1::int8 * 2").await.unwrap();
    let numbers: Vec<i64> = (0..200).collect();
    let answers = join_all(numbers.iter().map(|n| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[n]).await }
    }))
    .await;
    for (number, answer) in numbers.iter().zip(answers) {
        assert_eq!(answer.unwrap().get::<_, i64>(0), number * 2);
    }
}

#[tokio::test]
async fn an_error_between_pipelined_statements_hurts_no_other() {
    let (_world, proxy) = proxied().await;
    let client = proxy.client().await.unwrap();
    let statement = client.prepare("SELECT 10 / $1::int4").await.unwrap();
    let (good, bad, after) = future::join3(
        client.query_one(&statement, &[&5i32]),
        client.query_one(&statement, &[&0i32]),
        client.query_one(&statement, &[&2i32]),
    )
    .await;
    assert_eq!(good.unwrap().get::<_, i32>(0), 2);
    assert_eq!(bad.unwrap_err().code(), Some(&SqlState::DIVISION_BY_ZERO));
    assert_eq!(after.unwrap().get::<_, i32>(0), 5);
}

#[tokio::test]
async fn a_copy_in_and_out_carries_every_byte() {
    let (_world, proxy) = proxied().await;
    let client = proxy.client().await.unwrap();
    client
        .batch_execute("CREATE TEMP TABLE blobs (n serial, data text)")
        .await
        .unwrap();
    // Uneven pieces, some larger than any buffer of the proxy is likely to be.
    let mut sent = BytesMut::new();
    for n in 0..500usize {
        sent.extend_from_slice("äx".repeat(n * 7 % 3000).as_bytes());
        sent.extend_from_slice(b"\n");
    }
    let sent = sent.freeze();
    let mut sink = pin!(
        client
            .copy_in::<_, Bytes>("COPY blobs (data) FROM STDIN")
            .await
            .unwrap()
    );
    for start in (0..sent.len()).step_by(70_001) {
        let end = sent.len().min(start + 70_001);
        sink.send(sent.slice(start..end)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 500);

    let out = client
        .copy_out("COPY (SELECT data FROM blobs ORDER BY n) TO STDOUT")
        .await
        .unwrap();
    assert!(all_of(out).await == sent, "not the bytes that went in");
}

async fn all_of(pieces: CopyOutStream) -> BytesMut {
    let mut all = BytesMut::new();
    let mut pieces = pin!(pieces);
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}

#[tokio::test]
async fn a_cancelled_statement_ends_and_the_session_goes_on() {
    let (world, proxy) = proxied().await;
    let client = proxy.client().await.unwrap();
    let token = client.cancel_token();
    let watcher = world.client(&world.postgres.url("ordinary")).await.unwrap();
    let cancelling = async {
        // Not before the server is at it: a cancel that comes early cancels nothing.
        let at_it = "SELECT count(*) FROM pg_stat_activity \
                     WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        while watcher
            .query_one(at_it, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 0
        {
            a_moment().await;
        }
        token.cancel_query(NoTls).await.unwrap();
    };
    let (slept, ()) = future::join(client.batch_execute("SELECT pg_sleep(600)"), cancelling).await;
    assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    let row = client.query_one("SELECT 7", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
}

#[tokio::test]
async fn portals_are_read_in_pieces_within_a_transaction() {
    let (_world, proxy) = proxied().await;
    let mut client = proxy.client().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let statement = transaction
        .prepare("SELECT n FROM generate_series(1, 10) n")
        .await
        .unwrap();
    let portal = transaction.bind(&statement, &[]).await.unwrap();
    let other = transaction.bind(&statement, &[]).await.unwrap();
    let mut seen = Vec::new();
    for rows_max in [3, 3, 3, 3] {
        let rows = transaction.query_portal(&portal, rows_max).await.unwrap();
        seen.push(rows.len());
    }
    assert_eq!(seen, [3, 3, 3, 1]);
    let rest = transaction.query_portal(&other, 0).await.unwrap();
    assert_eq!(rest.len(), 10);
}

#[tokio::test]
async fn notifications_arrive_without_being_asked_for() {
    let (_world, proxy) = proxied().await;
    let (listener, mut connection) = tokio_postgres::connect(&proxy.url(), NoTls).await.unwrap();
    let (sender, mut notifications) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = sender.send(notification.payload().to_owned());
            }
        }
    });
    listener.batch_execute("LISTEN news").await.unwrap();
    let other = proxy.client().await.unwrap();
    other.batch_execute("NOTIFY news, 'hello'").await.unwrap();
    assert_eq!(notifications.recv().await.as_deref(), Some("hello"));
}

#[tokio::test]
async fn a_result_and_a_parameter_of_many_megabytes_pass() {
    let (_world, proxy) = proxied().await;
    let client = proxy.client().await.unwrap();
    let length: i32 = 32 * 1024 * 1024;
    let row = client
        .query_one("SELECT repeat('x', $1)", &[&length])
        .await
        .unwrap();
    let text: String = row.get(0);
    assert_eq!(text.len(), 32 * 1024 * 1024);
    let row = client
        .query_one("SELECT length($1::text), md5($1)", &[&text])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), length);
}

#[tokio::test]
async fn a_prepared_statement_of_the_legacy_table_describes_alike_in_every_phase() {
    let world = World::start().await.unwrap();
    world.database("bare").await.unwrap();
    let bare = world.client(&world.direct_url("bare")).await.unwrap();
    let texts = [
        "SELECT * FROM iso_agents WHERE id = $1 AND role = $2",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, role, margin_value) VALUES ($1, $2, $3, $4, $5) RETURNING *",
        "UPDATE iso_agents SET metadata = $1, created_at = $2 WHERE email = $3",
        "UPDATE iso_agents AS a SET margin_type = $1 WHERE a.is_active = $2 RETURNING a.role, a.margin_value",
        "DELETE FROM iso_agents WHERE id = $1",
        "DELETE FROM iso_agents WHERE email LIKE $1 RETURNING id, email",
    ];
    for phase in Phase::ALL {
        let proxy = world.in_phase(phase.name(), phase).await.unwrap();
        let client = proxy.client().await.unwrap();
        for text in texts {
            let expected = bare.prepare(text).await.unwrap();
            let came = client
                .prepare(text)
                .await
                .unwrap_or_else(|error| panic!("{phase}: `{text}`: {error:?}"));
            // The databases are copies of one: their types have the same oids.
            assert_eq!(expected.params(), came.params(), "{phase}: `{text}`");
            let shape = |statement: &tokio_postgres::Statement| {
                let columns = statement.columns().iter();
                columns
                    .map(|column| {
                        let type_oid = column.type_().oid();
                        (column.name().to_owned(), type_oid, column.type_modifier())
                    })
                    .collect::<Vec<_>>()
            };
            assert_eq!(shape(&expected), shape(&came), "{phase}: `{text}`");
        }
    }
}
