//! A comment put anywhere between two tokens changes neither what a text is read as nor what is sent but for it, nor
//! where in the client's text an error points.

use pg_query::protobuf::{ScanToken, Token};
use rewrite_rules::{Rewritten, RuleSet, SearchPath, Verdict};

use crate::generate::Choices;

/// As drivers, people and those who look for trouble write them.
pub const COMMENTS: [&str; 7] = [
    "/*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',action='list'*/",
    "/**/",
    "/* é ' \" $$ ; /* nested -- */ \\ */",
    "-- it's; \"one $1\n",
    "--\r\n",
    " /* one */ -- two\n /* iso_agents */ ",
    "/* one\n two */",
];

/// A text with a comment behind one of its tokens, or before all of them.
#[must_use]
pub fn commented(text: &str, choices: &mut Choices) -> Option<String> {
    let scanned = pg_query::scan(text).ok()?;
    let tokens = scanned.tokens.iter();
    let ends = tokens.filter_map(|token| usize::try_from(token.end).ok());
    let places: Vec<usize> = std::iter::once(0).chain(ends).collect();
    let mut commented = text.to_owned();
    let count = 1 + choices.below(2);
    let mut at: Vec<usize> = (0..count).map(|_| choices.pick(&places)).collect();
    at.sort_unstable();
    for at in at.into_iter().rev() {
        // Behind an operator a comment's first characters are read as some of it.
        let before = text[..at].chars().next_back();
        let apart = before.is_some_and(|before| before.is_ascii_punctuation() && before != ')');
        let comment = choices.pick(&COMMENTS);
        commented.insert_str(at, comment);
        if apart {
            commented.insert(at, ' ');
        }
    }
    Some(commented)
}

/// Reads a text with comments in it, by what is known of it without.
pub fn check_text(rules: &RuleSet, text: &str, path: SearchPath, choices: &mut Choices) {
    let plain = rules.rewrite(text, path);
    for _ in 0..3 {
        let Some(text) = commented(text, choices) else {
            return;
        };
        let told = rules.rewrite(&text, path);
        let alone = rules.read(&text, path);
        are_alike(&told.verdict, &alone.verdict, &text);
        assert_eq!(told.effects, alone.effects, "{text}");
        if let (Verdict::Rewritten(told), Verdict::Rewritten(plain)) =
            (&told.verdict, &plain.verdict)
        {
            assert_eq!(tokens(&told.sql), tokens(&plain.sql), "{text}");
        }
    }
}

/// Checks that two verdicts on a text differ in nothing but where in the sent text its comments stand.
pub fn are_alike(told: &Verdict, alone: &Verdict, text: &str) {
    match (told, alone) {
        (Verdict::Rewritten(told), Verdict::Rewritten(alone)) => {
            assert_eq!(tokens(&told.sql), tokens(&alone.sql), "{text}");
            assert_eq!(places(told), places(alone), "{text}\n{}", told.sql);
            assert_eq!(told.answers, alone.answers, "{text}");
            assert_eq!(told.renames, alone.renames, "{text}");
            assert_eq!(told.shadow.is_some(), alone.shadow.is_some(), "{text}");
        }
        (told, alone) => assert_eq!(told, alone, "{text}"),
    }
}

fn scanned(sql: &str) -> Vec<ScanToken> {
    let all = pg_query::scan(sql).map(|scanned| scanned.tokens);
    let all = all.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let is_comment = |token: &ScanToken| {
        matches!(
            Token::try_from(token.token),
            Ok(Token::SqlComment | Token::CComment)
        )
    };
    all.into_iter().filter(|token| !is_comment(token)).collect()
}

fn tokens(sql: &str) -> Vec<String> {
    let offset = |at: i32| usize::try_from(at).unwrap_or(0);
    let of = |token: ScanToken| sql[offset(token.start)..offset(token.end)].to_owned();
    scanned(sql).into_iter().map(of).collect()
}

/// Where in the client's text each token of the sent text is told to stand.
fn places(rewritten: &Rewritten) -> Vec<Option<u32>> {
    let sql = &rewritten.sql;
    let position = |token: ScanToken| {
        let before = &sql[..usize::try_from(token.start).unwrap_or(0)];
        u32::try_from(before.chars().count() + 1).ok()
    };
    let positions = scanned(sql).into_iter().map(position);
    positions
        .map(|position| rewritten.client_position(position?))
        .collect()
}
