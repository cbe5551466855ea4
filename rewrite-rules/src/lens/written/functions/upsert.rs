//! INSERT … ON CONFLICT … DO UPDATE under the legacy name, once unified leads: one row at a time.
//!
//! ```text
//! enter(image, arbiter, names, done) → there, row
//! ```
//!
//! The row that the image is in conflict with, locked and as it is now; or the image, inserted. Each
//! statement in it sees what has been committed meanwhile, so whoever waited for another insert of the
//! same value finds its row. It goes on as long as rows come and go under it, as PostgreSQL's own does:
//! each time around somebody else has committed. What becomes of a row that is there is the client's to say, outside.

use askama::Template;

use super::{Call, Functions, written};
use crate::lens::Function;

/// How often an insert may meet a value that no legacy row has, before that is an error: somebody may
/// have removed the row in between, or it is one that legacy readers never see.
const TRIES_MAX: u32 = 5;

#[derive(Template)]
#[template(path = "steps/enter.sql", escape = "none")]
struct Enter<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    tries_max: u32,
}

impl Functions<'_> {
    pub(super) fn enter(&self) -> Function {
        let name = self.lens.call_name(Call::Enter);
        let template = Enter {
            name: &name,
            f: self,
            tries_max: TRIES_MAX,
        };
        let ddl = template.to_string();
        written(name, ddl)
    }
}
