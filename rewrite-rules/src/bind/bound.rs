//! What was found of one statement, and the questions that are asked of it.

use std::collections::HashMap;
use std::ptr;
use std::rc::Rc;

use super::columns::ItemColumns;
use super::tables::TableRef;
use crate::namesakes::Namesakes;
use crate::rule_set::Managed;
use crate::text::tree::Tree;

/// An item of a statement, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(super) u32);

/// What a name before a dot can mean.
#[derive(Clone, Debug)]
pub(crate) struct Item<'t> {
    /// By which the statement knows it.
    pub name: &'t str,
    /// The `RangeVar`, `RangeSubselect`, `RangeFunction`, `JoinExpr` … that brings it.
    pub node: &'t Tree,
    pub kind: ItemKind<'t>,
    pub(super) columns: Rc<ItemColumns<'t>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ItemKind<'t> {
    /// A table or a view, which rules may manage.
    Table(Option<Managed<'t>>),
    /// A query of WITH, or one in FROM; VALUES too.
    Query,
    /// A function, XMLTABLE, JSON_TABLE.
    Function,
    /// A join with a name, or the columns that it merges.
    Join,
    /// `excluded`: the row that was to be inserted.
    Excluded,
    /// `old` and `new`: the row of the target as it was and as it is.
    Version,
}

/// What a column reference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Referent<'t> {
    /// A column of an item. That the item has it is certain where its columns are known.
    Column(Id, &'t str),
    /// One column that a join has made of several; [`Bound::merged`] says of which items'.
    Merged(usize, &'t str),
    /// `ctid` and the like; of one of several items where none is named.
    System(Option<Id>, &'t str),
    /// A whole row: `t`.
    Row(Id),
    /// `t.*`: in a list its columns, elsewhere its row. `*`: all columns of the query.
    All(Option<Id>),
    /// `t.f` where `t` has no such column: a function of its row, or an error.
    OfRow(Id, &'t str),
    /// A result column of the query, in its ORDER BY, GROUP BY or DISTINCT ON.
    Result,
    /// A column of an item whose columns are not known, or else these.
    Unknown {
        /// Which is sure to have such a column, further out.
        column: Option<Id>,
        /// Whose row it is if there is no such column.
        row: Option<Id>,
    },
    /// Nothing that the statement has: an error of its.
    Nothing,
}

/// The meanings of one statement's names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound<'t> {
    pub(super) namesakes: Namesakes,
    pub(super) tables: Vec<TableRef<'t>>,
    pub(super) items: Vec<Item<'t>>,
    /// Items by the nodes that name them.
    pub(super) by_node: HashMap<usize, Id>,
    pub(super) referents: HashMap<usize, Referent<'t>>,
    pub(super) merges: Vec<Vec<Id>>,
    /// The columns of joins that have a name, and which those are of what they join.
    pub(super) joined: HashMap<(Id, &'t str), (Vec<Id>, &'t str)>,
}

impl<'t> Bound<'t> {
    /// The name of a function that can only be PostgreSQL's.
    pub fn in_catalog<'n>(&self, names: &'n [Tree]) -> Option<&'n str> {
        self.namesakes.in_catalog(names)
    }

    /// All references to tables; names that mean a WITH query are left out.
    pub fn tables(&self) -> &[TableRef<'t>] {
        &self.tables
    }

    pub fn into_tables(self) -> Vec<TableRef<'t>> {
        self.tables
    }

    pub fn item(&self, id: Id) -> &Item<'t> {
        &self.items[id.0 as usize]
    }

    /// The item that a node brings, or names behind FOR UPDATE OF.
    pub fn item_of(&self, node: &Tree) -> Option<Id> {
        self.by_node.get(&address(node)).copied()
    }

    /// What a `ColumnRef` means; of any other node nothing.
    pub fn referent(&self, node: &Tree) -> Referent<'t> {
        let found = self.referents.get(&address(node));
        found.copied().unwrap_or(Referent::Nothing)
    }

    /// The items that are known to have a merged column. Where others may have it too, not all.
    pub fn merged(&self, at: usize) -> &[Id] {
        &self.merges[at]
    }

    /// Whether an item has a column of that name; `None` where its columns are not known.
    pub fn has_column(&self, id: Id, name: &str) -> Option<bool> {
        self.item(id).columns.has(name)
    }

    /// Whether an item may have columns that are not known.
    pub fn is_open(&self, id: Id) -> bool {
        self.item(id).columns.open
    }

    /// The names of an item's columns, as far as they are known.
    pub fn names_of(&self, id: Id) -> &[&'t str] {
        &self.item(id).columns.names
    }

    /// Which item a reference is of, whether by its column, its row or more.
    pub fn owner(&self, node: &Tree) -> Option<Id> {
        match self.referent(node) {
            Referent::Column(id, _) | Referent::OfRow(id, _) | Referent::Row(id) => Some(id),
            Referent::System(id, _) | Referent::All(id) => id,
            Referent::Merged(..) | Referent::Result => None,
            Referent::Unknown { .. } | Referent::Nothing => None,
        }
    }

    /// The name of an item's column that a node means, be it through a join's name or merged with another's.
    pub fn column_of(&self, node: &Tree, id: Id) -> Option<&'t str> {
        if let Referent::Column(of, name) = self.referent(node) {
            return self.through(of, name, id);
        }
        if let Referent::Merged(at, name) = self.referent(node) {
            let mut items = self.merged(at).iter();
            return items.find_map(|of| self.through(*of, name, id));
        }
        None
    }

    /// The same without the names of joins: where the item can be named.
    pub fn own_column(&self, node: &Tree, id: Id) -> Option<&'t str> {
        if let Referent::Column(of, name) = self.referent(node) {
            return (of == id).then_some(name);
        }
        if let Referent::Merged(at, name) = self.referent(node) {
            return self.merged(at).contains(&id).then_some(name);
        }
        None
    }

    /// Whose row a node is, or else a column of what is not known.
    pub fn row_of(&self, node: &Tree) -> Option<Id> {
        if let Referent::Unknown { column: None, row } = self.referent(node) {
            return row;
        }
        if let Referent::Row(id) = self.referent(node) {
            return Some(id);
        }
        None
    }

    /// The same of a column of another item, which may be a join of this one.
    fn through(&self, of: Id, name: &'t str, id: Id) -> Option<&'t str> {
        if of == id {
            return Some(name);
        }
        let (items, own) = self.joined.get(&(of, name))?;
        items.iter().find_map(|of| self.through(*of, own, id))
    }

    /// Whether `f(x)` is `x.f`: a call with one argument, a whole row that has such a column.
    pub fn is_field(&self, call: &Tree) -> bool {
        let ([name], [argument]) = (call.list("funcname"), call.list("args")) else {
            return false;
        };
        let row = if let Referent::All(id) = self.referent(argument) {
            id
        } else {
            self.row_of(argument)
        };
        row.and_then(|id| self.has_column(id, name.text("sval"))) == Some(true)
    }
}

impl Item<'_> {
    /// Its own alias, which hides the table's name and schema.
    pub fn has_alias(&self) -> bool {
        self.node.get("alias").name("aliasname").is_some()
    }
}

/// Nodes are told apart by where they are: the tree stays where it is as long as what is said of it.
pub(super) fn address(node: &Tree) -> usize {
    ptr::from_ref(node).addr()
}
