//! The rows of the target that a MERGE finds, and what becomes of them: pairs of both sides, and rows
//! that the source has nothing for.

use crate::legend::query;
use crate::lens::{Lens, all_of};
use crate::rewrite::does::one_table::OneTable;
use crate::rewrite::expression::{assigned, first_of_value, own_put};
use crate::rewrite::says::arms::{Parts, Update};
use crate::rewrite::says::items::whole_row;
use crate::rewrite::says::merge::RETURNING;
use crate::rewrite::says::place::Target;
use crate::rewrite::says::set_query::Value;
use crate::text::clauses::merge::{MergeAction, When};
use crate::text::splice::{Output, Source};

impl<'a> OneTable<'_, '_, 'a> {
    /// `cf_old`: the pairs that the ON condition makes; and what becomes of them.
    pub(super) fn matched(
        &self,
        parts: &mut Parts<'_, 'a>,
        source: &Source<'_>,
        updates: &[Update<'_, 'a>],
    ) {
        let acts = parts.merge.has(When::Matched);
        let mut old = Output::default();
        old.own("SELECT cf_s.cf_number");
        self.keys_and_values(parts, &mut old, source, (When::Matched, updates));
        self.join(parts, &mut old, source);
        self.decision(parts, &mut old, source, When::Matched);
        if let Some(guard) = self.guard(parts) {
            old.own(&format!(" WHERE {guard}"));
        }
        if acts {
            old.own(&format!(" FOR UPDATE OF {}", self.write.alias));
        }
        parts.composer.once(query::OLD, old);
        if acts {
            self.write_by_key(
                parts,
                source,
                (query::OLD, query::UPD),
                (When::Matched, updates),
            );
        }
    }

    /// The rows of the target that no row of the source was joined to.
    pub(super) fn not_by_source(
        &self,
        parts: &mut Parts<'_, 'a>,
        source: &Source<'_>,
        updates: &[Update<'_, 'a>],
    ) {
        let when = When::NotMatchedBySource;
        let (old, alias) = (parts.composer.name(query::OLD), &self.write.alias);
        let mut left = Output::default();
        left.own("SELECT NULL::bigint AS cf_number");
        self.keys_and_values(parts, &mut left, source, (when, updates));
        left.own(&format!(" FROM ({}) AS {alias}", self.read()));
        self.decision(parts, &mut left, source, when);
        let same = all_of(
            self.lens
                .legacy_key()
                .iter()
                .enumerate()
                .map(|(at, key)| format!("{old}.cf_k{} = {alias}.{key}", at + 1)),
        );
        left.own(&format!(
            " WHERE NOT EXISTS (SELECT FROM {old} WHERE {same})"
        ));
        if let Some(guard) = self.guard(parts) {
            left.own(&format!(" AND {guard}"));
        }
        left.own(&format!(" FOR UPDATE OF {alias}"));
        parts.composer.once(query::LEFT, left);
        self.write_by_key(parts, source, (query::LEFT, query::REST), (when, updates));
    }

    /// The target's keys, which clause it is, and the values that this sets.
    fn keys_and_values(
        &self,
        parts: &Parts<'_, 'a>,
        output: &mut Output,
        source: &Source<'_>,
        (when, updates): (When, &[Update<'_, 'a>]),
    ) {
        for (at, key) in self.lens.legacy_key().iter().enumerate() {
            output.own(&format!(", {}.{key} AS cf_k{}", self.write.alias, at + 1));
        }
        output.own(", cf_w.cf_do");
        let mut queries = false;
        for update in updates {
            if parts.merge.arms[update.clause].when != when {
                continue;
            }
            for (at, place) in update.places.iter().enumerate() {
                for (number, subscript) in place.computed() {
                    let clause = update.clause;
                    output.own(&format!(", CASE WHEN cf_w.cf_do = {clause} THEN "));
                    output.client(source, subscript.extent());
                    output.own(&format!(" END AS {}", update.subscript(at, number)));
                }
            }
            queries |= !update.queries.is_empty();
            for (at, (column, value)) in update.sets.iter().enumerate() {
                if let Value::Expression(value) = value
                    && !update.places[at].takes_as_it_is(value)
                {
                    let clause = update.clause;
                    output.own(&format!(", CASE WHEN cf_w.cf_do = {clause} THEN "));
                    assigned(output, source, Some(*value), column);
                    output.own(&format!(" END AS {}", update.name(at)));
                }
            }
        }
        if queries {
            // What they may name.
            output.own(&format!(", {} AS cf_row", whole_row(&self.write.alias)));
            if when == When::Matched {
                output.own(&parts.joined.items.carried("cf_s"));
            }
        }
    }

