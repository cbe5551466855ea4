//! The refusals: what was found, and what to do about it.

use crate::statement::{Refusal, ServerVersion};

/// `feature_not_supported`
const UNSUPPORTED: &str = "0A000";
/// `object_not_in_prerequisite_state`
const NOT_NOW: &str = "55000";
/// `cannot_connect_now`
const NOT_YET: &str = "57P03";
/// `program_limit_exceeded`
const TOO_LARGE: &str = "54000";
/// `statement_too_complex`
const TOO_COMPLEX: &str = "54001";
/// `invalid_column_reference`
const NO_SUCH_TARGET: &str = "42P10";
const UNDEFINED_OBJECT: &str = "42704";
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

/// The row that a cursor is at, where the cursor runs over another table.
pub(crate) fn current_of(table: &str) -> Refusal {
    let what = "WHERE CURRENT OF once reads are unified";
    unsupported(what, table, "Name the row by its key.")
}

/// A MERGE that would have to take the other side's row along.
pub(crate) fn merge_of_key(table: &str) -> Refusal {
    unsupported(
        "MERGE that updates the key",
        table,
        "Change the key by an UPDATE of its own.",
    )
}

/// An error that PostgreSQL would find itself, in its words.
pub(crate) fn mistake(sqlstate: &'static str, message: String, position: Option<u32>) -> Refusal {
    Refusal {
        position,
        ..refusal(sqlstate, message, "")
    }
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

/// A target of ON CONFLICT that nothing makes unique, in PostgreSQL's words.
pub(crate) fn no_such_target() -> Refusal {
    refusal(
        NO_SUCH_TARGET,
        "there is no unique or exclusion constraint matching the ON CONFLICT specification"
            .to_owned(),
        "If the legacy table has such a constraint, declare it among the `columns` of the rule file: \
         CONSTRAINT name UNIQUE (…).",
    )
}

/// A constraint that the rules do not know, in PostgreSQL's words: it knows none of such a name either, or
/// the rule file lacks it.
pub(crate) fn no_such_constraint(constraint: &str, table: &str) -> Refusal {
    refusal(
        UNDEFINED_OBJECT,
        format!("constraint \"{constraint}\" for table \"{table}\" does not exist"),
        "If the legacy table has it, name it in the rule file under [table.constraints].",
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

/// SQL that would run where no proxy sees it.
pub(crate) fn kept(what: &str, table: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!(
            "{what} names table {table}, which crossfade is migrating, in SQL that runs in the server"
        ),
        "What it reads and writes there is not rewritten: send the statements themselves, or pause the migration (step it back to legacy_only) and give it a counterpart over the unified table.",
    )
}

/// A function that reads or runs what its argument says.
pub(crate) fn text(function: &str, table: &str) -> Refusal {
    unsupported(
        &format!("what {function}() is told to do"),
        table,
        "It reads or runs a text in the server, where nothing is rewritten: send the statement itself.",
    )
}

/// Rights on a table that do not decide who reads it.
pub(crate) fn rights(what: &str, table: &str, unified: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!(
            "{what} names table {table}, which crossfade is migrating: it is read from {unified}, whose rights decide"
        ),
        &format!("Say it of {unified}, and past crossfade of {table} as well."),
    )
}

/// What would refuse rows on one side only.
pub(crate) fn limits(what: &str, table: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!(
            "{what} would limit the rows of table {table}, which crossfade is migrating, on one side only"
        ),
        "Pause the migration first (step it back to legacy_only), or create it on both sides past crossfade.",
    )
}

/// A table whose name is all that is left of it.
pub(crate) fn gone(what: &str, table: &str, unified: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!(
            "{what} names table {table}, which crossfade is migrating and has retired: its rows are in {unified}"
        ),
        &format!("Say it of {unified}, or leave it out."),
    )
}

/// Rules that are not in force, for they are not those of the tables.
pub(crate) fn misfit(migration: &str, table: &str, found: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!(
            "the rules of migration {migration} do not fit the database, so no statement that names table {table} is rewritten: {found}"
        ),
        &format!(
            "`crossfade check {migration}` says what to do; it is looked at again each second."
        ),
    )
}

