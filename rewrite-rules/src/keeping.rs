//! What a text is to whoever keeps statements prepared: whether it may be kept prepared, and whether running it may make
//! what is kept mean something else.
//!
//! Not a parser. Where a few bytes leave a doubt, the answer is the one that costs speed only.
//!
//! ```text
//! SELECT a FROM t WHERE id = $1       →  Fit
//! SELECT * FROM t WHERE id = $1       →  Fit, but its columns may change under it
//! SELECT 'today'::date, BEGIN, SHOW   →  Unfit
//! SELECT f()                          →  Unfit: one plan would do for all executions, with what
//!                                        an IMMUTABLE function said when it was made
//! SET …, DISCARD ALL, CREATE …, DO …  →  Disturbs
//! ```

use crate::text::lexer::{LexemeKind, Lexer, Strings, goes_on, skip_blanks};

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Fit {
        /// The columns of its result are not all spelled out.
        star: bool,
    },
    /// Must be analysed anew each time, and changes nothing for others.
    Unfit,
    Disturbs(Effect),
}

/// What running a text may do to what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes settings or objects that the analysis of other texts depends on.
    Meaning,
    /// As well, or instead, ends or shows prepared statements.
    Statements,
}

/// Statements with a plan, which is what there is to gain.
const PLANNED: [&str; 8] = [
    "select", "insert", "update", "delete", "with", "merge", "values", "table",
];

/// Statements after which every text still means what it meant. Everything else disturbs: a word
/// that is not known here costs speed, never an answer.
const HARMLESS: [&str; 23] = [
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "show",
    "copy",
    "declare",
    "fetch",
    "move",
    "close",
    "lock",
    "notify",
    "listen",
    "unlisten",
    "truncate",
    "analyze",
    "vacuum",
    "checkpoint",
    "reindex",
];

/// Settings that the analysis of a text cannot depend on; so is any name with a dot.
const HARMLESS_SETTINGS: [&str; 6] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "application_name",
    "transaction",
    "constraints",
];

/// Literals that become another constant at each analysis.
const MOMENTS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// Types whose literals become an oid that nothing watches. `regclass` is watched by the server.
const UNWATCHED: [&str; 10] = [
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regtype",
    "regrole",
    "regnamespace",
    "regconfig",
    "regdictionary",
    "regcollation",
];

/// Sets a parameter, under whatever statement it stands.
const SETTER: &[u8] = b"set_config";

/// Anything may be spelled behind it.
const ESCAPED: [&[u8]; 2] = [b"u&\"", b"u&'"];

/// What ends prepared statements, and what shows them: a view and a function begin with the last.
const OF_STATEMENTS: [&[u8]; 3] = [b"deallocate", b"discard", b"pg_prepared_statement"];

/// What a text is; takes time in proportion to its length.
#[must_use]
pub fn class(text: &[u8]) -> Class {
    // A word that stands in a literal costs speed only, as everywhere here.
    if OF_STATEMENTS.iter().any(|word| contains(text, word)) {
        return Class::Disturbs(Effect::Statements);
    }
    if contains(text, SETTER) {
        return Class::Disturbs(Effect::Meaning);
    }
    class_by_key(text)
}

/// The same of what a statement by key was rewritten to: it calls nothing but what rules have put there, and what these set
/// no text's meaning depends on.
#[must_use]
pub fn class_by_key(text: &[u8]) -> Class {
    if ESCAPED.iter().any(|word| contains(text, word)) {
        return Class::Disturbs(Effect::Meaning);
    }
    // Cut at every semicolon, also at those within literals and comments: what stands behind one
    // of these is then no statement that is known here.
    let mut statements = text.split(|byte| *byte == b';').map(skip_to_word);
    let first = statements.next().unwrap_or_default();
    let mut alone = true;
    for other in statements.filter(|statement| !statement.is_empty()) {
        alone = false;
        if disturbs(other) {
            return Class::Disturbs(Effect::Meaning);
        }
    }
    if disturbs(first) {
        return Class::Disturbs(Effect::Meaning);
    }
    if !alone || !is_any(first_word(first), &PLANNED) {
        return Class::Unfit;
    }
    examine(text)
}

