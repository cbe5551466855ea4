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
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::expression::first_of_value;
use crate::rewrite::says::given::{part, result};
use crate::rewrite::says::place::Place;
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal};

/// A value on its way from an image into a unified column or a part of one.
pub(super) struct Put<'s> {
    /// The legacy column whose whole value it is.
    pub column: Option<&'s LegacyColumn>,
    pub target: Output,
    pub value: String,
}

impl Put<'_> {
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
        Put::list(&mut statement, &puts, |statement, put| {
            statement.append(put.target.clone());
        });
        statement.own(") OVERRIDING SYSTEM VALUE SELECT ");
        Put::list(&mut statement, &puts, |statement, put| {
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
        self.images(&mut statement, source)?;
        let source: &Source<'_> = source;
        self.count(&mut composer, source, columns.len());
        if self.write.clauses.insert.conflict.is_some() {
            self.conflict(&mut statement, source)?;
        }
        Ok(self.finish_insert(composer, statement, source))
    }

    fn finish_insert(
        &self,
        mut composer: Composer,
        mut statement: Output,
        source: &Source<'_>,
    ) -> Composed {
        let loses = self.lens.may_lose(self.lens.columns.iter());
        if !self.mirrors() && self.write.clauses.returning.is_none() && !loses {
            return composer.end(statement, Answer::default());
        }
        statement.own(&format!(" RETURNING {}.*", self.write.alias));
        composer.query(query::NEW, statement);
        let (new, images) = (composer.name(query::NEW), composer.name(query::IMG));
        composer.query(query::IMG, self.read_back(loses, &new));
        if self.mirrors() {
            composer.call(self.lens.put_legacy_call(&images));
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
    ) -> Vec<Put<'s>> {
        let image = |name: &str| format!("{}.{}", Lens::IMAGE, quote_ident(name));
        let mut puts = Vec::new();
        for column in self.lens.columns.iter() {
            let parts = columns.iter().zip(places).enumerate();
            let parts = parts.filter(|(_, (c, place))| c.name == column.name && !place.is_whole());
            let parts = parts.map(|(at, (_, place))| {
                let target = place.target(source, column, |text, _, subscript| {
                    text.client(source, subscript.extent());
                });
                Put {
                    column: None,
                    target: target.text,
                    value: image(&part(at)),
                }
            });
            let before = puts.len();
            puts.extend(parts);
            if puts.len() == before && !column.is_computed_in_unified() {
                let value = self.lens.computed_of(column, Lens::IMAGE);
                puts.push(Put {
                    column: Some(column),
                    target: quote_ident(&column.unified).into(),
                    value: column.put_value(&value.unwrap_or_else(|| image(&column.name))),
                });
            }
        }
        puts.extend(self.lens.constants().iter().map(|constant| Put {
            column: None,
            target: quote_ident(&constant.unified).into(),
            value: constant.sql.clone(),
        }));
        puts
    }
}
