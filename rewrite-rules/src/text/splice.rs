//! Building the sent text from pieces of the client's text and pieces of our own.

use std::ops::Range;

/// `length` bytes at `original` in the client's text stand at `rewritten` in the sent text; with
/// none, the text of ours that begins there stands for the client's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub original: usize,
    pub rewritten: usize,
    pub length: usize,
}

/// Text of ours that stands for what the client wrote, in the sent text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Where the value stands in the client's text.
    pub original: usize,
    pub rewritten: Range<usize>,
    pub(crate) what: MappedAs,
}

/// What an error in such a text is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MappedAs {
    /// A value for this legacy column.
    Value(String),
    /// How many columns the query has that an UPDATE sets columns to.
    SetColumns,
    /// How many an INSERT's has.
    InsertColumns,
}

impl Mapped {
    pub(crate) fn moved(mut self, by: usize) -> Mapped {
        self.rewritten = self.rewritten.start + by..self.rewritten.end + by;
        self
    }
}

/// A replacement for a range of the client's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub range: Range<usize>,
    pub with: Output,
}

/// The client's text with edits that apply wherever a piece of it is used.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    pub text: &'a str,
    edits: Vec<Edit>,
}

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Source<'a> {
        Source {
            text,
            edits: Vec::new(),
        }
    }

    /// Adds an edit, once. Edits never overlap: each belongs to one token run of one tree node.
    pub fn edit(&mut self, range: Range<usize>, with: impl Into<Output>) {
        let at = self
            .edits
            .partition_point(|edit| (edit.range.start, edit.range.end) <= (range.start, range.end));
        let edit = Edit {
            range,
            with: with.into(),
        };
        if at
            .checked_sub(1)
            .is_none_or(|before| self.edits[before] != edit)
        {
            self.edits.insert(at, edit);
        }
    }

    /// Whether an edit is for exactly this range.
    pub fn replaces(&self, range: &Range<usize>) -> bool {
        self.at(range).is_some()
    }

    /// Takes an edit of exactly this range back.
    pub fn withdraw(&mut self, range: &Range<usize>) -> Option<Output> {
        let at = self.at(range)?;
        Some(self.edits.remove(at).with)
    }

    /// The place of the first edit of exactly this range. A text of thousands of statements has as many
    /// edits, so none is looked at that stands elsewhere.
    fn at(&self, range: &Range<usize>) -> Option<usize> {
        let before = |edit: &Edit| (edit.range.start, edit.range.end) < (range.start, range.end);
        let at = self.edits.partition_point(before);
        (self.edits.get(at)?.range == *range).then_some(at)
    }

    /// Takes all edits within a range back, and what was inserted at its end.
    pub fn clear(&mut self, range: &Range<usize>) {
        let begins = |at: usize| move |edit: &Edit| edit.range.start < at;
        let first = self.edits.partition_point(begins(range.start));
        let behind = self.edits.partition_point(begins(range.end + 1));
        let others = self.edits.drain(first..behind.max(first));
        let others: Vec<Edit> = others.filter(|edit| edit.range.end > range.end).collect();
        self.edits.splice(first..first, others);
    }

    pub fn has_edits(&self) -> bool {
        self.edits() > 0
    }

    pub fn edits(&self) -> usize {
        self.edits.len()
    }
}

/// The text being built, and which extents of it are the client's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub sql: String,
    pub kept: Vec<Kept>,
    /// Where values are mapped to those of the other side.
    pub values: Vec<Mapped>,
}

impl From<&str> for Output {
    fn from(sql: &str) -> Output {
        sql.to_owned().into()
    }
}

