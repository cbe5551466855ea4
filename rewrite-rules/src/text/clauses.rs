//! Where the clauses of an INSERT, UPDATE, DELETE or MERGE stand in its text: the one place that looks
//! for them.
//!
//! Which clauses there are, the tree says; where each begins and ends, the tokens, of which only those
//! are keywords that act as such where they stand. So no name, label or nested query is taken for a clause:
//!
//! ```text
//! WITH q AS (…) UPDATE t AS set SET a = m.from, b[1] = 2 FROM mails m WHERE m.where = t.id RETURNING a AS where
//! └─ with ────┘ │                   └─assignments──────┘      └joined┘      └─ condition ─┘           └returning┘
//!               └─ body ─────────────────────────────────────────────────────────────────┘
//! ```

mod assignment;
mod insert;
pub(crate) mod merge;
mod names;
mod within;

use std::ops::Range;

use crate::text::tokens::Tokens;
use crate::text::tree::Tree;
pub(crate) use assignment::{Assignment, begins_query, unwrapped};
use insert::Insert;
pub(crate) use merge::Merge;
pub(crate) use within::{explained, prepared, with_query};

/// A statement that writes, taken apart.
pub(crate) struct Clauses<'a> {
    /// The client's own WITH, up to its last token: what is added behind it must not stand in a comment.
    pub with: Option<Range<usize>>,
    /// From the verb to the end of what stands before RETURNING.
    pub body: Range<usize>,
    /// What an UPDATE sets.
    pub assignments: Vec<Assignment<'a>>,
    joined: Option<Tokens<'a>>,
    condition: Option<Tokens<'a>>,
    /// The list behind RETURNING.
    pub returning: Option<Range<usize>>,
    pub insert: Insert<'a>,
    pub merge: Merge<'a>,
}

impl<'a> Clauses<'a> {
    /// `None` where the text is not what the tree is of.
    pub fn of(statement: &'a Tree, tokens: Tokens<'a>) -> Option<Clauses<'a>> {
        let relation = statement.get("relation");
        let name = tokens.reference(relation)?;
        let first = tokens.at(name.start)?;
        // INSERT INTO, DELETE FROM, MERGE INTO
        let words = if statement.is("UpdateStmt") { 1 } else { 2 };
        let verb = first.checked_sub(words)?;
        let mut behind = tokens.first_behind(name.end);
        if relation.get("alias").exists() {
            behind += usize::from(tokens.is(behind, "as")) + 1;
        }
        let returning = match statement.get("returning_clause").exists() {
            true => Some(tokens.word("returning", behind)?),
            false => None,
        };
        let end = returning.unwrap_or(tokens.tokens.len());
        let before = tokens.slice(0..end);
        let mut clauses = Clauses {
            with: (verb > 0).then(|| tokens.slice(0..verb).extent()),
            body: tokens.slice(verb..end).extent(),
            assignments: Vec::new(),
            joined: None,
            condition: None,
            returning: returning.map(|at| tokens.slice(at + 1..tokens.tokens.len()).extent()),
            insert: Insert::default(),
            merge: Merge::default(),
        };
        match statement.kind() {
            "InsertStmt" => clauses.insert = Insert::of(statement, before, behind)?,
            "MergeStmt" => clauses.merge = Merge::of(statement, before, behind)?,
            "UpdateStmt" => {
                let set = before.is(behind, "set").then_some(behind)?;
                let ends = clauses.joined_and_condition((statement, "from_clause"), before, set)?;
                let items = before.slice(set + 1..ends).split();
                clauses.assignments = items.iter().map(Assignment::of).collect::<Option<_>>()?;
            }
            _ => {
                let from = (statement, "using_clause");
                clauses.joined_and_condition(from, before, behind)?;
            }
        }
        Some(clauses)
    }

    /// Takes FROM or USING, and WHERE; gives the index where the first of them begins.
    fn joined_and_condition(
        &mut self,
        (statement, field): (&Tree, &str),
        tokens: Tokens<'a>,
        from: usize,
    ) -> Option<usize> {
        let end = tokens.tokens.len();
        let joins = !statement.list(field).is_empty();
        let word = if field == "from_clause" {
            "from"
        } else {
            "using"
        };
        let joined = match joins {
            true => Some(tokens.word(word, from)?),
            false => None,
        };
        let condition = match statement.get("where_clause").exists() {
            true => Some(tokens.word("where", joined.unwrap_or(from))?),
            false => None,
        };
        self.joined = joined.map(|at| tokens.slice(at + 1..condition.unwrap_or(end)));
        self.condition = condition.map(|at| tokens.slice(at + 1..end));
        Some(joined.or(condition).unwrap_or(end))
    }

    /// The items of UPDATE's FROM or DELETE's USING, without the word.
    pub fn joined(&self) -> Option<Range<usize>> {
        self.joined.map(|tokens| tokens.extent())
    }

    /// What stands behind WHERE.
    pub fn condition(&self) -> Option<Range<usize>> {
        self.condition.map(|tokens| tokens.extent())
    }

    /// Where UPDATE's assignments end.
    pub fn assigned_to(&self) -> Option<usize> {
        Some(self.assignments.last()?.item.extent().end)
    }
}

#[cfg(test)]
mod tests;
