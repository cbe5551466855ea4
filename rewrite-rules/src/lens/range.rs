//! Ranges of the legacy key, and the SQL that walks over them.
//!
//! Keys travel as JSON arrays of texts ([`Lens::key_json`]), the form that the progress table and
//! the ledgers keep, so one table holds the keys of every migration whatever their types.

use super::Lens;
use crate::lens::list;

/// Which legacy rows a statement is about; its keys are the statement's first parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRange {
    /// All rows.
    All,
    /// From the lowest key through `$1`.
    Through,
    /// Above `$1`.
    After,
    /// Above `$1`, through `$2`.
    AfterThrough,
    /// The row whose key is `$1`.
    One,
}

impl KeyRange {
    /// How many parameters the range takes.
    #[must_use]
    pub fn parameters(self) -> usize {
        match self {
            KeyRange::All => 0,
            KeyRange::Through | KeyRange::After | KeyRange::One => 1,
            KeyRange::AfterThrough => 2,
        }
    }
}

impl Lens {
    /// The highest legacy key: what a backfill takes as its end when it starts.
    #[must_use]
    pub fn highest_key(&self) -> String {
        self.highest_key_in(&self.legacy.sql())
    }

    /// The same of the unified rows that legacy readers see, for the way back.
    #[must_use]
    pub fn highest_unified_key(&self) -> String {
        self.highest_key_in(&format!("({})", self.read()))
    }

    fn highest_key_in(&self, relation: &str) -> String {
        format!(
            "SELECT {} FROM {relation} AS {image} ORDER BY {} LIMIT 1",
            self.key_json(Self::IMAGE),
            self.key_order(" DESC"),
            image = Self::IMAGE,
        )
    }

    /// The keys of a range in order, at most as many as the bigint parameter after the range's says.
    #[must_use]
    pub fn keys(&self, range: KeyRange) -> String {
        self.keys_in(&self.legacy.sql(), range)
    }

    /// [`Lens::keys`] of the unified rows that legacy readers see.
    #[must_use]
    pub fn unified_keys(&self, range: KeyRange) -> String {
        self.keys_in(&format!("({})", self.read()), range)
    }

    fn keys_in(&self, relation: &str, range: KeyRange) -> String {
        format!(
            "SELECT {} FROM {relation} AS {image} WHERE {} ORDER BY {} LIMIT ${}",
            self.key_json(Self::IMAGE),
            self.in_range(range),
            self.key_order(""),
            range.parameters() + 1,
            image = Self::IMAGE,
        )
    }

    /// The last of [`Lens::keys`]: where a chunk of so many rows ends.
    #[must_use]
    pub fn chunk_end(&self, range: KeyRange) -> String {
        self.chunk_end_in(&self.legacy.sql(), range)
    }

    /// The last of [`Lens::unified_keys`].
    #[must_use]
    pub fn unified_chunk_end(&self, range: KeyRange) -> String {
        self.chunk_end_in(&format!("({})", self.read()), range)
    }

    fn chunk_end_in(&self, relation: &str, range: KeyRange) -> String {
        format!(
            "SELECT {key} FROM (SELECT {columns} FROM {relation} AS {image} WHERE {} ORDER BY {} LIMIT ${}) \
             AS {image} ORDER BY {} LIMIT 1",
            self.in_range(range),
            self.key_order(""),
            range.parameters() + 1,
            self.key_order(" DESC"),
            key = self.key_json(Self::IMAGE),
            columns = self.legacy_key().join(", "),
            image = Self::IMAGE,
        )
    }

    /// Keys that divide the legacy table into about `$1` ranges of about the same number of rows,
    /// from a sample of so many percent of its pages.
    #[must_use]
    pub fn split(&self, sample_percent: f64) -> String {
        format!(
            "SELECT cf_key FROM (SELECT {key} AS cf_key, row_number() OVER (ORDER BY {order}) AS cf_n, \
             count(*) OVER () AS cf_count FROM {} AS {image} TABLESAMPLE SYSTEM ({sample_percent})) \
             AS cf_sample WHERE cf_n * $1::bigint / cf_count > (cf_n - 1) * $1::bigint / cf_count \
             AND cf_n < cf_count ORDER BY cf_n",
            self.legacy,
            key = self.key_json(Self::IMAGE),
            order = self.key_order(""),
            image = Self::IMAGE,
        )
    }

    pub(super) fn in_range(&self, range: KeyRange) -> String {
        match range {
            KeyRange::All => "true".to_owned(),
            KeyRange::After => self.key_compares(">", 1),
            KeyRange::Through => self.key_compares("<=", 1),
            KeyRange::AfterThrough => format!(
                "{} AND {}",
                self.key_compares(">", 1),
                self.key_compares("<=", 2)
            ),
            KeyRange::One => self.key_compares("=", 1),
        }
    }

    /// A row comparison, which an index on the key serves, under the key's own collation.
    fn key_compares(&self, operator: &str, parameter: usize) -> String {
        let columns = self.keys_of(Self::IMAGE);
        let values = list(
            self.key_columns()
                .enumerate()
                .map(|(i, c)| format!("(${parameter}::jsonb->>{i})::{}", c.sql_type)),
        );
        format!("({}) {operator} ({})", columns.join(", "), values)
    }

    pub(super) fn key_order(&self, direction: &str) -> String {
        list(
            self.legacy_key()
                .iter()
                .map(|key| format!("{}.{key}{direction}", Self::IMAGE)),
        )
    }
}
