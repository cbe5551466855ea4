//! Texts that are not what a reader of SQL expects: broken UTF-8, other encodings, NULs in the
//! middle, megabytes. What names a table that moves is rewritten or refused; the rest passes.

use crossfade_tests::answer::comparable;
use crossfade_tests::protocol_scripts::messages::{
    bind, execute, parse, parse_typed, query_bytes, sync,
};
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::{Proxy, World};
use rewrite_rules::Phase;
use tokio_postgres::Client;

const DATABASE: &str = "texts";
const NAMES: &str = "SELECT string_agg(DISTINCT full_name, ' ') FROM";

struct Line {
    direct: RawClient,
    through: RawClient,
    operator: Client,
    proxy: Proxy,
    _world: World,
}

impl Line {
    async fn lay() -> Line {
        let world = World::start().await.unwrap();
        let proxy = world.in_phase(DATABASE, Phase::DualWrite).await.unwrap();
        let url = world.postgres.url(DATABASE);
        let port = world.postgres.port;
        Line {
            direct: RawClient::connect(port, DATABASE).await.unwrap(),
            through: RawClient::connect(proxy.port, DATABASE).await.unwrap(),
            operator: world.client(&url).await.unwrap(),
            proxy,
            _world: world,
        }
    }

    async fn through(&mut self, sent: &[u8]) -> Vec<Message> {
        self.through.send(sent).await.unwrap();
        self.through.until_ready().await.unwrap()
    }

    /// Sent both ways, answered alike.
    async fn same(&mut self, sent: &[u8]) -> Vec<Message> {
        self.direct.send(sent).await.unwrap();
        let expected = self.direct.until_ready().await.unwrap();
        let got = self.through(sent).await;
        assert_eq!(comparable(&got), comparable(&expected));
        got
    }

    /// Refused with the word about encodings, by both protocols.
    async fn refused(&mut self, text: &[u8]) {
        let extended = [
            parse_typed("", text, &[]),
            bind("", "", &[], 0),
            execute("", 0),
            sync(),
        ];
        for sent in [query_bytes(text), extended.concat()] {
            let answer = self.through(&sent).await;
            assert_eq!(sqlstate(&answer), "0A000", "{answer:?}");
            let message = answer[0].field(b'M').unwrap();
            assert!(message.contains("not in UTF-8"), "{message}");
            assert_eq!(answer.len(), 2, "{answer:?}");
        }
    }

    /// The name that user_1 has, as each of the two tables tells it.
    async fn name(&self) -> [String; 2] {
        let mut names = Vec::new();
        for table in ["iso_agents", "users"] {
            let sql = format!("{NAMES} {table} WHERE clerk_user_id = 'user_1'");
            let row = self.operator.query_one(&sql, &[]).await.unwrap();
            names.push(row.get::<_, String>(0));
        }
        names.try_into().unwrap()
    }
}

fn sqlstate(answer: &[Message]) -> String {
    let error = answer.iter().find(|message| message.tag == b'E');
    error.and_then(|e| e.field(b'C')).unwrap_or_default()
}

