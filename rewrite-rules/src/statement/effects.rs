//! What a text does to its session: to what names mean there, and to prepared statements.

use super::{Answer, SearchPath};

/// What a text does to the session besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionEffects {
    /// What unqualified names may mean otherwise from now on: as far as the text tells.
    pub path: Option<SearchPath>,
    /// What its statements do with prepared statements, in their order.
    pub prepared: Vec<OnPrepared>,
    /// The text is no SQL to this grammar: the effects are a guess by its words.
    pub unparsed: bool,
    /// A statement stands behind one that takes back what its transaction has changed, such as COMMIT.
    pub reverts_within: bool,
}

impl SessionEffects {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.prepared.is_empty()
    }
}

/// What one statement of a text does with a prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnPrepared {
    /// Which of the statements that are sent it is.
    pub statement: usize,
    /// Where it begins in the client's text, in bytes.
    pub at: usize,
    pub does: Does,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// `PREPARE name AS …`
    Prepare {
        name: String,
        /// The whole PREPARE as the client wrote it; `None` when it could not be read.
        text: Option<String>,
        /// How the answer to its execution becomes the client's.
        answer: Answer,
    },
    /// `EXECUTE name (…)`
    Execute { name: String, within: Within },
    /// `None` means all of them.
    Deallocate(Option<String>),
    /// The session's own PREPARE of a statement that a later generation reads otherwise.
    Renew(String),
}

/// What an EXECUTE stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    Nothing,
    Explain,
    CreateTableAs,
}
