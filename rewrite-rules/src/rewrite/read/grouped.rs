//! A query that groups by a table's primary key may name the table's other columns, which depend on it. What
//! stands in the table's place has no primary key, so the columns are grouped by as well.
//!
//! ```text
//! SELECT a.id, a.email, count(r.id) FROM iso_agents a LEFT JOIN requests r ON … GROUP BY a.id
//! SELECT a.id, a.email, count(r.id) FROM (SELECT …) a LEFT JOIN requests r ON … GROUP BY a.id, "a"."email"
//! ```
//!
//! Without it ORMs that count related rows (Django groups by the key alone where it manages the table) would
//! get 42803. The groups stay the same, however many columns come: to each key there is one row, or none.
//! Where there are several sets of groups PostgreSQL does not know the dependency either.

use std::collections::{HashMap, HashSet};

use super::{ManagedRef, Scope};
use crate::bind::{Id, Referent, column_refs};
use crate::lens::quote_ident;
use crate::text::splice::Source;
use crate::text::tree::Tree;

/// Types of which PostgreSQL groups no values. Of a column that has one the query fails as before.
const NOT_GROUPED: [&str; 9] = [
    "json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle",
];

/// Adds what depends on the keys that are grouped by, of tables that are read in another place.
pub(super) fn spell_out(scope: &Scope<'_>, read: &[&ManagedRef<'_>], source: &mut Source<'_>) {
    if read.is_empty() {
        return;
    }
    let mut grouping = Vec::new();
    scope.statement.each(&mut |node| {
        if node.is("SelectStmt") && !node.list("group_clause").is_empty() {
            grouping.push(node);
        }
    });
    if grouping.is_empty() {
        return;
    }
    let by_node: HashMap<*const Tree, &ManagedRef<'_>> = read
        .iter()
        .map(|found| (std::ptr::from_ref(found.table.node), *found))
        .collect();
    let named = NamedByQuery::of(scope);
    for select in grouping {
        let groups = select.list("group_clause");
        if groups.iter().any(|group| group.is("GroupingSet")) {
            continue;
        }
        let mut tables = Vec::new();
        for item in select.list("from_clause") {
            joined(item, &by_node, &mut tables);
        }
        for found in tables {
            add(scope, found, (groups, &named), source);
        }
    }
}

/// The tables that a FROM item joins; those of its queries are these queries' own.
fn joined<'r, 'a>(
    item: &Tree,
    by_node: &HashMap<*const Tree, &'r ManagedRef<'a>>,
    tables: &mut Vec<&'r ManagedRef<'a>>,
) {
    if item.is("JoinExpr") {
        joined(item.get("larg"), by_node, tables);
        joined(item.get("rarg"), by_node, tables);
    }
    tables.extend(by_node.get(&std::ptr::from_ref(item)).copied());
}

fn add(
    scope: &Scope<'_>,
    found: &ManagedRef<'_>,
    (groups, named): (&[Tree], &NamedByQuery<'_>),
    source: &mut Source<'_>,
) {
    let lens = found.managed.lens;
    let refname = found.table.refname();
    let (Some(item), false) = (found.item, lens.is_one_table()) else {
        return;
    };
    // `AS x (a, b)` calls the first columns otherwise.
    let renamed = found.table.node.get("alias").list("colnames");
    let called: Vec<&str> = lens
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            renamed
                .get(at)
                .map_or(&*column.name, |name| name.text("sval"))
        })
        .collect();
    let mut grouped = HashMap::new();
    for group in groups {
        if let Some(column) = scope.bound.own_column(group, item) {
            grouped.insert(column, group);
        }
    }
    let mut keys = lens.key.iter().map(|&at| called[at]);
    if !keys.clone().all(|key| grouped.contains_key(key)) {
        return;
    }
    let Some(key) = keys.next_back().and_then(|key| grouped.get(key)) else {
        return;
    };
    let Some(range) = scope.tokens.column(key) else {
        return;
    };
    let depend = lens.columns.iter().zip(&called).filter(|(column, name)| {
        !grouped.contains_key(**name)
            && named.has(item, name)
            && !NOT_GROUPED.contains(&column.sql_type.as_str())
    });
    let mut more: String = depend
        .map(|(_, name)| format!(", {}.{}", quote_ident(refname), quote_ident(name)))
        .collect();
    if named.rows.contains(&item) {
        // The row as a whole is another expression than its columns; its bare name may be another table's column.
        more += &format!(", {}.*", quote_ident(refname));
    }
    if !more.is_empty() {
        source.edit(range.end..range.end, more);
    }
}

/// The columns that a statement names. Collected once for the statement: a column too many costs a little and
/// changes no group.
#[derive(Default)]
struct NamedByQuery<'t> {
    columns: HashSet<(Id, &'t str)>,
    /// `*`, of whichever query.
    all: bool,
    /// All columns of these.
    all_of: HashSet<Id>,
    /// Their rows too, which are no lists of columns.
    rows: HashSet<Id>,
}

impl<'t> NamedByQuery<'t> {
    fn of(scope: &Scope<'t>) -> NamedByQuery<'t> {
        let mut named = NamedByQuery::default();
        let mut results = HashSet::new();
        scope.statement.each(&mut |node| {
            if node.is("ResTarget") {
                results.insert(std::ptr::from_ref(node.get("val")));
            }
        });
        for column in column_refs(scope.statement, true) {
            named.add(scope, column, results.contains(&std::ptr::from_ref(column)));
        }
        named
    }

    fn add(&mut self, scope: &Scope<'t>, column: &'t Tree, is_result: bool) {
        let name = column
            .list("fields")
            .last()
            .map_or("", |name| name.text("sval"));
        match scope.bound.referent(column) {
            Referent::Column(id, name) => _ = self.columns.insert((id, name)),
            Referent::Merged(at, name) => {
                let items = scope.bound.merged(at).iter();
                self.columns.extend(items.map(|id| (*id, name)));
            }
            Referent::All(None) => self.all = true,
            Referent::All(Some(id)) if is_result => _ = self.all_of.insert(id),
            Referent::All(Some(id)) | Referent::Row(id) | Referent::OfRow(id, _) => {
                self.all_of.insert(id);
                self.rows.insert(id);
            }
            Referent::Unknown { column, row } => {
                self.columns.extend(column.map(|id| (id, name)));
                self.all_of.extend(row);
                self.rows.extend(row);
            }
            Referent::System(..) | Referent::Result | Referent::Nothing => {}
        }
    }

    fn has(&self, item: Id, column: &str) -> bool {
        self.all || self.all_of.contains(&item) || self.columns.contains(&(item, column))
    }
}
