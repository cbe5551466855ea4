//! Errors in the client's own terms: a replaced text's error must read as if the client's text
//! had been run.
//!
//! ```text
//! 42P01, sent in place of a refused text   →  the refusal's own SQLSTATE, message and hint
//! 42703, position in the generated text    →  42703, position in the client's text, or none
//! 42883 function crossfade.put_… missing   →  55000, hint: crossfade prepare
//! 42P01 crossfade_e7_….fence missing       →  40001: the epoch is over that the text was rewritten in
//! ```

use rewrite_rules::{Failure, Named, Reading, Refusal, Rewritten, Verdict, fence};

use super::lane::Act;
use crate::wire::backend::{self, Fields};

const INSUFFICIENT_PRIVILEGE: &[u8] = b"42501";
const INVALID_TEXT: &[u8] = b"22P02";
const READ_ONLY: &[u8] = b"25006";
/// What says in its detail, in whatever language, which row failed: NOT NULL and CHECK.
const SHOW_A_ROW: [&[u8]; 2] = [b"23502", b"23514"];
const SYNTAX_ERROR: &[u8] = b"42601";
/// What names a table that is not there says so, whether its schema is or not.
const FENCED_OFF: [&[u8]; 2] = [b"42P01", b"3F000"];
const UNDEFINED_TABLE: &[u8] = b"42P01";
const UNIQUE_VIOLATION: &[u8] = b"23505";
const UNDEFINED_FUNCTION: &[u8] = b"42883";
/// What a call of a function says when it, its schema or one of its types does not exist.
const MISSING: [&[u8]; 3] = [b"42883", b"3F000", b"42704"];

/// `statement` is the one that failed, of those that were sent.
pub(super) fn error(
    fields: Fields<'_>,
    reading: &Reading,
    statement: usize,
    insert: &mut Vec<u8>,
) -> Act {
    match &reading.verdict {
        Verdict::PassThrough => Act::Forward,
        Verdict::Refused(refusal) => {
            if fields.sqlstate() != UNDEFINED_TABLE {
                // In a failed transaction it is 25P02, as it would have been without us.
                return Act::Forward;
            }
            write_refusal(insert, refusal);
            Act::Drop
        }
        Verdict::Rewritten(rewritten) => {
            if is_not_prepared(fields) {
                backend::write_error(
                    insert,
                    "ERROR",
                    "55000",
                    "Crossfade's functions are not installed in this database",
                    "Run crossfade prepare.",
                );
            } else if is_fenced_off(fields) {
                write_over(insert);
            } else if let Some((failure, message)) = brought_about(fields) {
                backend::write_error(insert, "ERROR", failure.sqlstate(), message, failure.hint());
            } else if let Some(told) =
                mistyped(fields, rewritten).or_else(|| miscounted(fields, rewritten))
            {
                write_refusal(insert, &told);
            } else {
                write_translated(insert, fields, (rewritten, statement));
            }
            Act::Drop
        }
    }
}

/// What a client is told whose statement came in an epoch that is over.
pub(super) fn write_over(out: &mut Vec<u8>) {
    backend::write_error(
        out,
        "ERROR",
        "40001",
        "could not serialize access: the rules that this statement was sent by are not in force any more",
        "The transaction might succeed if retried.",
    );
}

/// What a client is told whose write was sent in one piece and told a part of its answer before it failed: it is sent
/// otherwise from now on.
pub(super) fn write_one_piece_failed(out: &mut Vec<u8>) {
    backend::write_error(
        out,
        "ERROR",
        "40001",
        "could not serialize access: this write could not be done on both sides at once",
        "The transaction might succeed if retried.",
    );
}

/// Whether it may be an error of what the transaction's statements have left to be looked at: of a constraint of the
/// tables that they were rewritten to, or of a function of Crossfade's.
pub(super) fn may_come_behind(fields: Fields<'_>, blamed: &Rewritten) -> bool {
    const OURS: &[u8] = b"crossfade.";
    let context = fields.value(b'W').unwrap_or_default();
    let ours = context.windows(OURS.len()).any(|window| window == OURS);
    let message = fields.value(b'M').and_then(|m| std::str::from_utf8(m).ok());
    let names_them = message.is_some_and(|said| blamed.client_message(said, None) != said);
    ours || names_them && fields.sqlstate().starts_with(b"23") && fields.value(b'n').is_some()
}

/// An error that statements before have caused.
pub(super) fn behind(fields: Fields<'_>, blamed: &Rewritten, insert: &mut Vec<u8>) -> Act {
    write_translated(insert, fields, (blamed, 0));
    Act::Drop
}

fn is_not_prepared(fields: Fields<'_>) -> bool {
    let message = fields.value(b'M').unwrap_or_default();
    let names = |word: &[u8]| message.windows(word.len()).any(|window| window == word);
    MISSING.contains(&fields.sqlstate()) && (names(b"crossfade.") || names(b"\"crossfade\""))
}

/// Whether the database refuses a statement because its epoch is closed.
pub(super) fn is_fenced_off(fields: Fields<'_>) -> bool {
    // In the client's encoding, whose other letters do not matter.
    let message = fields.value(b'M').map(String::from_utf8_lossy);
    FENCED_OFF.contains(&fields.sqlstate()) && message.is_some_and(|m| fence::is_missing(&m))
}

/// What a rewritten statement fails of on purpose.
fn brought_about(fields: Fields<'_>) -> Option<(Failure, &str)> {
    if fields.sqlstate() != INVALID_TEXT {
        return None;
    }
    Failure::of(std::str::from_utf8(fields.value(b'M')?).ok()?)
}

