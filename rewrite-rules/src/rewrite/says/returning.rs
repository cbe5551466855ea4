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

use super::items::{Item, Items, STAR};
use super::write::Write;
use crate::bind::{Referent, column_refs};
use crate::lens::{list, quote_ident};
use crate::refuse;
use crate::rewrite::whole_row::{self, Returned};
use crate::rewrite::{ManagedRef, Scope};
use crate::rule_set::Side;
use crate::statement::Refusal;
use crate::text::splice::{Output, Source};
use crate::text::tree::Tree;

/// The relation of columns that the client names without a table.
const BARE: &str = "cf_x";

/// What a RETURNING list takes of joined tables.
#[derive(Clone, Debug, Default)]
pub(in crate::rewrite) struct Carried {
    /// To be added to a list of results: `, c.notes AS cf_c1`.
    pub values: Output,
    /// The names of those results.
    pub names: Vec<String>,
    relations: Vec<ReturningAlias>,
    /// There are queries in the list, whose bare names must meet those of the relations alone.
    nested: bool,
    /// The joined tables in FROM, where they are more than their rows.
    joined: Option<String>,
}

#[derive(Clone, Debug)]
struct ReturningAlias {
    name: String,
    /// The name behind AS.
    named: String,
    /// The result that is the whole row.
    whole: Option<String>,
    /// Column and result.
    columns: Vec<(String, String)>,
}

/// Whether the client's statement runs over a query of ours instead of the table that it names.
fn is_derived(target: &ManagedRef<'_>) -> bool {
    target.managed.side == Side::Legacy && target.leads() == Some(Side::Unified)
}

/// A bare name in RETURNING of a write without joined tables may be the row or a column of the same
/// name: the server tells, where it runs the client's own statement.
pub(in crate::rewrite) fn carried_names<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    rows: &Returned<'a>,
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    let mut carried = Carried::default();
    for column in rows.unknown() {
        let parts = column.column_parts();
        let [name] = parts.as_slice() else {
            continue;
        };
        if target.managed.lens.column_by_unified(name).is_some() {
            continue;
        }
        let range = scope.tokens.column(column).ok_or_else(|| {
            refuse::unsupported("this RETURNING", &target.table_name(), "Name the columns.")
        })?;
        let mut value = Output::default();
        value.client(&Source::new(scope.tokens.text), range.clone());
        let result = carried.value(value);
        carried.column(BARE, name, result);
        source.edit(range, format!("{BARE}.{}", quote_ident(name)));
    }
    Ok(carried)
}

