//! What one name means where it stands.

use super::BindWalker;
use crate::bind::bound::{Id, ItemKind, Referent, address};
use crate::bind::columns;
use crate::bind::commands::CommandUse;
use crate::bind::level::{BareName, ColumnOf, Level};
use crate::bind::tables::{ELSEWHERE, NamedIn, TableRef, WrittenName};
use crate::text::tree::Tree;

/// What every row of a table has and `*` does not give.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

impl<'t> BindWalker<'t> {
    /// A `ColumnRef`.
    pub(super) fn column(&mut self, node: &'t Tree) {
        if self.rules.is_none() {
            return;
        }
        let Some(left) = self.looks_left.checked_sub(self.levels.len()) else {
            let (column, row) = (None, None);
            self.note(node, Referent::Unknown { column, row });
            return;
        };
        self.looks_left = left;
        let referent = match node.list("fields") {
            [star] if star.is("AStar") => Referent::All(None),
            [name] => self.bare(name.text("sval")),
            [item, last] => {
                let item = self.items_named(item.text("sval")).next();
                self.of_item(item, last)
            }
            // A database may stand before the schema.
            [.., schema, item, last] => {
                let item = self.in_schema(schema.text("sval"), item.text("sval"));
                self.of_item(item, last)
            }
            [] => Referent::Nothing,
        };
        self.note(node, referent);
    }

    fn note(&mut self, node: &'t Tree, referent: Referent<'t>) {
        self.bound.referents.insert(address(node), referent);
    }

