//! PostgreSQL's lexer: where words, strings, numbers and comments stand in a text, found without its parser,
//! which would not be told how the server reads plain strings.
//!
//! It is held against PostgreSQL's own (see the tests, and [`crate::text::tokens::scan`] of debug builds). What that
//! one takes, this one takes apart in the same way; of what it does not take nobody runs anything.

use std::fmt;

/// How the server reads plain strings: the setting `standard_conforming_strings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    /// A backslash is a character like any other.
    Standard,
    /// A backslash begins an escape.
    Escapes,
}

/// Why a text cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfound {
    /// Something in it has no end.
    Lost,
    /// PostgreSQL's lexer comes to a constant that it never takes, whatever stands behind it: of such a text
    /// it runs nothing.
    NeverTaken,
}

impl fmt::Display for Unfound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a name or a comment has no end")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LexemeKind {
    Comment,
    /// A keyword, or a name without quotation marks.
    Word,
    /// `"…"` or `U&"…"`
    Quoted,
    /// `'…'`, with all that goes on behind a line's end.
    String,
    /// `E'…'`, `U&'…'`, `B'…'`, `X'…'`
    PrefixedString,
    DollarString,
    Number,
    /// `$1`
    Parameter,
    /// An operator, or what is no part of one.
    Symbol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub start: usize,
    pub end: usize,
    pub kind: LexemeKind,
}

pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    strings: Strings,
    run: OperatorRun,
    /// Of a text that may be a piece of one.
    pieces: Option<Unended>,
}

/// In a text that may be a piece of one, what has no end is read as if nothing began there. Each time costs a look
/// at all that is behind it: so many are taken, and of those that come later none begins anything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unended {
    /// Comments, and strings in dollar quotes.
    pub others: usize,
    /// Strings and names in quotation marks.
    pub quotes: usize,
}

