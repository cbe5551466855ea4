//! What a text becomes under the session's generation: passed, replaced, or refused.
//!
//! Adds to the rule set's verdict what only the session knows: its encoding, how it reads strings, its
//! `search_path` and the server's version.

use std::borrow::Cow;
use std::sync::Arc;

use rewrite_rules::{Reading, Refusal, SearchPath, SessionEffects, Strings, Verdict};

use super::expect::ReadAs;
use super::path::known::Encoding;
use super::{Pin, Session, SessionRules};

/// Sent in place of a refused text: it parses, and then fails in the server's own analysis with
/// 42P01. Order, pipelining, the transaction's abort and the skipping up to Sync are thereby the
/// server's own; only the error's words are replaced.
pub(super) const POISON: &[u8] = b"SELECT crossfade.refused";

/// `syntax_error`
const SYNTAX: &str = "42601";

/// The name under which a refused text of a known statement is prepared, in vain.
pub(super) const POISON_NAME: &[u8] = b"cf_refused";

impl<P: Pin> Session<P> {
    /// Reads a text that is about to be sent. `None`: it goes on as it came.
    pub(super) fn judge(&mut self, text: &[u8]) -> ReadAs {
        self.judge_by(text, P::Rules::rewrite)
    }

    /// The same of a text that has been counted.
    pub(super) fn judge_counted(&mut self, text: &[u8]) -> ReadAs {
        self.judge_by(text, P::Rules::look)
    }

    /// By which of the reader's two ways it is read decides whether it counts as sent.
    fn judge_by(
        &mut self,
        text: &[u8],
        reading: impl Fn(&P::Rules, &str, SearchPath, Strings) -> Arc<Reading>,
    ) -> ReadAs {
        let known = std::mem::take(&mut self.path.found_foreign);
        self.path.judged_foreign = known || !self.must_read(text);
        if self.path.judged_foreign {
            return None;
        }
        self.path_knows_names();
        let readable = String::from_utf8_lossy(text);
        // Where the server converts, bytes that happen to be UTF-8 need not mean to it what they
        // mean to the rules: in some encodings a backslash is the second half of a character.
        let foreign = self.is_foreign_to_rules(text);
        let names =
            self.generation.may_name(text) || foreign && self.generation.names_beyond_ascii();
        if names && (foreign || matches!(readable, Cow::Owned(_))) {
            return Some(refused(not_readable()));
        }
        let strings = match self.strings {
            None if names && text.contains(&b'\\') => return Some(refused(strings_not_known())),
            strings => strings.unwrap_or(Strings::Standard),
        };
        let sql = &*readable;
        let mut found = reading(&self.generation, sql, self.path.means, strings);
        if found.effects.reverts_within && self.path.is_touched() {
            // What names mean behind the end of the transaction, the server could not be asked before.
            found = reading(&self.generation, sql, SearchPath::Unknown, strings);
        }
        let reading = found;
        let objection = match &reading.verdict {
            Verdict::Rewritten(rewritten) => self
                .encoding_objection(&rewritten.sql)
                .or_else(|| rewritten.refused_by(self.server)),
            Verdict::PassThrough | Verdict::Refused(_) => None,
        };
        if let Some(refusal) = objection {
            return Some(refused(refusal));
        }
        match &reading.verdict {
            Verdict::PassThrough if reading.effects.is_empty() => None,
            Verdict::Refused(refusal)
                if refusal.sqlstate == SYNTAX && self.runs_nothing_of(text) =>
            {
                None
            }
            Verdict::PassThrough | Verdict::Rewritten(_) | Verdict::Refused(_) => Some(reading),
        }
    }

    /// Whether the text spells anything that has to be looked at. A name that is no ASCII cannot be looked
    /// for in a text that the server converts.
    pub(super) fn must_read(&self, text: &[u8]) -> bool {
        self.generation.must_read(text)
            || self.encoding == Encoding::Converted
                && self.generation.names_beyond_ascii()
                && !text.is_ascii()
    }

    /// The server reads other characters in it than the rules would.
    fn is_foreign_to_rules(&self, text: &[u8]) -> bool {
        self.encoding == Encoding::Converted && !text.is_ascii()
    }

    /// In a failed transaction the server parses a text, and then refuses all but the commands that
    /// end the transaction. Without a word of theirs a text can go there unread, by whatever grammar
    /// the server has: its own error for what is wrong in it comes before that of the transaction.
    fn runs_nothing_of(&self, text: &[u8]) -> bool {
        const ENDS: [&[u8]; 5] = [b"commit", b"end", b"rollback", b"abort", b"prepare"];
        let has = |word: &[u8]| {
            let mut windows = text.windows(word.len());
            windows.any(|window| window.eq_ignore_ascii_case(word))
        };
        let failed = self.status == b'E' && self.expects.is_empty();
        failed && !ENDS.iter().any(|word| has(word))
    }

    /// [`Session::judge`] for a text that is to be prepared: it must stay one statement.
    pub(super) fn judge_prepared(&mut self, text: &[u8]) -> ReadAs {
        let read = self.judge(text);
        self.without_comments(to_be_prepared(read))
    }

    /// The same for one that was prepared already.
    pub(super) fn judge_kept(&mut self, text: &[u8]) -> ReadAs {
        let read = self.judge_by(text, P::Rules::look);
        self.without_comments(to_be_prepared(read))
    }

    /// The rules' own words are in UTF-8.
    fn encoding_objection(&self, sent: &str) -> Option<Refusal> {
        if self.encoding == Encoding::Bytes || sent.is_ascii() {
            return None;
        }
        Some(not_readable())
    }
}

/// Of a text that becomes several statements the one that can be prepared.
fn to_be_prepared(read: ReadAs) -> ReadAs {
    let prepared = match &read.as_ref()?.verdict {
        Verdict::Rewritten(rewritten) => rewritten.prepared.as_deref().cloned(),
        Verdict::PassThrough | Verdict::Refused(_) => None,
    };
    match (prepared, read) {
        (Some(prepared), Some(read)) => Some(Arc::new(Reading::new(
            Verdict::Rewritten(prepared),
            read.effects.clone(),
        ))),
        (_, read) => read,
    }
}

pub(super) fn not_readable() -> Refusal {
    Refusal {
        sqlstate: "0A000",
        message: "a statement on a table under migration is not in UTF-8".to_owned(),
        hint: "SET client_encoding TO 'UTF8'.".to_owned(),
        position: None,
    }
}

fn strings_not_known() -> Refusal {
    Refusal {
        sqlstate: "0A000",
        message: "it is not known what a backslash means to the server in a statement on a table \
                  under migration"
            .to_owned(),
        hint: "Write the string as E'…', or send the statement again.".to_owned(),
        position: None,
    }
}

/// A refusal of the session's own, in the form that the rule set's refusals have.
pub(super) fn refused(refusal: Refusal) -> Arc<Reading> {
    Arc::new(Reading::new(
        Verdict::Refused(refusal),
        SessionEffects::default(),
    ))
}

/// The text that stands for this reading on the server, if it is not the client's own.
pub(super) fn replacement(read: &ReadAs) -> Option<&[u8]> {
    let reading = read.as_ref()?;
    if let Some(bare) = reading.bare() {
        return Some(bare.text.as_bytes());
    }
    match &reading.verdict {
        Verdict::PassThrough => None,
        Verdict::Rewritten(rewritten) => Some(rewritten.sql.as_bytes()),
        Verdict::Refused(_) => Some(POISON),
    }
}
