//! The scripts. Each visits one part of the protocol, in its rarer corners as well.

use crossfade::testbed::SUPERUSER;

use super::messages::*;
use super::{Script, Turn, Until};

/// What the scripts need in their database.
pub const FIXTURE: &str = "
    CREATE TABLE fixture (id int PRIMARY KEY, name text NOT NULL, at timestamptz);
    INSERT INTO fixture SELECT n, 'name ' || n, '2020-01-01' FROM generate_series(1, 20) n;
    CREATE TABLE late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE copied (a int, b text);
    CREATE VIEW looked_at AS SELECT 1 AS a;
    CREATE FUNCTION noisy(n int) RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN RAISE NOTICE 'at %', n USING DETAIL = 'more', HINT = 'none'; RETURN n; END $$;
    CREATE PROCEDURE commits() LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO copied VALUES (0, 'x'); COMMIT; DELETE FROM copied; COMMIT; END $$;
";

struct Corpus<'a> {
    database: &'a str,
    all: Vec<Script>,
}

impl Corpus<'_> {
    /// One turn that ends with Terminate.
    fn at_once<const N: usize>(&mut self, name: &'static str, parts: [Vec<u8>; N]) {
        let sent = [parts.concat(), terminate()].concat();
        self.script(name, vec![(sent, Until::Closed)]);
    }

    /// Turns that must wait for each other.
    fn in_turns(&mut self, name: &'static str, mut turns: Vec<(Vec<u8>, Until)>) {
        turns.push((terminate(), Until::Closed));
        self.script(name, turns);
    }

    /// Turns after which the server closes by itself.
    fn ended_by_server(&mut self, name: &'static str, turns: Vec<(Vec<u8>, Until)>) {
        self.script(name, turns);
        if let Some(script) = self.all.last_mut() {
            script.server_ends = true;
        }
    }

    fn script(&mut self, name: &'static str, turns: Vec<(Vec<u8>, Until)>) {
        self.all.push(Script {
            name,
            startup: startup_with(V3_0, SUPERUSER, self.database, &[]),
            turns: turns
                .into_iter()
                .map(|(sent, until)| Turn { sent, until })
                .collect(),
            server_ends: false,
        });
    }

    /// Another startup packet, then one query.
    fn startup(&mut self, name: &'static str, packet: Vec<u8>) {
        self.at_once(name, [query("SHOW application_name")]);
        if let Some(script) = self.all.last_mut() {
            script.startup = packet;
        }
    }
}

pub const V3_0: u32 = 3 << 16;
pub const V3_2: u32 = 3 << 16 | 2;
const INT4: u32 = 23;

/// All scripts, for a database that holds the fixture.
#[must_use]
pub fn corpus(database: &str) -> Vec<Script> {
    let mut corpus = Corpus {
        database,
        all: Vec::new(),
    };
    simple(&mut corpus);
    extended_order(&mut corpus);
    statements(&mut corpus);
    portals(&mut corpus);
    errors(&mut corpus);
    values(&mut corpus);
    copy_in(&mut corpus);
    copy_out(&mut corpus);
    functions(&mut corpus);
    beside_the_answers(&mut corpus);
    encodings(&mut corpus);
    startups(&mut corpus);
    endings(&mut corpus);
    corpus.all
}

