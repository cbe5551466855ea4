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

use super::Unified;
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer};
use crate::rewrite::expression::{assigned, default_value, first_of_value, is_bare, is_default};
use crate::splice::{Output, Source};
use crate::statement::{Answer, Refusal, TagVerb};
use crate::tokens::Tokens;
use crate::tree::Tree;

impl<'a> Unified<'_, 'a> {
    pub(super) fn insert(
        &self,
        composer: Composer,
        source: &mut Source<'a>,
    ) -> Result<Composed, Refusal> {
        let mut statement = Output::default();
        let (targets, sources) = self.put_columns();
        statement.own(&format!(
            "INSERT INTO {} AS {} ({}) OVERRIDING SYSTEM VALUE SELECT ",
            self.lens.unified,
            self.write.alias,
            targets.join(", "),
        ));
        for (index, value) in sources.iter().enumerate() {
            statement.own(if index == 0 { "" } else { ", " });
            let column = self.lens.columns.get(index);
            let column = column.filter(|column| !column.values.is_empty());
            match column.and_then(|column| Some((column, self.only_value(column)?))) {
                Some((column, at)) => statement.own_value(value, at, &column.name),
                None => statement.own(value),
            };
        }
        statement.own(" FROM ");
        let conflict = self.images(&mut statement, source)?;
        let source: &Source<'_> = source;
        if conflict.is_some() {
            self.conflict(&mut statement, source)?;
        }
        Ok(self.finish_insert(composer, statement, source))
    }

    /// The client's rows as legacy row images, a relation called [`Lens::IMAGE`]; returns its ON
    /// CONFLICT clause.
    pub(in crate::rewrite) fn images(
        &self,
        output: &mut Output,
        source: &mut Source<'a>,
    ) -> Result<Option<Tokens<'a>>, Refusal> {
        let given = self.given_columns()?;
        let (values, conflict) = self.write.insert_parts();
        let select = self.scope.statement.get("select_stmt");
        self.type_select_items(select, &given, source);
        let source: &Source<'_> = source;
        match values {
            Some(values) if !select.list("values_lists").is_empty() => {
                self.values(output, source, &values, &given)?;
            }
            Some(query) if select.exists() => self.query(output, source, &query, &given),
            _ => {
                let defaults: Vec<String> = self.lens.columns.iter().map(default_value).collect();
                output.own(&format!("(VALUES ({}))", defaults.join(", ")));
            }
        }
        let names: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|c| quote_ident(&c.name))
            .collect();
        output.own(&format!(" AS {}({})", Lens::IMAGE, names.join(", ")));
        Ok(conflict)
    }

    fn finish_insert(
        &self,
        mut composer: Composer,
        mut statement: Output,
        source: &Source<'_>,
    ) -> Composed {
        if !self.mirrors && self.write.returning.is_none() {
            return composer.end(statement, Answer::default());
        }
        statement.own(&format!(" RETURNING {}.*", self.write.alias));
        composer.query("new", statement);
        let (new, images) = (composer.name("new"), composer.name("img"));
        composer.query("img", self.lens.read_from(&new));
        if self.mirrors {
            composer.call(self.lens.put_legacy_call(&images));
        }
        composer.select(self.write, source, &images, TagVerb::Insert)
    }

    /// The columns that the client names, or as many of the shape as it gives values.
    pub(in crate::rewrite) fn given_columns(&self) -> Result<Vec<&LegacyColumn>, Refusal> {
        self.columns_named(self.scope.statement.list("cols"))
    }

    /// The columns of a list; all of them where there is none.
    pub(super) fn columns_named(&self, named: &[Tree]) -> Result<Vec<&LegacyColumn>, Refusal> {
        if named.is_empty() {
            return Ok(self.lens.columns.iter().collect());
        }
        named
            .iter()
            .map(|target| {
                if target.list("indirection").is_empty() {
                    self.legacy_column(target)
                } else {
                    Err(refuse::unsupported(
                        "INSERT into an array element or a field once reads are unified",
                        &self.target.table_name(),
                        "Insert whole columns.",
                    ))
                }
            })
            .collect()
    }

    /// Where the value for a column stands in an INSERT of one row.
    fn only_value(&self, column: &LegacyColumn) -> Option<usize> {
        let given = self.given_columns().ok()?;
        let at = given.iter().position(|given| given.name == column.name)?;
        let (values, _) = self.write.insert_parts();
        let select = self.scope.statement.get("select_stmt");
        let values = values.filter(|_| select.list("values_lists").len() == 1)?;
        let (row, _) = values.parenthesised(1)?;
        Some(first_of_value(row.split().get(at)?))
    }

    pub(super) fn put_columns(&self) -> (Vec<String>, Vec<String>) {
        let image = |c: &LegacyColumn| format!("{}.{}", Lens::IMAGE, quote_ident(&c.name));
        let columns = &self.lens.columns;
        let constants = &self.lens.constants;
        let targets = columns.iter().map(|c| quote_ident(&c.unified));
        let targets = targets.chain(constants.iter().map(|c| quote_ident(&c.unified)));
        let sources = columns.iter().map(|c| c.put_value(&image(c)));
        let sources = sources.chain(constants.iter().map(|c| c.sql.clone()));
        (targets.collect(), sources.collect())
    }

    fn values(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        clause: &Tokens<'_>,
        given: &[&LegacyColumn],
    ) -> Result<(), Refusal> {
        let rows = clause.slice(1..clause.tokens.len()).split();
        output.own("(VALUES ");
        for (index, row) in rows.iter().enumerate() {
            let items = row
                .parenthesised(0)
                .filter(|(_, close)| close + 1 == row.tokens.len())
                .map(|(inner, _)| inner.split())
                .ok_or_else(|| self.wrong_count("target columns than expressions", None))?;
            if let Some(extra) = items.get(given.len()) {
                let at = Some(extra.extent().start);
                return Err(self.wrong_count("expressions than target columns", at));
            }
            if let Some(extra) = self.scope.statement.list("cols").get(items.len()) {
                return Err(self.wrong_count("target columns than expressions", extra.location()));
            }
            output.own(if index == 0 { "(" } else { ", (" });
            for (position, column) in self.lens.columns.iter().enumerate() {
                if position > 0 {
                    output.own(", ");
                }
                let at = given.iter().position(|given| given.name == column.name);
                let value = at.and_then(|at| items.get(at)).copied();
                match value.filter(|value| self.lens.written.is_some() && !is_default(value)) {
                    // Judged already; each row may come by its own type.
                    Some(value) => {
                        output.own("(").client(source, value.extent());
                        output.own(&format!(")::{}", column.base_type()));
                    }
                    None => assigned(output, source, value, column),
                }
            }
            output.own(")");
        }
        output.own(")");
        Ok(())
    }

    fn query(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        query: &Tokens<'_>,
        given: &[&LegacyColumn],
    ) {
        let columns: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(
                |column| match given.iter().position(|given| given.name == column.name) {
                    Some(at) => format!("(cf_s.cf_c{})::{}", at + 1, column.base_type()),
                    None => default_value(column),
                },
            )
            .collect();
        let names: Vec<String> = (1..=given.len()).map(|at| format!("cf_c{at}")).collect();
        output.own(&format!("(SELECT {} FROM (", columns.join(", ")));
        output.client(source, query.extent());
        output.own(&format!(") AS cf_s({}))", names.join(", ")));
    }

    /// `INSERT … SELECT $1, 'x'` gives parameters and strings the type of the column they go to.
    fn type_select_items(&self, select: &Tree, given: &[&LegacyColumn], source: &mut Source<'_>) {
        let tokens = self.scope.tokens;
        for (item, column) in select.list("target_list").iter().zip(given) {
            let value = item.get("val");
            let token = value.location().and_then(|start| tokens.at(start));
            let Some(index) = token.filter(|_| value.is("ParamRef") || value.is("AConst")) else {
                continue;
            };
            let tokens = tokens.slice(index..index + 1);
            if is_bare(&tokens) {
                let end = tokens.extent().end;
                source.edit(end..end, format!("::{}", column.base_type()));
            }
        }
    }

    pub(super) fn wrong_count(&self, more: &str, at: Option<usize>) -> Refusal {
        Refusal {
            sqlstate: "42601",
            message: format!("INSERT has more {more}"),
            hint: String::new(),
            position: at.and_then(|at| self.scope.position(at)),
        }
    }
}
