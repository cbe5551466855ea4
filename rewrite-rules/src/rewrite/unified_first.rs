//! Writes to a legacy name once unified leads (`unified_read`, `unified_only`, `retired`).
//!
//! ```text
//! UPDATE iso_agents SET margin_value = margin_value + 1 WHERE role = 'admin'
//!
//! WITH cf_old AS MATERIALIZED (
//!        SELECT "iso_agents"."id" AS cf_k1, margin_value + 1 AS cf_v1
//!        FROM (SELECT … FROM "public"."users" AS cf_u …) AS "iso_agents"
//!        WHERE (role = 'admin') FOR UPDATE OF "iso_agents")
//! UPDATE "public"."users" AS cf_u SET "margin_value" = cf_old.cf_v1
//! FROM cf_old WHERE cf_u."id" = cf_old.cf_k1
//! ```
//!
//! The client's expressions stay over a relation that looks like the legacy table, so they mean
//! what they meant. FOR UPDATE locks the unified rows and re-reads them if they changed while it
//! waited; without it two concurrent increments would lose one. In `unified_read` the legacy rows
//! are locked first and written last, by row image.

mod conflict;
mod insert;
pub(super) mod merge;
pub(super) mod set_query;

use super::clauses::Write;
use super::compose::{Composed, Composer};
use super::expression::{assigned, first_of_value, unrowed, values_of_assignment};
use super::returning::Carried;
use super::{ManagedRef, Scope, invert, legacy_first};
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::refuse;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};
use crate::tokens::Tokens;
use crate::tree::Tree;
use set_query::{SetQuery, Value};

/// The columns that are set, and the queries that some of their values come from.
pub(super) type Assignments<'s, 'a> = (Vec<(&'s LegacyColumn, Value<'a>)>, Vec<SetQuery<'a>>);

/// What ON CONFLICT DO UPDATE sets, and of which rows.
pub(super) struct OnConflict<'s, 'a> {
    pub sets: Assignments<'s, 'a>,
    pub condition: Option<Tokens<'a>>,
}

pub(super) fn compose<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Composed, Refusal> {
    if scope.statement.is("MergeStmt") {
        return Unified::of(scope, target, write).merge(composer, source);
    }
    let carried = check(scope, target, write, source)?;
    let unified = Unified {
        carried,
        ..Unified::of(scope, target, write)
    };
    match scope.statement.kind() {
        "InsertStmt" => {
            if unified.mirrors {
                legacy_first::keeps_keys(scope, target)?;
            }
            unified.insert(composer, source)
        }
        "UpdateStmt" => unified.update(composer, source),
        _ => Ok(unified.delete(composer, source)),
    }
}

/// What no write to the legacy name can do once unified leads; gives what its RETURNING takes of
/// joined tables.
pub(super) fn check<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    let table = target.table_name();
    if write.is_current_of() {
        return Err(refuse::unsupported(
            "WHERE CURRENT OF once reads are unified",
            &table,
            "Name the row by its key.",
        ));
    }
    let system_columns = super::read::SystemColumns::of(scope.statement);
    if let Some(column) = system_columns.of_relation(write.refname) {
        return Err(refuse::unsupported(
            &format!("the system column {column}"),
            &table,
            "Use the table's key: its rows live elsewhere now.",
        ));
    }
    write.check_returning(scope, target, source)
}

pub(super) struct Unified<'w, 'a> {
    scope: Scope<'a>,
    target: &'w ManagedRef<'a>,
    write: &'w Write<'a>,
    lens: &'w Lens,
    /// Whether legacy still follows by row image.
    mirrors: bool,
    carried: Carried,
}

impl<'w, 'a> Unified<'w, 'a> {
    pub fn of(scope: &Scope<'a>, target: &'w ManagedRef<'a>, write: &'w Write<'a>) -> Self {
        Unified {
            scope: *scope,
            target,
            write,
            lens: target.managed.lens,
            mirrors: target.mirrors(),
            carried: Carried::default(),
        }
    }
}