fn simple(corpus: &mut Corpus<'_>) {
    corpus.at_once(
        "several statements in one Query",
        [
            query("SELECT 1; SELECT 'two' AS b; ; SELECT; TABLE fixture"),
            query("SELECT 1; SELECT 1/0; SELECT 3"),
            query("BEGIN; SELECT 1; COMMIT; SELECT 2"),
            query("INSERT INTO fixture VALUES (100, 'x'); SELECT 1/0"),
            query("SELECT count(*) FROM fixture"),
        ],
    );
    corpus.at_once(
        "empty queries",
        [
            query(""),
            query(";"),
            query(" -- nothing\n"),
            query("/* nothing */;;"),
            extended(b""),
            sync(),
            extended(b"-- nothing"),
            sync(),
        ],
    );
    corpus.at_once(
        "a transaction that fails and goes on to its end",
        [
            query("BEGIN"),
            query("SAVEPOINT a"),
            query("nonsense"),
            query("SELECT 'not now'"),
            query("ROLLBACK TO a"),
            query("SELECT 'now'"),
            query("SELECT 1/0"),
            query("COMMIT"),
            query("COMMIT"),
        ],
    );
    corpus.at_once(
        "commands of every kind",
        [
            query("EXPLAIN (COSTS OFF) SELECT 1"),
            query("INSERT INTO fixture VALUES (50, 'x'), (51, 'y') RETURNING id"),
            query("UPDATE fixture SET name = name WHERE id > 49"),
            query("DELETE FROM fixture WHERE id > 49 RETURNING *"),
            query("VACUUM fixture"),
            query("CALL commits()"),
            query("SET work_mem TO '5MB'"),
            query("SHOW work_mem"),
            query("CREATE TEMP TABLE t AS SELECT 1 AS a"),
            query("DROP TABLE t, nothing"),
            query("DO $$ BEGIN PERFORM noisy(1); END $$"),
            query("VALUES (1, 'a'), (2, NULL)"),
            query("DISCARD ALL"),
        ],
    );
    corpus.at_once(
        "wide and long results",
        [
            query("SELECT repeat('x', 300000), generate_series(1, 2)"),
            query("SELECT n, md5(n::text) FROM generate_series(1, 5000) n"),
            query("SELECT FROM generate_series(1, 3)"),
            query("SELECT 1 WHERE false"),
        ],
    );
}

fn extended_order(corpus: &mut Corpus<'_>) {
    corpus.at_once(
        "every message of the extended protocol, and a Sync behind each",
        [
            parse("s", "SELECT $1::int + 1"),
            sync(),
            describe('S', "s"),
            sync(),
            bind("", "s", &[Some(b"41")], 0),
            sync(),
            // The portal went with its transaction.
            describe('P', ""),
            sync(),
            execute("", 0),
            sync(),
            close('S', "s"),
            sync(),
            close('P', "none"),
            sync(),
            sync(),
            flush(),
            flush(),
            sync(),
        ],
    );
    for (name, order) in [
        ("Bind before Parse", "BPDES"),
        ("Execute before Bind", "PEBDS"),
        ("Describe before Parse", "DPBES"),
        ("Describe twice, Execute twice", "PDBDDEES"),
        ("Close before Execute", "PBCES"),
        ("Parse after Bind", "PBPDES"),
        ("Sync in every place", "SPSBSDSESCS"),
        ("Flush in every place", "HPHBHDHEHCHSH"),
    ] {
        let messages = order.chars().map(|letter| match letter {
            'P' => parse("", "SELECT id, name FROM fixture WHERE id < 3"),
            'B' => bind("", "", &[], 0),
            'D' => describe('P', ""),
            'E' => execute("", 0),
            'C' => close('P', ""),
            'H' => flush(),
            _ => sync(),
        });
        let all: Vec<u8> = messages.flatten().collect();
        corpus.at_once(name, [all]);
    }
    corpus.in_turns(
        "a Flush brings each answer before the next request",
        vec![
            (
                [parse("", "SELECT 1"), flush()].concat(),
                Until::Comes(b'1'),
            ),
            ([bind("", "", &[], 0), flush()].concat(), Until::Comes(b'2')),
            ([describe('P', ""), flush()].concat(), Until::Comes(b'T')),
            ([execute("", 0), flush()].concat(), Until::Comes(b'C')),
            (sync(), Until::Ready(1)),
        ],
    );
    corpus.at_once(
        "simple and extended in one pipeline",
        [
            extended(b"SELECT 1"),
            query("SELECT 2"),
            extended(b"SELECT 3"),
            sync(),
            query("SELECT 4"),
            extended(b"INSERT INTO copied VALUES (1, 'a')"),
            extended(b"DELETE FROM copied"),
            sync(),
        ],
    );
    corpus.at_once(
        "a hundred statements before one Sync",
        [extended(b"SELECT 1").repeat(100), sync()],
    );
}

