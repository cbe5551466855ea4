//! The counters, by shape.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::calls::{Calls, Tally};

#[derive(Default)]
pub(crate) struct Shapes(pub(super) Mutex<CountedShapes>);

#[derive(Default)]
pub(super) struct CountedShapes {
    pub(super) shapes: HashMap<String, ShapeTexts>,
    pub(super) later: Vec<(String, Arc<Calls>)>,
    pub(super) later_bytes: usize,
    /// Of texts whose shape found no room.
    pub(super) others: ShapeTexts,
}

/// One shape's texts. A text that is no longer kept anywhere else comes no more.
#[derive(Default)]
pub(super) struct ShapeTexts {
    pub(super) texts: Vec<Arc<Calls>>,
    /// The migration that the first of them names.
    pub(super) migration: String,
    /// Of texts that come no more.
    gone: Tally,
}

impl ShapeTexts {
    pub(super) fn add(&mut self, calls: Arc<Calls>) {
        // Doubling, so that looking for the dead costs a constant for each text.
        if self.texts.len() == self.texts.capacity() {
            self.settle();
        }
        if self.migration.is_empty() {
            self.migration.clone_from(&calls.migration);
        }
        self.texts.push(calls);
    }

    fn settle(&mut self) {
        let gone = &mut self.gone;
        self.texts.retain(|text| {
            let lives = Arc::strong_count(text) > 1;
            if !lives {
                *gone += text.take();
            }
            lives
        });
    }

    pub(super) fn take(&mut self) -> Tally {
        self.settle();
        let mut all = std::mem::take(&mut self.gone);
        for text in &self.texts {
            all += text.take();
        }
        all
    }
}

impl fmt::Debug for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shapes", self.lock().shapes.len())
    }
}

impl Shapes {
    pub(super) fn lock(&self) -> MutexGuard<'_, CountedShapes> {
        // A map of counters is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
