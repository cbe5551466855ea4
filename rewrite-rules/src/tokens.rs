//! A text's tokens: where words, parentheses and names stand, in bytes.
//!
//! The parse tree says what a statement means; only the tokens say where its clauses begin and
//! end. Comments are no tokens here.

use std::cell::Cell;
use std::ops::Range;

use crate::constants;
use pg_query::protobuf::{KeywordKind, ScanToken, Token as Kind};

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub start: usize,
    pub end: usize,
    /// Parentheses and brackets around it.
    pub depth: u32,
    pub keyword: bool,
    /// What the parser's tree takes for it, in the units of [`crate::cost::WEIGHT_MAX`].
    pub weight: u32,
    /// Somebody has looked at more of it than what kind of token it is.
    pub seen: Cell<bool>,
}

impl Token {
    /// Its character if it is a symbol of one; else a space.
    pub fn symbol(&self, text: &[u8]) -> u8 {
        match text.get(self.start) {
            Some(byte) if self.end == self.start + 1 && byte.is_ascii_punctuation() => *byte,
            _ => b' ',
        }
    }
}

/// What is known of a constant without its value: the type that PostgreSQL gives it at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constant {
    /// Of no type yet.
    String,
    Int4,
    Int8,
    Numeric,
}

impl Constant {
    /// `None` for what is no constant, and for numbers whose type depends on their value.
    pub fn of(text: &str) -> Option<Constant> {
        if text.ends_with('\'') {
            return Some(Constant::String);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        match whole.len() {
            _ if whole.len() < text.len() => Some(Constant::Numeric),
            1..=9 => Some(Constant::Int4),
            11..=18 if !whole.starts_with('0') => Some(Constant::Int8),
            _ => None,
        }
    }
}

/// The tokens of one statement within a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens<'a> {
    pub text: &'a str,
    pub tokens: &'a [Token],
}

/// Scans a whole text.
pub(crate) fn scan(text: &str) -> Result<Vec<Token>, pg_query::Error> {
    // pg_query makes a slice of what it is given for no tokens: a null pointer.
    let is_space = |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c');
    if text.bytes().all(is_space) {
        return Ok(Vec::new());
    }
    let mut depth: u32 = 0;
    let mut tokens: Vec<Token> = Vec::new();
    let mut escape_follows = false;
    for token in pg_query::scan_tokens(text)? {
        if is_comment(&token) {
            continue;
        }
        let (start, end) = (offset(token.start), offset(token.end));
        // `UESCAPE '!'` is a part of the name or the string that it stands behind.
        if let Some(before) = tokens.last_mut() {
            let escapes =
                is_uescape(&token) && has_unicode_escapes(&text[before.start..before.end]);
            if escapes || escape_follows {
                escape_follows = escapes;
                before.end = end;
                continue;
            }
        }
        let opens = matches!(text.as_bytes().get(start), Some(b'(' | b'[')) && end == start + 1;
        let closes = matches!(text.as_bytes().get(start), Some(b')' | b']')) && end == start + 1;
        depth = depth.saturating_sub(u32::from(closes));
        tokens.push(Token {
            start,
            end,
            depth,
            keyword: token.keyword_kind != KeywordKind::NoKeyword as i32,
            weight: weight(&token, text.as_bytes(), tokens.last()),
            seen: Cell::new(false),
        });
        depth += u32::from(opens);
    }
    Ok(tokens)
}

