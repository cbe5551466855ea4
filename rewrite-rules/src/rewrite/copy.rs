//! COPY of a managed table.
//!
//! ```text
//! COPY iso_agents (email) TO STDOUT CSV
//! COPY (SELECT "email" FROM (read) AS "iso_agents") TO STDOUT CSV
//!
//! COPY iso_agents (email) FROM STDIN CSV
//! DO ‹42501 for whoever may not insert›; CREATE TEMPORARY TABLE cf_copy ("email" text) ON COMMIT DROP;
//! COPY pg_temp.cf_copy (email) FROM STDIN CSV;
//! ‹INSERT INTO iso_agents ("email") SELECT "email" FROM pg_temp.cf_copy, rewritten›;
//! DROP TABLE pg_temp.cf_copy
//! ```
//!
//! COPY FROM cannot return row images, so the rows take the way of an INSERT. The four statements
//! are one Query message and so one transaction: a bad line leaves nothing on either side. Only
//! the INSERT's end is told to the client, as COPY's. Where the client prepares its COPY, that of the
//! staging table is prepared alone, and the session runs the others before and behind its execution.

use super::{ManagedRef, Plan, Scope, read};
use crate::lens::{LegacyColumn, Lens, list, quote_ident, quote_literal};
use crate::refuse;
use crate::rule_set::Side;
use crate::statement::{Answer, Around, IS_GENERATED, Refusal, SearchPath, TagVerb, Verdict};
use crate::text::splice::{Output, Source};

pub(super) fn plan<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    if scope.statement.get("query").exists() {
        return read::plan(scope, refs, source);
    }
    let Some(found) = refs.first() else {
        return Ok(Plan::Unchanged);
    };
    if scope.statement.flag("is_from") {
        return if found.leads().is_some() {
            copy_in(scope, found, source)
        } else {
            Ok(Plan::Unchanged)
        };
    }
    if found.reads_unified() {
        copy_out(scope, found, source)?;
        return Ok(Plan::Edited { compare: None });
    }
    Ok(Plan::Unchanged)
}

/// The columns of the list, or all of the legacy table's; `None` for all of a unified table's,
/// which no rule file declares.
///
/// Columns that are computed are none of COPY's.
fn columns(scope: &Scope<'_>, found: &ManagedRef<'_>) -> Result<Option<Vec<String>>, Refusal> {
    let lens = found.managed.lens;
    let listed = scope.statement.list("attlist");
    let names = listed.iter().map(|name| name.text("sval").to_owned());
    let names: Vec<String> = names.collect();
    let computed = |name: &String| match found.managed.side {
        Side::Legacy => lens.column(name).is_some_and(LegacyColumn::is_computed),
        Side::Unified => false,
    };
    if let Some(name) = names.iter().find(|name| computed(name)) {
        let message = format!("column \"{name}\"{IS_GENERATED}");
        return Err(refuse::mistake("42P10", message, None));
    }
    if !names.is_empty() {
        return Ok(Some(names));
    }
    match found.managed.side {
        Side::Legacy => Ok(Some(written_columns(lens))),
        Side::Unified
            if lens
                .columns
                .iter()
                .any(LegacyColumn::is_computed_in_unified) =>
        {
            Err(refuse::unsupported(
                "COPY without a list of columns into a table with generated ones",
                &found.table_name(),
                "Name the columns.",
            ))
        }
        Side::Unified => Ok(None),
    }
}

/// All of the legacy table's that can be written.
fn written_columns(lens: &Lens) -> Vec<String> {
    let columns = lens.columns.iter().filter(|column| !column.is_computed());
    columns.map(|column| column.name.clone()).collect()
}

fn copy_out<'a>(
    scope: &Scope<'a>,
    found: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<(), Refusal> {
    let mut range = read::reference_range(scope, found)?;
    let tokens = scope.tokens;
    if !scope.statement.list("attlist").is_empty()
        && let Some((_, close)) = tokens.parenthesised(tokens.first_behind(range.end))
    {
        range.end = tokens.tokens[close].end;
    }
    let names = list(
        columns(scope, found)?
            .unwrap_or_default()
            .iter()
            .map(|name| quote_ident(name)),
    );
    let lens = found.managed.lens;
    let read = read::relation(lens, found.managed.migration.phase, &[]).sql;
    let alias = quote_ident(&lens.legacy.name);
    source.edit(
        range,
        format!("(SELECT {} FROM ({read}) AS {alias})", names),
    );
    Ok(())
}

