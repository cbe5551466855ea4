//! Keys that change once unified leads: the legacy row goes along.
//!
//! ```text
//! rekey_legacy(olds, images)  the legacy rows under the old keys made the images, key and all
//! ```
//!
//! By one UPDATE for all rows, as the client's own was one: what refers to the legacy table by foreign
//! key is looked at when all have moved, and what its ON UPDATE says is done. Were a row removed and put
//! back, ON DELETE CASCADE would take what refers to it.

use super::{Lens, Work, quote_ident};
use crate::lens::{all_of, list};

impl Lens {
    /// A condition that takes the legacy rows of written unified rows along; beside these stand their
    /// old keys, as `cf_k1` and so on.
    #[must_use]
    pub fn rekey_legacy_call(&self, relation: &str) -> String {
        let old = list(self.columns.iter().map(|column| {
            let key = self.key_columns().position(|key| key.name == column.name);
            key.map_or("NULL".to_owned(), |at| {
                format!("{}.cf_k{}", Self::ROW, at + 1)
            })
        }));
        let new = list(
            self.columns
                .iter()
                .map(|c| c.read_value(&format!("{}.{}", Self::ROW, quote_ident(&c.unified)))),
        );
        let visible = self.visible_condition(Self::ROW);
        let visible = visible.map(|visible| format!(" WHERE {visible}"));
        format!(
            "(SELECT {}(array_agg(ROW({})::{legacy}), array_agg(ROW({})::{legacy})) FROM {relation} AS {}{})",
            self.function_name(Work::RekeyLegacy),
            old,
            new,
            Self::ROW,
            visible.unwrap_or_default(),
            legacy = self.legacy,
        )
    }

    /// The UPDATE that gives legacy rows other keys, and the images' other columns too, if `whole`.
    pub(super) fn move_legacy_rows(&self, olds: &str, images: &str, whole: bool) -> String {
        let named = |word: &str| -> Vec<String> {
            let columns = 1..=self.columns.len();
            columns.map(|at| format!("cf_{word}{at}")).collect()
        };
        let columns = self.columns.iter().zip(named("n"));
        let sets = list(
            columns
                .filter(|(column, _)| self.is_key(column) || whole && !column.is_never_set())
                .map(|(column, new)| format!("{} = cf_p.{new}", quote_ident(&column.name))),
        );
        let same = all_of(self.key.iter().map(|&at| {
            let key = quote_ident(&self.columns[at].name);
            format!("cf_t.{key} = cf_p.cf_o{}", at + 1)
        }));
        format!(
            "UPDATE {} AS cf_t SET {} FROM ROWS FROM (unnest({olds}), unnest({images})) WITH ORDINALITY AS cf_p ({}, {}, cf_at) WHERE {}",
            self.legacy,
            sets,
            named("o").join(", "),
            named("n").join(", "),
            same,
        )
    }
}
