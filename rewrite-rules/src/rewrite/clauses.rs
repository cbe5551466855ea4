//! Where the clauses of an INSERT, UPDATE or DELETE stand in the client's text; those of a MERGE are
//! found by `merge::clauses`.

use std::ops::Range;

use super::returning::{self, Carried};
use super::unqualify::unqualify;
use super::whole_row::{self, Returned};
use super::{ManagedRef, Scope, read};
use crate::bind::{Id, Kind, column_refs};
use crate::lens::{TableName, quote_ident};
use crate::refuse;
use crate::splice::Source;
use crate::statement::Refusal;
use crate::tokens::Tokens;
use crate::tree::Tree;

/// A write, taken apart.
pub(super) struct Write<'a> {
    pub statement: &'a Tree,
    tokens: Tokens<'a>,
    /// The target's alias or name, quoted.
    pub alias: String,
    /// The target's alias or name, plain.
    pub refname: &'a str,
    /// The client's own WITH clause.
    pub with: Option<Range<usize>>,
    /// From the verb to the end of what stands before RETURNING.
    pub body: Range<usize>,
    /// The list after RETURNING.
    pub returning: Option<Range<usize>>,
    /// Indexes into `tokens`: the first token after the target's name.
    after_relation: usize,
    end: usize,
}

