//! Writes to the tables of a lens whose SQL the operator wrote.
//!
//! While legacy leads they are like any other (`legacy_first`). Once unified leads, a write to the
//! legacy name works on row images, by the lens's functions:
//!
//! ```text
//! UPDATE user_settings SET language = $1 WHERE id = $2
//!
//! WITH cf_old AS MATERIALIZED (
//!        SELECT ROW("user_settings"."id", …)::image AS cf_o, ROW(…, ($1)::varchar, …)::image AS cf_n
//!        FROM (read) AS "user_settings" WHERE (id = $2)),
//!      cf_img AS MATERIALIZED (SELECT * FROM crossfade.change_…(
//!        (SELECT array_agg(cf_o) FROM cf_old), (SELECT array_agg(cf_n) FROM cf_old), '{language}', …)
//!        WHERE crossfade.may_write_…('UPDATE', '{UPDATE}', '{language}'))
//! SELECT FROM cf_img AS "user_settings"
//! ```
//!
//! The function locks each row, looks at it again, puts it and reads it back. That will do where
//! neither the condition nor the new values depend on anything but the key. Everywhere else the
//! rows are locked before, and both are of what the rows are then, as PostgreSQL evaluates them again
//! for a row that it had to wait for:
//!
//! ```text
//! UPDATE user_settings SET user_version = user_version + 1 WHERE email = $1
//!
//! WITH cf_found AS MATERIALIZED (SELECT cf_f.*, crossfade.lock_one_…(cf_f.cf_o, …) AS cf_l FROM (
//!        SELECT ROW("user_settings"."id", …)::image AS cf_o
//!        FROM (read) AS "user_settings" WHERE (email = $1) ORDER BY "user_settings"."id") AS cf_f),
//!      cf_old AS MATERIALIZED (SELECT cf_f.cf_l AS cf_o, ROW(…, (user_version + 1)::integer, …)::image AS cf_n
//!        FROM cf_found AS cf_f CROSS JOIN LATERAL (SELECT (cf_f.cf_l)."id" AS "id", …) AS "user_settings"
//!        WHERE CASE WHEN cf_f.cf_l IS NULL THEN false WHEN cf_f.cf_o *= cf_f.cf_l THEN true ELSE (email = $1) END), …
//! ```
//!
//! What is joined is carried along as it was found. Writes to unified names are in `mirror`.

mod arbiter;
mod merge;
mod types;
mod upsert;

use std::ops::Range;

use super::by::By;
use crate::bind::{Referent, column_refs};
use crate::legend::query;
use crate::lens::{Call, Lens, list, quote_ident, quote_literal};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::expression::assigned;
use crate::rewrite::says::Says;
use crate::rewrite::says::assignments::Set;
use crate::rewrite::says::items::Items;
use crate::rewrite::says::set_query::{SetQuery, Value};
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;
use arbiter::Arbiter;

/// Whether nobody has written a row while the statement waited for it.
const UNCHANGED: &str = "cf_f.cf_o *= cf_f.cf_l";

enum ByLensFunctions {}

/// A write that the lens's functions do.
type ByFunction<'s, 'w, 'a> = By<'s, 'w, 'a, ByLensFunctions>;

pub(super) fn compose<'a>(
    says: &Says<'_, 'a>,
    source: &mut Source<'a>,
    composer: Composer,
) -> Result<Composed, Refusal> {
    let write = ByFunction::of(says);
    match says.scope.statement.kind() {
        "MergeStmt" => write.merge(composer, source),
        "InsertStmt" => write.insert(composer, source),
        "UpdateStmt" => write.update(composer, source),
        _ => Ok(write.delete(composer, source)),
    }
}

/// How a statement deals with rows that another transaction changes while it waits for them.
enum LooksAgain<'a> {
    /// It goes by the key, and sets what depends on no row: whatever the row has become, it is meant.
    ByKey,
    /// Its expressions are those of the rows as they are under their locks; what it joins is at hand.
    Again(Items<'a>),
    /// What it joins has no row to be carried along: if a row has changed, the statement fails.
    Once,
}

