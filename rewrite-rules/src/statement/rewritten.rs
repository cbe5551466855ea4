//! What is sent in place of a client's text, and where its places and values are in the client's own.

use std::sync::Arc;

use super::{Answer, Refusal, Rename, ServerVersion, ShadowPair};
use crate::refuse;
use crate::text::splice::{Kept, Mapped, MappedAs};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text to send in place of the client's.
    pub sql: String,
    /// One for each statement in the text, in order; empty statements are not counted.
    pub answers: Vec<Answer>,
    /// In `shadow_read`: the two queries to compare, for a text that is one comparable SELECT.
    pub shadow: Option<Box<ShadowPair>>,
    /// Extents of the client's text that stand unchanged in `sql`, to map error positions back.
    pub kept: Vec<Kept>,
    /// Where values are mapped to those of the other side.
    pub values: Vec<Mapped>,
    /// The client's own text, so that character positions can be counted in it.
    pub original: String,
    /// Names that an error may speak of, and what the client calls them.
    pub renames: Arc<[Rename]>,
    /// The text became several statements, which can be sent as a Query message: what of it can be prepared.
    pub prepared: Option<Box<Rewritten>>,
    /// It is what can be prepared of several: the others, which are run around it.
    pub around: Option<Around>,
    /// What of it only servers of some version understand.
    pub needs: Option<Needs>,
    /// A statement of ours that is to run before it is planned, in its transaction: it tells row security whose rows it
    /// is about.
    pub context: Option<Arc<str>>,
}

/// Statements of ours before and after one of the client's. [`Rewritten::answers`] are for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    pub before: String,
    pub after: [String; 2],
}

/// A version of the server, and what of the client's needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    pub version: ServerVersion,
    pub(crate) table: String,
}

impl Rewritten {
    /// Whether it stands for the client's statement alone: with nothing before, behind or beside it.
    pub(crate) fn is_one_statement(&self) -> bool {
        self.answers.len() == 1
            && self.prepared.is_none()
            && self.around.is_none()
            && self.context.is_none()
            && self.shadow.is_none()
    }

    pub(crate) fn bytes(&self) -> usize {
        let shadow = self.shadow.as_ref();
        size_of::<Rewritten>()
            + self.sql.len()
            + self.original.len()
            + shadow.map_or(0, |pair| pair.bytes())
            + self.answers.len() * size_of::<Answer>()
            + self.kept.len() * size_of::<Kept>()
            + self.values.len() * size_of::<Mapped>()
            + self.renames.len() * size_of::<Rename>()
    }

    /// The legacy column whose values are mapped where this position in the sent text is, and the
    /// position of the value in the client's text.
    #[must_use]
    pub fn mapped_at(&self, position_chars: u32) -> Option<(&str, u32)> {
        match self.value_at(position_chars)? {
            (MappedAs::Value(column), position) => Some((column, position)),
            (MappedAs::SetColumns | MappedAs::InsertColumns, _) => None,
        }
    }

    /// What is wrong with the number of a query's columns, and its position in the client's text, if this one in the
    /// sent text is where they are counted.
    #[must_use]
    pub fn counted_at(&self, position_chars: u32) -> Option<(&'static str, u32)> {
        let (what, position) = self.value_at(position_chars)?;
        let said = match what {
            MappedAs::Value(_) => return None,
            MappedAs::SetColumns => "number of columns does not match number of values",
            MappedAs::InsertColumns => "INSERT has more expressions than target columns",
        };
        Some((said, position))
    }

    fn value_at(&self, position_chars: u32) -> Option<(&MappedAs, u32)> {
        let chars_before = (position_chars as usize).checked_sub(1)?;
        let (byte, _) = self.sql.char_indices().nth(chars_before)?;
        let mut mapped = self.values.iter();
        let mapped = mapped.find(|mapped| mapped.rewritten.contains(&byte))?;
        let chars = self.original.get(..mapped.original)?.chars().count() + 1;
        Some((&mapped.what, u32::try_from(chars).ok()?))
    }

    /// Why a server of this version cannot be sent it, if it cannot.
    #[must_use]
    pub fn refused_by(&self, server: ServerVersion) -> Option<Refusal> {
        let needs = self.needs.as_ref()?;
        (server < needs.version).then(|| refuse::merge_needs(needs.version, server, &needs.table))
    }

    /// The same where it is not the text that is answered, but one execution of what `sql` prepared.
    #[must_use]
    pub fn executed(&self, answer: Answer, sql: String) -> Rewritten {
        Rewritten {
            sql,
            answers: vec![answer],
            shadow: None,
            // Its errors have no place in the text that executes it.
            kept: Vec::new(),
            original: String::new(),
            values: Vec::new(),
            renames: Arc::clone(&self.renames),
            prepared: None,
            around: None,
            needs: None,
            context: self.context.clone(),
        }
    }

    /// The same as a text that sets its context by itself, as one that is sent as a whole can.
    #[must_use]
    pub fn with_context(&self) -> Option<Rewritten> {
        let context = self.context.as_ref()?;
        let before = format!("{context}; ");
        let mut all = self.clone();
        all.context = None;
        all.sql.insert_str(0, &before);
        all.answers.insert(0, Answer::OF_OURS);
        for kept in &mut all.kept {
            kept.rewritten += before.len();
        }
        let values = std::mem::take(&mut all.values).into_iter();
        all.values = values.map(|value| value.moved(before.len())).collect();
        Some(all)
    }

    /// A statement of ours by itself, of which the client hears nothing.
    #[must_use]
    pub fn of_ours(sql: &str) -> Rewritten {
        Rewritten {
            sql: sql.to_owned(),
            answers: vec![Answer::OF_OURS],
            ..Rewritten::behind(Arc::default())
        }
    }

    /// What tells errors that come behind the statements which caused them: of what they have renamed.
    #[must_use]
    pub fn behind(renames: Arc<[Rename]>) -> Rewritten {
        Rewritten {
            sql: String::new(),
            answers: Vec::new(),
            shadow: None,
            kept: Vec::new(),
            values: Vec::new(),
            original: String::new(),
            renames,
            prepared: None,
            around: None,
            needs: None,
            context: None,
        }
    }

    /// Maps a 1-based character position in the sent text (field `P` of an `ErrorResponse`) to
    /// the client's text; `None` when it points into text that the client never wrote.
    #[must_use]
    pub fn client_position(&self, position_chars: u32) -> Option<u32> {
        let chars_before = (position_chars as usize).checked_sub(1)?;
        let byte = match self.sql.char_indices().nth(chars_before) {
            Some((byte, _)) => byte,
            None if chars_before == self.sql.chars().count() => self.sql.len(),
            None => return None,
        };
        let kept = self
            .kept
            .iter()
            .find(|k| k.rewritten <= byte && byte < k.rewritten + k.length.max(1))?;
        let original = kept.original + (byte - kept.rewritten);
        let chars = self.original.get(..original)?.chars().count() + 1;
        u32::try_from(chars).ok()
    }
}
