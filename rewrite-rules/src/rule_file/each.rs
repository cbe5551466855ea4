//! Placeholders: what a `[[table]]` says several times, and one `[[table]]` for several tables that
//! are alike.
//!
//! ```text
//! [[table]]
//! each   = [{ of = "group" }, { of = "permission" }]
//! legacy = "public.old_{of}s"
//! let.who = "name, email"
//!
//! [[table]]                       [[table]]
//! legacy = "public.old_groups"    legacy = "public.old_permissions"
//! ```
//!
//! They are replaced before anything else looks at the file, so nothing else knows of them. Places
//! stay those of the one table in the file; errors say for which of its instances they are.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::Wrong;
use crate::lens::ANY_TENANT;

/// What the placeholders of one table stand for.
#[derive(Clone, Debug)]
pub(crate) struct Placeholders {
    /// Its place in `each`, from 1, and how many of its values are from there; `None` without.
    each: Option<(usize, usize)>,
    values: Vec<(String, String)>,
}

/// Which of several tables it is, for the reader of an error.
impl fmt::Display for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.each, self.values.first()) {
            (Some((number, 1..)), Some((name, value))) => {
                write!(f, " (each {number}, with {name} = \"{value}\")")
            }
            (Some((number, _)), _) => write!(f, " (each {number})"),
            (None, _) => Ok(()),
        }
    }
}

impl Placeholders {
    fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.values.iter();
        let found = values.find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// If a placeholder begins a text of the file: its bytes, and what takes its place.
    pub(crate) fn stands_for(&self, text: &str) -> Option<(usize, String)> {
        match Braces::at(text)? {
            Braces::Placeholder(name) => Some((name.len() + 2, self.value(name)?.to_owned())),
            Braces::Escaped(name) => Some((name.len() + 4, format!("{{{name}}}"))),
        }
    }
}

/// What braces may be in a table with placeholders. Others are nobody's business: `'{}'`, `'{"a": 1}'`.
enum Braces<'t> {
    /// `{name}`
    Placeholder(&'t str),
    /// `{{name}}`, which stands for `{name}`.
    Escaped(&'t str),
}

impl Braces<'_> {
    fn at(text: &str) -> Option<Braces<'_>> {
        let inside = text.strip_prefix('{')?;
        if let Some(escaped) = inside.strip_prefix('{')
            && let Some(name) = word(escaped)
            && escaped[name.len()..].starts_with("}}")
        {
            return Some(Braces::Escaped(name));
        }
        let name = word(inside)?;
        inside[name.len()..]
            .starts_with('}')
            .then_some(Braces::Placeholder(name))
    }
}

fn word(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    let word = &text[..end];
    word.starts_with(|c: char| !c.is_ascii_digit())
        .then_some(word)
}

/// Replaces the placeholders of every table that has any; for each table then in the file, what they
/// stood for.
pub(super) fn write_out(
    file: &mut DeTable<'_>,
    text: &str,
) -> Result<Vec<Option<Placeholders>>, Vec<Wrong>> {
    let Some(DeValue::Array(tables)) = file.get_mut("table").map(Spanned::get_mut) else {
        return Ok(Vec::new());
    };
    let (mut all, mut instances, mut errors) = (DeArray::new(), Vec::new(), Vec::new());
    for table in tables.iter() {
        let mut table = table.clone();
        let (each, own) = match table.get_mut() {
            DeValue::Table(content) => (content.remove("each"), content.remove("let")),
            _ => (None, None),
        };
        if each.is_none() && own.is_none() {
            all.push(table);
            instances.push(None);
            continue;
        }
        match declared(each.as_ref(), own.as_ref()) {
            Err(found) => errors.extend(found),
            Ok(list) => {
                let mut filling = Filling {
                    file: text,
                    instance: None,
                    used: Vec::new(),
                    wrong: Vec::new(),
                };
                for instance in list {
                    filling.instance = Some(instance);
                    all.push(filling.value(&table));
                    instances.push(filling.instance.clone());
                }
                let first = each.iter().flat_map(|each| items(each).first());
                for names in first.chain(&own) {
                    filling.unused(names);
                }
                errors.append(&mut filling.wrong);
            }
        }
    }
    *tables = all;
    if errors.is_empty() {
        Ok(instances)
    } else {
        Err(errors)
    }
}

fn wrong(at: Range<usize>, message: impl Into<String>) -> Wrong {
    Wrong {
        at,
        message: message.into(),
    }
}

fn items<'v, 'i>(each: &'v Spanned<DeValue<'i>>) -> &'v [Spanned<DeValue<'i>>] {
    match each.get_ref() {
        DeValue::Array(list) => list,
        _ => &[],
    }
}

/// The instances of a table: those of `each`, with what `let` says in all of them.
fn declared(
    each: Option<&Spanned<DeValue<'_>>>,
    own: Option<&Spanned<DeValue<'_>>>,
) -> Result<Vec<Placeholders>, Vec<Wrong>> {
    let mut errors = Vec::new();
    let own = own.map_or_else(Vec::new, |own| texts(own, &mut errors));
    let Some(each) = each else {
        let only = Placeholders {
            each: None,
            values: own,
        };
        return if errors.is_empty() {
            Ok(vec![only])
        } else {
            Err(errors)
        };
    };
    let mut instances: Vec<Placeholders> = Vec::new();
    for (item, number) in items(each).iter().zip(1..) {
        let mut values = texts(item, &mut errors);
        for (name, _) in &values {
            if own.iter().any(|(taken, _)| taken == name) {
                let said = format!("`let` has `{name}` as well; expected it in one of both");
                errors.push(wrong(item.span(), said));
            }
        }
        let first = instances.first().map_or(values.as_slice(), |first| {
            &first.values[..first.values.len() - own.len()]
        });
        let names = |of: &[(String, String)]| {
            let mut names: Vec<String> = of.iter().map(|(name, _)| name.clone()).collect();
            names.sort();
            names
        };
        if names(first) != names(&values) {
            let said = "other names than in the first of the list; expected the same in each";
            errors.push(wrong(item.span(), said));
        }
        let count = values.len();
        values.extend(own.iter().cloned());
        instances.push(Placeholders {
            each: Some((number, count)),
            values,
        });
    }
    if items(each).is_empty() {
        let said = "found no instance; expected a list of tables, `[{ a = \"…\" }, { a = \"…\" }]`";
        errors.push(wrong(each.span(), said));
    }
    if errors.is_empty() {
        Ok(instances)
    } else {
        Err(errors)
    }
}

