//! RETURNING of a write that joins other tables.
//!
//! The answer is made of row images, where the joined tables are no longer at hand: so what the
//! client's list takes of them is carried along.
//!
//! ```text
//! UPDATE iso_agents a SET … FROM client_profiles c WHERE … RETURNING a.email, c.notes
//!
//! WITH cf_new AS (UPDATE iso_agents a SET … RETURNING "a".*, "a" AS cf_row, c.notes AS cf_c1), …
//! SELECT a.email, c.notes FROM cf_new AS cf_all
//!   CROSS JOIN LATERAL (SELECT (cf_all.cf_row).*) AS "a"
//!   CROSS JOIN LATERAL (SELECT cf_all.cf_c1 AS "notes") AS "c"
//! ```

use super::clauses::Write;
use super::items::{Item, Items};
use super::{ManagedRef, Scope};
use crate::lens::quote_ident;
use crate::refuse;
use crate::rule_set::Side;
use crate::splice::{Output, Source};
use crate::statement::Refusal;
use crate::tree::Tree;
use crate::walk::column_refs;

/// The relation of columns that the client names without a table.
const BARE: &str = "cf_x";

/// What a RETURNING list takes of joined tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    /// To be added to a list of results: `, c.notes AS cf_c1`.
    pub values: Output,
    /// The names of those results.
    pub names: Vec<String>,
    relations: Vec<Relation>,
    /// There are queries in the list, whose bare names must meet those of the relations alone.
    nested: bool,
}

#[derive(Clone, Debug)]
struct Relation {
    name: String,
    /// The result that is the whole row.
    whole: Option<String>,
    /// Column and result.
    columns: Vec<(String, String)>,
}

/// Collects what a joined write's RETURNING takes of the joined tables, and has the client's list
/// name it where it will be found.
pub(super) fn carried<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    write: &Write<'a>,
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    let clause = scope.statement.get("returning_clause");
    let mut items = Items::of(scope.statement);
    let mut carried = Carried::default();
    let stars = column_refs(clause, true);
    let stars = stars
        .iter()
        .any(|column| column.column_parts().last() == Some(&"*"));
    if stars || clause.find("SubLink").is_some() {
        items.give_rows(scope, source);
    }
    if clause.find("SubLink").is_some() {
        return whole_rows(scope, target, (write, &items), source);
    }
    for column in column_refs(clause, true) {
        let parts = column.column_parts();
        let Some((name, qualifier)) = parts.split_last() else {
            continue;
        };
        let refuse = || {
            Err(refuse::unsupported(
                &format!("`{}` in RETURNING of a joined write", parts.join(".")),
                &target.table_name(),
                "Name the columns, each with its table.",
            ))
        };
        let Some(range) = column
            .location()
            .and_then(|start| scope.tokens.dotted(start, parts.len()))
        else {
            return refuse();
        };
        let value = |carried: &mut Carried| {
            let mut value = Output::default();
            value.client(&Source::new(scope.tokens.text), range.clone());
            carried.value(value)
        };
        match (qualifier.last(), *name) {
            (None, "*") => {
                if !items.have_rows() {
                    return refuse();
                }
                let mut all = format!("{}.*", write.alias);
                for item in &items.all {
                    carried.whole(item);
                    all += &format!(", {}.*", quote_ident(item.name));
                }
                source.edit(range, all);
            }
            (None, name) => {
                let known = target.managed.side == Side::Legacy
                    && target.managed.lens.column(name).is_some();
                let item = items.all.iter().find(|item| item.name == name);
                if !known && name == write.refname {
                    continue;
                }
                if let Some(item) = item.filter(|item| !known && item.has_row()) {
                    carried.whole(item);
                    continue;
                }
                // Carried in any case: the server tells a name that two tables have.
                let result = value(&mut carried);
                let relation = if known {
                    write.alias.clone()
                } else {
                    carried.column(BARE, name, result);
                    BARE.to_owned()
                };
                source.edit(range, format!("{relation}.{}", quote_ident(name)));
            }
            (Some(relation), _) if *relation == write.refname => {}
            (Some(relation), "*") => {
                let item = items.all.iter().find(|item| item.name == *relation);
                let Some(item) = item.filter(|item| item.has_row()) else {
                    return refuse();
                };
                carried.whole(item);
            }
            (Some(relation), name) => {
                let result = value(&mut carried);
                carried.column(relation, name, result);
                let plain = format!("{}.{}", quote_ident(relation), quote_ident(name));
                source.edit(range, plain);
            }
        }
    }
    Ok(carried)
}

