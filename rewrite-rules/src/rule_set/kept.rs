//! What is kept of the texts that were read: bounded by number and by bytes.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use quick_cache::sync::Cache;

use crate::statement::{Reading, SearchPath};
use crate::template::Templates;

/// Distinct texts whose rewrite is kept. Applications send hundreds; a text with inlined values
/// is new each time and must push out others of its kind, not grow the process.
pub(super) const READINGS_MAX: usize = 10_000;

/// The memory that they may take, and as much for each other kind of what is kept: a bulk load comes as
/// thousands of long texts, of which none comes twice.
pub(super) const KEPT_BYTES_MAX: u64 = 64 << 20;

/// What is kept, by the bytes that it takes.
type Bounded<K, V> = Cache<K, Arc<V>, Bytes>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes;

impl quick_cache::Weighter<String, Arc<Reading>> for Bytes {
    fn weight(&self, text: &String, reading: &Arc<Reading>) -> u64 {
        (text.len() + reading.bytes()) as u64
    }
}

/// A text as a part of the rules reads it, under a path.
type Elsewhere = (u64, SearchPath, String);

impl quick_cache::Weighter<Elsewhere, Arc<Reading>> for Bytes {
    fn weight(&self, (_, _, text): &Elsewhere, reading: &Arc<Reading>) -> u64 {
        (size_of::<Elsewhere>() + text.len() + reading.bytes()) as u64
    }
}

impl quick_cache::Weighter<String, Arc<Templates>> for Bytes {
    fn weight(&self, form: &String, templates: &Arc<Templates>) -> u64 {
        (form.len() + templates.bytes()) as u64
    }
}

fn bounded<K: Eq + std::hash::Hash, V>() -> Bounded<K, V>
where
    Bytes: quick_cache::Weighter<K, Arc<V>>,
{
    Cache::with_weighter(READINGS_MAX, KEPT_BYTES_MAX, Bytes)
}

/// What is kept of the texts that were read, for all parts of the rules.
pub(super) struct Readings {
    pub(super) readings: [Bounded<String, Reading>; 2],
    /// Those of the sessions in which names mean something else, by what they mean, and those by parts.
    pub(super) elsewhere: Bounded<Elsewhere, Reading>,
    /// What is made of texts that differ in constants alone, by their form.
    pub(super) templates: Bounded<String, Templates>,
    /// How many parts there have been.
    pub(super) parts: AtomicU64,
}

impl Readings {
    pub(super) fn nothing() -> Readings {
        Readings {
            readings: [bounded(), bounded()],
            elsewhere: bounded(),
            templates: bounded(),
            parts: AtomicU64::new(0),
        }
    }
}
