//! The operator's steps as statements of a function that follow each other (`templates/steps/run.sql`).

use super::{Call, Functions};
use crate::lens::{Step, list, quote_ident, quote_literal};

/// A step, with the relations that it may name.
pub(super) struct Stepped<'a> {
    pub relations: String,
    pub sql: &'a str,
    pub locks: Option<&'a str>,
    pub kept: Option<StepResult>,
}

/// Where later steps find what a step returned.
pub(super) struct StepResult {
    pub variable: String,
    /// What is said if it returned several rows, of a step that others name.
    pub too_many: Option<String>,
}

impl<'f> Functions<'f> {
    /// Steps over the images in variables, each of them a relation of a name.
    pub(super) fn steps(&self, steps: &'f [Step], images: &[(&str, &str)]) -> Vec<Stepped<'f>> {
        let images = images.iter();
        let mut relations: Vec<String> = images
            .map(|(name, variable)| format!("{name} AS (SELECT ({variable}).*)"))
            .collect();
        let mut all = Vec::new();
        for (number, step) in (1..).zip(steps) {
            let known = relations.join(", ");
            let kept = (!step.returning.is_empty()).then(|| {
                let variable = format!("cf_step_{number}");
                let too_many = step.name.as_ref().map(|name| {
                    relations.push(returned(step, name, &variable));
                    quote_literal(&format!(
                        "step {name} of {} returned % rows for one row image; expected at most one",
                        self.lens.legacy.name
                    ))
                });
                StepResult { variable, too_many }
            });
            all.push(Stepped {
                relations: known,
                sql: &step.sql,
                locks: step.locks.as_deref(),
                kept,
            });
        }
        all
    }

    /// The call that makes `lastval()` what it was.
    pub(super) fn keeps_last(&self) -> String {
        self.lens.call(Call::KeepLast, "cf_last")
    }
}

/// What a step returned, as a relation of its name.
fn returned(step: &Step, name: &str, kept: &str) -> String {
    let columns = step.returning.iter().map(|column| quote_ident(column));
    let columns = list(columns.map(|column| format!("{kept}.{column} AS {column}")));
    format!(
        "{} AS (SELECT {} WHERE {kept}.cf_rows > 0)",
        quote_ident(name),
        columns
    )
}