fn statements(corpus: &mut Corpus<'_>) {
    corpus.at_once(
        "named and unnamed statements prepared anew",
        [
            parse("s", "SELECT 1"),
            parse("s", "SELECT 2"),
            sync(),
            parse("", "SELECT 3"),
            parse("", "SELECT 4"),
            bind("", "", &[], 0),
            execute("", 0),
            bind("", "s", &[], 0),
            execute("", 0),
            close('S', "s"),
            parse("s", "SELECT 5"),
            bind("", "s", &[], 0),
            execute("", 0),
            sync(),
            // A failed Parse takes the unnamed statement with it.
            parse("", "SELECT 6"),
            sync(),
            parse("", "nonsense"),
            sync(),
            bind("", "", &[], 0),
            sync(),
            // So does a Query.
            parse("", "SELECT 7"),
            query("SELECT 8"),
            bind("", "", &[], 0),
            sync(),
        ],
    );
    corpus.at_once(
        "statements of the protocol and of SQL share their names",
        [
            query("PREPARE a (int) AS SELECT $1 + 1"),
            bind("", "a", &[Some(b"1")], 0),
            execute("", 0),
            describe('S', "a"),
            sync(),
            parse("b", "SELECT $1::text"),
            sync(),
            query("EXECUTE b ('by SQL')"),
            query("DEALLOCATE b"),
            bind("", "b", &[Some(b"x")], 0),
            sync(),
            parse("c", "SELECT 1"),
            sync(),
            query("SELECT name, statement FROM pg_prepared_statements ORDER BY name"),
            query("DEALLOCATE ALL"),
            describe('S', "c"),
            sync(),
            parse("c", "SELECT 2"),
            sync(),
            query("DISCARD ALL"),
            bind("", "c", &[], 0),
            sync(),
        ],
    );
    corpus.at_once(
        "a cached plan whose result changes",
        [
            query("CREATE TEMP TABLE t (a int)"),
            parse("s", "SELECT a FROM t"),
            bind("", "s", &[], 0),
            execute("", 0),
            sync(),
            query("ALTER TABLE t ALTER a TYPE text"),
            bind("", "s", &[], 0),
            execute("", 0),
            sync(),
        ],
    );
}

fn portals(corpus: &mut Corpus<'_>) {
    let series = "SELECT n FROM generate_series(1, 7) n";
    corpus.at_once(
        "portals with row limits",
        [
            parse("", series),
            bind("p", "", &[], 0),
            execute("p", 3),
            execute("p", 3),
            execute("p", 3),
            execute("p", 3),
            bind("", "", &[], 0),
            execute("", 7),
            execute("", 7),
            bind("", "", &[], 0),
            execute("", 2),
            bind("", "", &[], 1),
            execute("", 2),
            sync(),
            execute("p", 0),
            sync(),
        ],
    );
    corpus.at_once(
        "two portals read by turns in a transaction",
        [
            query("BEGIN"),
            parse("s", series),
            bind("p", "s", &[], 0),
            bind("q", "s", &[], 1),
            bind("p", "s", &[], 0),
            sync(),
            query("ROLLBACK; BEGIN"),
            bind("p", "s", &[], 0),
            bind("q", "s", &[], 1),
            execute("p", 2),
            execute("q", 3),
            sync(),
            execute("p", 2),
            execute("q", 0),
            describe('P', "p"),
            close('P', "p"),
            execute("p", 2),
            sync(),
            query("COMMIT"),
        ],
    );
    corpus.at_once(
        "SQL's cursors are portals",
        [
            query("BEGIN"),
            query("DECLARE c SCROLL CURSOR FOR SELECT id, name FROM fixture ORDER BY id"),
            describe('P', "c"),
            execute("c", 2),
            sync(),
            query("FETCH 2 FROM c; FETCH BACKWARD 1 FROM c; MOVE 3 IN c"),
            parse("", "FETCH 2 FROM c"),
            bind("", "", &[], 0),
            execute("", 1),
            execute("", 0),
            sync(),
            query("CLOSE c; COMMIT"),
            query("DECLARE h CURSOR WITH HOLD FOR SELECT 1; FETCH h; CLOSE h"),
        ],
    );
    corpus.at_once(
        "row limits on statements without rows, and on those that write",
        [
            parse(
                "",
                "INSERT INTO copied SELECT n FROM generate_series(1, 5) n RETURNING a",
            ),
            bind("p", "", &[], 0),
            execute("p", 2),
            execute("p", 0),
            parse("", "DELETE FROM copied"),
            bind("p2", "", &[], 0),
            execute("p2", 1),
            execute("p2", 1),
            sync(),
        ],
    );
}

