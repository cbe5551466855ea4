//! The target of ON CONFLICT, once unified leads: by which index PostgreSQL finds the row in conflict.
//!
//! ```text
//! ON CONFLICT (lower(email)) WHERE role = 'iso_agent' AND is_active
//!
//! ON CONFLICT (lower("email")) WHERE ("role" = 'sales_rep' AND "is_active") AND "role" <> 'customer'
//! ```
//!
//! PostgreSQL looks for unique indexes on these expressions whose own predicate follows from this one. So
//! the names become unified's, and values that are mapped become unified's as well. What makes a unified
//! row visible is added to the predicate: each row that the client can mean is one, an index on those rows
//! alone stands for one on all legacy rows, and an index without a predicate serves as before. If unified
//! has no such index PostgreSQL says so; `crossfade check` says so beforehand.

use super::OneTable;
use crate::bind::functions::in_catalog;
use crate::bind::{Referent, column_refs};
use crate::lens::{LegacyColumn, Visible, quote_ident, quote_literal};
use crate::refuse;
use crate::rewrite::says::upsert;
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;
use pg_query::protobuf::AExprKind;

/// An index has 32 columns at most, and its predicate names some. Each name costs a look at all that is
/// replaced in the text.
const NAMES_MAX: usize = 1_000;

/// The kinds of comparison whose constants can be mapped.
const COMPARISONS: [i64; 2] = [AExprKind::AexprOp as i64, AExprKind::AexprIn as i64];