impl<'a> Unified<'_, 'a> {
    fn update(&self, mut composer: Composer, source: &Source<'_>) -> Result<Composed, Refusal> {
        let (sets, queries) = self.all_assignments()?;
        self.old_rows(&mut composer, source, &queries, |output| {
            for (index, (column, value)) in sets.iter().enumerate() {
                output.own(", ");
                match value {
                    Value::Expression(tokens) => assigned(output, source, Some(*tokens), column),
                    Value::OfQuery { query, at } => {
                        output.own(&SetQuery::value(*query, *at));
                    }
                }
                output.own(&format!(" AS cf_v{}", index + 1));
            }
        });
        let old = composer.name("old");
        let mut update = Output::default();
        update.own(&format!(
            "UPDATE {} AS {} SET ",
            self.lens.unified,
            Lens::ROW
        ));
        for (index, (column, value)) in sets.iter().enumerate() {
            let tokens = match value {
                Value::Expression(tokens) => *tokens,
                Value::OfQuery { query, .. } => queries[*query].tokens,
            };
            let value = column.put_value(&format!("{old}.cf_v{}", index + 1));
            let comma = if index == 0 { "" } else { ", " };
            update.own(&format!("{comma}{} = ", quote_ident(&column.unified)));
            let at = first_of_value(&tokens);
            if column.values.is_empty() {
                update.own_for(&value, at);
            } else {
                update.own_value(&value, at, &column.name);
            }
        }
        update.own(&format!(" FROM {old} WHERE {}", self.key_of(&old)));
        Ok(self.finish(composer, source, update, TagVerb::Update))
    }

    fn delete(&self, mut composer: Composer, source: &Source<'_>) -> Composed {
        self.old_rows(&mut composer, source, &[], |_| {});
        let old = composer.name("old");
        let delete = format!(
            "DELETE FROM {} AS {row} USING {old} WHERE {}",
            self.lens.unified,
            self.key_of(&old),
            row = Lens::ROW,
        );
        self.finish(composer, source, delete.into(), TagVerb::Delete)
    }

    /// The queries that find and lock the rows to write: `cf_old`, and `cf_lock` before it.
    fn old_rows(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        queries: &[SetQuery<'_>],
        values: impl Fn(&mut Output),
    ) {
        let alias = &self.write.alias;
        let conditions = invert::conditions(&self.target.table, self.lens, self.scope.tokens);
        let read = self.lens.read_where(&super::read::texts(&conditions));
        let from = |output: &mut Output, queries: &[SetQuery<'_>]| {
            output.own(" FROM (").own_around(&read, &conditions);
            output.own(&format!(") AS {alias}"));
            if let Some(joined) = self.write.joined() {
                output.own(", ").client(source, joined);
            }
            for (number, query) in queries.iter().enumerate() {
                query.write(number, output, source);
            }
            if let Some(condition) = self.write.condition() {
                output.own(" WHERE (").client(source, condition).own(")");
            }
        };
        let keys: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("{alias}.{key}"))
            .collect();
        if self.mirrors {
            let mut found = Output::default();
            found.own(&format!("SELECT {}", keys.join(", ")));
            from(&mut found, &[]);
            composer.query("keys", found);
            let locked = self
                .lens
                .lock_legacy(&format!("SELECT * FROM {}", composer.name("keys")));
            composer.once("lock", locked);
        }
        let named: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| format!("{key} AS cf_k{}", i + 1))
            .collect();
        let mut old = Output::default();
        old.own(&format!("SELECT {}", named.join(", ")));
        values(&mut old);
        old.append(self.carried.values.clone());
        from(&mut old, queries);
        if self.mirrors {
            // Makes the locks on legacy come first.
            let word = if self.write.condition().is_some() {
                "AND"
            } else {
                "WHERE"
            };
            old.own(&format!(
                " {word} (SELECT count(*) FROM {}) >= 0",
                composer.name("lock")
            ));
        }
        old.own(&format!(" FOR UPDATE OF {alias}"));
        composer.once("old", old);
    }

    fn key_of(&self, old: &str) -> String {
        let keys: Vec<String> = self
            .lens
            .key_columns()
            .enumerate()
            .map(|(index, column)| {
                let value = column.put_value(&format!("{old}.cf_k{}", index + 1));
                format!("{}.{} = {value}", Lens::ROW, quote_ident(&column.unified))
            })
            .collect();
        keys.join(" AND ")
    }

    /// The unified statement, then the legacy half and the client's RETURNING list.
    fn finish(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        mut unified: Output,
        verb: TagVerb,
    ) -> Composed {
        if !self.mirrors && self.write.returning.is_none() {
            return composer.end(unified, Answer::default());
        }
        let (new, images) = (composer.name("new"), composer.name("img"));
        unified.own(&format!(" RETURNING {}.*", Lens::ROW));
        let old = composer.name("old");
        for name in &self.carried.names {
            unified.own(&format!(", {old}.{name}"));
        }
        composer.query("new", unified);
        composer.query("img", self.lens.read_from(&new));
        if self.mirrors && verb == TagVerb::Delete {
            composer.call(self.lens.remove_legacy_call(&images));
        } else if self.mirrors {
            let put = self.lens.put_legacy_call(&images);
            if self.keys_may_move(verb) {
                composer.query("moved", self.old_images(&composer));
                // In this order: the row under the old key holds the unique values of the new.
                let remove = self.lens.remove_legacy_call(&composer.name("moved"));
                composer.call(format!("CASE WHEN {remove} THEN {put} END"));
            } else {
                composer.call(put);
            }
        }
        if self.carried.is_empty() {
            return composer.select(self.write, source, &images, verb);
        }
        // An image and the row that it is of have the same key.
        let carried: Vec<String> = self
            .carried
            .names
            .iter()
            .map(|name| format!(", cf_r.{name}"))
            .collect();
        let base = format!(
            "(SELECT cf_i.*{} FROM {images} AS cf_i JOIN {new} AS cf_r ON {})",
            carried.concat(),
            self.lens.key_join("cf_r", "cf_i")
        );
        let columns: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|column| format!("cf_all.{}", quote_ident(&column.name)))
            .collect();
        let row = (base.as_str(), columns.join(", "));
        composer.select_carried(self.write, source, (row.0, &row.1), &self.carried, verb)
    }

    fn keys_may_move(&self, verb: TagVerb) -> bool {
        verb == TagVerb::Update
            && self.scope.statement.list("target_list").iter().any(|set| {
                self.lens
                    .key_columns()
                    .any(|key| key.name == set.text("name"))
            })
    }

    /// Images that carry only the old keys of the written rows, for those that changed theirs.
    fn old_images(&self, composer: &Composer) -> String {
        let (old, images) = (composer.name("old"), composer.name("img"));
        let columns: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|column| {
                let key = self
                    .lens
                    .key_columns()
                    .position(|key| key.name == column.name);
                let value = match key {
                    Some(index) => format!("{old}.cf_k{}", index + 1),
                    None => format!("NULL::{}", column.sql_type),
                };
                format!("{value} AS {}", quote_ident(&column.name))
            })
            .collect();
        let gone: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .enumerate()
            .map(|(index, key)| format!("{images}.{key} = {old}.cf_k{}", index + 1))
            .collect();
        format!(
            "SELECT {} FROM {old} WHERE NOT EXISTS (SELECT 1 FROM {images} WHERE {})",
            columns.join(", "),
            gone.join(" AND ")
        )
    }

    /// What ON CONFLICT DO UPDATE sets, and its condition.
    pub fn assignments_on_conflict(&self) -> Result<OnConflict<'_, 'a>, Refusal> {
        let tree = self.scope.statement.get("on_conflict_clause");
        let (_, clause) = self.write.insert_parts();
        let set = clause.and_then(|clause| Some((clause, clause.word("set", 0)?)));
        let Some((clause, set)) = set else {
            return Err(refuse::unsupported(
                "this ON CONFLICT",
                &self.target.table_name(),
                "Write it plainly.",
            ));
        };
        let end = clause.tokens.len();
        let condition = clause.word("where", set);
        let items = clause.slice(set + 1..condition.unwrap_or(end)).split();
        let sets = self.assignments_to(tree.list("target_list"), &items)?;
        Ok(OnConflict {
            sets,
            condition: condition.map(|word| clause.slice(word + 1..end)),
        })
    }

    /// The columns that an UPDATE sets, each with the client's expression or query.
    pub fn all_assignments(&self) -> Result<Assignments<'_, 'a>, Refusal> {
        let items = self.write.assignments();
        let items = items.map(|tokens| tokens.split()).unwrap_or_default();
        self.assignments_to(self.scope.statement.list("target_list"), &items)
    }

    /// What the items of a SET list assign to the columns that it names.
    fn assignments_to(
        &self,
        targets: &[Tree],
        items: &[Tokens<'a>],
    ) -> Result<Assignments<'_, 'a>, Refusal> {
        let refuse = |what: &str| {
            Err(refuse::unsupported(
                what,
                &self.target.table_name(),
                "Set each column by `column = expression`.",
            ))
        };
        if targets
            .iter()
            .any(|target| !target.list("indirection").is_empty())
        {
            return refuse("SET of an array element or a field once reads are unified");
        }
        let mut values = Vec::new();
        let mut queries: Vec<SetQuery<'a>> = Vec::new();
        for item in items {
            if let Some(value) = unrowed(item) {
                return Err(Refusal {
                    sqlstate: "0A000",
                    message: "source for a multiple-column UPDATE item must be a sub-SELECT or \
                              ROW() expression"
                        .to_owned(),
                    hint: String::new(),
                    position: self.scope.position(value),
                });
            }
            match (values_of_assignment(item), SetQuery::of(item)) {
                (Some(found), _) => values.extend(found.into_iter().map(Value::Expression)),
                (None, Some(found)) => {
                    let query = queries.len();
                    values.extend((0..found.columns).map(|at| Value::OfQuery { query, at }));
                    queries.push(found);
                }
                (None, None) => return refuse("this list of assignments"),
            }
        }
        if values.len() != targets.len() {
            return refuse("this list of assignments");
        }
        let mut sets = Vec::new();
        for (target, value) in targets.iter().zip(values) {
            let column = self.legacy_column(target)?;
            if let Value::OfQuery { query, at } = value {
                if column.sql_type.ends_with("[]") {
                    return refuse("SET (…) = (a query) of an array once reads are unified");
                }
                let given = target.get("val").get("source").get("subselect");
                let given = given.list("target_list");
                // A set operation has its columns elsewhere.
                let counted =
                    !given.is_empty() && !given.iter().any(|item| item.find("AStar").is_some());
                if at == 0 && counted && given.len() != queries[query].columns {
                    return Err(Refusal {
                        sqlstate: "42601",
                        message: "number of columns does not match number of values".to_owned(),
                        hint: String::new(),
                        position: self.scope.position(queries[query].open),
                    });
                }
            }
            sets.push((column, value));
        }
        Ok((sets, queries))
    }

    /// The legacy column that an INSERT or a SET names.
    fn legacy_column(&self, target: &Tree) -> Result<&LegacyColumn, Refusal> {
        let name = target.text("name");
        self.lens.column(name).ok_or_else(|| Refusal {
            sqlstate: "42703",
            message: format!(
                "column \"{name}\" of relation \"{}\" does not exist",
                self.lens.legacy.name
            ),
            hint: String::new(),
            position: target.location().and_then(|at| self.scope.position(at)),
        })
    }
}
