//! The constants of a text, found without a parse: texts that differ in nothing else can share what
//! was made of one of them.
//!
//! Not every constant is found. What is not stays part of the text's form, so that nothing is
//! shared where it differs; what is found wrongly is no token of PostgreSQL's, which whoever
//! makes something of a form checks once.

use std::ops::Range;

use crate::text::lexer::{Lexeme, LexemeKind, Lexer, Strings};
use crate::text::tokens::ConstantKind;

/// A text with more of them is a bulk load, which comes in as many forms as it has rows.
const CONSTANTS_MAX: usize = 256;

/// The same for long texts.
pub(crate) const TEXT_BYTES_MAX: usize = 16 << 10;

/// Stands in a form for a constant; a text that has it has no form.
pub(crate) const HOLE: char = '\u{1}';

/// A text's constants, in their order.
#[derive(Debug)]
pub(crate) struct Constants {
    pub places: Vec<(Range<usize>, ConstantKind)>,
}

impl Constants {
    /// `None` when there is none, or the text has something of which only PostgreSQL's lexer knows the
    /// end: backslashes, quotes of dollars; or a NUL, with which it is no text to PostgreSQL at all.
    pub fn of(text: &str) -> Option<Constants> {
        if text.len() > TEXT_BYTES_MAX || text.contains([HOLE, '\0']) {
            return None;
        }
        let mut places = Vec::new();
        for lexeme in Lexer::new(text, Strings::Standard) {
            let Lexeme { start, end, kind } = lexeme.ok()?;
            let said = &text[start..end];
            let escapes = said.contains('\\') && kind != LexemeKind::Comment;
            if escapes || kind == LexemeKind::DollarString || said == "$" {
                return None;
            }
            let before = start.checked_sub(1).map(|at| text.as_bytes()[at]);
            let constant = match kind {
                // What looks like comments is read to see whether it costs too much.
                LexemeKind::String if !said.contains("/*") => Some(ConstantKind::String),
                LexemeKind::Number => ConstantKind::of(said),
                _ => None,
            };
            let constant = constant.filter(|_| !before.is_some_and(is_of_name));
            places.extend(constant.map(|class| (start..end, class)));
        }
        (1..=CONSTANTS_MAX)
            .contains(&places.len())
            .then_some(Constants { places })
    }

    /// The text with a hole for each constant, that says which type the constant has.
    pub fn form(&self, text: &str) -> String {
        let mut form = String::with_capacity(text.len());
        let mut at = 0;
        for (range, class) in &self.places {
            form.push_str(&text[at..range.start]);
            form.push(HOLE);
            form.push(match class {
                ConstantKind::String => 's',
                ConstantKind::Int4 => 'i',
                ConstantKind::Int8 => 'b',
                ConstantKind::Numeric => 'n',
            });
            at = range.end;
        }
        form.push_str(&text[at..]);
        form
    }
}

/// What stands right behind may be no constant of its own: `date'…'`, `N'…'`.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.".contains(&byte) || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Option<String> {
        let constants = Constants::of(text)?;
        Some(constants.form(text).replace(HOLE, "?"))
    }

    #[test]
    fn constants_are_found_and_nothing_else() {
        for (text, expected) in [
            ("SELECT 1", "SELECT ?i"),
            ("a = 'it''s' AND b=12345678901", "a = ?s AND b=?b"),
            ("price > 1.50 OR x = -5", "price > ?n OR x = -?i"),
            ("a1 = $1 AND t2.c3 = 4", "a1 = $1 AND t2.c3 = ?i"),
            (
                "\"1 'x'\" = 'y' -- 1 'x\n, 2",
                "\"1 'x'\" = ?s -- 1 'x\n, ?i",
            ),
            ("/* 1 /* ' */ 2 */ 3", "/* 1 /* ' */ 2 */ ?i"),
            ("é1 = 1", "é1 = ?i"),
            ("'/*', 'b'", "'/*', ?s"),
            ("E'a', 1", "E'a', ?i"),
            ("U&'a', x'1F', 1", "U&'a', x'1F', ?i"),
            (
                "1e5, 0x1F, .5, 1., 1_000, 2147483648, 7",
                "1e5, 0x1F, .5, 1., 1_000, 2147483648, ?i",
            ),
        ] {
            assert_eq!(form(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "SELECT a",
            "E'\\'', 1",
            "$$ 1 $$",
            "'open",
            "/* open",
            "1 \u{1}",
            "'a\0', 1",
            "\\ 1",
        ] {
            assert_eq!(form(text), None, "{text}");
        }
    }
}
