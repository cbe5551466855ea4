//! The distinct statements that name a managed table, with their values taken out, and how often
//! each of them came: what `coverage` judges before a step is taken.

mod counted;
mod shape;

use std::sync::Arc;

use crate::bind::table_refs;
use crate::calls::{Calls, Tally};
use crate::phase::Phase;
use crate::rewrite::texts;
use crate::rule_set::RuleSet;
use crate::text::tree::Tree;
use counted::ShapeTexts;
pub(crate) use counted::Shapes;
pub use shape::{shape, shape_of_beginning, statements};

/// An application has hundreds of statements; one that builds its texts from parts may have any
/// number, and the first thousands of those say enough.
const SHAPES_MAX: usize = 5_000;

/// Texts whose shape is found when it is asked for, and not while a client waits: that costs as much
/// as reading them did. Nobody asks where no control connection is set.
const LATER_TEXTS_MAX: usize = 2_000;
const LATER_BYTES_MAX: usize = 4 << 20;

/// A shape, and what was counted of its texts since it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedShape {
    /// Without constants and comments; `None`: of all those whose shape found no room.
    pub statement: Option<String>,
    /// The migration whose table it names, and the phase that it was read by.
    pub migration: String,
    pub phase: Option<Phase>,
    pub tally: Tally,
}

impl Shapes {
    /// The counter of a text.
    fn calls(&self, text: &str, migration: &str, set: &RuleSet) -> Arc<Calls> {
        let calls = Arc::new(Calls::of(migration.to_owned()));
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
        let counted = &mut *self.lock();
        if let Some(known) = counted.shapes.get_mut(&shape) {
            known.add(calls);
        } else if counted.shapes.len() < SHAPES_MAX {
            counted.shapes.entry(shape).or_default().add(calls);
        } else {
            counted.others.add(calls);
        }
    }

    fn take(&self, set: &RuleSet) -> Vec<CountedShape> {
        let later = {
            let mut counted = self.lock();
            counted.later_bytes = 0;
            std::mem::take(&mut counted.later)
        };
        for (text, calls) in later {
            self.sort(&text, calls, set);
        }
        let mut taken = Vec::new();
        let mut take = |statement: Option<&String>, counted: &mut ShapeTexts| {
            let tally = counted.take();
            if !tally.is_empty() {
                taken.push(CountedShape {
                    statement: statement.cloned(),
                    phase: set.migration(&counted.migration).map(|m| m.phase),
                    migration: counted.migration.clone(),
                    tally,
                });
            }
        };
        let counted = &mut *self.lock();
        counted.shapes.retain(|shape, counted| {
            take(Some(shape), counted);
            !counted.texts.is_empty()
        });
        take(None, &mut counted.others);
        taken
    }
}

impl RuleSet {
    /// The counter for a text that names a managed table, in whatever phase; `None` for others.
    pub(crate) fn calls_of(&self, text: &str, tree: &Tree) -> Option<Arc<Calls>> {
        let mut named = None;
        let names = tree.list("stmts").iter().any(|raw| {
            texts::name_legacy(raw.get("stmt"), self)
                || table_refs(raw.get("stmt")).iter().any(|found| {
                    named = self.migrations().iter().find(|migration| {
                        migration.tables.iter().any(|lens| {
                            found.table() == lens.legacy.name
                                && found
                                    .schema()
                                    .is_none_or(|schema| schema == lens.legacy.schema)
                        })
                    });
                    named.is_some()
                })
        });
        let migration = named.map_or("", |migration| &migration.name);
        names.then(|| self.shapes.calls(text, migration, self))
    }

    /// The statements that came since the last call, and how often each did. Takes some tenths of a
    /// second after thousands of new texts.
    #[must_use]
    pub fn take_statements(&self) -> Vec<CountedShape> {
        self.shapes.take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(shapes: &Shapes, set: &RuleSet) -> Vec<(Option<String>, u64)> {
        let all = shapes.take(set).into_iter();
        all.map(|shape| (shape.statement, shape.tally.calls))
            .collect()
    }

    fn selects(calls: u64) -> (Option<String>, u64) {
        (Some("SELECT $1".to_owned()), calls)
    }

    #[test]
    fn every_text_is_counted_with_its_shape_however_many_come() {
        let shapes = Shapes::default();
        let set = RuleSet::empty();
        let total = LATER_TEXTS_MAX as u64 + 10;
        for number in 0..total {
            // Nobody keeps the counter: the text comes no more, but it came.
            shapes.calls(&format!("SELECT {number}"), "", &set).add();
        }
        assert_eq!(taken(&shapes, &set), [selects(total)]);
        assert_eq!(taken(&shapes, &set), []);
        assert!(shapes.lock().shapes.is_empty(), "nothing is left of them");
    }

    #[test]
    fn a_text_that_is_kept_counts_on() {
        let shapes = Shapes::default();
        let set = RuleSet::empty();
        let kept = shapes.calls("SELECT 1", "", &set);
        kept.add();
        shapes.calls("SELECT 2", "", &set).add();
        assert_eq!(taken(&shapes, &set), [selects(2)]);
        kept.add();
        assert_eq!(taken(&shapes, &set), [selects(1)]);
        assert_eq!(taken(&shapes, &set), []);
    }

    #[test]
    fn what_finds_no_room_is_counted_together() {
        let shapes = Shapes::default();
        let set = RuleSet::empty();
        let more = 3;
        for number in 0..SHAPES_MAX + more {
            let calls = shapes.calls(&format!("SELECT a{number}"), "m", &set);
            calls.add();
            calls.returned(2);
        }
        let all = shapes.take(&set);
        assert_eq!(all.len(), SHAPES_MAX + 1);
        let others = all.last().expect("those without room");
        assert_eq!(others.statement, None);
        assert_eq!((others.tally.calls, others.tally.rows), (3, 6));
    }
}
