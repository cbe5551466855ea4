//! One lens between a legacy row image and the unified rows.
//!
//! A lens is the only thing that knows how a table maps. It gives its knowledge out as SQL:
//! [`Lens::read`] (unified rows as legacy rows), [`Lens::put_from`] (legacy row images into
//! unified rows) and their mirrors, and the functions that `crossfade prepare` installs.
//! It never knows where that SQL goes.

mod analysed;
mod compare;
mod copy;
mod digest;
mod exact;
mod excused;
mod functions;
mod generated;
mod guarded;
mod hidden;
mod in_place;
mod keys;
mod lookups;
mod lossy;
mod range;
mod recorded;
mod references;
mod rekey_legacy;
mod sql;
pub(crate) mod types;
mod value;
mod written;

pub use analysed::Analysed;
pub use compare::Disagreement;
pub use digest::{DigestOf, GROUPS};
pub use functions::Function;
pub(crate) use functions::Work;
pub use generated::Generated;
pub use guarded::Callers;
pub use hidden::WhenHidden;
pub use in_place::{InPlace, TRIGGER};
pub use lookups::Lookup;
pub use lossy::Lossy;
pub use range::KeyRange;
pub(crate) use references::link;
pub use references::{Action, Deferral, ForeignKey, Referrer};
pub use sql::{quote_ident, quote_literal};
pub use types::{Held, depends_on, held};
pub use value::Cast;

pub(crate) use written::Call;
pub use written::{Check, Part, Query, RekeyTrial, Step, Unique, Written};

use std::fmt;
use std::sync::OnceLock;

use crate::statement::{Named, Rename};

/// A schema-qualified table name, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    pub schema: String,
    pub name: String,
}

impl TableName {
    /// The name as SQL: both parts, quoted where they need it.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql())
    }
}

/// One column of the legacy shape and where its value lives in the unified table.
#[derive(Clone, Debug)]
pub struct LegacyColumn {
    pub name: String,
    /// The legacy type as SQL, e.g. `numeric(10,2)`.
    pub sql_type: String,
    /// The unified column's name.
    pub unified: String,
    /// The unified column's type as SQL.
    pub unified_type: String,
    /// Declared for written lenses, whose tables need not repeat it.
    pub not_null: bool,
    /// SQL of the legacy default; `NULL` when there is none.
    pub default: Option<String>,
    /// What fills the legacy column by itself.
    pub generated: Option<Generated>,
    /// What fills the unified one.
    pub unified_generated: Option<Generated>,
    /// Pairs of legacy and unified values; empty means that values are the same on both sides.
    pub values: Vec<(String, String)>,
    /// How values of the two types are made of each other; `None`: by the cast between them.
    pub cast: Option<Cast>,
    /// SQL over [`types::VALUE`]: which unified values the legacy column can hold, where types do not
    /// tell.
    pub holds: Option<String>,
    /// A BEFORE trigger on both tables sets this column on every update.
    pub set_by_trigger: bool,
    /// Whether verify compares this column.
    pub verify: bool,
    /// Of which rows its values do not survive the way to unified and back.
    pub lossy: Lossy,
}

impl LegacyColumn {
    /// The legacy type without its modifier: what an assigned literal or parameter is read as.
    #[must_use]
    pub fn base_type(&self) -> String {
        without_modifier(&self.sql_type)
    }

    /// Whether the type may be a domain, a cast to which cuts a value to the length of the type below.
    pub(crate) fn may_be_domain(&self) -> bool {
        self.values.is_empty() && types::is_foreign(&self.sql_type)
    }

    /// Whether both sides hold the same values in columns of the same kind, whatever the names: an
    /// expression over one is the same expression over the other.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let kind = |sql_type: &str| match without_modifier(sql_type) {
            text if ["character varying", "varchar"].contains(&text.as_str()) => "text".to_owned(),
            other => other,
        };
        self.values.is_empty()
            && self.cast.is_none()
            && kind(&self.sql_type) == kind(&self.unified_type)
    }
}

/// `numeric(10,2)[]` → `numeric[]`, `timestamp(3) with time zone` → `timestamp with time zone`. For
/// some types the bare name is that of a single character or bit, so they go by another.
pub(crate) fn without_modifier(sql_type: &str) -> String {
    let (name, behind) = match sql_type.split_once('(') {
        Some((name, rest)) => (name, rest.split_once(')').map_or("", |(_, behind)| behind)),
        None => (sql_type, ""),
    };
    match name.trim().to_ascii_lowercase().as_str() {
        "character" | "char" => format!("bpchar{behind}"),
        "bit" => format!("pg_catalog.bit{behind}"),
        _ => format!("{}{behind}", name.trim()),
    }
}

