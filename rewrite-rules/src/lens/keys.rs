//! Keys that came out of a table of Crossfade's: which are keys, and what is true of them now.
//!
//! Each statement takes a JSON array of keys as `$1`. Only the first may be handed keys of which it is
//! not known whether they are some.

use super::{Lens, quote_ident};
use crate::lens::all_of;

/// A key of the array that is looked at.
const KEY: &str = "cf_k.value";

impl Lens {
    /// The keys of the array that can be keys of this table; one of which a part cannot be read as its
    /// column's type is an error (class 22, or 23 of a domain's CHECK).
    #[must_use]
    pub fn readable_keys(&self) -> String {
        let parts: Vec<String> = self.key_parts().collect();
        format!(
            "SELECT {KEY} FROM jsonb_array_elements($1::jsonb) AS cf_k WHERE CASE \
             WHEN jsonb_typeof({KEY}) <> 'array' THEN false WHEN jsonb_array_length({KEY}) <> {} THEN false \
             ELSE {} END",
            parts.len(),
            parts
                .iter()
                .map(|part| format!("{part} IS NOT NULL"))
                .collect::<Vec<_>>()
                .join(" AND "),
        )
    }

    /// How many of the keys both sides disagree about, as verify would say.
    #[must_use]
    pub fn count_disagreeing_keys(&self) -> String {
        format!(
            "SELECT count(*) FROM jsonb_array_elements($1::jsonb) AS cf_k WHERE EXISTS (SELECT 1 FROM {} \
             WHERE cf_l.cf_here IS NULL OR cf_u.cf_here IS NULL OR {})",
            self.both_sides(&self.is_key_of(Self::IMAGE)),
            self.any_difference("cf_l", "cf_u"),
        )
    }

    /// Of the keys that have a row on both sides: in how many legacy's was written last, and in how many
    /// unified's. A dual write leaves both by one transaction. `None` where a row is read from several,
    /// or both sides are one row.
    #[must_use]
    pub fn count_written_last(&self) -> Option<String> {
        if !self.pairs_rows() {
            return None;
        }
        Some(format!(
            "SELECT count(*) FILTER (WHERE age({image}.xmin) < age({row}.xmin)), \
             count(*) FILTER (WHERE age({row}.xmin) < age({image}.xmin)) \
             FROM jsonb_array_elements($1::jsonb) AS cf_k JOIN {} AS {image} ON {} JOIN {} AS {row} ON {}",
            self.legacy,
            self.is_key_of(Self::IMAGE),
            self.unified,
            self.key_join(Self::ROW, Self::IMAGE),
            image = Self::IMAGE,
            row = Self::ROW,
        ))
    }

    /// Those of the keys that unified has, as legacy readers see it, and legacy has not.
    #[must_use]
    pub fn ghosts_among(&self) -> String {
        let same = self.is_key_of("cf_l");
        format!(
            "SELECT {KEY} FROM jsonb_array_elements($1::jsonb) AS cf_k \
             WHERE EXISTS (SELECT 1 FROM ({}) AS cf_l WHERE {same}) \
             AND NOT EXISTS (SELECT 1 FROM {} AS cf_l WHERE {same})",
            self.read(),
            self.legacy,
        )
    }

    /// Whether a row has the key that is looked at.
    fn is_key_of(&self, row: &str) -> String {
        all_of(
            self.key_columns()
                .zip(self.key_parts())
                .map(|(column, part)| format!("{row}.{} = {part}", quote_ident(&column.name))),
        )
    }

    fn key_parts(&self) -> impl Iterator<Item = String> {
        self.key_columns()
            .enumerate()
            .map(|(i, column)| format!("({KEY}->>{i})::{}", column.sql_type))
    }
}
