//! What the server still owes: one entry for each request that was sent to it, in order.
//!
//! Knows which requests are answered by what, never what the answers contain.

use std::sync::Arc;

use rewrite_rules::{Answer, Does, Reading, Verdict};

use super::cache::Number;
use super::report::ShadowCandidate;
use super::statements::Statement;
use super::trial::Tried;
use crate::wire::backend;

/// What the text behind a request was made into; `None` for a text that went on as it came.
pub(super) type ReadAs = Option<Arc<Reading>>;

#[derive(Debug)]
pub(super) enum Expect {
    /// Authentication and parameters, up to the first ReadyForQuery.
    Startup,
    /// ParseComplete. A failed Parse takes its entry in the statement map back.
    Parse {
        undo: Undo,
        read: ReadAs,
        /// The unnamed statement is being prepared under a name of the cache.
        kept: Option<Number>,
    },
    /// Nothing from the server: the client's ParseComplete is made when this is at the head.
    KnownParse {
        undo: Undo,
        read: ReadAs,
        kept: Number,
    },
    /// ParseComplete of a statement prepared anew behind the client's back.
    Renewal {
        name: Box<[u8]>,
        read: ReadAs,
    },
    /// CloseComplete. A Close that the server discards gives the entry back.
    Close {
        undo: Option<Undo>,
    },
    /// CloseComplete of the Close before a renewal.
    RenewalClose,
    /// BindComplete, and what the execution of an own PREPARE is answered.
    RenewalBind,
    RenewalExecute {
        name: Box<[u8]>,
        read: ReadAs,
    },
    /// CloseComplete of a statement that the cache has done with.
    CacheClose(Number),
    /// All answers to the question what names mean: up to ReadyForQuery, or else up to the last
    /// CloseComplete.
    PathQuestion {
        synced: bool,
        closes_left: u8,
    },
    Bind {
        read: ReadAs,
        /// It was sent under the name of a kept statement.
        kept: Option<Number>,
    },
    /// RowDescription or NoData, after ParameterDescription for a statement.
    Describe {
        read: ReadAs,
        kept: Option<Number>,
    },
    Execute(RunningText),
    /// The answers to all messages by which a statement of ours is run, up to CommandComplete.
    Staging(RunningText),
    /// Any answers up to ReadyForQuery.
    Query(RunningText),
    /// All answers to what was sent in place of the client's messages, up to ReadyForQuery.
    Tried(Box<Tried>),
    FunctionCall,
    Sync,
    /// No answer: marks where the client ended a COPY whose start the server has yet to announce.
    CopyEnd,
}

/// A text that runs.
#[derive(Debug)]
pub(super) struct RunningText {
    pub read: ReadAs,
    /// Which statement of the text is running.
    pub statement: u32,
    pub failed: bool,
    /// The unnamed statement that a Query ends, unless the server discards it unread.
    pub unnamed: Option<Undo>,
    /// Prepared statements younger than this are not what the text's DEALLOCATE means.
    pub serial: u64,
    pub shadow: Option<Box<ShadowCandidate>>,
    /// A statement that is kept prepared was bound in place of the text.
    pub kept: Option<Box<KeptQuery>>,
}

/// What an exchange consists of, from the client's first message to the last answer.
#[derive(Debug)]
pub(super) enum OfExchange {
    Nothing,
    One(Arc<Reading>),
    /// Whose time it is, nobody can tell.
    Other,
}

/// What was sent in place of a Query.
#[derive(Debug)]
pub(super) struct KeptQuery {
    pub number: Number,
    /// The server has the statement.
    pub parsed: bool,
    /// Outside of a transaction block: what fails has changed nothing.
    pub at_rest: bool,
    /// The server runs it: what fails from now on would have failed of a Query.
    pub bound: bool,
    /// It writes, and is told what it returns when it has.
    pub writes: bool,
    /// The description of its rows, until there are some or it has come to its end.
    pub description: Vec<u8>,
    /// The CommandComplete, until the statement is committed.
    pub end: Option<Box<[u8]>>,
}

/// How a message of the server's takes part in the answer to the request at the head of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerPart {
    /// Others follow.
    OneOfSeveral,
    /// It ends the answer.
    Last,
    /// It ends the answer to a request that was not the client's.
    LastUnasked,
}

