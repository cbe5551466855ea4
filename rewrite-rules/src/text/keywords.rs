//! Words that are no names, or none of columns and tables, unless something says so: PostgreSQL 18's.

/// Names of nothing, unless in quotation marks, behind a dot or as a label.
#[rustfmt::skip]
const RESERVED: [&str; 78] = [
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "both",
    "case", "cast", "check", "collate", "column", "constraint", "create", "current_catalog",
    "current_date", "current_role", "current_time", "current_timestamp", "current_user",
    "default", "deferrable", "desc", "distinct", "do", "else", "end", "except", "false",
    "fetch", "for", "foreign", "from", "grant", "group", "having", "in", "initially",
    "intersect", "into", "lateral", "leading", "limit", "localtime", "localtimestamp", "not",
    "null", "offset", "on", "only", "or", "order", "placing", "primary", "references",
    "returning", "select", "session_user", "some", "symmetric", "system_user", "table", "then",
    "to", "trailing", "true", "union", "unique", "user", "using", "variadic", "when", "where",
    "window", "with",
];

/// Names of functions and types alone.
#[rustfmt::skip]
const OF_FUNCTIONS: [&str; 23] = [
    "authorization", "binary", "collation", "concurrently", "cross", "current_schema",
    "freeze", "full", "ilike", "inner", "is", "isnull", "join", "left", "like", "natural",
    "notnull", "outer", "overlaps", "right", "similar", "tablesample", "verbose",
];

pub(crate) fn is_reserved(word: &str) -> bool {
    has(&RESERVED, word)
}

/// Whether a word can be no column's name where it stands alone.
pub(crate) fn names_no_column(word: &str) -> bool {
    is_reserved(word) || has(&OF_FUNCTIONS, word)
}

fn has(words: &[&str], word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    words.binary_search(&lower.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pg_query::protobuf::KeywordKind;

    #[test]
    fn the_words_are_those_of_the_grammar() {
        for (words, kind) in [
            (&RESERVED[..], KeywordKind::ReservedKeyword),
            (&OF_FUNCTIONS[..], KeywordKind::TypeFuncNameKeyword),
        ] {
            assert!(words.is_sorted());
            for word in words {
                let token = pg_query::scan_tokens(word).expect("it is scanned");
                assert_eq!(token[0].keyword_kind, kind as i32, "{word}");
            }
        }
        assert!(is_reserved("Select") && !is_reserved("set") && names_no_column("LEFT"));
    }
}
