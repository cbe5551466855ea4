//! What unqualified names mean is followed in every way in which it can be changed: the same
//! statements straight to a database and through Crossfade, on the oldest and the newest server.

use crossfade_tests::answer::comparable;
use crossfade_tests::raw::{Message, RawClient};
use crossfade_tests::{Proxy, World, newer};
use rewrite_rules::Phase;

pub const SCHEMAS: &str = r"CREATE SCHEMA other;
    CREATE TABLE other.iso_agents (email text, full_name text);
    INSERT INTO other.iso_agents VALUES ('other@example.com', 'Other');
    CREATE SCHEMA doomed_1;
    CREATE TABLE doomed_1.iso_agents AS TABLE other.iso_agents;
    CREATE SCHEMA doomed_2;
    CREATE TABLE doomed_2.iso_agents AS TABLE other.iso_agents;
    GRANT ALL ON SCHEMA other TO PUBLIC;
    GRANT ALL ON other.iso_agents TO PUBLIC;
    DO $$ BEGIN
        IF to_regrole('tenant') IS NULL THEN CREATE ROLE tenant; GRANT tenant TO app; END IF;
    END $$;
    CREATE SCHEMA tenant;
    CREATE TABLE tenant.iso_agents (email text, full_name text);
    GRANT ALL ON SCHEMA tenant TO PUBLIC;
    GRANT ALL ON tenant.iso_agents TO PUBLIC;
    CREATE TABLE notes (id int PRIMARY KEY, msg text);
    INSERT INTO notes VALUES (1, 'one'), (2, 'two');
    GRANT ALL ON notes TO PUBLIC;
    CREATE FUNCTION goes_to(path text) RETURNS text LANGUAGE sql
        AS $$ SELECT set_config('search_path', path, false) $$;
    CREATE FUNCTION stays(path text) RETURNS text LANGUAGE sql SET search_path = other
        AS $$ SELECT current_schema()::text $$;
    CREATE PROCEDURE went_to(path text) LANGUAGE plpgsql
        AS $$ BEGIN PERFORM set_config('search_path', path, false); END $$;
    CREATE FUNCTION goes() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN SET search_path = other; RETURN new; END $$;
    CREATE TABLE moving (a int);
    CREATE TRIGGER goes BEFORE INSERT ON moving FOR EACH ROW EXECUTE FUNCTION goes();
    GRANT ALL ON moving TO PUBLIC";

const READ: &str = "SELECT count(*), min(email) FROM iso_agents";
const WRITE: &str = "UPDATE iso_agents SET full_name = 'changed' WHERE email IN ('other@example.com', 'agent.1@example.com') RETURNING email";

/// Each changes what the name means.
const SPELLINGS: &[&str] = &[
    "SET search_path = other",
    "SET SESSION search_path TO other",
    "SET \"Search_Path\" = other",
    "SET U&\"search\\005fpath\" = other",
    "SET SCHEMA 'other'",
    "SET SESSION SCHEMA 'other'",
    "SET LOCAL SCHEMA 'other'",
    "SELECT set_config('search_path', 'other', false)",
    "SELECT set_config('SEARCH_PATH', 'other', true)",
    "SELECT set_config('search_' || 'path', 'other', false)",
    "SELECT set_config(E'search\\x5fpath', 'other', false)",
    "SELECT set_config(U&'search\\005fpath', 'other', false)",
    "SELECT pg_catalog.\"set_config\" /* is it? */ ('search_path', 'other', false)",
    "SELECT set_config(is_local => false, new_value => 'other', setting_name => 'search_path')",
    "SELECT set_config(name, 'other', false) FROM pg_settings WHERE name = 'search_path'",
    "UPDATE pg_settings SET setting = 'other' WHERE name = 'search_path'",
    "DO $$ BEGIN PERFORM set_config('search_path', 'other', false); END $$",
    "DO $$ BEGIN SET search_path = other; END $$",
    "DO $$ BEGIN EXECUTE 'SET SCHEMA ' || quote_literal('other'); END $$",
    "CALL went_to('other')",
    "CALL public.went_to('other')",
    "SELECT goes_to('other')",
    "SELECT a FROM goes_to('other') AS a",
    "SELECT public . goes_to -- lower\n ('other')",
    "SELECT stays('other')",
    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT goes_to('other')",
    "SET ROLE tenant",
    "SET LOCAL ROLE tenant",
    "SET SESSION AUTHORIZATION tenant",
    "SELECT set_config('role', 'tenant', false)",
    "EXECUTE g('other')",
    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) EXECUTE g('other')",
];