/// How the statement map stood before a request changed it.
#[derive(Debug)]
pub(super) enum Undo {
    /// The unnamed statement; a Parse that fails and a Query leave none, what is discarded leaves it.
    Unnamed(Option<Statement>),
    Named(Box<(Box<[u8]>, Option<Statement>)>),
    /// The text was refused before the map was touched.
    Nothing,
}

impl Expect {
    /// How a log line names the answer that was expected.
    pub fn describe(&self) -> &'static str {
        match self {
            Expect::Startup => "an answer to the startup packet",
            Expect::Parse { .. } | Expect::Renewal { .. } => "ParseComplete",
            // Popped before anything is paired with it.
            Expect::KnownParse { .. } => "nothing",
            Expect::Close { .. } | Expect::RenewalClose | Expect::CacheClose(_) => "CloseComplete",
            Expect::Bind { .. } | Expect::RenewalBind => "BindComplete",
            Expect::RenewalExecute { .. } => "CommandComplete",
            Expect::PathQuestion { .. } => "an answer to the question what names mean",
            Expect::Describe { .. } => "RowDescription or NoData",
            Expect::Execute(_) | Expect::Staging(_) => "an answer to Execute",
            Expect::Query(_) => "an answer to Query",
            Expect::Tried(_) => "an answer to a statement",
            Expect::FunctionCall => "FunctionCallResponse",
            Expect::Sync => "ReadyForQuery",
            Expect::CopyEnd => "nothing",
        }
    }

    /// What a message of this type is to this request; `None`: no part of its answer. Errors, notices and
    /// ReadyForQuery may come at any time, and are not asked about; nor is what answers a question of the
    /// session's own.
    pub fn part_of(&self, tag: u8) -> Option<AnswerPart> {
        use AnswerPart::{Last, LastUnasked, OneOfSeveral};
        let only = |wanted: u8, part: AnswerPart| (tag == wanted).then_some(part);
        match self {
            Expect::Startup => match tag {
                backend::AUTHENTICATION
                | backend::BACKEND_KEY_DATA
                | backend::NEGOTIATE_PROTOCOL_VERSION => Some(OneOfSeveral),
                _ => None,
            },
            // It exists only to fail.
            Expect::Parse { read, .. } if is_refused(read) => None,
            Expect::Parse { .. } => only(backend::PARSE_COMPLETE, Last),
            Expect::Renewal { .. } => only(backend::PARSE_COMPLETE, LastUnasked),
            Expect::Bind { .. } => only(backend::BIND_COMPLETE, Last),
            Expect::RenewalBind => only(backend::BIND_COMPLETE, LastUnasked),
            Expect::RenewalExecute { .. } => only(backend::COMMAND_COMPLETE, LastUnasked),
            Expect::Close { .. } => only(backend::CLOSE_COMPLETE, Last),
            Expect::RenewalClose | Expect::CacheClose(_) => {
                only(backend::CLOSE_COMPLETE, LastUnasked)
            }
            Expect::Describe { .. } => match tag {
                backend::PARAMETER_DESCRIPTION => Some(OneOfSeveral),
                backend::ROW_DESCRIPTION | backend::NO_DATA => Some(Last),
                _ => None,
            },
            Expect::Query(_) => match tag {
                backend::ROW_DESCRIPTION
                | backend::NO_DATA
                | backend::COMMAND_COMPLETE
                | backend::EMPTY_QUERY_RESPONSE
                | backend::PORTAL_SUSPENDED => Some(OneOfSeveral),
                _ => is_of_rows(tag).then_some(OneOfSeveral),
            },
            Expect::Execute(_) => match tag {
                backend::COMMAND_COMPLETE
                | backend::EMPTY_QUERY_RESPONSE
                | backend::PORTAL_SUSPENDED => Some(Last),
                _ => is_of_rows(tag).then_some(OneOfSeveral),
            },
            // What else is answered is dropped unread.
            Expect::Staging(_) => only(backend::COMMAND_COMPLETE, LastUnasked),
            Expect::FunctionCall => only(backend::FUNCTION_CALL_RESPONSE, OneOfSeveral),
            Expect::KnownParse { .. }
            | Expect::PathQuestion { .. }
            // Its answers are looked at one by one.
            | Expect::Tried(_)
            | Expect::Sync
            | Expect::CopyEnd => None,
        }
    }

    /// Whether ReadyForQuery is what ends its answer.
    pub fn ends_with_ready(&self) -> bool {
        match self {
            Expect::Startup
            | Expect::Query(_)
            | Expect::Tried(_)
            | Expect::FunctionCall
            | Expect::Sync
            | Expect::PathQuestion { synced: true, .. } => true,
            Expect::Parse { .. }
            | Expect::KnownParse { .. }
            | Expect::Renewal { .. }
            | Expect::Close { .. }
            | Expect::RenewalClose
            | Expect::RenewalBind
            | Expect::RenewalExecute { .. }
            | Expect::CacheClose(_)
            | Expect::PathQuestion { synced: false, .. }
            | Expect::Bind { .. }
            | Expect::Describe { .. }
            | Expect::Execute(_)
            | Expect::Staging(_)
            | Expect::CopyEnd => false,
        }
    }

    /// Which statement of the text it was at.
    pub fn statement(&self) -> usize {
        let run = match self {
            Expect::Staging(run) => Some(run),
            other => other.running(),
        };
        run.map_or(0, |run| run.statement as usize)
    }

    /// The client's own text that runs.
    pub fn running(&self) -> Option<&RunningText> {
        match self {
            Expect::Execute(run) | Expect::Query(run) => Some(run),
            Expect::Staging(_)
            | Expect::Startup
            | Expect::Parse { .. }
            | Expect::KnownParse { .. }
            | Expect::Renewal { .. }
            | Expect::Close { .. }
            | Expect::RenewalClose
            | Expect::RenewalBind
            | Expect::RenewalExecute { .. }
            | Expect::CacheClose(_)
            | Expect::PathQuestion { .. }
            | Expect::Bind { .. }
            | Expect::Describe { .. }
            | Expect::Tried(_)
            | Expect::FunctionCall
            | Expect::Sync
            | Expect::CopyEnd => None,
        }
    }

    /// The text to blame when this request fails.
    pub fn read(&self) -> Option<&Arc<Reading>> {
        match self {
            Expect::Parse { read, .. }
            | Expect::KnownParse { read, .. }
            | Expect::Renewal { read, .. }
            | Expect::RenewalExecute { read, .. }
            | Expect::Bind { read, .. }
            | Expect::Describe { read, .. } => read.as_ref(),
            Expect::Execute(run) | Expect::Staging(run) | Expect::Query(run) => run.read.as_ref(),
            Expect::Tried(tried) => tried.read.as_ref(),
            Expect::Startup
            | Expect::Close { .. }
            | Expect::RenewalClose
            | Expect::RenewalBind
            | Expect::CacheClose(_)
            | Expect::PathQuestion { .. }
            | Expect::FunctionCall
            | Expect::Sync
            | Expect::CopyEnd => None,
        }
    }
}

