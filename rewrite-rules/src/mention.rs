//! Which names stand in a text that the server reads and runs by itself: the body of a function or of
//! DO, SQL in an argument.
//!
//! ```text
//! BEGIN UPDATE ISO_AGENTS SET …; EXECUTE 'DELETE FROM public."iso_agents"'; END
//!              iso_agents                               public.iso_agents
//! ```
//!
//! Such a text is lexed as PostgreSQL lexes it (names folded unless quoted, escapes written out,
//! comments left out), strings within strings too, and no more: every word may be a table's name.
//! What a text puts together from parts (`'iso_' || 'agents'`) is not seen.

use std::collections::HashSet;
use std::iter::Peekable;
use std::str::Chars;

use crate::lens::TableName;
use crate::text::{keywords, lexer};

/// Strings within strings: each level doubles its quotation marks, so that nobody writes a fifth.
const DEPTH_MAX: usize = 5;
/// PostgreSQL cuts longer names off.
const NAME_BYTES_MAX: usize = 63;

/// Beginnings of comments and of strings without an end that are looked at: each costs a look at all that
/// is behind it. Those that come later are read over, so that more counts as a name.
const UNENDED_MAX: usize = 50;

/// A name as it may be a table's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mention {
    pub schema: Option<String>,
    pub name: String,
    pub written: Spelling,
}

/// How a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spelling {
    /// As a word, which a reserved one cannot be.
    Plain,
    Quoted,
    /// As the whole of a string, which may be put behind a schema: `format('public.%I', 'iso_agents')`.
    String,
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    /// SQL or PL/pgSQL. `strings`: those in it count whatever it does with them.
    Sql { strings: bool },
    /// Any other that can hold SQL in its strings, whose quotation marks are not known.
    Other,
}

impl Language {
    /// By the name that the catalog has for it; `None` for those whose bodies say where the code is.
    pub fn of(name: &str) -> Option<Language> {
        match name.to_ascii_lowercase().as_str() {
            "sql" | "plpgsql" => Some(Language::Sql { strings: false }),
            "c" | "internal" => None,
            _ => Some(Language::Other),
        }
    }
}

/// What is to be said of a function of the database whose body names no proxy ever reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It names the table.
    Names,
    /// It puts SQL together, of which nothing is known.
    Computes,
    Neither,
}

impl Body {
    /// A body in a language, by the name that the catalog has for it.
    #[must_use]
    pub fn of(language: &str, source: &str, table: &TableName) -> Body {
        let Some(language) = Language::of(language) else {
            return Body::Neither;
        };
        if name(&mentions(source, language), table, true) {
            Body::Names
        } else if language != Language::Other && runs_strings(source, false) {
            Body::Computes
        } else {
            Body::Neither
        }
    }
}

/// Whether a table is among the names in a text. `by_itself`: it may be meant without its schema.
pub(crate) fn name(names: &HashSet<Mention>, table: &TableName, by_itself: bool) -> bool {
    let has = |schema: Option<&String>, written| {
        names.contains(&Mention {
            schema: schema.cloned(),
            name: table.name.clone(),
            written,
        })
    };
    let schema = Some(&table.schema);
    // A reserved word is no name unless it is quoted, and any is one behind a dot.
    let with_schema = has(schema, Spelling::Quoted) || has(schema, Spelling::Plain);
    let alone = has(None, Spelling::Quoted)
        || has(None, Spelling::Plain) && !keywords::is_reserved(&table.name);
    with_schema || by_itself && alone || has(None, Spelling::String)
}

/// Every name in a text, once.
pub(crate) fn mentions(text: &str, language: Language) -> HashSet<Mention> {
    let mut found = HashSet::new();
    match language {
        Language::Other => words(text, &mut found),
        Language::Sql { strings } => {
            lexed(text, strings, &mut found);
        }
    }
    found
}

/// What a token says that is a string constant.
pub(crate) fn constant(token: &str) -> Option<String> {
    let (content, _) = string(token, false)?;
    Some(content)
}

fn lexed(text: &str, strings: bool, found: &mut HashSet<Mention>) {
    // Whether a backslash in a plain string escapes something is a setting of the server's.
    for escapes in [false, true] {
        let strings = strings || runs_strings(text, escapes);
        let depth_left = if strings { DEPTH_MAX } else { 0 };
        let mut lexer = Lexer {
            escapes,
            depth_left,
            unended_left: UNENDED_MAX,
            unended_quotes_left: UNENDED_MAX,
            found,
        };
        lexer.read(text);
        if !text.contains('\\') {
            return;
        }
    }
}

