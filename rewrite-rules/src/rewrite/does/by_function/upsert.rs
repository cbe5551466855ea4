//! ON CONFLICT … DO UPDATE once unified leads.
//!
//! ```text
//! INSERT INTO user_settings (id, language) VALUES ($1, $2)
//!   ON CONFLICT (id) DO UPDATE SET language = excluded.language WHERE user_settings.email IS NULL
//!
//! WITH cf_given AS MATERIALIZED (SELECT array_agg(image) AS cf_images FROM …),
//!      cf_img AS MATERIALIZED (
//!        WITH RECURSIVE cf_each (cf_i, cf_done, cf_row) AS (
//!          SELECT 0, ‹no keys›, NULL::image WHERE crossfade.may_write_…(…) UNION ALL
//!          SELECT cf_i + 1, ‹and this one's›, cf_w.cf_row
//!          FROM cf_each CROSS JOIN LATERAL (SELECT cf_images[cf_i + 1] AS cf_x FROM cf_given) AS cf_q
//!          CROSS JOIN LATERAL crossfade.enter_…(cf_x, 'user_settings_pkey', …) AS cf_e
//!          CROSS JOIN LATERAL (SELECT (cf_x)."id" AS "id", …) AS excluded
//!          CROSS JOIN LATERAL (SELECT (cf_e.cf_row)."id" AS "id", …) AS "user_settings"
//!          CROSS JOIN LATERAL (SELECT CASE WHEN NOT cf_there THEN cf_e.cf_row
//!            WHEN (user_settings.email IS NULL) THEN ‹change to ROW(…, excluded.language, …)› END AS cf_row) AS cf_w)
//!        SELECT (cf_row).* FROM cf_each WHERE NOT cf_row IS NULL)
//! SELECT FROM cf_img AS "user_settings"
//! ```
//!
//! As PostgreSQL does, one row after the other: each is inserted, or the row that it is in conflict
//! with is locked, and the client's expressions are evaluated over what it is then. A later row may
//! be in conflict with what became of an earlier one.

use super::{Arbiter, ByFunction, names_of};
use crate::legend::query;
use crate::lens::{Call, list, quote_ident};
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::says::assignments::Set;
use crate::rewrite::says::upsert::{self, EXCLUDED};
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};

impl<'a> ByFunction<'_, '_, 'a> {
    /// Behind `cf_given`, the images that the client gives.
    pub(super) fn upsert(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        arbiter: &Arbiter<'_>,
    ) -> Result<Composed, Refusal> {
        if !self.lens.moves_keys() {
            upsert::keeps_keys(&self.scope, self.target)?;
        }
        let conflict = self.assignments_on_conflict()?;
        self.judge_assignments(&mut composer, source, &conflict.assigned, Some(EXCLUDED));
        let (sets, queries) = conflict.assigned;
        let given = composer.name(query::GIVEN);
        let keys = |row: &str| {
            let all = self.lens.keys_of(&format!("({row})"));
            format!("ROW({})", all.join(", "))
        };
        let mut all = Output::default();
        all.own(&format!(
            "WITH RECURSIVE cf_each (cf_i, cf_done, cf_row) AS (\
             SELECT 0, {}, NULL::{image} WHERE {may} UNION ALL \
             SELECT cf_each.cf_i + 1, CASE WHEN cf_w.cf_row IS NULL THEN cf_each.cf_done \
             ELSE cf_each.cf_done || {}::text END, cf_w.cf_row FROM cf_each \
             CROSS JOIN LATERAL (SELECT cf_images[cf_each.cf_i + 1] AS cf_x FROM {given} \
             WHERE cf_each.cf_i < cardinality(cf_images)) AS cf_q \
             CROSS JOIN LATERAL {} AS cf_e CROSS JOIN LATERAL (SELECT {}) AS {EXCLUDED} \
             CROSS JOIN LATERAL (SELECT {}) AS {} \
             CROSS JOIN LATERAL (SELECT CASE WHEN NOT cf_e.cf_there THEN cf_e.cf_row WHEN ",
            self.no_keys(&given, &sets, arbiter),
            keys("cf_w.cf_row"),
            self.lens.call(
                Call::Enter,
                &format!(
                    "cf_q.cf_x, {}, {}, cf_each.cf_done, {}",
                    arbiter.name_sql(),
                    arbiter.names,
                    self.mirrors()
                )
            ),
            self.lens.image_fields("cf_q.cf_x"),
            self.lens.image_fields("cf_e.cf_row"),
            self.write.alias,
            image = self.lens.image_type(),
            may = self.may_write("INSERT", &["INSERT", "UPDATE"], &names_of(&sets)),
        ));
        match conflict.condition {
            Some(condition) => all.own("(").client(source, condition.extent()).own(")"),
            None => all.own("true"),
        };
        all.own(" THEN (SELECT cf_c FROM ");
        if !queries.is_empty() {
            all.own("(SELECT) AS cf_one");
            for (number, query) in queries.iter().enumerate() {
                query.item(number, &mut all, source);
            }
            all.own(", LATERAL ");
        }
        all.own(&format!(
            "{}(ARRAY[cf_e.cf_row], ARRAY[",
            self.lens.call_name(Call::Change)
        ));
        all.append(self.new_row(source, &sets));
        all.own(&format!(
            "], {}, true, false, {}) AS cf_c) END AS cf_row OFFSET 0) AS cf_w) \
             SELECT (cf_row).* FROM cf_each WHERE NOT cf_row IS NULL",
            names_of(&sets),
            self.mirrors()
        ));
        Ok(self.finish_with(composer, source, all, &[]))
    }

    /// The keys that were written, none yet; NULL where no row can be met twice.
    fn no_keys(&self, given: &str, sets: &[Set<'_, 'a>], arbiter: &Arbiter<'_>) -> String {
        let sets_one = sets
            .iter()
            .any(|(set, _)| arbiter.columns.iter().any(|column| column.name == set.name));
        if sets_one {
            return "'{}'::text[]".to_owned();
        }
        let columns = list(
            arbiter
                .columns
                .iter()
                .map(|column| format!("cf_x.{}", quote_ident(&column.name))),
        );
        format!(
            "CASE WHEN (SELECT count(*) <> count(DISTINCT ROW({})) \
             FROM {given} CROSS JOIN LATERAL unnest(cf_images) AS cf_x) THEN '{{}}'::text[] END",
            columns
        )
    }
}
