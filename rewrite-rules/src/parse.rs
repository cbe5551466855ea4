//! The one door to PostgreSQL's parser for texts of clients.

use pg_query::ParserOptions;

use crate::cost;
use crate::refuse;
use crate::statement::Refusal;
use crate::text::lexer::Unfound;
use crate::text::tokens::{self, Token};
use crate::text::tree::Tree;

/// A longer text that names a managed table is refused: reading it would hold a worker thread for longer
/// than other sessions should wait. What a shorter one holds is weighed (see [`cost`]).
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What the lexer may read twice: some hundredths of a second's work.
const PUT_BACK_BYTES_MAX: usize = 1 << 24;

/// The text's tree, or why it is not to be had. The one door to the parser for texts of clients.
pub(crate) fn parse(text: &str) -> Result<(Tree, Vec<Token>), Refusal> {
    let scanned = light(text)?;
    let parsed =
        pg_query::parse(text, ParserOptions::DEFAULT).map_err(|error| unreadable(text, &error))?;
    let scanned = scanned.map_err(|error| unreadable(text, &error))?;
    let tree = Tree::of(&parsed.protobuf).map_err(|error| unreadable(text, &error))?;
    Ok((tree, scanned))
}

/// The trees of a text in which backslashes are escapes, and of the same in which they are not: `None`
/// if neither is SQL, which whoever reads the latter will be told.
pub(crate) fn parse_both(escapes: &str, standard: &str) -> Result<Option<(Tree, Tree)>, Refusal> {
    // What is not even tokens is told by whoever reads it.
    let _scanned = light(standard)?;
    let options = ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
        // It would be written into a pipe that nobody reads meanwhile.
        | ParserOptions::DISABLE_ESCAPE_STRING_WARNING;
    let came = pg_query::parse(escapes, options);
    // In this order: a parse that fails leaves its setting to the thread's scanner, and the next one,
    // come what may, takes it back.
    let made = pg_query::parse(standard, ParserOptions::DEFAULT);
    match (came, made) {
        (Ok(came), Ok(made)) => {
            let came = Tree::of(&came.protobuf);
            let made = Tree::of(&made.protobuf);
            let unreadable = |error| unreadable(standard, &error);
            Ok(Some((came.map_err(unreadable)?, made.map_err(unreadable)?)))
        }
        (Err(_), Err(_)) => Ok(None),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => Err(refuse::strings_not_found()),
    }
}

fn unreadable(text: &str, error: &dyn std::fmt::Display) -> Refusal {
    let message = error.to_string();
    let message = message.trim_start_matches("Invalid statement: ");
    refuse::syntax(message, syntax_position(text, message))
}

/// The tokens of a text, or why these are not to be had; a refusal where parsing it would cost more
/// than one text may.
fn light(text: &str) -> Result<Result<Vec<Token>, Unfound>, Refusal> {
    if let Some(refusal) = too_long(text) {
        return Err(refusal);
    }
    let scanned = tokens::scan(text);
    // What has no tokens is no SQL: the parser stops there too, and says why in its own words.
    let too_heavy = |scanned: &Vec<Token>| cost::weight(text, scanned) > cost::WEIGHT_MAX;
    if scanned.as_ref().is_ok_and(too_heavy) {
        return Err(refuse::too_complex());
    }
    Ok(scanned)
}

/// Why the lexer alone would hold a worker for longer than others should wait, if it would.
fn too_long(text: &str) -> Option<Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        return Some(refuse::too_long(text.len(), TEXT_BYTES_MAX));
    }
    (tokens::put_back_bytes(text) > PUT_BACK_BYTES_MAX).then(refuse::operators_in_a_row)
}

/// Where a syntax error is: pg_query keeps the parser's words and drops its position. The token
/// in question is the first of its text that fails the parse of what ends with it.
fn syntax_position(text: &str, message: &str) -> Option<u32> {
    /// Each candidate costs a parse of the text before it; a client that sends nonsense gets a
    /// position as long as that is cheap (some 0.1 s for each MiB parsed).
    const PARSED_BYTES_MAX: usize = 1 << 20;
    let position = |byte: usize| u32::try_from(text[..byte].chars().count() + 1).ok();
    if message.ends_with("at end of input") {
        return position(text.len());
    }
    let near = message.split_once("at or near \"")?.1.strip_suffix('"')?;
    let scanned = tokens::scan(text).ok()?;
    let named = scanned
        .iter()
        .filter(|token| &text[token.start..token.end] == near);
    let fails = |end: usize| {
        pg_query::parse(&text[..end], ParserOptions::DEFAULT)
            .is_err_and(|error| error.to_string().ends_with(message))
    };
    let mut left = PARSED_BYTES_MAX;
    let mut candidates = named.take_while(|token| {
        let affordable = left.checked_sub(token.end);
        left = affordable.unwrap_or(0);
        affordable.is_some()
    });
    position(candidates.find(|token| fails(token.end))?.start)
}