/// Rows, and data in either direction.
fn is_of_rows(tag: u8) -> bool {
    matches!(
        tag,
        backend::DATA_ROW
            | backend::COPY_DATA
            | backend::COPY_DONE
            | backend::COPY_IN_RESPONSE
            | backend::COPY_OUT_RESPONSE
            | backend::COPY_BOTH_RESPONSE
    )
}

impl RunningText {
    /// Whether it makes a prepared statement by SQL, one that is not answered as it came.
    pub fn prepares(&self) -> bool {
        self.read.as_ref().is_some_and(|reading| {
            let mut effects = reading.effects.prepared.iter();
            let as_it_came = matches!(reading.verdict, Verdict::PassThrough);
            (!as_it_came || reading.effects.path.is_some())
                && effects.any(|effect| matches!(effect.does, Does::Prepare { .. }))
        })
    }

    /// Its description is held back for its first row.
    pub fn is_described_later(&self) -> bool {
        let kept = self.kept.as_ref();
        kept.is_some_and(|kept| !kept.description.is_empty())
    }

    /// How the answers of the statement that is running become the client's.
    pub fn answer(&self) -> Answer {
        answer(self.read.as_ref(), self.statement as usize)
    }
}

/// How the answers of one statement of a text become the client's.
pub(super) fn answer(read: Option<&Arc<Reading>>, statement: usize) -> Answer {
    match read.map(|reading| &reading.verdict) {
        Some(Verdict::Rewritten(rewritten)) => rewritten
            .answers
            .get(statement)
            .copied()
            .unwrap_or_default(),
        Some(Verdict::PassThrough | Verdict::Refused(_)) | None => Answer::default(),
    }
}

pub(super) fn is_refused(read: &ReadAs) -> bool {
    match read.as_ref().map(|reading| &reading.verdict) {
        Some(Verdict::Refused(_)) => true,
        Some(Verdict::PassThrough | Verdict::Rewritten(_)) | None => false,
    }
}
