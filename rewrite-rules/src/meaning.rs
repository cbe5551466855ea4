//! Whether running a text may change how later ones are read: what unqualified names mean, where
//! strings end, in which encoding the session writes.
//!
//! Not a parser, since a text is read like this before it is known how the server will read it:
//! strings and comments count as if they were code. Where a few bytes leave a doubt, the answer is
//! the one that costs a question to the server, never an answer of its.
//!
//! ```text
//! SELECT lower(a) FROM t WHERE id = $1          →  No
//! COMMIT, ROLLBACK TO s, FETCH c                →  Reverts: only what its transaction has changed
//! SET SCHEMA 'x', DO …, CALL p(), SELECT f()    →  Changes: any function may set anything
//! ```
//!
//! Not seen is what a trigger, a view, a rule, a default, an operator, a cast or a policy calls.

mod known;

use crate::bind::functions;
use crate::namesakes::Namesakes;
use crate::text::lexer::skip_blanks;
use known::{GRAMMAR, HARMLESS, REVERTING};

/// What a text may do to how later ones are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    #[default]
    No,
    /// Takes back what its transaction has changed, or runs on what was begun in it.
    Reverts,
    Changes,
}

/// NAMEDATALEN
const NAME_BYTES_MAX: usize = 64;

/// The settings that decide it.
pub(crate) const SETTINGS: [&str; 6] = [
    "search_path",
    // `"$user"` in the path, and which schemas are seen, go by the role.
    "role",
    "session_authorization",
    "standard_conforming_strings",
    "client_encoding",
    // Shown by a view that can be written: `UPDATE pg_settings SET setting = …`.
    "pg_settings",
];

/// What running this text may do.
pub(crate) fn touch(text: &[u8], namesakes: &Namesakes) -> Touch {
    let text = skip_blanks(text);
    // Cut at every semicolon, also at those within strings and comments: what stands behind one of
    // these is then no statement that is known here.
    let statements = text.split(|byte| *byte == b';').map(of_statement).max();
    let statements = statements.unwrap_or_default();
    if statements == Touch::Changes || has_word_of_doubt(text) || calls_unknown(text, namesakes) {
        return Touch::Changes;
    }
    statements
}

/// Whether running what a body or an argument says, in whatever language, may change it.
pub(crate) fn may_set(text: &str, namesakes: &Namesakes) -> bool {
    const WORDS: [&str; 9] = [
        "search_path",
        "set_config",
        "pg_settings",
        "schema",
        "role",
        "authorization",
        "execute",
        "reset",
        "discard",
    ];
    let lower = text.to_ascii_lowercase();
    let bytes = text.as_bytes();
    WORDS.iter().any(|word| lower.contains(word))
        || has_word_of_doubt(bytes)
        || calls_unknown(bytes, namesakes)
}

/// Whether a function is one of PostgreSQL's that change nothing.
pub(crate) fn is_known_call(schema: Option<&str>, name: &str, namesakes: &Namesakes) -> bool {
    let known = match schema {
        Some(schema) => schema == "pg_catalog",
        None => !namesakes.bear(name),
    };
    known && is_known(name.as_bytes(), &Namesakes::NotAsked)
}

fn of_statement(statement: &[u8]) -> Touch {
    let mut statement = statement.trim_ascii_start();
    // A SELECT may stand in parentheses.
    while let Some(inside) = statement.strip_prefix(b"(") {
        statement = inside.trim_ascii_start();
    }
    let word = word_at(statement);
    if is_any(word, &HARMLESS) || statement.is_empty() {
        return Touch::No;
    }
    if is_any(word, &REVERTING) {
        return Touch::Reverts;
    }
    let setting = statement[word.len()..].trim_ascii_start();
    if is_any(word, &["set"]) && !sets(setting) || is_any(word, &["reset"]) && !resets(setting) {
        return Touch::No;
    }
    Touch::Changes
}

/// `SET [SESSION | LOCAL] name …`
fn sets(mut setting: &[u8]) -> bool {
    let scope = word_at(setting);
    if is_any(scope, &["session", "local"]) {
        setting = setting[scope.len()..].trim_ascii_start();
    }
    // SET SESSION AUTHORIZATION, SET SCHEMA 'x', SET NAMES 'x'.
    const WORDS: [&str; 4] = ["session", "authorization", "schema", "names"];
    let name = word_at(setting);
    name.is_empty() || is_any(name, &WORDS) || is_any(name, &SETTINGS)
}

fn resets(setting: &[u8]) -> bool {
    let name = word_at(setting);
    name.is_empty() || is_any(name, &["all", "session"]) || is_any(name, &SETTINGS)
}