/// A table of names and texts.
fn texts(table: &Spanned<DeValue<'_>>, errors: &mut Vec<Wrong>) -> Vec<(String, String)> {
    let DeValue::Table(entries) = table.get_ref() else {
        errors.push(wrong(table.span(), "expected a table, `{ a = \"…\" }`"));
        return Vec::new();
    };
    let mut values = Vec::new();
    for (name, value) in entries {
        let named = name.get_ref().as_ref();
        if word(named) != Some(named) {
            let said =
                format!("`{named}` cannot name a placeholder; expected letters, digits and `_`");
            errors.push(wrong(name.span(), said));
        }
        match value.get_ref() {
            DeValue::String(text) if !holds_a_placeholder(text) => {
                values.push((named.to_owned(), text.clone().into_owned()));
            }
            _ => errors.push(wrong(
                value.span(),
                "expected a string without placeholders",
            )),
        }
    }
    values
}

fn holds_a_placeholder(text: &str) -> bool {
    let mut opens = text.match_indices('{');
    opens.any(|(open, _)| Braces::at(&text[open..]).is_some())
}

/// Copies a table, with its placeholders replaced.
struct Filling<'f> {
    /// The text of the file.
    file: &'f str,
    instance: Option<Placeholders>,
    /// Names of placeholders that some string has.
    used: Vec<String>,
    wrong: Vec<Wrong>,
}

impl Filling<'_> {
    fn value<'i>(&mut self, value: &Spanned<DeValue<'i>>) -> Spanned<DeValue<'i>> {
        let filled = match value.get_ref() {
            DeValue::String(text) => DeValue::String(self.text(text, value.span()).into()),
            DeValue::Array(items) => {
                let mut all = DeArray::new();
                items.iter().for_each(|item| all.push(self.value(item)));
                DeValue::Array(all)
            }
            DeValue::Table(entries) => {
                let mut all = DeTable::new();
                for (key, entry) in entries {
                    let name = self.text(key.get_ref(), key.span());
                    let entry = self.value(entry);
                    if all.contains_key(name.as_str()) {
                        let said = format!("two keys become `{name}`; expected each once");
                        self.wrong(key.span(), said);
                    }
                    all.insert(Spanned::new(key.span(), name.into()), entry);
                }
                DeValue::Table(all)
            }
            other => other.clone(),
        };
        Spanned::new(value.span(), filled)
    }

    fn text(&mut self, text: &str, at: Range<usize>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            out += &rest[..open];
            rest = &rest[open..];
            match Braces::at(rest) {
                Some(Braces::Escaped(name)) => {
                    out += &format!("{{{name}}}");
                    rest = &rest[name.len() + 4..];
                }
                // The tenants are not known yet.
                Some(Braces::Placeholder(name)) if self.is_tenant(name) => {
                    out += ANY_TENANT;
                    rest = &rest[ANY_TENANT.len()..];
                }
                Some(Braces::Placeholder(name)) => {
                    match self
                        .instance
                        .as_ref()
                        .and_then(|instance| instance.value(name))
                    {
                        Some(value) => out += value,
                        None => self.unknown(name, at.clone()),
                    }
                    if !self.used.iter().any(|used| used == name) {
                        self.used.push(name.to_owned());
                    }
                    rest = &rest[name.len() + 2..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out + rest
    }

    fn is_tenant(&self, name: &str) -> bool {
        let own = self.instance.as_ref().and_then(|own| own.value(name));
        own.is_none() && ANY_TENANT[1..].strip_suffix('}') == Some(name)
    }

    fn unknown(&mut self, name: &str, at: Range<usize>) {
        let values = self.instance.iter().flat_map(|instance| &instance.values);
        let known: Vec<String> = values.map(|(name, _)| format!("{{{name}}}")).collect();
        let said = format!(
            "unknown placeholder `{{{name}}}`; expected one of {}, or `{{{{{name}}}}}` for the braces \
             themselves",
            known.join(", ")
        );
        let written = self.file.get(at.clone()).unwrap_or_default();
        let inside = written.find(&format!("{{{name}}}")).unwrap_or(0);
        self.wrong(at.start + inside..at.end, said);
    }

    /// What is wrong with every instance is told once.
    fn wrong(&mut self, at: Range<usize>, message: String) {
        let found = wrong(at, message);
        if !self.wrong.contains(&found) {
            self.wrong.push(found);
        }
    }

    /// Names that no string has: a slip of the pen in one of both.
    fn unused(&mut self, names: &Spanned<DeValue<'_>>) {
        let DeValue::Table(names) = names.get_ref() else {
            return;
        };
        for name in names.keys() {
            let named = name.get_ref().as_ref();
            if !self.used.iter().any(|used| used == named) {
                self.wrong(
                    name.span(),
                    format!("nothing in the table says `{{{named}}}`"),
                );
            }
        }
    }
}
