//! MERGE into the legacy name, once unified leads.
//!
//! ```text
//! MERGE INTO iso_agents a USING s ON a.email = s.e
//!   WHEN MATCHED AND s.gone THEN DELETE WHEN MATCHED THEN UPDATE SET full_name = s.n
//!   WHEN NOT MATCHED THEN INSERT (email, …) VALUES (s.e, …)
//!
//! WITH cf_src AS MATERIALIZED (SELECT row_number() OVER () AS cf_number, "s" AS cf_r1 FROM s),
//!      cf_old AS MATERIALIZED (SELECT cf_number, "a"."id" AS cf_k1, 1 or 2 AS cf_do, s.n AS cf_v1
//!                              FROM ‹cf_src as s› JOIN (read) AS "a" ON (a.email = s.e) FOR UPDATE OF "a"),
//!      cf_which AS MATERIALIZED (SELECT cf_number, 3 AS cf_do FROM ‹cf_src as s, without those of cf_old›),
//!      cf_upd AS (MERGE INTO users AS cf_u USING cf_old ON cf_u."id" = cf_old.cf_k1
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

use super::{Unified, Value};
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::expression::{assigned, first_of_value};
use crate::rewrite::merge::{
    Action, Clause, Joined, Merge, When, check_columns, check_keys, returning,
};
use crate::splice::{Output, Source};
use crate::statement::Refusal;
use crate::tokens::Tokens;

/// What each part returns.
const RETURNING: &str = "merge_action() AS cf_action";

/// A value that an UPDATE action sets, and the name of its result.
struct Set<'s, 'a> {
    clause: usize,
    column: &'s LegacyColumn,
    value: Tokens<'a>,
    name: String,
}

/// One MERGE on its way.
struct Parts<'p, 'a> {
    merge: Merge<'a>,
    joined: &'p Joined<'a>,
    composer: Composer,
    /// The queries that write.
    written: Vec<String>,
}

