//! An UPDATE of the legacy rows' key under the unified table's name.
//!
//! ```text
//! UPDATE settings SET id = 50000 WHERE id = 2
//!
//! WITH cf_keys …, cf_lock …,
//!      cf_was AS MATERIALIZED (SELECT ROW(settings.*)::settings AS cf_row FROM settings
//!                              WHERE (id = 2) AND ‹cf_lock› FOR UPDATE OF settings),
//!      cf_before AS (‹legacy keys of› cf_was),
//!      cf_ups AS (UPDATE settings SET id = 50000 FROM cf_was WHERE settings.id = (cf_was.cf_row).id AND (id = 2)
//!                 RETURNING ROW(settings.*)::settings AS cf_row, (cf_was.cf_row).id AS cf_k1),
//!      cf_new AS (SELECT (cf_row).* FROM cf_ups),
//!      cf_moved AS (‹old and new legacy keys of› cf_ups, ‹as far as they are in› cf_before)
//! SELECT FROM cf_new AS settings
//!  WHERE CASE WHEN (SELECT move_legacy(…) FROM cf_moved) THEN ‹the others as in› mirror END
//! ```
//!
//! The legacy row keeps what unified knows nothing of, and what refers to it follows or refuses as its
//! foreign key says. A row that went and another that came would lose both.

use super::brought::Follows;
use super::steps::Steps;
use crate::legend::query;
use crate::lens::{Call, all_of, list, quote_ident};
use crate::refuse;
use crate::rewrite::compose::{Composer, one_then};
use crate::rewrite::says::own::Own;
use crate::statement::Refusal;
use crate::text::splice::Source;

impl Steps<'_, '_> {
    /// `keys`: a query for the legacy keys of what is found, which are locked.
    pub(super) fn rekey(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        (own, sets): (&Own<'_, '_>, &[&str]),
        keys: &str,
    ) -> Result<(), Refusal> {
        let refuse = |what: &str, hint: &str| Err(refuse::unsupported(what, &own.table.name, hint));
        let columns: Option<Vec<String>> = self.part.key.iter().cloned().collect();
        let Some(columns) = columns else {
            return refuse(
                "an UPDATE of a part of the legacy table's key",
                "Write it under the legacy table's name.",
            );
        };
        let columns: Vec<String> = columns.iter().map(|name| quote_ident(name)).collect();
        let behind = composer.name(query::LOCK);
        let row = format!("ROW({}.*)::{}", own.write.alias, own.table);
        own.was(composer, source, (&row, &columns), Some(&behind));
        let was = composer.name(query::WAS);
        let rows = format!("(SELECT (cf_row).* FROM {was})");
        composer.once(query::BEFORE, self.keys_of(rows));
        let before = composer.name(query::BEFORE);

        let Some(statement) = own.of_those_that_were(composer, source, &columns) else {
            return refuse("this UPDATE", "Write it plainly.");
        };
        let old = list(
            (1..)
                .zip(&columns)
                .map(|(at, key)| format!("({was}.cf_row).{key} AS cf_k{at}")),
        );
        let carried = (own.write, &own.carried);
        composer.telling(statement, carried, own.table, &old);
        composer.same_number(query::WAS, query::UPS);
        let all = composer.name(query::UPS);
        composer.query(query::MOVED, self.moved(&columns, &all, &before));
        let moved = composer.name(query::MOVED);
        let move_legacy = format!(
            "(SELECT {} FROM {moved} AS cf_m)",
            self.lens.call(
                Call::MoveLegacy,
                &format!(
                    "array_agg({}), array_agg({}), true",
                    self.lens.key_image_of(|at| format!("cf_m.cf_o{}", at + 1)),
                    self.lens.key_image_of(|at| format!("cf_m.cf_n{}", at + 1)),
                )
            )
        );
        let after = self.keys_of(format!("(SELECT (cf_row).* FROM {all})")).sql;
        let before = format!("SELECT * FROM {before}");
        let followed = match self.follows {
            Follows::Whole => {
                let all = format!("{keys} UNION {before} UNION {after}");
                self.sync(&all, sets, true)
            }
            Follows::Set => {
                let to = list((1..=columns.len()).map(|at| format!("cf_n{at}")));
                let there = format!("{before} UNION SELECT {} FROM {moved}", to);
                let came = format!("({after}) EXCEPT ({there})");
                one_then(
                    &self.sync(&there, sets, false),
                    &self.sync(&came, sets, true),
                )
            }
        };
        composer.call(one_then(&move_legacy, &followed));
        Ok(())
    }

    /// The legacy keys that changed, `cf_o1` and so on with `cf_n1` and so on: of rows that were there.
    fn moved(&self, columns: &[String], all: &str, before: &str) -> String {
        let lens = self.lens;
        let of = |value: &dyn Fn(usize, &str) -> String| -> Vec<String> {
            let keys = lens.key_columns().zip(columns).enumerate();
            keys.map(|(at, (key, column))| format!("({})::{}", value(at + 1, column), key.sql_type))
                .collect()
        };
        let old = of(&|at, _| format!("cf_a.cf_k{at}"));
        let new = of(&|_, column| format!("(cf_a.cf_row).{column}"));
        let named = |values: &[String], word: &str| -> String {
            let all = (1..).zip(values);
            list(all.map(|(at, value)| format!("{value} AS cf_{word}{at}")))
        };
        let keys = lens.legacy_key();
        let same = all_of(
            keys.iter()
                .zip(&old)
                .map(|(key, old)| format!("cf_b.{key} = {old}")),
        );
        format!(
            "SELECT {}, {} FROM {all} AS cf_a JOIN {before} AS cf_b ON {} WHERE ({}) IS DISTINCT FROM ({})",
            named(&old, "o"),
            named(&new, "n"),
            same,
            old.join(", "),
            new.join(", "),
        )
    }
}