impl OneTable<'_, '_, '_> {
    pub(super) fn arbiter(&self, output: &mut Output, source: &Source<'_>) -> Result<(), Refusal> {
        let infer = self.scope.statement.get("on_conflict_clause").get("infer");
        if !infer.exists() {
            return upsert::has_target(&self.scope);
        }
        if let Some(constraint) = infer.name("conname") {
            let pairs = &self.lens.constraints;
            let Some((_, unified)) = pairs.iter().find(|(legacy, _)| legacy == constraint) else {
                if *constraint != self.lens.key_constraint() {
                    let table = &self.lens.legacy.name;
                    return Err(refuse::no_such_constraint(constraint, table));
                }
                return Err(refuse::unsupported(
                    &format!("ON CONFLICT ON CONSTRAINT {constraint} once reads are unified"),
                    &self.target.table_name(),
                    "Name the constraint in the rule file under [table.constraints].",
                ));
            };
            output.own(&format!(" ON CONSTRAINT {}", quote_ident(unified)));
            return Ok(());
        }
        let conflict = self.write.clauses.insert.conflict.as_ref();
        let target = conflict.and_then(|conflict| Some((conflict.elements?, conflict.predicate)));
        let Some((elements, predicate)) = target else {
            return Err(self.refused("this ON CONFLICT", "Write it plainly."));
        };
        if column_refs(infer, true).len() > NAMES_MAX {
            return Err(self.refused(
                "ON CONFLICT with so many names in its target",
                "Name fewer.",
            ));
        }
        // Edits of these places alone: elsewhere the same text may have to stay.
        let mut edited = source.clone();
        let texts = elements.split();
        for (element, text) in infer.list("index_elems").iter().zip(&texts) {
            self.element(element, text, &mut edited)?;
        }
        output.own(" (");
        if let Some(discriminator) = self.lens.discriminator() {
            output.own(&format!("{}, ", quote_ident(&discriminator.column)));
        }
        output.client(&edited, elements.extent()).own(")");
        // Unified has an index on exactly the key, and no other is asked for.
        let visible = self.lens.visible();
        let visible = visible.filter(|_| predicate.is_some() || !self.is_key(infer));
        let visible = visible.map(Visible::of_columns);
        match (predicate, visible) {
            (None, None) => {}
            (None, Some(visible)) => _ = output.own(&format!(" WHERE ({visible})")),
            (Some(predicate), visible) => {
                self.names(infer.get("where_clause"), &mut edited)?;
                output
                    .own(" WHERE (")
                    .client(&edited, predicate.extent())
                    .own(")");
                if let Some(visible) = visible {
                    output.own(&format!(" AND ({visible})"));
                }
            }
        }
        Ok(())
    }

    fn is_key(&self, infer: &Tree) -> bool {
        let elements = infer.list("index_elems");
        let is = |element: &Tree, key: &LegacyColumn| {
            element.name("name") == Some(&key.name)
                && element.list("collation").is_empty()
                && element.list("opclass").is_empty()
        };
        elements.len() == self.lens.key.len()
            && self
                .lens
                .key_columns()
                .all(|key| elements.iter().any(|e| is(e, key)))
    }

    /// One of the columns or expressions of the target.
    fn element(
        &self,
        element: &Tree,
        text: &Tokens<'_>,
        edited: &mut Source<'_>,
    ) -> Result<(), Refusal> {
        let by_class = !element.list("collation").is_empty() || !element.list("opclass").is_empty();
        if let Some(name) = element.name("name") {
            // PostgreSQL says that it stands where the list begins.
            let infer = self.scope.statement.get("on_conflict_clause").get("infer");
            let column = self.column_at(name, infer.location().unwrap_or_default())?;
            if by_class && !column.is_plain() {
                return Err(self.not_the_same(column));
            }
            let first = text.tokens.first().map(|token| token.start..token.end);
            if let Some(name) = first {
                edited.edit(name, quote_ident(&column.unified));
            }
            return Ok(());
        }
        let expression = element.get("expr");
        match self.column(expression)? {
            // A column in parentheses is that column.
            Some(column) if !by_class => {
                self.rename(expression, column, edited);
                Ok(())
            }
            Some(_) | None => self.names(expression, edited),
        }
    }

    /// Gives the columns below a node their unified names, and what they are compared with the unified
    /// values.
    fn names(&self, node: &Tree, edited: &mut Source<'_>) -> Result<(), Refusal> {
        if self.compares_mapped(node, edited)? {
            return Ok(());
        }
        if let Some(column) = self.column(node)? {
            if !column.is_plain() {
                return Err(self.not_the_same(column));
            }
            self.rename(node, column, edited);
        }
        for (_, child) in node.children() {
            self.names(child, edited)?;
        }
        Ok(())
    }

    /// `role = 'admin'`, `role <> 'admin'`, `role IN ('admin', …)`, `role IS NULL` of a column whose
    /// values are mapped.
    fn compares_mapped(&self, node: &Tree, edited: &mut Source<'_>) -> Result<bool, Refusal> {
        let null_test = node.is("NullTest");
        let operator = in_catalog(node.list("name")).unwrap_or_default();
        let compares = node.is("AExpr")
            && ["=", "<>"].contains(&operator)
            && COMPARISONS.contains(&node.int("kind"));
        if !null_test && !compares {
            return Ok(false);
        }
        let sides = if null_test {
            [node.get("arg"), &Tree::Nothing]
        } else {
            [node.get("lexpr"), node.get("rexpr")]
        };
        let [left, right] = sides;
        let (named, other, column) = match (self.column(left)?, self.column(right)?) {
            (Some(column), None) => (left, right, column),
            (None, Some(column)) => (right, left, column),
            (Some(_), Some(_)) | (None, None) => return Ok(false),
        };
        if column.values.is_empty() {
            return Ok(false);
        }
        let values = match other.in_list() {
            [] if null_test => &[],
            [] => std::slice::from_ref(other),
            list => list,
        };
        let mut told = Vec::new();
        for value in values {
            told.push(
                self.mapped(value, column)
                    .ok_or_else(|| self.not_the_same(column))?,
            );
        }
        self.rename(named, column, edited);
        for (range, unified) in told {
            edited.edit(range, unified);
        }
        Ok(true)
    }

    /// Where a constant stands, and its unified value.
    fn mapped(
        &self,
        value: &Tree,
        column: &LegacyColumn,
    ) -> Option<(std::ops::Range<usize>, String)> {
        let constant = if value.is("TypeCast") && column.sql_type == column.unified_type {
            value.get("arg")
        } else {
            value
        };
        let tokens = self.scope.tokens;
        let at = tokens.at(constant.location()?)?;
        let token = &tokens.tokens[at];
        if constant.is("ParamRef") {
            // A value by the time that a plan is made for it.
            let value = format!("{}::{}", tokens.str(token), column.sql_type);
            let unified = format!("({})", column.search_value(value).sql);
            return Some((token.start..token.end, unified));
        }
        if !constant.is("AConst") {
            return None;
        }
        let plain = tokens.first(token) == '\'';
        let text = constant.get("val").text("sval");
        let (_, unified) = column
            .values
            .iter()
            .find(|(legacy, _)| plain && legacy == text)?;
        Some((token.start..token.end, quote_literal(unified)))
    }

    /// The column of the table that a node is, if it is one.
    fn column(&self, node: &Tree) -> Result<Option<&LegacyColumn>, Refusal> {
        if !node.is("ColumnRef") {
            return Ok(None);
        }
        let at = node.location().unwrap_or_default();
        let whole = || Err(self.refused("ON CONFLICT with a whole row", "Name its columns."));
        match (self.scope.bound.referent(node), &node.column_parts()[..]) {
            (Referent::Row(_) | Referent::All(_), _) => whole(),
            (
                Referent::Column(_, name) | Referent::OfRow(_, name) | Referent::System(_, name),
                _,
            )
            // It has no such column.
            | (Referent::Nothing, &[name]) => self.column_at(name, at).map(Some),
            // Of another table the server says that it is not there.
            (
                Referent::Nothing
                | Referent::Merged(..)
                | Referent::Result
                | Referent::Unknown { .. },
                _,
            ) => Ok(None),
        }
    }

    fn rename(&self, node: &Tree, column: &LegacyColumn, edited: &mut Source<'_>) {
        if let Some(range) = self.scope.tokens.column(node) {
            // Its table's name may have been replaced.
            edited.clear(&range);
            edited.edit(range, quote_ident(&column.unified));
        }
    }

    fn column_at(&self, name: &str, at: usize) -> Result<&LegacyColumn, Refusal> {
        let column = self.lens.column(name);
        column.ok_or_else(|| self.scope.no_such_column(name, Some(at)))
    }

    fn not_the_same(&self, column: &LegacyColumn) -> Refusal {
        self.refused(
            &format!(
                "ON CONFLICT with an expression over column {}, whose values differ in unified,",
                column.name
            ),
            "Name the column alone, or compare it with = and <> to values that the rule file maps.",
        )
    }

    fn refused(&self, what: &str, hint: &str) -> Refusal {
        refuse::unsupported(
            &format!("{what} once reads are unified"),
            &self.target.table_name(),
            hint,
        )
    }
}
