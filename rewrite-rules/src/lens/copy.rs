//! The SQL of a backfill's chunks: the rows of a range of the key, locked and put.

mod remains;

use super::{KeyRange, Lens, quote_ident, quote_literal};
use crate::lens::list;

/// The side that a chunk is copied from.
struct CopySource {
    table: String,
    /// Whether a row (`cf_s`) is the tenant's whose lens this is, where rows of others stand beside.
    is_own: Option<String>,
    key: Vec<String>,
    /// The columns that are written as they are where a trigger of the other side has set something.
    touched: Vec<String>,
}

impl Lens {
    /// Copies the legacy rows of a range; yields how many there were, how many of them unified
    /// lacked or had otherwise, and how many left the ledger because they are settled now.
    ///
    /// `FOR NO KEY UPDATE` is the weakest lock that makes every UPDATE, DELETE and locking read of
    /// a row wait for the chunk (and the chunk for them), so that an image never goes stale between
    /// its reading and its put; yet a row that refers to a legacy row by foreign key can still be
    /// inserted, which takes `FOR KEY SHARE`. After a wait the row is read again as it is then.
    ///
    /// A row that was put over another has a trigger's new value in the columns that triggers set;
    /// its legacy row is touched, so that the same trigger gives it the same value.
    #[must_use]
    pub fn copy(&self, range: KeyRange) -> String {
        let rows = self.locked_rows(range);
        if !self.is_row_for_row() {
            return self.copy_written(&rows);
        }
        let put = self.put_missing_or_different_from("cf_rows");
        let put = format!("cf_put AS ({})", telling(&put, &self.unified_key()));
        self.copied(
            &rows,
            &put,
            &self.unified_key(),
            &CopySource {
                table: self.legacy.sql(),
                is_own: None,
                key: self.legacy_key(),
                touched: self.touched_columns(),
            },
        )
    }

    /// The legacy rows of a range, read and locked.
    fn locked_rows(&self, range: KeyRange) -> String {
        let columns = list(self.columns.iter().map(|c| quote_ident(&c.name)));
        format!(
            "cf_rows AS MATERIALIZED (SELECT {} FROM {} AS {image} WHERE {} ORDER BY {} \
             FOR NO KEY UPDATE)",
            columns,
            self.legacy,
            self.in_range(range),
            self.key_order(""),
            image = Self::IMAGE,
        )
    }

    /// [`Lens::copy`] the other way, once unified decides: locks legacy rows first, as every writer
    /// does, then the unified rows, whose images it puts into legacy.
    #[must_use]
    pub fn copy_back(&self, range: KeyRange) -> String {
        let columns: Vec<String> = self.columns.iter().map(|c| quote_ident(&c.name)).collect();
        let condition = self.in_range(range);
        if !self.is_row_for_row() {
            return self.copy_back_written(&condition);
        }
        let rows = format!(
            "cf_lock AS MATERIALIZED (SELECT 1 FROM {legacy} AS {image} WHERE {condition} \
             ORDER BY {order} FOR NO KEY UPDATE), \
             cf_rows AS MATERIALIZED (SELECT {columns} FROM ({read}) AS {image} WHERE {condition} \
             AND (SELECT count(*) FROM cf_lock) >= 0 ORDER BY {order} FOR NO KEY UPDATE)",
            legacy = self.legacy,
            image = Self::IMAGE,
            order = self.key_order(""),
            columns = columns.join(", "),
            read = self.read(),
        );
        let put = self.put_legacy_missing_or_different_from("cf_rows");
        let put = format!("cf_put AS ({})", telling(&put, &self.legacy_key()));
        self.copied(
            &rows,
            &put,
            &self.legacy_key(),
            &CopySource {
                table: self.unified.sql(),
                is_own: self.is_of_tenant("cf_s"),
                key: self.unified_key(),
                touched: self.unified_key(),
            },
        )
    }

    /// A chunk: `rows` read and locked, `cf_put` of what came into the other side, the ledger's keys
    /// settled.
    fn copied(&self, rows: &str, put: &str, target_key: &[String], source: &CopySource) -> String {
        let is_set_by_trigger = self.columns.iter().any(|c| c.set_by_trigger);
        let touched = if is_set_by_trigger {
            let sets = list(source.touched.iter().map(|k| format!("{k} = cf_s.{k}")));
            let pairs = source.key.iter().zip(target_key);
            let join: Vec<String> = pairs
                .map(|(source, target)| format!("cf_s.{source} = cf_put.{target}"))
                .chain(source.is_own.clone())
                .collect();
            format!(
                ", cf_touched AS (UPDATE {} AS cf_s SET {} FROM cf_put \
                 WHERE cf_put.cf_was_there AND {})",
                source.table,
                sets,
                join.join(" AND ")
            )
        } else {
            String::new()
        };
        format!(
            "WITH {rows}, {put}{touched}, {settled} \
             SELECT (SELECT count(*) FROM cf_rows), (SELECT count(*) FROM cf_put), \
             (SELECT count(*) FROM cf_settled)",
            settled = self.settled(),
        )
    }

