//! A rule file as written: TOML, with the place of every value so that errors can point at it.
//!
//! Nothing here knows what the values mean; `RuleSet::compile` checks them and builds lenses.

mod each;
pub(crate) mod schema;

pub(crate) use each::Instance;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use toml::Spanned;
use toml::de::DeTable;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    pub migration: MigrationPart,
    pub prepare: Option<PreparePart>,
    #[serde(default, rename = "table")]
    pub tables: Vec<Spanned<TablePart>>,
    /// For each of the tables, which of several alike it is.
    #[serde(skip)]
    pub instances: Vec<Option<Instance>>,
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
    /// The database whose tables these are; absent: that of the control connection.
    pub database: Option<Spanned<String>>,
    /// `record` or `refuse`; absent means the phase's own default.
    pub on_unified_error: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TablePart {
    /// Of tables that are alike, what differs; and texts that stand in several places. Nothing is
    /// left of both when this is read: see `each`.
    #[serde(rename = "each")]
    _each: Option<IgnoredAny>,
    #[serde(rename = "let")]
    _let: Option<IgnoredAny>,
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
    /// `keep`, `remove` or `refuse`: what becomes of a legacy row whose unified row a write hides.
    pub when_hidden: Option<Spanned<String>>,
    /// SQL over unified columns: which unified rows exist for legacy readers.
    pub visible: Option<Spanned<String>>,
    pub columns: Spanned<Columns>,
    /// Columns of which `lossy = true` is said here, or lossy where a condition holds.
    #[serde(default)]
    pub lossy: Vec<Spanned<LossyPart>>,
    /// Columns of which `verify = false` is said here.
    #[serde(default)]
    pub unverified: Vec<Spanned<String>>,
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
    pub put: Vec<Spanned<StepPart>>,
    /// What is done for a legacy row image that is gone, in this order.
    #[serde(default)]
    pub remove: Vec<Spanned<StepPart>>,
    /// What carries the unified rows of one key over to another, in this order.
    #[serde(default)]
    pub rekey: Vec<Spanned<StepPart>>,
}

/// The shape of the legacy table.
#[derive(Debug)]
pub(crate) enum Columns {
    /// What stands between the parentheses of CREATE TABLE.
    AsCreated(String),
    /// A name, or several with commas between them that are declared alike.
    Each(Ordered<Spanned<Declared>>),
}

/// One table, or several for a lens that is written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Unified {
    One(String),
    Several(Vec<String>),
}

/// One statement of a written lens: its SQL alone, or a table with more said of it.
#[derive(Debug)]
pub(crate) struct StepPart {
    /// Under which later steps find the rows of its RETURNING.
    pub name: Option<Spanned<String>>,
    pub sql: Spanned<String>,
}

/// Columns whose values do not survive: their names alone, or with the rows of which that holds.
#[derive(Debug)]
pub(crate) struct LossyPart {
    pub columns: Vec<Spanned<String>>,
    /// SQL over what `read` joins.
    pub when: Option<Spanned<String>>,
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
    /// How values of the two types are made of each other.
    pub cast: Option<Spanned<CastPart>>,
    /// SQL over the unified column: which of its values the legacy column can hold.
    pub holds: Option<Spanned<String>>,
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

/// What stands between two types that a cast alone does not lead from one to the other of.
#[derive(Debug)]
pub(crate) enum CastPart {
    /// What stands behind a value, whichever side it is of: `at time zone 'UTC'`.
    Behind(String),
    /// SQL for either side over the other's column.
    Each { unified: String, legacy: String },
}

fn yes() -> bool {
    true
}

impl ColumnPart {
    /// A column of which nothing is said but its definition.
    pub fn new(definition: Spanned<String>) -> ColumnPart {
        ColumnPart {
            sql_type: definition,
            unified: None,
            unified_type: None,
            default: None,
            cast: None,
            holds: None,
            values: None,
            set_by_trigger: false,
            verify: true,
            lossy: false,
        }
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the columns as in CREATE TABLE, or a table of them")
            }

