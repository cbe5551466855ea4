//! What unqualified names of managed tables mean to the session: asked of the server wherever it
//! may have changed, at the next moment at which nothing is outstanding.
//!
//! ```text
//! server → ReadyForQuery                kept back
//!          Parse, Bind, Execute, Sync → server    (under a name of our own: the unnamed statement
//! server → a letter for each table                 and portal are the client's)
//! server → ReadyForQuery             → client
//! ```
//!
//! So the defaults of the role and the database count, and what a ROLLBACK, a RESET or a role's
//! rights make of the path. Between such moments, in a pipeline, a change is known as far as the
//! text tells it, and otherwise not at all: then unqualified names are refused.

use rewrite_rules::SearchPath;

use super::expect::{Expect, Read};
use super::judge::is_refused;
use super::{Pin, Reader, Session};
use crate::wire::frontend::{self, BindNames, Execute, Parse, Target};

/// The name of the question's statement and portal.
const NAME: &[u8] = b"cf_path";

#[derive(Debug)]
pub(super) struct Path {
    pub means: SearchPath,
    /// It may have changed since the server was asked.
    pub to_be_asked: bool,
    /// The session has changed it: commands that change it back are worth a look.
    touched: bool,
    /// The generation whose managed names the server was asked for.
    names_since: u64,
    /// What the server has said to the question under way.
    answer: Option<SearchPath>,
    /// To be sent by the shell.
    pub question: Option<Vec<u8>>,
}

impl Path {
    pub fn new(generation: &impl Reader, unasked: SearchPath) -> Path {
        Path {
            means: match generation.path_question() {
                Some(_) => SearchPath::Unknown,
                None => unasked,
            },
            to_be_asked: generation.path_question().is_some(),
            touched: false,
            names_since: generation.names_since(),
            answer: None,
            question: None,
        }
    }
}

impl<P: Pin> Session<P> {
    /// A text that was not read: it names nothing that the rules look for.
    #[inline]
    pub(super) fn path_sees_unread(&mut self, text: &[u8]) {
        if self.path.touched
            && text
                .windows(5)
                .any(|word| word.eq_ignore_ascii_case(b"reset"))
        {
            self.path_touched(SearchPath::Unknown);
        }
    }

    /// A text is about to be run.
    #[inline]
    pub(super) fn path_sees_run(&mut self, read: &Read) {
        if let Some(reading) = read
            && let Some(left) = reading.effects.path
            && !is_refused(read)
        {
            self.path_touched(left);
        }
    }

    /// What runs leaves the path like this, if it succeeds.
    pub(super) fn path_touched(&mut self, left: SearchPath) {
        self.path.touched = true;
        self.path.to_be_asked = true;
        self.names_mean(left);
    }

    /// A generation that manages other names: what these mean was never asked.
    pub(super) fn path_knows_names(&mut self) {
        let since = self.generation.names_since();
        if self.path.names_since != since {
            self.path.names_since = since;
            self.path.to_be_asked = true;
            self.names_mean(SearchPath::Unknown);
        }
    }

    fn names_mean(&mut self, means: SearchPath) {
        if self.path.means != means {
            self.path.means = means;
            self.statements.read_all_again();
        }
    }

    /// The server is ready and nothing outstanding: true when it was asked something, so that the
    /// client has to wait.
    pub(super) fn ask_path(&mut self) -> bool {
        // A failed transaction answers nothing, and whatever comes in it fails.
        if !self.path.to_be_asked || self.status == b'E' {
            return false;
        }
        // The rules may have changed; the next transaction is to know the names of its own.
        let Some(question) = self.generation.path_question() else {
            self.path.to_be_asked = false;
            return false;
        };
        let mut out = Vec::new();
        frontend::write_parse(
            &mut out,
            Parse {
                name: NAME,
                text: question.as_bytes(),
                types: &[0, 0],
            },
        );
        frontend::write_bind(
            &mut out,
            BindNames {
                portal: NAME,
                statement: NAME,
            },
        );
        frontend::write_execute(
            &mut out,
            Execute {
                portal: NAME,
                rows_max: 0,
            },
        );
        frontend::write_close(&mut out, Target::Portal(NAME));
        frontend::write_close(&mut out, Target::Statement(NAME));
        frontend::write_bare(&mut out, frontend::SYNC);
        self.path.names_since = self.generation.names_since();
        self.path.question = Some(out);
        self.path.answer = None;
        self.expects.push_back(Expect::PathQuestion);
        self.holding = true;
        true
    }

    /// The one row of the answer.
    pub(super) fn path_row(&mut self, body: &[u8]) {
        // One column: its count, its length, its letters.
        let letters = body.get(6..).unwrap_or_default();
        self.path.answer = Some(self.generation.path_answered(letters));
    }

    /// The server is ready after the question. Within a transaction a savepoint may bring back
    /// what was: there it is asked each time.
    pub(super) fn path_is_answered(&mut self) {
        let means = self.path.answer.take().unwrap_or(SearchPath::Unknown);
        self.path.to_be_asked = self.status == b'T' && self.path.touched;
        self.names_mean(means);
    }
}
