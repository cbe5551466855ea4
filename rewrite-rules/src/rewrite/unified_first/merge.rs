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

use super::Unified;
use super::set_query::{SetQuery, Value};
use super::target::Place;
use crate::legend::query;
use crate::lens::{LegacyColumn, Lens};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::merge::{Joined, check_columns, check_keys, returning};
use crate::rewrite::read;
use crate::rewrite::upsert;
use crate::splice::{Output, Source};
use crate::statement::Refusal;
use crate::text::clauses::Merge;
use crate::text::clauses::merge::{Action, When};

/// What an UPDATE action sets.
pub(in crate::rewrite) struct Update<'s, 'a> {
    pub clause: usize,
    pub sets: Vec<(&'s LegacyColumn, Value<'a>)>,
    pub queries: Vec<SetQuery<'a>>,
    /// Where in their columns the values go.
    places: Vec<Place<'a>>,
}

impl Update<'_, '_> {
    /// The name of a value that is computed where its row is found.
    fn name(&self, set: usize) -> String {
        format!("cf_v{}_{}", self.clause, set + 1)
    }

    /// The name of a subscript that is.
    fn subscript(&self, set: usize, number: usize) -> String {
        format!("cf_s{}_{}_{number}", self.clause, set + 1)
    }
}

/// One MERGE on its way.
pub(in crate::rewrite) struct Parts<'p, 'a> {
    pub merge: Merge<'a>,
    pub joined: &'p Joined<'a>,
    pub composer: Composer,
    /// The queries that write.
    written: Vec<String>,
}