/// Measured with lists of each kind: a name may become a column of its own with all that belongs to one
/// (3.6 kB in a list of results), a constant takes half of that there.
fn weight(token: &ScanToken, text: &[u8], before: Option<&Token>) -> u32 {
    const RESERVED: i32 = KeywordKind::ReservedKeyword as i32;
    const FUNCTION: i32 = KeywordKind::TypeFuncNameKeyword as i32;
    /// A long value counts by its bytes, but not where a template may put another in its place: what
    /// the text weighs would then depend on it.
    const BYTES_EACH: usize = 256;
    let (start, end) = (offset(token.start), offset(token.end));
    let behind_dot = before.is_some_and(|before| before.symbol(text) == b'.');
    let alone = match text.get(start) {
        Some(b'.' | b',' | b':' | b')' | b']') => 0,
        // A statement has a node of its own, and what is noted of it.
        Some(b';') => 2,
        Some(b'\'' | b'$' | b'0'..=b'9') => 3,
        Some(b'"' | b'_') | None => 6,
        Some(byte) if byte.is_ascii_alphabetic() || !byte.is_ascii() => {
            match token.keyword_kind {
                RESERVED | FUNCTION => 1,
                // E'…' and its like are constants, which nobody has to know.
                _ => 6,
            }
        }
        // All that stands for all columns.
        Some(b'*') if end == start + 1 => 6,
        Some(_) => 1,
    };
    let alone = if behind_dot { alone.min(1) } else { alone };
    let bytes = if text.len() > constants::TEXT_BYTES_MAX {
        (end - start) / BYTES_EACH
    } else {
        0
    };
    alone + u32::try_from(bytes).unwrap_or(u32::MAX >> 1)
}

/// Bytes that PostgreSQL's lexer reads more than once: it takes a run of operator characters as one
/// token, and puts all but a comment's first two characters back when one begins in it; and all but
/// the first of the `+` and `-` in which it ends. A run of nothing but these costs the square of its length.
pub(crate) fn put_back_bytes(text: &str) -> usize {
    let is_operator = |byte: &u8| b"~!@#^&|`?+-*/%<>=".contains(byte);
    let mut total: usize = 0;
    let mut rest = text.as_bytes();
    while let Some(start) = rest.iter().position(is_operator) {
        let run = rest[start..].iter().take_while(|byte| is_operator(byte));
        let run = &rest[start..start + run.count()];
        let comments = run.windows(2).filter(|pair| *pair == b"/*").count();
        // What stands behind `--` is a comment's.
        let line = run.windows(2).position(|pair| pair == b"--");
        let signs = run[..line.unwrap_or(run.len())].iter();
        let signs = signs.filter(|byte| b"+-".contains(byte)).count();
        total = total.saturating_add((comments + signs).saturating_mul(run.len()));
        rest = &rest[start + run.len()..];
    }
    total
}

fn is_comment(token: &ScanToken) -> bool {
    token.token == Kind::SqlComment as i32 || token.token == Kind::CComment as i32
}

fn is_uescape(token: &ScanToken) -> bool {
    token.token == Kind::Uescape as i32
}

fn has_unicode_escapes(token: &str) -> bool {
    matches!(token.as_bytes(), [b'u' | b'U', b'&', b'"' | b'\'', ..])
}

fn offset(position: i32) -> usize {
    usize::try_from(position).unwrap_or(0)
}