/// Whether a body runs what its strings say.
fn runs_strings(text: &str, escapes: bool) -> bool {
    let mut words = HashSet::new();
    let mut lexer = Lexer {
        escapes,
        depth_left: 0,
        unended_left: UNENDED_MAX,
        unended_quotes_left: UNENDED_MAX,
        found: &mut words,
    };
    lexer.read(text);
    words
        .iter()
        .any(|word| word.name == "execute" || crate::text_functions::runs_text(&word.name))
}

/// Words between anything that is no part of a word, folded and as they are.
fn words(text: &str, found: &mut HashSet<Mention>) {
    let part = |c: char| is_name_start(c) || c.is_ascii_digit() || c == '$';
    for word in text.split(|c| !part(c)) {
        for name in [word.to_owned(), folded(word)] {
            found.insert(Mention {
                schema: None,
                name,
                written: Spelling::Quoted,
            });
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn folded(word: &str) -> String {
    cut(word.to_ascii_lowercase())
}

fn cut(mut name: String) -> String {
    if name.len() > NAME_BYTES_MAX {
        let ends = (0..=NAME_BYTES_MAX).rev();
        let end = ends.into_iter().find(|&at| name.is_char_boundary(at));
        name.truncate(end.unwrap_or(0));
    }
    name
}

struct Lexer<'f> {
    /// Backslashes in plain strings escape.
    escapes: bool,
    /// How deep strings are read.
    depth_left: usize,
    unended_left: usize,
    /// Of strings in quotation marks, for each string that is read anew: in what is SQL, read as the server
    /// reads it, there are none, and what is none must not leave those behind it unread.
    unended_quotes_left: usize,
    found: &'f mut HashSet<Mention>,
}

/// What a name may stand behind.
enum StandsBehind {
    Nothing,
    Name(String),
    Dot(String),
}

impl Lexer<'_> {
    fn read(&mut self, text: &str) {
        let mut before = StandsBehind::Nothing;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if is_space(first) {
                rest = &rest[1..];
            } else if let Some(behind) = self.comment(rest) {
                rest = behind;
            } else if let Some((name, behind)) = quoted_name(rest) {
                self.name(name, Spelling::Quoted, &mut before);
                rest = behind;
            } else if let Some((content, behind)) = self.constant(rest) {
                self.string(&content);
                before = StandsBehind::Nothing;
                rest = behind;
            } else if is_name_start(first) {
                let end = |c: char| !(is_name_start(c) || c.is_ascii_digit() || c == '$');
                let end = rest.find(end).unwrap_or(rest.len());
                self.name(folded(&rest[..end]), Spelling::Plain, &mut before);
                rest = &rest[end..];
            } else {
                before = match before {
                    StandsBehind::Name(name) if first == '.' => StandsBehind::Dot(name),
                    StandsBehind::Nothing | StandsBehind::Name(_) | StandsBehind::Dot(_) => {
                        StandsBehind::Nothing
                    }
                };
                rest = &rest[first.len_utf8()..];
            }
        }
    }

    fn comment<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let begins = text.starts_with("/*");
        if begins && self.unended_left == 0 {
            return None;
        }
        let behind = comment(text);
        self.unended_left -= usize::from(begins && behind.is_none());
        behind
    }

    fn constant<'t>(&mut self, text: &'t str) -> Option<(String, &'t str)> {
        let left = if text.starts_with('$') {
            &mut self.unended_left
        } else {
            &mut self.unended_quotes_left
        };
        if *left == 0 || !begins_string(text) {
            return None;
        }
        let found = string(text, self.escapes);
        *left -= usize::from(found.is_none());
        found
    }

    fn name(&mut self, name: String, written: Spelling, before: &mut StandsBehind) {
        let schema = match std::mem::replace(before, StandsBehind::Name(name.clone())) {
            StandsBehind::Dot(schema) => Some(schema),
            StandsBehind::Nothing | StandsBehind::Name(_) => None,
        };
        self.found.insert(Mention {
            schema,
            name,
            written,
        });
    }

    /// A string may be a name, for `format('%I', …)`, or SQL.
    fn string(&mut self, content: &str) {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return;
        };
        if content.len() <= NAME_BYTES_MAX {
            self.found.insert(Mention {
                schema: None,
                name: content.to_owned(),
                written: Spelling::String,
            });
        }
        let mut inner = Lexer {
            depth_left,
            escapes: self.escapes,
            unended_left: self.unended_left,
            unended_quotes_left: UNENDED_MAX,
            found: self.found,
        };
        inner.read(content);
        self.unended_left = inner.unended_left;
    }
}

