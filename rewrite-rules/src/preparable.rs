//! What can be sent once and bound from then on, in place of a text with constants: the same with parameters.
//!
//! ```text
//! … SET "name" = 'x' … WHERE id = 7   →   … SET "name" = $1 … WHERE id = $2    with 'x' and 7
//! ```
//!
//! A constant that stands in several places is as many parameters: each is of the type that its place decides.

use std::ops::Range;

/// A text with parameters, and the values that make it what was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preparable {
    pub sql: String,
    pub parameters: Vec<Parameter>,
    /// Where the parameters stand, and where their constants do in the text that is sent otherwise.
    pub places: Vec<(Range<usize>, Range<usize>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The type's number; 0 where its place decides.
    pub type_oid: u32,
    pub value: String,
}

impl Preparable {
    /// The memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let values = self
            .parameters
            .iter()
            .map(|parameter| parameter.value.len());
        let each = size_of::<Parameter>() + 2 * size_of::<Range<usize>>();
        self.sql.len() + values.sum::<usize>() + self.parameters.len() * each
    }

    /// A position in [`Preparable::sql`] as one in the text that it stands for, both in characters from 1.
    #[must_use]
    pub fn sent_position(&self, position: u32, sent: &str) -> Option<u32> {
        let before = usize::try_from(position).ok()?.checked_sub(1)?;
        let byte = self.sql.char_indices().nth(before);
        let byte = byte.map_or(self.sql.len(), |(byte, _)| byte);
        let behind = self.places.partition_point(|(here, _)| here.start <= byte);
        let moved = match behind.checked_sub(1).map(|last| &self.places[last]) {
            None => byte,
            Some((here, there)) if byte < here.end => there.start,
            Some((here, there)) => there.end + (byte - here.end),
        };
        u32::try_from(sent.get(..moved)?.chars().count() + 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_that_in_the_text_with_its_constants() {
        let sent = "é = 'äöü' AND b = 7 OR c";
        let preparable = Preparable {
            sql: "é = $1 AND b = $2 OR c".to_owned(),
            parameters: Vec::new(),
            places: vec![(5..7, 5..13), (16..18, 22..23)],
        };
        let at = |position| preparable.sent_position(position, sent);
        assert_eq!(at(1), Some(1));
        assert_eq!(at(5), Some(5), "the first constant");
        assert_eq!(at(6), Some(5), "within it");
        assert_eq!(at(7), Some(10), "behind it");
        assert_eq!(at(16), Some(19), "the second constant");
        assert_eq!(at(22), Some(24), "the last word");
        assert_eq!(at(0), None);
    }
}
