//! MERGE into the legacy name once unified leads.
//!
//! ```text
//! MERGE INTO members m USING s ON m.email = s.e
//!   WHEN MATCHED AND s.gone THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.n
//!   WHEN NOT MATCHED THEN INSERT (email, …) VALUES (s.e, …)
//!
//! WITH cf_src AS MATERIALIZED (SELECT row_number() OVER () AS cf_number, ("s".*)::record AS cf_r1 FROM s),
//!      cf_pairs AS MATERIALIZED (SELECT cf_f.*, ‹the row, locked if there is something to do› AS cf_l FROM (
//!        SELECT cf_number, ‹image› AS cf_o, 0 or 1 AS cf_do, cf_r1
//!        FROM ‹cf_src as s› JOIN (read) AS "m" ON (m.email = s.e) ORDER BY ‹key›) AS cf_f),
//!      cf_old AS MATERIALIZED (SELECT cf_number, cf_l AS cf_o, 0 or 1 AS cf_do, ‹cf_l with s.n› AS cf_n
//!                              FROM cf_pairs AS cf_f, ‹cf_r1 as s›, ‹cf_l as m› WHERE ‹unchanged, or m.email = s.e›),
//!      cf_which AS MATERIALIZED (SELECT cf_number, 2 AS cf_do FROM ‹cf_src as s, without those of cf_old›),
//!      cf_acts AS MATERIALIZED (SELECT row_number() OVER (ORDER BY ‹key›) AS cf_at, * FROM
//!        (SELECT 'DELETE' or 'UPDATE' AS cf_action, cf_number, cf_o, cf_n, '{name}' AS cf_set FROM cf_old
//!         UNION ALL SELECT 'INSERT', cf_number, NULL, ‹image of s.e, …›, NULL FROM cf_which JOIN ‹cf_src as s›)),
//!      cf_did AS MATERIALIZED (SELECT * FROM crossfade.merge_…(‹the columns of cf_acts as arrays›)
//!                              WHERE crossfade.may_write_…(‹what the clauses do›)),
//!      cf_new AS (SELECT cf_action, cf_number, cf_row FROM cf_did JOIN cf_acts USING (cf_at))
//! ```
//!
//! What becomes of each row is decided as for a lens of one table (`says::arms`), and again
//! for one that has changed while this statement waited for it: if the source's row meets it no longer,
//! that one is not matched. The function does it row by row, as an UPDATE, DELETE or INSERT of that
//! row would.

use super::{ByFunction, UNCHANGED, again, names_of};
use crate::legend::query;
use crate::lens::{Call, LegacyColumn};
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::expression::assigned;
use crate::rewrite::says::Says;
use crate::rewrite::says::arms::{Parts, Update};
use crate::rewrite::says::assignments::Set;
use crate::rewrite::says::merge::Joined;
use crate::rewrite::says::set_query::{SetQuery, Value};
use crate::statement::Refusal;
use crate::text::clauses::merge::{MergeAction, When};
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;

type Values<'s, 'a> = Vec<(&'s LegacyColumn, Tokens<'a>)>;

