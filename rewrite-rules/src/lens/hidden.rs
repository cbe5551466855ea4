//! Legacy rows whose unified rows the new application hides from legacy readers or, while legacy leads,
//! deletes.
//!
//! ```text
//! hide_legacy(images)  what the rule file says of them: the rows stay, go, or the write is refused
//! ```
//!
//! Nobody deleted such a row under the legacy name, and what refers to it may be in nobody's way: so it
//! stays unless the rule file says otherwise, and its key enters the ledger.

use super::{LegacyColumn, Lens, WhenHidden, Work, quote_literal};

impl WhenHidden {
    /// As a rule file says it.
    pub(crate) const WORDS: [(&'static str, WhenHidden); 3] = [
        ("keep", WhenHidden::Keep),
        ("remove", WhenHidden::Remove),
        ("refuse", WhenHidden::Refuse),
    ];
}

/// The SQLSTATE in the ledger of a row that was kept.
const KEPT: &str = "CF003";

impl Lens {
    /// The columns that must not be NULL in unified, or their rows would be hidden: what the rule file says of them is
    /// why nothing looks whether a write hides its row.
    pub fn shown_by_not_null(&self) -> impl Iterator<Item = &LegacyColumn> {
        self.columns.iter().filter(|column| {
            self.visible().is_some_and(|visible| {
                visible.reads.contains(&column.unified) && !visible.loses.contains(&column.unified)
            })
        })
    }

    #[must_use]
    pub fn hidden_rows(&self) -> WhenHidden {
        self.when_hidden.unwrap_or_default()
    }

    /// A condition that does to the legacy rows whose images are in a relation what the rule file says.
    #[must_use]
    pub fn hide_legacy_call(&self, relation: &str) -> String {
        format!(
            "(SELECT {}(array_agg({})) FROM {relation} AS {})",
            self.function_name(Work::HideLegacy),
            self.image_row(Self::IMAGE),
            Self::IMAGE
        )
    }

    /// What is done to the legacy row of `cf_image`, which is there.
    pub(super) fn hidden(&self) -> String {
        let table = &self.legacy.name;
        match self.hidden_rows() {
            WhenHidden::Remove => self.remove_legacy_from("(SELECT (cf_image).*)"),
            WhenHidden::Keep => {
                let reason = "kept: its unified row is not for legacy readers any more, or gone";
                let record = self.record(&quote_literal(reason), &quote_literal(KEPT));
                format!("PERFORM {record}")
            }
            WhenHidden::Refuse => format!(
                "RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = {}, HINT = {}, TABLE = {}, SCHEMA = {}",
                quote_literal(&format!(
                    "a row of {table} would not be there any more for who reads it under that name"
                )),
                quote_literal(&format!(
                    "The rule file says when_hidden = \"refuse\". Delete the row of {table} first."
                )),
                quote_literal(table),
                quote_literal(&self.legacy.schema),
            ),
        }
    }
}
