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

use super::Mirror;
use crate::failure::Failure;
use crate::legend::query;
use crate::lens::{Call, quote_ident};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer};
use crate::splice::{Output, Source};
use crate::statement::{Refusal, TagVerb};

impl Mirror<'_, '_> {
    pub(super) fn rekey(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        sets: &[&str],
    ) -> Result<Composed, Refusal> {
        let (write, lens) = (self.write, self.target.managed.lens);
        let refuse = |what: &str, hint: &str| {
            Err(refuse::unsupported(what, &self.target.table_name(), hint))
        };
        let columns: Option<Vec<&String>> =
            self.reach.part.key.iter().map(Option::as_ref).collect();
        let Some(columns) = columns else {
            return refuse(
                "an UPDATE of a part of the legacy table's key",
                "Write it under the legacy table's name.",
            );
        };
        let Some(assigned_to) = write.clauses.assigned_to() else {
            return refuse("this UPDATE", "Write it plainly.");
        };
        let columns: Vec<String> = columns.into_iter().map(|name| quote_ident(name)).collect();
        let keys = self.lock(&mut composer, source);
        self.was(&mut composer, source, &columns);
        let (was, before) = (composer.name(query::WAS), composer.name(query::BEFORE));

        let mut statement = Output::default();
        statement.client(source, write.clauses.body.start..assigned_to);
        statement.own(" FROM ");
        if let Some(joined) = write.clauses.joined() {
            statement.client(source, joined).own(", ");
        }
        let same: Vec<String> = columns
            .iter()
            .map(|key| format!("{}.{key} = ({was}.cf_row).{key}", write.alias))
            .collect();
        statement.own(&format!("{was} WHERE {}", same.join(" AND ")));
        if let Some(condition) = write.clauses.condition() {
            statement.own(" AND (").client(source, condition).own(")");
        }
        let old: Vec<String> = (1..)
            .zip(&columns)
            .map(|(at, key)| format!("({was}.cf_row).{key} AS cf_k{at}"))
            .collect();
        let carried = (write, &self.carried);
        let all = composer.telling(
            statement,
            carried,
            self.target.managed.table,
            &old.join(", "),
        );
        composer.call(format!(
            "CASE WHEN (SELECT count(*) FROM {was}) = (SELECT count(*) FROM {all}) THEN true ELSE {} END",
            Failure::KeyChanged.unless_true(&format!("(SELECT count(*) FROM {all})"))
        ));
        composer.query(query::MOVED, self.moved(&columns, &all, &before));
        let moved = composer.name(query::MOVED);
        let move_legacy = format!(
            "(SELECT {} FROM {moved} AS cf_m)",
            lens.call(
                Call::MoveLegacy,
                &format!(
                    "array_agg({}), array_agg({}), true",
                    lens.key_image_of(|at| format!("cf_m.cf_o{}", at + 1)),
                    lens.key_image_of(|at| format!("cf_m.cf_n{}", at + 1)),
                )
            )
        );
        let rows = format!("(SELECT (cf_row).* FROM {all})");
        let after = lens.keys_of_rows(self.written, self.reach.part, rows).sql;
        let before = format!("SELECT * FROM {before}");
        let followed = if self.reach.full {
            let all = format!("{keys} UNION {before} UNION {after}");
            self.reach.sync(lens, &all, Some(sets), true)
        } else {
            let to: Vec<String> = (1..=columns.len()).map(|at| format!("cf_n{at}")).collect();
            let there = format!("{before} UNION SELECT {} FROM {moved}", to.join(", "));
            let came = format!("({after}) EXCEPT ({there})");
            let there = self.reach.sync(lens, &there, Some(sets), false);
            let came = self.reach.sync(lens, &came, Some(sets), true);
            format!("CASE WHEN {there} THEN {came} END")
        };
        composer.call(format!("CASE WHEN {move_legacy} THEN {followed} END"));
        Ok(self.finish(composer, source, TagVerb::Update))
    }

    /// `cf_was`, the rows under their locks, each once; and `cf_before`, their legacy keys.
    fn was(&self, composer: &mut Composer, source: &Source<'_>, columns: &[String]) {
        let write = self.write;
        let row = format!(
            "ROW({}.*)::{} AS cf_row",
            write.alias, self.target.managed.table
        );
        let mut was = self.found(source, &row, Some(&composer.name(query::LOCK)), true);
        if write.clauses.joined().is_some() {
            let keys: Vec<String> = columns
                .iter()
                .map(|key| format!("(cf_row).{key}"))
                .collect();
            let mut once = Output::default();
            once.own(&format!(
                "SELECT DISTINCT ON ({}) cf_row FROM (",
                keys.join(", ")
            ));
            once.append(was).own(") AS cf_q");
            was = once;
        }
        composer.once(query::WAS, was);
        let rows = format!("(SELECT (cf_row).* FROM {})", composer.name(query::WAS));
        let lens = self.target.managed.lens;
        let before = lens.keys_of_rows(self.written, self.reach.part, rows);
        composer.once(query::BEFORE, before);
    }

    /// The legacy keys that changed, `cf_o1` and so on with `cf_n1` and so on: of rows that were there.
    fn moved(&self, columns: &[String], all: &str, before: &str) -> String {
        let lens = self.target.managed.lens;
        let of = |value: &dyn Fn(usize, &str) -> String| -> Vec<String> {
            let keys = lens.key_columns().zip(columns).enumerate();
            keys.map(|(at, (key, column))| format!("({})::{}", value(at + 1, column), key.sql_type))
                .collect()
        };
        let old = of(&|at, _| format!("cf_a.cf_k{at}"));
        let new = of(&|_, column| format!("(cf_a.cf_row).{column}"));
        let named = |values: &[String], word: &str| -> String {
            let all = (1..).zip(values);
            let all: Vec<String> = all
                .map(|(at, value)| format!("{value} AS cf_{word}{at}"))
                .collect();
            all.join(", ")
        };
        let keys = lens.legacy_key();
        let same: Vec<String> = keys
            .iter()
            .zip(&old)
            .map(|(key, old)| format!("cf_b.{key} = {old}"))
            .collect();
        format!(
            "SELECT {}, {} FROM {all} AS cf_a JOIN {before} AS cf_b ON {} WHERE ({}) IS DISTINCT FROM ({})",
            named(&old, "o"),
            named(&new, "n"),
            same.join(" AND "),
            old.join(", "),
            new.join(", "),
        )
    }
}
