//! `lastval()` behind the steps of a lens: what it was before them.
//!
//! The steps draw ids for the unified rows, from sequences that the client knows nothing of. Its next
//! `SELECT lastval()`, by which some drivers ask for the id of the row that they have just inserted, would
//! tell one of these. Only drawing a number makes it the last one: so a temporary sequence of the session
//! draws the client's own once more. Where there was none, the sequence goes at once, and `lastval()` is not
//! defined, as before.
//!
//! Two commands on the catalog for each row, and what event triggers do behind them: connections of our own, which
//! never ask and put many rows, say so (`SET crossfade.lastval = 'off'`) and are spared it.

use askama::Template;

use super::{Call, Functions, written};
use crate::lens::Function;

#[derive(Template)]
#[template(path = "steps/keep_last.sql", escape = "none")]
struct KeepLast<'a> {
    name: &'a str,
}

impl Functions<'_> {
    pub(super) fn keep_last(&self) -> Function {
        let name = self.lens.call_name(Call::KeepLast);
        let ddl = KeepLast { name: &name }.to_string();
        written(name, ddl)
    }
}