/// Words that count wherever they stand.
fn has_word_of_doubt(text: &[u8]) -> bool {
    let mut at = 0;
    while at < text.len() {
        if !begins_word(text[at]) {
            at += 1;
            continue;
        }
        let word = word_at(&text[at..]);
        let behind = &text[at + word.len()..];
        let doubt = match word.len() {
            // Anything may be spelled behind it.
            1 => is_any(word, &["u"]) && matches!(behind, [b'&', b'"' | b'\'', ..]),
            // EXPLAIN ANALYZE EXECUTE s
            7 => is_any(word, &["execute"]),
            10 => is_any(word, &["set_config"]) && !configures_other(behind),
            11 => is_any(word, &["pg_settings"]),
            _ => false,
        };
        if doubt {
            return true;
        }
        at += word.len();
    }
    false
}

/// `set_config('app.tenant', …)`: a name that is spelled out, and none of those that count.
fn configures_other(behind: &[u8]) -> bool {
    let behind = behind.strip_prefix(b"\"").unwrap_or(behind);
    let Some(name) = behind.trim_ascii_start().strip_prefix(b"(") else {
        return false;
    };
    let Some(name) = name.trim_ascii_start().strip_prefix(b"'") else {
        return false;
    };
    let end = name
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !b"_.".contains(byte));
    let Some((name, rest)) = end.and_then(|end| name.split_at_checked(end)) else {
        return false;
    };
    let rest = rest.strip_prefix(b"'").map(<[u8]>::trim_ascii_start);
    let ends = rest.is_some_and(|rest| rest.starts_with(b",") || rest.starts_with(b"::text"));
    ends && !is_any(name, &SETTINGS)
}

/// Whether a function may be called that is not known to change nothing.
fn calls_unknown(text: &[u8], namesakes: &Namesakes) -> bool {
    let mut parentheses = text.iter().enumerate().filter(|(_, byte)| **byte == b'(');
    parentheses.any(|(at, _)| {
        let before = trim_end(&text[..at]);
        // The end of a comment may stand between a name and its arguments. The line is looked for only
        // where one has ended: a text of thousands of parentheses may be a single line.
        let over_lines = text[before.len()..at].iter().any(is_line_end);
        (over_lines && ends_in_line_comment(before))
            || before.ends_with(b"*/")
            || may_call(before, namesakes)
    })
}

fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn ends_in_line_comment(text: &[u8]) -> bool {
    let line = text.rsplit(is_line_end).next().unwrap_or_default();
    line.windows(2).any(|pair| pair == b"--")
}

/// Whether what ends here is the name of a function that is not known.
fn may_call(text: &[u8], namesakes: &Namesakes) -> bool {
    let Some((name, mut before)) = name_before(text) else {
        return text.ends_with(b"\"");
    };
    let mut schema = None;
    while let Some(rest) = before.strip_suffix(b".") {
        let Some((qualifier, rest)) = name_before(rest) else {
            return true;
        };
        schema = Some(qualifier);
        before = rest;
    }
    let known = match schema {
        Some(schema) => is_any(schema, &["pg_catalog"]) && is_known(name, &Namesakes::NotAsked),
        None => is_known(name, namesakes),
    };
    if known || name.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    // Columns of a table, or of a CTE.
    let (word, _) = name_before(trim_end(before)).unwrap_or_default();
    !is_any(word, &["into", "copy", "with", "recursive", "as"])
}

/// The word or the quoted name that ends a text, and what stands before it.
fn name_before(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = text.strip_suffix(b"\"") {
        let start = quoted.iter().rposition(|byte| *byte == b'"')?;
        return Some((&quoted[start + 1..], &text[..start]));
    }
    let start = text
        .iter()
        .rposition(|byte| !is_of_word(*byte))
        .map_or(0, |before| before + 1);
    (start < text.len()).then(|| (&text[start..], &text[..start]))
}

fn is_known(name: &[u8], namesakes: &Namesakes) -> bool {
    // No name of PostgreSQL's is longer.
    let mut lower = [0_u8; NAME_BYTES_MAX];
    let Some(lower) = lower.get_mut(..name.len()) else {
        return false;
    };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    let word = std::str::from_utf8(lower).unwrap_or_default();
    GRAMMAR.binary_search(&word).is_ok() || functions::is_calm(word) && !namesakes.bear(word)
}

fn trim_end(text: &[u8]) -> &[u8] {
    text.trim_ascii_end()
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_of_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// The word at the beginning.
pub(crate) fn word_at(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !is_of_word(*byte));
    &text[..end.unwrap_or(text.len())]
}

