//! What deferred constraints say of work that may be recorded: looked at with it, since at COMMIT nobody could record
//! it any more.
//!
//! ```text
//! look_now(before, patience), look_legacy(…)   of the tables of unified, and of legacy
//! ```
//!
//! What statements before have deferred is looked at beforehand (`before`). If it does not hold yet, it is theirs to settle, and no
//! failure of this work: the client is told at the end as it would be anyhow, and so of this work.
//!
//! Nobody can ask the server whether a constraint is deferred now. What is looked at beforehand, in a savepoint that is rolled
//! back, stays as it was. Behind the work one that is deferred from the beginning is deferred again, so that nothing is
//! looked at with every write that comes; any other the client may have set so, and is looked at in such a savepoint.

use super::{Callers, Function, Lens, TableName, quote_literal};

#[derive(askama::Template)]
#[template(path = "look.sql", escape = "none")]
struct LookFunction<'a> {
    name: &'a str,
    tables: String,
}

impl Lens {
    pub(super) fn look_functions(&self) -> [Function; 2] {
        [
            self.look("look_now", &self.unified_side()),
            self.look("look_legacy", &[&self.legacy]),
        ]
    }

    /// A call of the one of unified.
    pub(super) fn look_now(&self, arguments: &str) -> String {
        format!("{}({arguments})", self.named("look_now"))
    }

    /// A call of the one of legacy.
    pub(super) fn look_legacy(&self, arguments: &str) -> String {
        format!("{}({arguments})", self.named("look_legacy"))
    }

    fn look(&self, word: &str, tables: &[&TableName]) -> Function {
        let tables: Vec<String> = tables
            .iter()
            .map(|table| format!("pg_catalog.to_regclass({})", quote_literal(&table.sql())))
            .collect();
        let name = self.named(word);
        let template = LookFunction {
            name: &name,
            tables: tables.join(", "),
        };
        Function {
            ddl: template.to_string(),
            name,
            callers: Callers::Writers,
        }
    }
}