fn disturbs(statement: &[u8]) -> bool {
    let word = first_word(statement);
    if word.eq_ignore_ascii_case(b"set") {
        return !sets_harmless(statement);
    }
    if is_any(word, &PLANNED) {
        return selects_into(statement);
    }
    !statement.is_empty() && !is_any(word, &HARMLESS)
}

/// `SET [SESSION | LOCAL] name …`
fn sets_harmless(statement: &[u8]) -> bool {
    let mut rest = skip_blanks(&statement[3..]);
    let scope = first_word(rest);
    if is_any(scope, &["session", "local"]) {
        rest = skip_blanks(&rest[scope.len()..]);
    }
    let name = first_word(rest);
    !name.is_empty() && (rest.get(name.len()) == Some(&b'.') || is_any(name, &HARMLESS_SETTINGS))
}

/// SELECT … INTO makes a table, which other texts may then mean.
fn selects_into(statement: &[u8]) -> bool {
    let mut previous: &[u8] = b"";
    for word in words(statement) {
        if word.eq_ignore_ascii_case(b"into") && !is_any(previous, &["insert", "merge"]) {
            return true;
        }
        previous = word;
    }
    false
}

/// Looks through the one statement for what must not be kept.
fn examine(text: &[u8]) -> Class {
    // Escapes could spell anything. Without a backslash every string ends where it does under either setting.
    if text.contains(&b'\\') {
        return Class::Unfit;
    }
    let mut star = false;
    let mut parameters = false;
    let mut behind_string = false;
    let mut behind_open = false;
    for lexeme in Lexer::of_bytes(text, Strings::Standard) {
        let Ok(lexeme) = lexeme else {
            return Class::Unfit;
        };
        let said = &text[lexeme.start..lexeme.end];
        match lexeme.kind {
            LexemeKind::Comment => continue,
            LexemeKind::DollarString => return Class::Unfit,
            LexemeKind::String | LexemeKind::PrefixedString => {
                let string = &said[usize::from(said[0] != b'\'')..];
                // Two literals with a line's end between them are one: 'to' 'day'.
                let in_parts = behind_string || goes_on(string);
                if in_parts || words(string).any(|word| is_any(word, &MOMENTS)) {
                    return Class::Unfit;
                }
            }
            LexemeKind::Word | LexemeKind::Quoted => {
                let name = said.strip_prefix(b"\"").unwrap_or(said);
                if is_any(name.strip_suffix(b"\"").unwrap_or(name), &UNWATCHED) {
                    return Class::Unfit;
                }
            }
            LexemeKind::Symbol => star |= said == b"*" && !behind_open,
            LexemeKind::Parameter => parameters = true,
            LexemeKind::Number => {}
        }
        behind_string = said.ends_with(b"'");
        behind_open = said == b"(";
    }
    if parameters {
        Class::Fit { star }
    } else {
        Class::Unfit
    }
}

/// A SELECT may stand in parentheses.
fn skip_to_word(mut text: &[u8]) -> &[u8] {
    loop {
        text = skip_blanks(text);
        match text.strip_prefix(b"(") {
            Some(inside) => text = inside,
            None => return text,
        }
    }
}

/// The letters, digits and underscores at the beginning.
fn first_word(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte < 0x80);
    &text[..end.unwrap_or(text.len())]
}

/// Runs of letters, wherever they stand.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
}

