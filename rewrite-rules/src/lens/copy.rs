//! The SQL of a backfill: walks over the legacy key, chunks that are copied, ghosts that are swept.
//!
//! Keys travel as JSON arrays of texts ([`Lens::key_json`]), the form that the progress table and
//! the ledgers keep, so one table holds the keys of every migration whatever their types.

mod absent;

use super::{LegacyColumn, Lens, quote_ident, quote_literal};

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
        if self.written.is_some() {
            return self.copy_written(&rows);
        }
        let put = self.put_missing_or_different_from("cf_rows");
        let put = format!("cf_put AS ({})", telling(&put, &self.unified_key()));
        self.copied(
            &rows,
            &put,
            &self.unified_key(),
            &self.legacy.sql(),
            &self.legacy_key(),
        )
    }

    /// The legacy rows of a range, read and locked.
    fn locked_rows(&self, range: KeyRange) -> String {
        let columns: Vec<String> = self.columns.iter().map(|c| quote_ident(&c.name)).collect();
        format!(
            "cf_rows AS MATERIALIZED (SELECT {} FROM {} AS {image} WHERE {} ORDER BY {} \
             FOR NO KEY UPDATE)",
            columns.join(", "),
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
        if self.written.is_some() {
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
            &self.unified.sql(),
            &self.unified_key(),
        )
    }

    /// A chunk: `rows` read and locked, `cf_put` of what came into the other side, the ledger's keys
    /// settled.
    fn copied(
        &self,
        rows: &str,
        put: &str,
        target_key: &[String],
        source: &str,
        source_key: &[String],
    ) -> String {
        let is_set_by_trigger = self.columns.iter().any(|c| c.set_by_trigger);
        let touched = if is_set_by_trigger {
            let sets: Vec<String> = source_key
                .iter()
                .map(|k| format!("{k} = cf_s.{k}"))
                .collect();
            let join: Vec<String> = source_key
                .iter()
                .zip(target_key)
                .map(|(source, target)| format!("cf_s.{source} = cf_put.{target}"))
                .collect();
            format!(
                ", cf_touched AS (UPDATE {source} AS cf_s SET {} FROM cf_put \
                 WHERE cf_put.cf_was_there AND {})",
                sets.join(", "),
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

    /// Removes legacy rows, at most `$1` of them, that no unified row stands for, once unified
    /// decides; yields their keys. At READ COMMITTED a row that is inserted again meanwhile could
    /// be taken for one of them.
    #[must_use]
    pub fn remove_stale_legacy(&self) -> String {
        let same = |left: &str, right: &str| {
            let keys = self.legacy_key();
            let all: Vec<String> = keys
                .iter()
                .map(|k| format!("{left}.{k} = {right}.{k}"))
                .collect();
            all.join(" AND ")
        };
        let keys: Vec<String> = self
            .legacy_key()
            .iter()
            .map(|k| format!("cf_l.{k}"))
            .collect();
        format!(
            "DELETE FROM {legacy} AS cf_t USING (SELECT {} FROM {legacy} AS cf_l \
             WHERE NOT EXISTS (SELECT 1 FROM ({}) AS cf_r WHERE {}) LIMIT $1) AS cf_o WHERE {}",
            keys.join(", "),
            self.read(),
            same("cf_r", "cf_l"),
            same("cf_t", "cf_o"),
            legacy = self.legacy,
        )
    }

    /// Removes the legacy rows of keys (`$1`, a JSON array of keys) that no unified row stands for.
    #[must_use]
    pub fn remove_stale_legacy_of(&self) -> String {
        let keys: Vec<String> = self
            .key_columns()
            .zip(self.legacy_key())
            .enumerate()
            .map(|(i, (c, key))| format!("cf_t.{key} = (cf_k.value->>{i})::{}", c.sql_type))
            .collect();
        let same: Vec<String> = self
            .legacy_key()
            .iter()
            .map(|key| format!("cf_r.{key} = cf_t.{key}"))
            .collect();
        format!(
            "DELETE FROM {} AS cf_t USING jsonb_array_elements($1::jsonb) AS cf_k WHERE {} \
             AND NOT EXISTS (SELECT 1 FROM ({}) AS cf_r WHERE {})",
            self.legacy,
            keys.join(" AND "),
            self.read(),
            same.join(" AND ")
        )
    }

    /// Writes the legacy and the unified row of a key (`$1`) as they are, in one transaction, so
    /// that what triggers set is the same in both; `None` where no trigger sets anything. Columns
    /// that differ otherwise stay as they are.
    #[must_use]
    pub fn touch_both(&self) -> Option<String> {
        let apart = self.written.is_none() && self.in_place.is_none();
        if !apart || !self.columns.iter().any(|c| c.set_by_trigger) {
            return None;
        }
        let sets = |keys: &[String], row: &str| {
            let all: Vec<String> = keys
                .iter()
                .map(|key| format!("{key} = {row}.{key}"))
                .collect();
            all.join(", ")
        };
        Some(format!(
            "WITH cf_legacy AS (UPDATE {} AS {image} SET {} WHERE {} RETURNING {image}.*) \
             UPDATE {} AS {row} SET {} FROM cf_legacy AS {image} WHERE {}",
            self.legacy,
            sets(&self.legacy_key(), Self::IMAGE),
            self.in_range(KeyRange::One),
            self.unified,
            sets(&self.unified_key(), Self::ROW),
            self.key_join(Self::ROW, Self::IMAGE),
            image = Self::IMAGE,
            row = Self::ROW,
        ))
    }

    /// [`Lens::put_legacy_from`] that leaves rows alone which say the same already.
    #[must_use]
    pub fn put_legacy_missing_or_different_from(&self, relation: &str) -> String {
        if self.in_place.is_some() {
            return self.move_columns_back(relation);
        }
        let put = self.put_legacy_from(relation, None);
        let differences: Vec<String> = self
            .columns
            .iter()
            .filter(|c| !self.is_key(c) && !c.set_by_trigger)
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
        if self.in_place.is_some() {
            return self.move_columns(relation, true);
        }
        let put = self.put_from(relation);
        let differences: Vec<String> = self
            .columns
            .iter()
            .filter(|c| !self.is_key(c) && !c.set_by_trigger)
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

    /// Removes the unified rows of keys (`$1`, a JSON array of keys) that no legacy row has: what
    /// a delete left behind that could not see the unified row. Rows that legacy readers could not
    /// see anyhow are somebody else's and stay.
    #[must_use]
    pub fn remove_ghosts(&self) -> String {
        let keys: Vec<String> = self
            .key_columns()
            .enumerate()
            .map(|(i, c)| {
                format!(
                    "(cf_k.value->>{i})::{} AS {}",
                    c.sql_type,
                    quote_ident(&c.name)
                )
            })
            .collect();
        let relation = format!(
            "(SELECT {} FROM jsonb_array_elements($1::jsonb) AS cf_k)",
            keys.join(", ")
        );
        if self.written.is_some() {
            return self.remove_ghosts_written(&relation);
        }
        let same_key: Vec<String> = self
            .legacy_key()
            .iter()
            .map(|key| format!("cf_l.{key} = {}.{key}", Self::IMAGE))
            .collect();
        format!(
            "{} AND NOT EXISTS (SELECT 1 FROM {} AS cf_l WHERE {})",
            self.remove_from(&relation),
            self.legacy,
            same_key.join(" AND ")
        )
    }

    /// Takes keys (`$1`, a JSON array of keys) out of the ledger that neither side has any more.
    #[must_use]
    pub fn forget_gone(&self) -> String {
        let same_key: Vec<String> = self
            .key_columns()
            .zip(self.legacy_key())
            .enumerate()
            .map(|(i, (c, key))| format!("cf_l.{key} = (cf_d.key->>{i})::{}", c.sql_type))
            .collect();
        let same_key = same_key.join(" AND ");
        format!(
            "DELETE FROM crossfade.divergence AS cf_d WHERE cf_d.migration = {} \
             AND cf_d.legacy_table = {} \
             AND cf_d.key IN (SELECT cf_k.value FROM jsonb_array_elements($1::jsonb) AS cf_k) \
             AND NOT EXISTS (SELECT 1 FROM {} AS cf_l WHERE {same_key}) \
             AND NOT EXISTS (SELECT 1 FROM ({}) AS cf_l WHERE {same_key})",
            quote_literal(&self.migration),
            quote_literal(&self.legacy.sql()),
            self.legacy,
            self.read(),
        )
    }

    pub(super) fn in_range(&self, range: KeyRange) -> String {
        self.columns_in_range(&self.legacy_key(), Self::IMAGE, range)
    }

    fn columns_in_range(&self, key: &[String], relation: &str, range: KeyRange) -> String {
        let compares = |operator, parameter| self.key_compares(key, relation, operator, parameter);
        match range {
            KeyRange::All => "true".to_owned(),
            KeyRange::After => compares(">", 1),
            KeyRange::Through => compares("<=", 1),
            KeyRange::AfterThrough => format!("{} AND {}", compares(">", 1), compares("<=", 2)),
            KeyRange::One => compares("=", 1),
        }
    }

    /// A row comparison, which an index on the key serves, under the key's own collation.
    fn key_compares(
        &self,
        key: &[String],
        relation: &str,
        operator: &str,
        parameter: usize,
    ) -> String {
        let columns: Vec<String> = key.iter().map(|key| format!("{relation}.{key}")).collect();
        let values: Vec<String> = self
            .key_columns()
            .enumerate()
            .map(|(i, c)| format!("(${parameter}::jsonb->>{i})::{}", c.sql_type))
            .collect();
        format!(
            "({}) {operator} ({})",
            columns.join(", "),
            values.join(", ")
        )
    }

    fn key_order(&self, direction: &str) -> String {
        let keys: Vec<String> = self
            .legacy_key()
            .iter()
            .map(|key| format!("{}.{key}{direction}", Self::IMAGE))
            .collect();
        keys.join(", ")
    }
}

impl LegacyColumn {
    /// Whether two legacy values differ in anything that a reader could see.
    pub(super) fn legacy_differs(&self, a: &str, b: &str) -> String {
        differs(&self.sql_type, a, b)
    }

    /// A legacy value in the form in which being equal means reading the same.
    pub(super) fn legacy_exact(&self, value: &str) -> String {
        exact(&self.sql_type, value)
    }

    fn unified_differs(&self, a: &str, b: &str) -> String {
        differs(&self.unified_type, a, b)
    }
}

/// A put into a table with this key, telling the keys of what it put and whether a row was there.
fn telling(put: &str, key: &[String]) -> String {
    let keys: Vec<String> = key.iter().map(|key| format!("cf_t.{key}")).collect();
    format!(
        "{put} RETURNING {}, cf_t.xmax::text <> '0' AS cf_was_there",
        keys.join(", ")
    )
}

fn differs(sql_type: &str, a: &str, b: &str) -> String {
    format!(
        "{} IS DISTINCT FROM {}",
        exact(sql_type, a),
        exact(sql_type, b)
    )
}

/// A value in the form in which being equal means being the same to a reader.
///
/// Many types have no equality (`json`, `point`), or one under which values are equal that read
/// differently (`1.0` and `1.00`, `interval '1 day'` and `'24 hours'`, `citext`): they are compared
/// as text. Where equal values always read alike, the values themselves are cheaper.
fn exact(sql_type: &str, value: &str) -> String {
    let spelled = sql_type.to_ascii_lowercase();
    let base = spelled.split('(').next().unwrap_or_default().trim();
    match base {
        "uuid"
        | "boolean"
        | "bool"
        | "smallint"
        | "int2"
        | "integer"
        | "int"
        | "int4"
        | "bigint"
        | "int8"
        | "date"
        | "timestamp"
        | "timestamp with time zone"
        | "timestamp without time zone"
        | "timestamptz"
        | "bytea" => value.to_owned(),
        "numeric" | "decimal" if spelled.contains('(') => value.to_owned(),
        // Byte for byte, whatever the column's collation holds for equal.
        _ => format!("{value}::text COLLATE \"C\""),
    }
}
