//! TRUNCATE and LOCK of a managed table.
//!
//! ```text
//! TRUNCATE iso_agents                  SELECT crossfade.truncate_…(false, false)   (dual phases)
//! TRUNCATE iso_agents                  DELETE FROM "public"."users" … WHERE visible (unified)
//! LOCK TABLE iso_agents IN … MODE      LOCK TABLE iso_agents, "public"."users" IN … MODE
//! ```
//!
//! The unified table may hold rows that were never the legacy table's, so it is not truncated:
//! the rows that legacy readers see are deleted.

use super::{ManagedRef, Plan, Scope, read};
use crate::lens::{Lens, Work};
use crate::refuse;
use crate::rule_set::Side;
use crate::splice::Source;
use crate::statement::{Answer, Refusal, TagVerb};

/// DROP_CASCADE as pg_query numbers it; RESTRICT is 1.
const CASCADE: i64 = 2;

pub(super) fn truncate(scope: &Scope<'_>, refs: &[ManagedRef<'_>]) -> Result<Plan, Refusal> {
    let Some(found) = refs.first() else {
        return Ok(Plan::Unchanged);
    };
    if refs.iter().all(ManagedRef::is_in_place) {
        return Ok(Plan::Unchanged);
    }
    let lens = found.managed.lens;
    let table = found.table_name();
    if scope.statement.list("relations").len() > 1 {
        return Err(refuse::unsupported(
            "TRUNCATE of several tables at once",
            &table,
            "Truncate the migrated table in a statement of its own.",
        ));
    }
    let cascade = scope.statement.int("behavior") == CASCADE;
    let sql = match (
        found.managed.side,
        found.managed.migration.phase.writes_both(),
    ) {
        (_, true) if found.managed.side == Side::Unified => {
            return Err(refuse::unsupported(
                "TRUNCATE of the unified table",
                &table,
                "DELETE the rows that are meant.",
            ));
        }
        (Side::Legacy, true) => format!(
            "SELECT FROM {}({}, {cascade})",
            lens.function_name(Work::Truncate),
            scope.statement.flag("restart_seqs"),
        ),
        (Side::Legacy, false) if lens.written.is_some() => format!(
            "SELECT FROM {}({}, false)",
            lens.function_name(Work::Remove),
            lens.images_in(&format!("({})", lens.read()))
        ),
        (Side::Legacy, false) => lens.remove_all(),
        (Side::Unified, _) => return Ok(Plan::Unchanged),
    };
    let hide_rows = sql.starts_with("SELECT");
    let answer = Answer {
        tag: Some(TagVerb::Truncate),
        hide_rows,
        silent: false,
    };
    Ok(Plan::Composed {
        output: sql.into(),
        answers: vec![answer],
    })
}

pub(super) fn lock<'a>(
    scope: &Scope<'a>,
    refs: &[ManagedRef<'a>],
    source: &mut Source<'a>,
) -> Result<Plan, Refusal> {
    for found in refs.iter().filter(|found| !found.is_in_place()) {
        let lens = found.managed.lens;
        let range = read::reference_range(scope, found)?;
        let named = &scope.tokens.text[range.clone()];
        // Legacy first, as every writer does.
        let unified: Vec<String> = lens.unified_tables().iter().map(|t| t.sql()).collect();
        let unified = unified.join(", ");
        let with = match (
            found.managed.side,
            found.managed.migration.phase.writes_both(),
        ) {
            (Side::Legacy, true) => format!("{named}, {unified}"),
            (Side::Unified, true) => format!("{}, {named}", lens.legacy),
            (Side::Legacy, false) => unified,
            (Side::Unified, false) => continue,
        };
        source.edit(range, with);
    }
    Ok(if refs.is_empty() {
        Plan::Unchanged
    } else {
        Plan::Edited { compare: None }
    })
}

impl Lens {
    /// The delete of every unified row that legacy readers see.
    pub(crate) fn remove_all(&self) -> String {
        let condition = self
            .visible_condition(Self::ROW)
            .unwrap_or_else(|| "true".to_owned());
        format!(
            "DELETE FROM {} AS {} WHERE {condition}",
            self.unified,
            Self::ROW
        )
    }

    /// The function behind a TRUNCATE: every combination of its options spelled out, since a
    /// utility statement takes no parameters.
    pub(crate) fn truncate_function(&self, remove_all: &str) -> String {
        let truncate =
            |restart: &str, cascade: &str| format!("TRUNCATE {}{restart}{cascade};", self.legacy);
        format!(
            "CREATE OR REPLACE FUNCTION {}(cf_restart boolean, cf_cascade boolean) RETURNS boolean\n\
             LANGUAGE plpgsql VOLATILE AS $crossfade$\nBEGIN\n\
             \x20 IF cf_restart AND cf_cascade THEN {}\n\
             \x20 ELSIF cf_restart THEN {}\n\
             \x20 ELSIF cf_cascade THEN {}\n\
             \x20 ELSE {}\n\
             \x20 END IF;\n  {};\n  RETURN true;\nEND\n$crossfade$",
            self.function_name(Work::Truncate),
            truncate(" RESTART IDENTITY", " CASCADE"),
            truncate(" RESTART IDENTITY", ""),
            truncate("", " CASCADE"),
            truncate("", ""),
            remove_all,
        )
    }
}
