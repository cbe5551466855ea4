//! A text without what the application put into it: no constant, and no comment, which may carry a
//! trace's or a user's id.
//!
//! ```text
//! SELECT email FROM iso_agents WHERE id = 'b7…' /* user 12 */
//! SELECT email FROM iso_agents WHERE id = $1
//! ```

use pg_query::protobuf::{ScanToken, Token as Kind};

/// Statements that pg_query leaves as they are, constants and all.
const UTILITY: [&str; 8] = [
    "alter", "call", "copy", "create", "do", "execute", "prepare", "comment",
];

/// `None` for what PostgreSQL's grammar does not read: nobody knows where its constants are.
///
/// A text of several statements is told as one. What stands for a constant is a parameter, or
/// where a parameter cannot stand, a constant that says nothing.
#[must_use]
pub fn shape(text: &str) -> Option<String> {
    let normalized = pg_query::normalize(text).ok()?;
    let tokens = pg_query::scan_tokens(&normalized).ok()?;
    let numbers = tokens.iter().any(|token| {
        let word = normalized.get(range(token)).unwrap_or_default();
        UTILITY.contains(&word.to_ascii_lowercase().as_str())
    });
    let plain = InPlace {
        string: "''",
        numbers,
    };
    // In a query that is left as it is a NULL is of any type; an option takes a string only.
    ["NULL", "''"]
        .into_iter()
        .map(|string| without_constants(&normalized, &tokens, InPlace { string, numbers }))
        // What was made of options (`SET TRANSACTION $1 ONLY`) is no SQL: of these the words stay.
        .chain(of_words(text))
        .find(|shape| pg_query::split_with_parser(shape).is_ok())
        // DO $1 is no SQL, but says nothing either.
        .or_else(|| Some(without_constants(&normalized, &tokens, plain)))
}

/// The text as it came, with constants that say nothing.
fn of_words(text: &str) -> Option<String> {
    let tokens = pg_query::scan_tokens(text).ok()?;
    let plain = InPlace {
        string: "''",
        numbers: true,
    };
    Some(without_constants(text, &tokens, plain))
}

/// The same of a text that may have been cut off somewhere, of which PostgreSQL's grammar makes nothing: by its words alone,
/// with what is open at its end taken for a constant or a comment. `None` where its words are no PostgreSQL's, and where a
/// backslash leaves it to a setting at which quote a string ends.
#[must_use]
pub fn shape_of_beginning(text: &str) -> Option<String> {
    if text.contains('\\') {
        return None;
    }
    // The server cuts within strings, names and comments, of which the innermost may be open several times.
    ["", "'", "\"", "*/", "*/*/", "$$"]
        .into_iter()
        .find_map(|end| of_words(&format!("{text}{end}")))
}

/// How many statements PostgreSQL's grammar finds in a text.
#[must_use]
pub fn statements(text: &str) -> Option<usize> {
    let split = pg_query::split_with_parser(text).ok()?;
    Some(split.len())
}

/// What stands in the place of constants.
#[derive(Clone, Copy)]
struct InPlace<'a> {
    string: &'a str,
    /// Integers are replaced as well: in a statement that is no query they count nothing.
    numbers: bool,
}

fn without_constants(text: &str, tokens: &[ScanToken], in_place: InPlace<'_>) -> String {
    let mut shape = String::with_capacity(text.len());
    let mut at = 0;
    for token in tokens {
        let range = range(token);
        let (Some(gap), Some(said)) = (text.get(at..range.start), text.get(range.clone())) else {
            continue;
        };
        shape.push_str(gap);
        at = range.end;
        let is = |kind: Kind| token.token == kind as i32;
        if is(Kind::SqlComment) || is(Kind::CComment) {
            // It may have kept two words apart.
            shape.push(' ');
        } else if [Kind::Sconst, Kind::Usconst, Kind::Bconst, Kind::Xconst]
            .into_iter()
            .any(is)
        {
            shape.push_str(in_place.string);
        } else if is(Kind::Fconst) || is(Kind::Iconst) && in_place.numbers {
            shape.push('1');
        } else {
            // What else is a number counts columns or digits.
            shape.push_str(said);
        }
    }
    shape.push_str(text.get(at..).unwrap_or_default());
    shape.trim().to_owned()
}

