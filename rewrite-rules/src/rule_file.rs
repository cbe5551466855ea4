//! A rule file as written: TOML, with the place of every value so that errors can point at it.
//!
//! Nothing here knows what the values mean; `RuleSet::compile` checks them and builds lenses.

mod each;
pub(crate) mod schema;

pub(crate) use each::Placeholders;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use toml::Spanned;
use toml::de::DeTable;

use crate::lens::WhenHidden;
use crate::phase::{OnUnifiedError, Phase, WritersAround};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    /// What is moved, and how far it is.
    pub migration: MigrationPart,
    /// What `crossfade prepare` creates beside Crossfade's own tables.
    pub prepare: Option<PreparePart>,
    /// A legacy table and where its rows go.
    #[serde(default, rename = "table")]
    #[schemars(with = "Vec<TablePart>")]
    pub tables: Vec<Spanned<TablePart>>,
    /// For each of the tables, which of several alike it is.
    #[serde(skip)]
    pub instances: Vec<Option<Placeholders>>,
    /// A function that clients call by a name, or with argument names, which it will not keep.
    #[serde(default, rename = "function")]
    pub functions: Vec<FunctionPart>,
}

/// A function that clients call by a name, or with argument names, which it will not keep. Both are
/// signatures: `schema.name(first_argument, second_argument)`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionPart {
    /// The signature that clients know: `schema.name(argument, …)`, names alone.
    #[schemars(with = "String")]
    pub legacy: Spanned<String>,
    /// The signature that it will have. From unified_read on another name is called; under the same name arguments go
    /// by place.
    #[schemars(with = "String")]
    pub unified: Spanned<String>,
}

