//! Commands that name a managed table: which of them pass, by a table of what the command does with it,
//! which table it is, and the phase.
//!
//! ```text
//! COMMENT ON TABLE iso_agents IS …      passes while the table is there
//! GRANT SELECT ON iso_agents TO r       passes until other rights decide who reads
//! ALTER TABLE iso_agents …              refused: both sides would have to change alike
//! ALTER TABLE iso_agents ADD COLUMN IF NOT EXISTS email text      passes: the column is there
//! CREATE TABLE IF NOT EXISTS iso_agents (…)
//! CREATE TABLE IF NOT EXISTS "users" (…)              once the legacy table is gone
//! CREATE TEMP TABLE t (LIKE user_settings)
//! CREATE TEMP TABLE t ("id" integer NOT NULL, …)      once the legacy table is gone
//! ALTER TABLE iso_agents ADD COLUMN IF NOT EXISTS email text
//! ALTER TABLE "public"."iso_agents" ADD COLUMN IF NOT EXISTS email text
//!                                       once it is gone: its stand-in has the column, or nothing bears the name
//! ```

mod idle;

use super::{ManagedRef, Plan, Scope, command_name, read};
use crate::bind::{CommandUse, NamedIn};
use crate::lens::{Lens, list, quote_ident};
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::{Managed, Side};
use crate::statement::Refusal;
use crate::text::splice::Source;
use crate::text::tree::Tree;

/// Which table a command names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandTable {
    /// A legacy table, which is left behind.
    Legacy,
    /// A unified one.
    Unified,
    /// One whose columns move in place.
    InPlace,
}

impl CommandTable {
    fn of(managed: Managed<'_>) -> CommandTable {
        match managed.side {
            _ if managed.lens.is_one_table() => CommandTable::InPlace,
            Side::Legacy => CommandTable::Legacy,
            Side::Unified => CommandTable::Unified,
        }
    }
}

/// What becomes of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Passes,
    /// It has a rewriting of its own.
    Rewritten,
    /// `LIKE` becomes the declared columns.
    Declared,
    /// It would change one side only.
    Changes,
    /// It would keep SQL that nobody rewrites.
    Keeps,
    /// The rights on another table decide.
    Rights,
    /// It would refuse rows on one side only.
    Limits,
    /// The table is gone.
    Gone,
}

/// The table of decisions. In `legacy_only` nothing is managed yet.
pub(super) fn decide(used: CommandUse, table: CommandTable, phase: Phase) -> Decision {
    use CommandTable::{InPlace, Legacy, Unified};
    use Phase::{DualRead, DualWrite, LegacyOnly, Retired, ShadowRead, UnifiedOnly, UnifiedRead};
    match (used, table, phase) {
        (_, _, LegacyOnly) => Decision::Passes,
        (CommandUse::Own, _, _) => Decision::Rewritten,
        (CommandUse::Taken, _, _) => Decision::Passes,
        // Each changes what the rules rely on, in every phase.
        (CommandUse::Changed, _, _) => Decision::Changes,
        (CommandUse::Stored, _, _) => Decision::Keeps,
        // The table is there: PostgreSQL says so, or has nothing to do.
        (
            CommandUse::Made,
            Legacy,
            DualWrite | ShadowRead | DualRead | UnifiedRead | UnifiedOnly,
        )
        | (CommandUse::Made, Unified | InPlace, _) => Decision::Passes,
        (CommandUse::Made, Legacy, Retired) => Decision::Gone,
        (
            CommandUse::Copied,
            Legacy,
            DualWrite | ShadowRead | DualRead | UnifiedRead | UnifiedOnly,
        )
        | (CommandUse::Copied, Unified | InPlace, _) => Decision::Passes,
        (CommandUse::Copied, Legacy, Retired) => Decision::Declared,
        (CommandUse::Referred, Legacy | Unified, _) => Decision::Changes,
        (CommandUse::Referred, InPlace, _) => Decision::Passes,
        (
            CommandUse::Described | CommandUse::Maintained,
            Legacy,
            DualWrite | ShadowRead | DualRead | UnifiedRead | UnifiedOnly,
        )
        | (CommandUse::Described | CommandUse::Maintained, Unified | InPlace, _) => {
            Decision::Passes
        }
        (CommandUse::Described | CommandUse::Maintained, Legacy, Retired) => Decision::Gone,
        (CommandUse::Granted, Legacy, DualWrite | ShadowRead)
        | (CommandUse::Granted, Unified | InPlace, _) => Decision::Passes,
        (CommandUse::Granted, Legacy, DualRead | UnifiedRead | UnifiedOnly) => Decision::Rights,
        (CommandUse::Granted, Legacy, Retired) => Decision::Gone,
        (CommandUse::Limited, Legacy, Retired) => Decision::Gone,
        (
            CommandUse::Limited,
            Legacy | Unified | InPlace,
            DualWrite | ShadowRead | DualRead | UnifiedRead | UnifiedOnly | Retired,
        ) => Decision::Limits,
        // What keeps the legacy table's row type keeps the table from being dropped.
        (
            CommandUse::Typed,
            Legacy,
            DualWrite | ShadowRead | DualRead | UnifiedRead | UnifiedOnly,
        ) => Decision::Changes,
        (CommandUse::Typed, Legacy, Retired) => Decision::Gone,
        (CommandUse::Typed, Unified | InPlace, _) => Decision::Passes,
    }
}

