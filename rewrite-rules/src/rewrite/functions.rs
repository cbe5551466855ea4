//! Calls of functions that the migration renames, or whose arguments it renames.
//!
//! ```text
//! SELECT get_current_iso_agent_id()
//! SELECT "public"."get_current_user_id"() AS "get_current_iso_agent_id"      (from unified_read on)
//!
//! WHERE owns_resource(resource_agent_id := iso_agent_id)
//! WHERE owns_resource(iso_agent_id)
//! ```
//!
//! A function with a new name stands beside the old one until that is dropped, so calls turn to it
//! with the reads, once both sides are known to be alike. Of one that keeps its name the database
//! has only one version: its arguments go by place, which suits either.

use std::ops::Range;

use super::Scope;
use crate::lens::quote_ident;
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::RenamedFunction;
use crate::statement::{Refusal, SearchPath};
use crate::text::splice::Source;
use crate::text::tree::Tree;

/// The statements whose calls are the client's own; the bodies of others run where no proxy is.
pub(super) const CALL: [&str; 9] = [
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "DeclareCursorStmt",
    "ExplainStmt",
    "CreateTableAsStmt",
    "CopyStmt",
];

/// A call in a statement, and what the rules say of its function.
struct RenamedCall<'a> {
    node: &'a Tree,
    function: &'a RenamedFunction,
    phase: Phase,
}

impl RenamedCall<'_> {
    /// Whether the function of the other name is called.
    fn turns(&self) -> bool {
        self.function.is_renamed()
            && match self.phase {
                Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead | Phase::DualRead => false,
                Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => true,
            }
    }
}

/// Edits every call below a statement's node.
pub(super) fn substitute<'a>(scope: &Scope<'a>, source: &mut Source<'a>) -> Result<(), Refusal> {
    let mut calls: Vec<RenamedCall<'a>> = Vec::new();
    let statement: &'a Tree = scope.statement;
    statement.each(&mut |node| calls.extend(of_node(scope, node)));
    keep_result_names(scope, &calls, source);
    for call in &calls {
        substitute_one(scope, call, source)?;
    }
    Ok(())
}

fn of_node<'a>(scope: &Scope<'a>, node: &'a Tree) -> Option<RenamedCall<'a>> {
    if !node.is("FuncCall") {
        return None;
    }
    let names: Vec<&str> = node
        .list("funcname")
        .iter()
        .map(|name| name.text("sval"))
        .collect();
    let (schema, name) = match names.as_slice() {
        [name] => (None, *name),
        [schema, name] => (Some(*schema), *name),
        _ => return None,
    };
    let migrations = scope.set.migrations().iter();
    migrations
        .filter(|migration| migration.phase != Phase::LegacyOnly)
        .find_map(|migration| {
            let function = migration.functions.iter().find(|function| {
                let legacy = &function.legacy.name;
                legacy.name == name && schema.is_none_or(|schema| schema == legacy.schema)
            })?;
            Some(RenamedCall {
                node,
                function,
                phase: migration.phase,
            })
        })
}

fn substitute_one(
    scope: &Scope<'_>,
    call: &RenamedCall<'_>,
    source: &mut Source<'_>,
) -> Result<(), Refusal> {
    let name = &call.function.legacy.name.name;
    let named: Vec<(usize, &Tree)> = call
        .node
        .list("args")
        .iter()
        .enumerate()
        .filter(|(_, argument)| argument.is("NamedArgExpr"))
        .collect();
    let by_place = !call.function.is_renamed() && call.function.renames_arguments();
    let goes_by_place = by_place && !named.is_empty();
    if !(call.turns() || goes_by_place) {
        return Ok(());
    }
    let parts = call.node.list("funcname").len();
    if parts == 1 && scope.path != SearchPath::AsDeclared {
        return Err(refuse::unknown_search_path(name));
    }
    let unreadable = || refuse::unsupported_call("this spelling of the call", name);
    let tokens = scope.tokens;
    for (place, argument) in named {
        let Some(index) = argument.location().and_then(|start| tokens.at(start)) else {
            return Err(unreadable());
        };
        let said = argument.text("name");
        let legacy = &call.function.legacy.arguments;
        let Some(declared) = legacy.iter().position(|name| name == said) else {
            continue; // The server says that there is no such function.
        };
        let word = &tokens.tokens[index];
        if call.turns() {
            let renamed = quote_ident(&call.function.unified.arguments[declared]);
            source.edit(word.start..word.end, renamed);
        } else if declared == place {
            let value = tokens.tokens.get(index + 2).ok_or_else(unreadable)?;
            source.edit(word.start..value.start, String::new());
        } else {
            return Err(refuse::unsupported_call(
                "named arguments in another order than the function's",
                name,
            ));
        }
    }
    if call.turns() {
        let range = call
            .node
            .location()
            .and_then(|start| tokens.dotted(start, parts))
            .ok_or_else(unreadable)?;
        source.edit(range, call.function.unified.name.sql());
    }
    Ok(())
}

/// A result column without a name, and a function in FROM, go by the function's name.
fn keep_result_names(scope: &Scope<'_>, calls: &[RenamedCall<'_>], source: &mut Source<'_>) {
    let named_by = |node: &Tree| {
        let call = names_result(node)?;
        let found = calls.iter().find(|known| std::ptr::eq(known.node, call))?;
        found
            .turns()
            .then(|| quote_ident(&found.function.legacy.name.name))
    };
    scope.statement.each(&mut |node| {
        let found = if node.is("ResTarget") && node.name("name").is_none() {
            named_by(node.get("val")).zip(scope.tokens.result(node))
        } else if node.is("RangeFunction") && !node.get("alias").exists() {
            let call = node.list("functions").first();
            let call = call.and_then(|first| first.find("FuncCall"));
            let call = call.filter(|_| !node.flag("is_rowsfrom"));
            call.and_then(|call| named_by(call).zip(scope.tokens.call(call)))
        } else {
            None
        };
        if let Some((name, Range { end, .. })) = found {
            source.edit(end..end, format!(" AS {name}"));
        }
    });
}

/// The call that gives a result column its name, as PostgreSQL looks for it.
fn names_result(node: &Tree) -> Option<&Tree> {
    match node.kind() {
        "FuncCall" => Some(node),
        "TypeCast" | "CollateClause" => names_result(node.get("arg")),
        "CaseExpr" => names_result(node.get("defresult")),
        "SubLink" => {
            let item = node.get("subselect").list("target_list").first()?;
            let plain = item.name("name").is_none() && is_expression(node);
            plain.then(|| names_result(item.get("val"))).flatten()
        }
        _ => None,
    }
}

fn is_expression(link: &Tree) -> bool {
    link.int("sub_link_type") == i64::from(pg_query::protobuf::SubLinkType::ExprSublink as i32)
}