    fn seen_levels(&self) -> impl Iterator<Item = &Level<'t>> {
        self.levels.iter().rev().filter(|level| !level.is_hidden)
    }

    /// What a name before a dot means, innermost first.
    pub(super) fn items_named(&self, name: &str) -> impl Iterator<Item = Id> {
        self.seen_levels()
            .flat_map(move |level| level.items_named(name))
    }

    fn in_schema(&self, schema: &str, name: &str) -> Option<Id> {
        let is = |id: &Id| {
            let item = self.bound.item(*id);
            let ItemKind::Table(managed) = item.kind else {
                return false;
            };
            let own = item.node.name("schemaname");
            let own = own.or_else(|| managed.map(|managed| managed.table.schema.as_str()));
            !item.has_alias() && own.is_none_or(|own| own == schema)
        };
        self.items_named(name).find(is)
    }

    /// A name behind an item's.
    fn of_item(&self, item: Option<Id>, last: &'t Tree) -> Referent<'t> {
        let Some(id) = item else {
            return Referent::Nothing;
        };
        if last.is("AStar") {
            return Referent::All(Some(id));
        }
        let name = last.text("sval");
        let item = self.bound.item(id);
        match item.columns.has(name) {
            Some(true) => Referent::Column(id, name),
            _ if has_system_columns(item.kind) && SYSTEM_COLUMNS.contains(&name) => {
                Referent::System(Some(id), name)
            }
            Some(false) => Referent::OfRow(id, name),
            None => Referent::Column(id, name),
        }
    }

    /// A name without a qualifier: a column of the innermost query that has it, or a row.
    fn bare(&mut self, name: &'t str) -> Referent<'t> {
        let mut open = false;
        let mut merged = None;
        let mut column = None;
        for level in self.seen_levels() {
            match level.find(name) {
                BareName::Column(found) => {
                    match &found.of {
                        ColumnOf::Item(id) => column = Some(Referent::Column(*id, found.name)),
                        ColumnOf::Merged(ids) => merged = Some(ids.clone()),
                        ColumnOf::Hidden => {}
                    }
                    break;
                }
                BareName::Unknown => open = true,
                BareName::None => {}
            }
            if SYSTEM_COLUMNS.contains(&name)
                && let Some(found) = self.system(level, name)
            {
                return found;
            }
        }
        if let Some(ids) = merged {
            let of = ids.first().copied();
            self.bound.merges.push(ids);
            column = Some(Referent::Merged(self.bound.merges.len() - 1, name));
            if open {
                return Referent::Unknown {
                    column: of,
                    row: None,
                };
            }
        }
        match column {
            Some(column) if !open => column,
            Some(Referent::Column(id, _)) => Referent::Unknown {
                column: Some(id),
                row: None,
            },
            _ => {
                let row = self.items_named(name).next();
                match row {
                    row if open => Referent::Unknown { column: None, row },
                    Some(id) => Referent::Row(id),
                    None => Referent::Nothing,
                }
            }
        }
    }

    /// A system column of the tables of a query.
    fn system(&self, level: &Level<'t>, name: &'t str) -> Option<Referent<'t>> {
        let tables = level.items().map(|id| (id, self.bound.item(id).kind));
        let mut tables = tables.filter(|(_, kind)| has_system_columns(*kind));
        let (first, _) = tables.next()?;
        let one = tables.next().is_none();
        Some(Referent::System(one.then_some(first), name))
    }

    /// An element of ORDER BY, GROUP BY or DISTINCT ON, where a name may be that of a result column. For
    /// GROUP BY a column of FROM comes first, for the others the result does.
    pub(super) fn element(
        &mut self,
        select: &'t Tree,
        field: &str,
        element: &'t Tree,
        with_depth: u32,
    ) {
        let parts = match element.kind() {
            "GroupingSet" => element.list("content"),
            "RowExpr" if field == "group_clause" => element.list("args"),
            "SortBy" => {
                let expression = element.get("node");
                if self.is_result(select, field, expression) {
                    self.note(expression, Referent::Result);
                    return;
                }
                &[]
            }
            _ if self.is_result(select, field, element) => {
                self.note(element, Referent::Result);
                return;
            }
            _ => &[],
        };
        if parts.is_empty() {
            self.walk(element, ELSEWHERE, None, with_depth);
        }
        for part in parts {
            self.element(select, field, part, with_depth);
        }
    }

    fn is_result(&self, select: &Tree, field: &str, expression: &Tree) -> bool {
        let ("ColumnRef", [name]) = (expression.kind(), expression.list("fields")) else {
            return false;
        };
        let name = name.text("sval");
        if field == "group_clause"
            && let Some(level) = self.levels.last()
            && let BareName::Column(_) = level.find(name)
        {
            return false;
        }
        let mut first = select;
        while first.get("larg").exists() {
            first = first.get("larg");
        }
        let results = first.list("target_list");
        self.rules.is_some()
            && results
                .iter()
                .any(|target| columns::result_name(target) == Some(name))
    }

    /// A row type goes by its table's name.
    pub(super) fn type_name(&mut self, node: &'t Tree) {
        self.names(
            node,
            node.list("names"),
            NamedIn::Command(CommandUse::Typed),
        );
    }

    /// A list of names, or several of them.
    pub(super) fn objects(&mut self, node: &'t Tree, (used, behind): (CommandUse, usize)) {
        let items = node.in_list();
        if items.iter().all(|item| item.is("String")) {
            let parts = &items[..items.len().saturating_sub(behind)];
            self.names(node, parts, NamedIn::Command(used));
        } else {
            for item in items {
                self.objects(item, (used, behind));
            }
        }
    }

    pub(super) fn names(&mut self, node: &'t Tree, parts: &'t [Tree], place: NamedIn) {
        if let Some(name) = WrittenName::of_parts(parts).filter(|_| self.keeps) {
            self.named(node, name, place);
        }
    }

    pub(super) fn named(&mut self, node: &'t Tree, name: WrittenName<'t>, place: NamedIn) {
        self.bound.tables.push(TableRef {
            node,
            name,
            place,
            filter: None,
            write: None,
            with_query: None,
        });
    }

    /// The target of the write that is being walked.
    pub(super) fn written(&self) -> Option<Id> {
        self.levels.last()?.target.map(|(id, _)| id)
    }
}

fn has_system_columns(kind: ItemKind<'_>) -> bool {
    match kind {
        ItemKind::Table(_) | ItemKind::Excluded | ItemKind::Version => true,
        ItemKind::Query | ItemKind::Function | ItemKind::Join => false,
    }
}