fn rename(name: &[u8]) -> Vec<u8> {
    let (before, after) = (
        &b"UPDATE iso_agents SET full_name = '"[..],
        &b"' WHERE clerk_user_id = 'user_1'"[..],
    );
    [before, name, after].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_utf_8_is_refused_where_it_names_a_moving_table_and_passes_elsewhere() {
    let mut line = Line::lay().await;
    let before = line.name().await;
    for broken in [
        &b"\xff"[..],
        b"\xc3",
        b"\xe4bc",
        b"\xed\xa0\x80",
        b"\xc0\xa7",
    ] {
        line.refused(&rename(broken)).await;
        let elsewhere = [b"SELECT '", broken, b"'"].concat();
        let answer = line.same(&query_bytes(&elsewhere)).await;
        assert_eq!(sqlstate(&answer), "22021", "{broken:?}");
    }
    assert_eq!(line.name().await, before);
    let answer = line.through(&query_bytes(&rename("Zoë".as_bytes()))).await;
    assert_eq!(answer[0].tag_text(), "UPDATE 1");
    assert_eq!(line.name().await, ["Zoë", "Zoë"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_in_other_encodings_are_refused_unless_they_are_ascii_and_values_pass() {
    let mut line = Line::lay().await;
    line.same(&query_bytes(b"SET client_encoding TO LATIN1"))
        .await;
    line.refused(&rename(b"Zo\xeb")).await;
    // By chance UTF-8, and to the server two other letters.
    line.refused(&rename("Zoë".as_bytes())).await;
    line.same(&query_bytes(b"SELECT 'Zo\xeb', length('Zo\xc3\xab')"))
        .await;
    let renamed = line.through(&query_bytes(&rename(b"Ann"))).await;
    assert_eq!(renamed[0].tag_text(), "UPDATE 1");
    assert_eq!(line.name().await, ["Ann", "Ann"]);
    let text = "UPDATE iso_agents SET full_name = $1 WHERE clerk_user_id = 'user_1'";
    let sent = [
        parse("", text),
        bind("", "", &[Some(b"Zo\xeb")], 0),
        execute("", 0),
        sync(),
    ];
    let answer = line.through(&sent.concat()).await;
    assert_eq!(answer[2].tag_text(), "UPDATE 1", "{answer:?}");
    assert_eq!(line.name().await, ["Zoë", "Zoë"]);
    // The third byte and the backslash are one character to the server: there the string ends.
    line.same(&query_bytes(b"SET client_encoding TO GBK")).await;
    let hidden = [
        "SELECT E'中\\' FROM iso_agents --'".as_bytes(),
        "SELECT E'中中\\' FROM iso_agents --'".as_bytes(),
    ];
    for text in hidden {
        line.refused(text).await;
    }
    line.same(&query_bytes(b"SET client_encoding TO SQL_ASCII"))
        .await;
    line.refused(&rename(b"Zo\xeb")).await;
    let renamed = line
        .through(&query_bytes(&rename("Ännchen".as_bytes())))
        .await;
    assert_eq!(
        renamed[0].tag_text(),
        "UPDATE 1",
        "the bytes are the server's own"
    );
    assert_eq!(line.name().await, ["Ännchen", "Ännchen"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nul_within_a_text_ends_the_session_before_anything_runs() {
    let mut line = Line::lay().await;
    let before = line.name().await;
    let text = rename(b"Zo\0e");
    for sent in [
        query_bytes(&text),
        [parse_typed("", &text, &[]), sync()].concat(),
    ] {
        let mut client = RawClient::connect(line.proxy.port, DATABASE).await.unwrap();
        client.send(&sent).await.unwrap();
        let told = client.until_ready().await.unwrap_err().to_string();
        assert!(!told.is_empty());
        let mut direct = RawClient::connect(line._world.postgres.port, DATABASE)
            .await
            .unwrap();
        direct.send(&sent).await.unwrap();
        let answer = direct.until_ready().await.unwrap();
        assert_eq!(sqlstate(&answer), "08P01", "the server minds as well");
    }
    assert_eq!(line.name().await, before);
    line.same(&query_bytes(b"SELECT 'the other session'")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_text_is_rewritten_a_longer_one_or_a_broken_one_is_refused() {
    let mut line = Line::lay().await;
    let long = "ä".repeat(400_000);
    let answer = line.through(&query_bytes(&rename(long.as_bytes()))).await;
    assert_eq!(answer[0].tag_text(), "UPDATE 1", "{:?}", sqlstate(&answer));
    assert!(line.name().await == [long.clone(), long.clone()]);
    let mut broken = rename(long.as_bytes());
    let last = broken.len() - 40;
    broken[last] = 0xff;
    line.refused(&broken).await;
    let longer = rename("ä".repeat(2_000_000).as_bytes());
    assert_eq!(
        sqlstate(&line.through(&query_bytes(&longer)).await),
        "54000"
    );
    let elsewhere = format!("SELECT length('{}')", "ä".repeat(2_000_000));
    line.same(&query_bytes(elsewhere.as_bytes())).await;
    assert!(line.name().await == [long.clone(), long]);
}