/// A run of operator characters, up to a comment in it. Kept, since one of signs is a token for each of them.
#[derive(Default)]
struct OperatorRun {
    end: usize,
    /// Where the signs begin that it ends with.
    signs: usize,
    /// Behind the last of the characters with which an operator may end in a sign.
    special: usize,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str, strings: Strings) -> Lexer<'t> {
        Lexer::of_bytes(text.as_bytes(), strings)
    }

    /// Of a text whose encoding is not known, in which each byte below 128 is a character.
    pub fn of_bytes(text: &'t [u8], strings: Strings) -> Lexer<'t> {
        Lexer {
            text,
            at: 0,
            strings,
            run: OperatorRun::default(),
            pieces: None,
        }
    }

    /// Of what may be a piece of a text.
    pub fn of_piece(text: &'t str, strings: Strings, unended: Unended) -> Lexer<'t> {
        Lexer {
            pieces: Some(unended),
            ..Lexer::new(text, strings)
        }
    }

    /// How many more may turn out to have no end.
    pub fn unended_left(&self) -> Unended {
        self.pieces.unwrap_or_default()
    }

    /// So many more comments and strings in dollar quotes may.
    pub fn may_lack(&mut self, others: usize) {
        if let Some(left) = &mut self.pieces {
            left.others = others;
        }
    }

    /// Goes on from a place.
    pub fn go_on(&mut self, at: usize) {
        self.at = at;
    }

    /// What begins at a byte of what may be a piece of a text.
    fn piece(&mut self, start: usize, mut left: Unended) -> (LexemeKind, usize) {
        let text = self.text;
        let quote = |at: usize| matches!(text.get(at), Some(b'\'' | b'"'));
        let begins = match text[start] {
            b'u' | b'U' if text.get(start + 1) == Some(&b'&') => quote(start + 2),
            b'e' | b'E' | b'b' | b'B' | b'x' | b'X' => text.get(start + 1) == Some(&b'\''),
            _ => quote(start),
        };
        let count = match begins {
            true => &mut left.quotes,
            false => &mut left.others,
        };
        let nothing = match begins_word(text[start]) {
            true => (LexemeKind::Word, word(text, start)),
            false => (LexemeKind::Symbol, start + 1),
        };
        let is_comment = text[start..].starts_with(b"/*");
        let is_dollar = text[start] == b'$' && dollar_quote(text, start).is_some();
        let may_lack_end = begins || is_comment || is_dollar;
        if *count == 0 && may_lack_end {
            return nothing;
        }
        match self.lexeme(start) {
            Ok(found) => found,
            Err(Unfound::NeverTaken) => {
                let end = string(text, start + 2, Content::Plain);
                end.map_or(nothing, |end| (LexemeKind::PrefixedString, end))
            }
            Err(Unfound::Lost) => {
                *count -= 1;
                self.pieces = Some(left);
                nothing
            }
        }
    }

    /// What begins at a byte: of which kind it is, and where it ends.
    fn lexeme(&mut self, start: usize) -> Result<(LexemeKind, usize), Unfound> {
        let text = self.text;
        let next = text.get(start + 1).copied();
        let ends = |kind, end: Option<usize>| end.map(|end| (kind, end)).ok_or(Unfound::Lost);
        let prefixed =
            |from, content| ends(LexemeKind::PrefixedString, string(text, from, content));
        match text[start] {
            b'\'' => {
                let content = match self.strings {
                    Strings::Standard => Content::Plain,
                    Strings::Escapes => Content::Escapes,
                };
                ends(LexemeKind::String, string(text, start, content))
            }
            b'"' => ends(LexemeKind::Quoted, quoted(text, start)),
            b'e' | b'E' if next == Some(b'\'') => prefixed(start + 1, Content::Escapes),
            b'b' | b'B' | b'x' | b'X' if next == Some(b'\'') => prefixed(start + 1, Content::Bits),
            b'u' | b'U' if next == Some(b'&') && text.get(start + 2) == Some(&b'"') => {
                ends(LexemeKind::Quoted, quoted(text, start + 2))
            }
            b'u' | b'U' if next == Some(b'&') && text.get(start + 2) == Some(&b'\'') => {
                match self.strings {
                    Strings::Escapes => Err(Unfound::NeverTaken),
                    Strings::Standard => prefixed(start + 2, Content::Plain),
                }
            }
            // N'…' is two tokens.
            byte if begins_word(byte) => Ok((LexemeKind::Word, word(text, start))),
            b'0'..=b'9' => Ok((LexemeKind::Number, number(text, start))),
            b'.' if next.is_some_and(|next| next.is_ascii_digit()) => {
                Ok((LexemeKind::Number, number(text, start)))
            }
            b'$' if next.is_some_and(|next| next.is_ascii_digit()) => {
                let digits = length(&text[start + 1..], |byte| byte.is_ascii_digit());
                Ok((LexemeKind::Parameter, start + 1 + digits))
            }
            b'$' => match dollar_quote(text, start) {
                Some(quote) => ends(LexemeKind::DollarString, dollar_quoted(text, start, quote)),
                None => Ok((LexemeKind::Symbol, start + 1)),
            },
            b'-' if next == Some(b'-') => Ok((LexemeKind::Comment, start + line(&text[start..]))),
            b'/' if next == Some(b'*') => ends(LexemeKind::Comment, comment(text, start)),
            byte if is_operator(byte) => Ok((LexemeKind::Symbol, self.operator(start))),
            b':' if matches!(next, Some(b':' | b'=')) => Ok((LexemeKind::Symbol, start + 2)),
            b'.' if next == Some(b'.') => Ok((LexemeKind::Symbol, start + 2)),
            _ => Ok((LexemeKind::Symbol, start + 1)),
        }
    }

    /// The end of an operator: it ends in a sign only if it has certain other characters, and before a comment.
    fn operator(&mut self, start: usize) -> usize {
        if start >= self.run.end {
            self.run = OperatorRun::of(self.text, start);
        }
        let run = &self.run;
        let ends_in_sign = run.signs < run.end && run.end - start > 1;
        if ends_in_sign && run.special <= start {
            run.signs.max(start + 1)
        } else {
            run.end
        }
    }
}

impl OperatorRun {
    fn of(text: &[u8], start: usize) -> OperatorRun {
        // No further than it goes: where comments have no end there may be one at every second place.
        let is_comment = |at: usize| text[at..].starts_with(b"--") || text[at..].starts_with(b"/*");
        let ends = |at: &usize| !is_operator(text[*at]) || is_comment(*at);
        let end = (start..text.len()).find(ends).unwrap_or(text.len());
        let run = &text[start..end];
        let behind = |is: &dyn Fn(u8) -> bool| run.iter().rposition(|byte| is(*byte));
        let behind = |is: &dyn Fn(u8) -> bool| behind(is).map_or(start, |at| start + at + 1);
        OperatorRun {
            end: start + run.len(),
            signs: behind(&|byte| !b"+-".contains(&byte)),
            special: behind(&|byte| b"~!@#^&|`?%".contains(&byte)),
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Lexeme, Unfound>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at + length(self.text.get(self.at..)?, is_space);
        if start >= self.text.len() {
            return None;
        }
        let found = match self.pieces {
            Some(left) => Ok(self.piece(start, left)),
            None => self.lexeme(start),
        };
        let found = found.map(|(kind, end)| Lexeme { start, end, kind });
        // Behind what has no end there is nothing.
        self.at = found.map_or(self.text.len(), |lexeme| lexeme.end);
        Some(found)
    }
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

pub(crate) fn is_operator(byte: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&byte)
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn length(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    let end = text.iter().position(|byte| !is(*byte));
    end.unwrap_or(text.len())
}

fn word(text: &[u8], start: usize) -> usize {
    let part = |byte: u8| begins_word(byte) || byte.is_ascii_digit() || byte == b'$';
    start + length(&text[start..], part)
}

/// The end of a number, and of what stands right behind it and makes it none.
fn number(text: &[u8], start: usize) -> usize {
    let at = |at: usize| text.get(at).copied().unwrap_or(b' ');
    let digits = |from: usize, is: fn(&u8) -> bool| {
        let mut end = from;
        while is(&at(end)) || end > start && at(end) == b'_' && is(&at(end + 1)) {
            end += 1;
        }
        end
    };
    let radix: Option<fn(&u8) -> bool> = match (at(start), at(start + 1)) {
        (b'0', b'x' | b'X') => Some(u8::is_ascii_hexdigit),
        (b'0', b'o' | b'O') => Some(|byte| (b'0'..=b'7').contains(byte)),
        (b'0', b'b' | b'B') => Some(|byte| (b'0'..=b'1').contains(byte)),
        _ => None,
    };
    let mut end = match radix {
        Some(is_digit) => digits(start + 2, is_digit),
        None => digits(start, u8::is_ascii_digit),
    };
    if radix.is_none() {
        // `1..2` are two numbers.
        if at(end) == b'.' && (at(end + 1) != b'.' || end == start) {
            end = digits(end + 1, u8::is_ascii_digit);
        }
        if matches!(at(end), b'e' | b'E') {
            let signed = end + 1 + usize::from(matches!(at(end + 1), b'+' | b'-'));
            if at(signed).is_ascii_digit() {
                end = digits(signed, u8::is_ascii_digit);
            }
        }
    }
    if begins_word(at(end)) {
        word(text, end)
    } else {
        end
    }
}

/// What is more than a character within a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Two quotation marks are one.
    Plain,
    /// And a backslash begins an escape.
    Escapes,
    /// Nothing.
    Bits,
}

/// The end of a string whose quotation mark is at `start`, with all that goes on behind a line's end.
fn string(text: &[u8], start: usize, content: Content) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'\\' if content == Content::Escapes => at += 2,
            b'\'' if text.get(at + 1) == Some(&b'\'') && content != Content::Bits => at += 2,
            b'\'' => match continued(text, at + 1) {
                Some(next) => at = next + 1,
                None => return Some(at + 1),
            },
            _ => at += 1,
        }
    }
}