impl<'a> Write<'a> {
    pub fn of(scope: &Scope<'a>, target: &ManagedRef<'a>) -> Result<Write<'a>, Refusal> {
        let tokens = scope.tokens;
        let relation = read::reference_range(scope, target)?;
        let first = tokens
            .tokens
            .partition_point(|token| token.start < relation.start);
        let verb_back = if scope.statement.is("UpdateStmt") {
            1
        } else {
            2
        };
        let extent = tokens.extent();
        let verb = first
            .checked_sub(verb_back)
            .map(|index| tokens.tokens[index].start)
            .ok_or_else(|| unreadable(target))?;
        // Up to its last token: what we add must not end up in a comment behind it.
        let with_end = tokens.tokens[..tokens.at(verb).unwrap_or(0)]
            .last()
            .map(|token| token.end);
        let after_relation = tokens
            .tokens
            .partition_point(|token| token.start < relation.end);
        let returning_word = tokens.word("returning", after_relation);
        let end = returning_word.unwrap_or(tokens.tokens.len());
        let body_end = tokens.tokens[end - 1].end;
        let returning = returning_word.map(|index| {
            let list = tokens.slice(index + 1..tokens.tokens.len());
            list.extent()
        });
        let refname = target.table.refname();
        Ok(Write {
            statement: scope.statement,
            tokens,
            alias: quote_ident(refname),
            refname,
            with: with_end.map(|end| extent.start..end),
            body: verb..body_end,
            returning,
            after_relation,
            end,
        })
    }

    fn clause(&self, from: usize, to: Option<usize>) -> Option<Tokens<'a>> {
        let to = to.unwrap_or(self.end);
        (from < to).then(|| self.tokens.slice(from..to))
    }

    /// The written table as an item of FROM. An alias would hide it from `schema.table.column`.
    pub fn item(&self, table: &TableName) -> String {
        if self.refname == table.name {
            table.sql()
        } else {
            format!("{table} AS {}", self.alias)
        }
    }

    /// All between the target's name and RETURNING.
    pub fn behind_target(&self) -> Tokens<'a> {
        self.tokens.slice(self.after_relation..self.end)
    }

    /// UPDATE's assignments, without SET.
    pub fn assignments(&self) -> Option<Tokens<'a>> {
        let set = self.tokens.word("set", self.after_relation)?;
        let end = self.tokens.word_from(set).or_else(|| self.where_word(set));
        self.clause(set + 1, end)
    }

    /// The items of UPDATE's FROM or DELETE's USING, without the word.
    pub fn joined(&self) -> Option<Range<usize>> {
        let word = if self.statement.is("UpdateStmt") {
            let set = self.tokens.word("set", self.after_relation)?;
            self.tokens.word_from(set)
        } else {
            self.tokens.word("using", self.after_relation)
        }?;
        self.clause(word + 1, self.where_word(word))
            .map(|tokens| tokens.extent())
    }

    /// The condition after WHERE.
    pub fn condition(&self) -> Option<Range<usize>> {
        let word = self.where_word(self.after_relation)?;
        self.clause(word + 1, None).map(|tokens| tokens.extent())
    }

    fn where_word(&self, from: usize) -> Option<usize> {
        self.tokens
            .word("where", from)
            .filter(|&index| index < self.end)
    }

    /// INSERT's source and its ON CONFLICT clause. The column list stands before them.
    pub fn insert_parts(&self) -> (Option<Tokens<'a>>, Option<Tokens<'a>>) {
        let tokens = self.tokens;
        let is = |index: usize, word: &str| {
            tokens
                .tokens
                .get(index)
                .is_some_and(|token| tokens.is_word(token, word))
        };
        let mut at = self.after_relation;
        if is(at, "as") {
            at += 2;
        }
        if !self.statement.list("cols").is_empty()
            && let Some((_, close)) = tokens.parenthesised(at)
        {
            at = close + 1;
        }
        if is(at, "overriding") {
            at += 3;
        }
        let mut conflict = tokens.word("on", at);
        while let Some(index) = conflict
            && !is(index + 1, "conflict")
        {
            conflict = tokens.word("on", index + 1);
        }
        let conflict = conflict.filter(|&index| index < self.end);
        (
            self.clause(at, conflict),
            conflict.and_then(|index| self.clause(index, None)),
        )
    }

    pub fn is_current_of(&self) -> bool {
        self.statement.get("where_clause").is("CurrentOfExpr")
    }

    /// Checks RETURNING, which will be evaluated over row images instead of the table; gives what
    /// it takes of joined tables.
    pub fn check_returning(
        &self,
        scope: &Scope<'a>,
        target: &ManagedRef<'a>,
        source: &mut Source<'a>,
    ) -> Result<Carried, Refusal> {
        let clause = self.statement.get("returning_clause");
        if !clause.exists() {
            return Ok(Carried::default());
        }
        let rows = self.check_list(scope, target, source)?;
        if self.joined().is_some() {
            returning::carried(scope, target, (self, &rows), source)
        } else if clause.find("SubLink").is_none() {
            returning::carried_names(scope, target, &rows, source)
        } else {
            Ok(Carried::default())
        }
    }

    /// Refuses what no RETURNING list over row images can have, and gives whole rows their type.
    pub fn check_list(
        &self,
        scope: &Scope<'a>,
        target: &ManagedRef<'a>,
        source: &mut Source<'a>,
    ) -> Result<Returned<'a>, Refusal> {
        let clause = self.statement.get("returning_clause");
        let table = target.table_name();
        let refuse = |what: &str, hint: &str| Err(refuse::unsupported(what, &table, hint));
        if !clause.list("options").is_empty() {
            return refuse(
                "RETURNING WITH (OLD AS …, NEW AS …)",
                "Return the new values only.",
            );
        }
        let system_columns = read::SystemColumns::of(scope.bound, clause);
        if let Some(column) = system_columns.of_table(target) {
            return refuse(
                &format!("the system column {column} in RETURNING"),
                "Return the table's key instead.",
            );
        }
        let rows = whole_row::substitute_returned(scope, target, source)?;
        let is = |id: Id, column: &Tree| Some(id) == target.item && !rows.is_replaced(column);
        unqualify(scope, clause, is, source);
        // From version 18 on these are names for the row as it was and as it is.
        let is_version = |column: &&Tree| {
            let owner = scope.bound.owner(column);
            let kind = owner.map(|id| scope.bound.item(id).kind);
            matches!(kind, Some(Kind::Version))
        };
        if column_refs(clause, true).iter().any(is_version) {
            return refuse("OLD and NEW in RETURNING", "Return the new values only.");
        }
        Ok(rows)
    }
}

fn unreadable(target: &ManagedRef<'_>) -> Refusal {
    refuse::unsupported(
        "this spelling of the statement",
        &target.table_name(),
        "Write it plainly.",
    )
}
