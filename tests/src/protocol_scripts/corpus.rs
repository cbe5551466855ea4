//! The scripts, read from `tests/data/protocol`. Each visits one part of the protocol, in its rarer
//! corners as well.
//!
//! ```text
//! script portals with row limits
//! Parse "" "SELECT n FROM generate_series(1, 7) n"
//! Bind "p" ""
//! Execute "p" 3
//! Sync
//! ```
//!
//! A message stands on a line of its own, under its name in PostgreSQL's documentation and with its
//! fields in their order: strings in `"…"`, values in `'…'`, with `\n`, `\t`, `\0`, `\x7f` and a backslash
//! before whatever else is to be taken as it is. What is left out has the value that it nearly always has.
//!
//! ```text
//! Bind "portal" "statement" formats 1 0 values '\0\0\0\x07' NULL results 1
//! FunctionCall 177 40 2         a number is one of four bytes
//! wait 2 ReadyForQuery          goes on when so many have come
//! wait CopyInResponse           when one has come, whatever else comes
//! wait end                      the server closes by itself; else the script ends with Terminate
//! Startup 3.2 "user" "nobody"   in place of the usual startup packet; the last one of a name counts
//! Extended "SELECT 1"           Parse, Describe, Bind, Describe and Execute of the unnamed statement
//! 100 x Extended "SELECT 1"     so many of the message; of a value likewise: 1000 x '1'
//! Message F "…"                 a body that no rule makes
//! "… {2..4:+$#}"                for +$2+$3+$4
//! # …                           a comment, to the end of the line
//! ```

use crossfade_testbed::SUPERUSER;

use super::fields::{Fields, utf8};
use super::messages::*;
use super::{Script, Turn, Until};

/// What the scripts need in their database.
pub const FIXTURE: &str = include_str!("../../data/protocol/fixture.sql");

pub const V3_0: u32 = 3 << 16;
pub const V3_2: u32 = 3 << 16 | 2;

const FILES: [&str; 13] = [
    include_str!("../../data/protocol/simple.txt"),
    include_str!("../../data/protocol/order.txt"),
    include_str!("../../data/protocol/statements.txt"),
    include_str!("../../data/protocol/portals.txt"),
    include_str!("../../data/protocol/errors.txt"),
    include_str!("../../data/protocol/values.txt"),
    include_str!("../../data/protocol/copy_in.txt"),
    include_str!("../../data/protocol/copy_out.txt"),
    include_str!("../../data/protocol/functions.txt"),
    include_str!("../../data/protocol/beside_the_answers.txt"),
    include_str!("../../data/protocol/encodings.txt"),
    include_str!("../../data/protocol/startups.txt"),
    include_str!("../../data/protocol/endings.txt"),
];

/// All scripts, for a database that holds the fixture.
///
/// # Panics
/// If a line of theirs cannot be read.
#[must_use]
pub fn corpus(database: &str) -> Vec<Script> {
    let mut all = Vec::new();
    for file in FILES {
        read(file, database, &mut all);
    }
    all
}

/// The scripts of one file, for a database that holds what they need.
///
/// # Panics
/// If a line of theirs cannot be read.
#[must_use]
pub fn scripts(file: &'static str, database: &str) -> Vec<Script> {
    let mut all = Vec::new();
    read(file, database, &mut all);
    all
}

fn read(file: &'static str, database: &str, all: &mut Vec<Script>) {
    // What stands before the first script tells about all of them.
    let mut scripts = file.split("\nscript ").skip(1);
    all.extend(scripts.by_ref().map(|script| {
        let (name, lines) = script.split_once('\n').unwrap_or((script, ""));
        Reader::script(name, lines, database)
    }));
}

/// One script, as far as it has been read.
struct Reader<'a> {
    database: &'a str,
    script: Script,
    /// What is sent in the turn that is being read.
    sent: Vec<u8>,
}

impl Reader<'_> {
    fn script(name: &'static str, lines: &str, database: &str) -> Script {
        let mut reader = Reader {
            database,
            script: Script {
                name,
                startup: startup_with(V3_0, SUPERUSER, database, &[]),
                turns: Vec::new(),
                server_ends: false,
            },
            sent: Vec::new(),
        };
        for line in lines.lines() {
            let mut fields = Fields::of(line);
            if !fields.is_empty() {
                reader.line(&mut fields);
                assert!(fields.is_empty(), "{name}: too much in: {line}");
            }
        }
        if !reader.script.server_ends {
            reader.sent.extend(terminate());
            reader.waits(Until::Closed);
        }
        reader.script
    }

    fn waits(&mut self, until: Until) {
        let sent = std::mem::take(&mut self.sent);
        self.script.turns.push(Turn { sent, until });
    }

    fn line(&mut self, fields: &mut Fields) {
        match fields.word().as_str() {
            "wait" => match fields.word().as_str() {
                "end" => {
                    self.script.server_ends = true;
                    self.waits(Until::Closed);
                }
                "ReadyForQuery" => self.waits(Until::Ready(1)),
                name if name.parse::<usize>().is_ok() => {
                    let count = name.parse().expect("a number");
                    assert_eq!(fields.word(), "ReadyForQuery");
                    self.waits(Until::Ready(count));
                }
                name => self.waits(Until::Comes(tag(name))),
            },
            "Startup" => self.script.startup = startup(fields, self.database),
            count if count.parse::<usize>().is_ok() => {
                let count = count.parse().expect("a number");
                assert_eq!(fields.word(), "x");
                let name = fields.word();
                let message = message(&name, fields);
                self.sent.extend(message.repeat(count));
            }
            name => self.sent.extend(message(name, fields)),
        }
    }
}

