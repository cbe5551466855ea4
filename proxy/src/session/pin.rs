//! What a session asks of the rules that are in force, and tells whoever swaps them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rewrite_rules::{Meaning, Reading, SearchPath, Strings, Touch, Try};

use super::origin::Origins;

/// One generation of rules, as far as a session needs it.
pub trait SessionRules: fmt::Debug {
    fn number(&self) -> u64;
    /// Whether the text spells anything that the session must look at.
    fn must_read(&self, text: &[u8]) -> bool;
    /// Whether the text can name a managed table at all.
    fn may_name(&self, text: &[u8]) -> bool;
    /// Whether it spells one as it is, not in escapes.
    fn spells_name(&self, text: &[u8]) -> bool;
    /// What becomes of a text that was sent.
    fn rewrite(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading>;
    /// The same of one that was not, or is read once more: it is counted nowhere.
    fn look(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading>;
    /// Whether there are texts that something else may be tried for.
    fn tries(&self) -> bool;
    /// What is tried in place of a text that may be, under a search path. It is counted nowhere.
    fn trying(&self, tries: Try, text: (&str, SearchPath), strings: Strings) -> Arc<Reading>;
    /// What running a text may do to how later ones are read.
    fn touch(&self, text: &[u8]) -> Touch;
    /// Whether a managed name is spelled otherwise in other encodings.
    fn names_beyond_ascii(&self) -> bool;
    /// The first generation since which the names of managed tables are these.
    fn names_since(&self) -> u64;
    /// The first generation since which what sessions prepare is seen.
    fn watched_since(&self) -> u64;
    /// The query by which the server tells what those names mean to a session, if any is managed.
    fn path_question(&self) -> Option<&str>;
    fn path_answered(&self, letters: &[u8]) -> Option<Meaning>;
    /// Which legacy columns stand for which unified ones in the description of a result.
    fn origins(&self) -> Arc<Origins>;
    /// Whether the session reads this migration as in its next phase.
    fn reads_ahead(&self, migration: &[u8]) -> bool;
}

/// How a text ended that only reads managed tables, or how long its exchange took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    Answered,
    Failed,
    Took(Duration),
}

/// Where a session takes its generation from, and tells others which one it is using.
pub trait Pin: fmt::Debug {
    type Rules: SessionRules;
    /// The newest generation's number; asked once for each Sync and Query.
    fn newest(&self) -> u64;
    /// A transaction begins: pins the newest generation and puts it into `held` if that is older.
    fn begin(&mut self, held: &mut Arc<Self::Rules>);
    /// The transaction is over and nothing is outstanding.
    fn end(&mut self);
    /// The client's first message after everything was answered.
    fn asked(&mut self);
    /// Whether it is known when that was.
    fn is_timed(&self) -> bool;
    /// Nothing is outstanding any more: the time since then, if it is known.
    fn answered(&mut self) -> Option<Duration>;
    /// What came of a text that only reads these migrations.
    fn read_ended(&mut self, migrations: &[String], end: ReadEnd);
    /// Which of the server's processes works for the session, for whoever asks who holds it up.
    fn served_by(&mut self, backend: i32);
}
