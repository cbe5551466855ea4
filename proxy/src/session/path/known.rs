//! What a session knows of how its texts are read, and whether the server has to be asked.

use rewrite_rules::{Meaning, SearchPath};

use crate::session::pin::SessionRules;

/// How the client's bytes spell characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Encoding {
    /// UTF-8, or SQL_ASCII on a server of UTF-8: the server reads the same bytes that the rules do.
    Bytes,
    /// The server converts: only ASCII means the same to both.
    Converted,
}

#[derive(Debug)]
pub(in crate::session) struct Path {
    pub means: SearchPath,
    /// It may have changed since the server was asked.
    pub(in crate::session) to_be_asked: bool,
    /// The server has been asked once: from then on it is looked at what each text may do. Until then a
    /// session pays for no such look.
    pub(in crate::session) follows: bool,
    /// Something in the transaction that is open may have changed it, or may have and was not looked at.
    pub(in crate::session) touched: bool,
    /// A transaction block is open for certain, so that neither Sync nor Query ends a transaction.
    pub(in crate::session) in_block: bool,
    /// The generation whose managed names the server was asked for.
    pub(in crate::session) names_since: u64,
    pub(in crate::session) asking: Asking,
    /// The text of the frame at hand was just found to spell nothing that has to be read, so that
    /// whoever judges it need not look once more.
    pub found_foreign: bool,
    /// What was judged last was such a text.
    pub judged_foreign: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Asking {
    No,
    Under {
        /// How long the answer holds.
        holds: Holds,
        answer: Option<Meaning>,
    },
    /// The frame that waits is to be taken, whatever was answered.
    Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Holds {
    /// No transaction block is open that could bring back what was before.
    UntilTouched,
    /// Up to the end of this transaction, or of a part of it.
    InTransaction,
}

impl Path {
    pub fn new(generation: &impl SessionRules, unasked: SearchPath) -> Path {
        let asks = generation.path_question().is_some();
        Path {
            means: if asks { SearchPath::Unknown } else { unasked },
            to_be_asked: asks,
            follows: false,
            touched: asks,
            in_block: false,
            names_since: generation.names_since(),
            asking: Asking::No,
            found_foreign: false,
            judged_foreign: false,
        }
    }

    /// Whether the end of the transaction that is open, or of a part of it, may change what names mean.
    pub fn is_touched(&self) -> bool {
        self.touched
    }
}