fn is_any(word: &[u8], list: &[&str]) -> bool {
    list.iter()
        .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

/// `word` in small letters.
fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: Class, texts: &[&str]) {
        for text in texts {
            assert_eq!(class(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn statements_with_a_plan_are_fit() {
        check(
            Class::Fit { star: false },
            &[
                "SELECT a FROM t WHERE id = $1",
                "-- name: one :one\nselect /* a /* nested */ one */ $1",
                " \t\n(( VALUES (1)) UNION (SELECT $1))",
                "insert into t (a) values ($1) returning id;",
                "WITH x AS (INSERT INTO t VALUES (1)) SELECT $1",
                "MERGE INTO t USING s ON $1 WHEN MATCHED THEN DELETE",
                "SELECT count(*), count( * ), now(), 'it''s', 'known', \"today\" FROM t LIMIT $1",
                "SELECT 'a /* no comment', '-- nor this', 'x'::regclass, $12",
            ],
        );
    }

    #[test]
    fn a_star_leaves_the_columns_open() {
        check(
            Class::Fit { star: true },
            &[
                "SELECT * FROM t LIMIT $1",
                "SELECT t.* FROM t LIMIT $1",
                "INSERT INTO t VALUES ($1) RETURNING *",
                "SELECT $1, * FROM t",
            ],
        );
    }

    #[test]
    fn literals_that_mean_a_moment_are_never_kept() {
        check(
            Class::Unfit,
            &[
                "SELECT $1, 'now'::timestamptz",
                "SELECT $1, ' Today 10:00'::timestamp",
                "SELECT $1, date 'TOMORROW'",
                "SELECT $1, timestamp '_yesterday'",
                "SELECT $1, 'now()'::timestamptz",
                "SELECT $1, 'to'\n'day'::date",
                "SELECT $1, 'to' -- and\n 'day'::date",
                "SELECT $1, E'\\x6eow'::timestamptz",
                "SELECT $1, $$now$$::timestamptz",
                "SELECT $1, $a$now$a$::timestamptz",
                "SELECT $1, \"it's\", 'now'::timestamptz",
                "SELECT $1, 1 -- it's\n, 'now'::timestamptz",
                "SELECT $1, 'text'::regtype",
                "SELECT $1, 'text'::pg_catalog.\"regtype\"",
                "SELECT $1, a$b$'now'::timestamptz /* $b$ */",
                "SELECT $1, 'never closed",
            ],
        );
    }

    #[test]
    fn statements_without_a_plan_are_not_kept_and_do_no_harm() {
        check(
            Class::Unfit,
            &[
                "BEGIN",
                "BEGIN ISOLATION LEVEL SERIALIZABLE; COMMIT;",
                "/* x */ ROLLBACK TO s",
                "SELECT $1; SELECT 2",
                "SELECT 1",
                "SELECT '$1'",
                "SELECT \"$1\" FROM t -- $1",
                "SET LOCAL app.tenant = '7'",
                "SET statement_timeout = 5",
                "SET TRANSACTION READ ONLY",
                "COPY t FROM STDIN",
                "",
                ";",
            ],
        );
    }

    #[test]
    fn whatever_may_change_what_other_texts_mean_disturbs() {
        check(
            Class::Disturbs(Effect::Meaning),
            &[
                "SET TimeZone = 'UTC'",
                "set local datestyle to german",
                "SET SESSION AUTHORIZATION x",
                "SET ROLE x",
                "RESET ALL",
                "BEGIN; SET LOCAL search_path = x",
                "SELECT set_config('TimeZone', $1, true)",
                "select pg_catalog.\"SET_CONFIG\"('a', 'b', true)",
                "SELECT U&\"s\\0065t_config\"('a', 'b', true)",
                "CREATE TEMP TABLE t (a int)",
                "SELECT 1 AS a INTO TEMP t",
                "WITH x AS (SELECT 1) SELECT a INTO t FROM x",
                "ALTER TABLE t ADD b int",
                "DO $$ BEGIN END $$",
                "CALL p()",
                "EXECUTE s",
                "PREPARE s AS SELECT 1",
                "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
                "IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y",
                "SELECT 'a;b'",
            ],
        );
    }

    #[test]
    fn what_ends_or_shows_prepared_statements_is_told_apart() {
        check(
            Class::Disturbs(Effect::Statements),
            &[
                "DISCARD ALL",
                "deallocate x",
                "SELECT 1; DISCARD ALL",
                "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
                "SELECT * FROM pg_prepared_statements",
                "SELECT count(*) FROM PG_Prepared_Statement()",
            ],
        );
    }
}
