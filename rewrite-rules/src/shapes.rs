//! The distinct statements that name a managed table, with their values taken out, and how often
//! each of them came: what `coverage` judges before a step is taken.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::rule_set::RuleSet;
use crate::tree::Tree;
use crate::walk::table_refs;

/// An application has hundreds of statements; one that builds its texts from parts may have any
/// number, and the first thousands of those say enough.
const SHAPES_MAX: usize = 5_000;

/// How often a statement came since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Calls(AtomicU64);

impl Calls {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(crate) struct Shapes(Mutex<HashMap<String, Arc<Calls>>>);

impl fmt::Debug for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shapes", self.lock().len())
    }
}

impl Shapes {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Calls>>> {
        // A map of counters is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counter of a shape; `None` when there are too many to keep one more.
    fn calls(&self, shape: String) -> Option<Arc<Calls>> {
        let mut shapes = self.lock();
        if shapes.len() >= SHAPES_MAX && !shapes.contains_key(&shape) {
            return None;
        }
        Some(Arc::clone(shapes.entry(shape).or_default()))
    }
}

impl RuleSet {
    /// The counter for a text that names a managed table, in whatever phase; `None` for others.
    pub(crate) fn calls_of(&self, text: &str, tree: &Tree) -> Option<Arc<Calls>> {
        let names = tree.list("stmts").iter().any(|raw| {
            table_refs(raw.get("stmt")).iter().any(|found| {
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
        let shape = names.then(|| pg_query::normalize(text).ok()).flatten()?;
        self.shapes.calls(shape)
    }

    /// The statements that came since the last call, and how often each did.
    #[must_use]
    pub fn take_statements(&self) -> Vec<(String, u64)> {
        let shapes = self.shapes.lock();
        let taken = shapes
            .iter()
            .map(|(shape, calls)| (shape.clone(), calls.0.swap(0, Ordering::Relaxed)));
        taken.filter(|(_, calls)| *calls > 0).collect()
    }
}