impl<'a> Unified<'_, 'a> {
    pub(super) fn merge(
        &self,
        composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Composed, Refusal> {
        let joined = Joined::of(&self.scope, self.target, true, source);
        let mut parts = self.merge_parts(&joined, composer, source)?;
        let updates = self.updates(&parts.merge)?;
        if self.mirrors {
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

    /// The MERGE taken apart and checked, and the rows of its source.
    pub(in crate::rewrite) fn merge_parts<'p>(
        &self,
        joined: &'p Joined<'a>,
        composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Parts<'p, 'a>, Refusal> {
        let merge = self.write.clauses.merge.clone();
        check_columns(&self.scope, self.target)?;
        if self.lens.is_row_for_row() || !self.lens.moves_keys() {
            check_keys(&merge, self.target)?;
        }
        joined.check()?;
        returning(
            &self.scope,
            self.target,
            (self.write, joined, "cf_s"),
            source,
        )?;
        let statement = self.scope.statement;
        for clause in ["join_condition", "merge_when_clauses"] {
            joined
                .items
                .unqualify(&self.scope, statement.get(clause), source);
        }
        let mut parts = Parts {
            merge,
            joined,
            composer,
            written: Vec::new(),
        };
        if parts.merge.has_unreachable() {
            self.unreachable(&mut parts);
        }
        self.source_rows(&mut parts, source);
        Ok(parts)
    }

    /// The same mistake for the server to find, when it comes to this statement.
    fn unreachable(&self, parts: &mut Parts<'_, 'a>) {
        let mistake = format!(
            "MERGE INTO {} AS {} USING (SELECT 1) AS {} ON false \
             WHEN MATCHED THEN DO NOTHING WHEN MATCHED THEN DO NOTHING",
            self.lens.unified,
            Lens::ROW,
            Lens::IMAGE
        );
        parts.composer.query(query::NO, mistake);
    }

    /// The rows behind USING, evaluated once, each with a number.
    fn source_rows(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>) {
        let mut rows = Output::default();
        rows.own(&format!(
            "SELECT row_number() OVER () AS cf_number{} FROM ",
            parts.joined.items.rows()
        ));
        rows.client(source, parts.merge.source.clone());
        parts.composer.once(query::SRC, rows);
    }

    /// The source under the client's names: to stand in FROM.
    pub(in crate::rewrite) fn source_items(parts: &Parts<'_, 'a>) -> String {
        let rows = parts.composer.name(query::SRC);
        format!("{rows} AS cf_s{}", parts.joined.items.from("cf_s"))
    }

    /// The rows of the target.
    fn read(&self) -> String {
        read::only(self.target, self.lens.read()).sql
    }

    pub(in crate::rewrite) fn join(
        &self,
        parts: &Parts<'_, 'a>,
        output: &mut Output,
        source: &Source<'_>,
    ) {
        output.own(&format!(
            " FROM {} JOIN ({}) AS {} ON (",
            Self::source_items(parts),
            self.read(),
            self.write.alias
        ));
        output
            .client(source, parts.merge.condition.clone())
            .own(")");
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
        let locked = self.lens.lock_legacy(format!("SELECT * FROM {keys}"));
        parts.composer.once(query::LOCK, locked);
    }

    /// Makes the locks on legacy come first.
    fn guard(&self, parts: &Parts<'_, 'a>) -> Option<String> {
        let lock = parts.composer.name(query::LOCK);
        self.mirrors
            .then(|| format!("(SELECT count(*) FROM {lock}) >= 0"))
    }

    /// `cf_w.cf_do`: the number of the first clause of its kind whose condition holds.
    pub(in crate::rewrite) fn decision(
        &self,
        parts: &Parts<'_, 'a>,
        output: &mut Output,
        source: &Source<'_>,
        when: When,
    ) {
        self.decision_but(parts, output, source, (when, ""));
    }

    /// The same, where nothing else is known (`known`, an arm of a CASE).
    pub(in crate::rewrite) fn decision_but(
        &self,
        parts: &Parts<'_, 'a>,
        output: &mut Output,
        source: &Source<'_>,
        (when, known): (When, &str),
    ) {
        let arms = parts.merge.arms.iter().enumerate();
        let arms: Vec<_> = arms.filter(|(_, arm)| arm.when == when).collect();
        output.own(" CROSS JOIN LATERAL (SELECT ");
        if arms.is_empty() {
            output.own("NULL::int");
        } else {
            output.own("CASE").own(known);
            for (number, arm) in arms {
                output.own(" WHEN ");
                match arm.condition.clone() {
                    Some(condition) => output.client(source, condition),
                    None => output.own("true"),
                };
                output.own(&format!(" THEN {number}"));
            }
            output.own(" END");
        }
        output.own(" AS cf_do) AS cf_w");
    }

    /// What the UPDATE actions set.
    pub(in crate::rewrite) fn updates(
        &self,
        merge: &Merge<'a>,
    ) -> Result<Vec<Update<'_, 'a>>, Refusal> {
        let mut updates = Vec::new();
        for (clause, found) in merge.arms.iter().enumerate() {
            let Action::Update(assignments) = &found.action else {
                continue;
            };
            let targets = found.tree.list("target_list");
            for set in targets.iter().filter(|_| self.lens.is_row_for_row()) {
                self.no_row(upsert::assigned(set))?;
            }
            let (sets, queries) = self.assignments_to(targets, assignments)?;
            if self.lens.is_row_for_row() {
                self.brings_nothing(&sets, "MERGE")?;
            }
            updates.push(Update {
                clause,
                sets,
                queries,
                places: self.places(targets)?,
            });
        }
        Ok(updates)
    }

    fn refused_action(&self, what: &str) -> Refusal {
        refuse::unsupported(
            &format!("{what} once reads are unified"),
            &self.target.table_name(),
            "Set each column by `column = expression`.",
        )
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
        if self.mirrors {
            let gone = format!(
                "({})",
                self.lens.read_from(&composer.merged(Some("DELETE")))
            );
            let there = format!("({})", self.read_back(loses, &composer.merged(None)));
            composer.call(format!(
                "CASE WHEN {} THEN {} END",
                self.lens.remove_legacy_call(&gone),
                self.lens.put_legacy_call(&there)
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
