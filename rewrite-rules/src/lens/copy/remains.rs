//! Rows that the other side has no more: ghosts that are swept, stale legacy rows, settled keys.

use crate::lens::{Lens, all_of, list, quote_ident, quote_literal};

impl Lens {
    /// Removes legacy rows, at most `$1` of them, that no unified row stands for, once unified
    /// decides; yields their keys. At READ COMMITTED a row that is inserted again meanwhile could
    /// be taken for one of them.
    #[must_use]
    pub fn remove_stale_legacy(&self) -> String {
        let keys = self.keys_of("cf_l");
        format!(
            "DELETE FROM {legacy} AS cf_t USING (SELECT {} FROM {legacy} AS cf_l \
             WHERE NOT EXISTS (SELECT 1 FROM ({}) AS cf_r WHERE {}) LIMIT $1) AS cf_o WHERE {}",
            keys.join(", "),
            self.read(),
            self.same_key("cf_r", "cf_l"),
            self.same_key("cf_t", "cf_o"),
            legacy = self.legacy,
        )
    }

    /// Keys, as JSON, of so many (`$1`) legacy rows that no unified row stands for, in their order; those behind a key
    /// (`$2`, as JSON), if there is one.
    #[must_use]
    pub fn stale_legacy_keys(&self, behind: bool) -> String {
        let same = self.same_key("cf_r", "cf_l");
        let keys = self.keys_of("cf_l").join(", ");
        let given = list(
            self.key_columns()
                .enumerate()
                .map(|(i, c)| format!("($2::jsonb->>{i})::{}", c.sql_type)),
        );
        let behind = match behind {
            true => format!(" AND ({keys}) > ({})", given),
            false => String::new(),
        };
        format!(
            "SELECT {} FROM {} AS cf_l WHERE NOT EXISTS (SELECT 1 FROM ({}) AS cf_r WHERE {}){behind} ORDER BY {keys} LIMIT $1",
            self.key_json("cf_l"),
            self.legacy,
            self.read(),
            same
        )
    }

    /// Removes the legacy rows of keys (`$1`, a JSON array of keys) that no unified row stands for.
    #[must_use]
    pub fn remove_stale_legacy_of(&self) -> String {
        let keys = all_of(
            self.key_columns()
                .zip(self.legacy_key())
                .enumerate()
                .map(|(i, (c, key))| format!("cf_t.{key} = (cf_k.value->>{i})::{}", c.sql_type)),
        );
        let same = self.same_key("cf_r", "cf_t");
        format!(
            "DELETE FROM {} AS cf_t USING jsonb_array_elements($1::jsonb) AS cf_k WHERE {} \
             AND NOT EXISTS (SELECT 1 FROM ({}) AS cf_r WHERE {})",
            self.legacy,
            keys,
            self.read(),
            same
        )
    }

    /// Removes the unified rows of keys (`$1`, a JSON array of keys) that no legacy row has: what
    /// a delete left behind that could not see the unified row. Rows that legacy readers could not
    /// see anyhow are somebody else's and stay.
    #[must_use]
    pub fn remove_ghosts(&self) -> String {
        let keys = list(self.key_columns().enumerate().map(|(i, c)| {
            format!(
                "(cf_k.value->>{i})::{} AS {}",
                c.sql_type,
                quote_ident(&c.name)
            )
        }));
        let relation = format!(
            "(SELECT {} FROM jsonb_array_elements($1::jsonb) AS cf_k)",
            keys
        );
        if !self.is_row_for_row() {
            return self.remove_ghosts_written(&relation);
        }
        let same_key = self.same_key("cf_l", Self::IMAGE);
        format!(
            "{} AND NOT EXISTS (SELECT 1 FROM {} AS cf_l WHERE {})",
            self.remove_from(&relation),
            self.legacy,
            same_key
        )
    }

    /// Takes keys (`$1`, a JSON array of keys) out of the ledger that neither side has any more.
    #[must_use]
    pub fn forget_gone(&self) -> String {
        let same_key = all_of(
            self.key_columns()
                .zip(self.legacy_key())
                .enumerate()
                .map(|(i, (c, key))| format!("cf_l.{key} = (cf_d.key->>{i})::{}", c.sql_type)),
        );
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
}
