//! Commands with IF NOT EXISTS, which applications send whenever they start, and which change nothing where
//! what they would make is declared by the rules, and so is there.

use pg_query::protobuf::{AlterTableType, ConstrType};

use crate::bind::CommandUse;
use crate::rule_set::{Managed, Side};
use crate::text::tree::Tree;

/// What a command does with a managed table that it names, seeing what is there: PostgreSQL says that
/// it has nothing to do, as for a table of the name.
pub(super) fn used(statement: &Tree, used: CommandUse, managed: Managed<'_>) -> CommandUse {
    let is_idle = match (statement.kind(), used) {
        ("IndexStmt", CommandUse::Limited | CommandUse::Maintained) => {
            let name = statement.text("idxname");
            statement.flag("if_not_exists") && has_index(managed, name)
        }
        ("AlterTableStmt", CommandUse::Changed) => {
            let commands = statement.list("cmds");
            let idle = |command: &Tree| adds_a_column_that_is_there(command, managed);
            !commands.is_empty() && commands.iter().all(idle)
        }
        _ => false,
    };
    if is_idle { CommandUse::Made } else { used }
}

/// Whether the command makes a table unless there is one of the name.
pub(super) fn makes(statement: &Tree) -> bool {
    statement.is("CreateStmt") && statement.flag("if_not_exists")
}

/// Only names that the rules declare are known to be there.
fn has_index(managed: Managed<'_>, name: &str) -> bool {
    let mut pairs = managed.lenses().flat_map(|lens| &lens.constraints);
    let paired = pairs.any(|(legacy, unified)| match managed.side {
        Side::Legacy => legacy == name,
        Side::Unified => unified == name,
    });
    paired || managed.side == Side::Legacy && managed.lens.keeps_unique(name)
}

fn adds_a_column_that_is_there(command: &Tree, managed: Managed<'_>) -> bool {
    let is_add = command.int("subtype") == AlterTableType::AtAddColumn as i64;
    let name = command.get("def").text("colname");
    let there = match managed.side {
        Side::Legacy => managed.lens.column(name).is_some(),
        Side::Unified => {
            managed.lens.is_row_for_row() && managed.lens.column_by_unified(name).is_some()
        }
    };
    let constraints = command.get("def").list("constraints").iter();
    let mut kinds = constraints.map(|constraint| constraint.int("contype"));
    is_add && command.flag("missing_ok") && there && kinds.all(|kind| OF_THE_COLUMN.contains(&kind))
}

/// What goes with the column and is skipped with it in every version. Others are constraints of the table.
const OF_THE_COLUMN: [i64; 3] = [
    ConstrType::ConstrNull as i64,
    ConstrType::ConstrNotnull as i64,
    ConstrType::ConstrDefault as i64,
];
