//! A text's tokens: where words, parentheses and names stand, in bytes.
//!
//! The parse tree says what a statement means; only the tokens say where its clauses begin and
//! end. Comments are no tokens here.

mod place;

use std::cell::Cell;
use std::ops::Range;

use crate::constants;
use crate::text::keywords;
use crate::text::lexer::{self, Lexeme, LexemeKind, Lexer, Strings, Unfound, is_operator};

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub start: usize,
    pub end: usize,
    /// Parentheses, brackets and CASE … END around it.
    pub depth: u32,
    /// A keyword that acts as one where it stands, and names nothing (see [`place`]).
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
pub(crate) enum ConstantKind {
    /// Of no type yet.
    String,
    Int4,
    Int8,
    Numeric,
}

impl ConstantKind {
    /// `None` for what is no constant, and for numbers whose type depends on their value.
    pub fn of(text: &str) -> Option<ConstantKind> {
        if text.ends_with('\'') {
            return Some(ConstantKind::String);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        match whole.len() {
            _ if whole.len() < text.len() => Some(ConstantKind::Numeric),
            1..=9 => Some(ConstantKind::Int4),
            11..=18 if !whole.starts_with('0') => Some(ConstantKind::Int8),
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

/// Takes a whole text apart. Debug builds compare with PostgreSQL's lexer each time.
pub(crate) fn scan(text: &str) -> Result<Vec<Token>, Unfound> {
    debug_assert!(
        lexer::agrees(text),
        "PostgreSQL's lexer finds others: {text}"
    );
    let mut tokens: Vec<Token> = Vec::new();
    let mut escape_follows = false;
    for lexeme in Lexer::new(text, Strings::Standard) {
        let lexeme = lexeme?;
        let (start, end) = (lexeme.start, lexeme.end);
        if lexeme.kind == LexemeKind::Comment {
            continue;
        }
        // `UESCAPE '!'` is a part of the name or the string that it stands behind.
        if let Some(before) = tokens.last_mut() {
            let escapes = text[start..end].eq_ignore_ascii_case("uescape")
                && has_unicode_escapes(&text[before.start..before.end]);
            if escapes || escape_follows {
                escape_follows = escapes;
                before.end = end;
                continue;
            }
        }
        tokens.push(Token {
            start,
            end,
            depth: 0,
            keyword: lexeme.kind == LexemeKind::Word,
            weight: weight(&lexeme, text, tokens.last()),
            seen: Cell::new(false),
        });
    }
    place::all(text, &mut tokens);
    Ok(tokens)
}

/// Measured with lists of each kind: a name may become a column of its own with all that belongs to one
/// (3.6 kB in a list of results), a constant takes half of that there.
fn weight(lexeme: &Lexeme, text: &str, before: Option<&Token>) -> u32 {
    /// A long value counts by its bytes, but not where a template may put another in its place: what
    /// the text weighs would then depend on it.
    const BYTES_EACH: usize = 256;
    let said = &text[lexeme.start..lexeme.end];
    let behind_dot = before.is_some_and(|before| before.symbol(text.as_bytes()) == b'.');
    let alone = match said.as_bytes().first() {
        Some(b'.' | b',' | b':' | b')' | b']') => 0,
        // A statement has a node of its own, and what is noted of it.
        Some(b';') => 2,
        Some(b'\'' | b'$' | b'0'..=b'9') => 3,
        Some(b'"' | b'_') | None => 6,
        Some(byte) if byte.is_ascii_alphabetic() || !byte.is_ascii() => {
            // E'…' and its like are constants, which nobody has to know.
            if keywords::names_no_column(said) {
                1
            } else {
                6
            }
        }
        // All that stands for all columns.
        Some(b'*') if said.len() == 1 => 6,
        Some(_) => 1,
    };
    let alone = if behind_dot { alone.min(1) } else { alone };
    let bytes = if text.len() > constants::TEXT_BYTES_MAX {
        said.len() / BYTES_EACH
    } else {
        0
    };
    alone + u32::try_from(bytes).unwrap_or(u32::MAX >> 1)
}

/// Bytes that PostgreSQL's lexer reads more than once: it takes a run of operator characters as one
/// token, and puts all but a comment's first two characters back when one begins in it; and all but
/// the first of the `+` and `-` in which it ends. A run of nothing but these costs the square of its length.
pub(crate) fn put_back_bytes(text: &str) -> usize {
    let mut total: usize = 0;
    let mut rest = text.as_bytes();
    while let Some(start) = rest.iter().position(|byte| is_operator(*byte)) {
        let run = rest[start..].iter().take_while(|byte| is_operator(**byte));
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

fn has_unicode_escapes(token: &str) -> bool {
    matches!(token.as_bytes(), [b'u' | b'U', b'&', b'"' | b'\'', ..])
}

impl<'a> Tokens<'a> {
    /// The tokens inside a byte range.
    pub fn within(&self, range: &Range<usize>) -> Tokens<'a> {
        let from = self.first_behind(range.start);
        let to = self.first_behind(range.end);
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

    pub fn constant(&self, token: &Token) -> Option<ConstantKind> {
        ConstantKind::of(self.text_of(token))
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

    /// Whether the token at an index is this keyword.
    pub fn is(&self, at: usize, word: &str) -> bool {
        let token = self.tokens.get(at);
        token.is_some_and(|token| self.is_word(token, word))
    }

    pub fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(at, word))
    }

    /// The tokens from an index on that stand where the first one does, outside of all that is within it.
    fn outside(&self, from: usize) -> impl Iterator<Item = usize> {
        let depth = self.base_depth();
        (from..self.tokens.len())
            .take_while(move |&at| self.tokens[at].depth >= depth)
            .filter(move |&at| self.tokens[at].depth == depth)
    }

    /// The index of a keyword outside of parentheses and CASE … END, from index `from` on.
    pub fn word(&self, word: &str, from: usize) -> Option<usize> {
        self.outside(from).find(|&at| self.is(at, word))
    }

    /// The index of a symbol outside of all parentheses.
    pub fn symbol(&self, symbol: &str) -> Option<usize> {
        let mut outside = self.outside(0);
        outside.find(|&at| self.is_symbol(&self.tokens[at], symbol))
    }

    /// From the first token up to the next clause, or to the end of the parentheses around.
    pub fn up_to_clause(&self) -> Tokens<'a> {
        self.up_to(|at| self.is_any(at, &place::CLAUSES))
    }

    /// From the first token up to the next item of the list, or to where the list ends.
    pub fn up_to_item(&self) -> Tokens<'a> {
        let comma = |at: usize| self.is_symbol(&self.tokens[at], ",");
        self.up_to(|at| comma(at) || self.is_any(at, &place::CLAUSES))
    }

    fn up_to(&self, ends: impl Fn(usize) -> bool) -> Tokens<'a> {
        let depth = self.base_depth();
        let mut all = self.tokens.iter().enumerate();
        let end = all.position(|(at, token)| {
            token.depth < depth || token.depth == depth && (ends(at) || self.is_symbol(token, ";"))
        });
        self.slice(0..end.unwrap_or(self.tokens.len()))
    }

    /// The index of the token that starts at a byte offset.
    pub fn at(&self, start: usize) -> Option<usize> {
        self.tokens
            .binary_search_by_key(&start, |token| token.start)
            .ok()
    }

    /// The index of the first token behind a place, or of one that begins there.
    pub fn first_behind(&self, place: usize) -> usize {
        self.tokens.partition_point(|token| token.start < place)
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
        self.split_at(",").collect()
    }

    pub fn split_at(self, symbol: &'static str) -> impl Iterator<Item = Tokens<'a>> {
        let depth = self.base_depth();
        let splits = move |token: &Token| token.depth == depth && self.is_symbol(token, symbol);
        let text = self.text;
        let parts = self.tokens.split(splits);
        parts.map(move |tokens| Tokens { text, tokens })
    }

    /// What stands between the parenthesis at an index and its partner, and the partner's index.
    pub fn parenthesised(&self, open: usize) -> Option<(Tokens<'a>, usize)> {
        self.between(open, ["(", ")"])
    }

    /// The same of a bracket.
    pub fn bracketed(&self, open: usize) -> Option<(Tokens<'a>, usize)> {
        self.between(open, ["[", "]"])
    }

    fn between(&self, open: usize, [opens, closes]: [&str; 2]) -> Option<(Tokens<'a>, usize)> {
        let first = self.tokens.get(open)?;
        let depth = self.is_symbol(first, opens).then_some(first.depth)?;
        let ends = |token: &Token| token.depth == depth && self.is_symbol(token, closes);
        let close = open + 1 + self.tokens[open + 1..].iter().position(ends)?;
        Some((self.slice(open + 1..close), close))
    }

    /// What stands between the first token and the last, if these are the parentheses around all of them.
    pub fn all_parenthesised(&self) -> Option<Tokens<'a>> {
        let (inner, close) = self.parenthesised(0)?;
        (close + 1 == self.tokens.len()).then_some(inner)
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