/// What is behind a comment that the text begins with. One without an end is a piece of something.
fn comment(text: &str) -> Option<&str> {
    if let Some(line) = text.strip_prefix("--") {
        let end = line.find(['\n', '\r']).unwrap_or(line.len());
        return Some(&line[end..]);
    }
    let mut rest = text.strip_prefix("/*")?;
    let mut depth = 1_usize;
    while depth > 0 {
        let at = rest.find(['*', '/'])?;
        rest = &rest[at..];
        (depth, rest) = match rest.as_bytes() {
            [b'/', b'*', ..] => (depth + 1, &rest[2..]),
            [b'*', b'/', ..] => (depth - 1, &rest[2..]),
            _ => (depth, &rest[1..]),
        };
    }
    Some(rest)
}

/// What is behind the blanks and comments that the text begins with.
fn skip_blanks(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(is_space);
        match comment(text) {
            Some(behind) => text = behind,
            None => return text,
        }
    }
}

/// `"name"` or `U&"name"` at the beginning, and what is behind it.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let escaped = text
        .get(..3)
        .filter(|prefix| prefix.eq_ignore_ascii_case("u&\""));
    let body = match escaped {
        Some(_) => &text[3..],
        None => text.strip_prefix('"')?,
    };
    let (name, behind) = until_quote(body, '"', false)?;
    Some(match escaped {
        None => (cut(name), behind),
        Some(_) => {
            let (escape, behind) = uescape(behind);
            (cut(unescaped_unicode(&name, escape)), behind)
        }
    })
}

/// Whether a text begins as a string constant does, if it has an end.
fn begins_string(text: &str) -> bool {
    let quoted = |prefix: &str| {
        let said = text.get(..prefix.len());
        said.is_some_and(|said| said.eq_ignore_ascii_case(prefix))
    };
    ["'", "$", "e'", "n'", "u&'"].into_iter().any(quoted)
}

/// A string constant of any kind at the beginning, with what continues it on further lines, its content,
/// and what is behind it.
fn string(text: &str, escapes: bool) -> Option<(String, &str)> {
    if text.starts_with('$') {
        return dollar_quoted(text);
    }
    let prefix = |prefix: &str| {
        let said = text.get(..prefix.len())?;
        said.eq_ignore_ascii_case(prefix)
            .then(|| &text[prefix.len()..])
    };
    if let Some(body) = prefix("u&'") {
        let (content, behind) = until_end(body, false)?;
        let (escape, behind) = uescape(behind);
        return Some((unescaped_unicode(&content, escape), behind));
    }
    let (body, escapes) = match prefix("e'") {
        Some(body) => (body, true),
        None => (prefix("'").or_else(|| prefix("n'"))?, escapes),
    };
    until_end(body, escapes)
}

/// Up to the quotation mark behind which the string does not go on. `escapes`: those of `E'…'` are written
/// out, of which none goes on in another part.
fn until_end(body: &str, escapes: bool) -> Option<(String, &str)> {
    let part = |body| {
        let (content, behind) = until_quote(body, '\'', escapes)?;
        Some(match escapes {
            true => (unescaped(&content), behind),
            false => (content, behind),
        })
    };
    let (mut content, mut behind) = part(body)?;
    while let Some(quote) = lexer::continued(behind.as_bytes(), 0) {
        let Some((more, end)) = part(&behind[quote + 1..]) else {
            break;
        };
        content += &more;
        behind = end;
    }
    Some((content, behind))
}

/// Up to the quotation mark that is not doubled; with `escapes` backslashes stay, with what they escape.
/// Without an end it is a piece of something: all of it.
fn until_quote(body: &str, quote: char, escapes: bool) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut chars = body.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            content.push(c);
            content.extend(chars.next().map(|(_, c)| c));
        } else if c == quote {
            if chars.next_if(|(_, next)| *next == quote).is_none() {
                return Some((content, &body[at + quote.len_utf8()..]));
            }
            content.push(c);
        } else {
            content.push(c);
        }
    }
    // Read as if the quotation mark were not there.
    None
}

fn dollar_quoted(text: &str) -> Option<(String, &str)> {
    let tag_end = text[1..].find('$')? + 2;
    let (tag, body) = text.split_at(tag_end);
    let name = &tag[1..tag_end - 1];
    let fits = name.chars().all(|c| is_name_start(c) || c.is_ascii_digit())
        && !name.starts_with(|c: char| c.is_ascii_digit());
    let end = body.find(tag).filter(|_| fits)?;
    Some((body[..end].to_owned(), &body[end + tag.len()..]))
}

/// `UESCAPE 'c'` behind a text with Unicode escapes.
fn uescape(text: &str) -> (char, &str) {
    let trimmed = skip_blanks(text);
    let word = trimmed.get(..7).unwrap_or_default();
    let said = if word.eq_ignore_ascii_case("uescape") {
        string(skip_blanks(&trimmed[7..]), false)
    } else {
        None
    };
    match said {
        Some((escape, behind)) => (escape.chars().next().unwrap_or('\\'), behind),
        None => ('\\', text),
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

#[cfg(test)]
mod tests;
