//! Texts are read as the server reads them: strings with escapes, and characters of other encodings.

use crossfade_tests::World;
use crossfade_tests::answer::comparable;
use crossfade_tests::raw::{Message, RawClient};
use rewrite_rules::Phase;

use crate::meaning::{Pair, SCHEMAS, framed};

/// The issue's attack: what stands behind the first string is SQL to the server.
const TWO: &str = r"UPDATE notes SET msg='it\'' WHERE id=1; UPDATE iso_agents SET full_name=' || ' WHERE email<>' -- '";

const STATEMENTS: &[&str] = &[
    r"UPDATE iso_agents SET full_name = 'O\'Neil' WHERE email = 'agent.1@example.com' RETURNING full_name",
    r"SELECT email, full_name FROM iso_agents WHERE full_name = 'O\'Neil' OR full_name = E'a\'b'",
    r"SELECT count(*), '\\', 'a\tb', '\x41', '\u0041', $$\'$$ FROM iso_agents",
    r"INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('c\'1', 'c\x31@example.com', 'a'
        'b\'' -- it's
        'c') ON CONFLICT (email) DO UPDATE SET full_name = 'again\\' RETURNING full_name, clerk_user_id, email",
    r"SELECT count(*) FROM iso_agents WHERE full_name LIKE '%\\%' AND role = 'iso\_agent'",
    r"SELECT role FROM iso_agents WHERE email = 'c1@example.com' AND role = '\x69so_agent'",
    r"UPDATE notes SET msg = '\'; UPDATE iso_agents SET full_name = ''' WHERE id = 2",
    r"SELECT msg FROM notes ORDER BY id",
    r"SELECT 'é\'', nothing, '\\' FROM iso_agents",
    r"SELECT '\'' FROM FROM iso_agents",
    r"UPDATE iso_agents SET margin_value = '\'x' WHERE email = 'c1@example.com'",
    r"PREPARE s AS UPDATE iso_agents SET full_name = 'p\'' || $1 WHERE email = 'c1@example.com' RETURNING full_name",
    "EXECUTE s('x')",
    "SET standard_conforming_strings TO on",
    "EXECUTE s('y')",
    r"SELECT count(*) FROM iso_agents WHERE full_name = 'O\' || '''Neil'",
    r"SELECT set_config('standard_conforming_strings', 'off', false)",
    "EXECUTE s('z')",
    "DEALLOCATE s",
    "BEGIN",
    "SET LOCAL standard_conforming_strings = on",
    r"SELECT count(*), 'a\' FROM iso_agents",
    "ROLLBACK",
    r"SELECT count(*), 'a\'' FROM iso_agents",
    "SET backslash_quote TO off",
    r"UPDATE iso_agents SET full_name = 'O\'Neil' WHERE email = 'agent.1@example.com'",
    r"UPDATE iso_agents SET full_name = 'O\\Neil' WHERE email = 'agent.1@example.com' RETURNING full_name",
    "SET backslash_quote TO safe_encoding",
    r"DELETE FROM iso_agents WHERE email = 'c\x31@example.com' AND full_name <> '\'' RETURNING full_name",
];

/// Without the warnings of strings, which a rewritten text does not give.
fn without_notices(messages: &[Message]) -> Vec<String> {
    let mut told = comparable(messages);
    told.retain(|line| !line.starts_with("N "));
    told
}

async fn run_in(phase: Phase) -> anyhow::Result<()> {
    let world = World::start_filled(30, SCHEMAS).await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    let superuser = world.postgres.connect("postgres").await?;
    let option: &[(&str, &str)] = &[("options", "-c standard_conforming_strings=off")];
    let setting: &[(&str, &str)] = &[("standard_conforming_strings", "off")];
    for (way, settings) in [
        ("SET", [].as_slice()),
        ("option", option),
        ("packet", setting),
        ("default", &[]),
    ] {
        if way == "default" {
            for database in ["straight", "moved"] {
                let set =
                    format!("ALTER DATABASE {database} SET standard_conforming_strings = off");
                superuser.batch_execute(&set).await?;
            }
        }
        for simple in [true, false] {
            let mut pair = Pair::open(&world, &proxy, settings).await?;
            if way == "SET" {
                pair.same("SET standard_conforming_strings TO off", simple, way)
                    .await?;
            }
            let texts = STATEMENTS.iter().chain(simple.then_some(&TWO));
            for sql in texts.chain([&STATEMENTS[0], &STATEMENTS[7]]) {
                let (expected, got) = pair.told(sql, simple).await?;
                let context = format!(
                    "{phase}, {way}, simple {simple}: {sql}\n{got:?}\n{}",
                    proxy.log()
                );
                assert_eq!(
                    without_notices(&got),
                    without_notices(&expected),
                    "{context}"
                );
            }
            // What goes on as it came warns as it did.
            pair.same(r"SELECT msg, '\'' FROM notes ORDER BY id", simple, way)
                .await?;
        }
        in_step(&world, phase).await?;
    }
    // In a pipeline the server has yet to tell of the setting.
    let mut pair = Pair::open(&world, &proxy, &[]).await?;
    let query = |sql: &str| framed(b'Q', format!("{sql}\0").as_bytes());
    for setting in ["on", "off", "on"] {
        let set = format!("SET standard_conforming_strings = {setting}");
        let sent = [
            query(&set),
            query(TWO),
            query("SELECT msg FROM notes ORDER BY id"),
        ]
        .concat();
        pair.straight.send(&sent).await?;
        pair.through.send(&sent).await?;
        for _ in 0..3 {
            let expected = without_notices(&pair.straight.until_ready().await?);
            let got = without_notices(&pair.through.until_ready().await?);
            assert_eq!(got, expected, "{phase}, {setting}");
        }
    }
    in_step(&world, phase).await
}

