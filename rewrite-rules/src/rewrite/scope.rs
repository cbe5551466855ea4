//! What is rewritten, and what comes of it.

use crate::bind::{Bound, Id, TableRef};
use crate::phase::Phase;
use crate::refuse;
use crate::rule_set::{Managed, RuleSet, Side};
use crate::statement::{Answer, Around, Refusal, SearchPath, ShadowPair};
use crate::text::splice::Output;
use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// One statement of a text, and the rules it is read under.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub set: &'a RuleSet,
    pub path: SearchPath,
    pub statement: &'a Tree,
    pub tokens: Tokens<'a>,
    /// What the names of the whole statement mean, of which this one may be a part.
    pub bound: &'a Bound<'a>,
}

impl Scope<'_> {
    /// An error that PostgreSQL would find itself, in its words, at this byte of the client's text.
    pub fn mistake(&self, sqlstate: &'static str, message: String, at: Option<usize>) -> Refusal {
        refuse::mistake(sqlstate, message, at.and_then(|at| self.position(at)))
    }

    pub fn no_such_column(&self, name: &str, at: Option<usize>) -> Refusal {
        self.mistake("42703", format!("column \"{name}\" does not exist"), at)
    }

    /// The 1-based character position of a byte of the client's text.
    pub fn position(&self, byte: usize) -> Option<u32> {
        let before = self.tokens.text.get(..byte)?;
        u32::try_from(before.chars().count() + 1).ok()
    }
}

#[derive(Debug)]
pub(crate) enum Plan {
    /// Nothing to do: the statement stays as the client wrote it.
    Unchanged,
    /// The edits are in the source; with a pair to compare in `shadow_read`.
    Edited { compare: Option<ShadowPair> },
    /// A PREPARE of a statement that is built anew, and the answer to each execution of it.
    Prepared { output: Output, executed: Answer },
    /// New statements built around pieces of the client's, with an answer for each.
    Composed {
        output: Output,
        answers: Vec<Answer>,
    },
    /// The same where one statement becomes several: as they can be sent together, and how one of them
    /// can be prepared, with the others around it.
    Staged {
        output: Output,
        prepared: Output,
        around: Around,
        /// The table that the client named.
        table: String,
        answers: Vec<Answer>,
    },
}

/// A reference to a managed table.
#[derive(Clone)]
pub(crate) struct ManagedRef<'a> {
    pub table: TableRef<'a>,
    pub managed: Managed<'a>,
    /// What its name means elsewhere in the statement; `None` in commands.
    pub item: Option<Id>,
}

impl ManagedRef<'_> {
    /// Whether the rows that it names are read from unified in its phase.
    pub(super) fn reads_unified(&self) -> bool {
        match self.managed.side {
            Side::Legacy if self.is_in_place() => true,
            Side::Legacy => self.managed.migration.phase.reads_unified(),
            Side::Unified => false,
        }
    }

    /// Which side a write to it goes to first; `None` where only the named side is written.
    pub(super) fn leads(&self) -> Option<Side> {
        match (self.managed.side, self.managed.migration.phase) {
            _ if self.is_in_place() => Some(Side::Unified),
            (_, Phase::LegacyOnly) => None,
            (_, Phase::DualWrite | Phase::ShadowRead | Phase::DualRead) => Some(Side::Legacy),
            (_, Phase::UnifiedRead) => Some(Side::Unified),
            (Side::Legacy, Phase::UnifiedOnly | Phase::Retired) => Some(Side::Unified),
            (Side::Unified, Phase::UnifiedOnly | Phase::Retired) => None,
        }
    }

    pub(super) fn table_name(&self) -> String {
        self.managed.table.name.clone()
    }

    /// The key's columns, by the names of the side that is named.
    pub(super) fn keys(&self) -> Vec<&str> {
        let keys = self.managed.lens.key_columns();
        keys.map(|key| match self.managed.side {
            Side::Legacy => key.name.as_str(),
            Side::Unified => key.unified.as_str(),
        })
        .collect()
    }

    /// Both sides are the same row of the same table, which a trigger keeps in step.
    pub(super) fn is_in_place(&self) -> bool {
        self.managed.lens.is_one_table()
    }

    /// Whether a write to it must be brought to the other side, once unified leads.
    pub(super) fn mirrors(&self) -> bool {
        self.managed.migration.phase == Phase::UnifiedRead && !self.is_in_place()
    }
}

/// The words that say which command it is, up to the object's name or an option: `DROP TABLE`, `DO`,
/// `CREATE OR REPLACE FUNCTION`, `COMMENT ON MATERIALIZED VIEW`.
pub(super) fn command_name(scope: &Scope<'_>) -> String {
    let words = scope.tokens.tokens.iter().enumerate();
    let words: Vec<String> = words
        .map(|(at, token)| (at, scope.tokens.str(token).to_ascii_uppercase(), token))
        .take_while(|(at, word, token)| {
            token.keyword && (*at == 0 || NAMING.contains(&word.as_str()))
        })
        .map(|(_, word, _)| word)
        .collect();
    words.join(" ")
}

/// Behind its first word, what a command is called by.
#[rustfmt::skip]
const NAMING: [&str; 67] = [
    "OR", "REPLACE", "TEMP", "TEMPORARY", "GLOBAL", "LOCAL", "UNLOGGED", "UNIQUE", "RECURSIVE",
    "CONSTRAINT", "EVENT", "FOREIGN", "MATERIALIZED", "ACCESS", "METHOD", "DEFAULT", "PRIVILEGES",
    "USER", "MAPPING", "TEXT", "SEARCH", "CONFIGURATION", "DICTIONARY", "PARSER", "TEMPLATE", "TABLE",
    "VIEW", "INDEX", "SEQUENCE", "FUNCTION", "PROCEDURE", "ROUTINE", "AGGREGATE", "TRIGGER", "RULE",
    "POLICY", "PUBLICATION", "SUBSCRIPTION", "STATISTICS", "TYPE", "DOMAIN", "SCHEMA", "EXTENSION",
    "CAST", "OPERATOR", "CLASS", "FAMILY", "COLLATION", "CONVERSION", "LANGUAGE", "TRUSTED",
    "PROCEDURAL", "DATABASE", "ROLE", "GROUP", "SERVER", "DATA", "WRAPPER", "TABLESPACE", "TRANSFORM",
    "LARGE", "OBJECT", "COLUMN", "ON", "LABEL", "OWNED", "SYSTEM",
];