fn errors(corpus: &mut Corpus<'_>) {
    for (name, failing) in [
        ("an error in Parse", parse("", "SELECT nothing")),
        (
            "an error in Bind",
            [
                parse("", "SELECT $1::int"),
                bind("", "", &[Some(b"no number")], 0),
            ]
            .concat(),
        ),
        (
            "an error in Execute",
            [
                parse("", "SELECT 1/(3-n) FROM generate_series(1, 9) n"),
                bind("", "", &[], 0),
                execute("", 0),
            ]
            .concat(),
        ),
        ("an error in Describe", describe('S', "nothing")),
    ] {
        corpus.at_once(
            name,
            [
                extended(b"SELECT 'before'"),
                failing,
                extended(b"SELECT 'skipped'"),
                query("SELECT 'skipped too'"),
                call(960, &[]),
                close('S', ""),
                flush(),
                sync(),
                extended(b"SELECT 'after'"),
                sync(),
            ],
        );
    }
    corpus.at_once(
        "extended messages in a failed transaction",
        [
            query("BEGIN; SELECT 1/0"),
            extended(b"SELECT 1"),
            sync(),
            parse("", "ROLLBACK"),
            bind("", "", &[], 0),
            execute("", 0),
            sync(),
            extended(b"SELECT 1"),
            sync(),
        ],
    );
    corpus.at_once(
        "an error that Sync brings",
        [
            extended(b"INSERT INTO late VALUES (1), (1)"),
            extended(b"SELECT 'still'"),
            sync(),
            query("INSERT INTO late VALUES (2), (2)"),
            query("BEGIN; INSERT INTO late VALUES (3), (3)"),
            extended(b"COMMIT"),
            sync(),
            query("SELECT count(*) FROM late"),
        ],
    );
    corpus.at_once(
        "what must not run in a pipeline or a block",
        [
            query("SELECT 1; VACUUM fixture"),
            extended(b"VACUUM fixture"),
            sync(),
            extended(b"SELECT 1; SELECT 2"),
            sync(),
            query("BEGIN; CALL commits()"),
            query("ROLLBACK"),
        ],
    );
    corpus.at_once(
        "a statement that runs into its timeout",
        [
            query("SET statement_timeout TO '20ms'"),
            query("SELECT pg_sleep(600)"),
            extended(b"SELECT pg_sleep(600)"),
            sync(),
            query("RESET statement_timeout; SELECT 1"),
        ],
    );
    corpus.at_once(
        "errors with all their fields",
        [
            query("INSERT INTO fixture VALUES (1, 'again')"),
            query("INSERT INTO fixture VALUES (99, NULL)"),
            query("SELECT 'multi\nline' FROM nowhere"),
            query("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'CF999', MESSAGE = '', DETAIL = 'd', HINT = 'h', COLUMN = 'c', CONSTRAINT = 'n', DATATYPE = 't', TABLE = 'ta', SCHEMA = 's'; END $$"),
            query("SET lc_messages TO 'nowhere'"),
        ],
    );
}

