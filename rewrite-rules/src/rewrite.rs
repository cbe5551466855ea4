//! What becomes of one statement: which rewrite applies, or why none does.
//!
//! The decision is taken here; each rewrite stands in its own file:
//! reads in `read` (and `invert`), writes to a legacy name in `legacy_first` and
//! `unified_first`, writes to a unified name in `mirror`.

mod clauses;
mod expression;
mod invert;
mod legacy_first;
mod mirror;
mod read;
#[cfg(test)]
mod tests;
mod unified_first;

use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::{Managed, RuleSet, Side};
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, SearchPath, ShadowPair};
use crate::tokens::Tokens;
use crate::tree::Tree;
use crate::walk::{Place, TableRef, table_refs};

/// One statement of a text, and the rules it is read under.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub set: &'a RuleSet,
    pub path: SearchPath,
    pub statement: &'a Tree,
    pub tokens: Tokens<'a>,
}

#[derive(Debug)]
pub(crate) enum Plan {
    /// Nothing to do: the statement stays as the client wrote it.
    Unchanged,
    /// The edits are in the source; with a pair to compare in `shadow_read`.
    Edited { compare: Option<ShadowPair> },
    /// A new statement built around pieces of the client's.
    Composed { output: Output, answer: Answer },
}

/// A reference to a managed table.
#[derive(Clone)]
pub(crate) struct ManagedRef<'a> {
    pub table: TableRef<'a>,
    pub managed: Managed<'a>,
}

impl ManagedRef<'_> {
    /// Whether the rows that it names are read from unified in its phase.
    fn reads_unified(&self) -> bool {
        match self.managed.side {
            Side::Legacy => self.managed.migration.phase.reads_unified(),
            Side::Unified => false,
        }
    }

    fn table_name(&self) -> String {
        match self.managed.side {
            Side::Legacy => self.managed.lens.legacy.name.clone(),
            Side::Unified => self.managed.lens.unified.name.clone(),
        }
    }
}

/// Plans one statement. Edits go into `source`; they must not be used after an error.
pub(crate) fn plan<'a>(scope: &Scope<'a>, source: &mut Source<'a>) -> Result<Plan, Refusal> {
    let refs = managed_refs(scope)?;
    let kind = scope.statement.kind();
    match kind {
        "SelectStmt" => read::plan(scope, &refs, source),
        "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => write(scope, &refs, source),
        "DeclareCursorStmt" => read::plan(scope, &refs, source),
        "ExplainStmt" if !scope.statement.get("query").is("SelectStmt") => match refs.first() {
            None => Ok(Plan::Unchanged),
            Some(found) => Err(refuse::unsupported(
                "EXPLAIN of a write",
                &found.table_name(),
                "`crossfade explain` shows the rewritten statement; run EXPLAIN on that.",
            )),
        },
        "ExplainStmt" => read::plan(scope, &refs, source),
        "CreateTableAsStmt"
            if scope.statement.get("query").is("SelectStmt") && !is_view(scope.statement) =>
        {
            read::plan(scope, &refs, source)
        }
        "CopyStmt" => copy(scope, &refs, source),
        // Maintenance: it changes no row and no shape.
        "VacuumStmt" => Ok(Plan::Unchanged),
        "PrepareStmt" => match refs.first() {
            None => Ok(Plan::Unchanged),
            Some(found) => Err(refuse::unsupported(
                "PREPARE",
                &found.table_name(),
                "Use the driver's own prepared statements (the extended protocol).",
            )),
        },
        _ => command(scope, &refs, kind),
    }
}

/// Resolves the statement's table references against the rules.
fn managed_refs<'a>(scope: &Scope<'a>) -> Result<Vec<ManagedRef<'a>>, Refusal> {
    let mut found = Vec::new();
    for table in table_refs(scope.statement) {
        if table.place == Place::Locked {
            continue;
        }
        let Some(managed) = scope.set.managed(table.schema(), table.table()) else {
            continue;
        };
        if table.schema().is_none() && scope.path == SearchPath::Unknown {
            return Err(refuse::unknown_search_path(table.table()));
        }
        found.push(ManagedRef { table, managed });
    }
    Ok(found)
}

