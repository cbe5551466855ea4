use super::*;
use crate::{Phase, SourceFile};

fn rules(phase: Phase) -> RuleSet {
    let file = SourceFile {
        path: "iso_agents.toml".into(),
        text: include_str!("../../rules/iso_agents.toml").to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
    rules.with_phase(None, phase)
}

fn standard(text: &str) -> Option<String> {
    let standard = Standard::of(text).unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"));
    standard.map(|standard| standard.text)
}

#[test]
fn a_plain_string_with_an_escape_becomes_one_that_means_the_same_everywhere() {
    for (text, expected) in [
        (r"SELECT 'it\'s'", r"SELECT  E'it\'s'"),
        (r"SELECT'\\', 'a''\n'", r"SELECT E'\\',  E'a''\n'"),
        (r"SELECT date'\x41'", r"SELECT date E'\x41'"),
        ("SELECT 'a'\n 'b\\'' , 'c'", "SELECT  E'a'\n 'b\\'' , 'c'"),
        ("SELECT 'a' -- 'x\n'b\\''", "SELECT  E'a' -- 'x\n'b\\''"),
        (
            "SELECT 1 /* ' /* \\ */ ' */, a$b$ , 'c\\'', $$ ' \\' $$ -- ' \\",
            "SELECT 1 /* ' /* \\ */ ' */, a$b$ ,  E'c\\'', $$ ' \\' $$ -- ' \\",
        ),
        (
            r#"SELECT "a\'", E'\'', 'é\'', $a$ $b$ \' $a$"#,
            r#"SELECT "a\'", E'\'',  E'é\'', $a$ $b$ \' $a$"#,
        ),
        (
            r"UPDATE notes SET msg='it\'' WHERE id=1; UPDATE iso_agents SET full_name=' || ' WHERE email<>' -- '",
            r"UPDATE notes SET msg= E'it\'' WHERE id=1; UPDATE iso_agents SET full_name=' || ' WHERE email<>' -- '",
        ),
    ] {
        assert_eq!(standard(text).as_deref(), Some(expected), "{text}");
        assert_eq!(standard(expected), None, "{expected} stays as it is");
    }
    for text in [
        "SELECT 'a'",
        r"SELECT E'\'', $1",
        r#"SELECT "\""#,
        r"SELECT $$\'$$",
    ] {
        assert_eq!(standard(text), None, "{text}");
    }
}

#[test]
fn what_no_mark_makes_another_is_refused() {
    for text in [
        r"SELECT N'it\'s'",
        r"SELECT U&'\0041'",
        r"SELECT 'open\'",
        r"SELECT '\'' || $$",
    ] {
        let refused = Standard::of(text).expect_err(text);
        assert_eq!(refused.sqlstate, "0A000", "{text}");
    }
    // The server may do with it what it likes, if it names nothing of ours.
    let rules = rules(Phase::DualWrite);
    let path = SearchPath::AsDeclared;
    let other = rules.rewrite_as(r"SELECT N'\''", path, Strings::Escapes);
    assert_eq!(other.verdict, Verdict::PassThrough);
    // Nor is anything run of a text in which it comes to a constant that it never takes.
    let never = r"SELECT 'it\'s', U&'\0041' FROM iso_agents; DELETE FROM iso_agents";
    let never = rules.rewrite_as(never, path, Strings::Escapes);
    assert_eq!(never.verdict, Verdict::PassThrough);
    // What only looks like one stands in a string.
    let data = rules.rewrite_as(
        r"SELECT N'\'', ' U&''a' FROM iso_agents",
        path,
        Strings::Escapes,
    );
    assert!(matches!(data.verdict, Verdict::Refused(_)), "{data:?}");
    let ours = rules.rewrite_as(r"SELECT N'\'' FROM iso_agents", path, Strings::Escapes);
    assert!(matches!(ours.verdict, Verdict::Refused(_)), "{ours:?}");
}

#[test]
fn what_stands_in_a_string_is_data_and_what_stands_behind_it_is_rewritten() {
    let rules = rules(Phase::UnifiedOnly);
    let path = SearchPath::AsDeclared;
    let text = r"UPDATE notes SET msg='\'; UPDATE iso_agents SET full_name = '''";
    let reading = rules.rewrite_as(text, path, Strings::Escapes);
    assert!(
        !matches!(reading.verdict, Verdict::Rewritten(_)),
        "{reading:?}"
    );
    let text = r"UPDATE notes SET msg='it\'' WHERE id=1; UPDATE iso_agents SET full_name=' || ' WHERE email<>' -- '";
    let reading = rules.rewrite_as(text, path, Strings::Escapes);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{reading:?}")
    };
    let start = r"UPDATE notes SET msg= E'it\'' WHERE id=1; ";
    assert!(rewritten.sql.starts_with(start), "{}", rewritten.sql);
    assert!(!rewritten.sql[start.len()..].starts_with("UPDATE iso_agents"));
    assert_eq!(rewritten.original, text);
}

