//! Columns whose values do not survive the way to unified and back: of all rows, or of those of which
//! a condition over what `read` joins is true.
//!
//! ```text
//! lossy = ["password", { columns = ["email"], when = "NOT k.own" }]
//!
//! read_judged:  SELECT ‹the columns of read›, (NOT k.own) IS TRUE AS cf_lossy_0 FROM …
//! ```
//!
//! Only `read` knows the condition, so whoever compares or copies a row asks there, and a legacy row
//! by itself is neither lossy nor not.

use super::{KeyRange, LegacyColumn, Lens, Lossy, Written, quote_ident, quote_literal};
use crate::lens::list;

/// The column of [`Lens::read_judged`] that tells of a row whether a condition is true.
pub(super) fn flag(number: usize) -> String {
    format!("cf_lossy_{number}")
}

/// The same of a row in scope under a name.
pub(super) fn of(row: &str, number: usize) -> String {
    format!("{row}.{}", flag(number))
}

impl LegacyColumn {
    /// Whether it is lossy in a row of [`Lens::read_judged`] in scope under a name; `None`: it never is.
    #[must_use]
    pub fn is_lossy_in(&self, row: &str) -> Option<String> {
        match self.lossy {
            Lossy::Never => None,
            Lossy::Always => Some("true".to_owned()),
            Lossy::When(number) => Some(of(row, number)),
        }
    }
}

impl Lens {
    /// [`Lens::read`], and of each row which conditions are true of it.
    #[must_use]
    pub fn read_judged(&self) -> String {
        match self.steps() {
            Some(written) if !written.query.lossy.is_empty() => {
                self.read_written_with(written, &[], &Self::flags(written))
            }
            Some(_) | None => self.read(),
        }
    }

    fn flags(written: &Written) -> Vec<String> {
        let conditions = written.query.lossy.iter().enumerate();
        conditions
            .map(|(number, sql)| format!("({sql}) IS TRUE AS {}", flag(number)))
            .collect()
    }

    /// The statement of a function that fills variables with which conditions are true of the row of an image; with
    /// NULL if there is no such row. `None`: there are no conditions.
    pub(super) fn judged_of(&self, written: &Written, image: &str) -> Option<String> {
        let flags: Vec<String> = (0..written.query.lossy.len()).map(flag).collect();
        if flags.is_empty() {
            return None;
        }
        let of_row = list(flags.iter().map(|flag| format!("cf_r.{flag}")));
        let key = [self.has_key_of(written, image)];
        Some(format!(
            "SELECT {} INTO {} FROM ({}) AS cf_r",
            of_row,
            flags.join(", "),
            self.read_written_with(written, &key, &Self::flags(written)),
        ))
    }

    /// Legacy rows, each with which conditions are true of what unified has under its key.
    pub(super) fn legacy_judged(&self) -> String {
        let Some(written) = self.steps() else {
            return self.legacy.sql();
        };
        let flags: Vec<String> = (0..written.query.lossy.len()).map(flag).collect();
        if flags.is_empty() {
            return self.legacy.sql();
        }
        let keys = self.legacy_key();
        let same = self.same_key("cf_l", "cf_w");
        // One for each key, whatever `read` yields: a row that it yields twice must not be here twice too.
        let judged = list(
            flags
                .iter()
                .map(|flag| format!("bool_and({flag}) AS {flag}")),
        );
        let of_row = list(
            flags
                .iter()
                .map(|flag| format!("coalesce(cf_w.{flag}, false) AS {flag}")),
        );
        let columns = list(
            self.columns
                .iter()
                .map(|column| format!("cf_l.{}", quote_ident(&column.name))),
        );
        format!(
            "(SELECT {}, {} FROM {} AS cf_l LEFT JOIN (SELECT {keys}, {} FROM ({}) AS cf_r GROUP BY {keys}) \
             AS cf_w ON {})",
            columns,
            of_row,
            self.legacy,
            judged,
            self.read_judged(),
            same,
            keys = keys.join(", "),
        )
    }

    fn lossy_columns(&self) -> impl Iterator<Item = (&LegacyColumn, String)> {
        let columns = self.columns.iter().filter(|column| !self.is_key(column));
        columns.filter_map(|column| {
            let lossy = column.is_lossy_in("cf_u")?;
            let name = quote_ident(&column.name);
            let differs = column.legacy_differs(&format!("cf_l.{name}"), &format!("cf_u.{name}"));
            Some((column, format!("({lossy} AND {differs})")))
        })
    }

    /// How many rows that both sides have differ in what the rule calls lossy, in a range of the key, and
    /// in which columns so many at most (the parameter after the range's) do: `count, [[key, [column, …]], …]`.
    /// `None`: no column is lossy.
    #[must_use]
    pub fn lossy_differences(&self, range: KeyRange) -> Option<String> {
        let (names, differ): (Vec<String>, Vec<String>) = self
            .lossy_columns()
            .map(|(column, differs)| (quote_literal(&column.name), differs))
            .unzip();
        if names.is_empty() {
            return None;
        }
        let named = list(
            names
                .iter()
                .zip(&differ)
                .map(|(name, differs)| format!("CASE WHEN {differs} THEN {name} END")),
        );
        Some(format!(
            "WITH cf_lossy AS MATERIALIZED (SELECT {} AS cf_key, \
             to_jsonb(array_remove(ARRAY[{}], NULL)) AS cf_columns FROM {} \
             WHERE cf_l.cf_here AND cf_u.cf_here AND ({})) \
             SELECT count(*), (SELECT coalesce(jsonb_agg(jsonb_build_array(cf_key, cf_columns)), '[]') \
             FROM (SELECT * FROM cf_lossy ORDER BY cf_key LIMIT ${}) AS cf_s) FROM cf_lossy",
            self.key_json("cf_l"),
            named,
            self.both_sides(&self.in_range(range)),
            differ.join(" OR "),
            range.parameters() + 1,
        ))
    }
}
