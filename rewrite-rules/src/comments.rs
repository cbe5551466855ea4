//! A text without its comments, which say nothing to PostgreSQL: what is made of a text is kept for all that differ in
//! comments alone.
//!
//! ```text
//! SELECT a FROM t WHERE id = $1 /*traceparent='00-4b…'*/   →  SELECT a FROM t WHERE id = $1
//! SELECT/* one */a FROM t -- of them\nWHERE b              →  SELECT a FROM t \nWHERE b
//! /* x */ SELECT /*+ SeqScan(t) */ a /* y */ FROM t        →  /* x */ SELECT /*+ SeqScan(t) */ a  FROM t
//! ```
//!
//! Without this a trace's id, which is another one in every statement, makes each text one that nobody has seen.
//!
//! Hints are for whoever plans: they stay, and so does all that stands before one, as that decides whether it counts.

mod put_back;

use std::ops::Range;

use crate::statement::{Reading, Rewritten, Verdict};
use crate::text::lexer::{Lexeme, LexemeKind, Lexer, Strings, is_space};

/// A longer text is not sent with a trace's id in each, and what it does costs more than to read it.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Clients add one or two; a text of a file of SQL, with more, is the same each time.
const COMMENTS_MAX: usize = 32;

/// What begins a hint of pg_hint_plan, which looks for these bytes wherever they stand.
const HINT: &str = "/*+";

/// A text without comments, and where these stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bare {
    pub text: String,
    cuts: Vec<Cut>,
}

/// What was taken out at one place: a comment; at an end of the text all up to its first or from its last token.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cut {
    /// In the text as it came.
    came: Range<usize>,
    came_chars: usize,
    /// In the text without comments.
    at: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Front,
    /// Between two tokens, with a blank in its stead where nothing else would keep these apart.
    Within {
        blank: bool,
    },
    End,
}

impl Cut {
    /// What stands in its stead.
    fn blank(&self) -> usize {
        match self.place {
            Place::Within { blank } => usize::from(blank),
            Place::Front | Place::End => 0,
        }
    }
}

impl Bare {
    /// `None` where there is nothing to be taken out, or nobody knows where it ends.
    ///
    /// Strings are read as under `standard_conforming_strings`; where what is left has no backslash, they end in
    /// the same places without.
    #[must_use]
    pub fn of(text: &str) -> Option<Bare> {
        if text.len() > TEXT_BYTES_MAX || !(text.contains("/*") || text.contains("--")) {
            return None;
        }
        let found = found(text)?;
        let mut bare = Bare {
            text: String::with_capacity(text.len()),
            cuts: Vec::with_capacity(found.len()),
        };
        let mut at = 0;
        for (came, place) in found {
            bare.text.push_str(&text[at..came.start]);
            at = came.end;
            bare.cuts.push(Cut {
                came_chars: text[came.clone()].chars().count(),
                came,
                at: bare.text.len(),
                place,
            });
            if place == (Place::Within { blank: true }) {
                bare.text.push(' ');
            }
        }
        bare.text.push_str(&text[at..]);
        Some(bare)
    }

    /// The same of a text of which it is not known what a backslash means: none with one outside of its comments.
    #[must_use]
    pub fn of_bytes(text: &[u8]) -> Option<Bare> {
        let bare = Bare::of(std::str::from_utf8(text).ok()?)?;
        (!bare.text.contains('\\')).then_some(bare)
    }

    /// What was taken out, to be told from what another text lacks.
    pub fn taken<'t>(&'t self, came: &'t [u8]) -> impl Iterator<Item = &'t [u8]> {
        self.cuts.iter().map(|cut| &came[cut.came.clone()])
    }

    /// Where a byte of the text without comments stands in the text as it came.
    fn came_at(&self, at: usize) -> usize {
        let before = self.cuts.iter();
        let before = before.take_while(|cut| cut.at + cut.blank() <= at);
        before.fold(at, |at, cut| at + cut.came.len() - cut.blank())
    }