pub(crate) fn is_any(word: &[u8], list: &[&str]) -> bool {
    list.iter()
        .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namesakes::Namesake;

    #[test]
    fn what_is_known_stands_in_its_order() {
        assert!(GRAMMAR.is_sorted());
    }

    #[test]
    fn texts_that_run_what_is_known_change_nothing() {
        for text in [
            "SELECT lower(a), count( * ), coalesce(b, 'x') FROM t WHERE id IN ($1, $2)",
            "-- name: one :one\nselect * from t where (a = $1) and exists (select 1)",
            "/* trace */ INSERT INTO notes (msg) VALUES ($1) ON CONFLICT (id) DO NOTHING",
            "INSERT INTO \"public\".\"notes\" (\"msg\", \"n\") VALUES ($1, now()) RETURNING \"id\"",
            "INSERT INTO s.notes(msg) SELECT pg_catalog.upper($1)",
            "WITH a (x) AS (SELECT 1), b AS MATERIALIZED (SELECT 2) TABLE a",
            "COPY notes (msg) FROM STDIN",
            "SELECT set_config('app.tenant', $1, true)",
            "select \"set_config\" ( 'statement_timeout'::text, '5', false)",
            "SET LOCAL app.tenant = 'x'; SET statement_timeout TO 5; RESET lock_timeout",
            "SET TIME ZONE 'UTC'",
            "BEGIN ISOLATION LEVEL SERIALIZABLE; SAVEPOINT a; RELEASE a",
            "SELECT a::numeric(10, 2), (b)::varchar(5) FROM t ORDER BY (a)",
            "((SELECT 1) UNION (SELECT 2))",
            "DEALLOCATE ALL",
            "",
            ";",
        ] {
            assert_eq!(
                touch(text.as_bytes(), &Namesakes::NotAsked),
                Touch::No,
                "{text}"
            );
        }
    }

    #[test]
    fn the_end_of_a_transaction_takes_back() {
        for text in [
            "COMMIT",
            "rollback to savepoint a",
            "SELECT 1; ABORT;",
            "FETCH ALL FROM c",
            "PREPARE TRANSACTION 'x'",
        ] {
            assert_eq!(
                touch(text.as_bytes(), &Namesakes::NotAsked),
                Touch::Reverts,
                "{text}"
            );
        }
    }

    #[test]
    fn whatever_may_set_what_counts_changes() {
        for text in [
            "SET search_path = other",
            "set local Search_Path to other",
            "SET \"search_path\" = other",
            "SET SCHEMA 'x'",
            "SET SESSION SCHEMA 'x'",
            "SET ROLE x",
            "SET LOCAL ROLE x",
            "SET SESSION AUTHORIZATION x",
            "SET LOCAL SESSION AUTHORIZATION x",
            "SET NAMES 'SJIS'",
            "SET client_encoding = SJIS",
            "SET standard_conforming_strings = off",
            "BEGIN; SET U&\"search\\005fpath\" = x",
            "RESET ALL",
            "RESET SESSION AUTHORIZATION",
            "RESET search_path",
            "DISCARD ALL",
            "SELECT set_config('search_path', 'x', true)",
            "SELECT set_config('search' || '_path', 'x', true)",
            "SELECT set_config($1, 'x', true)",
            "SELECT set_config(E'search\\x5fpath', 'x', true)",
            "SELECT pg_catalog . set_config /* */ ('app.x', 'x', true)",
            "SELECT \"set_config\"('Role', 'x', true)",
            "UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'",
            "DO $$ BEGIN PERFORM 1; END $$",
            "CALL p()",
            "EXECUTE s",
            "EXPLAIN ANALYZE EXECUTE s",
            "SELECT mine(1)",
            "SELECT app.lower(a)",
            "SELECT \"lower it\"(a)",
            "SELECT * FROM mine (1)",
            "SELECT mine -- lower\n(1)",
            "SELECT mine -- lower\r(1)",
            "SELECT mine /* lower */ (1)",
            "SELECT U&\"s\\0065t_config\"('a', 'b', true)",
            "ALTER SCHEMA a RENAME TO b",
            "DROP SCHEMA a CASCADE",
            "ALTER ROLE x SET search_path = y",
            "CREATE TEMP TABLE t (a int)",
            "GRANT USAGE ON SCHEMA a TO b",
            "SELECT 1; SELECT 2; LOAD 'x'",
            "SELECT 'a;b'",
        ] {
            assert_eq!(
                touch(text.as_bytes(), &Namesakes::NotAsked),
                Touch::Changes,
                "{text}"
            );
        }
    }

    #[test]
    fn a_function_that_bears_a_name_of_postgresqls_may_change_anything() {
        let known = Namesakes::known([("lower".to_owned(), Namesake { volatile: false })]);
        for namesakes in [&known, &Namesakes::Unknown] {
            for text in ["SELECT lower(a)", "SELECT LOWER (a)", "SELECT \"lower\"(a)"] {
                assert_eq!(touch(text.as_bytes(), namesakes), Touch::Changes, "{text}");
            }
            let text = "SELECT pg_catalog.lower(a), coalesce(a, 1)";
            assert_eq!(touch(text.as_bytes(), namesakes), Touch::No);
        }
        assert_eq!(touch(b"SELECT upper(a)", &known), Touch::No);
    }
}
