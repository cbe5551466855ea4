//! The items of a SET list.

use crate::text::tokens::Tokens;

/// `column = value`, or `(column, …) = values`
#[derive(Clone, Copy)]
pub(crate) struct Assignment<'a> {
    pub item: Tokens<'a>,
    /// What stands in the parentheses before `=`.
    several: Option<Tokens<'a>>,
    /// What stands behind `=`.
    value: Tokens<'a>,
}

impl<'a> Assignment<'a> {
    pub(super) fn of(item: &Tokens<'a>) -> Option<Assignment<'a>> {
        // Outside of subscripts.
        let equals = item.symbol("=")?;
        let parenthesised = item.parenthesised(0);
        Some(Assignment {
            item: *item,
            several: parenthesised.map(|(columns, _)| columns),
            value: item.slice(equals + 1..item.tokens.len()),
        })
    }

    /// How many columns it sets.
    pub fn columns(&self) -> usize {
        self.several.map_or(1, |columns| columns.split().len())
    }

    /// Its values. `None` for a query or a row's columns, which have no text of their own.
    pub fn values(&self) -> Option<Vec<Tokens<'a>>> {
        if self.several.is_none() {
            return Some(vec![self.value]);
        }
        let (row, inner) = self.row()?;
        let values = inner.split();
        let query = !row && begins_query(&inner, 0);
        (!query && values.len() == self.columns()).then_some(values)
    }

    /// What stands in the parentheses of `= (SELECT …)`, `= (x, …)` or `= ROW(…)`; of the last, true.
    pub fn row(&self) -> Option<(bool, Tokens<'a>)> {
        let row = self.value.is(0, "row");
        let value = self.value.slice(usize::from(row)..self.value.tokens.len());
        let inner = value.all_parenthesised()?;
        self.several.is_some().then_some((row, inner))
    }

    /// Where its value begins.
    pub fn value_at(&self) -> usize {
        self.value.extent().start
    }

    /// `(a) = (x)` is no row to PostgreSQL, which refuses it: where `x` stands. A query is none with any
    /// number of parentheses around it.
    pub fn unrowed(&self) -> Option<Tokens<'a>> {
        let (row, inner) = self.row()?;
        let query = begins_query(&unwrapped(inner), 0);
        (!row && !query && inner.split().len() == 1).then_some(inner)
    }
}

/// Tokens without the parentheses around all of them.
pub(crate) fn unwrapped(mut tokens: Tokens<'_>) -> Tokens<'_> {
    while let Some(inner) = tokens.all_parenthesised() {
        tokens = inner;
    }
    tokens
}

pub(crate) fn begins_query(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.is_any(at, &["select", "with", "values", "table"])
}