const PREPARED: &str = "PREPARE g AS SELECT set_config('search_path', $1, false)";

/// What is done around each.
const FRAMES: &[&[&str]] = &[
    &[READ, "‹change›", READ, WRITE, "RESET search_path", READ],
    &[READ, "‹change›", READ, "RESET ALL", READ],
    &[
        "‹change›",
        READ,
        "RESET ROLE",
        READ,
        "RESET SESSION AUTHORIZATION",
        READ,
    ],
    &["‹change›", READ, "DISCARD ALL", READ],
    &[READ, "BEGIN", READ, "‹change›", READ, WRITE, "COMMIT", READ],
    &["BEGIN", "‹change›", READ, "ROLLBACK", READ, WRITE],
    &[
        "BEGIN",
        "SAVEPOINT a",
        "‹change›",
        READ,
        "SAVEPOINT b",
        "SET search_path = public",
        READ,
        "ROLLBACK TO b",
        READ,
        "RELEASE b",
        READ,
        "ROLLBACK TO a",
        READ,
        WRITE,
        "COMMIT",
        READ,
    ],
    &[
        "BEGIN",
        "‹change›",
        READ,
        "SELECT 1 / 0",
        READ,
        "ROLLBACK",
        READ,
    ],
];

fn on(server: &str) -> Option<crossfade_testbed::binaries::Binaries> {
    (server == "18").then(newer::postgresql).flatten()
}

async fn world(server: &str) -> anyhow::Result<Option<World>> {
    if server == "18" {
        return match on(server) {
            Some(binaries) => Ok(Some(World::start_filled_from(binaries, 30, SCHEMAS).await?)),
            None => Ok(None),
        };
    }
    Ok(Some(World::start_filled(30, SCHEMAS).await?))
}

/// Two sessions that are told the same.
pub struct Pair {
    pub straight: RawClient,
    pub through: RawClient,
}