    /// The updates and deletes of rows that `cf_old` or its like found, by their keys.
    fn write_by_key(
        &self,
        parts: &mut Parts<'_, 'a>,
        source: &Source<'_>,
        (rows, name): (&str, &str),
        (when, updates): (When, &[Update<'_, 'a>]),
    ) {
        let rows = parts.composer.name(rows);
        let mut write = Output::default();
        write.own(&format!(
            "MERGE INTO {} AS {} USING {rows} ON {}",
            self.lens.unified,
            Lens::ROW,
            self.key_of(&rows)
        ));
        if when == When::Matched {
            // All of them first: to whoever locks rows one by one between writes, a row that was written is
            // gone, and that it was met twice would go unnoticed.
            write.own(&format!(" AND (SELECT count(*) FROM {rows}) >= 0"));
        }
        let mut writes = false;
        for (number, arm) in parts.merge.arms.iter().enumerate() {
            let acts = matches!(arm.action, MergeAction::Delete | MergeAction::Update(_));
            if arm.when != when || !acts {
                continue;
            }
            writes = true;
            write.own(&format!(" WHEN MATCHED AND {rows}.cf_do = {number} THEN "));
            if matches!(arm.action, MergeAction::Delete) {
                write.own("DELETE");
                continue;
            }
            let ours = updates.iter().filter(|update| update.clause == number);
            for update in ours {
                self.set_action(parts, &mut write, source, (&rows, when, update));
            }
        }
        if !writes {
            return;
        }
        write.own(&format!(
            " RETURNING {RETURNING}, {rows}.cf_number, ROW({row}.*)::{} AS cf_row",
            self.lens.unified,
            row = Lens::ROW
        ));
        parts.composer.query(name, write);
        parts.written.push(parts.composer.name(name));
    }

    /// The assignments of an UPDATE action, over the rows that were found for it.
    fn set_action(
        &self,
        parts: &Parts<'_, 'a>,
        output: &mut Output,
        source: &Source<'_>,
        (rows, when, update): (&str, When, &Update<'_, 'a>),
    ) {
        let targets = update.sets.iter().zip(&update.places).enumerate();
        let targets: Vec<Target<'_>> = targets
            .map(|(at, ((column, _), place))| {
                place.target(source, column, |text, number, _| {
                    text.own(&format!("{rows}.{}", update.subscript(at, number)));
                })
            })
            .collect();
        for (at, (column, value)) in update.sets.iter().enumerate() {
            // The first of a query's columns brings them all.
            if matches!(value, Value::OfQuery { at: 1.., .. }) {
                continue;
            }
            output.own(if at == 0 { "UPDATE SET " } else { ", " });
            match value {
                Value::OfQuery { query, .. } => {
                    let mut named = format!("(SELECT ({rows}.cf_row).*) AS {}", self.write.alias);
                    if when == When::Matched {
                        named += &parts.joined.items.from(rows);
                    }
                    update.queries[*query].assign(output, source, &targets[at..], &named);
                }
                Value::Expression(value) if update.places[at].takes_as_it_is(value) => {
                    output.append(targets[at].text.clone()).own(" = ");
                    output.client(source, value.extent());
                }
                Value::Expression(value) => {
                    output.append(targets[at].text.clone()).own(" = ");
                    let put = targets[at].put_value(&format!("{rows}.{}", update.name(at)));
                    own_put(output, &put, column, first_of_value(value));
                }
            }
        }
    }
}
