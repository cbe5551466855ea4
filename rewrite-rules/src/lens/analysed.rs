//! Statements that use everything a lens names, for a server that is only to say whether it
//! understands them. Nobody runs them: what is misspelt in a rule file is known without a row.

use super::model::Kind;
use super::{Lens, Step, Written, quote_ident};
use crate::lens::list;

/// A statement to be prepared, and the part of the rule file that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysed {
    pub part: &'static str,
    pub sql: String,
}

impl Lens {
    /// One for each part of the lens.
    #[must_use]
    pub fn analysed(&self) -> Vec<Analysed> {
        let read = Analysed {
            part: "read",
            sql: self.read_judged(),
        };
        match &self.kind {
            Kind::Columns(_) => {
                let put = Analysed {
                    part: "put",
                    sql: format!(
                        "WITH cf_images AS ({}) {}",
                        self.no_images(),
                        self.put_from("cf_images")
                    ),
                };
                vec![read, put]
            }
            Kind::Steps(written) => {
                let steps = self.steps_analysed(written);
                std::iter::once(read).chain(steps).collect()
            }
            // Its columns are all that it has, and these are compared one by one.
            Kind::InPlace(_) => Vec::new(),
        }
    }

    /// Steps that follow each other, as one statement: each is read with what the earlier ones
    /// return in scope, as in the functions that run them.
    fn steps_analysed(&self, written: &Written) -> Vec<Analysed> {
        let parts = [
            ("put", &written.put),
            ("remove", &written.remove),
            ("rekey", &written.rekey),
        ];
        let parts = parts.into_iter().filter(|(_, steps)| !steps.is_empty());
        parts
            .map(|(part, steps)| {
                let images = self.no_images();
                let mut with = vec![
                    format!("row_image AS ({images})"),
                    format!("old_image AS ({images})"),
                ];
                with.extend((1..).zip(steps).map(|(number, step)| named(number, step)));
                Analysed {
                    part,
                    sql: format!("WITH {} SELECT", with.join(", ")),
                }
            })
            .collect()
    }

    /// A relation of row images without a row.
    fn no_images(&self) -> String {
        let columns = self.columns.iter().map(|column| {
            let name = quote_ident(&column.name);
            format!("NULL::{} AS {name}", column.sql_type)
        });
        let columns = list(columns);
        format!("SELECT {} WHERE false", columns)
    }
}

fn named(number: usize, step: &Step) -> String {
    let name = match &step.name {
        Some(name) => quote_ident(name),
        None => format!("cf_step_{number}"),
    };
    format!("{name} AS ({})", step.sql)
}