impl Pair {
    pub async fn open(
        world: &World,
        proxy: &Proxy,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Pair> {
        let settings = [&[("client_encoding", "UTF8")], settings].concat();
        let port = world.postgres.port;
        Ok(Pair {
            straight: RawClient::connect_with(port, "straight", &settings).await?,
            through: RawClient::connect_with(proxy.port, "moved", &settings).await?,
        })
    }

    pub async fn told(
        &mut self,
        sql: &str,
        simple: bool,
    ) -> anyhow::Result<(Vec<Message>, Vec<Message>)> {
        Ok(if simple {
            (
                self.straight.simple(sql).await?,
                self.through.simple(sql).await?,
            )
        } else {
            (
                self.straight.extended(sql, &[]).await?,
                self.through.extended(sql, &[]).await?,
            )
        })
    }

    /// Both answer alike.
    pub async fn same(&mut self, sql: &str, simple: bool, context: &str) -> anyhow::Result<()> {
        let (expected, got) = self.told(sql, simple).await?;
        let context = format!("{context}, simple {simple}: {sql}\n{got:?}");
        assert_eq!(comparable(&got), comparable(&expected), "{context}");
        Ok(())
    }
}

async fn every_spelling(server: &str, phase: Phase) -> anyhow::Result<()> {
    let Some(world) = world(server).await? else {
        return Ok(());
    };
    world.database("straight").await?;
    let proxy = world.in_phase("moved", phase).await?;
    for spelling in SPELLINGS {
        for simple in [true, false] {
            let mut pair = Pair::open(&world, &proxy, &[]).await?;
            for frame in FRAMES {
                let context = format!("PostgreSQL {server}, {phase}, {spelling}, {frame:?}");
                if spelling.contains("EXECUTE g") {
                    pair.same("DEALLOCATE ALL", simple, &context).await?;
                    pair.same(PREPARED, simple, &context).await?;
                }
                for sql in *frame {
                    let sql = sql.replace("‹change›", spelling);
                    pair.same(&sql, simple, &context).await?;
                }
                for back in [
                    "RESET SESSION AUTHORIZATION",
                    "RESET ROLE",
                    "RESET search_path",
                ] {
                    pair.same(back, simple, &context).await?;
                }
            }
        }
    }
    in_step(&world).await
}

/// What the proxy wrote is on both sides, and nothing else is.
async fn in_step(world: &World) -> anyhow::Result<()> {
    let client = world.postgres.connect("moved").await?;
    let differing = "SELECT count(*) FROM iso_agents i FULL JOIN users u ON u.id = i.id \
        WHERE i.full_name IS DISTINCT FROM u.full_name";
    let differing: i64 = client.query_one(differing, &[]).await?.get(0);
    assert_eq!(differing, 0, "legacy and unified differ");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_followed_in_every_spelling_on_the_oldest_server() -> anyhow::Result<()> {
    every_spelling("15", Phase::DualWrite).await?;
    every_spelling("15", Phase::UnifiedRead).await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_followed_in_every_spelling_on_the_newest_server() -> anyhow::Result<()> {
    every_spelling("18", Phase::UnifiedRead).await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_followed_when_schemas_come_and_go() -> anyhow::Result<()> {
    for server in ["15", "18"] {
        let Some(world) = world(server).await? else {
            continue;
        };
        world.database("straight").await?;
        let proxy = world.in_phase("moved", Phase::UnifiedRead).await?;
        for (simple, doomed) in [(true, "doomed_1"), (false, "doomed_2")] {
            let mut pair = Pair::open(&world, &proxy, &[]).await?;
            let drop = format!("DROP SCHEMA {doomed} CASCADE");
            for sql in [
                "SET search_path = first, public",
                READ,
                "BEGIN",
                "ALTER SCHEMA other RENAME TO first",
                READ,
                WRITE,
                "ROLLBACK",
                READ,
                "ALTER SCHEMA other RENAME TO first",
                READ,
                "ALTER SCHEMA first RENAME TO other",
                READ,
                WRITE,
                &format!("SET search_path = {doomed}, public"),
                READ,
                "BEGIN",
                &drop,
                READ,
                "ROLLBACK",
                READ,
                &drop,
                READ,
                WRITE,
                "SET search_path = \"$user\", public",
                READ,
                "BEGIN",
                "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
                READ,
                "ROLLBACK",
                "SET ROLE tenant",
                READ,
                "RESET ROLE",
                "BEGIN",
                "ALTER SCHEMA tenant RENAME TO nobodys",
                "SET ROLE tenant",
                READ,
                "ROLLBACK",
                READ,
            ] {
                let context = format!("PostgreSQL {server}");
                pair.same(sql, simple, &context).await?;
            }
        }
        in_step(&world).await?;
    }
    Ok(())
}

/// `set_config(search_path, …, false)` by its number.
fn function_call(path: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&2078_u32.to_be_bytes());
    body.extend_from_slice(&1_u16.to_be_bytes());
    body.extend_from_slice(&0_u16.to_be_bytes());
    body.extend_from_slice(&3_u16.to_be_bytes());
    for argument in ["search_path", path, "f"] {
        body.extend_from_slice(&u32::try_from(argument.len()).unwrap_or(0).to_be_bytes());
        body.extend_from_slice(argument.as_bytes());
    }
    body.extend_from_slice(&0_u16.to_be_bytes());
    framed(b'F', &body)
}

pub fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(4);
    [&[tag], length.to_be_bytes().as_slice(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_followed_by_number_and_in_pipelines() -> anyhow::Result<()> {
    for server in ["15", "18"] {
        let Some(world) = world(server).await? else {
            continue;
        };
        world.database("straight").await?;
        let proxy = world.in_phase("moved", Phase::UnifiedRead).await?;
        let mut pair = Pair::open(&world, &proxy, &[]).await?;
        let query = |sql: &str| framed(b'Q', format!("{sql}\0").as_bytes());
        let extended = |sql: &str| {
            [
                framed(b'P', format!("\0{sql}\0\0\0").as_bytes()),
                framed(b'B', b"\0\0\0\0\0\0\0\0"),
                framed(b'E', b"\0\0\0\0\0"),
            ]
            .concat()
        };
        let sync = framed(b'S', b"");
        let local = "SELECT set_config('search_path', 'other', true)";
        let flights: Vec<Vec<Vec<u8>>> = vec![
            vec![query(READ)],
            vec![function_call("other")],
            vec![query(READ)],
            vec![function_call("public"), query(READ), query(WRITE)],
            // What is not told yet.
            vec![query("SET SCHEMA 'other'"), query(READ), query(WRITE)],
            vec![query("RESET search_path"), query(READ)],
            vec![
                extended(local),
                extended(READ),
                extended(WRITE),
                sync.clone(),
                extended(READ),
                extended(WRITE),
                sync.clone(),
            ],
            vec![
                query("BEGIN"),
                query(local),
                query(READ),
                query("COMMIT"),
                query(READ),
            ],
            vec![
                extended("BEGIN"),
                extended(local),
                extended(READ),
                extended("ROLLBACK"),
                extended(READ),
                extended(WRITE),
                sync.clone(),
            ],
            vec![
                query("SELECT goes_to('other')"),
                query(READ),
                query("RESET ALL"),
                query(READ),
            ],
        ];
        for flight in &flights {
            let readies = flight
                .iter()
                .filter(|f| b"QSF".contains(&f[0]) || f.ends_with(&sync));
            let readies = readies.count();
            let sent = flight.concat();
            pair.straight.send(&sent).await?;
            pair.through.send(&sent).await?;
            for number in 0..readies {
                let expected = comparable(&pair.straight.until_ready().await?);
                let got = comparable(&pair.through.until_ready().await?);
                let sent = String::from_utf8_lossy(&sent);
                assert_eq!(got, expected, "PostgreSQL {server}, {number} of {sent}");
            }
        }
        in_step(&world).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_sets_is_told_by_the_newest_server() -> anyhow::Result<()> {
    let Some(world) = world("18").await? else {
        return Ok(());
    };
    world.database("straight").await?;
    let proxy = world.in_phase("moved", Phase::UnifiedRead).await?;
    for simple in [true, false] {
        let mut pair = Pair::open(&world, &proxy, &[]).await?;
        for sql in [
            READ,
            "INSERT INTO moving VALUES (1)",
            READ,
            WRITE,
            "RESET search_path",
            READ,
            "BEGIN",
            "INSERT INTO public.moving VALUES (1)",
            READ,
            "ROLLBACK",
            READ,
            WRITE,
        ] {
            pair.same(sql, simple, "PostgreSQL 18").await?;
        }
    }
    in_step(&world).await
}

/// Operators that answer everything, where the path finds them before PostgreSQL's.
const LYING: &str = r"CREATE SCHEMA lying;
    CREATE FUNCTION lying.yes(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION lying.yes(regclass, regclass) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION lying.yes(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION lying.no(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
    CREATE FUNCTION lying.joined(text, text) RETURNS text LANGUAGE sql AS $$ SELECT pg_catalog.concat(pg_catalog.pg_backend_pid(), ' ttsb') $$;
    CREATE OPERATOR lying.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = lying.yes);
    CREATE OPERATOR lying.= (LEFTARG = regclass, RIGHTARG = regclass, FUNCTION = lying.yes);
    CREATE OPERATOR lying.= (LEFTARG = text, RIGHTARG = text, FUNCTION = lying.no);
    CREATE OPERATOR lying.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = lying.yes);
    CREATE OPERATOR lying.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = lying.joined);
    GRANT ALL ON SCHEMA lying TO PUBLIC;";

#[tokio::test(flavor = "multi_thread")]
async fn operators_of_anybodys_making_do_not_answer_what_a_name_means() -> anyhow::Result<()> {
    let world = World::start_filled(30, &format!("{SCHEMAS}; {LYING}")).await?;
    world.database("straight").await?;
    for phase in [Phase::DualWrite, Phase::UnifiedRead] {
        let database = phase.name();
        let proxy = world.in_phase(database, phase).await?;
        let mut through = RawClient::connect(proxy.port, database).await?;
        let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
        // Where the declared table is meant they may do to the rewritten statement what they do to any.
        for path in [
            "other, lying, pg_catalog",
            "lying, other, pg_catalog, public",
        ] {
            for sql in [
                &format!("SET search_path = {path}"),
                READ,
                "TABLE iso_agents",
            ] {
                let expected = comparable(&straight.simple(sql).await?);
                let got = comparable(&through.simple(sql).await?);
                assert_eq!(got, expected, "{phase}, {path}: {sql}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_what_may_change_it_in_the_same_text_a_name_is_refused() -> anyhow::Result<()> {
    let Some(world) = world("15").await? else {
        return Ok(());
    };
    let proxy = world.in_phase("moved", Phase::UnifiedRead).await?;
    let mut client = RawClient::connect(proxy.port, "moved").await?;
    client.simple(PREPARED).await?;
    client.simple(READ).await?;
    for change in [
        "SET search_path = other",
        "SELECT goes_to('other')",
        "SELECT lower(goes_to('other'))",
        "CALL went_to('other')",
        "EXECUTE g('other')",
        "DO $$ BEGIN PERFORM goes_to('other'); END $$",
        "EXPLAIN ANALYZE SELECT goes_to('other')",
        "CREATE TEMP TABLE iso_agents (email text, full_name text)",
        "SELECT email, full_name INTO TEMP iso_agents FROM other.iso_agents",
    ] {
        let answered = client.simple(&format!("{change}; {WRITE}")).await?;
        let told = answered.iter().find_map(|message| message.field(b'C'));
        assert_eq!(told.as_deref(), Some("0A000"), "{change}: {answered:?}");
    }
    // A temporary table comes before any path.
    client
        .simple("CREATE TEMP TABLE iso_agents (email text, full_name text)")
        .await?;
    client.simple(READ).await?;
    let answered = client
        .simple(&format!("SET search_path = public; {WRITE}"))
        .await?;
    let told = answered.iter().find_map(|message| message.field(b'C'));
    assert_eq!(told.as_deref(), Some("0A000"), "{answered:?}");
    // Unless the path says where: then it does until the path is set.
    client.simple("SET search_path = public, pg_temp").await?;
    let answered = client.simple(WRITE).await?;
    assert!(
        !answered.iter().any(|message| message.tag == b'E'),
        "{answered:?}"
    );
    let answered = client
        .simple(&format!("SET search_path = public; {WRITE}"))
        .await?;
    let told = answered.iter().find_map(|message| message.field(b'C'));
    assert_eq!(told.as_deref(), Some("0A000"), "{answered:?}");
    client.simple("DROP TABLE pg_temp.iso_agents").await?;
    client.simple("RESET search_path").await?;
    // What a transaction has changed its end takes back.
    client
        .simple("BEGIN; SET LOCAL search_path = other")
        .await?;
    client.simple(READ).await?;
    let answered = client.simple(&format!("ROLLBACK; {WRITE}")).await?;
    let told = answered.iter().find_map(|message| message.field(b'C'));
    assert_eq!(told.as_deref(), Some("0A000"), "{answered:?}");
    client.simple("ROLLBACK").await?;
    // Nothing was changed, and nothing is taken back.
    let answered = client
        .simple(&format!("BEGIN; COMMIT; SELECT lower('A'); {WRITE}"))
        .await?;
    assert!(
        !answered.iter().any(|message| message.tag == b'E'),
        "{answered:?}"
    );
    in_step(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_the_unnamed_statement() -> anyhow::Result<()> {
    let Some(world) = world("15").await? else {
        return Ok(());
    };
    world.database("straight").await?;
    for phase in [Phase::DualWrite, Phase::UnifiedRead] {
        let database = phase.name();
        let proxy = world.in_phase(database, phase).await?;
        let mut through = RawClient::connect(proxy.port, database).await?;
        let mut straight = RawClient::connect(world.postgres.port, "straight").await?;
        for query in ["SELECT 1", "SET search_path = other", READ, "", "no SQL"] {
            for text in [READ, "SELECT 2"] {
                for session in [&mut through, &mut straight] {
                    session.prepare("", text).await?;
                }
                let expected = comparable(&straight.run("").await?);
                assert_eq!(
                    comparable(&through.run("").await?),
                    expected,
                    "{phase}, {text}"
                );
                for session in [&mut through, &mut straight] {
                    session.simple(query).await?;
                }
                let answered = through.run("").await?;
                let told = answered.iter().find_map(|message| message.field(b'C'));
                assert_eq!(
                    told.as_deref(),
                    Some("26000"),
                    "{phase}, {query}: {answered:?}"
                );
                assert_eq!(comparable(&answered), comparable(&straight.run("").await?));
            }
        }
    }
    Ok(())
}
