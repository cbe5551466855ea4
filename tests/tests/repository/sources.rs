//! The sources as text: which messages they refuse with. Reads string literals, not Rust.

use std::fs;

use crate::documents::{files_below, repository};

/// Calls that make a refusal, or go on to one, with the message first among their literals.
const MAKERS: [&str; 7] = [
    "unsupported(",
    "unsupported_call(",
    "refuse(",
    "self.refused(",
    "self.refused_action(",
    "refusal(",
    "Refusal {",
];

/// What stands first in those whose words are PostgreSQL's own.
const OWN_WORDS: [&str; 2] = ["NO_SUCH_TARGET", "SYNTAX"];
/// Our SQLSTATEs, of refusals that are written out.
const OURS: [&str; 2] = ["sqlstate: \"0A000\"", "sqlstate: \"55000\""];

/// Where nothing is told to clients.
const OTHERS: [&str; 5] = [
    "rule_sql",
    "rule_file",
    "rule_set",
    "/tests",
    "text/tree.rs",
];

pub struct Source {
    pub path: String,
    text: String,
}

impl Source {
    /// The files that may refuse a client's statement.
    pub fn all() -> Vec<Source> {
        let root = repository();
        let mut paths = Vec::new();
        for directory in ["rewrite-rules/src", "proxy/src/session"] {
            files_below(&root.join(directory), "rs", &mut paths);
        }
        files_below(&root.join("rewrite-rules/templates"), "sql", &mut paths);
        paths.sort();
        let sources = paths.into_iter().map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            Source {
                path: path.strip_prefix(&root).unwrap().display().to_string(),
                text: text.to_owned(),
            }
        });
        sources
            .filter(|source| !OTHERS.iter().any(|other| source.path.contains(other)))
            .collect()
    }

    /// How many statements of functions in the database refuse.
    pub fn raised(&self) -> usize {
        let codes = ["ERRCODE = '0A000'", "ERRCODE = '55000'"];
        codes
            .iter()
            .map(|code| self.text.matches(code).count())
            .sum()
    }

    /// The messages, with their lines. A call without a literal passes on what somebody else has written.
    pub fn refusals(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for maker in MAKERS {
            for (at, _) in self.text.match_indices(maker) {
                let before = &self.text[..at];
                // A longer name, or what a function gives back.
                if before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                    || before.ends_with("-> ")
                {
                    continue;
                }
                let arguments = arguments(&self.text[at + maker.len()..]);
                let written_out = maker == "Refusal {";
                let ours = OURS.iter().any(|state| arguments.contains(state));
                let own_words = OWN_WORDS
                    .iter()
                    .any(|state| arguments.trim_start().starts_with(state));
                if own_words || (written_out && !ours) {
                    continue;
                }
                if let Some(message) = literals(arguments).find(|literal| !is_sqlstate(literal)) {
                    let line = self.text[..at].matches('\n').count() + 1;
                    found.push((line, message));
                }
            }
        }
        found
    }
}

fn is_sqlstate(literal: &str) -> bool {
    literal.len() == 5
        && literal
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
}

/// What stands before the bracket that closes.
fn arguments(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return &text[..at],
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    text
}

/// The string literals, lines that go on put together.
fn literals(text: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (&mut current, c) {
            (None, '"') => current = Some(String::new()),
            (None, _) => {}
            (Some(literal), '\\') => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(escaped) => literal.push(escaped),
                None => {}
            },
            (Some(_), '"') => found.extend(current.take()),
            (Some(literal), c) => literal.push(c),
        }
    }
    found.into_iter()
}

/// Whether a text may be what a literal with holes became: its fixed parts stand there in their order.
pub fn may_become(literal: &str, text: &str) -> bool {
    let mut rest = text;
    let mut parts = Vec::new();
    for part in literal.split('…') {
        for (at, piece) in part.split('{').enumerate() {
            let fixed = if at == 0 {
                Some(piece)
            } else {
                piece.split_once('}').map(|(_, fixed)| fixed)
            };
            parts.extend(fixed);
        }
    }
    parts.into_iter().all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}
