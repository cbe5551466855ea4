//! What a set of rules has read before, and each of its parts for itself.

use std::sync::Arc;

use super::RuleSet;
use crate::constants::HOLE;
use crate::statement::{Reading, SearchPath};
use crate::template::Templates;

impl RuleSet {
    /// What a text was read as; apart for each search path, which decides what a name means.
    pub(crate) fn reading_kept(&self, text: &str, path: SearchPath) -> Option<Arc<Reading>> {
        let kept = &self.kept;
        match (path, self.part) {
            (SearchPath::AsDeclared, 0) => kept.readings[0].get(text),
            (SearchPath::Unknown, 0) => kept.readings[1].get(text),
            (_, part) => kept.elsewhere.get(&(part, path, text.to_owned())),
        }
    }

    pub(crate) fn keep_reading(&self, text: &str, path: SearchPath, reading: Arc<Reading>) {
        let (kept, text) = (&self.kept, text.to_owned());
        match (path, self.part) {
            (SearchPath::AsDeclared, 0) => kept.readings[0].insert(text, reading),
            (SearchPath::Unknown, 0) => kept.readings[1].insert(text, reading),
            (_, part) => kept.elsewhere.insert((part, path, text), reading),
        }
    }

    pub(crate) fn templates_kept(&self, form: &str) -> Option<Arc<Templates>> {
        match self.part {
            0 => self.kept.templates.get(form),
            part => self.kept.templates.get(&of_part(part, form)),
        }
    }

    pub(crate) fn keep_templates(&self, form: String, templates: Arc<Templates>) {
        let form = match self.part {
            0 => form,
            part => of_part(part, &form),
        };
        self.kept.templates.insert(form, templates);
    }
}

/// A form as one part of the rules keeps it. No text begins so.
fn of_part(part: u64, form: &str) -> String {
    format!("{HOLE}{part}{HOLE}{form}")
}
