//! What becomes of one statement: which rewrite applies, or why none does.
//!
//! The decision is taken here; each rewrite stands in its own file: reads in `read` (and `invert`), commands in
//! `named` and `commands`. Of writes, `says` tells in one form what the client's statement says, and `does` what becomes
//! of it.

mod commands;
mod compose;
mod constraints;
mod copy;
mod does;
mod expression;
pub(crate) mod fences;
mod functions;
mod in_place;
mod invert;
mod named;
pub(crate) mod plain;
mod read;
mod says;
mod scope;
mod tenants;
#[cfg(test)]
mod tests;
pub(crate) mod texts;
mod unqualify;
mod whole_row;

use compose::Composer;
use says::write::Write;
use scope::command_name;
pub(crate) use scope::{ManagedRef, Plan, Scope};

use crate::bind::{CommandUse, NamedIn};
use crate::lens::Lens;
use crate::refuse;
use crate::rule_set::Side;
use crate::statement::{Answer, Named, Needs, Refusal, Rename, ServerVersion};
use crate::text::clauses::{explained, prepared, with_query};
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;

/// Plans one statement. Edits go into `source`; they must not be used after an error.
pub(crate) fn plan<'a>(scope: &Scope<'a>, source: &mut Source<'a>) -> Result<Plan, Refusal> {
    tenants::check(scope)?;
    let refs = managed_refs(scope)?;
    let kind = scope.statement.kind();
    texts::check(scope)?;
    if let Some(plan) = named::plan(scope, &refs, source)? {
        return Ok(plan);
    }
    if functions::CALL.contains(&kind) {
        functions::substitute(scope, source)?;
    }
    match kind {
        "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => {
            query(scope, &refs, source)
        }
        "DeclareCursorStmt" => read::plan(scope, &refs, source),
        "ExplainStmt" => explain(scope, &refs, source),
        "CreateTableAsStmt" if scope.statement.get("query").is("SelectStmt") => {
            read::plan(scope, &refs, source)
        }
        "CopyStmt" => copy::plan(scope, &refs, source),
        "TruncateStmt" => commands::truncate(scope, &refs),
        "LockStmt" => commands::lock(scope, &refs, source),
        "ConstraintsSetStmt" => constraints::plan(scope, source),
        "PrepareStmt" => prepare(scope, &refs, source),
        // What is left of them names no managed table in a way that matters; what EXECUTE runs is the
        // session's to know.
        _ => match refs.first() {
            None => Ok(Plan::Unchanged),
            Some(found) => Err(refuse::command(&command_name(scope), &found.table_name())),
        },
    }
}

/// Why a statement that was planned is not sent that way: rules that do not fit the tables rewrite
/// nothing. What stays as the client wrote it does no harm.
pub(crate) fn misfit(scope: &Scope<'_>, plan: &Plan) -> Result<(), Refusal> {
    match plan {
        // A read to be compared goes to the server as it is.
        Plan::Unchanged | Plan::Edited { compare: Some(_) } => return Ok(()),
        Plan::Edited { compare: None }
        | Plan::Prepared { .. }
        | Plan::Composed { .. }
        | Plan::Staged { .. } => {}
    }
    for found in managed_refs(scope)? {
        let migration = found.managed.migration;
        if let Some(misfit) = &migration.misfit {
            let table = found.table_name();
            return Err(refuse::misfit(&migration.name, &table, misfit));
        }
    }
    Ok(())
}