/// Both databases have the same agents, on both sides that are written.
async fn in_step(world: &World, phase: Phase) -> anyhow::Result<()> {
    const NAMES: &str = "SELECT string_agg(email || full_name, ',' ORDER BY email) FROM ";
    let straight = world.postgres.connect("straight").await?;
    let moved = world.postgres.connect("moved").await?;
    let expected: String = straight
        .query_one(&format!("{NAMES} iso_agents"), &[])
        .await?
        .get(0);
    let mut sides = vec!["users WHERE role <> 'customer'"];
    if phase != Phase::UnifiedOnly {
        sides.push("iso_agents");
    }
    for side in sides {
        let got: String = moved
            .query_one(&format!("{NAMES} {side}"), &[])
            .await?
            .get(0);
        assert_eq!(got, expected, "{phase}: {side}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_with_escapes_are_read_as_the_server_reads_them_while_both_sides_are_written()
-> anyhow::Result<()> {
    run_in(Phase::DualWrite).await
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_with_escapes_are_read_as_the_server_reads_them_once_unified_is_alone()
-> anyhow::Result<()> {
    run_in(Phase::UnifiedOnly).await
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_that_the_server_converts_never_end_a_string_unseen() -> anyhow::Result<()> {
    let world = World::start_filled(30, SCHEMAS).await?;
    world.database("straight").await?;
    let proxy = world.in_phase("moved", Phase::UnifiedRead).await?;
    // The second byte of each is a backslash, and the server takes the two for a character.
    for (encoding, character) in [
        ("SJIS", b"\x95\x5c"),
        ("BIG5", b"\xa5\x5c"),
        ("GBK", b"\x95\x5c"),
        ("GB18030", b"\x95\x5c"),
        ("UHC", b"\x95\x5c"),
        ("LATIN1", b"\xe9\x5c"),
    ] {
        let settings = [("client_encoding", encoding)];
        let mut pair = Pair {
            straight: RawClient::connect_with(world.postgres.port, "straight", &settings).await?,
            through: RawClient::connect_with(proxy.port, "moved", &settings).await?,
        };
        for sql in [
            "SELECT count(*), min(email) FROM iso_agents",
            r"SELECT count(*), E'\\' FROM iso_agents",
            "UPDATE iso_agents SET full_name = 'ascii' WHERE email = 'agent.1@example.com'",
        ] {
            pair.same(sql, true, encoding).await?;
        }
        let text = [
            b"SELECT E'".as_slice(),
            character,
            b"', email FROM iso_agents WHERE full_name <> '",
            character,
            b"'\0",
        ]
        .concat();
        let query = framed(b'Q', &text);
        pair.through.send(&query).await?;
        let got = comparable(&pair.through.until_ready().await?);
        assert!(got[0].starts_with("E ERROR | 0A000"), "{encoding}: {got:?}");
        // Before the server has told of the encoding.
        let mut session = RawClient::connect(proxy.port, "moved").await?;
        let set = framed(
            b'Q',
            format!("SET client_encoding TO {encoding}\0").as_bytes(),
        );
        session.send(&[set, query].concat()).await?;
        session.until_ready().await?;
        let got = comparable(&session.until_ready().await?);
        assert!(got[0].starts_with("E ERROR | 0A000"), "{encoding}: {got:?}");
    }
    // Nothing is converted: the bytes are what they are.
    let mut pair = Pair::open(&world, &proxy, &[]).await?;
    for sql in [
        "SET client_encoding TO 'SQL_ASCII'",
        "UPDATE iso_agents SET full_name = 'é' WHERE email = 'agent.1@example.com' RETURNING full_name",
    ] {
        pair.same(sql, true, "SQL_ASCII").await?;
    }
    in_step(&world, Phase::UnifiedRead).await
}
