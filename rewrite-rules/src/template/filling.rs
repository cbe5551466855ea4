//! A template and what it is filled to.

use std::ops::Range;
use std::sync::Arc;

use crate::by_key::Takes;
use crate::calls::Calls;
use crate::constants::Constants;
use crate::preparable::{Parameter, Preparable};
use crate::statement::{
    Keeps, Kept, Mapped, Reading, Rewritten, SessionEffects, ShadowPair, Try, Verdict,
};

/// More parameters are those of a text that is itself a bulk load.
const PARAMETERS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct TextTemplate {
    /// Constants that must be as they are here, by their number.
    pub fixed: Vec<(usize, String)>,
    /// Where the constants stand in the text that `made` is of.
    pub places: Vec<Range<usize>>,
    pub made: Made,
    pub calls: Option<Arc<Calls>>,
    pub tries: Option<Try>,
    pub reads: Option<Arc<[String]>>,
}

#[derive(Debug)]
pub(super) enum Made {
    PassedThrough,
    Rewritten {
        rewritten: Box<Rewritten>,
        sql: Holes,
        /// Of a text that may be kept prepared: which constants may be parameters, by their number.
        typed: Option<Vec<Option<Takes>>>,
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
                typed: _,
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
            reads: self.reads.clone(),
            bare: None,
            keeps: self.keeps(text, constants),
            tries: self.tries,
        }
    }

    fn keeps(&self, text: &str, constants: &Constants) -> Keeps {
        match &self.made {
            Made::Rewritten {
                rewritten,
                sql,
                typed: Some(typed),
                ..
            } => match sql.prepare(&rewritten.sql, text, constants, typed) {
                Some(preparable) => Keeps::Prepared(Box::new(preparable)),
                None => Keeps::Nothing,
            },
            Made::Rewritten { typed: None, .. } | Made::PassedThrough => Keeps::Nothing,
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

impl Holes {
    /// The text filled, but for parameters in the place of constants that may be some. `None` where there are none, or
    /// a value is none that its column is sure to take.
    fn prepare(
        &self,
        text: &str,
        client: &str,
        constants: &Constants,
        typed: &[Option<Takes>],
    ) -> Option<Preparable> {
        let mut made = Preparable {
            sql: String::with_capacity(text.len() + 64),
            ..Preparable::default()
        };
        let (mut at, mut sent) = (0, 0);
        for (range, number) in &self.0 {
            let between = &text[at..range.start];
            made.sql.push_str(between);
            sent += between.len();
            at = range.end;
            let (place, kind) = &constants.places[*number];
            let said = &client[place.clone()];
            if let Some(takes) = typed[*number] {
                let (type_oid, value) = takes.parameter(*kind, said)?;
                made.parameters.push(Parameter { type_oid, value });
                let start = made.sql.len();
                made.sql.push('$');
                made.sql.push_str(&made.parameters.len().to_string());
                made.places
                    .push((start..made.sql.len(), sent..sent + said.len()));
            } else {
                made.sql.push_str(said);
            }
            sent += said.len();
        }
        made.sql.push_str(&text[at..]);
        (1..=PARAMETERS_MAX)
            .contains(&made.parameters.len())
            .then_some(made)
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