impl LooksAgain<'_> {
    /// Whether the rows are locked, and whether they must be as they were found.
    fn arguments(&self) -> &'static str {
        match self {
            LooksAgain::ByKey => "false, false",
            LooksAgain::Again(_) => "true, false",
            LooksAgain::Once => "false, true",
        }
    }
}

impl<'a> ByFunction<'_, '_, 'a> {
    fn insert(&self, mut composer: Composer, source: &mut Source<'a>) -> Result<Composed, Refusal> {
        let arbiter = self.arbiter(&mut composer, source)?;
        let mut given = Output::default();
        given.own(&format!(
            "SELECT array_agg({}) AS cf_images FROM ",
            self.lens.image_row(Lens::IMAGE)
        ));
        self.images(&mut given, source)?;
        let columns = self.given_columns()?;
        self.judge_inserted(&mut composer, source, &columns)?;
        composer.once(query::GIVEN, given);
        let given = composer.name(query::GIVEN);
        if !self.write.acts.updates.is_empty() {
            return self.upsert(composer, source, &arbiter);
        }
        let arguments = format!(
            "(SELECT cf_images FROM {given}), {}, {}, {}",
            arbiter.beside_the_key(self.lens),
            arbiter.names,
            self.mirrors()
        );
        Ok(self.finish(composer, source, (Call::Insert, &arguments), &[]))
    }

    fn update(&self, mut composer: Composer, source: &mut Source<'a>) -> Result<Composed, Refusal> {
        if self.updates_key() && !self.lens.moves_keys() {
            return Err(refuse::key_change(&self.target.table_name()));
        }
        let assigned = self.assignments()?;
        let look = self.look(source);
        if self.types_parameters_first() {
            let mut condition = Output::from("SELECT");
            condition
                .append(self.rows(source))
                .append(self.write.filter(source, None));
            composer.query(query::TYPED, condition);
        }
        self.judge_assignments(&mut composer, source, &assigned, None);
        let (sets, queries) = assigned;
        let mut new = self.new_row(source, &sets);
        new.own(" AS cf_n");
        self.old_rows(&mut composer, source, &look, (&queries, Some(new)));
        let old = composer.name(query::OLD);
        let arguments = format!(
            "{}, {}, {}, {}, {}",
            self.array("cf_o", &old),
            self.array("cf_n", &old),
            names_of(&sets),
            look.arguments(),
            self.mirrors()
        );
        Ok(self.finish(composer, source, (Call::Change, &arguments), &sets))
    }

    /// The row's image with what the client sets in it.
    fn new_row(&self, source: &Source<'_>, sets: &[Set<'_, 'a>]) -> Output {
        let mut new = Output::default();
        for (index, column) in self.lens.columns.iter().enumerate() {
            new.own(if index == 0 { "ROW(" } else { ", " });
            match sets.iter().find(|(set, _)| set.name == column.name) {
                Some((_, Value::Expression(value))) => {
                    assigned(&mut new, source, Some(*value), column);
                }
                Some((_, Value::OfQuery { query, at })) => {
                    new.own(&SetQuery::value(*query, *at));
                }
                None => {
                    let name = quote_ident(&column.name);
                    new.own(&format!("{}.{name}", self.write.alias));
                }
            }
        }
        new.own(&format!(")::{}", self.lens.image_type()));
        new
    }

    fn delete(&self, mut composer: Composer, source: &mut Source<'a>) -> Composed {
        let look = self.look(source);
        self.old_rows(&mut composer, source, &look, (&[], None));
        let old = composer.name(query::OLD);
        let arguments = format!(
            "{}, {}, {}",
            self.array("cf_o", &old),
            look.arguments(),
            self.mirrors()
        );
        self.finish(composer, source, (Call::Delete, &arguments), &[])
    }

