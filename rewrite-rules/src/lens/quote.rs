//! Names and strings as SQL.

/// An identifier as SQL. Always quoted: a name that is a keyword today or tomorrow stays a name.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An identifier as the server writes it in messages: quoted only if its letters ask for it.
#[must_use]
pub fn shown_ident(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        quote_ident(name)
    }
}

/// A string constant as SQL, whatever `standard_conforming_strings` says.
#[must_use]
pub fn quote_literal(value: &str) -> String {
    let doubled = value.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// A list of SQL.
pub(crate) fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    between(items, ", ")
}

/// The condition that all of some hold.
pub(crate) fn all_of<T: AsRef<str>>(conditions: impl IntoIterator<Item = T>) -> String {
    between(conditions, " AND ")
}

fn between<T: AsRef<str>>(items: impl IntoIterator<Item = T>, word: &str) -> String {
    let mut all = String::new();
    for (at, item) in items.into_iter().enumerate() {
        all += if at == 0 { "" } else { word };
        all += item.as_ref();
    }
    all
}
