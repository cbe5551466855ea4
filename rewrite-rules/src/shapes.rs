//! The distinct statements that name a managed table, with their values taken out, and how often
//! each of them came: what `coverage` judges before a step is taken.

mod counted;
mod shape;

use std::sync::Arc;

use crate::bind::table_refs;
use crate::calls::Calls;
use crate::rewrite::texts;
use crate::rule_set::RuleSet;
use crate::text::tree::Tree;
pub(crate) use counted::Shapes;
pub use shape::{shape, statements};

/// An application has hundreds of statements; one that builds its texts from parts may have any
/// number, and the first thousands of those say enough.
const SHAPES_MAX: usize = 5_000;

/// Texts whose shape is found when it is asked for, and not while a client waits: that costs as much
/// as reading them did. Nobody asks where no control connection is set.
const LATER_TEXTS_MAX: usize = 2_000;
const LATER_BYTES_MAX: usize = 4 << 20;

impl Shapes {
    /// The counter of a text.
    fn calls(&self, text: &str, set: &RuleSet) -> Arc<Calls> {
        let calls = Arc::new(Calls::default());
        let mut counted = self.lock();
        let bytes = counted.later_bytes + text.len();
        if counted.later.len() < LATER_TEXTS_MAX && bytes <= LATER_BYTES_MAX {
            counted.later_bytes = bytes;
            counted.later.push((text.to_owned(), Arc::clone(&calls)));
        } else {
            drop(counted);
            self.sort(text, Arc::clone(&calls), set);
        }
        calls
    }

    /// Puts a text's counter with its shape, unless there are too many to keep one more.
    fn sort(&self, text: &str, calls: Arc<Calls>, set: &RuleSet) {
        let Some(shape) = texts::shape(text, set).or_else(|| shape(text)) else {
            return;
        };
        let shapes = &mut self.lock().shapes;
        if let Some(known) = shapes.get_mut(&shape) {
            known.add(calls);
        } else if shapes.len() < SHAPES_MAX {
            shapes.entry(shape).or_default().add(calls);
        }
    }

    fn take(&self, set: &RuleSet) -> Vec<(String, u64)> {
        let later = {
            let mut counted = self.lock();
            counted.later_bytes = 0;
            std::mem::take(&mut counted.later)
        };
        for (text, calls) in later {
            self.sort(&text, calls, set);
        }
        let mut taken = Vec::new();
        self.lock().shapes.retain(|shape, counted| {
            let calls = counted.take();
            if calls > 0 {
                taken.push((shape.clone(), calls));
            }
            !counted.texts.is_empty()
        });
        taken
    }
}

impl RuleSet {
    /// The counter for a text that names a managed table, in whatever phase; `None` for others.
    pub(crate) fn calls_of(&self, text: &str, tree: &Tree) -> Option<Arc<Calls>> {
        let names = tree.list("stmts").iter().any(|raw| {
            texts::name_legacy(raw.get("stmt"), self)
                || table_refs(raw.get("stmt")).iter().any(|found| {
                    self.migrations()
                        .iter()
                        .flat_map(|migration| &migration.tables)
                        .any(|lens| {
                            found.table() == lens.legacy.name
                                && found
                                    .schema()
                                    .is_none_or(|schema| schema == lens.legacy.schema)
                        })
                })
        });
        names.then(|| self.shapes.calls(text, self))
    }

    /// The statements that came since the last call, and how often each did. Takes some tenths of a
    /// second after thousands of new texts.
    #[must_use]
    pub fn take_statements(&self) -> Vec<(String, u64)> {
        self.shapes.take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_counted_with_its_shape_however_many_come() {
        let shapes = Shapes::default();
        let set = RuleSet::empty();
        let total = LATER_TEXTS_MAX as u64 + 10;
        for number in 0..total {
            // Nobody keeps the counter: the text comes no more, but it came.
            shapes.calls(&format!("SELECT {number}"), &set).add();
        }
        assert_eq!(shapes.take(&set), [("SELECT $1".to_owned(), total)]);
        assert_eq!(shapes.take(&set), []);
        assert!(shapes.lock().shapes.is_empty(), "nothing is left of them");
    }

    #[test]
    fn a_text_that_is_kept_counts_on() {
        let shapes = Shapes::default();
        let set = RuleSet::empty();
        let kept = shapes.calls("SELECT 1", &set);
        kept.add();
        shapes.calls("SELECT 2", &set).add();
        assert_eq!(shapes.take(&set), [("SELECT $1".to_owned(), 2)]);
        kept.add();
        assert_eq!(shapes.take(&set), [("SELECT $1".to_owned(), 1)]);
        assert_eq!(shapes.take(&set), []);
    }
}
