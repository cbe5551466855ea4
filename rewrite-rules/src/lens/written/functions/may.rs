//! Whether a client may write at all, which PostgreSQL asks before it looks for a row.
//!
//! To the server the statement that calls the lens's functions is a SELECT, and functions that are given no row
//! ask for no right. So this is the condition under which they are called: it is the same for every row, and the
//! server evaluates it before anything else.

use askama::Template;

use super::{Call, Functions, written};
use crate::lens::{Function, quote_literal};

#[derive(Template)]
#[template(path = "steps/may_write.sql", escape = "none")]
struct MayWrite<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    /// Literals.
    legacy: String,
    unified: String,
    denied: String,
}

impl Functions<'_> {
    pub(super) fn may_write(&self) -> Function {
        let lens = self.lens;
        let name = lens.call_name(Call::MayWrite);
        let template = MayWrite {
            name: &name,
            f: self,
            legacy: quote_literal(&lens.legacy.sql()),
            unified: quote_literal(&lens.unified.sql()),
            denied: quote_literal(&format!("permission denied for table {}", lens.legacy.name)),
        };
        let ddl = template.to_string();
        written(name, ddl)
    }
}