/// Collects what a joined write's RETURNING takes of the joined tables, and has the client's list
/// name it where it will be found.
pub(in crate::rewrite) fn carried<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (write, rows): (&Write<'a>, &Returned<'a>),
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    let clause = scope.statement.get("returning_clause");
    let mut items = Items::of(scope);
    let mut carried = Carried::default();
    let stars = column_refs(clause, true);
    let stars = stars
        .iter()
        .any(|column| column.column_parts().last() == Some(&"*"));
    if stars || clause.find("SubLink").is_some() {
        items.give_rows(scope, source);
    }
    if clause.find("SubLink").is_some() {
        return whole_rows(scope, target, (write, items, rows), source);
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
        let Some(range) = scope.tokens.column(column) else {
            return refuse();
        };
        if rows.is_replaced(column) {
            continue;
        }
        // A whole row of a table that is read from unified has been given its type.
        let typed = source.withdraw(&range);
        let value = |carried: &mut Carried| {
            let mut value = Output::default();
            match typed.clone() {
                Some(typed) => value.append(typed),
                None => value.client(&Source::new(scope.tokens.text), range.clone()),
            };
            carried.value(value)
        };
        let owner = scope.bound.owner(column);
        match (qualifier.last(), *name) {
            (None, "*") => {
                if !items.have_rows() {
                    return refuse();
                }
                items.star = items.merged;
                let all = carried.all(&items);
                source.edit(range, format!("{}.*, {all}", write.alias));
            }
            (None, name) => {
                let known = is_own(scope, target, column);
                if rows.is_unknown(column) && is_derived(target) {
                    written_row(scope, target, (column, rows), &mut carried, source)?;
                    continue;
                }
                // As it is now: what was found beside the joined tables is the row of before.
                if rows.is_row(column) && is_derived(target) {
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
            (Some(_), _) if owner.is_some() && owner == target.item => {}
            (Some(_), "*") if typed.is_some() => {
                let result = value(&mut carried);
                source.edit(range, format!("cf_all.{result}"));
            }
            (Some(_), "*") => {
                let item = owner.and_then(|id| items.at(id)).map(|at| &items.all[at]);
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

/// Whether a name without a table is a column of the written one.
fn is_own(scope: &Scope<'_>, target: &ManagedRef<'_>, column: &Tree) -> bool {
    let own = target
        .item
        .and_then(|id| scope.bound.own_column(column, id));
    own.is_some() && target.managed.side == Side::Legacy
}

/// A name that may be the written row or a column: what it stands for is told where all tables are
/// at hand, and the row where it has been written.
fn written_row<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (column, rows): (&'a Tree, &Returned<'a>),
    carried: &mut Carried,
    source: &mut Source<'a>,
) -> Result<(), Refusal> {
    let typed = whole_row::has_type(target);
    let shows = rows.unknown().any(|shown| std::ptr::eq(shown, column));
    let Some(range) = scope.tokens.column(column).filter(|_| typed || !shows) else {
        return Err(refuse::unsupported(
            "a whole row as a result column",
            &target.table_name(),
            "No table has rows of this type any more: return its columns, or use row_to_json().",
        ));
    };
    carried.value(whole_row::is_row(target.table.refname()).into());
    whole_row::keep_name(scope, column, source);
    source.edit(range.clone(), whole_row::current_row(target, range.start));
    Ok(())
}

/// What a list with queries in it may take: which of their names mean a joined table, only the
/// server knows.
fn whole_rows<'a>(
    scope: &Scope<'a>,
    target: &ManagedRef<'a>,
    (write, mut items, rows): (&Write<'a>, Items<'a>, &Returned<'a>),
    source: &mut Source<'a>,
) -> Result<Carried, Refusal> {
    if !items.have_rows() {
        return Err(refuse::unsupported(
            "a subquery in RETURNING of a write that joins what has no row of columns",
            &target.table_name(),
            "Put what it joins into a query: FROM (SELECT … FROM …) AS name.",
        ));
    }
    let clause = scope.statement.get("returning_clause");
    let mut carried = Carried {
        nested: true,
        ..Carried::default()
    };
    let stars = results(clause).any(|column| scope.bound.referent(column) == Referent::All(None));
    items.star = stars && items.merged;
    let all = format!("{}.*, {}", write.alias, carried.all(&items));
    items.unqualify(scope, clause, source);
    // Outside of the queries; within them a name may be another's.
    for column in column_refs(clause, false) {
        let parts = column.column_parts();
        let ([name], Some(range)) = (parts.as_slice(), scope.tokens.column(column)) else {
            continue;
        };
        let known = is_own(scope, target, column);
        let row = scope.bound.row_of(column);
        if *name == "*" {
            source.edit(range, all.clone());
        } else if rows.is_replaced(column) || known {
            continue;
        } else if rows.is_unknown(column) && is_derived(target) {
            written_row(scope, target, (column, rows), &mut carried, source)?;
        } else if rows.is_unknown(column) || row.is_some_and(|id| items.at(id).is_some()) {
            let value = source.withdraw(&range).unwrap_or_else(|| {
                let mut value = Output::default();
                value.client(&Source::new(scope.tokens.text), range.clone());
                value
            });
            let result = carried.value(value);
            whole_row::keep_name(scope, column, source);
            source.edit(range, format!("cf_all.{result}"));
        }
    }
    Ok(carried)
}

/// The results of a RETURNING list that are columns as they are.
pub(in crate::rewrite) fn results(clause: &Tree) -> impl Iterator<Item = &Tree> {
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

    fn relation(&mut self, name: &str) -> &mut ReturningAlias {
        let at = self.relations.iter().position(|known| known.name == name);
        let at = at.unwrap_or_else(|| {
            self.relations.push(ReturningAlias {
                name: name.to_owned(),
                named: quote_ident(name),
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

    /// Carries an item's row; the result's name.
    fn whole(&mut self, item: &Item<'_>) -> String {
        if let Some(result) = self.relation(item.name).whole.clone() {
            return result;
        }
        let result = self.value(item.row().into());
        let relation = self.relation(item.name);
        relation.whole = Some(result.clone());
        relation.named = item.named();
        result
    }

    /// Carries all items; the list of their columns, as `*` has it.
    fn all(&mut self, items: &Items<'_>) -> String {
        let wholes: Vec<String> = items.all.iter().map(|item| self.whole(item)).collect();
        if items.merged {
            self.joined = Some(items.joined(|at| format!("cf_all.{}", wholes[at])));
            return STAR.to_owned();
        }
        let names = items.all.iter();
        list(names.map(|item| format!("{}.*", quote_ident(item.name))))
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
        from += self.joined.as_deref().unwrap_or_default();
        let relations = self.relations.iter();
        for relation in
            relations.filter(|relation| self.joined.is_none() || relation.whole.is_none())
        {
            let columns =
                match &relation.whole {
                    Some(whole) => format!("(cf_all.{whole}).*"),
                    None => {
                        let columns = relation.columns.iter();
                        list(columns.map(|(name, result)| {
                            format!("cf_all.{result} AS {}", quote_ident(name))
                        }))
                    }
                };
            from += &format!(
                " CROSS JOIN LATERAL (SELECT {columns}) AS {}",
                relation.named
            );
        }
        from
    }
}
