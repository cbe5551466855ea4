//! Statements within others.

use crate::text::tokens::Tokens;
use crate::text::tree::Tree;

/// What stands behind `EXPLAIN [(options)]` or `EXPLAIN [ANALYZE] [VERBOSE]`.
pub(crate) fn explained<'a>(statement: &Tree, tokens: Tokens<'a>) -> Option<Tokens<'a>> {
    let mut at = 1;
    if !statement.list("options").is_empty() {
        match tokens.parenthesised(at) {
            Some((_, close)) => at = close + 1,
            None => {
                while tokens.is_any(at, &["analyze", "analyse", "verbose"]) {
                    at += 1;
                }
            }
        }
    }
    rest(tokens, at)
}

/// What stands behind `PREPARE name [(types)] AS`.
pub(crate) fn prepared(tokens: Tokens<'_>) -> Option<Tokens<'_>> {
    let at = tokens.parenthesised(2).map_or(2, |(_, close)| close + 1);
    rest(tokens, at + 1).filter(|_| tokens.is(at, "as"))
}

/// What stands in the parentheses of `name [(columns)] AS [[NOT] MATERIALIZED] (…)`.
pub(crate) fn with_query<'a>(query: &Tree, tokens: Tokens<'a>) -> Option<Tokens<'a>> {
    let behind = tokens.at(query.location()?)? + 1;
    let mut at = tokens
        .parenthesised(behind)
        .map_or(behind, |(_, close)| close + 1);
    while tokens.is_any(at, &["as", "not", "materialized"]) {
        at += 1;
    }
    Some(tokens.parenthesised(at)?.0)
}

fn rest(tokens: Tokens<'_>, from: usize) -> Option<Tokens<'_>> {
    let end = tokens.tokens.len();
    (from < end).then(|| tokens.slice(from..end))
}