fn is_view(statement: &Tree) -> bool {
    // OBJECT_TABLE is what CREATE TABLE AS makes; the other kind is a materialized view, whose
    // definition would keep the rewritten query for ever.
    statement.int("objtype") != i64::from(pg_query::protobuf::ObjectType::ObjectTable as i32)
}

fn write<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    let Some(target) = refs.iter().find(|found| found.table.place == Place::Target) else {
        return read::plan(scope, refs, source);
    };
    let name = target.table_name();
    if scope.statement.is("MergeStmt") {
        return Err(refuse::unsupported(
            "MERGE",
            &name,
            "Use INSERT … ON CONFLICT, UPDATE and DELETE.",
        ));
    }
    if let Some(with) = refs
        .iter()
        .find(|found| found.table.place == Place::WithTarget)
    {
        return Err(with_target(with));
    }
    let phase = target.managed.migration.phase;
    match (target.managed.side, phase) {
        (_, Phase::LegacyOnly) => Ok(Plan::Unchanged),
        (Side::Legacy, Phase::DualWrite | Phase::ShadowRead | Phase::DualRead) => {
            legacy_first::plan(scope, target, source)
        }
        (Side::Legacy, Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired) => {
            read::substitute_all(scope, refs, source)?;
            unified_first::plan(scope, target, source)
        }
        (
            Side::Unified,
            Phase::DualWrite | Phase::ShadowRead | Phase::DualRead | Phase::UnifiedRead,
        ) => {
            read::substitute_all(scope, refs, source)?;
            mirror::plan(scope, target, source)
        }
        // Unified names are not managed there: `RuleSet::managed` never gives them.
        (Side::Unified, Phase::UnifiedOnly | Phase::Retired) => Ok(Plan::Unchanged),
    }
}

pub(crate) fn with_target(found: &ManagedRef<'_>) -> Refusal {
    refuse::unsupported(
        "a data-modifying WITH query",
        &found.table_name(),
        "Send the write as a statement of its own.",
    )
}

fn copy<'a>(
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
    let reads = !scope.statement.flag("is_from");
    if reads && !found.reads_unified() {
        return Ok(Plan::Unchanged);
    }
    let (what, hint) = if reads {
        ("COPY … TO", "Use COPY (SELECT … FROM the table) TO.")
    } else {
        (
            "COPY … FROM",
            "Use INSERT, or COPY into another table and INSERT … SELECT from it.",
        )
    };
    Err(refuse::unsupported(what, &found.table_name(), hint))
}

/// Commands that have no rows: they pass unless they name a managed table in any way.
fn command(scope: &Scope<'_>, refs: &[ManagedRef<'_>], kind: &str) -> Result<Plan, Refusal> {
    let what = command_name(scope);
    if let Some(found) = refs.first() {
        return Err(refuse::command(&what, &found.table_name()));
    }
    // DROP TABLE and its like keep names as bare strings; bodies of DO and CREATE FUNCTION hold
    // SQL that runs where no proxy sees it.
    let has_body = matches!(kind, "DoStmt" | "CreateFunctionStmt");
    let mut named: Option<String> = None;
    let mut look = |text: &str| {
        for lens in scope.set.migrations().iter().flat_map(|m| &m.tables) {
            for table in [&lens.legacy, &lens.unified] {
                let hit = if has_body {
                    text.contains(&table.name)
                } else {
                    text == table.name
                };
                if hit && scope.set.managed(None, &table.name).is_some() {
                    named.get_or_insert_with(|| table.name.clone());
                }
            }
        }
    };
    texts(scope.statement, has_body, &mut look);
    match named {
        Some(table) => Err(refuse::command(&what, &table)),
        None => Ok(Plan::Unchanged),
    }
}

/// Every text in a tree; string constants name nothing, unless they are a body.
fn texts(node: &Tree, constants: bool, look: &mut dyn FnMut(&str)) {
    if let Tree::Text(text) = node {
        look(text);
    }
    if node.is("AConst") && !constants {
        return;
    }
    for (_, child) in node.children() {
        texts(child, constants, look);
    }
}

/// The command's first words as the client wrote them, for messages: `DROP TABLE`, `DO`.
fn command_name(scope: &Scope<'_>) -> String {
    let words: Vec<String> = scope
        .tokens
        .tokens
        .iter()
        .take(2)
        .take_while(|token| token.keyword)
        .map(|token| scope.tokens.str(token).to_ascii_uppercase())
        .collect();
    words.join(" ")
}
