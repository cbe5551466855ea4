//! A text under `standard_conforming_strings = off`, in which a backslash in a plain string begins an
//! escape, as a text that means the same whatever that setting is.
//!
//! ```text
//! UPDATE t SET name = 'O\'Neil'    →  UPDATE t SET name =  E'O\'Neil'
//! ```
//!
//! Without this the end of a string is looked for in the wrong place: what the client has as data is
//! read as SQL, and SQL as data. PostgreSQL's parser is told the setting but its scanner of tokens
//! cannot be, and what was made of a text outlives the setting: kept prepared statements, templates.
//! So the setting is taken out of the text before anybody reads it. The strings are found here, and
//! PostgreSQL's parser, told of the setting, must find the same in the text as it came.

mod lexed;

use std::ops::Range;
use std::sync::Arc;

use crate::parse;
use crate::refuse;
use crate::rule_set::RuleSet;
use crate::statement::{
    Keeps, Kept, Mapped, OnPrepared, Reading, Refusal, Rewritten, SearchPath, SessionEffects,
    Verdict,
};
pub use crate::text::lexer::Strings;
use crate::text::lexer::Unfound;
use crate::text::tree::Tree;
pub(crate) use lexed::settled;
use lexed::{MARK, has_standard_escape, plain_strings};

/// A text in which no plain string has a backslash.
#[derive(Debug, PartialEq, Eq)]
pub struct Standard {
    pub text: String,
    /// Where the marks stand in it, in order.
    marks: Vec<usize>,
}

impl Standard {
    /// `None` where the text is one already.
    pub fn of(text: &str) -> Result<Option<Standard>, Refusal> {
        if !text.contains('\\') {
            return Ok(None);
        }
        let strings = plain_strings(text, Strings::Escapes);
        let strings = strings.map_err(|_| refuse::strings_not_found())?;
        if strings.is_empty() {
            return Ok(None);
        }
        let mut standard = String::with_capacity(text.len() + MARK.len() * strings.len());
        let mut marks = Vec::with_capacity(strings.len());
        let mut at = 0;
        for Range { start, .. } in strings {
            standard.push_str(&text[at..start]);
            marks.push(standard.len());
            standard.push_str(MARK);
            at = start;
        }
        standard.push_str(&text[at..]);
        let standard = Standard {
            text: standard,
            marks,
        };
        match parse::parse_both(text, &standard.text)? {
            None => Ok(Some(standard)),
            Some((came, made)) if same(&came, &made) => Ok(Some(standard)),
            Some(_) => Err(refuse::strings_not_found()),
        }
    }

    /// Where a byte of this text stands in the text as it came.
    fn came_at(&self, at: usize) -> usize {
        let before = self.marks.partition_point(|mark| *mark < at);
        let within = before
            .checked_sub(1)
            .map_or(0, |last| (self.marks[last] + MARK.len()).saturating_sub(at));
        (at + within).saturating_sub(before * MARK.len())
    }

    fn marks_in(&self, range: &Range<usize>) -> &[usize] {
        let from = self.marks.partition_point(|mark| *mark < range.start);
        let to = self.marks.partition_point(|mark| *mark < range.end);
        &self.marks[from..to.max(from)]
    }

    /// The extents of the text as it came that stand in a range of this one, and where each begins here.
    fn pieces(&self, range: &Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let within = self.marks_in(range).iter().copied();
        let ends = within.clone().chain([range.end]);
        let starts = [range.start]
            .into_iter()
            .chain(within.map(|mark| mark + MARK.len()));
        starts.zip(ends).filter_map(|(start, end)| {
            let piece = self.came_at(start)..self.came_at(end);
            (!piece.is_empty()).then_some((start, piece))
        })
    }

    /// What was read of this text, told of the text as it came.
    fn told(&self, reading: &Reading, came: &str) -> Reading {
        let verdict = match &reading.verdict {
            Verdict::PassThrough => Verdict::PassThrough,
            Verdict::Refused(refusal) => Verdict::Refused(Refusal {
                position: refusal.position.and_then(|p| self.position(p, came)),
                ..refusal.clone()
            }),
            Verdict::Rewritten(rewritten) if has_standard_escape(&rewritten.sql) => {
                Verdict::Refused(refuse::strings_of_rules())
            }
            Verdict::Rewritten(rewritten) => {
                Verdict::Rewritten(self.told_rewritten(rewritten, came))
            }
        };
        let prepared = reading.effects.prepared.iter().map(|on| OnPrepared {
            at: self.came_at(on.at),
            ..on.clone()
        });
        Reading {
            verdict,
            effects: SessionEffects {
                prepared: prepared.collect(),
                ..reading.effects.clone()
            },
            calls: reading.calls.clone(),
            reads: reading.reads.clone(),
            bare: None,
            keeps: Keeps::Nothing,
            tries: None,
        }
    }

