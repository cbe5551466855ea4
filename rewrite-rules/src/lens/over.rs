//! SQL over something that is given later: a value, a row by its name, a relation.

use std::hash::{Hash, Hasher};

use super::quote_ident;
use crate::text::splice::Output;

/// What stands between the places of what is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over(Vec<String>);

impl Hash for Over {
    /// Names of functions in databases are made of it: it stays as it is.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.over("{row}").hash(state);
    }
}

impl Over {
    /// Stands where it will be, while the SQL is put together. None that an operator wrote has it.
    pub(crate) const HERE: &'static str = "\u{1}";

    pub(crate) fn of(sql: &str) -> Over {
        Over(sql.split(Self::HERE).map(str::to_owned).collect())
    }

    /// The same where it stands as a name in quotation marks.
    pub(crate) fn of_name(sql: &str) -> Over {
        let here = quote_ident(Self::HERE);
        Over(sql.split(&here).map(str::to_owned).collect())
    }

    #[must_use]
    pub fn over(&self, given: &str) -> String {
        self.0.join(given)
    }

    pub(crate) fn around(&self, given: &Output) -> Output {
        let mut output = Output::default();
        for (at, part) in self.0.iter().enumerate() {
            if at > 0 {
                output.append(given.clone());
            }
            output.own(part);
        }
        output
    }

    /// SQL over the columns of a row, each of which is given by itself.
    pub(crate) fn columns(&self, given: impl Fn(&str) -> String) -> String {
        let mut parts = self.0.iter();
        let mut sql = parts.next().cloned().unwrap_or_default();
        for part in parts {
            match column(part) {
                Some((name, behind)) => sql += &format!("{}{behind}", given(&name)),
                None => sql += part,
            }
        }
        sql
    }

    /// Whether it names a column of the row.
    pub(crate) fn names(&self, name: &str) -> bool {
        let parts = self.0.iter().skip(1);
        parts
            .filter_map(|part| column(part))
            .any(|(found, _)| found == name)
    }
}

/// The column that is named behind the row, `."name"`, and what is behind that.
fn column(part: &str) -> Option<(String, &str)> {
    let quoted = part.strip_prefix(".\"")?;
    let mut at = 0;
    loop {
        at += quoted[at..].find('"')?;
        if !quoted[at + 1..].starts_with('"') {
            let name = quoted[..at].replace("\"\"", "\"");
            return Some((name, &quoted[at + 1..]));
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stands_wherever_it_is_meant() {
        let sql = format!("{h}.\"a\" + {h}.\"a\"\"b\" = '{{row}}'", h = Over::HERE);
        let over = Over::of(&sql);
        assert_eq!(over.over("r"), "r.\"a\" + r.\"a\"\"b\" = '{row}'");
        assert_eq!(
            over.columns(|name| format!("<{name}>")),
            "<a> + <a\"b> = '{row}'"
        );
        assert!(over.names("a\"b") && !over.names("b"));
        assert_eq!(over.around(&"x".into()).sql, over.over("x"));
    }
}
