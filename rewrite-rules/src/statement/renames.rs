//! Errors in the client's words: what unified calls otherwise has its legacy name in them.

use super::Rewritten;
use crate::lens::LENS_NAME_BYTES_MAX;

/// A name on the side that the client does not see, and its name on the side that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    pub kind: Named,
    pub from: String,
    pub to: String,
}

impl Rename {
    pub(crate) fn reversed(self) -> Rename {
        Rename {
            kind: self.kind,
            from: self.to,
            to: self.from,
        }
    }
}

/// What is named, as the fields of an error tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Schema,
    Table,
    Column,
    Constraint,
    /// The columns of the legacy constraint that one of this name stands for, as errors list them: told where
    /// its own are others. Not a name of its own in any field.
    Key,
}

impl Rewritten {
    /// A name of an error field as the client knows it.
    #[must_use]
    pub fn client_name<'n>(&'n self, kind: Named, name: &'n str) -> &'n str {
        self.renames
            .iter()
            .find(|rename| rename.kind == kind && rename.from == name)
            .map_or(name, |rename| &rename.to)
    }

    /// A message with the quoted names in it as the client knows them; `at` is where in the client's text
    /// it points. A column that the client itself calls so there is told as it is.
    #[must_use]
    pub fn client_message(&self, message: &str, at: Option<u32>) -> String {
        let own = at.and_then(|at| self.name_at(at));
        let mut said = message.to_owned();
        for Rename { kind, from, to } in self.renames.iter() {
            if *kind == Named::Key || *kind == Named::Column && own.as_ref() == Some(from) {
                continue;
            }
            said = renamed(&said, (*kind, &format!("\"{from}\"")), &format!("\"{to}\""));
        }
        said
    }

    /// A message about rights to a table, whose name stands in it without quotation marks, whatever the
    /// language. What else may bear the name is told apart by the word before it.
    #[must_use]
    pub fn client_rights(&self, message: &str) -> String {
        const OTHERS: [&str; 6] = [
            "schema",
            "function",
            "sequence",
            "type",
            "database",
            "procedure",
        ];
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        for Rename { from, to, .. } in self.renames.iter().filter(|r| r.kind == Named::Table) {
            let found = message.match_indices(from.as_str()).find(|(at, _)| {
                let (before, behind) = (&message[..*at], &message[at + from.len()..]);
                let word = before.trim_end().rsplit(' ').next().unwrap_or_default();
                !before.ends_with(part) && !behind.starts_with(part) && !OTHERS.contains(&word)
            });
            if let Some((at, _)) = found {
                return format!("{}{to}{}", &message[..at], &message[at + from.len()..]);
            }
        }
        match self
            .legacy_of_function(message)
            .or_else(|| self.first_emptied(message))
        {
            Some(legacy) => format!("permission denied for table {legacy}"),
            None => message.to_owned(),
        }
    }

    /// The first table of a TRUNCATE of several, where the message is of the function that empties them all: whoever has the
    /// right to none of the managed tables may not call it.
    fn first_emptied(&self, message: &str) -> Option<&str> {
        let mut tables = self.renames.iter().filter(|r| r.kind == Named::Table);
        let first = tables.next().map(|table| table.to.as_str());
        first.filter(|_| message.ends_with("for function truncate"))
    }

    /// The legacy table behind a function of its lens, with which this message ends. Who may not call it has no right
    /// to the table; where the server looks at the rights to the table before, it is not called.
    fn legacy_of_function(&self, message: &str) -> Option<&str> {
        const HASH_DIGITS: usize = 8;
        let (_, function) = message.rsplit_once(' ')?;
        let (word, hash) = function.rsplit_once('_')?;
        let hex = |c: char| c.is_ascii_hexdigit();
        if hash.len() != HASH_DIGITS || !hash.chars().all(hex) {
            return None;
        }
        let mut tables = self.renames.iter().filter(|r| r.kind == Named::Table);
        // A long table's name is cut in that of the function.
        let is_of = |table: &&Rename| {
            let begins = |at| table.to.get(..at).is_some_and(|name| word.ends_with(name));
            begins(table.to.len().min(LENS_NAME_BYTES_MAX))
        };
        tables.find(is_of).map(|table| table.to.as_str())
    }

    /// The last part of the name that stands at a 1-based position in the client's text.
    fn name_at(&self, position_chars: u32) -> Option<String> {
        let before = (position_chars as usize).checked_sub(1)?;
        let mut rest = self.original.chars().skip(before).peekable();
        loop {
            let quoted = rest.next_if_eq(&'"').is_some();
            let mut name = String::new();
            while let Some(c) = rest.next_if(|c| match quoted {
                true => *c != '"',
                false => c.is_alphanumeric() || ['_', '$'].contains(c),
            }) {
                name.push(c);
            }
            rest.next_if(|c| quoted && *c == '"');
            if rest.next_if_eq(&'.').is_none() {
                return Some(if quoted { name } else { name.to_lowercase() });
            }
        }
    }
}

/// A message with one name replaced wherever it may be a name of that kind: the word before it says
/// what it is, and behind a colon it is a value.
fn renamed(message: &str, (kind, from): (Named, &str), to: &str) -> String {
    let mut pieces = message.split(from);
    let mut said = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let word = said.trim_end().rsplit(' ').next().unwrap_or_default();
        let means_it = match word {
            "column" | "reference" => kind == Named::Column,
            "relation" | "table" | "constraint" => kind != Named::Column,
            word => !word.ends_with(':'),
        };
        said += if means_it { to } else { from };
        said += piece;
    }
    said
}
