//! What stands behind a TRUNCATE: all rows of a lens, on both sides or, once nobody writes legacy any more, of unified
//! alone.

use askama::Template;

use super::{Callers, Function, Lens, Work, quote_literal};

#[derive(Template)]
#[template(path = "truncate.sql", escape = "none")]
struct Truncate<'a> {
    name: &'a str,
    legacy: String,
    /// The statement that removes the unified rows.
    remove_all: &'a str,
}

/// Literals stand for the names of the tables.
#[derive(Template)]
#[template(path = "empty.sql", escape = "none")]
struct Empty<'a> {
    name: &'a str,
    legacy: String,
    unified: String,
    denied: String,
    remove_all: &'a str,
    /// The tables that the legacy rows are of, as a list of values.
    own: String,
    /// The legacy table as errors call it.
    called: String,
}

impl Lens {
    /// The delete of every unified row that legacy readers see.
    pub(super) fn remove_all(&self) -> String {
        let condition = self.visible_condition(Self::ROW);
        format!(
            "DELETE FROM {} AS {} WHERE {}",
            self.unified,
            Self::ROW,
            condition.unwrap_or_else(|| "true".to_owned())
        )
    }

    pub(super) fn truncate(&self, remove_all: &str) -> Function {
        let name = self.function_name(Work::Truncate);
        let template = Truncate {
            name: &name,
            legacy: self.legacy.sql(),
            remove_all,
        };
        Function {
            ddl: template.to_string(),
            name,
            callers: Callers::Writers,
        }
    }

    pub(super) fn empty(&self, remove_all: &str) -> Function {
        let name = self.function_name(Work::Empty);
        let template = Empty {
            name: &name,
            legacy: quote_literal(&self.legacy.sql()),
            unified: quote_literal(&self.unified.sql()),
            denied: quote_literal(&format!("permission denied for table {}", self.legacy.name)),
            remove_all,
            own: self
                .unified_side()
                .iter()
                .map(|table| format!("pg_catalog.to_regclass({})", quote_literal(&table.sql())))
                .collect::<Vec<_>>()
                .join(", "),
            called: quote_literal(&self.legacy.name),
        };
        Function {
            ddl: template.to_string(),
            name,
            callers: Callers::Writers,
        }
    }
}