/// The quotation mark with which a string goes on: between the two are blanks and comments of a line,
/// and at least one line's end.
pub(crate) fn continued(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let mut newline = false;
    loop {
        match text.get(at)? {
            b'\n' | b'\r' => {
                newline = true;
                at += 1;
            }
            byte if is_space(*byte) => at += 1,
            b'-' if text.get(at + 1) == Some(&b'-') => at += line(&text[at..]),
            b'\'' if newline => return Some(at),
            _ => return None,
        }
    }
}

/// Whether a string goes on behind a line's end.
pub(crate) fn goes_on(string: &[u8]) -> bool {
    let mut at = 1;
    while at + 1 < string.len() {
        match string[at] {
            b'\'' if string[at + 1] != b'\'' => return true,
            b'\'' => at += 2,
            _ => at += 1,
        }
    }
    false
}

/// What is behind the blanks and comments that a text begins with. A comment without an end is left.
pub(crate) fn skip_blanks(text: &[u8]) -> &[u8] {
    let mut at = 0;
    loop {
        at += length(&text[at..], is_space);
        let end = match text.get(at..at + 2) {
            Some(b"--") => Some(at + line(&text[at..])),
            Some(b"/*") => comment(text, at),
            _ => None,
        };
        match end {
            Some(end) => at = end,
            None => return &text[at..],
        }
    }
}

/// The end of a name whose quotation mark is at `start`.
fn quoted(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'"' if text.get(at + 1) == Some(&b'"') => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of what begins a string in dollar quotes, if the dollar begins one.
fn dollar_quote(text: &[u8], start: usize) -> Option<usize> {
    let rest = &text[start + 1..];
    // Not a digit: that is a parameter.
    let tag = length(rest, |byte| begins_word(byte) || byte.is_ascii_digit());
    (rest.get(tag) == Some(&b'$')).then_some(tag + 2)
}

fn dollar_quoted(text: &[u8], start: usize, quote: usize) -> Option<usize> {
    let (quote, inside) = text[start..].split_at(quote);
    let end = inside.windows(quote.len()).position(|w| w == quote)?;
    Some(start + quote.len() + end + quote.len())
}

fn line(text: &[u8]) -> usize {
    length(text, |byte| byte != b'\n' && byte != b'\r')
}

/// Comments can stand within comments.
fn comment(text: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0;
    let mut at = start;
    loop {
        match text.get(at..at + 2)? {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Whether PostgreSQL's own lexer takes a text apart in the same way, if it takes it at all.
pub(crate) fn agrees(text: &str) -> bool {
    // pg_query makes a slice of what it is given for no tokens: a null pointer.
    if text.bytes().all(is_space) {
        return true;
    }
    let offset = |position: i32| usize::try_from(position).unwrap_or(0);
    let theirs = pg_query::scan_tokens(text).map(|tokens| {
        let extents = tokens.iter().map(|t| (offset(t.start), offset(t.end)));
        extents.collect::<Vec<_>>()
    });
    let ours = Lexer::new(text, Strings::Standard)
        .map(|lexeme| lexeme.map(|lexeme| (lexeme.start, lexeme.end)))
        .collect::<Result<Vec<_>, Unfound>>();
    theirs.is_err() || theirs.ok() == ours.ok()
}

#[cfg(test)]
mod tests;
