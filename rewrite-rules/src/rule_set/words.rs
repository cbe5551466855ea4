//! The words that every text is searched for: whoever has none of them passes unread.

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::migration::Migration;
use crate::lens::TableName;
use crate::phase::Phase;
use crate::text_functions::WHOLE_SCHEMAS;

/// Spells a name by its code points, so that any name may follow.
const ESCAPED_NAME: &str = "u&\"";

/// The words that a text is searched for, how many of the first can spell a managed name, and how many of these are
/// such names themselves.
pub(super) fn words(migrations: &[Migration]) -> (Vec<String>, usize, usize) {
    let mut words: Vec<String> = Vec::new();
    let mut watched: Vec<String> = Vec::new();
    for migration in migrations {
        for lens in &migration.tables {
            if migration.holds_unified_writes() {
                let unified = lens.unified_tables();
                watched.extend(unified.iter().map(|t| t.name.replace('"', "\"\"")));
            }
            if migration.phase == Phase::LegacyOnly {
                watched.push(lens.legacy.name.replace('"', "\"\""));
            } else {
                words.push(lens.legacy.name.clone());
            }
            if migration.phase != Phase::LegacyOnly {
                words.extend(lens.constraint_names().map(str::to_owned));
            }
            // Without a tenant it means what no legacy reader may have, in every phase.
            let shared = lens.is_of_any_tenant() && migration.phase != Phase::LegacyOnly;
            if migration.phase.writes_both() || shared {
                words.extend(lens.unified_tables().iter().map(|t| t.name.clone()));
            }
        }
        let called = migration
            .functions
            .iter()
            .map(|f| f.legacy.name.name.clone());
        if migration.phase != Phase::LegacyOnly {
            words.extend(called);
        }
    }
    let spelled_words = words.len();
    for (words, managed) in [(&mut words, true), (&mut watched, false)] {
        let is_managed = |m: &Migration| (m.phase != Phase::LegacyOnly) == managed;
        if migrations.iter().any(is_managed) {
            words.extend(WHOLE_SCHEMAS.iter().map(|word| (*word).to_owned()));
        }
    }
    let mut naming_words = words.len();
    if !words.is_empty() {
        // Quotes in a name are doubled in SQL, and a U& escape can spell any name.
        words
            .iter_mut()
            .for_each(|word| *word = word.replace('"', "\"\""));
        words.push(ESCAPED_NAME.to_owned());
        naming_words = words.len();
    }
    if !migrations.is_empty() {
        // In `legacy_only` too: what a session did there holds in the phases to come.
        words.extend(SESSION_WORDS.iter().map(|word| (*word).to_owned()));
    }
    if !watched.is_empty() {
        watched.push(ESCAPED_NAME.to_owned());
    }
    words.append(&mut watched);
    (words, naming_words, spelled_words)
}

/// The managed tables of either side, each once and in order.
pub(super) fn path_names(migrations: &[Migration]) -> Vec<TableName> {
    let lenses = migrations.iter().flat_map(|migration| &migration.tables);
    let tables = lenses.flat_map(|lens| {
        let unified = lens.unified_tables().into_iter().cloned();
        unified.chain([lens.legacy.clone()])
    });
    let mut names: Vec<TableName> = tables.collect();
    names.sort();
    names.dedup();
    names
}

pub(super) fn finder(words: &[String]) -> Option<AhoCorasick> {
    (!words.is_empty()).then(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            // The fastest kind. It takes most memory, of which few words need little.
            .kind(Some(AhoCorasickKind::DFA))
            // Looking ahead for a rare letter stops too often in texts as short as these.
            .prefilter(false)
            .build(words)
            .expect("a handful of short words is within the automaton's limits")
    })
}

/// Words that the session must see whatever they name: they make, run or end prepared statements.
/// What changes the meaning of names is seen by [`touch`](crate::touch).
const SESSION_WORDS: [&str; 4] = ["prepare", "execute", "deallocate", "discard"];
