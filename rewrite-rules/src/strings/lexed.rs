//! Where the strings of a text begin and end, found without a parser.

/// Goes before a plain string: the blank keeps it apart from a word before it.
pub(super) const MARK: &str = " E";

/// How the server reads plain strings: the setting `standard_conforming_strings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    /// A backslash is a character like any other.
    Standard,
    /// A backslash begins an escape.
    Escapes,
}

/// Why the strings of a text are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfound {
    /// Not all of them are to be found, or one is of a kind that no mark makes another.
    Lost,
    /// PostgreSQL's lexer comes to a constant that it never takes, whatever stands behind it: of such a text
    /// it runs nothing.
    NeverTaken,
}

/// Where the plain strings begin that have an escape.
pub(super) fn escaped_strings(text: &[u8]) -> Result<Vec<usize>, Unfound> {
    plain_strings(text, Strings::Escapes)
}

/// PostgreSQL's lexer, as far as it decides where plain strings begin and end: gives those that have a
/// backslash.
pub(super) fn plain_strings(text: &[u8], strings: Strings) -> Result<Vec<usize>, Unfound> {
    let lost = Unfound::Lost;
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let next = text.get(at + 1).copied();
        at = match byte {
            b'\'' => {
                let (end, escapes) = string(text, at, strings == Strings::Escapes).ok_or(lost)?;
                if escapes {
                    found.push(at);
                }
                end
            }
            b'"' => quoted(text, at).ok_or(lost)?,
            b'$' => dollar_quoted(text, at).ok_or(lost)?,
            b'-' if next == Some(b'-') => at + line(&text[at..]),
            b'/' if next == Some(b'*') => comment(text, at).ok_or(lost)?,
            b'e' | b'E' if next == Some(b'\'') => string(text, at + 1, true).ok_or(lost)?.0,
            // Bits, of which none is a backslash.
            b'b' | b'B' | b'x' | b'X' if next == Some(b'\'') => {
                string(text, at + 1, false).ok_or(lost)?.0
            }
            // A string of another type, which takes no mark.
            b'n' | b'N' if next == Some(b'\'') => {
                let (end, escapes) =
                    string(text, at + 1, strings == Strings::Escapes).ok_or(lost)?;
                if escapes {
                    return Err(lost);
                }
                end
            }
            b'u' | b'U' if next == Some(b'&') => match text.get(at + 2) {
                // PostgreSQL takes none of these while backslashes escape.
                Some(b'\'') if strings == Strings::Escapes => return Err(Unfound::NeverTaken),
                Some(b'\'') => string(text, at + 2, false).ok_or(lost)?.0,
                Some(b'"') => quoted(text, at + 2).ok_or(lost)?,
                Some(_) | None => at + 1,
            },
            _ if begins_word(byte) => {
                at + 1
                    + length(&text[at + 1..], |byte| {
                        begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
                    })
            }
            b'0'..=b'9' => {
                at + length(&text[at..], |byte| {
                    begins_word(byte) || byte.is_ascii_digit() || byte == b'.'
                })
            }
            _ => at + 1,
        };
    }
    Ok(found)
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn length(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|byte| !is(*byte))
        .unwrap_or(text.len())
}

/// The end of a string that begins with this quotation mark, with all that goes on behind a line's
/// end, and whether it has a backslash.
fn string(text: &[u8], start: usize, escapes: bool) -> Option<(usize, bool)> {
    let mut has_escape = false;
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'\\' => {
                has_escape = true;
                at += if escapes { 2 } else { 1 };
            }
            b'\'' if text.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => match continued(text, at + 1) {
                Some(next) => at = next + 1,
                None => return Some((at + 1, has_escape)),
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
            b' ' | b'\t' | b'\x0b' | b'\x0c' => at += 1,
            b'-' if text.get(at + 1) == Some(&b'-') => at += line(&text[at..]),
            b'\'' if newline => return Some(at),
            _ => return None,
        }
    }
}

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

/// Behind a string in dollar quotes, or behind the dollar of something else.
fn dollar_quoted(text: &[u8], start: usize) -> Option<usize> {
    let rest = &text[start + 1..];
    let tag = match rest.first() {
        Some(byte) if begins_word(*byte) => {
            length(rest, |byte| begins_word(byte) || byte.is_ascii_digit())
        }
        Some(_) | None => 0,
    };
    if rest.get(tag) != Some(&b'$') {
        return Some(start + 1);
    }
    let quote = &text[start..start + tag + 2];
    let inside = &text[start + quote.len()..];
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

/// Whether a text, read as standard, has a plain string with a backslash.
pub(super) fn has_standard_escape(text: &str) -> bool {
    text.contains('\\')
        && plain_strings(text.as_bytes(), Strings::Standard).map_or(true, |found| !found.is_empty())
}

/// SQL of a rule file's, read as standard, so that it means the same under either setting: in a
/// session's texts, and in functions whose bodies are read when they are called.
pub(crate) fn settled(sql: &str) -> String {
    let bytes = sql.as_bytes();
    let starts = plain_strings(bytes, Strings::Standard).unwrap_or_default();
    let mut settled = String::with_capacity(sql.len());
    let mut at = 0;
    for start in starts {
        // It was found by the same look.
        let Some((end, _)) = string(bytes, start, false) else {
            break;
        };
        settled.push_str(&sql[at..start]);
        settled.push_str(MARK);
        settled.push_str(&sql[start..end].replace('\\', "\\\\"));
        at = end;
    }
    settled.push_str(&sql[at..]);
    settled
}
