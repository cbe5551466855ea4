//! The chunk of a first copy, most of whose rows unified lacks.
//!
//! `INSERT … ON CONFLICT` looks into the key's index before each row and marks it as tentative; rows
//! that the statement's snapshot does not find in unified can do without. Somebody may put one of
//! them at the same time: then the statement fails with 23505, and [`Lens::copy`] is the one to use.
//!
//! ```text
//! WITH cf_rows AS (SELECT … FROM iso_agents … FOR NO KEY UPDATE),
//!      cf_new AS (INSERT INTO users … SELECT … FROM (cf_rows that users lacks)),
//!      cf_old AS (INSERT INTO users … SELECT … FROM (the others) ON CONFLICT …),
//!      cf_put AS (SELECT … FROM cf_new UNION ALL SELECT … FROM cf_old), …
//! ```

use super::telling;
use crate::lens::{KeyRange, LegacyColumn, Lens};

impl Lens {
    /// [`Lens::copy`] for rows that nobody else puts meanwhile; `None` where a lens has no such
    /// statement.
    #[must_use]
    pub fn copy_absent(&self, range: KeyRange) -> Option<String> {
        if self.written.is_some() || self.in_place.is_some() {
            return None;
        }
        let put = format!(
            "cf_new AS ({}), cf_old AS ({}), \
             cf_put AS (SELECT * FROM cf_new UNION ALL SELECT * FROM cf_old)",
            telling(
                &self.insert_from(&self.rows_there("NOT ", range)),
                &self.unified_key()
            ),
            telling(
                &self.put_missing_or_different_from(&self.rows_there("", range)),
                &self.unified_key()
            ),
        );
        Some(self.copied(
            &self.locked_rows(range),
            &put,
            &self.unified_key(),
            &self.legacy.sql(),
            &self.legacy_key(),
        ))
    }

    /// The chunk's rows that unified has, or has not.
    fn rows_there(&self, not: &str, range: KeyRange) -> String {
        // Where the range means the same in unified, it keeps the planner from a look at the whole
        // table.
        let alike = |column: &LegacyColumn| {
            column.values.is_empty() && column.unified_type == column.sql_type
        };
        let near = if self.key_columns().all(alike) {
            self.columns_in_range(&self.unified_key(), Self::ROW, range)
        } else {
            "true".to_owned()
        };
        format!(
            "(SELECT {image}.* FROM cf_rows AS {image} WHERE {not}EXISTS \
             (SELECT FROM {} AS {row} WHERE {} AND {near}))",
            self.unified,
            self.key_join(Self::ROW, Self::IMAGE),
            image = Self::IMAGE,
            row = Self::ROW,
        )
    }
}