/// Whether a command that names a managed table so needs nothing of us.
pub(super) fn passes(statement: &Tree, used: CommandUse, managed: Managed<'_>) -> bool {
    let used = idle::used(statement, used, managed);
    decide(used, CommandTable::of(managed), managed.migration.phase) == Decision::Passes
}

/// Refuses what must not reach the server; gives what becomes of the command if that is for this file
/// to say.
pub(super) fn plan<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Option<Plan>, Refusal> {
    let (mut declared, mut stands, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for found in refs {
        let NamedIn::Command(said) = found.table.place else {
            continue;
        };
        let (table, phase) = (
            CommandTable::of(found.managed),
            found.managed.migration.phase,
        );
        let used = idle::used(scope.statement, said, found.managed);
        match decide(used, table, phase) {
            Decision::Gone if idle::makes(scope.statement) => stands.push(found),
            Decision::Gone if used != said => named.push(found),
            Decision::Passes | Decision::Rewritten => {}
            Decision::Declared => declared.push(found),
            reason @ (Decision::Changes
            | Decision::Keeps
            | Decision::Rights
            | Decision::Limits
            | Decision::Gone) => return Err(refused(scope, found, reason)),
        }
    }
    for found in &declared {
        if !as_declared(scope, found, source)? {
            named.push(found);
        }
    }
    // What bears the name has what the command looks for, and no table of another schema is taken for it.
    for found in &named {
        let range = read::reference_range(scope, found)?;
        source.edit(range, found.managed.lens.legacy.sql());
    }
    for found in &stands {
        let range = read::reference_range(scope, found)?;
        source.edit(range, found.managed.lens.unified.sql());
    }
    let edited = !declared.is_empty() || !stands.is_empty() || !named.is_empty();
    Ok(edited.then_some(Plan::Edited { compare: None }))
}

fn refused(scope: &Scope<'_>, found: &ManagedRef<'_>, reason: Decision) -> Refusal {
    let (what, table) = (command_name(scope), found.table_name());
    let unified = unified_names(found.managed.lens);
    match reason {
        Decision::Keeps => refuse::kept(&what, &table),
        Decision::Rights => refuse::rights(&what, &table, &unified),
        Decision::Limits => refuse::limits(&what, &table),
        Decision::Gone => refuse::gone(&what, &table, &unified),
        Decision::Changes | Decision::Declared | Decision::Passes | Decision::Rewritten => {
            refuse::command(&what, &table)
        }
    }
}

fn unified_names(lens: &Lens) -> String {
    let names = lens.unified_tables().into_iter();
    list(names.map(|table| table.name.as_str()))
}

/// `LIKE t` as the columns that the rule file declares. A derived lens does not declare which of them
/// are NOT NULL, and no file says what INCLUDING would copy: `false`.
fn as_declared<'a>(
    scope: &Scope<'a>,
    found: &ManagedRef<'a>,
    source: &mut Source<'a>,
) -> Result<bool, Refusal> {
    let lens = found.managed.lens;
    let mut clause = None;
    scope.statement.each(&mut |node| {
        if node.is("TableLikeClause") && std::ptr::eq(node.get("relation"), found.table.node) {
            clause = Some(node);
        }
    });
    let plain = clause.is_some_and(|clause| clause.int("options") == 0);
    if !lens.has_own_images() || !plain {
        return Ok(false);
    }
    let range = read::reference_range(scope, found)?;
    let tokens = scope.tokens;
    let Some(like) = tokens.word_before("like", range.start) else {
        return Ok(false);
    };
    let start = like.start;
    // EXCLUDING … says what is so already.
    let behind = tokens.tokens.get(tokens.first_behind(range.end));
    let ends = |symbol| behind.is_some_and(|token| tokens.is_symbol(token, symbol));
    if !ends(",") && !ends(")") {
        return Ok(false);
    }
    let columns = lens.columns.iter().enumerate().map(|(at, column)| {
        let is_key = lens.key.contains(&at);
        let not_null = if column.not_null || is_key {
            " NOT NULL"
        } else {
            ""
        };
        format!(
            "{} {}{not_null}",
            quote_ident(&column.name),
            column.sql_type
        )
    });
    let columns = list(columns);
    source.edit(start..range.end, columns);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_managed_table_never_passes_and_what_takes_only_its_name_always_does() {
        for phase in Phase::ALL {
            for table in [
                CommandTable::Legacy,
                CommandTable::Unified,
                CommandTable::InPlace,
            ] {
                for used in CommandUse::ALL {
                    let passes = decide(used, table, phase) == Decision::Passes;
                    match used {
                        _ if phase == Phase::LegacyOnly => assert!(passes),
                        CommandUse::Taken => assert!(passes),
                        CommandUse::Own
                        | CommandUse::Stored
                        | CommandUse::Changed
                        | CommandUse::Limited => assert!(!passes),
                        CommandUse::Made
                        | CommandUse::Copied
                        | CommandUse::Described
                        | CommandUse::Maintained
                        | CommandUse::Granted
                        | CommandUse::Typed
                        | CommandUse::Referred => {
                            let gone = phase == Phase::Retired && table == CommandTable::Legacy;
                            assert!(!(gone && passes), "{used:?} {table:?} {phase}");
                        }
                    }
                }
            }
        }
    }
}