/// A phase that is not known: the database, which keeps it, could not be asked.
pub(crate) fn epoch_unknown(migration: &str, table: &str) -> Refusal {
    refusal(
        NOT_YET,
        format!(
            "it is not known which phase migration {migration} is in, so no statement that names table {table} is sent: \
             this proxy could not put in force what the database says"
        ),
        "Try again: it is asked each second. The proxy's log says what stands in the way.",
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

/// A table that each tenant has, named where no tenant is in the path.
pub(crate) fn no_tenant(table: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!(
            "each tenant has a table {table}, which crossfade is migrating, and search_path leads to none of them"
        ),
        "SET search_path to the tenant's schema, or write a schema in front of the table's name: the tenant's, or that of the unified table where all rows are meant.",
    )
}

/// A table in a schema that is not among the tenants.
pub(crate) fn unknown_tenant(schema: &str, table: &str) -> Refusal {
    refusal(
        NOT_NOW,
        format!(
            "each tenant has a table {table}, which crossfade is migrating, and schema {schema} is none that is known"
        ),
        "A tenant that was just made is known a moment after the rule file's `tenants` lists it and its tables are there: send the statement again.",
    )
}

/// A write to the table that all tenants share.
pub(crate) fn shared_write(table: &str) -> Refusal {
    refusal(
        UNSUPPORTED,
        format!(
            "crossfade does not rewrite a write to table {table} under its unified name while each tenant's own table has to follow"
        ),
        "Write the tenant's own table: SET search_path to its schema. From unified_only on the unified name may be written.",
    )
}

/// Row security is told of one tenant at a time.
pub(crate) fn two_contexts(table: &str) -> Refusal {
    unsupported(
        "a text over the tables of two tenants, where the rule file names a `context`,",
        table,
        "Send one for each of them: row security is told of one tenant at a time.",
    )
}

/// A name that would mean another thing within what the statement becomes.
pub(crate) fn name_of_ours(name: &str) -> Refusal {
    refusal(
        UNSUPPORTED,
        format!(
            "crossfade does not rewrite a statement with the name {name}: names that begin with cf_ are given by crossfade itself"
        ),
        "Call it otherwise, or, if it is a column's, write its table before it.",
    )
}

/// A statement that runs in another transaction than what tells row security of its tenant.
pub(crate) fn context_apart(table: &str) -> Refusal {
    unsupported(
        "a statement behind COMMIT or ROLLBACK in one text, where the rule file names a `context`,",
        table,
        "Send the statement by itself: row security is told of its tenant in its own transaction.",
    )
}

/// A statement that runs in another transaction than what holds its epoch open.
pub(crate) fn fence_apart(table: &str) -> Refusal {
    unsupported(
        "a statement of this kind behind COMMIT or ROLLBACK in one text",
        table,
        "Send the statement by itself: the phase that it was read in is held in its own transaction.",
    )
}

pub(crate) fn many_tenants(max: usize) -> Refusal {
    refusal(
        TOO_LARGE,
        format!("a statement that names a migrated table names more than {max} tenants"),
        "Send one for each of them.",
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

/// A text under `standard_conforming_strings = off` of which it is not certain where its strings end.
pub(crate) fn strings_not_found() -> Refusal {
    refusal(
        UNSUPPORTED,
        "crossfade cannot tell where the strings of this text end while \
         standard_conforming_strings is off"
            .to_owned(),
        STRINGS_HINT,
    )
}

/// What the rules add to a text would be read otherwise than they were.
pub(crate) fn strings_of_rules() -> Refusal {
    refusal(
        UNSUPPORTED,
        "the rules have a backslash in a plain string, which means something else while \
         standard_conforming_strings is off"
            .to_owned(),
        "Write it as E'…' in the rule file, or SET standard_conforming_strings TO on.",
    )
}

const STRINGS_HINT: &str =
    "Write strings with backslashes as E'…', or SET standard_conforming_strings TO on.";
