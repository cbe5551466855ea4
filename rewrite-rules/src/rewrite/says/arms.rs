//! What the arms of a MERGE into the legacy name say: which rows meet which, what becomes of each, and what it sets.
//!
//! ```text
//! MERGE INTO iso_agents a USING s ON a.email = s.e WHEN MATCHED AND s.gone THEN DELETE …
//!
//! cf_src AS MATERIALIZED (SELECT row_number() OVER () AS cf_number, ("s".*)::record AS cf_r1 FROM s)
//! … FROM ‹cf_src as s› JOIN (read) AS "a" ON (a.email = s.e)
//!   CROSS JOIN LATERAL (SELECT CASE WHEN s.gone THEN 0 … END AS cf_do) AS cf_w
//! ```

use super::Says;
use super::generated::Overriding;
use super::merge::{Joined, returning};
use super::place::Place;
use super::set_query::{SetQuery, Value};
use super::upsert;
use crate::legend::query;
use crate::lens::{LegacyColumn, Lens};
use crate::refuse;
use crate::rewrite::compose::Composer;
use crate::statement::Refusal;
use crate::text::clauses::Merge;
use crate::text::clauses::merge::{Arm, MergeAction, When};
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;

/// What an UPDATE action sets.
pub(in crate::rewrite) struct Update<'s, 'a> {
    pub clause: usize,
    pub sets: Vec<(&'s LegacyColumn, Value<'a>)>,
    pub queries: Vec<SetQuery<'a>>,
    /// Where in their columns the values go.
    pub places: Vec<Place<'a>>,
}

impl Update<'_, '_> {
    /// The name of a value that is computed where its row is found.
    pub fn name(&self, set: usize) -> String {
        format!("cf_v{}_{}", self.clause, set + 1)
    }

    /// The name of a subscript that is.
    pub fn subscript(&self, set: usize, number: usize) -> String {
        format!("cf_s{}_{}_{number}", self.clause, set + 1)
    }
}

/// One MERGE on its way.
pub(in crate::rewrite) struct Parts<'p, 'a> {
    pub merge: Merge<'a>,
    pub joined: &'p Joined<'a>,
    pub composer: Composer,
    /// The queries that write.
    pub written: Vec<String>,
}

impl<'a> Says<'_, 'a> {
    /// The MERGE taken apart and checked, and the rows of its source.
    pub(in crate::rewrite) fn merge_parts<'p>(
        &self,
        joined: &'p Joined<'a>,
        composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Parts<'p, 'a>, Refusal> {
        let merge = self.write.clauses.merge.clone();
        let moves = !self.lens.is_row_for_row() && self.lens.moves_keys();
        if !moves && self.write.sets_key(self.target) {
            return Err(refuse::merge_of_key(&self.target.table_name()));
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
            let MergeAction::Update(assignments) = &found.action else {
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

    /// `cf_which`: the rows of the source that were joined to none of `cf_old`, and what becomes of
    /// each.
    pub(in crate::rewrite) fn which(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>) {
        let old = parts.composer.name(query::OLD);
        let mut which = Output::default();
        which.own("SELECT cf_s.cf_number, cf_w.cf_do FROM ");
        which.own(&Self::source_items(parts));
        self.decision(parts, &mut which, source, When::NotMatchedByTarget);
        which.own(&format!(
            " WHERE NOT EXISTS (SELECT FROM {old} WHERE {old}.cf_number = cf_s.cf_number)"
        ));
        parts.composer.once(query::WHICH, which);
    }

    /// The legacy columns of an INSERT action, each with the client's value.
    pub(in crate::rewrite) fn insert_values(
        &self,
        arm: &Arm<'a>,
        values: Option<&[Tokens<'a>]>,
    ) -> Result<Vec<(&LegacyColumn, Tokens<'a>)>, Refusal> {
        let Some(items) = values else {
            return Ok(Vec::new());
        };
        let named = arm.tree.list("target_list");
        let columns = self.columns_named(named)?;
        self.places(named)?;
        let overriding = Overriding::of(arm.tree);
        for (column, value) in columns.iter().zip(arm.tree.list("values")) {
            let default = value.is("SetToDefault");
            if !self.uses(column, overriding, default)? && !default {
                return Err(self.refused_action("OVERRIDING USER VALUE in a MERGE"));
            }
        }
        if let Some(extra) = items.get(columns.len()) {
            let at = Some(extra.extent().start);
            return Err(self.wrong_count("expressions than target columns", at));
        }
        if let Some(extra) = named.get(items.len()) {
            return Err(self.wrong_count("target columns than expressions", extra.location()));
        }
        Ok(columns.into_iter().zip(items.iter().copied()).collect())
    }
}
