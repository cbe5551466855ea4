//! What unqualified names of managed tables mean to the session, and how the server reads its texts:
//! asked of the server when a text that may hold such a name is about to be read and the answer may have
//! changed.
//!
//! ```text
//! client → SELECT … FROM iso_agents     not taken yet
//!          Parse, Bind, Execute, Close  → server    (under a name of our own: the unnamed statement
//! server → a letter for each table                   and portal are the client's)
//! client → SELECT … FROM iso_agents     taken
//! ```
//!
//! So the defaults of the role and the database count, and what a ROLLBACK, a RESET or a role's
//! rights make of the path; a session that names no managed table is never asked for. It may have
//! changed after whatever text is not known to leave it (`RuleSet::touch`), after a call by number,
//! and when the server tells of a setting. What is changed for a transaction comes back with its end. The question
//! ends with a Sync where nothing of the client's awaits one, so that no transaction is left open;
//! else with a Flush.
//!
//! ```text
//! the answer came                     and holds until
//! outside a block, nothing awaited    something may change it
//! in a transaction where nothing did  something may change it
//! in a transaction where it did       that, its end, or the end of a part of it (ROLLBACK TO)
//! ```

pub(super) mod known;

use rewrite_rules::{Does, OnPrepared, Reading, SearchPath, Strings, Touch, Verdict};

use super::expect::{Expect, ReadAs, is_refused};
use super::{LoginState, Pin, Session, SessionRules};
use crate::wire::frame::Header;
use crate::wire::frontend::{self, BindNames, DescribeTarget, Execute, MessageError, Parse};
use known::{Asking, Encoding, Holds};

/// Whether what two readings of a text do to the session is the same; a statement that is prepared has
/// other words under another setting, and neither names anything.
fn does_the_same(one: &Reading, other: &Reading) -> bool {
    let (one, other) = (&one.effects, &other.effects);
    let same = |(one, other): (&OnPrepared, &OnPrepared)| match (&one.does, &other.does) {
        (Does::Prepare { name: one, .. }, Does::Prepare { name: other, .. }) => one == other,
        (one, other) => one == other,
    };
    one.path == other.path
        && one.prepared.len() == other.prepared.len()
        && one.prepared.iter().zip(&other.prepared).all(same)
}

/// The name of the question's statement and portal.
const NAME: &[u8] = b"cf_path";

