//! How deep each token of a text stands, and which keywords are keywords there.
//!
//! ```text
//! SELECT CASE m.from WHEN 1 THEN 2 END AS where FROM m
//!        └─────── deeper ───────────┘
//! ```
//!
//! Behind a dot stands a name, behind AS a label, whatever word it is; and a few words are a part of what is no
//! clause.

use super::{Token, Tokens};

/// Tells how deep each token stands, and which keywords act as such.
pub(super) fn all(text: &str, tokens: &mut [Token]) {
    #[derive(PartialEq)]
    enum Open {
        Parenthesis,
        Case,
    }
    let mut open: Vec<Open> = Vec::new();
    for at in 0..tokens.len() {
        let keyword = tokens[at].keyword
            && acts(
                &Tokens {
                    text,
                    tokens: &*tokens,
                },
                at,
            );
        tokens[at].keyword = keyword;
        let here = Tokens {
            text,
            tokens: &*tokens,
        };
        let symbol = tokens[at].symbol(text.as_bytes());
        if matches!(symbol, b')' | b']') {
            // What is no SQL may leave a CASE open.
            while open.pop() == Some(Open::Case) {}
        } else if here.is(at, "end") && open.last() == Some(&Open::Case) {
            open.pop();
        }
        let opens = match symbol {
            b'(' | b'[' => Some(Open::Parenthesis),
            _ => here.is(at, "case").then_some(Open::Case),
        };
        tokens[at].depth = u32::try_from(open.len()).unwrap_or(u32::MAX);
        open.extend(opens);
    }
}

/// What begins another clause behind a result or a condition. None of these can be a label without AS.
pub(super) const CLAUSES: [&str; 17] = [
    "from",
    "into",
    "where",
    "group",
    "having",
    "window",
    "union",
    "intersect",
    "except",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "on",
    "returning",
    "with",
];

/// What may follow AS beside a label: a statement, or what is said of a WITH query.
const BEHIND_AS: [&str; 11] = [
    "select",
    "values",
    "table",
    "with",
    "insert",
    "update",
    "delete",
    "merge",
    "execute",
    "not",
    "materialized",
];

/// Whether a keyword is no name where it stands. Before it everything is told apart already.
fn acts(tokens: &Tokens<'_>, at: usize) -> bool {
    let before = |back: usize, word: &str| at >= back && tokens.is(at - back, word);
    if at > 0 && tokens.is_symbol(&tokens.tokens[at - 1], ".") {
        return false;
    }
    if before(1, "as") && !tokens.is_any(at, &BEHIND_AS) {
        return false;
    }
    if tokens.is(at, "from") {
        // IS [NOT] DISTINCT FROM; `SELECT a distinct FROM t` has a label before it.
        return !(before(1, "distinct")
            && (before(2, "is") || before(2, "not") && before(3, "is")));
    }
    if tokens.is(at, "group") {
        // WITHIN GROUP (…)
        return tokens.is(at + 1, "by");
    }
    if tokens.is(at, "with") {
        // timestamp with time zone
        return !tokens.is(at + 1, "time");
    }
    if tokens.is(at, "case") {
        // `SELECT a case FROM t` has a label without AS; of END that makes no difference.
        let next = tokens.tokens.get(at + 1);
        let ends = |token: &Token| {
            let symbols = [b',', b';', b')'];
            symbols.contains(&token.symbol(tokens.text.as_bytes()))
        };
        return !(next.is_none_or(ends) || tokens.is_any(at + 1, &CLAUSES));
    }
    true
}
