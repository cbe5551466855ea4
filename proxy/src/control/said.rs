//! What a session of the server says, as `pg_stat_activity` has it, told to operators: without the application's constants,
//! which may be anybody's secrets, and without what Crossfade put before it.

use rewrite_rules::{shape, shape_of_beginning};

/// Longer ones are cut off, in characters.
const SHOWN_MAX: usize = 200;

/// Of `a`, a row of `pg_stat_activity` or none: the text as the server has it, which cuts off what is longer than
/// `track_activity_query_size`. The fence in it is ours, not the client's.
pub const TEXT: &str = "regexp_replace(coalesce(a.query, ''), \
    'WITH cf_fence AS \\(SELECT FROM [^)]+ FOR KEY SHARE\\) (SELECT; )?', '')";

/// The statement without constants and comments, in one line. Of a text that neither PostgreSQL's grammar nor its lexer can
/// read nothing is told but its first word.
#[must_use]
pub fn said(text: &str) -> String {
    // A text of blanks and comments alone has no tokens, which the parser's tokens must have; behind a comment that goes on
    // to the end of its line nothing would be one.
    let shape = match shape(&format!("{text}\n;")) {
        Some(shape) => shape.trim_end_matches([';', '\n', ' ']).to_owned(),
        None => {
            shape_of_beginning(text).map_or_else(|| first_word(text), |words| format!("{words} …"))
        }
    };
    let line = shape.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{} …", line[..end].trim_end()),
        None => line,
    }
}

fn first_word(text: &str) -> String {
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next();
    format!("{} …", word.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn no_constant_is_left_of_a_statement_even_where_it_was_cut() {
        for (text, expected) in [
            ("SELECT 'secret', 5", "SELECT $1, $2"),
            ("SELECT 'secret';", "SELECT $1"),
            ("SELECT 5 -- secr", "SELECT $1"),
            ("SELECT a\n  FROM t", "SELECT a FROM t"),
            ("-- secr", ""),
            ("/* secr */", ""),
            (" ", ""),
            ("", ""),
            ("UPDATE t SET a = 'secr", "UPDATE t SET a = '' …"),
            ("UPDATE t SET a = 'it''s secr", "UPDATE t SET a = '' …"),
            (
                "UPDATE t SET a = 47114711, b = U&'secr",
                "UPDATE t SET a = 1, b = '' …",
            ),
            (
                "UPDATE t SET a = 'secret', \"b",
                "UPDATE t SET a = '', \"b\" …",
            ),
            (
                "UPDATE t SET a = 'secret' /* secr /* secr",
                "UPDATE t SET a = '' …",
            ),
            ("DO $$ BEGIN PERFORM 'secr", "DO '' …"),
            // Who knows where these end.
            ("DO $body$ BEGIN PERFORM 'secr", "DO …"),
            ("UPDATE t SET a = 'it\\'s secret', b = 'secr", "UPDATE …"),
        ] {
            let told = said(text);
            assert!(!told.contains("secr") && !told.contains("4711"), "{told}");
            assert_eq!(told.trim_start_matches(" …"), expected, "{text}");
        }
    }

    #[test]
    fn long_ones_are_cut_off_between_characters() {
        let told = said(&format!("SELECT \"{}\"", "ä".repeat(80)).replace('ä', "äöü"));
        assert!(
            told.ends_with(" …") && told.chars().count() <= 202,
            "{told}"
        );
    }
}