impl<P: Pin> Session<P> {
    /// Whether this frame has to wait for the server to say what names mean. Writes the question
    /// when it was not asked yet.
    #[inline]
    pub(super) fn waits_for_path(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<bool, MessageError> {
        if self.path.names_since != self.generation.names_since() {
            self.path_knows_names();
        }
        if !self.path.to_be_asked {
            return Ok(false);
        }
        match header.tag {
            frontend::QUERY | frontend::PARSE => {}
            // Whoever names no managed table is never asked for, and pays for these looks only.
            frontend::BIND | frontend::DESCRIBE
                if self.path.asking != Asking::No
                    || !self.statements.are_foreign(self.generation.number()) => {}
            _ => return Ok(false),
        }
        self.asks_path(header, body, insert)
    }

    fn asks_path(
        &mut self,
        header: Header,
        body: &[u8],
        insert: &mut Vec<u8>,
    ) -> Result<bool, MessageError> {
        match self.path.asking {
            Asking::No => {}
            Asking::Under { .. } => return Ok(true),
            Asking::Answered => {
                self.path.asking = Asking::No;
                return Ok(false);
            }
        }
        // A failed transaction answers nothing, and whatever comes in it fails.
        let failed = self.status == b'E' && self.expects.is_empty();
        if failed {
            // But a text may end it, and go on.
            self.names_mean(SearchPath::Unknown);
        }
        if failed || self.login == LoginState::Proving || !self.depends_on_path(header, body)? {
            return Ok(false);
        }
        let Some(question) = self.generation.path_question() else {
            return Ok(false);
        };
        write_question(question, insert);
        let synced = match self.expects.back() {
            None | Some(Expect::Query(_) | Expect::Sync | Expect::FunctionCall) => true,
            Some(_) => false,
        };
        let end = if synced {
            frontend::SYNC
        } else {
            frontend::FLUSH
        };
        frontend::write_bare(insert, end);
        self.path.names_since = self.generation.names_since();
        let holds = match self.status {
            b'I' if self.expects.is_empty() => Holds::UntilTouched,
            _ if !self.path.touched => Holds::UntilTouched,
            _ => Holds::InTransaction,
        };
        self.path.in_block &= self.path.follows || self.expects.is_empty();
        self.path.asking = Asking::Under {
            holds,
            answer: None,
        };
        self.expects.push_back(Expect::PathQuestion {
            synced,
            closes_left: 2,
        });
        self.hold();
        Ok(true)
    }

    /// Whether what this frame brings may hold an unqualified name of a managed table.
    fn depends_on_path(&mut self, header: Header, body: &[u8]) -> Result<bool, MessageError> {
        Ok(match header.tag {
            frontend::QUERY => self.sent_text_depends(frontend::query_text(body)?),
            frontend::PARSE => self.sent_text_depends(Parse::read(body)?.text),
            frontend::BIND => self.prepared_depends(BindNames::read(body)?.0.statement),
            frontend::DESCRIBE => match DescribeTarget::read("Describe", body)? {
                DescribeTarget::Statement(name) => self.prepared_depends(name),
                DescribeTarget::Portal(_) => false,
            },
            _ => false,
        })
    }

    /// A text that is about to be judged.
    fn sent_text_depends(&mut self, text: &[u8]) -> bool {
        self.path.found_foreign = !self.must_read(text);
        if self.path.found_foreign {
            return false;
        }
        // What has a backslash is cut into other statements by another setting. The server tells that
        // setting by itself, but not before it has come to the end of what was sent to it.
        let not_told = self.strings.is_none() || !self.expects.is_empty();
        (not_told && text.contains(&b'\\') && self.may_depend(text)) || self.read_text_depends(text)
    }

    /// Whether names in a text, or what it does, may depend on how it is cut: not if it names nothing and
    /// does the same under either setting.
    fn may_depend(&self, text: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(text) else {
            return true;
        };
        let [standard, escapes] = [Strings::Standard, Strings::Escapes]
            .map(|strings| self.generation.look(text, SearchPath::Unknown, strings));
        let passes = |reading: &Reading| matches!(reading.verdict, Verdict::PassThrough);
        !passes(&standard) || !passes(&escapes) || !does_the_same(&standard, &escapes)
    }

    /// A text that has to be read.
    fn read_text_depends(&self, text: &[u8]) -> bool {
        let unnamed = !text.is_ascii() && self.generation.names_beyond_ascii();
        if unnamed || self.generation.spells_name(text) {
            return true;
        }
        let may_name = self.generation.may_name(text);
        let Ok(text) = std::str::from_utf8(text) else {
            return may_name;
        };
        let strings = self.strings.unwrap_or(Strings::Standard);
        if may_name {
            // Some name stands in escapes. Where the path is not known, a managed one is refused.
            let reading = self.generation.look(text, SearchPath::Unknown, strings);
            return !matches!(reading.verdict, Verdict::PassThrough);
        }
        let reading = self.generation.look(text, self.path.means, strings);
        reading.effects.prepared.iter().any(|effect| {
            matches!(&effect.does, Does::Execute { name, .. } if self.named_depends(name.as_bytes()))
        })
    }

    fn named_depends(&self, name: &[u8]) -> bool {
        let body = self.statements.get(name).and_then(|s| s.body.as_deref());
        let parse = body.and_then(|body| Parse::read(body).ok());
        parse.is_some_and(|parse| self.generation.may_name(parse.text))
    }

    fn prepared_depends(&mut self, name: &[u8]) -> bool {
        let current = self.generation.number();
        let Some(statement) = self.statements.get(name) else {
            return false;
        };
        if statement.foreign_in == current {
            return false;
        }
        let body = statement.body.as_deref();
        let Some(parse) = body.and_then(|body| Parse::read(body).ok()) else {
            return false;
        };
        if self.must_read(parse.text) {
            return self.read_text_depends(parse.text);
        }
        if let Some(statement) = self.statements.get_mut(name) {
            statement.foreign_in = current;
        }
        false
    }

    /// What running a text may do, found out once for each that is prepared.
    pub(super) fn path_touch_of(&self, parse: &Parse<'_>) -> Touch {
        // The unnamed statement is nearly always run at once, and before the first question nobody cares;
        // nor for any statement where there are no rules, to which there may be some before it runs.
        let unnamed = parse.name.is_empty() && !self.path.follows;
        if unnamed || self.generation.path_question().is_none() {
            return Touch::Changes;
        }
        self.generation.touch(parse.text)
    }

    /// A Query is about to run.
    #[inline]
    pub(super) fn path_sees_text(&mut self, text: &[u8], read: &ReadAs) {
        if self.path.follows && !is_refused(read) {
            let touch = self.generation.touch(text);
            self.path_sees_touch(touch);
        }
    }

    /// A text that may do this is about to run.
    #[inline]
    pub(super) fn path_sees_touch(&mut self, touch: Touch) {
        match touch {
            Touch::No => {}
            Touch::Reverts => {
                self.path.in_block = false;
                self.path.to_be_asked |= self.path.touched;
            }
            Touch::Changes => {
                self.path.in_block = false;
                self.path_touched();
            }
        }
    }

    /// A Query or a Sync was sent: without a block it ends the transaction.
    #[inline]
    pub(super) fn path_sees_end(&mut self) {
        self.path.to_be_asked |= self.path.touched && !self.path.in_block;
    }

    /// What names mean may have changed, and the server is to be asked.
    pub(super) fn path_touched(&mut self) {
        if self.generation.path_question().is_some() {
            self.path.touched = true;
            self.path.to_be_asked = true;
        }
    }

    /// A text is about to be run that was read.
    #[inline]
    pub(super) fn path_sees_run(&mut self, read: &ReadAs) {
        if let Some(reading) = read
            && let Some(left) = reading.effects.path
            && !is_refused(read)
        {
            self.path_touched();
            self.names_mean(left);
        }
    }

    /// The server is ready. Where no transaction is open, one has ended, with what was changed in it for
    /// its time only.
    #[inline]
    pub(super) fn path_sees_ready(&mut self) {
        self.path.in_block = self.status == b'T' && self.expects.is_empty();
        let ended = self.status != b'T' && self.path.follows;
        if ended && self.path.touched {
            self.path.to_be_asked = self.generation.path_question().is_some();
            // What is outstanding may have touched it again.
            self.path.touched = self.status == b'E' || !self.expects.is_empty();
        }
    }

    /// A generation that manages other names: what these mean was never asked.
    pub(super) fn path_knows_names(&mut self) {
        let since = self.generation.names_since();
        if self.path.names_since != since {
            self.path.names_since = since;
            self.path.to_be_asked = true;
            self.cache.is_direct &= self.path.follows;
            // Before there was anything to ask, nothing was looked at.
            self.path.touched |= !self.path.follows;
            self.names_mean(SearchPath::Unknown);
        }
    }

    fn names_mean(&mut self, means: SearchPath) {
        if self.path.means != means {
            self.path.means = means;
            self.statements.read_all_again();
        }
    }

    /// The one row of the answer.
    pub(super) fn path_row(&mut self, body: &[u8]) {
        // One column: its count, its length, its letters.
        let letters = body.get(6..).unwrap_or_default();
        let means = self.generation.path_answered(letters);
        if let Asking::Under { answer, .. } = &mut self.path.asking {
            *answer = means;
        }
    }

    /// The question has been answered, or has failed: then it is not known what names mean to the
    /// frame that waits, and the next one asks again.
    pub(super) fn path_is_answered(&mut self) {
        let Asking::Under { holds, answer } = self.path.asking else {
            return;
        };
        let known = answer.is_some();
        self.path.follows = true;
        self.path.to_be_asked = !known;
        // What was not looked at lies before the transaction that is open.
        self.path.touched &= !known || holds != Holds::UntilTouched;
        self.path.asking = if known { Asking::No } else { Asking::Answered };
        self.strings = answer.map(|answer| answer.strings);
        if let Some(answer) = answer {
            self.cache.is_direct = self.told_backend == Some(answer.backend);
            self.encoding = if answer.converts {
                Encoding::Converted
            } else {
                Encoding::Bytes
            };
        }
        self.names_mean(answer.map_or(SearchPath::Unknown, |answer| answer.path));
        self.release();
        self.hold_for_newer();
    }
}

fn write_question(question: &str, out: &mut Vec<u8>) {
    let parse = Parse {
        name: NAME,
        text: question.as_bytes(),
        types: &[0, 0],
    };
    frontend::write_parse(out, parse);
    let names = BindNames {
        portal: NAME,
        statement: NAME,
    };
    frontend::write_bind(out, names);
    let execute = Execute {
        portal: NAME,
        rows_max: 0,
    };
    frontend::write_execute(out, execute);
    frontend::write_close(out, DescribeTarget::Portal(NAME));
    frontend::write_close(out, DescribeTarget::Statement(NAME));
}