    /// `cf_old`: the images of the rows to write, with the new ones beside them.
    fn old_rows(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        look: &LooksAgain<'_>,
        (queries, new): (&[SetQuery<'_>], Option<Output>),
    ) {
        let alias = &self.write.alias;
        let mut old = Output::default();
        old.own("SELECT ");
        if self.write.clauses.joined().is_some() {
            // A row that several rows are joined to is written once.
            old.own(&format!("DISTINCT ON ({}) ", self.keys().join(", ")));
        }
        match look {
            LooksAgain::Again(_) => old.own("cf_f.cf_l AS cf_o"),
            LooksAgain::ByKey | LooksAgain::Once => {
                old.own(&format!("{} AS cf_o", self.lens.image_row(alias)))
            }
        };
        if let Some(new) = new {
            old.own(", ").append(new);
        }
        match look {
            LooksAgain::Again(items) => {
                self.found_rows(composer, source, items);
                for name in &self.carried.names {
                    old.own(&format!(", cf_f.{name}"));
                }
                old.own(&format!(
                    " FROM {} AS cf_f CROSS JOIN LATERAL (SELECT {}) AS {alias}{}",
                    composer.name(query::FOUND),
                    self.lens.image_fields("cf_f.cf_l"),
                    items.from("cf_f")
                ));
            }
            LooksAgain::ByKey | LooksAgain::Once => {
                old.append(self.carried.values.clone())
                    .append(self.rows(source));
            }
        }
        for (number, query) in queries.iter().enumerate() {
            query.item(number, &mut old, source);
        }
        match look {
            LooksAgain::Again(_) => {
                let condition = self.write.clauses.condition();
                old.append(again(source, condition));
            }
            LooksAgain::ByKey | LooksAgain::Once => _ = old.append(self.write.filter(source, None)),
        }
        composer.once(query::OLD, old);
    }

    /// The rows that the statement may write, and what it joins.
    fn rows(&self, source: &Source<'_>) -> Output {
        let item = format!("({}) AS {}", self.read(), self.write.alias);
        self.write.from(source, item)
    }

    /// `cf_found`: what the statement finds, each row as it was and as it is under its locks.
    fn found_rows(&self, composer: &mut Composer, source: &Source<'_>, items: &Items<'_>) {
        let mut found = Output::default();
        found.own(&format!(
            "SELECT cf_f.*, {} AS cf_l FROM (SELECT {} AS cf_o{}",
            self.lens
                .call(Call::LockOne, &format!("cf_f.cf_o, {}", self.mirrors())),
            self.lens.image_row(&self.write.alias),
            items.rows()
        ));
        found
            .append(self.carried.values.clone())
            .append(self.rows(source))
            .append(self.write.filter(source, None));
        // In which all lock.
        found.own(&format!(" ORDER BY {}) AS cf_f", self.keys().join(", ")));
        composer.once(query::FOUND, found);
    }

    /// The key's columns by the client's name of the table.
    fn keys(&self) -> Vec<String> {
        self.lens.keys_of(&self.write.alias)
    }

    /// How the statement comes to rows that others may change while it waits for them.
    fn look(&self, source: &mut Source<'a>) -> LooksAgain<'a> {
        let values = self.scope.statement.list("target_list");
        if self.goes_by_key() && !values.iter().any(|set| depends_on_a_row(set.get("val"))) {
            return LooksAgain::ByKey;
        }
        let mut items = Items::of(&self.scope);
        items.give_rows(&self.scope, source);
        let clauses =
            ["target_list", "where_clause"].map(|clause| self.scope.statement.get(clause));
        let bound = self.scope.bound;
        let mut columns = clauses.iter().flat_map(|clause| column_refs(clause, true));
        // Of what is carried along nothing but the columns is there.
        let names_more = |column: &Tree| {
            let more = match bound.referent(column) {
                Referent::All(id) | Referent::System(id, _) => id,
                Referent::OfRow(id, _) => Some(id),
                Referent::Row(_) | Referent::Unknown { .. } => bound.row_of(column),
                Referent::Column(..) | Referent::Merged(..) => None,
                Referent::Result | Referent::Nothing => None,
            };
            more.is_some_and(|id| items.at(id).is_some())
        };
        if !items.have_rows() || columns.any(names_more) {
            return LooksAgain::Once;
        }
        for clause in clauses {
            items.unqualify(&self.scope, clause, source);
        }
        LooksAgain::Again(items)
    }

    /// The images of a column of `cf_old` in the order of their keys, in which all lock.
    fn array(&self, images: &str, old: &str) -> String {
        let keys = self.lens.keys_of("(cf_o)").join(", ");
        format!("(SELECT array_agg({images} ORDER BY {keys}) FROM {old})")
    }

    fn finish(
        &self,
        composer: Composer,
        source: &Source<'_>,
        (call, arguments): (Call, &str),
        sets: &[Set<'_, 'a>],
    ) -> Composed {
        let right = match call {
            Call::Change => "UPDATE",
            Call::Delete => "DELETE",
            _inserts => "INSERT",
        };
        let may = self.may_write(right, &[right], &names_of(sets));
        let images = format!(
            "SELECT * FROM {} WHERE {may}",
            self.lens.call(call, arguments)
        );
        self.finish_with(composer, source, images.into(), sets)
    }

    /// The condition under which a command may have its way with the table, the columns that it updates included.
    fn may_write(&self, command: &str, rights: &[&str], set: &str) -> String {
        let rights = list(rights.iter().map(|right| quote_literal(right)));
        let arguments = format!("{}, ARRAY[{}], {set}", quote_literal(command), rights);
        self.lens.call(Call::MayWrite, &arguments)
    }

    /// Behind the query of the written rows' images.
    fn finish_with(
        &self,
        mut composer: Composer,
        source: &Source<'_>,
        images: Output,
        sets: &[Set<'_, 'a>],
    ) -> Composed {
        composer.once(query::IMG, images);
        let images = composer.name(query::IMG);
        // Inside of a WITH that nobody reads it would not be run otherwise.
        composer.call(composer.behind(query::IMG));
        if self.write.clauses.returning.is_none() {
            return composer.select(self.write, source, &images);
        }
        // An image keeps values that the legacy column would cut: its types have no length.
        let typed = format!(
            "(SELECT {} FROM {images} AS cf_i)",
            self.lens.image_fields("cf_i")
        );
        let keys = self.lens.key_columns().map(|key| {
            let name = quote_ident(&key.name);
            let moved = sets.iter().any(|(set, _)| set.name == key.name);
            let image = if moved { "cf_n" } else { "cf_o" };
            format!("(cf_r.{image}).{name}::{} = cf_i.{name}", key.sql_type)
        });
        // The function that writes has made sure that a row is still as it was found where a joined table had its say.
        let same = keys.collect::<Vec<String>>().join(" AND ");
        let rows = self.with_carried(typed, &composer.name(query::OLD), &same);
        composer.select_rows(self.write, source, &rows, &self.carried)
    }

    /// Whether the condition stays true of a row whatever becomes of its other columns.
    fn goes_by_key(&self) -> bool {
        let condition = self.scope.statement.get("where_clause");
        let keys: Vec<&str> = self.lens.key_columns().map(|c| c.name.as_str()).collect();
        self.write.clauses.joined().is_none()
            && condition.find("SubLink").is_none()
            && column_refs(condition, true).into_iter().all(|column| {
                let item = self.target.item;
                let own = item.and_then(|id| self.scope.bound.own_column(column, id));
                own.is_some_and(|name| keys.contains(&name))
            })
    }
}

/// Whether a row that was found has not changed, or is one to write still by the condition: of one that changed that is
/// asked again.
fn again(source: &Source<'_>, condition: Option<Range<usize>>) -> Output {
    let mut again = Output::from(format!(
        " WHERE CASE WHEN cf_f.cf_l IS NULL THEN false WHEN {UNCHANGED} THEN true ELSE "
    ));
    match condition {
        Some(condition) => again.own("(").client(source, condition).own(")"),
        None => again.own("true"),
    };
    again.own(" END");
    again
}

/// The columns that are set, as SQL.
fn names_of(sets: &[Set<'_, '_>]) -> String {
    let names = list(sets.iter().map(|(set, _)| quote_literal(&set.name)));
    format!("ARRAY[{}]::text[]", names)
}

/// Whether an expression reads columns, be it the written row's or another's.
fn depends_on_a_row(value: &Tree) -> bool {
    value.find("SubLink").is_some() || !column_refs(value, true).is_empty()
}