fn values(corpus: &mut Corpus<'_>) {
    let many: Vec<String> = (1..=1000).map(|n| format!("${n}::int")).collect();
    let many = format!("SELECT {}", many.join("+"));
    corpus.at_once(
        "formats of parameters and results",
        [
            parse_typed("s", b"SELECT $1, $2::text, $3::bytea", &[INT4]),
            describe('S', "s"),
            bind_formats(
                "",
                "s",
                &[1, 0, 1],
                &[Some(&[0, 0, 0, 7]), None, Some(b"\0\xff")],
                &[1, 0, 1],
            ),
            describe('P', ""),
            execute("", 0),
            bind_formats(
                "",
                "s",
                &[1],
                &[Some(&[0, 0, 0, 8]), Some(b""), Some(b"")],
                &[],
            ),
            execute("", 0),
            bind_formats("", "s", &[0], &[None, None, None], &[0]),
            execute("", 0),
            sync(),
            // Too few values; too few formats; a format that does not exist; bytes that do not fit.
            bind("", "s", &[Some(b"1")], 0),
            sync(),
            bind_formats("", "s", &[0, 0], &[None, None, None], &[0]),
            sync(),
            bind_formats("", "s", &[7], &[None, None, Some(b"")], &[0]),
            sync(),
            bind_formats("", "s", &[1], &[Some(b"long"), None, None], &[1, 1]),
            sync(),
        ],
    );
    let value: Option<&[u8]> = Some(b"1");
    corpus.at_once(
        "a thousand parameters",
        [
            parse("", &many),
            describe('S', ""),
            bind("", "", &vec![value; 1000], 0),
            execute("", 0),
            sync(),
        ],
    );
    corpus.at_once(
        "types that are declared, inferred and unknown",
        [
            parse_typed("", b"SELECT $1 + $2", &[INT4, 0]),
            describe('S', ""),
            parse("", "SELECT $1"),
            describe('S', ""),
            parse_typed("", b"SELECT $1", &[4_000_000_000]),
            sync(),
            parse("", "INSERT INTO fixture VALUES ($1, $2, $3)"),
            describe('S', ""),
            parse("", "SELECT $2::int"),
            sync(),
        ],
    );
}