    fn told_rewritten(&self, rewritten: &Rewritten, came: &str) -> Rewritten {
        let kept = rewritten.kept.iter().flat_map(|kept| {
            let range = kept.original..kept.original + kept.length;
            let nothing = kept.length == 0;
            let pieces = self.pieces(&range).map(|(start, piece)| Kept {
                original: piece.start,
                rewritten: kept.rewritten + (start - kept.original),
                length: piece.len(),
            });
            let alone = nothing.then(|| Kept {
                original: self.came_at(kept.original),
                ..*kept
            });
            // The server tells of a string where its mark's letter stands.
            let marked = self.marks_in(&range).iter().map(|mark| Kept {
                original: self.came_at(*mark),
                rewritten: kept.rewritten + (mark + 1 - kept.original),
                length: 0,
            });
            pieces.chain(alone).chain(marked).collect::<Vec<Kept>>()
        });
        let values = rewritten.values.iter().map(|mapped| Mapped {
            original: self.came_at(mapped.original),
            ..mapped.clone()
        });
        Rewritten {
            sql: rewritten.sql.clone(),
            answers: rewritten.answers.clone(),
            shadow: rewritten.shadow.clone(),
            kept: kept.collect(),
            values: values.collect(),
            original: came.to_owned(),
            renames: Arc::clone(&rewritten.renames),
            prepared: rewritten
                .prepared
                .as_deref()
                .map(|prepared| Box::new(self.told_rewritten(prepared, came))),
            around: rewritten.around.clone(),
            needs: rewritten.needs.clone(),
            context: rewritten.context.clone(),
        }
    }

    /// A position of an error, in characters from 1.
    fn position(&self, position: u32, came: &str) -> Option<u32> {
        let before = usize::try_from(position).ok()?.checked_sub(1)?;
        let byte = self.text.char_indices().nth(before);
        let byte = byte.map_or(self.text.len(), |(byte, _)| byte);
        let chars = came.get(..self.came_at(byte))?.chars().count() + 1;
        u32::try_from(chars).ok()
    }
}

impl RuleSet {
    /// [`RuleSet::rewrite`] for a session with this setting.
    #[must_use]
    pub fn rewrite_as(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading> {
        let reading = self.look_as(text, path, strings);
        reading.count();
        reading
    }

    /// The same for a text that nobody has sent, or that was sent once and is read once more.
    #[must_use]
    pub fn look_as(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading> {
        let standard = match strings {
            Strings::Standard => Ok(None),
            Strings::Escapes => Standard::of(text),
        };
        match standard {
            Ok(None) => self.look(text, path),
            Ok(Some(standard)) => {
                let reading = self.look(&standard.text, path);
                Arc::new(standard.told(&reading, text))
            }
            // The server says so itself, and nothing of the text is run.
            Err(_) if plain_strings(text, Strings::Escapes) == Err(Unfound::NeverTaken) => {
                let effects = SessionEffects::default();
                Arc::new(Reading::new(Verdict::PassThrough, effects))
            }
            Err(refusal) => Arc::new(self.unread(text, refusal)),
        }
    }
}

/// Whether two trees differ in nothing but places.
fn same(one: &Tree, other: &Tree) -> bool {
    let place = |name: &str| {
        name.ends_with("location")
            || name.ends_with("list_start")
            || name.ends_with("list_end")
            || name == "stmt_len"
    };
    match (one, other) {
        (Tree::Nothing, Tree::Nothing) => true,
        (Tree::Flag(one), Tree::Flag(other)) => one == other,
        (Tree::Int(one), Tree::Int(other)) => one == other,
        (Tree::Text(one), Tree::Text(other)) => one == other,
        (Tree::List(one), Tree::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Tree::Node(one_kind, one), Tree::Node(other_kind, other)) => {
            let one = one.iter().filter(|(name, _)| !place(name));
            let mut other = other.iter().filter(|(name, _)| !place(name));
            let mut one = one;
            one_kind == other_kind
                && one.all(|(name, one)| {
                    let other = other.next();
                    other.is_some_and(|(known, other)| name == known && same(one, other))
                })
                && other.next().is_none()
        }
        // Nobody watches a tree that was just made.
        (
            Tree::Nothing
            | Tree::Flag(_)
            | Tree::Int(_)
            | Tree::Text(_)
            | Tree::List(_)
            | Tree::Node(..)
            | Tree::Watched(_),
            _,
        ) => false,
    }
}

#[cfg(test)]
mod tests;
