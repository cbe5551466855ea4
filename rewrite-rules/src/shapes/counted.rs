//! The counters, by shape.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::calls::Calls;

#[derive(Default)]
pub(crate) struct Shapes(pub(super) Mutex<CountedShapes>);

#[derive(Default)]
pub(super) struct CountedShapes {
    pub(super) shapes: HashMap<String, ShapeTexts>,
    pub(super) later: Vec<(String, Arc<Calls>)>,
    pub(super) later_bytes: usize,
}

/// One shape's texts. A text that is no longer kept anywhere else comes no more.
#[derive(Default)]
pub(super) struct ShapeTexts {
    pub(super) texts: Vec<Arc<Calls>>,
    /// Of texts that come no more.
    calls: u64,
}

impl ShapeTexts {
    pub(super) fn add(&mut self, calls: Arc<Calls>) {
        // Doubling, so that looking for the dead costs a constant for each text.
        if self.texts.len() == self.texts.capacity() {
            self.settle();
        }
        self.texts.push(calls);
    }

    fn settle(&mut self) {
        let calls = &mut self.calls;
        self.texts.retain(|text| {
            let lives = Arc::strong_count(text) > 1;
            if !lives {
                *calls += text.take();
            }
            lives
        });
    }

    pub(super) fn take(&mut self) -> u64 {
        self.settle();
        let living: u64 = self.texts.iter().map(|text| text.take()).sum();
        living + std::mem::take(&mut self.calls)
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
