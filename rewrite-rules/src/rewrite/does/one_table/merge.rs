//! MERGE into the legacy name, once unified leads.
//!
//! ```text
//! MERGE INTO iso_agents a USING s ON a.email = s.e
//!   WHEN MATCHED AND s.gone THEN DELETE WHEN MATCHED THEN UPDATE SET full_name = s.n
//!   WHEN NOT MATCHED THEN INSERT (email, …) VALUES (s.e, …)
//!
//! WITH cf_src AS MATERIALIZED (SELECT row_number() OVER () AS cf_number, ("s".*)::record AS cf_r1 FROM s),
//!      cf_old AS MATERIALIZED (SELECT cf_number, "a"."id" AS cf_k1, 1 or 2 AS cf_do, s.n AS cf_v1
//!                              FROM ‹cf_src as s› JOIN (read) AS "a" ON (a.email = s.e) FOR UPDATE OF "a"),
//!      cf_which AS MATERIALIZED (SELECT cf_number, 3 AS cf_do FROM ‹cf_src as s, without those of cf_old›),
//!      cf_upd AS (MERGE INTO users AS cf_u USING cf_old ON cf_u."id" = cf_old.cf_k1 AND ‹all of cf_old was found›
//!                 WHEN MATCHED AND cf_do = 1 THEN DELETE
//!                 WHEN MATCHED AND cf_do = 2 THEN UPDATE SET "full_name" = cf_old.cf_v1 …),
//!      cf_ins3 AS (MERGE INTO users AS cf_u USING (SELECT ‹image› FROM cf_which …) AS cf_n ON false
//!                  WHEN NOT MATCHED THEN INSERT (…) VALUES (…) …),
//!      cf_new AS (SELECT * FROM cf_upd UNION ALL SELECT * FROM cf_ins3)
//! ```
//!
//! The client's expressions stay over relations of its own names, each where it sees what it saw:
//! both sides, the source alone, or the target alone. As with UPDATE, the rows are locked where
//! their new values are computed. Each action's row is decided once; the server's own MERGE then
//! goes by the key, and says so if it meets a row twice.

mod by_key;
mod insert;

use super::OneTable;
use crate::legend::query;
use crate::rewrite::compose::{Composed, Composer, one_then};
use crate::rewrite::says::arms::Parts;
use crate::rewrite::says::merge::{Did, Joined};
use crate::statement::Refusal;
use crate::text::clauses::merge::When;
use crate::text::splice::{Output, Source};

impl<'a> OneTable<'_, '_, 'a> {
    pub(super) fn merge(
        &self,
        composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Composed, Refusal> {
        let joined = Joined::of(&self.scope, self.target, true, source);
        let mut parts = self.merge_parts(&joined, composer, source)?;
        let updates = self.updates(&parts.merge)?;
        if self.mirrors() {
            self.lock(&mut parts, source);
        }
        self.matched(&mut parts, source, &updates);
        if parts.merge.has(When::NotMatchedBySource) {
            self.not_by_source(&mut parts, source, &updates);
        }
        if parts.merge.has(When::NotMatchedByTarget) {
            self.not_by_target(&mut parts, source)?;
        }
        Ok(self.answer(parts, source))
    }

    /// Locks the legacy rows of what may be written, before any unified row.
    fn lock(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>) {
        let keys = self.lens.keys_of(&self.write.alias);
        let mut found = Output::default();
        found.own(&format!("SELECT {}", keys.join(", ")));
        if parts.merge.has(When::NotMatchedBySource) {
            let read = self.read();
            found.own(&format!(" FROM ({read}) AS {}", self.write.alias));
        } else {
            self.join(parts, &mut found, source);
        }
        parts.composer.query(query::KEYS, found);
        let keys = parts.composer.name(query::KEYS);
        let locked = self
            .lens
            .lock_legacy(format!("SELECT * FROM {keys}"), "UPDATE");
        parts.composer.once(query::LOCK, locked);
    }

    /// Makes the locks on legacy come first.
    fn guard(&self, parts: &Parts<'_, 'a>) -> Option<String> {
        self.mirrors().then(|| parts.composer.behind(query::LOCK))
    }

    /// All rows that were written, then the legacy half and the client's RETURNING list.
    fn answer(&self, parts: Parts<'_, 'a>, source: &Source<'_>) -> Composed {
        let Parts {
            mut composer,
            joined,
            written,
            ..
        } = parts;
        let all: Vec<String> = written
            .iter()
            .map(|name| format!("SELECT * FROM {name}"))
            .collect();
        composer.query(
            query::NEW,
            if all.is_empty() {
                // Nothing but DO NOTHING.
                format!(
                    "SELECT NULL AS cf_action, NULL::bigint AS cf_number, NULL::{} AS cf_row \
                     WHERE false",
                    self.lens.unified
                )
            } else {
                all.join(" UNION ALL ")
            },
        );
        let loses = self.lens.may_lose(self.lens.columns.iter());
        if self.mirrors() {
            let gone = format!("({})", self.lens.read_from(&composer.merged(Did::Deleted)));
            let there = format!("({})", self.read_back(loses, &composer.merged(Did::Put)));
            composer.call(one_then(
                &self.lens.remove_legacy_call(&gone),
                &self.lens.put_legacy_call(&there),
            ));
        }
        let image = self.lens.read_from("(SELECT (cf_all.cf_row).*)");
        let rows = composer.name(query::SRC);
        let from = format!(
            " LEFT JOIN {rows} AS cf_s ON cf_s.cf_number = cf_all.cf_number{}",
            joined.items.from("cf_s")
        );
        composer.select_merged(self.write, source, (&image, &from))
    }
}