#[test]
fn positions_are_told_of_the_text_as_it_came() {
    let rules = rules(Phase::UnifiedOnly);
    let path = SearchPath::AsDeclared;
    let text = r"SELECT 'é\'', nothing, '\\', more FROM iso_agents WHERE x";
    let reading = rules.rewrite_as(text, path, Strings::Escapes);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{reading:?}")
    };
    let position = |needle: &str, text: &str| {
        let byte = text.rfind(needle).expect("the needle is there");
        u32::try_from(text[..byte].chars().count() + 1).expect("a short text")
    };
    for needle in ["'é", "nothing", "more", "WHERE x"] {
        let sent = position(needle, &rewritten.sql);
        let told = rewritten.client_position(sent);
        assert_eq!(told, Some(position(needle, text)), "{needle}");
    }
    for (sent, came) in [("E'é", "'é"), (r"E'\\", r"'\\")] {
        let told = rewritten.client_position(position(sent, &rewritten.sql));
        assert_eq!(told, Some(position(came, text)), "{came}");
    }
    for kept in &rewritten.kept {
        assert_eq!(
            text[kept.original..kept.original + kept.length],
            rewritten.sql[kept.rewritten..kept.rewritten + kept.length]
        );
    }
    let wrong = r"SELECT 'é\'' FROM FROM iso_agents";
    let reading = rules.rewrite_as(wrong, path, Strings::Escapes);
    let Verdict::Refused(refusal) = &reading.verdict else {
        panic!("{reading:?}")
    };
    assert_eq!(refusal.position, Some(19), "{refusal:?}");
}

#[test]
fn a_text_that_is_no_sql_leaves_the_thread_as_it_was() {
    // libpg_query keeps the setting of a parse that failed.
    let _ = Standard::of(r"SELECT '\'' FROM FROM");
    let tokens = crate::text::tokens::scan(r"'\', 1").expect("it is scanned");
    assert_eq!(tokens.len(), 3);
}

#[test]
fn templates_of_the_one_setting_are_none_of_the_other() {
    let rules = rules(Phase::UnifiedOnly);
    let path = SearchPath::AsDeclared;
    for round in 0..4 {
        let text =
            format!(r"SELECT id FROM iso_agents WHERE email = '\' OR full_name = ' || {round} --'");
        let standard = rules.rewrite_as(&text, path, Strings::Standard);
        let escapes = rules.rewrite_as(&text, path, Strings::Escapes);
        for (read, expected) in [
            (&standard, format!(r"= '\' OR full_name = ' || {round}")),
            (&escapes, format!(r"=  E'\' OR full_name = ' || {round}")),
        ] {
            let Verdict::Rewritten(rewritten) = &read.verdict else {
                panic!("{read:?}")
            };
            assert_eq!(rewritten.original, text);
            assert!(
                rewritten.sql.contains("E'") == expected.contains("E'"),
                "{}",
                rewritten.sql
            );
        }
        let text = format!(r"SELECT id FROM iso_agents WHERE email = '\'{round}'");
        let standard = rules.rewrite_as(&text, path, Strings::Standard);
        let escapes = rules.rewrite_as(&text, path, Strings::Escapes);
        assert!(
            matches!(standard.verdict, Verdict::Refused(_)),
            "{standard:?}"
        );
        assert!(
            matches!(escapes.verdict, Verdict::Rewritten(_)),
            "{escapes:?}"
        );
    }
}

#[test]
fn sql_of_a_rule_file_means_the_same_under_either_setting() {
    for (sql, expected) in [
        (
            r"a ~ '^\d+$' OR b = 'it''s'",
            r"a ~  E'^\\d+$' OR b = 'it''s'",
        ),
        (r"E'\\d' || 'x\'", r"E'\\d' ||  E'x\\'"),
        ("a = 'b'", "a = 'b'"),
    ] {
        assert_eq!(settled(sql), expected);
        assert!(!has_standard_escape(expected), "{expected}");
    }
}

proptest::proptest! {
    /// Whatever PostgreSQL's parser reads with escapes is found here as well, and means the same.
    #[test]
    fn every_text_that_is_sql_with_escapes_is_made_standard(
        pieces in proptest::collection::vec(
            proptest::sample::select(&PIECES[..]),
            0..12,
        ),
    ) {
        let text = format!("SELECT {}", pieces.concat());
        let options = pg_query::ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
            | pg_query::ParserOptions::DISABLE_ESCAPE_STRING_WARNING;
        let is_sql = pg_query::parse(&text, options).is_ok();
        // Takes the setting back, which a parse that failed leaves behind.
        let _ = pg_query::parse("", pg_query::ParserOptions::DEFAULT);
        let standard = Standard::of(&text);
        proptest::prop_assert!(standard.is_ok() || !is_sql, "{text}: {standard:?}");
        if let Ok(Some(standard)) = standard {
            proptest::prop_assert_eq!(Standard::of(&standard.text), Ok(None));
        }
    }
}

/// Put together they are SQL often enough, and cut in the wrong place they are other SQL.
const PIECES: [&str; 28] = [
    "'",
    "'a'",
    r"'\''",
    r"'\\'",
    r"'a\",
    "''",
    "\\",
    "\n",
    " ",
    ", ",
    " || ",
    "-- '",
    "--\n",
    "/* ' */",
    "/*",
    "*/",
    "\"a'\"",
    "\"",
    r"E'\''",
    "e'a'",
    "$$'$$",
    "$a$",
    "b$a$",
    "1",
    "a",
    "é",
    "; SELECT 1",
    " FROM t",
];
