//! Texts that differ in constants alone are read as if each came alone.

use std::collections::BTreeSet;

use pg_query::protobuf::Token;
use rewrite_rules::{RuleSet, SearchPath};

use super::comments;
use crate::generate::Choices;

/// What the shipped rules map, and what looks like SQL or like our own.
const STRINGS: [&str; 14] = [
    "admin",
    "iso_agent",
    "operator",
    "sales_rep",
    "",
    "it''s",
    "iso_agents",
    "a; b -- c /* d",
    "ä𝄞\n",
    "$1",
    "crossfade stands here: 0000",
    "2024-02-29",
    "{\"theme\": \"dark\"}",
    "$.a",
];

/// Other values for a text's constants, each of the type it has.
fn varied(text: &str, choices: &mut Choices) -> Option<String> {
    let scanned = pg_query::scan(text).ok()?;
    let mut varied = text.to_owned();
    for token in scanned.tokens.iter().rev() {
        let range = usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?;
        let value = match Token::try_from(token.token) {
            Ok(Token::Iconst | Token::Fconst) => {
                let mut first = true;
                let digits = text[range.clone()].chars().map(|c| {
                    let lowest = u8::from(std::mem::take(&mut first) && range.len() > 1);
                    match c {
                        '0'..='9' => char::from(b'0' + lowest + choices.below(9) as u8),
                        other => other,
                    }
                });
                digits.collect()
            }
            Ok(Token::Sconst) if text[range.clone()].starts_with('\'') => {
                format!("'{}'", choices.pick(&STRINGS))
            }
            _ => continue,
        };
        if choices.chance(70) {
            varied.replace_range(range, &value);
        }
    }
    Some(varied)
}

/// Reads a text and some that differ from it in constants. Tells for how many of them a template was used.
pub fn check_text(rules: &RuleSet, text: &str, path: SearchPath, choices: &mut Choices) -> usize {
    let mut seen = BTreeSet::new();
    let mut by_template = 0;
    for _ in 0..5 {
        let Some(text) = varied(text, choices) else {
            break;
        };
        if !seen.insert(text.clone()) {
            continue;
        }
        let read = rules.rewrite(&text, path);
        let alone = rules.read(&text, path);
        comments::are_alike(&read.verdict, &alone.verdict, &text);
        assert_eq!(read.effects, alone.effects, "{text}");
        // What is read is kept, what a template gave is not.
        by_template += usize::from(!std::sync::Arc::ptr_eq(&read, &rules.rewrite(&text, path)));
    }
    by_template
}
