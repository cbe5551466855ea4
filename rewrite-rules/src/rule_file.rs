//! A rule file as written: TOML, with the place of every value so that errors can point at it.
//!
//! Nothing here knows what the values mean; `RuleSet::compile` checks them and builds lenses.

pub(crate) mod schema;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    pub migration: MigrationPart,
    pub prepare: Option<PreparePart>,
    #[serde(default, rename = "table")]
    pub tables: Vec<Spanned<TablePart>>,
    #[serde(default, rename = "function")]
    pub functions: Vec<FunctionPart>,
}

/// A function that clients call by a name, or with argument names, which it will not keep. Both are
/// signatures: `schema.name(first_argument, second_argument)`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionPart {
    pub legacy: Spanned<String>,
    pub unified: Spanned<String>,
}

/// What the migration needs beside the two sides: tables that tie the rows of one to the other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreparePart {
    /// Tables that only the lenses write.
    #[serde(default)]
    pub crosswalk: Vec<Spanned<String>>,
    /// Their DDL, run by every `crossfade prepare`.
    pub sql: Spanned<String>,
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
    pub legacy: Option<Spanned<String>>,
    pub unified: Option<Spanned<Unified>>,
    /// In place of both: a table that stays, and columns of which move to others.
    pub in_place: Option<Spanned<String>>,
    /// Tables that the SQL below looks things up in, and no lens writes.
    #[serde(default)]
    pub lookup: Vec<Spanned<String>>,
    pub key: Spanned<Vec<Spanned<String>>>,
    /// Policies of the tables let roles update rows that they may not insert: rows that are there
    /// are updated, never inserted over.
    #[serde(default)]
    pub row_security: bool,
    /// SQL over unified columns: which unified rows exist for legacy readers.
    pub visible: Option<Spanned<String>>,
    /// A name, or several with commas between them that are declared alike.
    pub columns: Ordered<Spanned<Declared>>,
    /// Unified columns that legacy lacks: SQL over the legacy row, used when a row is first put.
    #[serde(default)]
    pub constants: Ordered<Spanned<String>>,
    /// Legacy constraint = the unified constraint that stands for it.
    #[serde(default)]
    pub constraints: Ordered<Spanned<String>>,
    /// Name of a CHECK of the legacy table = its condition, which holds on after it is left.
    #[serde(default)]
    pub checks: Ordered<Spanned<String>>,
    /// A query over unified tables that yields the legacy rows. With it the lens is written, not
    /// derived from the columns.
    pub read: Option<Spanned<String>>,
    /// What brings one legacy row image into the unified tables, in this order.
    #[serde(default)]
    pub put: Vec<StepPart>,
    /// What is done for a legacy row image that is gone, in this order.
    #[serde(default)]
    pub remove: Vec<StepPart>,
}

/// One table, or several for a lens that is written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Unified {
    One(String),
    Several(Vec<String>),
}

/// One statement of a written lens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepPart {
    /// Under which later steps find the rows of its RETURNING.
    pub name: Option<Spanned<String>>,
    pub sql: Spanned<String>,
}

/// A column, by its definition alone (`"text NOT NULL"`) or with more said of it.
#[derive(Debug)]
pub(crate) struct Declared(pub ColumnPart);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnPart {
    /// As in CREATE TABLE: a type, and NOT NULL and DEFAULT behind it.
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
    /// Its values do not survive the way to unified and back.
    #[serde(default)]
    pub lossy: bool,
}

fn yes() -> bool {
    true
}

impl<'de> Deserialize<'de> for Declared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Declared;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's definition as a string, or a table with its `type`")
            }

            fn visit_str<E: serde::de::Error>(self, definition: &str) -> Result<Declared, E> {
                Ok(Declared(ColumnPart {
                    // Its place is known outside of it: see `RuleFile::read`.
                    sql_type: Spanned::new(0..0, definition.to_owned()),
                    unified: None,
                    unified_type: None,
                    default: None,
                    values: None,
                    set_by_trigger: false,
                    verify: true,
                    lossy: false,
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Declared, A::Error> {
                ColumnPart::deserialize(MapAccessDeserializer::new(map)).map(Declared)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl RuleFile {
    pub fn read(text: &str) -> Result<RuleFile, toml::de::Error> {
        let mut file: RuleFile = toml::from_str(text)?;
        for table in &mut file.tables {
            for (_, column) in &mut table.get_mut().columns.0 {
                let span = column.span();
                let sql_type = &mut column.get_mut().0.sql_type;
                if sql_type.span() == (0..0) {
                    *sql_type = Spanned::new(span, sql_type.get_ref().clone());
                }
            }
        }
        Ok(file)
    }
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

/// Where a place inside a string's value stands in the file; `line` and `column` count from 1, as
/// SQL parsers tell them. Escapes in a string may shift the column, never the line.
pub(crate) fn place_in_string(
    text: &str,
    span: &Range<usize>,
    line: u64,
    column: u64,
) -> Range<usize> {
    let raw = text.get(span.clone()).unwrap_or_default();
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") {
        3
    } else {
        1
    };
    let mut start = span.start + quotes;
    // A line break right after the opening quotes is not part of the value.
    if quotes == 3 {
        let after = text.get(start..).unwrap_or_default();
        start += after.len() - after.strip_prefix('\r').unwrap_or(after).len();
        start += usize::from(text.get(start..).is_some_and(|t| t.starts_with('\n')));
    }
    let rest = text.get(start..span.end).unwrap_or_default();
    let mut at = start;
    for (number, content) in (1..).zip(rest.split_inclusive('\n')) {
        if number == line {
            let skip = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
            at += content
                .chars()
                .take(skip)
                .map(char::len_utf8)
                .sum::<usize>();
            break;
        }
        at += content.len();
    }
    at..at
}

/// 1-based line and column (in characters) of a byte offset.
pub(crate) fn line_and_column(text: &str, span: &Range<usize>) -> (usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}
