//! What was read of a text without comments, told of the text as it came: with its comments where they stood.

use std::ops::Range;
use std::sync::Arc;

use super::{Bare, Cut, HINT, Place};
use crate::statement::{Kept, Mapped, Reading, Rewritten, Verdict};

/// What is put into the sent text.
struct Insertion {
    at: usize,
    /// The blank that stands for it.
    removes: usize,
    text: String,
    /// Where it stood; `None` if what is put in is not just that.
    came: Option<usize>,
    /// All behind it is its own up to the line's end.
    is_line: bool,
}

impl Bare {
    /// `None` where more would have to be told than places: such a text is read as it came.
    pub(crate) fn told(&self, reading: &Arc<Reading>, came: &str) -> Option<Arc<Reading>> {
        if !reading.effects.is_empty() || reading.effects.unparsed {
            return None;
        }
        match &reading.verdict {
            Verdict::PassThrough => Some(Arc::clone(reading)),
            Verdict::Refused(_) => None,
            Verdict::Rewritten(rewritten) => {
                let rewritten = self.told_rewritten(rewritten, came)?;
                Some(Arc::new(Reading {
                    verdict: Verdict::Rewritten(rewritten),
                    effects: reading.effects.clone(),
                    calls: reading.calls.clone(),
                    reads: reading.reads.clone(),
                    bare: None,
                    keeps: reading.keeps.without_parameters(),
                    // With its comments another text would be tried each time.
                    tries: None,
                }))
            }
        }
    }

    fn told_rewritten(&self, rewritten: &Rewritten, came: &str) -> Option<Rewritten> {
        // Two texts of one, with places in both.
        if rewritten.prepared.is_some() || rewritten.around.is_some() {
            return None;
        }
        let insertions = self.insertions(rewritten, came)?;
        let kept = rewritten.kept.iter();
        let kept = kept.flat_map(|kept| self.pieces(kept)).map(|kept| Kept {
            original: self.came_at(kept.original),
            rewritten: moved(&insertions, kept.rewritten),
            length: kept.length,
        });
        let kept = with_comments(kept.collect(), &insertions);
        let values = rewritten.values.iter().map(|mapped| Mapped {
            original: self.came_at(mapped.original),
            rewritten: moved_range(&insertions, &mapped.rewritten),
            what: mapped.what.clone(),
        });
        Some(Rewritten {
            sql: put_into(&rewritten.sql, &insertions),
            answers: rewritten.answers.clone(),
            shadow: rewritten.shadow.clone(),
            kept,
            values: values.collect(),
            original: came.to_owned(),
            renames: Arc::clone(&rewritten.renames),
            prepared: None,
            around: None,
            needs: rewritten.needs.clone(),
            context: rewritten.context.clone(),
        })
    }

    /// In the order of their places in the sent text. `None` if a comment that has lost its place would have to
    /// go before a hint.
    fn insertions(&self, rewritten: &Rewritten, came: &str) -> Option<Vec<Insertion>> {
        let mut insertions = Vec::with_capacity(self.cuts.len());
        for cut in &self.cuts {
            let said = &came[cut.came.clone()];
            let begins_line = said.starts_with("--");
            let (at, is_line) = match cut.place {
                // It ends where the first token begins.
                Place::Front => (Some(0), false),
                Place::End => (Some(rewritten.sql.len()), begins_line),
                Place::Within { .. } => (kept_at(rewritten, cut, begins_line), begins_line),
            };
            insertions.push(match at {
                Some(at) => Insertion {
                    at,
                    removes: cut.blank(),
                    text: said.to_owned(),
                    came: Some(cut.came.start),
                    is_line,
                },
                None if came.contains(HINT) => return None,
                None => Insertion {
                    at: 0,
                    removes: 0,
                    text: format!("{said}{}", if is_line { '\n' } else { ' ' }),
                    came: None,
                    is_line: false,
                },
            });
        }
        // Behind a comment of a line another of the same place would be a part of it.
        insertions.sort_by_key(|insertion| (insertion.at, insertion.is_line));
        Some(insertions)
    }

