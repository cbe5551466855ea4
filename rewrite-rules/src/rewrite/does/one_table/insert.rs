//! INSERT into the legacy name, once unified leads.
//!
//! ```text
//! INSERT INTO iso_agents (email, role) VALUES ($1, 'admin')
//!
//! INSERT INTO "public"."users" AS "iso_agents" ("id", "email", "role", …, "timezone")
//! SELECT cf_n."id", cf_n."email", CASE cf_n."role" WHEN …, …
//! FROM (VALUES ((gen_random_uuid())::uuid, ($1)::text, ('admin')::user_role, …)) AS cf_n("id", …)
//! ```
//!
//! Every legacy column gets its value or the legacy default: the unified table's own defaults are
//! another application's.

use super::OneTable;
use crate::legend::query;
use crate::lens::{LegacyColumn, Lens, list, quote_ident};
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::does::follow::{self, Put, Rows};
use crate::rewrite::expression::first_of_value;
use crate::rewrite::says::given::{part, result};
use crate::rewrite::says::place::Place;
use crate::statement::{Answer, Refusal};
use crate::text::splice::{Output, Source};

/// A value on its way from an image into a unified column or a part of one.
pub(super) struct PutValue<'s> {
    /// The legacy column whose whole value it is.
    pub column: Option<&'s LegacyColumn>,
    pub target: Output,
    pub value: String,
    /// It goes into all of a column.
    is_whole: bool,
}

impl PutValue<'_> {
    pub fn list(output: &mut Output, puts: &[Self], each: impl Fn(&mut Output, &Self)) {
        for (index, put) in puts.iter().enumerate() {
            output.own(if index == 0 { "" } else { ", " });
            each(output, put);
        }
    }
}

