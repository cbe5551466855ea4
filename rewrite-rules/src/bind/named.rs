//! The columns that a text names, as far as the rules and the text tell: what a test holds against a server.

use std::collections::BTreeSet;

use super::bound::{Bound, Id, ItemKind, Referent};
use super::column_refs;
use crate::parse::parse;
use crate::rule_set::RuleSet;
use crate::statement::SearchPath;
use crate::text::tree::Tree;

/// What a text names.
#[derive(Debug, Default)]
pub struct NamedColumns {
    /// Table and column.
    pub columns: BTreeSet<(String, String)>,
    /// Some names may mean columns of tables without rules, or nothing at all.
    pub unknown: bool,
}

impl RuleSet {
    /// The columns that a text names; `None` if it is no SQL.
    #[doc(hidden)]
    #[must_use]
    pub fn columns_named(&self, text: &str, path: SearchPath) -> Option<NamedColumns> {
        let (tree, _) = parse(text).ok()?;
        let mut named = NamedColumns::default();
        for raw in tree.list("stmts") {
            let statement = raw.get("stmt");
            let bound = Bound::of(self, path, statement);
            for column in column_refs(statement, true) {
                named.add(&bound, column);
            }
        }
        Some(named)
    }
}

impl NamedColumns {
    fn add(&mut self, bound: &Bound<'_>, column: &Tree) {
        match bound.referent(column) {
            Referent::Column(id, name) => self.column(bound, id, name),
            Referent::Merged(at, name) => {
                for id in bound.merged(at) {
                    self.column(bound, *id, name);
                }
            }
            Referent::All(Some(id)) => self.all(bound, id),
            Referent::OfRow(..) | Referent::Unknown { .. } | Referent::Nothing => {
                self.unknown = true;
            }
            Referent::System(..) | Referent::Row(_) | Referent::All(None) | Referent::Result => {}
        }
    }

    fn all(&mut self, bound: &Bound<'_>, id: Id) {
        let (item, names) = (bound.item(id), bound.names_of(id));
        if let ItemKind::Table(Some(managed)) = item.kind {
            let columns = managed.lens.columns.iter();
            let table = item.node.text("relname");
            let columns = columns.map(|column| (table.to_owned(), column.name.clone()));
            return self.columns.extend(columns);
        }
        // Of two columns of one name that name tells none.
        let mut places = names.iter().enumerate();
        let twice = places.any(|(at, name)| names[..at].contains(name));
        self.unknown |= bound.is_open(id) || twice;
        for name in names {
            self.column(bound, id, name);
        }
    }

    /// Of a query's column nothing: what it is made of is named there.
    fn column(&mut self, bound: &Bound<'_>, id: Id, name: &str) {
        let item = bound.item(id);
        match item.kind {
            ItemKind::Table(managed) => {
                let renamed = item.node.get("alias").list("colnames").iter();
                let mut renamed = renamed.map(|name| name.text("sval"));
                let own = match (renamed.position(|said| said == name), managed) {
                    (None, _) => name,
                    (Some(place), Some(managed)) => &managed.lens.columns[place].name,
                    (Some(_), None) => return self.unknown = true,
                };
                let table = item.node.text("relname");
                self.columns.insert((table.to_owned(), own.to_owned()));
            }
            ItemKind::Join => match bound.joined.get(&(id, name)) {
                None => self.unknown = true,
                Some((items, own)) => {
                    for id in items {
                        self.column(bound, *id, own);
                    }
                }
            },
            ItemKind::Query | ItemKind::Function | ItemKind::Excluded | ItemKind::Version => {}
        }
    }
}
