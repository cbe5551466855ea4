//! The refusals: what was found, and what to do about it.

use crate::statement::{Refusal, ServerVersion};

/// `feature_not_supported`
const UNSUPPORTED: &str = "0A000";
/// `object_not_in_prerequisite_state`
const NOT_NOW: &str = "55000";
/// `program_limit_exceeded`
const TOO_LARGE: &str = "54000";
/// `statement_too_complex`
const TOO_COMPLEX: &str = "54001";
/// `syntax_error`
const SYNTAX: &str = "42601";

fn refusal(sqlstate: &'static str, message: String, hint: &str) -> Refusal {
    Refusal {
        sqlstate,
        message,
        hint: hint.to_owned(),
        position: None,
    }
}

/// A construct that is not rewritten.
pub(crate) fn unsupported(what: &str, table: &str, hint: &str) -> Refusal {
    refusal(
        UNSUPPORTED,
        format!("crossfade does not rewrite {what} (table {table} is being migrated)"),
        hint,
    )
}

/// A MERGE on a server whose MERGE does not return what it wrote.
pub(crate) fn merge_needs(needed: ServerVersion, server: ServerVersion, table: &str) -> Refusal {
    let ServerVersion(needed) = needed;
    let server = match server {
        ServerVersion(0) => "this one did not tell its version".to_owned(),
        ServerVersion(version) => format!("this is version {version}"),
    };
    let what = format!(
        "MERGE into a migrated table before PostgreSQL {needed}, whose MERGE tells which rows it \
         wrote: {server}"
    );
    unsupported(&what, table, "Use INSERT … ON CONFLICT, UPDATE and DELETE.")
}

/// A call that is not rewritten.
pub(crate) fn unsupported_call(what: &str, function: &str) -> Refusal {
    refusal(
        UNSUPPORTED,
        format!("crossfade does not rewrite {what} (function {function} is being migrated)"),
        "Give the arguments by their places.",
    )
}

/// A key that changes would have to carry along what only the unified rows hold.
pub(crate) fn key_change(table: &str) -> Refusal {
    unsupported(
        "an UPDATE of the key of a table that is split or merged",
        table,
        "Say in the rule file how its unified rows get another key (`rekey`), or keep keys as they are.",
    )
}

/// DDL and other commands that change what the rules rely on.
pub(crate) fn command(what: &str, table: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!("{what} names table {table}, which crossfade is migrating"),
        "Pause the migration first: step it back to legacy_only, or finish it.",
    )
}

pub(crate) fn unknown_search_path(table: &str) -> Refusal {
    refusal(
        UNSUPPORTED,
        format!(
            "table \"{table}\" is named without its schema after this session changed search_path"
        ),
        "Write the schema in front of the table's name.",
    )
}

pub(crate) fn syntax(message: &str, position: Option<u32>) -> Refusal {
    let hint = "The statement names a migrated table (or an escaped name), so crossfade must be able to parse it.";
    Refusal {
        position,
        ..refusal(SYNTAX, message.to_owned(), hint)
    }
}

pub(crate) fn too_long(bytes: usize, bytes_max: usize) -> Refusal {
    refusal(
        TOO_LARGE,
        format!(
            "a statement that names a migrated table has {bytes} bytes; the limit is {bytes_max}"
        ),
        "Send it in parts, or use COPY.",
    )
}

pub(crate) fn operators_in_a_row() -> Refusal {
    refusal(
        TOO_LARGE,
        "a statement that names a migrated table holds too many signs or beginnings of comments in a row"
            .to_owned(),
        "Put a space between them.",
    )
}

pub(crate) fn too_complex() -> Refusal {
    refusal(
        TOO_COMPLEX,
        "a statement that names a migrated table is too complex to be read".to_owned(),
        "Send it in parts. A list of columns in SET (a, b, …) = … counts once for each value in it: \
         write SET a = …, b = … instead.",
    )
}

/// The rewrite of this statement is wrong: a mistake in the library.
pub(crate) fn not_sql(sql: &str) -> Refusal {
    refusal(
        "XX000",
        "crossfade could not rewrite this statement".to_owned(),
        &format!("This is a mistake in crossfade; please report the statement. It became: {sql}"),
    )
}
