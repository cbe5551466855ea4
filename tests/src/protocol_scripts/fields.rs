//! What stands on a line of a script: words, texts in `"…"`, values in `'…'`. Knows how they are written,
//! not what they are for.

use std::collections::VecDeque;
use std::str::{Chars, FromStr};

pub(super) fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("a name in UTF-8")
}

/// What stands on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Word(String),
    /// `"…"`
    Text(Vec<u8>),
    /// `'…'`
    Value(Vec<u8>),
}

#[derive(Debug)]
pub(super) struct Fields(VecDeque<Field>);

impl Fields {
    pub fn of(line: &str) -> Fields {
        let mut fields = VecDeque::new();
        let mut rest = line.trim();
        while !rest.is_empty() && !rest.starts_with('#') {
            let quote = rest.starts_with(['"', '\'']);
            let (field, behind) = if quote {
                let (bytes, behind) = quoted(rest).unwrap_or_else(|| panic!("no end in: {line}"));
                let text = rest.starts_with('"');
                (
                    if text {
                        Field::Text(bytes)
                    } else {
                        Field::Value(bytes)
                    },
                    behind,
                )
            } else {
                let end = rest.find(' ').unwrap_or(rest.len());
                (Field::Word(rest[..end].to_owned()), &rest[end..])
            };
            fields.push_back(field);
            rest = behind.trim_start();
        }
        Fields(fields)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn word(&mut self) -> String {
        match self.0.pop_front() {
            Some(Field::Word(word)) => word,
            other => panic!("a word is missing before {other:?}, {:?}", self.0),
        }
    }

    pub fn letter(&mut self) -> char {
        self.word().parse().expect("one letter")
    }

    pub fn text(&mut self) -> Vec<u8> {
        match self.0.pop_front() {
            Some(Field::Text(bytes)) => bytes,
            other => panic!("a text is missing before {other:?}, {:?}", self.0),
        }
    }

    pub fn name(&mut self) -> String {
        utf8(self.text())
    }

    pub fn number<T: FromStr>(&mut self) -> T {
        let number = self.word().parse().ok();
        number.expect("a number")
    }

    /// All numbers up to what is none.
    pub fn numbers<T: FromStr>(&mut self) -> Vec<T> {
        let mut numbers = Vec::new();
        while let Some(Field::Word(word)) = self.0.front()
            && let Ok(number) = word.parse()
        {
            numbers.push(number);
            self.0.pop_front();
        }
        numbers
    }

    /// Values, and numbers of four bytes.
    pub fn arguments(&mut self) -> Vec<Vec<u8>> {
        let mut arguments = Vec::new();
        while let Some(field) = self.0.pop_front() {
            arguments.push(match field {
                Field::Value(value) => value,
                Field::Word(word) => {
                    let number: i32 = word.parse().expect("a number of four bytes");
                    number.to_be_bytes().to_vec()
                }
                Field::Text(text) => panic!("no argument: {text:?}"),
            });
        }
        arguments
    }

    /// All values up to what is none: `'1' NULL 1000 x '2'`.
    pub fn values(&mut self) -> Vec<Option<Vec<u8>>> {
        let mut values = Vec::new();
        loop {
            match self.0.front() {
                Some(Field::Value(value)) => values.push(Some(value.clone())),
                Some(Field::Word(word)) if word == "NULL" => values.push(None),
                Some(Field::Word(count)) if count.parse::<usize>().is_ok() => {
                    let count = self.number();
                    assert_eq!(self.word(), "x");
                    let Some(Field::Value(value)) = self.0.front() else {
                        panic!("a value is missing before {:?}", self.0);
                    };
                    values.extend(vec![Some(value.clone()); count]);
                }
                _ => return values,
            }
            self.0.pop_front();
        }
    }
}

/// The bytes in quotation marks that a line begins with, and what is behind them.
fn quoted(line: &str) -> Option<(Vec<u8>, &str)> {
    let mut chars = line.chars();
    let quote = chars.next()?;
    let mut bytes = Vec::new();
    loop {
        match chars.next()? {
            '\\' => bytes.extend(escaped(&mut chars)?),
            '{' => {
                let (series, behind) = chars.as_str().split_once('}')?;
                bytes.extend(repeated(series)?.into_bytes());
                chars = behind.chars();
            }
            end if end == quote => return Some((bytes, chars.as_str())),
            other => bytes.extend(other.to_string().into_bytes()),
        }
    }
}

fn escaped(chars: &mut Chars<'_>) -> Option<Vec<u8>> {
    Some(match chars.next()? {
        'n' => vec![b'\n'],
        't' => vec![b'\t'],
        '0' => vec![0],
        'x' => {
            let digits = chars.as_str().get(..2)?;
            *chars = chars.as_str()[2..].chars();
            vec![u8::from_str_radix(digits, 16).ok()?]
        }
        itself => itself.to_string().into_bytes(),
    })
}

/// `2..4:+$#` → `+$2+$3+$4`
fn repeated(series: &str) -> Option<String> {
    let (range, text) = series.split_once(':')?;
    let (from, to) = range.split_once("..")?;
    let numbers = from.parse::<u32>().ok()?..=to.parse().ok()?;
    Some(numbers.map(|n| text.replace('#', &n.to_string())).collect())
}