/// The type of a message that a script waits for.
fn tag(name: &str) -> u8 {
    match name {
        "ParseComplete" => b'1',
        "BindComplete" => b'2',
        "RowDescription" => b'T',
        "CommandComplete" => b'C',
        "CopyInResponse" => b'G',
        "ErrorResponse" => b'E',
        other => panic!("no script waits for {other} yet"),
    }
}

fn message(name: &str, fields: &mut Fields) -> Vec<u8> {
    match name {
        "Query" => query_bytes(&fields.text()),
        "Parse" => {
            let (name, text) = (fields.name(), fields.text());
            let types: Vec<u32> = fields.numbers();
            parse_typed(&name, &text, &types)
        }
        "Bind" => bound(fields),
        "Describe" => describe(fields.letter(), &fields.name()),
        "Close" => close(fields.letter(), &fields.name()),
        "Execute" => {
            let portal = fields.name();
            execute(&portal, fields.numbers().first().copied().unwrap_or(0))
        }
        "Extended" => extended(&fields.text()),
        "Sync" => sync(),
        "Flush" => flush(),
        "CopyData" => copy_data(&fields.text()),
        "CopyDone" => copy_done(),
        "CopyFail" => copy_fail(&fields.name()),
        "FunctionCall" => {
            let function = fields.number();
            let arguments = fields.arguments();
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            call(function, &arguments)
        }
        "Message" => frame(fields.letter(), &fields.text()),
        other => panic!("no message is called {other}"),
    }
}

fn bound(fields: &mut Fields) -> Vec<u8> {
    let (portal, statement) = (fields.name(), fields.name());
    let (mut formats, mut values, mut results) = (Vec::new(), Vec::new(), vec![0]);
    while !fields.is_empty() {
        match fields.word().as_str() {
            "formats" => formats = fields.numbers(),
            "values" => values = fields.values(),
            "results" => results = fields.numbers(),
            other => panic!("Bind has no {other}"),
        }
    }
    let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
    bind_formats(&portal, &statement, &formats, &values, &results)
}

fn startup(fields: &mut Fields, database: &str) -> Vec<u8> {
    let version = fields.word();
    let (major, minor) = version.split_once('.').expect("major.minor");
    let part = |digits: &str| digits.parse::<u32>().expect("a number");
    let (mut user, mut database) = (SUPERUSER.to_owned(), database.to_owned());
    let mut more = Vec::new();
    while !fields.is_empty() {
        match (fields.name().as_str(), fields.text()) {
            ("user", value) => user = utf8(value),
            ("database", value) => database = utf8(value),
            (name, value) => more.push((name.to_owned(), value)),
        }
    }
    let more: Vec<(&str, &[u8])> = more
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_slice()))
        .collect();
    startup_with(part(major) << 16 | part(minor), &user, &database, &more)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SCRIPTS: usize = 64;

    #[test]
    fn there_are_as_many_scripts_as_ever() {
        let names: BTreeSet<&str> = corpus("x").iter().map(|script| script.name).collect();
        assert_eq!(corpus("x").len(), SCRIPTS);
        assert_eq!(names.len(), SCRIPTS, "each has a name of its own");
    }

    #[test]
    fn a_line_is_the_message_that_it_names() {
        let line = |line: &str| {
            let mut fields = Fields::of(line);
            message(&fields.word(), &mut fields)
        };
        assert_eq!(line("Sync # a word"), sync());
        assert_eq!(
            line("Query \"a \\\"b\\\" 'c'\\n\\xe9\""),
            query_bytes(b"a \"b\" 'c'\n\xe9")
        );
        assert_eq!(
            line("Parse \"s\" \"{1..3:$#,}\" 23 0"),
            parse_typed("s", b"$1,$2,$3,", &[23, 0])
        );
        assert_eq!(line("Bind \"p\" \"s\""), bind("p", "s", &[], 0));
        assert_eq!(
            line("Bind \"\" \"s\" formats 1 values NULL 2 x '\\0' 'x' results"),
            bind_formats(
                "",
                "s",
                &[1],
                &[None, Some(b"\0"), Some(b"\0"), Some(b"x")],
                &[]
            )
        );
        assert_eq!(
            line("FunctionCall 177 'a' 258 ''"),
            call(177, &[b"a", b"\0\0\x01\x02", b""])
        );
    }

    #[test]
    fn what_is_waited_for_ends_a_turn() {
        let mut all = Vec::new();
        read(
            "\nscript a\nSync\nwait 2 ReadyForQuery\nscript b\nFlush\nwait end\n",
            "x",
            &mut all,
        );
        let untils = |script: &Script| script.turns.iter().map(|t| t.until).collect::<Vec<_>>();
        assert_eq!(untils(&all[0]), [Until::Ready(2), Until::Closed]);
        assert_eq!(all[0].turns[1].sent, terminate());
        assert_eq!(untils(&all[1]), [Until::Closed]);
        assert!(all[1].server_ends && !all[0].server_ends);
    }
}