    /// The part of a chunk that takes its rows' keys out of the ledger. Whether there is anything in
    /// it is asked first: nearly always there is not, and no key has to be composed.
    pub(super) fn settled(&self) -> String {
        format!(
            "cf_settled AS (DELETE FROM crossfade.divergence AS cf_d WHERE {own} \
             AND cf_d.key IN (SELECT {key} FROM cf_rows AS {image} \
             WHERE EXISTS (SELECT FROM crossfade.divergence AS cf_d WHERE {own})) RETURNING 1)",
            own = format_args!(
                "cf_d.migration = {} AND cf_d.legacy_table = {}",
                quote_literal(&self.migration),
                quote_literal(&self.legacy.sql())
            ),
            image = Self::IMAGE,
            key = self.key_json(Self::IMAGE),
        )
    }

    /// Writes the legacy and the unified row of a key (`$1`) as they are, in one transaction, so
    /// that what triggers set is the same in both; `None` where no trigger sets anything. Columns
    /// that differ otherwise stay as they are.
    #[must_use]
    pub fn touch_both(&self) -> Option<String> {
        if !self.pairs_rows() || !self.columns.iter().any(|c| c.set_by_trigger) {
            return None;
        }
        let sets = |keys: &[String], row: &str| {
            list(keys.iter().map(|key| format!("{key} = {row}.{key}")))
        };
        Some(format!(
            "WITH cf_legacy AS (UPDATE {} AS {image} SET {} WHERE {} RETURNING {image}.*) \
             UPDATE {} AS {row} SET {} FROM cf_legacy AS {image} WHERE {}",
            self.legacy,
            sets(&self.touched_columns(), Self::IMAGE),
            self.in_range(KeyRange::One),
            self.unified,
            sets(&self.unified_key(), Self::ROW),
            self.key_join(Self::ROW, Self::IMAGE),
            image = Self::IMAGE,
            row = Self::ROW,
        ))
    }

    /// [`Lens::put_legacy_from`] that leaves rows alone which say the same already. One that differs in nothing
    /// but what a trigger sets is put as well: the chunk touches both sides, and the trigger says the same of both.
    #[must_use]
    pub fn put_legacy_missing_or_different_from(&self, relation: &str) -> String {
        if self.is_one_table() {
            return self.move_columns_back(relation);
        }
        let put = self.put_legacy_from(relation, None);
        let differences: Vec<String> = self
            .columns
            .iter()
            .filter(|c| !self.is_key(c) && !c.is_computed())
            .map(|c| {
                let name = quote_ident(&c.name);
                c.legacy_differs(&format!("cf_t.{name}"), &format!("excluded.{name}"))
            })
            .collect();
        if self.columns.iter().all(|c| self.is_key(c)) {
            return put;
        }
        if differences.is_empty() {
            return format!("{put} WHERE false");
        }
        format!("{put} WHERE {}", differences.join(" OR "))
    }

    /// [`Lens::put_from`] that leaves a unified row alone which says the same already: an update
    /// that changes nothing would still fire triggers and write the row anew.
    ///
    /// A column that a trigger sets is no reason to put: the put would change it again.
    #[must_use]
    pub fn put_missing_or_different_from(&self, relation: &str) -> String {
        if self.is_one_table() {
            return self.move_columns(relation, true);
        }
        let put = self.put_from(relation);
        let differences: Vec<String> = self
            .columns
            .iter()
            .filter(|c| !self.is_key(c) && !c.set_by_trigger && !c.is_computed_in_unified())
            .map(|c| {
                let name = quote_ident(&c.unified);
                c.unified_differs(&format!("cf_t.{name}"), &format!("excluded.{name}"))
            })
            .collect();
        if self.columns.iter().all(|c| self.is_key(c)) {
            return put; // a key that is there says all there is to say
        }
        if differences.is_empty() {
            return format!("{put} WHERE false");
        }
        format!("{put} WHERE {}", differences.join(" OR "))
    }
}

/// A put into a table with this key, telling the keys of what it put and whether a row was there.
fn telling(put: &str, key: &[String]) -> String {
    let keys = list(key.iter().map(|key| format!("cf_t.{key}")));
    format!(
        "{put} RETURNING {}, cf_t.xmax <> '0'::xid AS cf_was_there",
        keys
    )
}