fn copy_in(corpus: &mut Corpus<'_>) {
    corpus.at_once(
        "COPY in by the simple protocol",
        [
            query("BEGIN"),
            query("COPY copied FROM STDIN"),
            copy_data(b"1\tone\n2\t"),
            copy_data(b"two\n"),
            copy_data(b""),
            sync(),
            flush(),
            copy_data(b"3\t\\N\n"),
            copy_done(),
            query("COPY copied FROM STDIN (FORMAT csv); SELECT 'between'; COPY copied FROM STDIN"),
            copy_data(b"4,\"four, quoted\"\n"),
            copy_done(),
            copy_data(b"5\tfive\n"),
            copy_done(),
            query("COPY copied FROM STDIN"),
            copy_done(),
            query("TABLE copied"),
            query("ROLLBACK"),
        ],
    );
    corpus.at_once(
        "COPY in that fails, on either side",
        [
            query("COPY copied FROM STDIN"),
            copy_data(b"1\tone\n"),
            copy_fail("enough"),
            query("SELECT 'between'"),
            query("COPY copied FROM STDIN"),
            copy_data(b"wrong\n"),
            copy_data(b"ignored\n"),
            copy_done(),
            query("COPY copied FROM STDIN; SELECT 'never'"),
            copy_data(b"1\tone\ttoo many\n"),
            copy_fail("ignored"),
            query("COPY nothing FROM STDIN"),
            copy_data(b"ignored\n"),
            copy_done(),
            query("SELECT count(*) FROM copied"),
        ],
    );
    let start = || extended(b"COPY copied FROM STDIN");
    corpus.in_turns(
        "COPY in by the extended protocol",
        vec![
            (query("BEGIN"), Until::Ready(1)),
            ([start(), flush()].concat(), Until::Comes(b'G')),
            (
                [copy_data(b"1\tone\n"), copy_done(), sync()].concat(),
                Until::Ready(1),
            ),
            ([start(), sync()].concat(), Until::Comes(b'G')),
            (
                [copy_data(b"2\ttwo\n"), flush(), sync(), copy_done(), sync()].concat(),
                Until::Ready(1),
            ),
            (query("TABLE copied"), Until::Ready(1)),
            ([start(), flush()].concat(), Until::Comes(b'G')),
            ([copy_fail("enough"), sync()].concat(), Until::Ready(1)),
            (query("ROLLBACK"), Until::Ready(1)),
            ([start(), flush()].concat(), Until::Comes(b'G')),
            (
                [copy_data(b"wrong\n"), flush()].concat(),
                Until::Comes(b'E'),
            ),
            (
                [
                    copy_data(b"ignored\n"),
                    copy_done(),
                    extended(b"SELECT 1"),
                    sync(),
                ]
                .concat(),
                Until::Ready(1),
            ),
            (query("SELECT count(*) FROM copied"), Until::Ready(1)),
        ],
    );
    corpus.at_once(
        "COPY in by the extended protocol, sent blindly",
        [
            start(),
            copy_data(b"1\tone\n"),
            copy_done(),
            extended(b"DELETE FROM copied"),
            sync(),
            start(),
            sync(),
            copy_data(b"2\ttwo\n"),
            copy_done(),
            sync(),
            start(),
            copy_fail("enough"),
            extended(b"SELECT 'skipped'"),
            sync(),
            extended(b"COPY nothing FROM STDIN"),
            copy_data(b"ignored\n"),
            copy_done(),
            sync(),
            query("DELETE FROM copied"),
        ],
    );
    let start = || extended(b"COPY looked_at FROM STDIN");
    corpus.in_turns(
        "COPY in that fails before it reads",
        vec![
            ([start(), sync()].concat(), Until::Ready(1)),
            ([copy_fail("late"), sync()].concat(), Until::Ready(1)),
            (
                [start(), sync(), copy_data(b"1\n"), copy_done(), sync()].concat(),
                Until::Ready(2),
            ),
            (query("COPY looked_at FROM STDIN"), Until::Ready(1)),
        ],
    );
    corpus.ended_by_server(
        "a Query while the server reads COPY data",
        vec![
            (query("COPY copied FROM STDIN"), Until::Comes(b'G')),
            (query("SELECT 1"), Until::Closed),
        ],
    );
}

fn copy_out(corpus: &mut Corpus<'_>) {
    corpus.at_once(
        "COPY out in every format and protocol",
        [
            query("COPY fixture TO STDOUT"),
            query("COPY (SELECT id, name FROM fixture) TO STDOUT (FORMAT csv, HEADER)"),
            query("COPY fixture (id) TO STDOUT (FORMAT binary); SELECT 'after'"),
            extended(b"COPY fixture (id) TO STDOUT"),
            extended(b"SELECT 'after'"),
            sync(),
            parse("", "COPY fixture (id) TO STDOUT"),
            bind("", "", &[], 0),
            execute("", 2),
            execute("", 2),
            sync(),
            query("COPY (SELECT repeat('x', 100000)) TO STDOUT"),
            query("COPY (SELECT 1 WHERE false) TO STDOUT"),
        ],
    );
    let failing = "COPY (SELECT 1/(3-n) FROM generate_series(1, 9) n) TO STDOUT";
    corpus.at_once(
        "COPY out that fails in the middle",
        [
            query(failing),
            extended(failing.as_bytes()),
            extended(b"SELECT 'skipped'"),
            sync(),
            query("SELECT 'after'"),
        ],
    );
}

