//! What a lens looks up for one row, as statements to EXPLAIN: whoever knows the database sees in
//! their plans which look-ups have no index.
//!
//! ```text
//! read     SELECT … FROM (read) WHERE key = the row's
//! put      WITH row_image AS (a legacy row), person AS (step 1) step 2     one for each step
//! ```
//!
//! They are never run: a step would write.

use super::Step;
use super::{Lens, quote_ident};
use crate::lens::all_of;

/// One statement of a lens, for one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// `read`, or which step of which list.
    pub what: String,
    pub sql: String,
}

impl Lens {
    /// The look-ups of a written lens; those of one that is derived go by the keys of both tables.
    #[must_use]
    pub fn lookups(&self) -> Vec<Lookup> {
        let Some(written) = self.steps() else {
            return Vec::new();
        };
        // Not merged into the rest of the plan: it stands for whatever row there is.
        let image = |name: &str| {
            format!(
                "{name} AS MATERIALIZED (SELECT * FROM {} LIMIT 1)",
                self.legacy
            )
        };
        let same_key = all_of(
            self.legacy_key()
                .iter()
                .map(|key| format!("cf_l.{key} = (SELECT {key} FROM row_image)")),
        );
        let read = Lookup {
            what: "read".to_owned(),
            sql: format!(
                "WITH {} SELECT * FROM ({}) AS cf_l WHERE {}",
                image("row_image"),
                self.read(),
                same_key
            ),
        };
        let old_and_new = vec![image("row_image"), image("old_image")];
        let lists = [
            ("put", &written.put, vec![image("row_image")]),
            ("remove", &written.remove, vec![image("row_image")]),
            ("rekey", &written.rekey, old_and_new),
        ];
        let steps = lists
            .into_iter()
            .flat_map(|(list, steps, images)| of_steps(list, steps, images));
        std::iter::once(read).chain(steps).collect()
    }
}

fn of_steps(list: &str, steps: &[Step], mut relations: Vec<String>) -> Vec<Lookup> {
    let mut all = Vec::new();
    for (number, step) in (1..).zip(steps) {
        let what = match &step.name {
            Some(name) => format!("step {name} of `{list}`"),
            None => format!("step {number} of `{list}`"),
        };
        all.push(Lookup {
            what,
            sql: format!("WITH {} {}", relations.join(", "), step.sql),
        });
        if let Some(name) = step.name.as_ref().filter(|_| !step.returning.is_empty()) {
            relations.push(format!("{} AS ({})", quote_ident(name), step.sql));
        }
    }
    all
}