/// What a list with queries in it may take: which of their names mean a joined table, only the
/// server knows.
fn whole_rows<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (write, items): (&Write<'a>, &Items<'a>),
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    if !items.have_rows() {
        return Err(refuse::unsupported(
            "a subquery in RETURNING of a write that joins by USING, or what has no row of columns",
            &target.table_name(),
            "Put what it joins into a query: FROM (SELECT … FROM …) AS name.",
        ));
    }
    let clause = scope.statement.get("returning_clause");
    let mut carried = Carried {
        nested: true,
        ..Carried::default()
    };
    let mut all = format!("{}.*", write.alias);
    for item in &items.all {
        carried.whole(item);
        all += &format!(", {}.*", quote_ident(item.name));
    }
    items.unqualify(scope.tokens, clause, source);
    for column in results(clause).filter(|column| column.column_parts() == ["*"]) {
        let at = column.location().and_then(|at| scope.tokens.at(at));
        if let Some(at) = at {
            source.edit(scope.tokens.slice(at..at + 1).extent(), all.clone());
        }
    }
    Ok(carried)
}

/// The results of a RETURNING list that are columns as they are.
pub(super) fn results(clause: &Tree) -> impl Iterator<Item = &Tree> {
    let results = clause.list("exprs").iter().map(|result| result.get("val"));
    results.filter(|value| value.is("ColumnRef"))
}

impl Carried {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn value(&mut self, value: Output) -> String {
        let result = format!("cf_c{}", self.names.len() + 1);
        self.values.own(", ").append(value);
        self.values.own(&format!(" AS {result}"));
        self.names.push(result.clone());
        result
    }

    fn relation(&mut self, name: &str) -> &mut Relation {
        let at = self.relations.iter().position(|known| known.name == name);
        let at = at.unwrap_or_else(|| {
            self.relations.push(Relation {
                name: name.to_owned(),
                whole: None,
                columns: Vec::new(),
            });
            self.relations.len() - 1
        });
        &mut self.relations[at]
    }

    fn column(&mut self, relation: &str, column: &str, result: String) {
        let relation = self.relation(relation);
        if !relation.columns.iter().any(|(known, _)| known == column) {
            relation.columns.push((column.to_owned(), result));
        }
    }

    fn whole(&mut self, item: &Item<'_>) {
        if self.relation(item.name).whole.is_none() {
            let result = self.value(item.row().into());
            self.relation(item.name).whole = Some(result);
        }
    }

    /// The FROM of the answer: `base` holds what was carried, `target` is SQL for the written
    /// row's columns over it, under the name `cf_all`.
    pub fn from(&self, base: &str, target: &str, alias: &str) -> String {
        let base = if self.nested {
            format!(
                "(SELECT cf_row, {} FROM {base} AS cf_b)",
                self.names.join(", ")
            )
        } else {
            base.to_owned()
        };
        let mut from = format!("{base} AS cf_all CROSS JOIN LATERAL (SELECT {target}) AS {alias}");
        for relation in &self.relations {
            let columns = match &relation.whole {
                Some(whole) => format!("(cf_all.{whole}).*"),
                None => {
                    let columns = relation.columns.iter();
                    let named: Vec<String> = columns
                        .map(|(name, result)| format!("cf_all.{result} AS {}", quote_ident(name)))
                        .collect();
                    named.join(", ")
                }
            };
            from += &format!(
                " CROSS JOIN LATERAL (SELECT {columns}) AS {}",
                quote_ident(&relation.name)
            );
        }
        from
    }
}