fn copy_in<'a>(
    scope: &Scope<'a>,
    found: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    if scope
        .statement
        .list("options")
        .iter()
        .any(|option| option.text("defname") == "freeze")
    {
        return Err(refuse::unsupported(
            "COPY … FROM with FREEZE",
            &found.table_name(),
            "Leave FREEZE out.",
        ));
    }
    let table = found.managed.table.sql();
    let mut names = columns(scope, found)?;
    if let (Some(names), Side::Legacy) = (&mut names, found.managed.side) {
        // The staging table lacks what the legacy one does not have either, and COPY says so.
        let lens = found.managed.lens;
        if names.iter().any(|name| lens.column(name).is_none()) {
            *names = written_columns(lens);
        }
    }
    let list = names
        .as_ref()
        .map(|names| list(names.iter().map(|name| quote_ident(name))));
    // COPY writes identity columns as they come, whatever they are generated as.
    let identity = |column: &LegacyColumn| column.generated.is_some() && !column.is_computed();
    let overriding = match found.managed.side {
        Side::Legacy if !found.managed.lens.columns.iter().any(identity) => "",
        Side::Legacy | Side::Unified => "OVERRIDING SYSTEM VALUE ",
    };
    let insert = match &list {
        Some(list) => {
            format!("INSERT INTO {table} ({list}) {overriding}SELECT {list} FROM pg_temp.cf_copy")
        }
        None => format!("INSERT INTO {table} {overriding}SELECT * FROM pg_temp.cf_copy"),
    };
    let (insert, answer) = rewritten(scope, &insert)?;

    let create = format!(
        "DO $crossfade$ BEGIN {}CREATE TEMPORARY TABLE cf_copy {}; END $crossfade$",
        unless_denied(found),
        shape(found, names.as_deref(), list.as_deref())
    );
    let drop = "DROP TABLE pg_temp.cf_copy";
    let range = read::reference_range(scope, found)?;
    let extent = scope.tokens.extent();
    let mut prepared = Output::default();
    prepared.client(source, extent.start..range.start);
    prepared.own("pg_temp.cf_copy");
    prepared.client(source, range.end..extent.end);
    let mut output = Output::default();
    output.own(&format!("{create}; "));
    output.append(prepared.clone());
    output.own(&format!("; {insert}; {drop}"));
    let silent = Answer {
        silent: true,
        ..Answer::default()
    };
    let told = Answer {
        tag: Some(TagVerb::Copy),
        later: true,
        ..answer
    };
    Ok(Plan::Staged {
        output,
        prepared,
        table: found.managed.table.name.clone(),
        around: Around {
            before: create,
            after: [insert, drop.to_owned()],
        },
        answers: vec![silent, silent, told, silent],
    })
}

/// Who may not insert is told so before the rows are read, as PostgreSQL does it; by the table that is there.
fn unless_denied(found: &ManagedRef<'_>) -> String {
    let (table, lens) = (found.managed.table, found.managed.lens);
    let mut there = vec![table];
    there.extend(lens.unified_tables().into_iter().take(1));
    let oids = there.iter().map(|table| {
        let name = quote_literal(&table.sql());
        format!("pg_catalog.to_regclass({name})")
    });
    format!(
        "IF NOT pg_catalog.has_any_column_privilege(coalesce({}), 'INSERT') THEN \
         RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = {}; END IF; ",
        list(oids),
        quote_literal(&format!("permission denied for table {}", table.name)),
    )
}

/// The staging table: declared types for a legacy table, which may be gone by now; the table's
/// own for a unified one.
fn shape(found: &ManagedRef<'_>, names: Option<&[String]>, listed: Option<&str>) -> String {
    let lens = found.managed.lens;
    match found.managed.side {
        Side::Legacy => {
            let columns = list(names.unwrap_or_default().iter().map(|name| {
                let sql_type = lens.column(name).map_or("text", |column| &column.sql_type);
                format!("{} {sql_type}", quote_ident(name))
            }));
            format!("({}) ON COMMIT DROP", columns)
        }
        Side::Unified => format!(
            "ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA",
            listed.unwrap_or("*"),
            found.managed.table
        ),
    }
}

fn rewritten(scope: &Scope<'_>, insert: &str) -> Result<(String, Answer), Refusal> {
    let reading = scope.set.look(insert, SearchPath::AsDeclared);
    match &reading.verdict {
        Verdict::Rewritten(rewritten) => Ok((
            rewritten.sql.clone(),
            rewritten.answers.first().copied().unwrap_or_default(),
        )),
        Verdict::PassThrough => Ok((insert.to_owned(), Answer::default())),
        Verdict::Refused(refusal) => Err(refusal.clone()),
    }
}