impl From<String> for Output {
    fn from(sql: String) -> Output {
        Output {
            sql,
            kept: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl Output {
    /// Appends text of our own.
    pub fn own(&mut self, text: &str) -> &mut Output {
        self.sql.push_str(text);
        self
    }

    /// Appends text of our own that stands for a value of the client's: an error about it is told
    /// where that value stands.
    pub fn own_for(&mut self, text: &str, original: usize) -> &mut Output {
        self.kept.push(Kept {
            original,
            rewritten: self.sql.len(),
            length: 0,
        });
        self.own(text)
    }

    /// The same for a value of a legacy column that is mapped: one of the wrong type is told as a
    /// value that does not fit the column.
    pub fn own_value(&mut self, text: &str, original: usize, column: &str) -> &mut Output {
        self.values.push(Mapped {
            original,
            rewritten: self.sql.len()..self.sql.len() + text.len(),
            what: MappedAs::Value(column.to_owned()),
        });
        self.own_for(text, original)
    }

    /// Appends a list that a query of the client's must have as many columns as.
    pub fn own_columns(&mut self, text: &str, original: usize, what: MappedAs) -> &mut Output {
        self.values.push(Mapped {
            original,
            rewritten: self.sql.len()..self.sql.len() + text.len(),
            what,
        });
        self.own(text)
    }

    /// Appends a range of the client's text with the edits inside it.
    pub fn client(&mut self, source: &Source<'_>, range: Range<usize>) -> &mut Output {
        let edits = &source.edits;
        let first = edits.partition_point(|edit| edit.range.start < range.start);
        self.client_with(source, range, first)
    }

    /// The same of a range behind one that has been used: what was inserted between the two belongs
    /// to that one.
    pub fn client_behind(&mut self, source: &Source<'_>, range: Range<usize>) -> &mut Output {
        let edits = &source.edits;
        let used = |edit: &Edit| edit.range.end <= range.start && edit.range.start <= range.start;
        let first = edits.partition_point(|edit| edit.range.start < range.start);
        let first = first + edits[first..].iter().take_while(|edit| used(edit)).count();
        self.client_with(source, range, first)
    }

    fn client_with(
        &mut self,
        source: &Source<'_>,
        range: Range<usize>,
        first: usize,
    ) -> &mut Output {
        let mut at = range.start;
        let within = source.edits[first..].iter();
        for edit in within.take_while(|edit| edit.range.start <= range.end) {
            // An edit inside a larger one is in that one's text already.
            if edit.range.start < at || edit.range.end > range.end {
                continue;
            }
            self.keep(source, at..edit.range.start);
            self.append(edit.with.clone());
            at = edit.range.end;
        }
        self.keep(source, at..range.end);
        self
    }

    /// Appends what another output built.
    pub fn append(&mut self, other: Output) -> &mut Output {
        let base = self.sql.len();
        self.kept.extend(other.kept.into_iter().map(|kept| Kept {
            rewritten: kept.rewritten + base,
            ..kept
        }));
        self.values
            .extend(other.values.into_iter().map(|mapped| mapped.moved(base)));
        self.sql.push_str(&other.sql);
        self
    }

    /// Puts text of our own in at a byte of what has been built.
    pub fn insert(&mut self, at: usize, text: &str) {
        self.sql.insert_str(at, text);
        let by = text.len();
        let mut kept = Vec::with_capacity(self.kept.len() + 1);
        for piece in self.kept.drain(..) {
            let end = piece.rewritten + piece.length;
            if piece.rewritten >= at {
                kept.push(Kept {
                    rewritten: piece.rewritten + by,
                    ..piece
                });
            } else if end <= at {
                kept.push(piece);
            } else {
                let length = at - piece.rewritten;
                kept.push(Kept { length, ..piece });
                kept.push(Kept {
                    original: piece.original + length,
                    rewritten: at + by,
                    length: piece.length - length,
                });
            }
        }
        self.kept = kept;
        for value in &mut self.values {
            if value.rewritten.start >= at {
                *value = value.clone().moved(by);
            }
        }
    }

    fn keep(&mut self, source: &Source<'_>, range: Range<usize>) {
        if !range.is_empty() {
            self.kept.push(Kept {
                original: range.start,
                rewritten: self.sql.len(),
                length: range.len(),
            });
            self.sql.push_str(&source.text[range]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_edited_spans_change_and_the_rest_maps_back() {
        let mut source = Source::new("SELECT a FROM t -- é\nWHERE b");
        source.edit(14..15, "(x) AS t".to_owned());
        let mut output = Output::default();
        output.own("/* */ ").client(&source, 0..source.text.len());
        assert_eq!(output.sql, "/* */ SELECT a FROM (x) AS t -- é\nWHERE b");
        for kept in &output.kept {
            assert_eq!(
                source.text[kept.original..kept.original + kept.length],
                output.sql[kept.rewritten..kept.rewritten + kept.length]
            );
        }
    }
}
