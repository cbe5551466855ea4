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
mod emptied;
mod exact;
mod excused;
mod functions;
mod generated;
mod guarded;
mod hidden;
mod in_place;
mod keys;
mod kind;
mod look;
mod lookups;
mod lossy;
mod model;
mod over;
mod quote;
mod range;
mod recorded;
mod references;
mod rekey_legacy;
mod sql;
mod table;
mod tenant;
#[cfg(test)]
mod tests;
pub(crate) mod types;
mod value;
mod work;
mod written;

pub use analysed::Analysed;
pub use compare::Disagreement;
pub use digest::{DigestOf, GROUPS};
pub(crate) use functions::LENS_NAME_BYTES_MAX;
pub use in_place::TRIGGER;
pub use lookups::Lookup;
pub(crate) use model::BesideColumns;
pub use model::{
    Action, Cast, Check, Constant, Deferral, ForeignKey, Generated, LegacyColumn, Lens, Lossy,
    Part, Query, Referrer, Step, Unique, Visible, WhenHidden, Written,
};
pub use over::Over;
pub(crate) use quote::{all_of, list};
pub use quote::{quote_ident, quote_literal, shown_ident};
pub use range::KeyRange;
pub(crate) use references::link;
pub use table::TableName;
pub use tenant::{ANY_TENANT, Discriminator, Tenant};
pub use types::{Held, depends_on, held};

pub(crate) use work::Work;
pub use work::{Callers, Function};
pub(crate) use written::Call;
pub use written::RekeyTrial;

use crate::statement::{Named, Rename};

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

impl Visible {
    pub(crate) fn new(sql: &str, reads: Vec<String>) -> Visible {
        Visible {
            sql: Over::of(sql),
            reads,
            loses: Vec::new(),
        }
    }

    /// The condition over a row in scope under a name.
    #[must_use]
    pub fn over(&self, row: &str) -> String {
        self.sql.over(row)
    }

    /// The condition where the columns have no row's name before them.
    #[must_use]
    pub fn of_columns(&self) -> String {
        self.sql.columns(quote_ident)
    }
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
        let keys = self.uniques().iter().filter_map(|unique| {
            let columns = unique.columns.iter().map(|&at| &self.columns[at]);
            let columns: Vec<String> = columns.map(|column| shown_ident(&column.name)).collect();
            Some(rename(
                Named::Key,
                unique.unified.as_ref()?,
                &columns.join(", "),
            ))
        });
        // What lenses see to is a trigger of theirs.
        let held = (1..)
            .zip(self.foreign_keys())
            .filter(|(_, key)| key.holder.is_some())
            .map(|(number, key)| {
                let name = self.reference_name(number);
                let name = name.trim_start_matches("crossfade.").trim_matches('"');
                rename(Named::Constraint, name, &key.name)
            });
        let columns = self
            .columns
            .iter()
            .filter(|column| column.name != column.unified)
            .map(|column| rename(Named::Column, &column.unified, &column.name));
        let tables = self.unified_side().into_iter().flat_map(|unified| {
            [
                rename(Named::Table, &unified.name, &self.legacy.name),
                rename(Named::Schema, &unified.schema, &self.legacy.schema),
            ]
        });
        let all = constraints
            .chain(held)
            .chain(keys)
            .chain(columns)
            .chain(tables);
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
