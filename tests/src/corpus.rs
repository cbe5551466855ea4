//! Lists of statements kept as files that a person, and psql, can read (`tests/data/statements`).
//!
//! A statement ends with a semicolon at a line's end, or, where it has parameters, as psql has it:
//! `SELECT $1, $2 \bind 'one' NULL \g`. Lines between two statements that are empty or begin with
//! `--` are comments.

/// A statement and the texts of its parameters.
pub type Statement = (&'static str, &'static [Option<&'static str>]);

/// The statements of a file, in their order.
///
/// # Panics
/// If the last one does not end.
#[must_use]
pub fn statements(file: &'static str) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut begin = None;
    let mut at = 0;
    for line in file.split_inclusive('\n') {
        let between = begin.is_none() && (line.trim().is_empty() || line.starts_with("--"));
        let from = at;
        at += line.len();
        if between {
            continue;
        }
        let first = *begin.get_or_insert(from);
        let text = file[first..at].trim_end_matches('\n');
        if let Some(statement) = text.strip_suffix(';') {
            found.push((statement, &[][..]));
            begin = None;
        } else if let Some(bound) = text.strip_suffix(" \\g") {
            let (statement, values) = bound.rsplit_once(" \\bind ").expect("\\bind before \\g");
            found.push((statement, parameters(values)));
            begin = None;
        }
    }
    assert!(begin.is_none(), "the last statement does not end");
    found
}

/// The statements of a file in which none has parameters.
///
/// # Panics
/// If one has.
#[must_use]
pub fn texts(file: &'static str) -> Vec<&'static str> {
    let statements = statements(file).into_iter();
    statements
        .map(|(sql, parameters)| {
            assert!(parameters.is_empty(), "{sql} has parameters");
            sql
        })
        .collect()
}

/// Values behind `\bind`: quoted as in SQL, or NULL. They live as long as the list, which is static.
fn parameters(values: &'static str) -> &'static [Option<&'static str>] {
    let mut found: Vec<Option<&'static str>> = Vec::new();
    let mut rest = values;
    while !rest.is_empty() {
        rest = if let Some(quoted) = rest.strip_prefix('\'') {
            let mut end = 0;
            while let Some(quote) = quoted[end..].find('\'') {
                end += quote;
                if !quoted[end + 1..].starts_with('\'') {
                    break;
                }
                end += 2;
            }
            let value = quoted[..end].replace("''", "'");
            found.push(Some(value.leak()));
            &quoted[end + 1..]
        } else {
            found.push(None);
            rest.strip_prefix("NULL").expect("a quoted value, or NULL")
        };
        rest = rest.trim_start_matches(' ');
    }
    found.leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_a_line_says_so() {
        let file = "-- reads\nSELECT 'a;'; SELECT 2;\n\n-- more\nSELECT\n  3;\n\
                    SELECT $1, $2, $3 \\bind 'it''s' NULL '' \\g\n";
        let expected: [Statement; 3] = [
            ("SELECT 'a;'; SELECT 2", &[]),
            ("SELECT\n  3", &[]),
            ("SELECT $1, $2, $3", &[Some("it's"), None, Some("")]),
        ];
        assert_eq!(statements(file), expected);
    }
}
