//! Which plain strings of a text have backslashes, and what makes them mean the same under either setting.

use std::ops::Range;

use crate::text::lexer::{LexemeKind, Lexer, Strings, Unfound};

/// Goes before a plain string: the blank keeps it apart from a word before it.
pub(super) const MARK: &str = " E";

/// Where the plain strings stand that have a backslash.
pub(super) fn plain_strings(text: &str, strings: Strings) -> Result<Vec<Range<usize>>, Unfound> {
    let mut found = Vec::new();
    let mut behind_n = None;
    for lexeme in Lexer::new(text, strings) {
        let lexeme = lexeme?;
        let said = &text[lexeme.start..lexeme.end];
        if lexeme.kind == LexemeKind::String && said.contains('\\') {
            // N'…' is a string of another type, which takes no mark.
            if behind_n == Some(lexeme.start) {
                return Err(Unfound::Lost);
            }
            found.push(lexeme.start..lexeme.end);
        }
        behind_n = said.eq_ignore_ascii_case("n").then_some(lexeme.end);
    }
    Ok(found)
}

/// Whether a text, read as standard, has a plain string with a backslash.
pub(super) fn has_standard_escape(text: &str) -> bool {
    text.contains('\\')
        && plain_strings(text, Strings::Standard).map_or(true, |found| !found.is_empty())
}

/// SQL of a rule file's, read as standard, so that it means the same under either setting: in a
/// session's texts, and in functions whose bodies are read when they are called.
pub(crate) fn settled(sql: &str) -> String {
    let mut settled = String::with_capacity(sql.len());
    let mut at = 0;
    for string in plain_strings(sql, Strings::Standard).unwrap_or_default() {
        settled.push_str(&sql[at..string.start]);
        settled.push_str(MARK);
        settled.push_str(&sql[string.clone()].replace('\\', "\\\\"));
        at = string.end;
    }
    settled.push_str(&sql[at..]);
    settled
}