    /// The position in the text as it came of one in the text without comments, both in characters from 1.
    #[must_use]
    pub fn came_position(&self, position: u32) -> Option<u32> {
        let before = usize::try_from(position).ok()?.checked_sub(1)?;
        let byte = self.text.char_indices().nth(before);
        let byte = byte.map_or(self.text.len(), |(byte, _)| byte);
        let cuts = self.cuts.iter();
        let cuts = cuts.take_while(|cut| cut.at + cut.blank() <= byte);
        let before = cuts.fold(before, |before, cut| before + cut.came_chars - cut.blank());
        u32::try_from(before + 1).ok()
    }
}

/// What can be taken out, in order.
fn found(text: &str) -> Option<Vec<(Range<usize>, Place)>> {
    let hints_end = text.rfind(HINT).map_or(0, |at| at + 1);
    let mut found = Vec::new();
    let mut pending: Vec<Range<usize>> = Vec::new();
    let mut last: Option<(usize, LexemeKind)> = None;
    let mut count = 0;
    for lexeme in Lexer::new(text, Strings::Standard) {
        let Lexeme { start, end, kind } = lexeme.ok()?;
        if kind == LexemeKind::Comment && start >= hints_end {
            count += 1;
            // No text of a client has a zero byte; of one that has, the server would read what is before it.
            if count > COMMENTS_MAX || text[start..end].contains('\0') {
                return None;
            }
            pending.push(start..end);
            continue;
        }
        match last {
            None if !pending.is_empty() => found.push((0..start, Place::Front)),
            // Without a comment between them the second may go on with the first.
            Some((_, before)) if is_string(before) && kind == LexemeKind::String => {}
            None | Some(_) => {
                let within = pending.iter().cloned();
                found.extend(within.map(|range| (range.clone(), place(text, &range))));
            }
        }
        pending.clear();
        last = Some((end, kind));
    }
    let (end, _) = last?;
    if !pending.is_empty() {
        found.push((end..text.len(), Place::End));
    }
    (!found.is_empty()).then_some(found)
}

fn is_string(kind: LexemeKind) -> bool {
    matches!(kind, LexemeKind::String | LexemeKind::PrefixedString)
}

fn place(text: &str, comment: &Range<usize>) -> Place {
    let bytes = text.as_bytes();
    let kept_apart = [
        bytes.get(comment.start.wrapping_sub(1)),
        bytes.get(comment.end),
    ]
    .into_iter()
    .flatten()
    .any(|byte| is_space(*byte));
    Place::Within { blank: !kept_apart }
}

/// Whether two readings of a text differ in nothing but where comments stand in what is sent: for debug builds.
pub(crate) fn agree(text: &str, one: &Reading, other: &Reading) -> bool {
    match (&one.verdict, &other.verdict) {
        (Verdict::PassThrough, Verdict::PassThrough) => one.effects == other.effects,
        (Verdict::Rewritten(one), Verdict::Rewritten(other)) => {
            tokens(&one.sql) == tokens(&other.sql)
                && one.answers == other.answers
                && one.needs == other.needs
                && one.renames == other.renames
                && one.context == other.context
                && keeps(one, text)
        }
        // What looks like comments without an end makes texts that nobody reads.
        (_, Verdict::Refused(_)) => true,
        (Verdict::Refused(_) | Verdict::Rewritten(_), _) | (_, Verdict::Rewritten(_)) => false,
    }
}

fn tokens(sql: &str) -> Vec<&str> {
    let lexemes = Lexer::new(sql, Strings::Standard).flatten();
    let tokens = lexemes.filter(|lexeme| lexeme.kind != LexemeKind::Comment);
    tokens
        .map(|lexeme| &sql[lexeme.start..lexeme.end])
        .collect()
}

/// Whether what is kept of a text stands where it is said to.
fn keeps(told: &Rewritten, text: &str) -> bool {
    told.original == text
        && told.kept.iter().all(|kept| {
            let of = |text: &'_ str, at: usize| text.get(at..at + kept.length).map(str::to_owned);
            of(text, kept.original) == of(&told.sql, kept.rewritten)
        })
}

#[cfg(test)]
mod tests;
