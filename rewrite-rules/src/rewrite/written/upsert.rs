//! ON CONFLICT (key) DO UPDATE once unified leads.
//!
//! ```text
//! INSERT INTO user_settings (id, language) VALUES ($1, $2)
//!   ON CONFLICT (id) DO UPDATE SET language = excluded.language WHERE user_settings.email IS NULL
//!
//! WITH cf_given AS MATERIALIZED (SELECT array_agg(image) AS cf_images FROM …),
//!      cf_old AS MATERIALIZED (
//!        SELECT cf_q.cf_i, ROW("user_settings"."id", …)::image AS cf_o, ROW(…, excluded.language, …)::image AS cf_n,
//!               (user_settings.email IS NULL) AS cf_ok
//!        FROM (SELECT cf_i, cf_images[cf_i] AS cf_x FROM cf_given, generate_subscripts(cf_images, 1) AS cf_i) AS cf_q
//!        CROSS JOIN LATERAL (SELECT (cf_q.cf_x)."id"::integer AS "id", …) AS excluded
//!        JOIN (read) AS "user_settings" ON "user_settings"."id" = excluded."id"),
//!      cf_img AS MATERIALIZED (SELECT * FROM crossfade.upsert_…(‹given›, ‹old›, …))
//! SELECT FROM cf_img AS "user_settings"
//! ```
//!
//! Rows that are there already are changed as by an UPDATE, the others inserted. No single index
//! holds a row that is split: one that comes between the look and the insert is told as 40001, where
//! PostgreSQL would have updated it.

use super::{Images, names_of};
use crate::lens::{Call, quote_ident};
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::legacy_first;
use crate::rewrite::unified_first::Unified;
use crate::rewrite::upsert::EXCLUDED;
use crate::splice::{Output, Source};
use crate::statement::{Refusal, TagVerb};

impl<'a> Images<'_, 'a> {
    /// Behind `cf_given`, the images that the client gives.
    pub(super) fn upsert(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        unified: &Unified<'_, 'a>,
        arbiters: &str,
    ) -> Result<Composed, Refusal> {
        legacy_first::keeps_keys(&self.scope, self.target)?;
        let conflict = unified.assignments_on_conflict()?;
        self.judge_assignments(&mut composer, source, &conflict.assigned, Some(EXCLUDED));
        let (sets, queries) = conflict.assigned;
        let given = composer.name("given");
        let alias = &self.write.alias;
        let excluded: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|column| {
                let name = quote_ident(&column.name);
                format!("(cf_q.cf_x).{name}::{} AS {name}", column.sql_type)
            })
            .collect();
        let same: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("{alias}.{key} = {EXCLUDED}.{key}"))
            .collect();
        let mut old = Output::default();
        old.own(&format!(
            "SELECT cf_q.cf_i, {} AS cf_o, ",
            self.lens.image_row(alias)
        ));
        old.append(self.new_image(source, &sets));
        match conflict.condition {
            Some(condition) => old
                .own(", coalesce((")
                .client(source, condition.extent())
                .own("), false) AS cf_ok"),
            None => old.own(", true AS cf_ok"),
        };
        old.own(&format!(
            " FROM (SELECT cf_i, cf_images[cf_i] AS cf_x FROM {given}, \
             generate_subscripts(cf_images, 1) AS cf_i) AS cf_q \
             CROSS JOIN LATERAL (SELECT {}) AS {EXCLUDED} JOIN ({}) AS {alias} ON {}",
            excluded.join(", "),
            self.lens.read(),
            same.join(" AND "),
        ));
        for (number, query) in queries.iter().enumerate() {
            query.item(number, &mut old, source);
        }
        composer.once("old", old);
        let old = composer.name("old");
        let array = |what: &str| format!("(SELECT array_agg({what} ORDER BY cf_i) FROM {old})");
        let arguments = format!(
            "(SELECT cf_images FROM {given}), {}, {}, {}, {}, {}, {arbiters}, {}",
            array("cf_i"),
            array("cf_o"),
            array("cf_n"),
            array("cf_ok"),
            names_of(&sets),
            self.mirrors()
        );
        let call = (Call::Upsert, arguments.as_str());
        Ok(self.finish(composer, source, call, TagVerb::Insert))
    }
}
