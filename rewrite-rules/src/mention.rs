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

mod content;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::lens::TableName;
use crate::text::keywords;
use crate::text::lexer::{LexemeKind, Lexer, Strings, Unended};
pub(crate) use content::constant;
use content::{NAME_BYTES_MAX, UNENDED, UNENDED_MAX, content, cut, quoted_name, uescape};

/// Strings within strings: each level doubles its quotation marks, so that nobody writes a fifth.
const DEPTH_MAX: usize = 5;
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
        } else if language != Language::Other && runs_strings(source, Strings::Standard) {
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

fn lexed(text: &str, strings: bool, found: &mut HashSet<Mention>) {
    // Whether a backslash in a plain string escapes something is a setting of the server's.
    for setting in [Strings::Standard, Strings::Escapes] {
        let strings = strings || runs_strings(text, setting);
        let mut reader = NameReader {
            strings: setting,
            depth_left: if strings { DEPTH_MAX } else { 0 },
            unended: UNENDED,
            found,
        };
        reader.read(text);
        if !text.contains('\\') {
            return;
        }
    }
}

/// Whether a body runs what its strings say.
fn runs_strings(text: &str, setting: Strings) -> bool {
    let mut words = HashSet::new();
    let mut reader = NameReader {
        strings: setting,
        depth_left: 0,
        unended: UNENDED,
        found: &mut words,
    };
    reader.read(text);
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

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn folded(word: &str) -> String {
    cut(word.to_ascii_lowercase())
}

struct NameReader<'f> {
    /// How plain strings are read.
    strings: Strings,
    /// How deep strings are read.
    depth_left: usize,
    /// In what is SQL, read as the server reads it, nothing lacks an end, and what is none must not leave what is
    /// behind it unread.
    unended: Unended,
    found: &'f mut HashSet<Mention>,
}

/// What a name may stand behind.
enum StandsBehind {
    Nothing,
    Name(String),
    Dot(String),
}

impl NameReader<'_> {
    fn read(&mut self, text: &str) {
        let mut before = StandsBehind::Nothing;
        let mut lexer = Lexer::of_piece(text, self.strings, self.unended);
        while let Some(lexeme) = lexer.next() {
            // Of a piece everything is something.
            let Ok(lexeme) = lexeme else { break };
            let said = &text[lexeme.start..lexeme.end];
            match lexeme.kind {
                LexemeKind::Comment => {}
                // N'…'
                LexemeKind::Word
                    if said.eq_ignore_ascii_case("n") && text[lexeme.end..].starts_with('\'') => {}
                LexemeKind::Word => self.name(folded(said), Spelling::Plain, &mut before),
                LexemeKind::Quoted => {
                    let (escape, end) = uescape(text, lexeme);
                    lexer.go_on(end);
                    self.name(quoted_name(said, escape), Spelling::Quoted, &mut before);
                }
                LexemeKind::String | LexemeKind::PrefixedString | LexemeKind::DollarString => {
                    let (escape, end) = uescape(text, lexeme);
                    lexer.go_on(end);
                    let content = content(said, self.strings, escape);
                    self.unended.others = lexer.unended_left().others;
                    self.string(&content);
                    lexer.may_lack(self.unended.others);
                    before = StandsBehind::Nothing;
                }
                // Behind a number a word may begin without a blank.
                LexemeKind::Number => {
                    before = StandsBehind::Nothing;
                    if let Some(at) = said.find(is_name_start) {
                        self.name(folded(&said[at..]), Spelling::Plain, &mut before);
                    }
                }
                LexemeKind::Parameter | LexemeKind::Symbol => {
                    before = match before {
                        StandsBehind::Name(name) if said == "." => StandsBehind::Dot(name),
                        StandsBehind::Nothing | StandsBehind::Name(_) | StandsBehind::Dot(_) => {
                            StandsBehind::Nothing
                        }
                    };
                }
            }
        }
        self.unended = lexer.unended_left();
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
        let mut inner = NameReader {
            strings: self.strings,
            depth_left,
            unended: Unended {
                others: self.unended.others,
                quotes: UNENDED_MAX,
            },
            found: self.found,
        };
        inner.read(content);
        self.unended.others = inner.unended.others;
    }
}
