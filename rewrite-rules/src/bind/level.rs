//! One query's names: the items that can be named in it, and the columns that can be named without them.
//!
//! Items come and go at the end, as FROM is read: a join with a name takes the place of what it joins.

use std::collections::HashMap;
use std::ops::Range;

use super::bound::Id;
use super::columns::ItemColumns;

/// A column that can be named without its item.
#[derive(Clone, Debug)]
pub(super) struct BareColumn<'t> {
    pub name: &'t str,
    pub of: ColumnOf,
}

#[derive(Clone, Debug)]
pub(super) enum ColumnOf {
    Item(Id),
    /// What a join has made one of.
    Merged(Vec<Id>),
    /// The other half of a merged one: it is there under its item's name alone.
    Hidden,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    items: usize,
    columns: usize,
    open: usize,
}

#[derive(Debug, Default)]
pub(super) struct Level<'t> {
    items: Vec<(&'t str, Id)>,
    columns: Vec<BareColumn<'t>>,
    /// Items that may have columns which are not known.
    open: Vec<Id>,
    by_item: HashMap<&'t str, Vec<usize>>,
    by_column: HashMap<&'t str, Vec<usize>>,
    /// What can be seen of it; `None`: all.
    seen: Option<(Mark, Mark)>,
    /// Nothing of it can be seen: a query in FROM is not LATERAL.
    pub is_hidden: bool,
    /// What the query writes, and where what stands behind it begins.
    pub target: Option<(Id, Mark)>,
    /// Its columns stand in another order than `*` has them.
    unordered: bool,
}

/// What a name without a qualifier comes to in one query.
pub(super) enum BareName<'l, 't> {
    /// Of several columns one, since then the text fails.
    Column(&'l BareColumn<'t>),
    /// There may be such a column.
    Unknown,
    None,
}

impl<'t> Level<'t> {
    pub fn mark(&self) -> Mark {
        Mark {
            items: self.items.len(),
            columns: self.columns.len(),
            open: self.open.len(),
        }
    }

    /// Adds an item under its name.
    pub fn name(&mut self, name: &'t str, id: Id) {
        self.by_item.entry(name).or_default().push(self.items.len());
        self.items.push((name, id));
    }

    /// Adds an item's columns.
    pub fn give(&mut self, id: Id, columns: &ItemColumns<'t>) {
        for name in &columns.names {
            self.column(name, ColumnOf::Item(id));
        }
        if columns.open {
            self.open.push(id);
        }
        self.unordered |= !columns.ordered;
    }

    fn column(&mut self, name: &'t str, of: ColumnOf) {
        let at = self.columns.len();
        self.by_column.entry(name).or_default().push(at);
        self.columns.push(BareColumn { name, of });
    }

    /// Takes away what came behind a mark.
    pub fn truncate(&mut self, to: Mark) {
        for (name, _) in self.items.drain(to.items..).rev() {
            self.by_item.get_mut(name).map(Vec::pop);
        }
        for column in self.columns.drain(to.columns..).rev() {
            self.by_column.get_mut(column.name).map(Vec::pop);
        }
        self.open.truncate(to.open);
    }

    /// Runs with a part of it in sight.
    pub fn see(&mut self, part: Option<(Mark, Mark)>) {
        self.seen = part;
    }

    /// Makes one column of two of a name, of what stands on either side of the middle.
    pub fn merge(&mut self, name: &'t str, (start, middle): (Mark, Mark)) {
        self.unordered = true;
        let all = self.by_column.get(name).map_or(&[][..], Vec::as_slice);
        let of_side = |side: Range<usize>| {
            let mut found = all.iter().copied().filter(|at| side.contains(at));
            found.find(|&at| !matches!(self.columns[at].of, ColumnOf::Hidden))
        };
        let left = of_side(start.columns..middle.columns);
        let right = of_side(middle.columns..self.columns.len());
        let mut items = Vec::new();
        for at in [left, right].into_iter().flatten() {
            match &self.columns[at].of {
                ColumnOf::Item(id) => items.push(*id),
                ColumnOf::Merged(ids) => items.extend(ids),
                ColumnOf::Hidden => {}
            }
        }
        let of = ColumnOf::Merged(items);
        match (left, right) {
            (Some(left), right) => {
                self.columns[left].of = of;
                if let Some(right) = right {
                    self.columns[right].of = ColumnOf::Hidden;
                }
            }
            (None, Some(right)) => self.columns[right].of = of,
            // Both sides must have it, though neither's columns are known.
            (None, None) => self.column(name, of),
        }
    }

    /// The names that both sides are known to have.
    pub fn common(&self, (start, middle): (Mark, Mark)) -> Vec<&'t str> {
        let right = &self.columns[middle.columns..];
        let right = right.iter().filter(|c| !matches!(c.of, ColumnOf::Hidden));
        let on_the_left = |name: &&str| {
            let all = self.by_column.get(name).map_or(&[][..], Vec::as_slice);
            all.iter()
                .any(|&at| (start.columns..middle.columns).contains(&at))
        };
        right
            .map(|column| column.name)
            .filter(on_the_left)
            .collect()
    }

    /// The items of a name, the first first.
    pub fn items_named(&self, name: &str) -> impl Iterator<Item = Id> {
        let seen = self.seen(|mark| mark.items, self.items.len());
        let all = self.by_item.get(name).map_or(&[][..], Vec::as_slice);
        let found = all.iter().filter(move |at| seen.contains(at));
        found.map(|&at| self.items[at].1)
    }

    pub fn items(&self) -> impl Iterator<Item = Id> {
        let seen = self.seen(|mark| mark.items, self.items.len());
        self.items[seen].iter().map(|(_, id)| *id)
    }

    pub fn find(&self, name: &str) -> BareName<'_, 't> {
        let seen = self.seen(|mark| mark.columns, self.columns.len());
        let all = self.by_column.get(name).map_or(&[][..], Vec::as_slice);
        let mut found = all.iter().filter(|at| seen.contains(at));
        let shown = found.find(|at| !matches!(self.columns[**at].of, ColumnOf::Hidden));
        if let Some(&at) = shown {
            return BareName::Column(&self.columns[at]);
        }
        if self.is_open() {
            BareName::Unknown
        } else {
            BareName::None
        }
    }

    /// Whether something in it may have columns which are not known.
    pub fn is_open(&self) -> bool {
        !self.seen(|mark| mark.open, self.open.len()).is_empty()
    }

    /// All that can be named without an item, as `*` gives it; from a mark on.
    pub fn since(&self, mark: Mark) -> ItemColumns<'t> {
        let columns = self.columns[mark.columns..].iter();
        let shown = columns.filter(|column| !matches!(column.of, ColumnOf::Hidden));
        let mut all = ItemColumns {
            names: Vec::new(),
            open: self.open.len() > mark.open,
            ordered: !self.unordered,
        };
        all.add(shown.map(|column| column.name));
        all
    }

    /// Whose the same columns are.
    pub fn items_since(&self, mark: Mark) -> Vec<Vec<Id>> {
        let columns = self.columns[mark.columns..].iter();
        let items = columns.filter_map(|column| match &column.of {
            ColumnOf::Item(id) => Some(vec![*id]),
            ColumnOf::Merged(ids) => Some(ids.clone()),
            ColumnOf::Hidden => None,
        });
        items.collect()
    }

    fn seen(&self, of: impl Fn(&Mark) -> usize, all: usize) -> Range<usize> {
        match &self.seen {
            None => 0..all,
            Some((from, to)) => of(from)..of(to).min(all),
        }
    }
}
