//! The trial of `rekey` on sampled rows: every second row of the sample is removed, and the row
//! before it gets its key. So no key has to be made up, of whatever type keys are.

use super::Call;
use crate::lens::{Lens, Work, all_of, list, quote_ident};

/// Statements for a transaction that is rolled back.
#[derive(Clone, Debug)]
pub struct RekeyTrial {
    /// Chooses the pairs and clears the way. What fails here says nothing of `rekey`.
    pub clear: Vec<String>,
    /// Moves the rows.
    pub rekey: String,
    /// Yields one row: how many rows moved, and an array of how many of them are gone, and then for
    /// each column how many read differently.
    pub compare: String,
    /// The columns of the array, behind its first element.
    pub columns: Vec<String>,
}

impl Lens {
    /// `None` for a lens whose keys do not change. `sample` is a relation of legacy rows that were put.
    #[must_use]
    pub fn rekey_trial(&self, sample: &str) -> Option<RekeyTrial> {
        self.steps().filter(|written| written.can_rekey())?;
        let keys = self.legacy_key();
        let numbered = |row: &str, word: &str| -> Vec<String> {
            let named = keys.iter().enumerate();
            named
                .map(|(i, key)| format!("{row}.{key} AS cf_{word}{i}"))
                .collect()
        };
        let has_key = |row: &str, other: &str, word: &str| -> String {
            let named = keys.iter().enumerate();
            all_of(named.map(|(i, key)| format!("{row}.{key} = {other}.cf_{word}{i}")))
        };
        let pairs = format!(
            "CREATE TEMPORARY TABLE cf_pairs ON COMMIT DROP AS WITH cf_s AS (SELECT *, \
             row_number() OVER (ORDER BY {}) AS cf_number FROM {sample}) \
             SELECT {}, {} FROM cf_s AS cf_a JOIN cf_s AS cf_b ON cf_b.cf_number = cf_a.cf_number + 1 \
             WHERE cf_a.cf_number % 2 = 1",
            keys.join(", "),
            numbered("cf_a", "from").join(", "),
            numbered("cf_b", "to").join(", "),
        );
        let removed = format!(
            "SELECT {}((SELECT array_agg({}) FROM ({}) AS cf_r JOIN pg_temp.cf_pairs AS cf_p ON {}), false)",
            self.function_name(Work::Remove),
            self.image_row("cf_r"),
            self.read(),
            has_key("cf_r", "cf_p", "to"),
        );
        let moved = format!(
            "CREATE TEMPORARY TABLE cf_moved ON COMMIT DROP AS SELECT cf_r.*, cf_p.* \
             FROM ({}) AS cf_r JOIN pg_temp.cf_pairs AS cf_p ON {}",
            self.read(),
            has_key("cf_r", "cf_p", "from"),
        );
        let image = list(self.columns.iter().map(|column| {
            let key = self.key_columns().position(|key| key.name == column.name);
            match key {
                Some(index) => format!("cf_m.cf_to{index}"),
                None => format!("cf_m.{}", quote_ident(&column.name)),
            }
        }));
        let image = format!("ROW({})::{}", image, self.image_type());
        let rekey = format!(
            "SELECT {} FROM pg_temp.cf_moved AS cf_m",
            self.call(
                Call::RekeyOne,
                &format!("{}, {image}", self.image_row("cf_m"))
            )
        );
        let others = self.columns.iter().filter(|column| !self.is_key(column));
        let columns: Vec<String> = others.map(|column| column.name.clone()).collect();
        let mut counts = vec!["count(*) FILTER (WHERE cf_r IS NULL)".to_owned()];
        counts.extend(columns.iter().map(|name| {
            let name = quote_ident(name);
            // What refers to a row that moved, itself perhaps, goes on referring to it.
            format!(
                "count(*) FILTER (WHERE cf_r.{name}::text IS DISTINCT FROM cf_m.{name}::text \
                 AND NOT EXISTS (SELECT 1 FROM pg_temp.cf_pairs AS cf_p WHERE \
                 (cf_p.cf_from0::text, cf_p.cf_to0::text) = (cf_m.{name}::text, cf_r.{name}::text)))"
            )
        }));
        let compare = format!(
            "SELECT count(*), ARRAY[{}] FROM pg_temp.cf_moved AS cf_m LEFT JOIN ({}) AS cf_r ON {}",
            counts.join(", "),
            self.read(),
            has_key("cf_r", "cf_m", "to"),
        );
        Some(RekeyTrial {
            // Of tables that were just made the planner assumes more rows than there are, and would join every
            // row of unified to each.
            clear: vec![
                pairs,
                "ANALYZE pg_temp.cf_pairs".to_owned(),
                removed,
                moved,
                "ANALYZE pg_temp.cf_moved".to_owned(),
            ],
            rekey,
            compare,
            columns,
        })
    }
}
