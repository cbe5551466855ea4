//! SET CONSTRAINTS by the legacy table's names, once unified leads: it reaches what stands for them there.
//!
//! ```text
//! SET CONSTRAINTS enhanceduser_technician_fk DEFERRED
//! SET CONSTRAINTS enhanceduser_technician_fk, "public"."customuser_technician_fk" DEFERRED   (unified_read)
//! SET CONSTRAINTS "public"."customuser_technician_fk" DEFERRED                    (legacy is left)
//! ```
//!
//! Without this a constraint that the client has deferred would be looked at at once, and one of a table that is
//! gone would not exist. ALL means all constraints of the transaction, and stays as it is.

use super::{Plan, Scope};
use crate::lens::Lens;
use crate::phase::Phase;
use crate::refuse;
use crate::splice::Source;
use crate::statement::Refusal;
use crate::tree::Tree;

/// A constraint that the statement names, of a legacy table whose unified rows lead.
pub(super) struct Named<'a> {
    node: &'a Tree,
    pub lens: &'a Lens,
    phase: Phase,
    standing: String,
}

/// The constraints that a statement names. Of a name without a schema it must be known what it means.
pub(super) fn named<'a>(scope: &Scope<'a>) -> Result<Vec<Named<'a>>, Refusal> {
    let mut found = Vec::new();
    if scope.statement.kind() != "ConstraintsSetStmt" {
        return Ok(found);
    }
    let migrations = scope.set.migrations().iter();
    let leading = migrations.filter(|migration| migration.phase >= Phase::UnifiedRead);
    let lenses: Vec<(Phase, &Lens)> = leading
        .flat_map(|migration| migration.left_behind().map(|lens| (migration.phase, lens)))
        .collect();
    for node in scope.statement.list("constraints") {
        for &(phase, lens) in &lenses {
            let Some(standing) = lens.standing_for(node.text("relname")) else {
                continue;
            };
            let means_it = match node.name("schemaname") {
                Some(schema) => schema == lens.legacy.schema,
                None => match scope.set.finds(scope.path, &lens.legacy) {
                    Some(means_it) => means_it,
                    None => return Err(refuse::unknown_search_path(&lens.legacy.name)),
                },
            };
            if means_it {
                found.push(Named {
                    node,
                    lens,
                    phase,
                    standing,
                });
                break;
            }
        }
    }
    Ok(found)
}

pub(super) fn plan<'a>(scope: &Scope<'a>, source: &mut Source<'a>) -> Result<Plan, Refusal> {
    let found = named(scope)?;
    for named in &found {
        let parts = 1
            + usize::from(named.node.name("schemaname").is_some())
            + usize::from(named.node.name("catalogname").is_some());
        let start = named.node.location();
        let range = start.and_then(|start| scope.tokens.dotted(start, parts));
        let Some(range) = range else {
            return Err(refuse::unsupported(
                "this spelling of the constraint's name",
                &named.lens.legacy.name,
                "Write schema.constraint.",
            ));
        };
        let written = &scope.tokens.text[range.clone()];
        let with = if named.phase.writes_both() {
            format!("{written}, {}", named.standing)
        } else {
            named.standing.clone()
        };
        source.edit(range, with);
    }
    Ok(match found.is_empty() {
        true => Plan::Unchanged,
        false => Plan::Edited { compare: None },
    })
}