/// A value of another type than its legacy column: its mapping fails first, where PostgreSQL would
/// have told the column.
fn mistyped(fields: Fields<'_>, rewritten: &Rewritten) -> Option<Refusal> {
    if fields.sqlstate() != UNDEFINED_FUNCTION {
        return None;
    }
    let (column, position) = rewritten.mapped_at(sent_position(fields)?)?;
    // In whatever language, the operator stands at the end: `text = user_role`.
    let message = std::str::from_utf8(fields.value(b'M')?).ok()?;
    let (_, operator) = message.rsplit_once(": ")?;
    let (is, wanted) = operator.split_once(" = ")?;
    Some(Refusal {
        sqlstate: "42804",
        message: format!("column \"{column}\" is of type {wanted} but expression is of type {is}"),
        hint: "You will need to rewrite or cast the expression.".to_owned(),
        position: Some(position),
    })
}

/// A query that does not give as many values as it sets columns: where its own columns are counted the
/// server speaks of a UNION.
fn miscounted(fields: Fields<'_>, rewritten: &Rewritten) -> Option<Refusal> {
    if fields.sqlstate() != SYNTAX_ERROR {
        return None;
    }
    let (said, position) = rewritten.counted_at(sent_position(fields)?)?;
    Some(Refusal {
        sqlstate: "42601",
        message: said.to_owned(),
        hint: String::new(),
        position: Some(position),
    })
}

fn sent_position(fields: Fields<'_>) -> Option<u32> {
    std::str::from_utf8(fields.value(b'P')?).ok()?.parse().ok()
}

fn write_refusal(insert: &mut Vec<u8>, refusal: &Refusal) {
    let position = refusal.position.map(|p| p.to_string()).unwrap_or_default();
    let all = [
        (b'S', "ERROR"),
        (b'V', "ERROR"),
        (b'C', refusal.sqlstate),
        (b'M', &refusal.message),
        (b'H', &refusal.hint),
        (b'P', &position),
    ];
    let given = all.into_iter().filter(|(_, value)| !value.is_empty());
    backend::write_fields(
        insert,
        backend::ERROR_RESPONSE,
        given.map(|(code, value)| (code, value.as_bytes())),
    );
}

fn write_translated(
    insert: &mut Vec<u8>,
    fields: Fields<'_>,
    (rewritten, statement): (&Rewritten, usize),
) {
    let position = sent_position(fields).and_then(|at| rewritten.client_position(at));
    let mut translated: Vec<(u8, Vec<u8>)> = Vec::new();
    for (code, value) in fields.iter() {
        let text = std::str::from_utf8(value).ok();
        let named = |kind| text.map(|name| rewritten.client_name(kind, name).as_bytes().to_vec());
        let told = match code {
            b'P' => position.map(|position| position.to_string().into_bytes()),
            // Internal position and query would show text that is not the client's.
            b'p' | b'q' => None,
            b'W' => text.and_then(|text| Some(rewritten.client_context(text)?.into_bytes())),
            b'D' if !is_clients_row(fields, value, rewritten) => None,
            b'D' => text.map(|text| detail(fields, text, rewritten).into_bytes()),
            b'M' => text.map(|text| message(fields, text, (rewritten, statement)).into_bytes()),
            b'H' => text.map(|text| rewritten.client_message(text, position).into_bytes()),
            b's' => named(Named::Schema),
            b't' => named(Named::Table),
            b'c' => named(Named::Column),
            b'n' => named(Named::Constraint),
            _ => Some(value.to_vec()),
        };
        let dropped = matches!(code, b'P' | b'p' | b'q' | b'W' | b'D');
        match told {
            Some(told) => translated.push((code, told)),
            // Not UTF-8: passed as it is.
            None if !dropped => translated.push((code, value.to_vec())),
            None => {}
        }
    }
    let kept = translated
        .iter()
        .map(|(code, value)| (*code, value.as_slice()));
    backend::write_fields(insert, backend::ERROR_RESPONSE, kept);
}

fn message(fields: Fields<'_>, text: &str, (rewritten, statement): (&Rewritten, usize)) -> String {
    let position = sent_position(fields).and_then(|at| rewritten.client_position(at));
    let said = rewritten.client_message(text, position);
    match fields.sqlstate() {
        INSUFFICIENT_PRIVILEGE if said == text => rewritten.client_rights(text),
        READ_ONLY => rewritten.client_command(&said, statement),
        _ => said,
    }
}

fn detail(fields: Fields<'_>, text: &str, rewritten: &Rewritten) -> String {
    let position = sent_position(fields).and_then(|at| rewritten.client_position(at));
    let said = rewritten.client_detail(text, position);
    let constraint = fields.value(b'n').and_then(|n| std::str::from_utf8(n).ok());
    match constraint {
        Some(constraint) if fields.sqlstate() == UNIQUE_VIOLATION => {
            rewritten.client_key(constraint, said)
        }
        Some(_) | None => said,
    }
}

/// Whether a detail shows no row, or one of the table that the client named: the other one's has columns
/// that the client never heard of.
fn is_clients_row(fields: Fields<'_>, detail: &[u8], rewritten: &Rewritten) -> bool {
    if !SHOW_A_ROW.contains(&fields.sqlstate()) || detail.starts_with(b"Key (") {
        return true;
    }
    let table = fields.value(b't').and_then(|t| std::str::from_utf8(t).ok());
    table.is_some_and(|table| rewritten.is_client_table(table))
}