/// What is said of a rewritten text beside itself: of all its statements once, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Remarks<'a> {
    /// How its errors are told to the client, who knows the names that its own text used.
    pub renames: Vec<Rename>,
    /// What it asks of the server, if not any can do it.
    pub needs: Option<Needs>,
    /// The statement that tells row security whose rows it is about.
    pub context: Option<String>,
    /// Whose names are among the renames.
    named: Vec<(&'a Lens, Side)>,
    /// Those too that no statement names: the other tables of a migration that is written.
    others: Vec<(&'a Lens, Side)>,
}

impl<'a> Remarks<'a> {
    pub fn add(&mut self, scope: &Scope<'a>) -> Result<(), Refusal> {
        let mut all = managed_refs(scope)?;
        // A constraint that stands for those of several legacy tables is called after the one that is written.
        all.sort_by_key(|found| found.table.write.is_none());
        for found in &all {
            let write = found.table.write.filter(|_| found.leads().is_some());
            if write.is_some_and(|write| write.is("MergeStmt")) {
                self.needs.get_or_insert_with(|| Needs {
                    version: ServerVersion(says::merge::SERVER_MIN),
                    table: found.table_name(),
                });
            }
            let (lens, side) = (found.managed.lens, found.managed.side);
            let mut named = self.named.iter();
            if named.any(|known| std::ptr::eq(known.0, lens) && known.1 == side) {
                continue;
            }
            self.named.push((lens, side));
            let ours = lens.renames();
            self.renames.extend(match side {
                Side::Legacy => ours,
                Side::Unified => ours.into_iter().map(Rename::reversed).collect(),
            });
        }
        for found in all.iter().filter(|found| found.table.write.is_some()) {
            self.add_others(found);
        }
        for found in constraints::named(scope)? {
            self.renames.extend(found.lens.renames());
        }
        Ok(())
    }

    /// Notes whose rows a statement is about that reads or writes unified. `reverted`: what was set before it in the
    /// same text was taken back.
    pub fn add_context(
        &mut self,
        scope: &Scope<'a>,
        plan: &Plan,
        reverted: bool,
    ) -> Result<(), Refusal> {
        match plan {
            Plan::Unchanged | Plan::Edited { compare: Some(_) } => return Ok(()),
            Plan::Edited { compare: None }
            | Plan::Prepared { .. }
            | Plan::Composed { .. }
            | Plan::Staged { .. } => {}
        }
        for found in managed_refs(scope)? {
            let Some(context) = tenants::context(&found) else {
                continue;
            };
            let table = found.table_name();
            if self.context.as_ref().is_some_and(|known| *known != context) {
                return Err(refuse::two_contexts(&table));
            }
            if reverted {
                return Err(refuse::context_apart(&table));
            }
            self.context = Some(context);
        }
        Ok(())
    }

    /// Notes what holds the epochs open of statements that cannot carry their fences: with what row security is told.
    pub fn add_fence(&mut self, before: Option<String>) {
        let Some(before) = before else {
            return;
        };
        self.context = Some(match self.context.take() {
            None => before,
            // Both begin and end so; of several statements one holds the same epochs as the next.
            Some(known) if known.contains(&before) => known,
            Some(known) => match known.strip_prefix("SELECT") {
                Some(told) => format!("{before}{told}"),
                None => known,
            },
        });
    }

    /// The constraints and tables of the other lenses of a migration: what refers to the written rows by foreign key has
    /// its say in unified, and an action may write there what another constraint refuses.
    fn add_others(&mut self, found: &ManagedRef<'a>) {
        let (migration, side) = (found.managed.migration, found.managed.side);
        for other in &migration.tables {
            let other = other.in_phase(migration.phase);
            let is = |known: &(&Lens, Side)| known.0.legacy == other.legacy;
            let known = self.named.iter().any(is) || self.others.iter().any(is);
            if known || other.is_of_any_tenant() {
                continue;
            }
            self.others.push((other, side));
            let names = other.renames().into_iter();
            let names = names.filter(|rename| rename.kind != Named::Column);
            match side {
                Side::Legacy => self.renames.extend(names),
                Side::Unified => self.renames.extend(names.map(Rename::reversed)),
            }
        }
    }
}

/// Resolves the statement's table references against the rules.
fn managed_refs<'a>(scope: &Scope<'a>) -> Result<Vec<ManagedRef<'a>>, Refusal> {
    let mut found = Vec::new();
    for table in scope.bound.tables() {
        if table.place == NamedIn::Locked {
            continue;
        }
        let unqualified = table.schema().is_none();
        for managed in scope.set.all_managed(table.schema(), table.table()) {
            if let NamedIn::Command(used) = table.place
                && named::passes(scope.statement, used, managed)
            {
                continue;
            }
            let means_it = !unqualified
                || match scope.set.finds(scope.path, managed.table) {
                    Some(means_it) => means_it,
                    None => return Err(refuse::unknown_search_path(table.table())),
                };
            let nobodys = managed.lens.is_of_any_tenant() && managed.side == Side::Legacy;
            if means_it && nobodys {
                // A command on a table that is no tenant's yet.
                break;
            }
            if means_it && in_place::names_unified(scope, table, managed.lens) {
                break;
            }
            if means_it {
                found.push(ManagedRef {
                    table: table.clone(),
                    managed,
                    item: scope.bound.item_of(table.node),
                });
                break;
            }
        }
    }
    Ok(found)
}

