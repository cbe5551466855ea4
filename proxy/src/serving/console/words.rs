//! The words of a text that somebody typed: in lower case, in quotes, or signs; and what is left of them while a command
//! is read.

use super::line::Refusal;

/// Words of a text that begin a command, for whoever mistypes one.
const WORDS: &str = "SHOW, ADVANCE, ROLLBACK, CANARY, PAUSE, RESUME, RELOAD, KILL";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// In lower case.
    Word(String),
    /// As it was quoted.
    Name(String),
    Text(String),
    Sign(char),
}

/// One of them, and where it stands.
pub(super) struct Placed {
    pub token: Token,
    /// In characters, from 1.
    pub at: usize,
}

/// An error of syntax at a place, which names what there is.
pub(super) fn syntax(message: impl Into<String>, at: usize) -> Refusal {
    let refusal = Refusal::new("42601", message)
        .hint(format!("The console knows {WORDS}: SHOW HELP says more."));
    Refusal {
        position: Some(at),
        ..refusal
    }
}

/// A text's words, without its comments.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Refusal> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = characters.get(at) {
        let begun = at;
        let next = characters.get(at + 1).copied();
        let token = match c {
            _ if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '-' if next == Some('-') => {
                at = until(&characters, at, |rest| rest[0] == '\n').unwrap_or(characters.len());
                continue;
            }
            '/' if next == Some('*') => {
                let end = until(&characters, at + 2, |rest| rest.starts_with(&['*', '/']));
                at = 2 + end.ok_or_else(|| syntax("unterminated comment", begun + 1))?;
                continue;
            }
            '"' | '\'' => {
                let (word, end) = quoted(&characters, at)
                    .ok_or_else(|| syntax("unterminated quoted string", begun + 1))?;
                at = end;
                match c {
                    '"' => Token::Name(word),
                    _ => Token::Text(word),
                }
            }
            _ if is_of_word(c) => {
                let ends = |rest: &[char]| !is_of_word(rest[0]) || rest.starts_with(&['-', '-']);
                let rest = until(&characters, at, ends);
                at = rest.unwrap_or(characters.len());
                let word: String = characters[begun..at].iter().collect();
                Token::Word(word.to_lowercase())
            }
            _ => {
                at += 1;
                Token::Sign(c)
            }
        };
        tokens.push(Placed {
            token,
            at: begun + 1,
        });
    }
    Ok(tokens)
}

fn until(characters: &[char], from: usize, is: impl Fn(&[char]) -> bool) -> Option<usize> {
    (from..characters.len()).find(|at| is(&characters[*at..]))
}

/// Names of migrations may have a hyphen or a dot, and numbers are words here.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '-')
}

/// What is within quotes, of which two stand for one, and where it ends.
fn quoted(characters: &[char], from: usize) -> Option<(String, usize)> {
    let quote = characters[from];
    let mut word = String::new();
    let mut at = from + 1;
    loop {
        match *characters.get(at)? {
            c if c == quote && characters.get(at + 1) == Some(&quote) => {
                word.push(quote);
                at += 2;
            }
            c if c == quote => return Some((word, at + 1)),
            c => {
                word.push(c);
                at += 1;
            }
        }
    }
}

/// What is left of a statement.
pub(super) struct Rest<'a>(pub &'a [Placed]);

impl<'a> Rest<'a> {
    pub fn next(&mut self) -> Option<&'a Placed> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub fn word(&self) -> Option<&'a str> {
        match self.0.first() {
            Some(Placed {
                token: Token::Word(word),
                ..
            }) => Some(word),
            _ => None,
        }
    }

    pub fn takes(&mut self, word: &str) -> bool {
        let is = self.word() == Some(word);
        if is {
            self.next();
        }
        is
    }

    /// A name, quoted or not; what it is of is for the error.
    pub fn name(&mut self, of: &str) -> Result<String, Refusal> {
        let end = self.0.first().map_or(1, |placed| placed.at);
        match self.next().map(|placed| &placed.token) {
            Some(Token::Word(name) | Token::Name(name)) => Ok(name.clone()),
            Some(Token::Text(_) | Token::Sign(_)) | None => {
                Err(syntax(format!("expected the name of {of}"), end))
            }
        }
    }

    pub fn ends(&self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some(more) => Err(syntax("syntax error: the command was over here", more.at)),
        }
    }

    /// All of it, as a driver may write it: words and signs with blanks between.
    pub fn all(&mut self) -> String {
        let mut words = Vec::new();
        while let Some(placed) = self.next() {
            words.push(match &placed.token {
                Token::Word(word) | Token::Name(word) | Token::Text(word) => word.clone(),
                Token::Sign(sign) => sign.to_string(),
            });
        }
        words.join(" ")
    }
}