const LO_CREATE: u32 = 715;
const LO_OPEN: u32 = 952;
const LO_CLOSE: u32 = 953;
const LO_READ: u32 = 954;
const LO_WRITE: u32 = 955;
const LO_SEEK: u32 = 956;
const LO_UNLINK: u32 = 964;
const INT4_PLUS: u32 = 177;

fn functions(corpus: &mut Corpus<'_>) {
    let number = |n: i32| n.to_be_bytes();
    let (object, fd) = (number(4242), number(0));
    corpus.at_once(
        "large objects by FunctionCall",
        [
            query("BEGIN"),
            call(LO_CREATE, &[&object]),
            call(LO_OPEN, &[&object, &number(0x0006_0000)]),
            call(LO_WRITE, &[&fd, b"\0all bytes\xff"]),
            call(LO_SEEK, &[&fd, &number(1), &number(0)]),
            call(LO_READ, &[&fd, &number(100)]),
            call(LO_CLOSE, &[&fd]),
            call(LO_UNLINK, &[&object]),
            call(LO_OPEN, &[&object, &number(0x0006_0000)]),
            call(LO_READ, &[&fd, &number(100)]),
            query("ROLLBACK"),
        ],
    );
    let short = frame('F', b"\0\0\0\xb1");
    corpus.at_once(
        "function calls, right and wrong",
        [
            call(INT4_PLUS, &[&number(40), &number(2)]),
            call(INT4_PLUS, &[&number(i32::MAX), &number(1)]),
            call(INT4_PLUS, &[&number(1)]),
            call(4_000_000_000, &[]),
            // NULL for an argument, text for formats.
            frame('F', b"\0\0\0\xb1\0\0\0\x02\0\0\0\x011\xff\xff\xff\xff\0\0"),
            query("BEGIN; SELECT 1/0"),
            call(INT4_PLUS, &[&number(1), &number(1)]),
            query("ROLLBACK"),
            extended(b"SELECT 1"),
            call(INT4_PLUS, &[&number(1), &number(1)]),
            extended(b"SELECT nothing"),
            call(INT4_PLUS, &[&number(2), &number(2)]),
            sync(),
            short,
        ],
    );
}

fn beside_the_answers(corpus: &mut Corpus<'_>) {
    corpus.at_once(
        "notifications",
        [
            query("LISTEN a; LISTEN \"B c\""),
            query("NOTIFY a; NOTIFY \"B c\", 'payload'; NOTIFY nobody"),
            query("BEGIN; NOTIFY a, 'later'"),
            query("SELECT 'in between'"),
            query("COMMIT"),
            extended(b"NOTIFY a, 'extended'"),
            extended(b"SELECT pg_notify('a', repeat('x', 5000))"),
            sync(),
            query("UNLISTEN *; NOTIFY a"),
            query("SELECT 1"),
        ],
    );
    corpus.at_once(
        "notices between rows",
        [
            query("SELECT noisy(id) FROM fixture WHERE id < 4"),
            extended(b"SELECT noisy(1), noisy(2)"),
            sync(),
            query("SET client_min_messages TO debug1"),
            query("SELECT noisy(1)"),
            query("SET client_min_messages TO error"),
            query("SELECT noisy(1)"),
        ],
    );
    corpus.at_once(
        "settings that are reported",
        [
            query("SET TimeZone TO 'Europe/Vienna'; SET DateStyle TO German; SELECT DATE '2020-01-02'"),
            extended(b"SET application_name TO 'other'"),
            extended(b"SELECT 1"),
            sync(),
            query("BEGIN; SET LOCAL IntervalStyle TO iso_8601; ROLLBACK"),
            query("SET ROLE pg_monitor; RESET ROLE; SET search_path TO pg_catalog; SHOW search_path"),
            query("SELECT set_config('search_path', 'public', false)"),
            query("RESET ALL"),
        ],
    );
}

