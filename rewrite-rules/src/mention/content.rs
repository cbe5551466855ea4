//! What names and strings say: quotation marks that are doubled, and escapes, written out. Where they end the lexer has
//! said.

use std::iter::Peekable;
use std::str::Chars;

use crate::text::lexer::{self, Lexeme, LexemeKind, Lexer, Strings, Unended};

/// PostgreSQL cuts longer names off.
pub(super) const NAME_BYTES_MAX: usize = 63;

/// Of what begins without an end.
pub(super) const UNENDED_MAX: usize = 50;
pub(super) const UNENDED: Unended = Unended {
    others: UNENDED_MAX,
    quotes: UNENDED_MAX,
};

/// What a token says that is a string constant.
pub(crate) fn constant(token: &str) -> Option<String> {
    let mut lexer = Lexer::of_piece(token, Strings::Standard, UNENDED);
    let lexeme = lexer.find_map(Result::ok)?;
    let said = &token[lexeme.start..lexeme.end];
    match lexeme.kind {
        LexemeKind::String | LexemeKind::PrefixedString | LexemeKind::DollarString => {
            let (escape, _) = uescape(token, lexeme);
            Some(content(said, Strings::Standard, escape))
        }
        LexemeKind::Comment
        | LexemeKind::Word
        | LexemeKind::Quoted
        | LexemeKind::Number
        | LexemeKind::Parameter
        | LexemeKind::Symbol => None,
    }
}

pub(super) fn cut(mut name: String) -> String {
    if name.len() > NAME_BYTES_MAX {
        let ends = (0..=NAME_BYTES_MAX).rev();
        let end = ends.into_iter().find(|&at| name.is_char_boundary(at));
        name.truncate(end.unwrap_or(0));
    }
    name
}

/// What a name in quotation marks is.
pub(super) fn quoted_name(said: &str, escape: char) -> String {
    let body = said.trim_start_matches(['u', 'U', '&']);
    let name = body[1..body.len() - 1].replace("\"\"", "\"");
    match body.len() == said.len() {
        true => cut(name),
        false => cut(unescaped_unicode(&name, escape)),
    }
}

/// What a string constant of any kind says, with all that goes on behind a line's end.
pub(super) fn content(said: &str, strings: Strings, escape: char) -> String {
    if let Some(tag) = said.strip_prefix('$') {
        let quote = tag.find('$').map_or(1, |at| at + 2);
        return said[quote..said.len() - quote].to_owned();
    }
    let at = said.find('\'').unwrap_or(0);
    let is = |prefix: &str| said[..at].eq_ignore_ascii_case(prefix);
    let escapes = is("e") || at == 0 && strings == Strings::Escapes;
    let mut content = String::new();
    let mut rest = &said[at..];
    loop {
        let (part, behind) = until_quote(&rest[1..], escapes);
        // None of the escapes goes on in another part.
        match escapes {
            true => content += &unescaped(&part),
            false => content += &part,
        }
        match lexer::continued(behind.as_bytes(), 0) {
            Some(quote) => rest = &behind[quote..],
            None => break,
        }
    }
    match is("u&") {
        true => unescaped_unicode(&content, escape),
        false => content,
    }
}

/// Up to the quotation mark that is not doubled, and what is behind it; with `escapes` backslashes stay, with what
/// they escape.
fn until_quote(body: &str, escapes: bool) -> (String, &str) {
    let mut content = String::new();
    let mut chars = body.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            content.push(c);
            content.extend(chars.next().map(|(_, c)| c));
        } else if c == '\'' {
            if chars.next_if(|(_, next)| *next == '\'').is_none() {
                return (content, &body[at + 1..]);
            }
            content.push(c);
        } else {
            content.push(c);
        }
    }
    (content, "")
}

/// What escapes in a name or a string: what UESCAPE behind it says, where it is one with Unicode escapes; and the place
/// behind all of it.
pub(super) fn uescape(text: &str, lexeme: Lexeme) -> (char, usize) {
    let none = ('\\', lexeme.end);
    if !text[lexeme.start..].starts_with(['u', 'U']) {
        return none;
    }
    let behind = &text[lexeme.end..];
    let lexemes = Lexer::of_piece(behind, Strings::Standard, UNENDED).filter_map(Result::ok);
    let mut lexemes = lexemes.filter(|lexeme| lexeme.kind != LexemeKind::Comment);
    let word = lexemes.next();
    let says = |found: &Lexeme| behind[found.start..found.end].eq_ignore_ascii_case("uescape");
    let string = lexemes.next().filter(|_| word.as_ref().is_some_and(says));
    match string.filter(|found| found.kind == LexemeKind::String) {
        Some(found) => {
            let said = content(&behind[found.start..found.end], Strings::Standard, '\\');
            (said.chars().next().unwrap_or('\\'), lexeme.end + found.end)
        }
        None => none,
    }
}

/// `\0061`, `\+000061`, `\\`.
fn unescaped_unicode(text: &str, escape: char) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != escape {
            out.push(c);
        } else if chars.next_if_eq(&escape).is_some() {
            out.push(escape);
        } else {
            let digits = if chars.next_if_eq(&'+').is_some() {
                6
            } else {
                4
            };
            out.extend(number(&mut chars, 16, digits));
        }
    }
    out
}

/// The escapes of `E'…'`.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.peek().copied() {
            Some('0'..='7') => out.extend(number(&mut chars, 8, 3)),
            Some(kind @ ('x' | 'u' | 'U')) => {
                chars.next();
                let digits = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                out.extend(number(&mut chars, 16, digits));
            }
            Some(other) => {
                chars.next();
                out.push(match other {
                    'b' | 'f' | 'n' | 'r' | 't' => ' ',
                    other => other,
                });
            }
            None => {}
        }
    }
    out
}

fn number(chars: &mut Peekable<Chars<'_>>, radix: u32, digits_max: usize) -> Option<char> {
    let mut value: u32 = 0;
    for _ in 0..digits_max {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else {
            break;
        };
        chars.next();
        value = value * radix + digit;
    }
    char::from_u32(value)
}