            fn visit_str<E: serde::de::Error>(self, columns: &str) -> Result<Columns, E> {
                Ok(Columns::AsCreated(columns.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Columns, A::Error> {
                Ordered::deserialize(MapAccessDeserializer::new(map)).map(Columns::Each)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for StepPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            name: Option<Spanned<String>>,
            sql: Spanned<String>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StepPart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a statement as a string, or a table with its `sql`")
            }

            fn visit_str<E: serde::de::Error>(self, sql: &str) -> Result<StepPart, E> {
                // Its place is known outside of it: see `RuleFile::read`.
                let sql = Spanned::new(0..0, sql.to_owned());
                Ok(StepPart { name: None, sql })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StepPart, A::Error> {
                let Named { name, sql } = Named::deserialize(MapAccessDeserializer::new(map))?;
                Ok(StepPart { name, sql })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for LossyPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Rows {
            columns: Vec<Spanned<String>>,
            when: Spanned<String>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = LossyPart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("columns as a string, or a table with `columns` and `when`")
            }

            fn visit_str<E: serde::de::Error>(self, columns: &str) -> Result<LossyPart, E> {
                // Its place is known outside of it: see `RuleFile::read`.
                let columns = vec![Spanned::new(0..0, columns.to_owned())];
                Ok(LossyPart {
                    columns,
                    when: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LossyPart, A::Error> {
                let Rows { columns, when } = Rows::deserialize(MapAccessDeserializer::new(map))?;
                Ok(LossyPart {
                    columns,
                    when: Some(when),
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for CastPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Sides {
            unified: String,
            legacy: String,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = CastPart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "`at time zone '…'` as a string, or a table with `unified` and `legacy`",
                )
            }

            fn visit_str<E: serde::de::Error>(self, behind: &str) -> Result<CastPart, E> {
                Ok(CastPart::Behind(behind.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CastPart, A::Error> {
                let Sides { unified, legacy } =
                    Sides::deserialize(MapAccessDeserializer::new(map))?;
                Ok(CastPart::Each { unified, legacy })
            }
        }
        deserializer.deserialize_any(Either)
    }
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
                // Its place is known outside of it: see `RuleFile::read`.
                let definition = Spanned::new(0..0, definition.to_owned());
                Ok(Declared(ColumnPart::new(definition)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Declared, A::Error> {
                ColumnPart::deserialize(MapAccessDeserializer::new(map)).map(Declared)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub at: Range<usize>,
    pub message: String,
}

impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Wrong {
        Wrong {
            at: error.span().unwrap_or(0..0),
            message: error.message().to_owned(),
        }
    }
}

impl RuleFile {
    pub fn read(text: &str) -> Result<RuleFile, Vec<Wrong>> {
        let mut content = DeTable::parse(text).map_err(|error| vec![error.into()])?;
        let instances = each::write_out(content.get_mut(), text)?;
        let content = toml::Deserializer::from(content);
        let mut file = RuleFile::deserialize(content).map_err(|error| vec![error.into()])?;
        file.instances = instances;
        for table in &mut file.tables {
            let table = table.get_mut();
            if let Columns::Each(columns) = table.columns.get_mut() {
                for (_, column) in &mut columns.0 {
                    let span = column.span();
                    put_in_place(&mut column.get_mut().0.sql_type, span);
                }
            }
            for lossy in &mut table.lossy {
                let span = lossy.span();
                for columns in &mut lossy.get_mut().columns {
                    put_in_place(columns, span.clone());
                }
            }
            let steps = table.put.iter_mut().chain(&mut table.remove);
            for step in steps.chain(&mut table.rekey) {
                let span = step.span();
                put_in_place(&mut step.get_mut().sql, span);
            }
        }
        Ok(file)
    }
}

/// Gives a text that was read without its place the place of what it is all of.
fn put_in_place(text: &mut Spanned<String>, place: Range<usize>) {
    if text.span() == (0..0) {
        *text = Spanned::new(place, text.get_ref().clone());
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

/// Where a place inside a string's value stands in the file; line and column count from 1, as SQL
/// parsers tell them. Escapes in a string may shift the column, never the line.
pub(crate) fn place_in_string(
    text: &str,
    span: &Range<usize>,
    place: (u64, u64),
    instance: Option<&Instance>,
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
    let (mut at, mut reached) = (start, (1, 1));
    while reached < place
        && let Some(next) = text.get(at..span.end).and_then(|rest| rest.chars().next())
    {
        let stands_for = instance.and_then(|instance| instance.stands_for(&text[at..span.end]));
        let (bytes, value) = stands_for.unwrap_or_else(|| (next.len_utf8(), next.to_string()));
        let behind = value.chars().fold(reached, |(line, column), c| match c {
            '\n' => (line + 1, 1),
            _ => (line, column + 1),
        });
        // What is inside of a placeholder's value is at the placeholder.
        if behind > place {
            break;
        }
        (at, reached) = (at + bytes, behind);
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