fn range(token: &ScanToken) -> std::ops::Range<usize> {
    let offset = |position: i32| usize::try_from(position).unwrap_or(0);
    offset(token.start)..offset(token.end)
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn no_statement_keeps_a_constant_or_a_comment() {
        for text in [
            "SELECT a /* Secret */ FROM t WHERE a = 'Secret' -- Secret\n AND b = E'Secret'",
            "SELECT 'Secret'::text, $$Secret$$, U&'Secret', 47114711, 47114711.5, -47114711 FROM t",
            "/* a /* Secret */ b */ DELETE FROM t WHERE a IN ('Secret', 'Secret')",
            "INSERT INTO t VALUES ('Secret', 47114711)",
            "PREPARE p AS SELECT a FROM t WHERE a = 'Secret' AND b = 47114711",
            "EXECUTE p ('Secret', 47114711)",
            "CREATE TABLE u AS SELECT 'Secret' AS x, 47114711 AS y FROM t",
            "COPY t FROM PROGRAM 'Secret' WITH (DELIMITER 'Secret')",
            "COPY (SELECT a FROM t WHERE a = 'Secret') TO '/tmp/Secret'",
            "SELECT * FROM t, JSON_TABLE(j, '$.Secret' COLUMNS (a int PATH '$.Secret'))",
            "DECLARE c CURSOR FOR SELECT a FROM t WHERE a = 'Secret'",
            "EXPLAIN (FORMAT 'Secret') SELECT a FROM t WHERE b = 47114711",
            "COMMENT ON TABLE t IS 'Secret'",
            "ALTER TABLE t ADD COLUMN a int DEFAULT 47114711",
            "CREATE INDEX ON t (a) WHERE a = 'Secret' AND b > 47114711",
            "DO $$ BEGIN UPDATE t SET a = 'Secret' WHERE b = 47114711; END $$",
            "CALL p ('Secret')",
            "SET x.y = 'Secret'; SELECT a FROM t WHERE a = 'Secret'",
            "MERGE INTO t USING s ON t.a = 'Secret' WHEN MATCHED THEN UPDATE SET a = 'Secret'",
        ] {
            let shape = shape(text).unwrap_or_else(|| panic!("{text} is SQL"));
            assert!(!shape.contains("Secret"), "{text}: {shape}");
            assert!(!shape.contains("47114711"), "{text}: {shape}");
            assert!(!shape.contains("--") && !shape.contains("/*"), "{shape}");
        }
    }

    #[test]
    fn texts_that_differ_in_constants_and_comments_have_one_shape() {
        let expected = "SELECT a FROM t WHERE b = $1 ORDER BY 1";
        for text in [
            "SELECT a FROM t WHERE b = 'x' ORDER BY 1",
            "SELECT a FROM t WHERE b = 17 ORDER BY 1 /*traceparent='00-1'*/",
            "-- a line\nSELECT a FROM t WHERE b = $1 ORDER BY 1",
        ] {
            assert_eq!(shape(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(
            shape("SELECT/**/a::numeric(10,2) FROM t").as_deref(),
            Some("SELECT a::numeric(10,2) FROM t")
        );
        assert_eq!(
            shape("CREATE TABLE u AS SELECT a FROM t WHERE a = 'x'").as_deref(),
            Some("CREATE TABLE u AS SELECT a FROM t WHERE a = NULL")
        );
        assert_eq!(
            shape("COPY t TO STDOUT (DELIMITER ';')").as_deref(),
            Some("COPY t TO STDOUT (DELIMITER '')")
        );
        assert_eq!(
            shape("SET TRANSACTION READ ONLY; DELETE FROM t WHERE a = 'x' AND b = 17").as_deref(),
            Some("SET TRANSACTION READ ONLY; DELETE FROM t WHERE a = '' AND b = 1")
        );
        assert_eq!(shape("SELECT FROM FROM 'x'"), None);
    }
}