impl<'a> ByFunction<'_, '_, 'a> {
    pub(super) fn merge(
        &self,
        composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Composed, Refusal> {
        let joined = Joined::of(&self.scope, self.target, true, source);
        let mut parts = self.merge_parts(&joined, composer, source)?;
        let sets = self.updates(&parts.merge)?;
        let mut inserts = Vec::new();
        for (number, arm) in parts.merge.arms.iter().enumerate() {
            if let MergeAction::Insert(values) = &arm.action {
                let values = self.insert_values(arm, values.as_deref())?;
                inserts.push((number, values));
            }
        }
        self.judge_actions(&mut parts, source, (&sets, &inserts));
        let may = self.may_merge(&sets);
        let mut acts = Output::default();
        self.found(&mut parts, source, &sets);
        acts.append(self.acts_on(&parts, query::OLD, When::Matched, &sets));
        if parts.merge.has(When::NotMatchedBySource) {
            self.left(&mut parts, source, &sets);
            acts.own(" UNION ALL ");
            acts.append(self.acts_on(&parts, query::LEFT, When::NotMatchedBySource, &sets));
        }
        if parts.merge.has(When::NotMatchedByTarget) {
            self.which(&mut parts, source);
            for (number, values) in &inserts {
                acts.own(" UNION ALL ");
                acts.append(self.inserted(&parts, source, *number, values));
            }
        }
        Ok(self.merged(parts, source, acts, &may))
    }

    /// Whether the role may do what the clauses do, be there a row for them or not.
    fn may_merge(&self, sets: &[Update<'_, 'a>]) -> String {
        let acts = &self.write.acts;
        let does = [
            ("DELETE", acts.deletes),
            ("INSERT", acts.inserts),
            ("UPDATE", !acts.updates.is_empty()),
        ];
        let rights: Vec<&str> = does
            .into_iter()
            .filter_map(|(right, asked)| asked.then_some(right))
            .collect();
        if rights.is_empty() {
            return "true".to_owned();
        }
        let all: Vec<Set<'_, 'a>> = sets.iter().flat_map(|set| set.sets.clone()).collect();
        self.may_write("MERGE", &rights, &names_of(&all))
    }

    /// `cf_old`: the pairs that the ON condition makes, each with what becomes of the row.
    fn found(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>, sets: &[Update<'_, 'a>]) {
        let when = When::Matched;
        let mut pairs = self.locked(parts, when);
        self.join(parts, &mut pairs, source);
        self.decision(parts, &mut pairs, source, when);
        self.in_order(parts, pairs, query::PAIRS);
        let mut old = self.as_locked(parts, source, (when, sets));
        let pairs = parts.composer.name(query::PAIRS);
        old.own(&format!(" FROM {pairs} AS cf_f"))
            .own(&parts.joined.from("cf_f"));
        self.decided(parts, &mut old, source, when);
        old.append(again(source, Some(parts.merge.condition.clone())));
        parts.composer.once(query::OLD, old);
    }

    /// `cf_left`: the rows that no row of the source was joined to.
    fn left(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>, sets: &[Update<'_, 'a>]) {
        let when = When::NotMatchedBySource;
        let (old, alias) = (parts.composer.name(query::OLD), &self.write.alias);
        let mut rest = self.locked(parts, when);
        rest.own(&format!(" FROM ({}) AS {alias}", self.read()));
        self.decision(parts, &mut rest, source, when);
        let same = self.lens.same_key("(cf_o)", alias);
        rest.own(&format!(
            " WHERE NOT EXISTS (SELECT FROM {old} WHERE {same})"
        ));
        self.in_order(parts, rest, query::REST);
        let mut left = self.as_locked(parts, source, (when, sets));
        left.own(&format!(
            " FROM {} AS cf_f",
            parts.composer.name(query::REST)
        ));
        self.decided(parts, &mut left, source, when);
        left.own(" WHERE NOT cf_f.cf_l IS NULL");
        parts.composer.once(query::LEFT, left);
    }

    /// The rows as they are found, locked where a clause does something to them. FROM is to follow.
    fn locked(&self, parts: &Parts<'_, 'a>, when: When) -> Output {
        let (number, carried) = match when {
            When::NotMatchedBySource => ("NULL::bigint", String::new()),
            When::Matched | When::NotMatchedByTarget => {
                ("cf_s.cf_number", parts.joined.items.carried("cf_s"))
            }
        };
        let arms = parts.merge.arms.iter().enumerate();
        let acting = arms.filter(|(_, arm)| {
            let acts = matches!(arm.action, MergeAction::Delete | MergeAction::Update(_));
            acts && arm.when == when
        });
        let acting: Vec<String> = acting.map(|(number, _)| number.to_string()).collect();
        let lock = Call::LockOne;
        let locked = match acting.is_empty() {
            true => "cf_f.cf_o".to_owned(),
            false => format!(
                "CASE WHEN cf_f.cf_do IN ({}) THEN {} ELSE cf_f.cf_o END",
                acting.join(", "),
                self.lens
                    .call(lock, &format!("cf_f.cf_o, {}", self.mirrors()))
            ),
        };
        let mut rows = Output::default();
        rows.own(&format!(
            "SELECT cf_f.*, {locked} AS cf_l FROM (SELECT {number} AS cf_number, {} AS cf_o, cf_w.cf_do{carried}",
            self.lens.image_row(&self.write.alias)
        ));
        rows
    }

    /// Ends what [`ByFunction::locked`] began: in the order of the keys, in which all lock.
    fn in_order(&self, parts: &mut Parts<'_, 'a>, mut rows: Output, name: &str) {
        rows.own(&format!(" ORDER BY {}) AS cf_f", self.keys().join(", ")));
        parts.composer.once(name, rows);
    }

    /// The row as it is, which clause it is, and the row as that makes it. FROM is to follow.
    fn as_locked(
        &self,
        parts: &Parts<'_, 'a>,
        source: &Source<'_>,
        (when, sets): (When, &[Update<'_, 'a>]),
    ) -> Output {
        let mut output = Output::default();
        output.own("SELECT cf_f.cf_number, cf_f.cf_l AS cf_o, cf_w.cf_do, CASE");
        for (number, arm) in parts.merge.arms.iter().enumerate() {
            if arm.when == when && matches!(arm.action, MergeAction::Update(_)) {
                output.own(&format!(" WHEN cf_w.cf_do = {number} THEN "));
                self.changed_row(&mut output, source, sets, number);
            }
        }
        let image = self.lens.image_type();
        output.own(&format!(" WHEN false THEN NULL::{image} END AS cf_n"));
        output
    }

    /// The locked row under the client's name, and which clause it is: of one that has not changed
    /// what it was found to be.
    fn decided(&self, parts: &Parts<'_, 'a>, output: &mut Output, source: &Source<'_>, when: When) {
        output.own(&format!(
            " CROSS JOIN LATERAL (SELECT {}) AS {}",
            self.lens.image_fields("cf_f.cf_l"),
            self.write.alias
        ));
        let known = format!(" WHEN {UNCHANGED} THEN cf_f.cf_do");
        self.decision_but(parts, output, source, (when, &known));
    }

    /// The row as an UPDATE action makes it. Its queries run for the rows that it is chosen for.
    fn changed_row(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        sets: &[Update<'_, 'a>],
        clause: usize,
    ) {
        let row = self.new_row(source, &set_by(sets, clause));
        let queries = queries_of(sets, clause);
        if queries.is_empty() {
            output.append(row);
            return;
        }
        output
            .own("(SELECT ")
            .append(row)
            .own(" FROM (SELECT) AS cf_one");
        for (number, query) in queries.iter().enumerate() {
            query.item(number, output, source);
        }
        output.own(")");
    }

    /// What is to be done to the rows of `cf_old` or `cf_left`.
    fn acts_on(
        &self,
        parts: &Parts<'_, 'a>,
        rows: &str,
        when: When,
        sets: &[Update<'_, 'a>],
    ) -> Output {
        let (mut actions, mut names) = (String::new(), String::new());
        for (number, arm) in parts.merge.arms.iter().enumerate() {
            let word = match arm.action {
                MergeAction::Delete => "DELETE",
                MergeAction::Update(_) => "UPDATE",
                MergeAction::Nothing | MergeAction::Insert(_) => continue,
            };
            if arm.when == when {
                actions += &format!(" WHEN {number} THEN '{word}'");
                let set = names_of(&set_by(sets, number));
                names += &format!(" WHEN {number} THEN {set}::text");
            }
        }
        let case = |arms: &str| match arms {
            "" => "NULL".to_owned(),
            arms => format!("CASE cf_do{arms} END"),
        };
        let mut acts = Output::default();
        acts.own(&format!(
            "SELECT {actions}::text AS cf_action, cf_number, cf_o, cf_n, {}::text AS cf_set FROM {} \
             WHERE {actions} IS NOT NULL",
            case(&names),
            parts.composer.name(rows),
            actions = case(&actions),
        ));
        acts
    }

    fn inserted(
        &self,
        parts: &Parts<'_, 'a>,
        source: &Source<'_>,
        number: usize,
        values: &Values<'_, 'a>,
    ) -> Output {
        let image = self.lens.image_type();
        let mut insert = Output::default();
        insert.own(&format!("SELECT 'INSERT', cf_s.cf_number, NULL::{image}, "));
        for (index, column) in self.lens.columns.iter().enumerate() {
            insert.own(if index == 0 { "ROW(" } else { ", " });
            let given = values.iter().find(|(known, _)| known.name == column.name);
            assigned(&mut insert, source, given.map(|(_, value)| *value), column);
        }
        insert.own(&format!(
            ")::{image}, NULL FROM {} AS cf_p JOIN {} AS cf_s ON cf_s.cf_number = cf_p.cf_number{} \
             WHERE cf_p.cf_do = {number}",
            parts.composer.name(query::WHICH),
            parts.composer.name(query::SRC),
            parts.joined.from("cf_s"),
        ));
        insert
    }

    /// All that is to be done, in the order of the keys, in which all lock; then the answer.
    fn merged(
        &self,
        parts: Parts<'_, 'a>,
        source: &Source<'_>,
        acts: Output,
        may: &str,
    ) -> Composed {
        let Parts {
            mut composer,
            joined,
            ..
        } = parts;
        let keys = self.lens.keys_of("(cf_o)");
        let mut all = Output::default();
        all.own(&format!(
            "SELECT row_number() OVER (ORDER BY {}, cf_number) AS cf_at, cf_a.* FROM (",
            keys.join(", ")
        ))
        .append(acts)
        .own(") AS cf_a");
        composer.once(query::ACTS, all);
        let acts = composer.name(query::ACTS);
        let array = |what: &str| format!("(SELECT array_agg({what} ORDER BY cf_at) FROM {acts})");
        let arguments = format!(
            "{}, {}, {}, {}, {}",
            array("cf_action"),
            array("cf_o"),
            array("cf_n"),
            array("cf_set"),
            self.mirrors()
        );
        let did = self.lens.call(Call::Merge, &arguments);
        composer.once(query::DID, format!("SELECT * FROM {did} WHERE {may}"));
        composer.once(
            query::NEW,
            format!(
                "SELECT cf_a.cf_action, cf_a.cf_number, cf_d.cf_row FROM {} AS cf_d \
                 JOIN {acts} AS cf_a ON cf_a.cf_at = cf_d.cf_at",
                composer.name(query::DID)
            ),
        );
        // Inside of a WITH that nobody reads it would not be run otherwise.
        composer.call(composer.behind(query::NEW));
        let image = format!("SELECT {}", self.lens.image_fields("cf_all.cf_row"));
        let from = format!(
            " LEFT JOIN {} AS cf_s ON cf_s.cf_number = cf_all.cf_number{}",
            composer.name(query::SRC),
            joined.from("cf_s")
        );
        composer.select_merged(self.write, source, (&image, &from))
    }

    /// The types of all values, as an assignment judges them (see `types`).
    fn judge_actions(
        &self,
        parts: &mut Parts<'_, 'a>,
        source: &Source<'_>,
        (sets, inserts): (&[Update<'_, 'a>], &[(usize, Values<'_, 'a>)]),
    ) {
        let alias = &self.write.alias;
        let target = format!("{} AS {alias}", self.lens.image_type());
        let items = Says::source_items(parts);
        for number in 0..parts.merge.arms.len() {
            let (values, from) = match parts.merge.arms[number].when {
                When::Matched => (set_by(sets, number), format!(" FROM {target}, {items}")),
                When::NotMatchedBySource => (set_by(sets, number), format!(" FROM {target}")),
                When::NotMatchedByTarget => {
                    let given = inserts.iter().find(|(at, _)| *at == number);
                    let given = given.into_iter().flat_map(|(_, values)| values);
                    let given = given.map(|(column, value)| (*column, Value::Expression(*value)));
                    (given.collect(), format!(" FROM {items}"))
                }
            };
            let mut from = Output::from(from);
            for (at, query) in queries_of(sets, number).iter().enumerate() {
                query.item(at, &mut from, source);
            }
            self.judge(
                &mut parts.composer,
                source,
                (&format!("{}{number}", query::TYPES), from),
                (&values, queries_of(sets, number)),
            );
        }
    }
}

/// What an UPDATE action sets.
fn set_by<'s, 'a>(sets: &[Update<'s, 'a>], clause: usize) -> Vec<Set<'s, 'a>> {
    let update = sets.iter().find(|update| update.clause == clause);
    update.map_or_else(Vec::new, |update| update.sets.clone())
}

/// The queries that it sets columns to.
fn queries_of<'u, 'a>(sets: &'u [Update<'_, 'a>], clause: usize) -> &'u [SetQuery<'a>] {
    let update = sets.iter().find(|update| update.clause == clause);
    update.map_or(&[], |update| &update.queries)
}
