//! A template and what it is filled to.

use std::ops::Range;
use std::sync::Arc;

use crate::calls::Calls;
use crate::constants::Constants;
use crate::statement::{Kept, Mapped, Reading, Rewritten, SessionEffects, ShadowPair, Verdict};

#[derive(Debug)]
pub(super) struct TextTemplate {
    /// Constants that must be as they are here, by their number.
    pub fixed: Vec<(usize, String)>,
    /// Where the constants stand in the text that `made` is of.
    pub places: Vec<Range<usize>>,
    pub made: Made,
    pub calls: Option<Arc<Calls>>,
}

#[derive(Debug)]
pub(super) enum Made {
    PassedThrough,
    Rewritten {
        rewritten: Box<Rewritten>,
        sql: Holes,
        /// Of the two texts to compare, in `shadow_read`.
        legacy: Holes,
        unified: Holes,
    },
}

/// Where constants stand in a text that was made: the number of each, in the order of places.
#[derive(Debug, Default)]
pub(super) struct Holes(Vec<(Range<usize>, usize)>);

impl TextTemplate {
    pub fn fits(&self, text: &str, constants: &Constants) -> bool {
        let mut fixed = self.fixed.iter();
        fixed.all(|(number, value)| text[constants.places[*number].0.clone()] == **value)
    }

    pub fn fill(&self, text: &str, constants: &Constants) -> Reading {
        let verdict = match &self.made {
            Made::PassedThrough => Verdict::PassThrough,
            Made::Rewritten {
                rewritten,
                sql,
                legacy,
                unified,
            } => {
                let value = |number: usize| &text[constants.places[number].0.clone()];
                let original = Moves::of(
                    self.places.iter().zip(&constants.places),
                    |(place, (range, _))| (place.clone(), range.len()),
                );
                let sent = Moves::of(&sql.0, |(range, number)| {
                    (range.clone(), value(*number).len())
                });
                let shadow = rewritten.shadow.as_ref().map(|pair| {
                    Box::new(ShadowPair {
                        migration: pair.migration.clone(),
                        legacy: legacy.fill(&pair.legacy, value),
                        unified: unified.fill(&pair.unified, value),
                        tables: pair.tables.clone(),
                        foreign: pair.foreign,
                    })
                });
                Verdict::Rewritten(Rewritten {
                    sql: sql.fill(&rewritten.sql, value),
                    answers: rewritten.answers.clone(),
                    shadow,
                    kept: rewritten
                        .kept
                        .iter()
                        .map(|kept| {
                            let start = original.to(kept.original);
                            Kept {
                                original: start,
                                rewritten: sent.to(kept.rewritten),
                                length: match kept.length {
                                    0 => 0,
                                    length => original.to(kept.original + length) - start,
                                },
                            }
                        })
                        .collect(),
                    values: rewritten
                        .values
                        .iter()
                        .map(|mapped| Mapped {
                            original: original.to(mapped.original),
                            rewritten: sent.to(mapped.rewritten.start)
                                ..sent.to(mapped.rewritten.end),
                            what: mapped.what.clone(),
                        })
                        .collect(),
                    original: text.to_owned(),
                    renames: Arc::clone(&rewritten.renames),
                    // Two texts of one, whose places differ: of such there is no template.
                    prepared: None,
                    around: None,
                    needs: rewritten.needs.clone(),
                    context: rewritten.context.clone(),
                })
            }
        };
        Reading {
            verdict,
            effects: SessionEffects::default(),
            calls: self.calls.clone(),
            bare: None,
        }
    }
}

impl Holes {
    pub fn of(text: &str, stand_ins: &[Option<String>]) -> Holes {
        let mut holes = Vec::new();
        for (number, value) in stand_ins.iter().enumerate() {
            let Some(value) = value else { continue };
            let found = text.match_indices(value.as_str());
            holes.extend(found.map(|(at, _)| (at..at + value.len(), number)));
        }
        holes.sort_by_key(|(range, _)| range.start);
        Holes(holes)
    }

    fn fill<'v>(&self, text: &str, value: impl Fn(usize) -> &'v str) -> String {
        let mut filled = String::with_capacity(text.len() + 64);
        let mut at = 0;
        for (range, number) in &self.0 {
            filled.push_str(&text[at..range.start]);
            filled.push_str(value(*number));
            at = range.end;
        }
        filled.push_str(&text[at..]);
        filled
    }
}

/// Where places of one text are in another, in which some pieces are longer or shorter.
struct Moves(Vec<(usize, usize)>);

impl Moves {
    /// Of each piece its range and its other length, in their order.
    fn of<T>(
        pieces: impl IntoIterator<Item = T>,
        piece: impl Fn(T) -> (Range<usize>, usize),
    ) -> Moves {
        let mut moves = Vec::new();
        // How much longer the other text is so far: what it has more, and what it has less.
        let (mut more, mut less) = (0, 0);
        for each in pieces {
            let (range, length) = piece(each);
            more += length;
            less += range.len();
            moves.push((range.end, range.end + more - less));
        }
        Moves(moves)
    }

    /// The place in the other text of one outside the pieces, or at an end of one.
    fn to(&self, place: usize) -> usize {
        let behind = self.0.partition_point(|(end, _)| *end <= place);
        match behind.checked_sub(1).map(|last| self.0[last]) {
            Some((end, moved)) => moved + (place - end),
            None => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_behind_a_constant_move_with_it() {
        let moves = Moves::of([(2..4, 5), (6..8, 0)], |piece| piece);
        let moved: Vec<usize> = (0..10).map(|place| moves.to(place)).collect();
        // Inside of a constant there is no place that anything begins at.
        assert_eq!([0, 1, 2], moved[..3]);
        assert_eq!([7, 8, 9], moved[4..7]);
        assert_eq!([9, 10], moved[8..]);
    }
}

/// The templates of one form, and how often one was made or found impossible.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    pub(super) made: Vec<Arc<TextTemplate>>,
    pub(super) tried: usize,
}

impl Templates {
    /// The memory that they take, roughly.
    pub fn bytes(&self) -> usize {
        let made = self.made.iter().map(|template| {
            let text = match &template.made {
                Made::PassedThrough => 0,
                Made::Rewritten { rewritten, .. } => rewritten.bytes(),
            };
            size_of::<TextTemplate>() + text + template.places.len() * 4 * size_of::<Range<usize>>()
        });
        size_of::<Templates>() + made.sum::<usize>()
    }
}