impl<'a> OneTable<'_, '_, 'a> {
    pub(super) fn insert(
        &self,
        mut composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Composed, Refusal> {
        let mut statement = Output::default();
        let named = self.scope.statement.list("cols");
        let (columns, places) = (self.columns_named(named)?, self.places(named)?);
        let puts = self.puts(&*source, &columns, &places);
        statement.own(&format!(
            "INSERT INTO {} AS {} (",
            self.lens.unified, self.write.alias,
        ));
        PutValue::list(&mut statement, &puts, |statement, put| {
            statement.append(put.target.clone());
        });
        statement.own(") OVERRIDING SYSTEM VALUE SELECT ");
        PutValue::list(&mut statement, &puts, |statement, put| {
            match put
                .column
                .and_then(|column| Some((column, self.only_value(column)?)))
            {
                Some((column, at)) if !column.values.is_empty() => {
                    statement.own_value(&put.value, at, &column.name)
                }
                Some((_, at)) => statement.own_for(&put.value, at),
                None => statement.own(&put.value),
            };
        });
        statement.own(" FROM ");
        let looks = self.may_pass_over();
        if looks {
            let mut given = Output::default();
            given.own("SELECT * FROM ");
            self.images(&mut given, source)?;
            composer.once(query::GIVEN, given);
            statement.own(&format!(
                "{} AS {}",
                composer.name(query::GIVEN),
                Lens::IMAGE
            ));
        } else {
            self.images(&mut statement, source)?;
        }
        let source: &Source<'_> = source;
        self.count(&mut composer, source, columns.len());
        if self.write.clauses.insert.conflict.is_some() {
            self.conflict(&mut statement, source)?;
        }
        if looks {
            composer.call(self.passed_over(&composer, &puts));
        }
        Ok(self.finish_insert(composer, statement, source, looks))
    }

    /// Whether ON CONFLICT DO NOTHING may pass over a row for what the legacy table does not have: a unique index, where
    /// it names none, or a row that legacy readers do not see.
    fn may_pass_over(&self) -> bool {
        let conflict = self.scope.statement.get("on_conflict_clause");
        let hides = self.lens.visible_condition(Lens::ROW).is_some();
        let does_nothing = conflict.exists() && conflict.list("target_list").is_empty();
        does_nothing && (!conflict.get("infer").exists() || hides)
    }

    /// A condition that looks at the images that were not inserted.
    fn passed_over(&self, composer: &Composer, puts: &[PutValue<'_>]) -> String {
        let (given, new) = (composer.name(query::GIVEN), composer.name(query::NEW));
        let whole = puts.iter().filter(|put| put.is_whole);
        let values = whole.map(|put| format!("{} AS {}", put.value, put.target.sql));
        let passed_over = format!(
            "(SELECT {} FROM {given} AS {image} WHERE NOT EXISTS (SELECT FROM {new} AS cf_r WHERE {}))",
            list(values),
            self.lens.key_join("cf_r", Lens::IMAGE),
            image = Lens::IMAGE,
        );
        let conflict = self.scope.statement.get("on_conflict_clause");
        self.lens
            .skipped_call(&passed_over, conflict.get("infer").exists())
    }

    fn finish_insert(
        &self,
        mut composer: Composer,
        mut statement: Output,
        source: &Source<'_>,
        looks: bool,
    ) -> Composed {
        let loses = self.lens.may_lose(self.lens.columns.iter());
        let only_counts = !self.mirrors() && self.write.clauses.returning.is_none() && !loses;
        if only_counts && !looks {
            return composer.end(statement, Answer::default());
        }
        if only_counts {
            // Whoever may insert may not be able to read all of it.
            let alias = &self.write.alias;
            let keys = self.lens.unified_arbiter();
            let keys = keys.iter().map(|key| format!("{alias}.{key}"));
            statement.own(&format!(" RETURNING {}", list(keys)));
            composer.query(query::NEW, statement);
            let new = composer.name(query::NEW);
            return composer.select(self.write, source, &new);
        }
        statement.own(&format!(" RETURNING {}.*", self.write.alias));
        composer.query(query::NEW, statement);
        let (new, images) = (composer.name(query::NEW), composer.name(query::IMG));
        composer.query(query::IMG, self.read_back(loses, &new));
        if self.mirrors() {
            follow::put_legacy(&mut composer, self.target, &images, (Put::All, Rows::Any));
        }
        composer.select(self.write, source, &images)
    }

    /// Where the value for a column stands in an INSERT of one row, or of what a query gives.
    fn only_value(&self, column: &LegacyColumn) -> Option<usize> {
        let given = self.given_columns().ok()?;
        let at = given.iter().position(|given| given.name == column.name)?;
        let insert = &self.write.clauses.insert;
        let select = self.scope.statement.get("select_stmt");
        if !insert.gives_rows {
            return result(select, at);
        }
        let mut rows = insert.rows();
        let (only, more) = (rows.next()??, rows.next());
        let value = only.get(at).filter(|_| more.is_none())?;
        Some(first_of_value(value))
    }

    /// What an image puts into which columns, once for each: whole ones, the parts that the client
    /// names, and what legacy lacks.
    pub(super) fn puts<'s>(
        &'s self,
        source: &Source<'_>,
        columns: &[&'s LegacyColumn],
        places: &[Place<'a>],
    ) -> Vec<PutValue<'s>> {
        let image = |name: &str| format!("{}.{}", Lens::IMAGE, quote_ident(name));
        let mut puts = Vec::new();
        for column in self.lens.columns.iter() {
            let parts = columns.iter().zip(places).enumerate();
            let parts = parts.filter(|(_, (c, place))| c.name == column.name && !place.is_whole());
            let parts = parts.map(|(at, (_, place))| {
                let target = place.target(source, column, |text, _, subscript| {
                    text.client(source, subscript.extent());
                });
                PutValue {
                    column: None,
                    target: target.text,
                    value: image(&part(at)),
                    is_whole: false,
                }
            });
            let before = puts.len();
            puts.extend(parts);
            if puts.len() == before && !column.is_computed_in_unified() {
                let value = self.lens.computed_of(column, Lens::IMAGE);
                puts.push(PutValue {
                    column: Some(column),
                    target: quote_ident(&column.unified).into(),
                    value: column.put_value(&value.unwrap_or_else(|| image(&column.name))),
                    is_whole: true,
                });
            }
        }
        puts.extend(self.lens.constants().iter().map(|constant| PutValue {
            column: None,
            target: quote_ident(&constant.unified).into(),
            value: constant.sql.clone(),
            is_whole: true,
        }));
        puts
    }
}