impl<'a> Unified<'_, 'a> {
    pub(super) fn merge(
        &self,
        composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Composed, Refusal> {
        let merge = Merge::of(&self.scope, self.target, self.write)?;
        check_columns(&self.scope, self.target)?;
        check_keys(&merge, self.target, &|lens, name| {
            lens.key_columns().any(|key| key.name == name)
        })?;
        let joined = Joined::of(&self.scope, self.target);
        joined.check()?;
        returning(
            &self.scope,
            self.target,
            (self.write, &joined),
            source,
            &|name| self.lens.column(name).is_some(),
        )?;
        let statement = self.scope.statement;
        for clause in ["join_condition", "merge_when_clauses"] {
            joined.unqualify(&self.scope, statement.get(clause), source);
        }
        let sets = self.sets(&merge)?;
        let mut parts = Parts {
            merge,
            joined: &joined,
            composer,
            written: Vec::new(),
        };
        if parts.merge.has_unreachable() {
            self.unreachable(&mut parts);
        }
        self.source_rows(&mut parts, source);
        if self.mirrors {
            self.lock(&mut parts, source);
        }
        self.matched(&mut parts, source, &sets);
        if parts.merge.has(When::NotMatchedBySource) {
            self.not_by_source(&mut parts, source, &sets);
        }
        if parts.merge.has(When::NotMatchedByTarget) {
            self.not_by_target(&mut parts, source)?;
        }
        Ok(self.answer(parts, source))
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
        parts.composer.query("no", mistake);
    }

    /// The rows behind USING, evaluated once, each with a number.
    fn source_rows(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>) {
        let mut rows = Output::default();
        rows.own(&format!(
            "SELECT row_number() OVER () AS cf_number{} FROM ",
            parts.joined.rows()
        ));
        rows.client(source, parts.merge.source.clone());
        parts.composer.once("src", rows);
    }

    /// The source under the client's names: to stand in FROM.
    fn source_items(parts: &Parts<'_, 'a>) -> String {
        let rows = parts.composer.name("src");
        format!("{rows} AS cf_s{}", parts.joined.from("cf_s"))
    }

    fn join(&self, parts: &Parts<'_, 'a>, output: &mut Output, source: &Source<'_>) {
        output.own(&format!(
            " FROM {} JOIN ({}) AS {} ON (",
            Self::source_items(parts),
            self.lens.read(),
            self.write.alias
        ));
        output
            .client(source, parts.merge.condition.clone())
            .own(")");
    }

    /// Locks the legacy rows of what may be written, before any unified row.
    fn lock(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>) {
        let keys: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("{}.{key}", self.write.alias))
            .collect();
        let mut found = Output::default();
        found.own(&format!("SELECT {}", keys.join(", ")));
        if parts.merge.has(When::NotMatchedBySource) {
            let read = self.lens.read();
            found.own(&format!(" FROM ({read}) AS {}", self.write.alias));
        } else {
            self.join(parts, &mut found, source);
        }
        parts.composer.query("keys", found);
        let keys = parts.composer.name("keys");
        let locked = self.lens.lock_legacy(&format!("SELECT * FROM {keys}"));
        parts.composer.once("lock", locked);
    }

    /// Makes the locks on legacy come first.
    fn guard(&self, parts: &Parts<'_, 'a>) -> Option<String> {
        let lock = parts.composer.name("lock");
        self.mirrors
            .then(|| format!("(SELECT count(*) FROM {lock}) >= 0"))
    }

    /// `cf_old`: the pairs that the ON condition makes; and what becomes of them.
    fn matched(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>, sets: &[Set<'_, 'a>]) {
        let acts = parts.merge.has(When::Matched);
        let mut old = Output::default();
        old.own("SELECT cf_s.cf_number");
        self.keys_and_values(parts, &mut old, source, (When::Matched, sets));
        self.join(parts, &mut old, source);
        self.decision(parts, &mut old, source, When::Matched);
        if let Some(guard) = self.guard(parts) {
            old.own(&format!(" WHERE {guard}"));
        }
        if acts {
            old.own(&format!(" FOR UPDATE OF {}", self.write.alias));
        }
        parts.composer.once("old", old);
        if acts {
            self.write_by_key(parts, ("old", "upd"), (When::Matched, sets));
        }
    }

    /// The rows of the target that no row of the source was joined to.
    fn not_by_source(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>, sets: &[Set<'_, 'a>]) {
        let when = When::NotMatchedBySource;
        let (old, alias) = (parts.composer.name("old"), &self.write.alias);
        let mut left = Output::default();
        left.own("SELECT NULL::bigint AS cf_number");
        self.keys_and_values(parts, &mut left, source, (when, sets));
        left.own(&format!(" FROM ({}) AS {alias}", self.lens.read()));
        self.decision(parts, &mut left, source, when);
        let same: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .enumerate()
            .map(|(at, key)| format!("{old}.cf_k{} = {alias}.{key}", at + 1))
            .collect();
        let same = same.join(" AND ");
        left.own(&format!(
            " WHERE NOT EXISTS (SELECT FROM {old} WHERE {same})"
        ));
        if let Some(guard) = self.guard(parts) {
            left.own(&format!(" AND {guard}"));
        }
        left.own(&format!(" FOR UPDATE OF {alias}"));
        parts.composer.once("left", left);
        self.write_by_key(parts, ("left", "rest"), (when, sets));
    }

    /// The target's keys, which clause it is, and the values that this sets.
    fn keys_and_values(
        &self,
        parts: &Parts<'_, 'a>,
        output: &mut Output,
        source: &Source<'_>,
        (when, sets): (When, &[Set<'_, 'a>]),
    ) {
        for (at, key) in self.lens.legacy_key().iter().enumerate() {
            output.own(&format!(", {}.{key} AS cf_k{}", self.write.alias, at + 1));
        }
        output.own(", cf_w.cf_do");
        for set in sets {
            if parts.merge.clauses[set.clause].when == when {
                output.own(&format!(", CASE WHEN cf_w.cf_do = {} THEN ", set.clause));
                assigned(output, source, Some(set.value), set.column);
                output.own(&format!(" END AS {}", set.name));
            }
        }
    }

    /// `cf_w.cf_do`: the number of the first clause of its kind whose condition holds.
    fn decision(
        &self,
        parts: &Parts<'_, 'a>,
        output: &mut Output,
        source: &Source<'_>,
        when: When,
    ) {
        let clauses = parts.merge.clauses.iter().enumerate();
        let clauses: Vec<_> = clauses.filter(|(_, clause)| clause.when == when).collect();
        output.own(" CROSS JOIN LATERAL (SELECT ");
        if clauses.is_empty() {
            output.own("NULL::int");
        } else {
            output.own("CASE");
            for (number, clause) in clauses {
                output.own(" WHEN ");
                match clause.condition.clone() {
                    Some(condition) => output.client(source, condition),
                    None => output.own("true"),
                };
                output.own(&format!(" THEN {number}"));
            }
            output.own(" END");
        }
        output.own(" AS cf_do) AS cf_w");
    }

    /// The updates and deletes of rows that `cf_old` or its like found, by their keys.
    fn write_by_key(
        &self,
        parts: &mut Parts<'_, 'a>,
        (rows, name): (&str, &str),
        (when, sets): (When, &[Set<'_, 'a>]),
    ) {
        let rows = parts.composer.name(rows);
        let mut write = Output::default();
        write.own(&format!(
            "MERGE INTO {} AS {} USING {rows} ON {}",
            self.lens.unified,
            Lens::ROW,
            self.key_of(&rows)
        ));
        let mut writes = false;
        for (number, clause) in parts.merge.clauses.iter().enumerate() {
            let acts = matches!(clause.action, Action::Delete | Action::Update(_));
            if clause.when != when || !acts {
                continue;
            }
            writes = true;
            write.own(&format!(" WHEN MATCHED AND {rows}.cf_do = {number} THEN "));
            if matches!(clause.action, Action::Delete) {
                write.own("DELETE");
                continue;
            }
            let ours = sets.iter().filter(|set| set.clause == number);
            for (at, set) in ours.enumerate() {
                write.own(if at == 0 { "UPDATE SET " } else { ", " });
                write.own(&format!("{} = ", quote_ident(&set.column.unified)));
                let value = set.column.put_value(&format!("{rows}.{}", set.name));
                own_put(&mut write, &value, set.column, Some(&set.value));
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

    /// The rows of the source that were joined to none of the target, and the inserts of them.
    fn not_by_target(&self, parts: &mut Parts<'_, 'a>, source: &Source<'_>) -> Result<(), Refusal> {
        let old = parts.composer.name("old");
        let mut which = Output::default();
        which.own("SELECT cf_s.cf_number, cf_w.cf_do FROM ");
        which.own(&Self::source_items(parts));
        self.decision(parts, &mut which, source, When::NotMatchedByTarget);
        which.own(&format!(
            " WHERE NOT EXISTS (SELECT FROM {old} WHERE {old}.cf_number = cf_s.cf_number)"
        ));
        parts.composer.once("which", which);
        for number in 0..parts.merge.clauses.len() {
            let clause = &parts.merge.clauses[number];
            let Action::Insert(values) = clause.action else {
                continue;
            };
            let given = self.insert_values(clause, values.as_ref())?;
            let insert = self.insert_action(parts, source, (number, &given));
            let name = format!("ins{number}");
            parts.composer.query(&name, insert);
            parts.written.push(parts.composer.name(&name));
        }
        Ok(())
    }

    fn insert_action(
        &self,
        parts: &Parts<'_, 'a>,
        source: &Source<'_>,
        (number, given): (usize, &[(&LegacyColumn, Tokens<'a>)]),
    ) -> Output {
        let (targets, sources) = self.put_columns();
        let mut insert = Output::default();
        insert.own(&format!(
            "MERGE INTO {} AS {} USING (SELECT cf_p.cf_number",
            self.lens.unified,
            Lens::ROW
        ));
        let value_of = |column: &LegacyColumn| {
            let mut given = given.iter();
            given.find(|(known, _)| known.name == column.name)
        };
        for column in &self.lens.columns {
            insert.own(", ");
            let value = value_of(column).map(|(_, value)| *value);
            assigned(&mut insert, source, value, column);
            insert.own(&format!(" AS {}", quote_ident(&column.name)));
        }
        insert.own(&format!(
            " FROM {} AS cf_p JOIN {rows} AS cf_s ON cf_s.cf_number = cf_p.cf_number{} \
             WHERE cf_p.cf_do = {number}) AS {image} ON false WHEN NOT MATCHED THEN \
             INSERT ({}) OVERRIDING SYSTEM VALUE VALUES (",
            parts.composer.name("which"),
            parts.joined.from("cf_s"),
            targets.join(", "),
            rows = parts.composer.name("src"),
            image = Lens::IMAGE,
        ));
        for (at, value) in sources.iter().enumerate() {
            insert.own(if at == 0 { "" } else { ", " });
            match self.lens.columns.get(at) {
                Some(column) => {
                    let client = value_of(column).map(|(_, value)| value);
                    own_put(&mut insert, value, column, client);
                }
                None => _ = insert.own(value),
            }
        }
        insert.own(&format!(
            ") RETURNING {RETURNING}, {}.cf_number, ROW({row}.*)::{} AS cf_row",
            Lens::IMAGE,
            self.lens.unified,
            row = Lens::ROW
        ));
        insert
    }

    /// The legacy columns of an INSERT action, each with the client's value.
    fn insert_values(
        &self,
        clause: &Clause<'a>,
        values: Option<&Tokens<'a>>,
    ) -> Result<Vec<(&LegacyColumn, Tokens<'a>)>, Refusal> {
        let Some(values) = values else {
            return Ok(Vec::new());
        };
        let named = clause.tree.list("target_list");
        let columns = self.columns_named(named)?;
        let Some((row, _)) = values.parenthesised(0) else {
            return Err(self.refused_action("this INSERT of a MERGE"));
        };
        let items = row.split();
        if let Some(extra) = items.get(columns.len()) {
            let at = Some(extra.extent().start);
            return Err(self.wrong_count("expressions than target columns", at));
        }
        if let Some(extra) = named.get(items.len()) {
            return Err(self.wrong_count("target columns than expressions", extra.location()));
        }
        Ok(columns.into_iter().zip(items).collect())
    }

    /// What the UPDATE actions set.
    fn sets(&self, merge: &Merge<'a>) -> Result<Vec<Set<'_, 'a>>, Refusal> {
        let mut sets = Vec::new();
        for (number, clause) in merge.clauses.iter().enumerate() {
            let Action::Update(assignments) = &clause.action else {
                continue;
            };
            let targets = clause.tree.list("target_list");
            let (assigned, _) = self.assignments_to(targets, &assignments.split())?;
            for (column, value) in assigned {
                let Value::Expression(value) = value else {
                    return Err(self.refused_action("SET (…) = (a query) in MERGE"));
                };
                sets.push(Set {
                    clause: number,
                    column,
                    value,
                    name: format!("cf_v{}", sets.len() + 1),
                });
            }
        }
        Ok(sets)
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
            "new",
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
        if self.mirrors {
            let gone = format!(
                "({})",
                self.lens.read_from(&composer.merged(Some("DELETE")))
            );
            let there = format!("({})", self.lens.read_from(&composer.merged(None)));
            composer.call(format!(
                "CASE WHEN {} THEN {} END",
                self.lens.remove_legacy_call(&gone),
                self.lens.put_legacy_call(&there)
            ));
        }
        let image = self.lens.read_from("(SELECT (cf_all.cf_row).*)");
        let rows = composer.name("src");
        let from = format!(
            " LEFT JOIN {rows} AS cf_s ON cf_s.cf_number = cf_all.cf_number{}",
            joined.from("cf_s")
        );
        composer.select_merged(self.write, source, (&image, &from))
    }
}

/// A value on its way to a unified column; an error in it is told where the client wrote it.
fn own_put(output: &mut Output, put: &str, column: &LegacyColumn, value: Option<&Tokens<'_>>) {
    match value.map(first_of_value) {
        None => output.own(put),
        Some(at) if column.values.is_empty() => output.own_for(put, at),
        Some(at) => output.own_value(put, at, &column.name),
    };
}
