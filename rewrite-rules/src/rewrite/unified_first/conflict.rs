//! ON CONFLICT of an INSERT that goes to unified.
//!
//! ```text
//! ON CONFLICT (email) DO UPDATE SET role = excluded.role WHERE iso_agents.is_active
//! ON CONFLICT ("email") DO UPDATE SET "role" = CASE (CASE excluded."role" WHEN …) WHEN … END
//!   WHERE (visible) AND ("iso_agents"."is_active")
//! ```
//!
//! There is no FROM to put a derived table into, so each column reference becomes the expression
//! that reads it. A conflict with a unified row that legacy readers cannot see is an error: the
//! client must neither change that row nor believe that nothing was there.

use super::Unified;
use crate::lens::{LegacyColumn, Lens, quote_ident};
use crate::refuse;
use crate::rewrite::expression::{assigned, values_of_assignment};
use crate::splice::{Output, Source};
use crate::statement::Refusal;
use crate::tokens::Tokens;
use crate::tree::Tree;
use crate::walk::column_refs;

const UPDATE: i64 = 3;

impl Unified<'_, '_> {
    pub(super) fn conflict(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        clause: &Tokens<'_>,
    ) -> Result<(), Refusal> {
        let tree = self.scope.statement.get("on_conflict_clause");
        output.own(" ON CONFLICT");
        self.arbiter(output, tree.get("infer"))?;
        if tree.int("action") != UPDATE {
            output.own(" DO NOTHING");
            return Ok(());
        }
        let source = self.over_conflicting_row(tree, source)?;
        let refuse = |what: &str| Err(self.refused(what));
        let Some(set) = clause.word("set", 0) else {
            return refuse("this ON CONFLICT");
        };
        let where_word = clause.word("where", set);
        let items = clause
            .slice(set + 1..where_word.unwrap_or(clause.tokens.len()))
            .split();
        let targets = tree.list("target_list");
        let mut values = Vec::new();
        for item in &items {
            match values_of_assignment(item) {
                Some(found) => values.extend(found),
                None => return refuse("SET (…) = (a query) in ON CONFLICT"),
            }
        }
        if values.len() != targets.len()
            || targets.iter().any(|t| !t.list("indirection").is_empty())
        {
            return refuse("this SET in ON CONFLICT");
        }
        output.own(" DO UPDATE SET ");
        for (index, (target, value)) in targets.iter().zip(values).enumerate() {
            let column = self.legacy_column(target)?;
            if index > 0 {
                output.own(", ");
            }
            self.set(output, &source, column, value);
        }
        output.own(&format!(
            " WHERE {}",
            self.lens.visible_or_error(&self.write.alias)
        ));
        if let Some(word) = where_word {
            let condition = clause.slice(word + 1..clause.tokens.len());
            output
                .own(" AND (")
                .client(&source, condition.extent())
                .own(")");
        }
        Ok(())
    }

    fn set(
        &self,
        output: &mut Output,
        source: &Source<'_>,
        column: &LegacyColumn,
        value: Tokens<'_>,
    ) {
        let mut expression = Output::default();
        assigned(&mut expression, source, Some(value), column);
        output.own(&format!("{} = ", quote_ident(&column.unified)));
        if column.values.is_empty() && column.sql_type == column.unified_type {
            output.append(expression);
        } else {
            // The value appears once in the mapping's test and once in its error arm.
            let wrapped = column.put_value(&format!("({})", expression.sql));
            output.own(&wrapped);
        }
    }

    fn arbiter(&self, output: &mut Output, infer: &Tree) -> Result<(), Refusal> {
        if !infer.exists() {
            return Ok(());
        }
        if let Some(constraint) = infer.name("conname") {
            let pairs = &self.lens.constraints;
            let Some((_, unified)) = pairs.iter().find(|(legacy, _)| legacy == constraint) else {
                return Err(refuse::unsupported(
                    &format!("ON CONFLICT ON CONSTRAINT {constraint} once reads are unified"),
                    &self.target.table_name(),
                    "Name the constraint in the rule file under [table.constraints].",
                ));
            };
            output.own(&format!(" ON CONSTRAINT {}", quote_ident(unified)));
            return Ok(());
        }
        if infer.get("where_clause").exists() {
            return Err(self.refused("ON CONFLICT with a predicate"));
        }
        let mut names = Vec::new();
        for element in infer.list("index_elems") {
            let plain = element.name("name").filter(|_| {
                element.list("collation").is_empty() && element.list("opclass").is_empty()
            });
            let Some(name) = plain else {
                return Err(self.refused("ON CONFLICT on an expression"));
            };
            names.push(quote_ident(&self.column_named(name)?.unified));
        }
        output.own(&format!(" ({})", names.join(", ")));
        Ok(())
    }

    /// The source with every column reference of the clause made an expression over unified.
    fn over_conflicting_row<'s>(
        &self,
        tree: &Tree,
        source: &Source<'s>,
    ) -> Result<Source<'s>, Refusal> {
        if tree.find("SubLink").is_some() {
            return Err(self.refused("a subquery in ON CONFLICT"));
        }
        let mut edited = Source::new(source.text);
        let parts_of = [tree.get("where_clause")].into_iter().chain(
            tree.list("target_list")
                .iter()
                .map(|target| target.get("val")),
        );
        for column in parts_of.flat_map(|part| column_refs(part, true)) {
            let parts = column.column_parts();
            let (name, relation) = match parts.as_slice() {
                [name] => (*name, self.write.alias.clone()),
                ["excluded", name] => (*name, "excluded".to_owned()),
                [.., relation, name] if *relation == self.write.refname => {
                    (*name, self.write.alias.clone())
                }
                _ => return Err(self.refused(&format!("`{}` in ON CONFLICT", parts.join(".")))),
            };
            let read = self.column_named(name)?;
            let value = read.read_value(&format!("{relation}.{}", quote_ident(&read.unified)));
            let range = column
                .location()
                .and_then(|start| self.scope.tokens.dotted(start, parts.len()));
            let Some(range) = range else {
                return Err(self.refused("this ON CONFLICT"));
            };
            edited.edit(
                range,
                if read.values.is_empty() {
                    value
                } else {
                    format!("({value})")
                },
            );
        }
        Ok(edited)
    }

    fn column_named(&self, name: &str) -> Result<&LegacyColumn, Refusal> {
        let missing = || self.refused(&format!("ON CONFLICT with the unknown column {name}"));
        self.lens.column(name).ok_or_else(missing)
    }

    fn refused(&self, what: &str) -> Refusal {
        refuse::unsupported(
            &format!("{what} once reads are unified"),
            &self.target.table_name(),
            "Name the unique columns, and set plain columns from excluded or constants.",
        )
    }
}

impl Lens {
    /// A condition that is true for a visible unified row and an error for any other.
    fn visible_or_error(&self, row: &str) -> String {
        let hidden = "'the row in conflict belongs to the other side of the migration: '";
        match self.visible_condition(row) {
            None => "true".to_owned(),
            Some(visible) => {
                let key = self.legacy_key_of(row);
                format!(
                    "CASE WHEN {visible} THEN true ELSE ({hidden} || ROW({key})::text)::boolean END"
                )
            }
        }
    }
}
