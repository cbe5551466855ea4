//! The items of FROM, and the names that tables have.

use std::rc::Rc;

use super::{BindWalker, WithQuery};
use crate::bind::bound::{Id, Item, ItemKind, address};
use crate::bind::columns::{self, ItemColumns};
use crate::bind::commands::CommandUse;
use crate::bind::level::{Level, Mark};
use crate::bind::tables::{ELSEWHERE, NamedIn, TableRef, WrittenName};
use crate::rule_set::Managed;
use crate::text::tree::Tree;

impl<'t> BindWalker<'t> {
    /// Walks an item of FROM and has the query see it.
    pub(super) fn item(
        &mut self,
        node: &'t Tree,
        place: NamedIn,
        filter: Option<&'t Tree>,
        with_depth: u32,
    ) {
        self.hide(true);
        self.item_beside(node, place, filter, with_depth);
        self.hide(false);
    }

    /// The same where what stands before it is seen by LATERAL alone.
    fn item_beside(
        &mut self,
        node: &'t Tree,
        place: NamedIn,
        filter: Option<&'t Tree>,
        with_depth: u32,
    ) {
        let alias = node.get("alias");
        let (name, aliases) = (alias.name("aliasname"), alias.list("colnames"));
        match node.kind() {
            "RangeVar" => {
                self.range_var(node, place, filter);
                if let Some(id) = self.with_query_or_table(node) {
                    self.show(id);
                }
            }
            "RangeTableSample" => {
                for (field, child) in node.children() {
                    if field == "relation" {
                        self.item_beside(child, NamedIn::Sampled, None, with_depth);
                    } else {
                        self.hide(false);
                        self.walk(child, NamedIn::Sampled, None, with_depth);
                        self.hide(true);
                    }
                }
            }
            "JoinExpr" => self.join(node, place, filter, with_depth),
            "RangeSubselect" => {
                self.hide(!node.flag("lateral"));
                let results = self.query(node.get("subquery"), with_depth);
                self.hide(true);
                let columns = columns::shared(&results, aliases);
                let id = self.add(name.unwrap_or_default(), node, ItemKind::Query, columns);
                self.show(id);
            }
            // In a function whatever stands before it is seen.
            _ => {
                self.hide(false);
                self.fields(node, with_depth);
                self.hide(true);
                if self.rules.is_some() {
                    let columns =
                        ItemColumns::of_function(node, &self.bound.namesakes).renamed(aliases);
                    let name = name.or_else(|| called(node)).unwrap_or_default();
                    let id = self.add(name, node, ItemKind::Function, Rc::new(columns));
                    self.show(id);
                }
            }
        }
    }

    fn join(&mut self, node: &'t Tree, place: NamedIn, filter: Option<&'t Tree>, with_depth: u32) {
        let start = self.mark();
        self.item_beside(node.get("larg"), place, filter, with_depth);
        let middle = self.mark();
        self.item_beside(node.get("rarg"), place, filter, with_depth);
        let end = self.mark();
        // The condition sees what it joins.
        self.see(Some((start, end)));
        self.hide(false);
        for (field, child) in node.children() {
            if !matches!(field, "larg" | "rarg" | "using_clause") {
                self.walk(child, ELSEWHERE, None, with_depth);
            }
        }
        self.hide(true);
        self.see(None);
        if self.rules.is_none() {
            return;
        }
        let merged = self.merge(node, (start, middle));
        if let Some(alias) = node.get("alias").name("aliasname") {
            let inner = self.columns_since(start);
            let columns = inner.clone().renamed(node.get("alias").list("colnames"));
            let outer = columns.names.clone();
            let id = self.add(alias, node, ItemKind::Join, Rc::new(columns));
            let level = self.levels.last();
            let items = level.map_or_else(Vec::new, |level| level.items_since(start));
            // Where it gives names by place, the place must be known.
            if inner.names.len() == outer.len() {
                let columns = outer.into_iter().zip(items.into_iter().zip(inner.names));
                let columns = columns.map(|(name, column)| ((id, name), column));
                self.bound.joined.extend(columns);
            }
            self.truncate(start);
            self.show(id);
        }
        let alias = node.get("join_using_alias");
        if let Some(name) = alias.name("aliasname") {
            let id = self.add(
                name,
                node,
                ItemKind::Join,
                Rc::new(ItemColumns::all(merged)),
            );
            if let Some(level) = self.levels.last_mut() {
                level.name(name, id);
            }
        }
    }

    /// Makes one column of two by USING or NATURAL; their names.
    fn merge(&mut self, node: &'t Tree, sides: (Mark, Mark)) -> Vec<&'t str> {
        let Some(level) = self.levels.last_mut() else {
            return Vec::new();
        };
        let names: Vec<&str> = if node.flag("is_natural") {
            level.common(sides)
        } else {
            let using = node.list("using_clause").iter();
            using.map(|name| name.text("sval")).collect()
        };
        for name in &names {
            level.merge(name, sides);
        }
        names
    }

    pub(super) fn columns_since(&self, mark: Mark) -> ItemColumns<'t> {
        let level = self.levels.last();
        level.map_or(ItemColumns::unknown(), |level| level.since(mark))
    }