/// Whether rows are read or written where a table is named so.
fn read_or_written(place: NamedIn) -> bool {
    match place {
        NamedIn::Read | NamedIn::Target | NamedIn::WithTarget | NamedIn::Sampled => true,
        NamedIn::Command(used) => used == CommandUse::Own,
        NamedIn::Locked => false,
    }
}

/// A statement with rows: reads first, then the writes inside WITH, then its own.
fn query<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    let (targets, reads): (Vec<ManagedRef<'a>>, Vec<ManagedRef<'a>>) = refs
        .iter()
        .cloned()
        .partition(|found| matches!(found.table.place, NamedIn::Target | NamedIn::WithTarget));
    if targets.is_empty() {
        return read::plan(scope, refs, source);
    }
    read::check_places(&reads)?;
    // Where legacy leads it is in step with unified: its own statements go on reading it.
    let legacy_leads = targets
        .iter()
        .all(|target| target.leads() == Some(Side::Legacy));
    if !legacy_leads {
        read::substitute_all(scope, refs, source)?;
    }
    let inner = targets
        .iter()
        .filter(|target| target.table.place == NamedIn::WithTarget);
    for (index, target) in inner.enumerate() {
        write_in_with(scope, target, index + 1, source)?;
    }
    match targets
        .iter()
        .find(|target| target.table.place == NamedIn::Target)
    {
        None => Ok(Plan::Edited { compare: None }),
        Some(target) => {
            let write = Write::of(scope, target)?;
            let composed = does::compose(scope, target, &write, source, Composer::new(0))?;
            Ok(match composed {
                Some(composed) => composed.at_top(write.clauses.with.clone(), source),
                None => Plan::Edited { compare: None },
            })
        }
    }
}

fn write_in_with<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    number: usize,
    source: &mut Source<'a>,
) -> Result<(), Refusal> {
    let unreadable = || {
        refuse::unsupported(
            "this WITH query",
            &target.table_name(),
            "Send the write as a statement of its own.",
        )
    };
    let (Some(statement), Some(query)) = (target.table.write, target.table.with_query) else {
        return Err(unreadable());
    };
    let tokens = with_query(query, scope.tokens).ok_or_else(unreadable)?;
    let inner = Scope {
        statement,
        tokens,
        ..*scope
    };
    let write = Write::of(&inner, target)?;
    if write.clauses.with.is_some() {
        return Err(unreadable());
    }
    match does::compose(&inner, target, &write, source, Composer::new(number))? {
        None => Ok(()),
        Some(composed) => composed
            .in_with(query, scope.tokens, number, source)
            .ok_or_else(unreadable),
    }
}

/// EXPLAIN of what the statement becomes.
fn explain<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    let statement = scope.statement.get("query");
    if refs.is_empty() {
        return Ok(Plan::Unchanged);
    }
    if statement.is("SelectStmt") && refs.iter().all(|found| found.table.place == NamedIn::Read) {
        return read::plan(scope, refs, source);
    }
    match within(
        scope,
        refs,
        explained(scope.statement, scope.tokens),
        source,
    )? {
        Plan::Composed { output, .. } => Ok(Plan::Composed {
            output,
            answers: vec![Answer::default()],
        }),
        other => Ok(other),
    }
}

/// A statement that has another one behind its own words, whose tokens these are.
fn within<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    tokens: Option<Tokens<'a>>,
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    let unreadable = || {
        let table = refs.first().map(ManagedRef::table_name).unwrap_or_default();
        refuse::unsupported(
            "this spelling of the statement",
            &table,
            "Write it plainly.",
        )
    };
    let inner = Scope {
        statement: scope.statement.get("query"),
        tokens: tokens.ok_or_else(unreadable)?,
        ..*scope
    };
    let head = scope.tokens.extent().start..inner.tokens.extent().start;
    match query(&inner, refs, source)? {
        Plan::Composed { output, answers } => {
            let mut whole = Output::default();
            whole.client(source, head).append(output);
            Ok(Plan::Composed {
                output: whole,
                answers,
            })
        }
        other => Ok(other),
    }
}

/// PREPARE of what the statement becomes.
fn prepare<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    if refs.is_empty() {
        return Ok(Plan::Unchanged);
    }
    match within(scope, refs, prepared(scope.tokens), source)? {
        Plan::Composed { output, answers } => Ok(Plan::Prepared {
            output,
            executed: answers.first().copied().unwrap_or_default(),
        }),
        // What runs later, with values that are not known here, is not compared.
        Plan::Edited { .. } | Plan::Unchanged | Plan::Prepared { .. } | Plan::Staged { .. } => {
            Ok(Plan::Edited { compare: None })
        }
    }
}
