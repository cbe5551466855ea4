//! A rule file as written: TOML, with the place of every value so that errors can point at it.
//!
//! Nothing here knows what the values mean; `RuleSet::compile` checks them and builds lenses.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    pub migration: MigrationPart,
    #[serde(default, rename = "table")]
    pub tables: Vec<Spanned<TablePart>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrationPart {
    pub name: Spanned<String>,
    pub phase: Spanned<String>,
    /// `record` or `refuse`; absent means the phase's own default.
    pub on_unified_error: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TablePart {
    pub legacy: Spanned<String>,
    pub unified: Spanned<String>,
    pub key: Spanned<Vec<Spanned<String>>>,
    /// SQL over unified columns: which unified rows exist for legacy readers.
    pub visible: Option<Spanned<String>>,
    pub columns: Ordered<Spanned<ColumnPart>>,
    /// Unified columns that legacy lacks: SQL over the legacy row, used when a row is first put.
    #[serde(default)]
    pub constants: Ordered<Spanned<String>>,
    /// Legacy constraint = the unified constraint that stands for it.
    #[serde(default)]
    pub constraints: Ordered<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnPart {
    #[serde(rename = "type")]
    pub sql_type: Spanned<String>,
    /// The unified column's name, when it differs.
    pub unified: Option<Spanned<String>>,
    /// The unified column's type, when it differs.
    pub unified_type: Option<Spanned<String>>,
    /// SQL for the value of an INSERT that names no value, as in the legacy table's definition.
    pub default: Option<Spanned<String>>,
    /// Legacy value = unified value.
    pub values: Option<Ordered<Spanned<String>>>,
    /// A BEFORE trigger on both tables sets this column on every update.
    #[serde(default)]
    pub set_by_trigger: bool,
    /// `false`: verify does not compare this column.
    #[serde(default = "yes")]
    pub verify: bool,
}

fn yes() -> bool {
    true
}

/// A TOML table with its entries in the order of the file.
#[derive(Debug)]
pub(crate) struct Ordered<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// 1-based line and column (in characters) of a byte offset.
pub(crate) fn line_and_column(text: &str, span: &Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}