impl<'a> Tokens<'a> {
    /// The tokens inside a byte range.
    pub fn within(&self, range: &Range<usize>) -> Tokens<'a> {
        let from = self
            .tokens
            .partition_point(|token| token.start < range.start);
        let to = self.tokens.partition_point(|token| token.start < range.end);
        Tokens {
            text: self.text,
            tokens: &self.tokens[from..to.max(from)],
        }
    }

    /// From the first token's start to the last one's end: without comments around it.
    pub fn extent(&self) -> Range<usize> {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    pub fn str(&self, token: &Token) -> &'a str {
        token.seen.set(true);
        self.text_of(token)
    }

    fn text_of(&self, token: &Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    pub fn is_word(&self, token: &Token, word: &str) -> bool {
        token.keyword && self.text_of(token).eq_ignore_ascii_case(word)
    }

    /// Whether it is a symbol, which begins with neither a quotation mark nor a digit.
    pub fn is_symbol(&self, token: &Token, symbol: &str) -> bool {
        self.text_of(token) == symbol
    }

    pub fn constant(&self, token: &Token) -> Option<Constant> {
        Constant::of(self.text_of(token))
    }

    /// Its first character, which tells what it is; of a number `0`.
    pub fn first(&self, token: &Token) -> char {
        match self.text_of(token).chars().next() {
            Some(c) if c.is_ascii_digit() => '0',
            first => first.unwrap_or(' '),
        }
    }

    fn base_depth(&self) -> u32 {
        self.tokens.first().map_or(0, |token| token.depth)
    }

    /// The index of a keyword outside all parentheses, from index `from` on.
    pub fn word(&self, word: &str, from: usize) -> Option<usize> {
        let depth = self.base_depth();
        (from..self.tokens.len())
            .find(|&i| self.tokens[i].depth == depth && self.is_word(&self.tokens[i], word))
    }

    /// Like [`Tokens::word`], for `FROM`, which also ends `IS [NOT] DISTINCT FROM`.
    pub fn word_from(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let found = self.word("from", at)?;
            let distinct = found > 0 && self.is_word(&self.tokens[found - 1], "distinct");
            if !distinct {
                return Some(found);
            }
            at = found + 1;
        }
    }

    /// The index of the token that starts at a byte offset.
    pub fn at(&self, start: usize) -> Option<usize> {
        self.tokens
            .binary_search_by_key(&start, |token| token.start)
            .ok()
    }

    /// The byte range of a dotted name of `parts` parts that starts at a byte offset.
    pub fn dotted(&self, start: usize, parts: usize) -> Option<Range<usize>> {
        let first = self.at(start)?;
        let last = first + parts.checked_sub(1)? * 2;
        let dots = (first + 1..last)
            .step_by(2)
            .all(|i| self.tokens.get(i).is_some_and(|t| self.is_symbol(t, ".")));
        dots.then(|| Some(start..self.tokens.get(last)?.end))
            .flatten()
    }

    /// Splits at commas outside all parentheses.
    pub fn split(&self) -> Vec<Tokens<'a>> {
        let depth = self.base_depth();
        self.tokens
            .split(|token| token.depth == depth && self.is_symbol(token, ","))
            .map(|tokens| Tokens {
                text: self.text,
                tokens,
            })
            .collect()
    }

    /// What stands between the parenthesis at an index and its partner, and the partner's index.
    pub fn parenthesised(&self, open: usize) -> Option<(Tokens<'a>, usize)> {
        let token = self
            .tokens
            .get(open)
            .filter(|token| self.is_symbol(token, "("))?;
        let close = (open + 1..self.tokens.len()).find(|&i| {
            self.tokens[i].depth == token.depth && self.is_symbol(&self.tokens[i], ")")
        })?;
        Some((
            Tokens {
                text: self.text,
                tokens: &self.tokens[open + 1..close],
            },
            close,
        ))
    }

    pub fn slice(&self, range: Range<usize>) -> Tokens<'a> {
        Tokens {
            text: self.text,
            tokens: &self.tokens[range],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_tokens_has_none() {
        for text in ["", " \t\n\r\u{b}\u{c}", "-- nothing", " /* nothing */ "] {
            assert!(scan(text).expect("it is scanned").is_empty(), "{text:?}");
        }
        assert_eq!(scan(" a ").expect("it is scanned").len(), 1);
    }

    #[test]
    fn what_says_how_a_name_is_escaped_is_a_part_of_it() {
        let text = "SELECT U&\"a!0062\" UESCAPE '!' . U&'x' /* */ uescape '?', uescape";
        let scanned = scan(text).expect("it is scanned");
        let said: Vec<&str> = scanned.iter().map(|t| &text[t.start..t.end]).collect();
        let escaped = "U&\"a!0062\" UESCAPE '!'";
        let string = "U&'x' /* */ uescape '?'";
        assert_eq!(said, ["SELECT", escaped, ".", string, ",", "uescape"]);
    }
}