fn encodings(corpus: &mut Corpus<'_>) {
    corpus.at_once(
        "bytes that are not UTF-8",
        [
            query_bytes(b"SELECT '\xe9'"),
            query("SET client_encoding TO LATIN1"),
            query_bytes(b"SELECT '\xe9' AS \"\xfc\", length('\xe9')"),
            query_bytes(b"SELECT '\xe9' /* execute, search_path, discard, deallocate */"),
            query_bytes(b"SELECT '\xe9' FROM nowhere_\xe9"),
            parse_typed("s", b"SELECT $1::text || '\xe9'", &[]),
            bind("", "s", &[Some(b"\xe8")], 0),
            execute("", 0),
            sync(),
            query("PREPARE q AS SELECT $1::text"),
            query_bytes(b"EXECUTE q ('\xe9')"),
            query("SELECT U&'\\20AC'"),
            query("COPY copied FROM STDIN"),
            copy_data(b"1\t\xe9\n"),
            copy_done(),
            query("COPY copied TO STDOUT; DELETE FROM copied"),
            query("SET client_encoding TO SQL_ASCII"),
            query_bytes(b"SELECT '\xe9'"),
            query("SET client_encoding TO SJIS"),
            query_bytes(b"SELECT '\x83\x5c'"),
            query("RESET client_encoding"),
            query("SELECT 'ä'"),
        ],
    );
    corpus.at_once(
        "names of statements and portals in any bytes",
        [
            parse("ä ; \" '", "SELECT 1"),
            bind("\u{1} p", "ä ; \" '", &[], 0),
            execute("\u{1} p", 0),
            describe('S', "ä ; \" '"),
            close('P', "\u{1} p"),
            close('S', "ä ; \" '"),
            sync(),
        ],
    );
}

fn startups(corpus: &mut Corpus<'_>) {
    let database = corpus.database.to_owned();
    let with = |version, more: &[(&str, &[u8])]| startup_with(version, SUPERUSER, &database, more);
    corpus.startup(
        "startup with settings",
        with(
            V3_0,
            &[
                ("application_name", b"named \xc3\xa4"),
                ("client_encoding", b"LATIN1"),
                (
                    "options",
                    b"-c DateStyle=German -c statement_timeout=5min --search-path=public",
                ),
                ("TimeZone", b"Europe/Vienna"),
            ],
        ),
    );
    corpus.startup(
        "startup with an unknown setting",
        with(V3_0, &[("nothing", b"x")]),
    );
    corpus.startup(
        "startup with a wrong value",
        with(V3_0, &[("work_mem", b"x")]),
    );
    corpus.startup(
        "startup for an unknown database",
        startup_with(V3_0, SUPERUSER, "nowhere", &[]),
    );
    corpus.startup(
        "startup for an unknown user",
        startup_with(V3_0, "nobody", &database, &[]),
    );
    corpus.startup(
        "startup without a user",
        startup_with(V3_0, "", &database, &[]),
    );
    corpus.startup("a newer minor version", with(V3_2, &[]));
    corpus.startup(
        "options of a newer protocol",
        with(V3_2, &[("_pq_.something", b"on"), ("_pq_.other", b"1")]),
    );
    corpus.startup("a minor version of the future", with(3 << 16 | 9999, &[]));
    corpus.startup(
        "options of a newer protocol under the old one",
        with(V3_0, &[("_pq_.something", b"on")]),
    );
}

fn endings(corpus: &mut Corpus<'_>) {
    corpus.at_once("a session that only ends", []);
    corpus.at_once(
        "the end in the middle of a transaction and a pipeline",
        [query("BEGIN"), extended(b"SELECT 1")],
    );
    let ending = query("SELECT pg_terminate_backend(pg_backend_pid())");
    corpus.ended_by_server(
        "a session ended by the server",
        vec![
            (query("SELECT 'before'"), Until::Ready(1)),
            (ending, Until::Closed),
        ],
    );
}