    /// The pieces of an extent between the comments that stood in it.
    fn pieces(&self, kept: &Kept) -> Vec<Kept> {
        let end = kept.original + kept.length;
        let mut pieces = Vec::new();
        let mut from = kept.original;
        for cut in &self.cuts {
            if cut.at + cut.blank() <= kept.original || cut.at >= end {
                continue;
            }
            pieces.push(from..cut.at.max(from));
            from = cut.at + cut.blank();
        }
        pieces.push(from..end);
        let alone = pieces.len() == 1;
        pieces.retain(|piece| alone || !piece.is_empty());
        let piece = |piece: Range<usize>| Kept {
            original: piece.start,
            rewritten: kept.rewritten + (piece.start - kept.original),
            length: piece.len(),
        };
        pieces.into_iter().map(piece).collect()
    }
}

/// Where in the sent text a comment stands that came between two tokens, if these are still beside each other.
/// One of a line needs the line's end as well.
fn kept_at(rewritten: &Rewritten, cut: &Cut, is_line: bool) -> Option<usize> {
    let needs = cut.blank().max(usize::from(is_line));
    let has = |kept: &&Kept| {
        let end = kept.original + kept.length;
        kept.length > 0 && kept.original <= cut.at && cut.at + needs <= end
    };
    let kept = rewritten.kept.iter().find(has)?;
    Some(kept.rewritten + (cut.at - kept.original))
}

fn put_into(sql: &str, insertions: &[Insertion]) -> String {
    let more = insertions.iter().map(|insertion| insertion.text.len());
    let mut all = String::with_capacity(sql.len() + more.sum::<usize>());
    let mut at = 0;
    for insertion in insertions {
        all.push_str(&sql[at.min(insertion.at)..insertion.at]);
        all.push_str(&insertion.text);
        at = insertion.at + insertion.removes;
    }
    all.push_str(&sql[at..]);
    all
}

/// The extents of the client's text with its comments among them, joined where they go on in both texts.
fn with_comments(mut kept: Vec<Kept>, insertions: &[Insertion]) -> Vec<Kept> {
    let mut more = 0;
    for insertion in insertions {
        kept.extend(insertion.came.map(|came| Kept {
            original: came,
            rewritten: insertion.at + more,
            length: insertion.text.len(),
        }));
        more += insertion.text.len() - insertion.removes;
    }
    kept.sort_by_key(|kept| kept.rewritten);
    let mut joined: Vec<Kept> = Vec::with_capacity(kept.len());
    for kept in kept {
        match joined.last_mut() {
            Some(before) if goes_on(before, &kept) => before.length += kept.length,
            Some(_) | None => joined.push(kept),
        }
    }
    joined
}

fn goes_on(before: &Kept, kept: &Kept) -> bool {
    let (original, rewritten) = (
        before.original + before.length,
        before.rewritten + before.length,
    );
    before.length > 0 && kept.length > 0 && (original, rewritten) == (kept.original, kept.rewritten)
}

/// Where a byte of the sent text stands with the comments in it.
fn moved(insertions: &[Insertion], at: usize) -> usize {
    let before = insertions.iter();
    let before = before.take_while(|insertion| insertion.at + insertion.removes <= at);
    before.fold(at, |at, insertion| {
        at + insertion.text.len() - insertion.removes
    })
}

/// What stands right behind a range is none of it.
fn moved_range(insertions: &[Insertion], range: &Range<usize>) -> Range<usize> {
    let before = insertions.iter();
    let within = before.take_while(|insertion| insertion.at < range.end);
    let end = within.fold(range.end, |at, insertion| {
        at + insertion.text.len() - insertion.removes
    });
    moved(insertions, range.start)..end
}