/// A unified column that legacy lacks.
#[derive(Clone, Debug)]
pub struct Constant {
    pub unified: String,
    /// SQL over a legacy row image that is in scope as [`Lens::IMAGE`].
    pub sql: String,
}

/// The condition for a unified row to exist for legacy readers.
#[derive(Clone, Debug)]
pub struct Visible {
    /// SQL in which [`Visible::ROW`] stands for the row's name.
    sql: String,
    /// Unified columns that it reads.
    pub reads: Vec<String>,
}

impl Visible {
    pub(crate) const ROW: &'static str = "{row}";

    pub(crate) fn new(sql: String, reads: Vec<String>) -> Visible {
        Visible { sql, reads }
    }

    /// The condition over a row in scope under a name.
    #[must_use]
    pub fn over(&self, row: &str) -> String {
        self.sql.replace(Self::ROW, row)
    }

    /// The condition where the columns have no row's name before them.
    #[must_use]
    pub fn of_columns(&self) -> String {
        self.sql.replace(&format!("{}.", Self::ROW), "")
    }
}

#[derive(Clone, Debug)]
pub struct Lens {
    pub migration: String,
    pub legacy: TableName,
    /// The unified table; of a written lens the first of several.
    pub unified: TableName,
    /// Both sides are one table, some of whose columns move: how it is seen until the reads turn.
    pub in_place: Option<InPlace>,
    pub columns: Vec<LegacyColumn>,
    /// Indexes into `columns`, in key order.
    pub key: Vec<usize>,
    /// Which unified rows exist for legacy readers; `None`: all.
    pub visible: Option<Visible>,
    pub constants: Vec<Constant>,
    /// Pairs of a legacy constraint and the unified one that stands for it.
    pub constraints: Vec<(String, String)>,
    /// Rows that are there are put by UPDATE alone, for roles that may not insert.
    pub row_security: bool,
    /// What the rule file says of legacy rows whose unified rows are hidden.
    pub when_hidden: Option<WhenHidden>,
    /// The operator's own SQL; `None`: derived from the columns.
    pub written: Option<Written>,
    /// What every statement needs and takes long to compose.
    pub(crate) composed: Composed,
}

/// Parts of a lens's SQL, composed when they are first asked for. They depend on what stays as it
/// was compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Composed {
    hash: OnceLock<u32>,
    image_list: OnceLock<String>,
}

impl Lens {
    /// The name under which a legacy row image is in scope inside the lens's SQL.
    pub const IMAGE: &'static str = "cf_n";
    /// The name under which a unified row is in scope inside the lens's SQL.
    pub const ROW: &'static str = "cf_u";

    pub fn key_columns(&self) -> impl Iterator<Item = &LegacyColumn> {
        self.key.iter().map(|&index| &self.columns[index])
    }

    /// What an error about the unified table is called in terms of the legacy one, in this order:
    /// constraints, columns, the table.
    #[must_use]
    pub fn renames(&self) -> Vec<Rename> {
        let rename = |kind, from: &str, to: &str| Rename {
            kind,
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let constraints = self
            .constraints
            .iter()
            .map(|(legacy, unified)| rename(Named::Constraint, unified, legacy));
        let columns = self
            .columns
            .iter()
            .filter(|column| column.name != column.unified)
            .map(|column| rename(Named::Column, &column.unified, &column.name));
        let crosswalk = self.written.iter().flat_map(|written| &written.crosswalk);
        let tables = self.unified_tables().into_iter().chain(crosswalk);
        let tables = tables.flat_map(|unified| {
            [
                rename(Named::Table, &unified.name, &self.legacy.name),
                rename(Named::Schema, &unified.schema, &self.legacy.schema),
            ]
        });
        let all = constraints.chain(columns).chain(tables);
        all.filter(|rename| rename.from != rename.to).collect()
    }

    #[must_use]
    pub fn column(&self, legacy: &str) -> Option<&LegacyColumn> {
        self.columns.iter().find(|column| column.name == legacy)
    }

    #[must_use]
    pub fn column_by_unified(&self, unified: &str) -> Option<&LegacyColumn> {
        self.columns.iter().find(|column| column.unified == unified)
    }

    #[must_use]
    pub fn is_key(&self, column: &LegacyColumn) -> bool {
        self.key_columns().any(|key| key.name == column.name)
    }
}