    pub(super) fn range_var(&mut self, node: &'t Tree, place: NamedIn, filter: Option<&'t Tree>) {
        if place == NamedIn::Locked {
            let locked = self.items_named(node.text("relname")).next();
            self.bound
                .by_node
                .extend(locked.map(|id| (address(node), id)));
        }
        let reads = matches!(place, NamedIn::Read | NamedIn::Sampled);
        if reads && self.with_query(node).is_some() {
            return;
        }
        let place = match place {
            NamedIn::Command(CommandUse::Made) if node.text("relpersistence") == "t" => {
                NamedIn::Command(CommandUse::Taken)
            }
            place => place,
        };
        self.bound.tables.push(TableRef {
            node,
            name: WrittenName::of_range_var(node),
            place,
            filter,
            write: None,
            with_query: None,
        });
    }

    /// The WITH query that a name means.
    fn with_query(&self, node: &Tree) -> Option<&WithQuery<'t>> {
        if node.name("schemaname").is_some() {
            return None;
        }
        let mut queries = self.queries.iter().rev();
        queries.find(|query| query.node.text("ctename") == node.text("relname"))
    }

    fn with_query_or_table(&mut self, node: &'t Tree) -> Option<Id> {
        self.rules?;
        let alias = node.get("alias");
        let name = alias.name("aliasname");
        match self.with_query(node) {
            Some(query) => {
                let columns = query.columns.as_ref().map(Rc::clone);
                let columns = columns.unwrap_or_else(|| Rc::new(ItemColumns::unknown()));
                let columns = columns::shared(&columns, alias.list("colnames"));
                let name = name.unwrap_or_else(|| node.text("relname"));
                Some(self.add(name, node, ItemKind::Query, columns))
            }
            None => self.table(node),
        }
    }

    /// A table as an item; `None` where nobody asks.
    pub(super) fn table(&mut self, node: &'t Tree) -> Option<Id> {
        self.rules?;
        let alias = node.get("alias");
        let managed = self.managed(node);
        let columns = managed.map_or_else(ItemColumns::unknown, ItemColumns::of_managed);
        let columns = columns.renamed(alias.list("colnames"));
        let name = alias
            .name("aliasname")
            .unwrap_or_else(|| node.text("relname"));
        Some(self.add(name, node, ItemKind::Table(managed), Rc::new(columns)))
    }

    /// The rules' table that a name means, where that is known.
    fn managed(&self, node: &Tree) -> Option<Managed<'t>> {
        let (set, path) = self.rules?;
        let schema = node.name("schemaname");
        let mut all = set.all_managed(schema, node.text("relname")).into_iter();
        all.find(|managed| schema.is_some() || set.finds(path, managed.table) == Some(true))
    }

    pub(super) fn add(
        &mut self,
        name: &'t str,
        node: &'t Tree,
        kind: ItemKind<'t>,
        columns: Rc<ItemColumns<'t>>,
    ) -> Id {
        let id = Id(u32::try_from(self.bound.items.len()).unwrap_or(u32::MAX));
        self.bound.items.push(Item {
            name,
            node,
            kind,
            columns,
        });
        match kind {
            ItemKind::Table(_) | ItemKind::Query | ItemKind::Function | ItemKind::Join => {
                self.bound.by_node.insert(address(node), id);
            }
            // Their nodes are clauses, which name the table too.
            ItemKind::Excluded | ItemKind::Version => {}
        }
        id
    }

    /// Has the query see an item and its columns.
    pub(super) fn show(&mut self, id: Id) {
        let item = self.bound.item(id);
        let (name, columns) = (item.name, Rc::clone(&item.columns));
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        level.name(name, id);
        match self.columns_left.checked_sub(columns.names.len()) {
            Some(left) => {
                self.columns_left = left;
                level.give(id, &columns);
            }
            None => level.give(id, &ItemColumns::unknown()),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.levels.last().map(Level::mark).unwrap_or_default()
    }

    pub(super) fn truncate(&mut self, to: Mark) {
        if let Some(level) = self.levels.last_mut() {
            level.truncate(to);
        }
    }

    fn see(&mut self, part: Option<(Mark, Mark)>) {
        if let Some(level) = self.levels.last_mut() {
            level.see(part);
        }
    }

    fn hide(&mut self, hidden: bool) {
        if let Some(level) = self.levels.last_mut() {
            level.is_hidden = hidden;
        }
    }
}

/// A function in FROM goes by its own name.
fn called(node: &Tree) -> Option<&str> {
    match node.kind() {
        "RangeTableFunc" => Some("xmltable"),
        "JsonTable" => Some("json_table"),
        _ => {
            let name = node.find("FuncCall")?.list("funcname").last()?;
            Some(name.text("sval"))
        }
    }
}