/// What the migration needs beside the two sides: tables that tie the rows of one to the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreparePart {
    /// Tables (schema.table) that tie legacy rows to unified ones; only lenses write them.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub crosswalk: Vec<Spanned<String>>,
    /// DDL that can be run again and again.
    #[schemars(with = "String")]
    pub sql: Spanned<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrationPart {
    /// The migration's name: letters, digits, `_` and `-`.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// How far the migration is; `crossfade advance` and `rollback` change it.
    #[schemars(with = "String", extend("enum" = Phase::ALL.map(Phase::name)))]
    pub phase: Spanned<String>,
    /// The database whose tables these are: sessions for others pass through untouched. Left out: the control URL's.
    #[schemars(with = "Option<String>")]
    pub database: Option<Spanned<String>>,
    /// When only the unified half of a write fails: `record` lets the legacy half stand and notes the key, `refuse`
    /// fails the statement. Left out: `record` until reads depend on unified.
    #[schemars(with = "Option<String>", extend("enum" = OnUnifiedError::WORDS.map(|(word, _)| word)))]
    pub on_unified_error: Option<Spanned<String>>,
    /// Whoever writes the tables around the proxies, from dual_write on: `count` tells of them, `refuse` fails their
    /// statements, `ignore` leaves them alone. Left out: `count`.
    #[schemars(with = "Option<String>", extend("enum" = WritersAround::WORDS.map(|(word, _)| word)))]
    pub writers_around: Option<Spanned<String>>,
    /// Where each tenant has a schema of its own: a SELECT that lists the schemas, and what tells the tenants' rows apart
    /// in unified. It is followed while a proxy runs. Tables of `{tenant}` are those of all of them.
    #[schemars(with = "Option<String>")]
    pub tenants: Option<Spanned<String>>,
    /// A setting that is set to the tenant's value in the transaction of each statement on its tables, for row security
    /// to look at: `app.current_organization_id`.
    #[schemars(with = "Option<String>")]
    pub context: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TablePart {
    /// Writes this [[table]] out once for each: with `[{ of = "group" }, …]` `{of}` stands for the text in every
    /// string. `{{of}}` is `{of}` itself.
    #[serde(rename = "each")]
    #[schemars(with = "Option<Vec<BTreeMap<String, String>>>", length(min = 1))]
    _each: Option<IgnoredAny>,
    /// Texts that stand in several places: with `let.own = "…"` `{own}` stands for the text in every string.
    #[serde(rename = "let")]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    _let: Option<IgnoredAny>,
    /// The table that clients know: schema.table.
    #[schemars(with = "Option<String>")]
    pub legacy: Option<Spanned<String>>,
    /// The table that its rows move to; several for a lens with `read`.
    #[schemars(with = "Option<Unified>")]
    pub unified: Option<Spanned<Unified>>,
    /// For a legacy table of `{tenant}`: the unified column that says whose a row is, with its type behind it if that is
    /// not uuid.
    #[schemars(with = "Option<String>")]
    pub discriminator: Option<Spanned<String>>,
    /// In place of both: a table that stays, while columns of it move to others.
    #[schemars(with = "Option<String>")]
    pub in_place: Option<Spanned<String>>,
    /// Tables that steps look things up in. No lens writes them, and `read` cannot name them.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub lookup: Vec<Spanned<String>>,
    /// The legacy key's columns.
    #[schemars(with = "Vec<String>")]
    pub key: Spanned<Vec<Spanned<String>>>,
    /// Policies let some roles update rows that they may not insert: rows that are there are updated by an UPDATE.
    #[serde(default)]
    pub row_security: bool,
    /// What becomes of a legacy row whose unified row the new application hides from legacy readers or, while legacy
    /// leads, deletes. Default: it stays, and its key enters the ledger.
    #[schemars(with = "Option<String>", extend("enum" = WhenHidden::WORDS.map(|(word, _)| word)))]
    pub when_hidden: Option<Spanned<String>>,
    /// SQL over unified columns: which unified rows exist for legacy readers.
    #[schemars(with = "Option<String>")]
    pub visible: Option<Spanned<String>>,
    /// The legacy columns in the table's order: one text as in CREATE TABLE, CHECKs included, or a table of names, of
    /// which several with commas between them are declared alike.
    #[schemars(with = "Columns")]
    pub columns: Spanned<Columns>,
    /// Columns whose values do not survive the way to unified and back, of all rows or of those of a condition; a
    /// text may name several.
    #[serde(default)]
    #[schemars(with = "Vec<LossyPart>")]
    pub lossy: Vec<Spanned<LossyPart>>,
    /// Columns that verify does not compare; a text may name several.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub unverified: Vec<Spanned<String>>,
    /// Unified column = SQL over the legacy row, for columns that legacy lacks.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub constants: Ordered<Spanned<String>>,
    /// Legacy constraint = the unified one that stands for it.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub constraints: Ordered<Spanned<String>>,
    /// Legacy CHECK = its condition, which holds on once legacy is left. With `read` only.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub checks: Ordered<Spanned<String>>,
    /// A SELECT over unified tables that yields the legacy rows: names and order as in `columns`. With `t.*` in any
    /// order: it stands for the columns that are not named.
    #[schemars(with = "Option<String>")]
    pub read: Option<Spanned<String>>,
    /// What brings one legacy row (`row_image`) into the unified tables, in this order.
    #[serde(default)]
    #[schemars(with = "Vec<StepPart>")]
    pub put: Vec<Spanned<StepPart>>,
    /// What is done for a legacy row (`row_image`) that is gone, in this order.
    #[serde(default)]
    #[schemars(with = "Vec<StepPart>")]
    pub remove: Vec<Spanned<StepPart>>,
    /// What carries the unified rows of a key (`old_image`) over to another (`row_image`), before that is put.
    /// Without it an UPDATE of the key is refused.
    #[serde(default)]
    #[schemars(with = "Vec<StepPart>")]
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
#[derive(Debug, Deserialize, JsonSchema)]
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

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedStep {
    /// Under which later steps find what it returned.
    #[schemars(with = "Option<String>")]
    name: Option<Spanned<String>>,
    /// One INSERT, UPDATE or DELETE.
    #[schemars(with = "String")]
    sql: Spanned<String>,
}

/// Columns whose values do not survive: their names alone, or with the rows of which that holds.
#[derive(Debug)]
pub(crate) struct LossyPart {
    pub columns: Vec<Spanned<String>>,
    /// SQL over what `read` joins.
    pub when: Option<Spanned<String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LossyRows {
    /// The columns; a text may name several.
    #[schemars(with = "Vec<String>")]
    columns: Vec<Spanned<String>>,
    /// SQL over what `read` joins: of which rows it holds. Of the others legacy follows, and verify compares.
    #[schemars(with = "String")]
    when: Spanned<String>,
}

/// A column, by its definition alone (`"text NOT NULL"`) or with more said of it.
#[derive(Debug)]
pub(crate) struct Declared(pub ColumnPart);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnPart {
    /// As in CREATE TABLE: a type, and NOT NULL and DEFAULT behind it.
    #[serde(rename = "type")]
    #[schemars(with = "String")]
    pub sql_type: Spanned<String>,
    /// The unified column's name, when it differs.
    #[schemars(with = "Option<String>")]
    pub unified: Option<Spanned<String>>,
    /// The unified column's type, when it differs.
    #[schemars(with = "Option<String>")]
    pub unified_type: Option<Spanned<String>>,
    /// SQL of the default, if it does not stand behind the type.
    #[schemars(with = "Option<String>")]
    pub default: Option<Spanned<String>>,
    /// How values of the two types are made of each other where a setting would decide it: `at time zone 'UTC'`, or
    /// SQL for either side.
    #[schemars(with = "Option<CastPart>")]
    pub cast: Option<Spanned<CastPart>>,
    /// SQL over the unified column: which of its values the legacy column can hold, where the types do not tell.
    #[schemars(with = "Option<String>")]
    pub holds: Option<Spanned<String>>,
    /// Legacy value = unified value.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub values: Option<Ordered<Spanned<String>>>,
    /// A BEFORE trigger on both tables sets it on every update.
    #[serde(default)]
    pub set_by_trigger: bool,
    /// `false`: verify does not compare it.
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

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CastSides {
    /// The unified value: SQL over the legacy column.
    unified: String,
    /// The legacy value: SQL over the unified column.
    legacy: String,
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

/// What is written as one text, or as a table that says more.
fn text_or<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<T>()] })
}

macro_rules! text_or {
    ($($what:ty: $more:ty),+) => {$(
        impl JsonSchema for $what {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($what).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                text_or::<$more>(generator)
            }
        }
    )+};
}

text_or! {
    Columns: BTreeMap<String, Declared>,
    StepPart: NamedStep,
    LossyPart: LossyRows,
    Declared: ColumnPart,
    CastPart: CastSides
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
                let NamedStep { name, sql } =
                    NamedStep::deserialize(MapAccessDeserializer::new(map))?;
                Ok(StepPart { name, sql })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for LossyPart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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
                let LossyRows { columns, when } =
                    LossyRows::deserialize(MapAccessDeserializer::new(map))?;
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
                let CastSides { unified, legacy } =
                    CastSides::deserialize(MapAccessDeserializer::new(map))?;
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
    instance: Option<&Placeholders>,
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
