//! COPY from the client by Parse, Bind and Execute: the same messages as from a database that was left
//! alone, in every phase, and the same rows.

use crossfade_tests::answer::comparable;
use crossfade_tests::protocol_scripts::corpus::scripts;
use crossfade_tests::protocol_scripts::messages::{
    bind, copy_data, copy_done, execute, parse, sync,
};
use crossfade_tests::protocol_scripts::{Cut, Played, Script};
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::tap::messages;
use crossfade_tests::twin::{Case, Twin};
use rewrite_rules::Phase;

const PARCELS: Case = Case {
    name: "parcels",
    rules: r#"[migration]
name = "parcels"
phase = "legacy_only"
[[table]]
legacy = "public.parcels"
unified = "public.goods"
key = ["id"]
[table.columns]
id = { type = "integer" }
what = { type = "varchar(10)", unified = "label" }
weight = { type = "numeric(6,2)" }
[table.constraints]
parcels_pkey = "goods_pkey"
parcels_weight_check = "goods_weight_check"
"#,
    tables: 1,
    also: &[],
    server: "",
    legacy: "CREATE TABLE parcels (id integer PRIMARY KEY, what varchar(10) NOT NULL, \
             weight numeric(6,2) CHECK (weight > 0)); \
             INSERT INTO parcels VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)",
    unified: "CREATE TABLE goods (id integer PRIMARY KEY, label varchar(10) NOT NULL, \
              weight numeric(6,2) CONSTRAINT goods_weight_check CHECK (weight > 0))",
};
const UNIFIED: &str = "(SELECT id, label AS what, weight FROM goods)";
const SCRIPTS: &str = include_str!("../../data/protocol/managed/copy_in.txt");
/// What a script has left, but the three that were there.
const EMPTIED: &str = "DELETE FROM parcels WHERE id > 3";

fn both(alone: &str, through: &str) -> Vec<(Script, Script)> {
    let through = scripts(SCRIPTS, through);
    scripts(SCRIPTS, alone).into_iter().zip(through).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_prepared_is_answered_as_by_the_server_in_every_phase() {
    let twin = Twin::start(PARCELS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for (alone, through) in both("alone", "migrated") {
            for cut in [Cut::Turns, Cut::Bytes] {
                let expected = alone.play(twin.port_alone(), cut).await.unwrap();
                let found = through.play(twin.port(), cut).await.unwrap();
                // The greetings tell of two servers.
                let told = |played: &Played| {
                    let greeting = messages(&played.greeting).len();
                    comparable(&played.comparable()[greeting..])
                };
                assert_eq!(
                    told(&found),
                    told(&expected),
                    "{phase}: {}, {cut:?}",
                    alone.name
                );
                twin.equal_in(phase, "parcels", UNIFIED).await.unwrap();
                twin.same(EMPTIED).await.unwrap();
            }
        }
    })
    .await
    .unwrap();
}

/// A prepared COPY is run: one row.
async fn copied(client: &mut RawClient, id: usize) -> Vec<Message> {
    let run = [bind("", "kept", &[], 0), execute("", 0), sync()].concat();
    client.send(&run).await.unwrap();
    client.until(b'G').await.unwrap();
    let data = format!("{id}\tkept\n");
    let sent = [copy_data(data.as_bytes()), copy_done(), sync()].concat();
    client.send(&sent).await.unwrap();
    client.until_ready().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_prepared_in_one_phase_is_run_in_another() {
    let twin = Twin::start(PARCELS).await.unwrap();
    twin.prepare().await.unwrap();
    let mut client = twin.raw().await.unwrap();
    let text = "COPY parcels (id, what) FROM STDIN";
    let prepared = [parse("kept", text), sync()].concat();
    client.send(&prepared).await.unwrap();
    client.until_ready().await.unwrap();
    let left = tokio::sync::Mutex::new(client);
    twin.in_every_phase(async |phase| {
        let id = 100 + phase as usize;
        let answer = copied(&mut *left.lock().await, id).await;
        let tags: Vec<String> = answer
            .iter()
            .filter(|m| m.tag == b'C')
            .map(Message::tag_text)
            .collect();
        assert_eq!(tags, ["COPY 1"], "{phase}: {answer:?}");
        twin.alone
            .batch_execute(&format!("INSERT INTO parcels VALUES ({id}, 'kept')"))
            .await
            .unwrap();
        twin.equal_in(phase, "parcels", UNIFIED).await.unwrap();
    })
    .await
    .unwrap();
    let retired = twin.advance(Phase::Retired).await;
    retired.unwrap();
    let answer = copied(&mut *left.lock().await, 200).await;
    assert!(
        answer
            .iter()
            .any(|m| m.tag == b'C' && m.tag_text() == "COPY 1"),
        "{answer:?}"
    );
}
