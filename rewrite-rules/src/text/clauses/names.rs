//! Where names stand, and what is called or joined by one.

use std::ops::Range;

use crate::text::tokens::{Token, Tokens};
use crate::text::tree::Tree;

impl<'a> Tokens<'a> {
    /// The name of a table, or of what else has a schema, with all of its parts.
    pub fn relation(&self, node: &Tree) -> Option<Range<usize>> {
        let parts = ["schemaname", "catalogname"];
        let before = parts.iter().filter(|part| node.name(part).is_some());
        self.dotted(node.location()?, 1 + before.count())
    }

    /// A table reference without its alias: `ONLY`, the name, `*`.
    pub fn reference(&self, node: &Tree) -> Option<Range<usize>> {
        let name = self.relation(node)?;
        let first = self.at(name.start)?;
        let behind = self.tokens.get(self.first_behind(name.end));
        let behind = |symbol: &str| behind.filter(|token| self.is_symbol(token, symbol));
        if node.flag("inh") {
            let end = behind("*").map_or(name.end, |star| star.end);
            return Some(name.start..end);
        }
        // ONLY t, or ONLY (t)
        let only = |back: usize| {
            let at = first.checked_sub(back).filter(|&at| self.is(at, "only"))?;
            Some(self.tokens[at].start)
        };
        match only(1) {
            Some(start) => Some(start..name.end),
            None => Some(only(2)?..behind(")")?.end),
        }
    }

    /// The token before a place, if it is this keyword.
    pub fn word_before(&self, word: &str, place: usize) -> Option<&'a Token> {
        let before = self.first_behind(place).checked_sub(1)?;
        self.is(before, word).then(|| &self.tokens[before])
    }

    /// The condition of a SELECT one of whose tables begins at a place.
    pub fn where_behind(&self, table: usize) -> Option<Range<usize>> {
        let from = self.slice(self.first_behind(table)..self.tokens.len());
        let condition = from.word("where", 0)? + 1;
        let condition = from.slice(condition..from.tokens.len());
        Some(condition.up_to_clause().extent())
    }

    /// A reference to a column, with what qualifies it.
    pub fn column(&self, node: &Tree) -> Option<Range<usize>> {
        self.dotted(node.location()?, node.list("fields").len())
    }

    /// What qualifies a reference to a column.
    pub fn qualifier(&self, column: &Tree) -> Option<Range<usize>> {
        let parts = column.list("fields").len().checked_sub(1)?;
        self.dotted(column.location()?, parts)
    }

    /// An item of a list of results, without a name of its own.
    pub fn result(&self, item: &Tree) -> Option<Range<usize>> {
        let first = self.at(item.location()?)?;
        let from = self.slice(first..self.tokens.len());
        Some(from.up_to_item().extent())
    }

    /// A call of a function with its arguments, and WITH ORDINALITY behind it.
    pub fn call(&self, node: &Tree) -> Option<Range<usize>> {
        let first = self.at(node.location()?)?;
        let close = self.parenthesised(self.behind_name(first)?)?.1;
        let end = close
            + if self.is(close + 2, "ordinality") {
                2
            } else {
                0
            };
        Some(self.slice(first..end + 1).extent())
    }

    /// The index behind a name whose first part is at an index.
    fn behind_name(&self, first: usize) -> Option<usize> {
        let mut at = first + 1;
        while self.is_symbol(self.tokens.get(at)?, ".") {
            at += 2;
        }
        Some(at)
    }

    /// An item of FROM that is a function, with its alias; with LATERAL before it and without.
    pub fn function(&self, item: &Tree) -> Option<(Range<usize>, Range<usize>)> {
        // With the columns that its AS may define.
        let call = item.list("functions").first().map(|f| f.list("items"));
        let named = match item.kind() {
            "RangeTableFunc" | "JsonTable" => item,
            _ => call?.first().filter(|call| call.is("FuncCall"))?,
        };
        let mut first = self.at(named.location()?)?;
        let mut at = self.behind_name(first)?;
        if item.flag("is_rowsfrom") {
            // ROWS FROM (f(…), …)
            at = first.checked_sub(1)?;
            first = first.checked_sub(3).filter(|&at| self.is(at, "rows"))?;
        }
        at = self.parenthesised(at)?.1 + 1;
        if item.flag("ordinality") {
            at += 2;
        }
        let alias = item.get("alias");
        at += usize::from(self.is(at, "as")) + usize::from(alias.name("aliasname").is_some());
        if !(alias.list("colnames").is_empty() && item.list("coldeflist").is_empty()) {
            at = self.parenthesised(at)?.1 + 1;
        }
        let lateral = first.checked_sub(1).filter(|&at| self.is(at, "lateral"));
        let whole = self.slice(lateral.unwrap_or(first)..at).extent();
        Some((whole, self.slice(first..at).extent()))
    }
}
