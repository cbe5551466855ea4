//! Whether a text may name a managed table though the name is not spelled in it: in a body or an argument
//! that the server reads as SQL, whose letters stand in escapes or on several lines.
//!
//! ```text
//! DO E'BEGIN UPDATE iso\x5fagents SET … END'
//! SELECT query_to_xml(U&'TABLE iso!005fagents' UESCAPE '!', …)
//! SELECT table_to_xml('iso_'
//!                     'agents', …)
//! ```
//!
//! Not a parser, as it is a look at every text: where a few bytes leave a doubt, the text is read.

use aho_corasick::AhoCorasick;

use crate::meaning::{is_any, word_at};
use crate::text::lexer::{continued, skip_blanks};
use crate::text_functions;

/// What finds such texts.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    functions: AhoCorasick,
}

impl Hidden {
    pub fn new() -> Hidden {
        let functions = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(text_functions::names())
            .expect("a handful of short words is within the automaton's limits");
        Hidden { functions }
    }

    pub fn may_be_in(&self, text: &[u8]) -> bool {
        spells_otherwise(text) && (has_body(text) || self.functions.is_match(text))
    }
}

/// Whether what a string of the text says may be spelled otherwise there.
fn spells_otherwise(text: &[u8]) -> bool {
    if text.contains(&b'\\') {
        return true;
    }
    // Most texts have none of these, and a search for one byte is quick.
    if ![b'&', b'\n', b'\r'].iter().any(|byte| text.contains(byte)) {
        return false;
    }
    let mut quotes = text.iter().enumerate().filter(|(_, byte)| **byte == b'\'');
    quotes.any(|(at, _)| {
        // UESCAPE lets any letter escape.
        text[..at].ends_with(b"&") || continued(text, at + 1).is_some()
    })
}

/// Whether a statement may have a body. Cut at every semicolon, also at those within strings: what
/// stands behind one of these is taken for a statement.
fn has_body(text: &[u8]) -> bool {
    text.split(|byte| *byte == b';').any(|statement| {
        let statement = skip_blanks(statement);
        let word = word_at(statement);
        let makes = || {
            ["function", "procedure"]
                .iter()
                .any(|made| has(statement, made))
        };
        // One without an end is left, which may hold the semicolon.
        is_any(word, &["do"])
            || statement.starts_with(b"/*")
            || is_any(word, &["create"]) && makes()
    })
}

fn has(text: &[u8], word: &str) -> bool {
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hides(text: &str) -> bool {
        Hidden::new().may_be_in(text.as_bytes())
    }

    #[test]
    fn what_the_server_reads_as_sql_may_hide_a_name_in_escapes() {
        for text in [
            "DO E'BEGIN UPDATE iso\\x5fagents SET a = 1; END'",
            "do LANGUAGE plpgsql U&'BEGIN TABLE iso!005fagents; END' UESCAPE '!'",
            "SELECT 1; /* next */ DO 'BEGIN UPDATE iso_'\n'agents SET a = 1; END'",
            "/* a /* b */ */ DO $$ BEGIN PERFORM E'\\x5f'; END $$",
            "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql AS E'TABLE iso\\137agents'",
            "create procedure p() language sql as 'TABLE iso_' -- on\n 'agents'",
            "SELECT Query_To_XML(E'TABLE iso\\u005fagents', true, true, '')",
            "SELECT \"ts_stat\"('TABLE iso_'\r\n'agents')",
        ] {
            assert!(hides(text), "{text}");
        }
    }

    #[test]
    fn other_texts_hide_none() {
        for text in [
            "INSERT INTO notes VALUES (E'iso\\x5fagents') ON CONFLICT DO NOTHING",
            "SELECT 'iso_'\n'agents'",
            "DO $$ BEGIN PERFORM 1; END $$",
            "CREATE TABLE t (a text DEFAULT E'\\x5f')",
            "SELECT query_to_xml('TABLE notes', true, true, '')",
            "INSERT INTO notes VALUES ('a',\n 'b'),\n ('c', 'd')",
        ] {
            assert!(!hides(text), "{text}");
        }
    }
}
