use super::*;
use crate::{Phase, RuleSet, SearchPath, SourceFile};

const RULES: &str = include_str!("../../rules/iso_agents.toml");

fn rules(phase: Phase) -> RuleSet {
    let file = SourceFile {
        path: "iso_agents.toml".into(),
        text: RULES.to_owned(),
    };
    let rules = RuleSet::compile(vec![file]).expect("the shipped rules are right");
    rules.with_phase(None, phase)
}

fn check(text: &str, expected: &str) {
    let bare = Bare::of(text).unwrap_or_else(|| panic!("{text} has comments"));
    assert_eq!(bare.text, expected, "{text}");
    assert_eq!(tokens(text), tokens(&bare.text), "{text}");
}

#[test]
fn comments_are_taken_out_and_nothing_else() {
    for (text, expected) in [
        ("SELECT 1 /*traceparent='00-4b'*/", "SELECT 1"),
        ("/* action='a;b' */ SELECT 1", "SELECT 1"),
        ("/*a*/ /*b*/\n-- c\n  SELECT 1; -- d", "SELECT 1;"),
        ("SELECT/**/1", "SELECT 1"),
        ("SELECT /* a /* nested */ it's */ 1", "SELECT  1"),
        ("SELECT a -- it's \"one\nFROM t", "SELECT a \nFROM t"),
        ("SELECT a --one\r\nFROM t", "SELECT a \r\nFROM t"),
        ("SELECT 1 -/**/- 2", "SELECT 1 - - 2"),
        (
            "SELECT '/* no */', \"-- no\", $$/* no */$$ -- yes",
            "SELECT '/* no */', \"-- no\", $$/* no */$$",
        ),
        ("SELECT '\\' /* ' */", "SELECT '\\'"),
        ("SELECT E'\\'/* no */' /* yes */", "SELECT E'\\'/* no */'"),
        ("SELECT a/**/.b", "SELECT a .b"),
        ("SELECT é /* é */ , é", "SELECT é  , é"),
    ] {
        check(text, expected);
    }
}

#[test]
fn hints_stay_and_what_stands_before_them() {
    for (text, expected) in [
        (
            "/*+ SeqScan(t) */ SELECT 1 /* x */",
            "/*+ SeqScan(t) */ SELECT 1",
        ),
        (
            "/* x */ SELECT /*+ a */ 1 /* y */ FROM t",
            "/* x */ SELECT /*+ a */ 1  FROM t",
        ),
        ("SELECT '/*+' /* x */", "SELECT '/*+'"),
    ] {
        check(text, expected);
    }
    for text in [
        "/*+ SeqScan(t) */ SELECT 1",
        "/* a */ /*+ SeqScan(t) */ SELECT 1",
        "/* a /*+ b */ */ SELECT 1",
        "SELECT 1 -- /*+ b */",
        "/* x */ SELECT '/*+'",
    ] {
        assert_eq!(Bare::of(text), None, "{text}");
    }
}

#[test]
fn nothing_is_taken_out_where_it_would_change_a_text_or_its_end_is_not_known() {
    for text in [
        "SELECT 1",
        "SELECT 1 /* open",
        "SELECT 'open /* x */",
        // With a line's end and no comment between them they would be one string.
        "SELECT 'a' /* x */\n 'b'",
        "SELECT 'a' /* x */ -- y\n 'b'",
        "-- nothing else",
        "SELECT 1 /* \0 */",
    ] {
        assert_eq!(Bare::of(text), None, "{text}");
    }
    let many = "/**/ 1 ".repeat(COMMENTS_MAX + 1);
    assert_eq!(Bare::of(&many), None);
    let long = format!("SELECT '{}' /* x */", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(Bare::of(&long), None);
}

#[test]
fn positions_are_those_of_the_text_as_it_came() {
    let text = "/* é */ SELECT/* ü */a, -- ö\n b /**/ FROM t /* x */";
    let bare = Bare::of(text).expect("it has comments");
    assert_eq!(bare.text, "SELECT a, \n b  FROM t");
    for word in ["SELECT", "a,", "b ", "FROM", "t"] {
        let position = |text: &str| {
            let at = text.rfind(word).expect("it is there");
            u32::try_from(text[..at].chars().count() + 1).expect("it is short")
        };
        let word_at = position(&bare.text);
        let came = text.match_indices(word).map(|(at, _)| at);
        let came: Vec<usize> = came.map(|at| text[..at].chars().count() + 1).collect();
        let told = bare.came_position(word_at).expect("it is one");
        assert!(came.contains(&(told as usize)), "{word}: {told} {came:?}");
    }
    let end = u32::try_from(bare.text.chars().count() + 1).expect("it is short");
    let came_end = u32::try_from(text.chars().count() + 1).expect("it is short");
    assert_eq!(bare.came_position(end), Some(came_end));
    assert_eq!(bare.came_position(0), None);
}

const STATEMENTS: [&str; 9] = [
    "SELECT id , email FROM iso_agents AS a WHERE a . id = $1 AND full_name = 'x' ORDER BY 1",
    "SELECT * FROM iso_agents",
    "SELECT count ( * ) FROM iso_agents JOIN other USING ( id ) WHERE email LIKE 'a%'",
    "INSERT INTO iso_agents ( clerk_user_id , email , full_name ) VALUES ( '1' , 'a' , $1 ) RETURNING id",
    "UPDATE iso_agents SET full_name = 'x' , email = lower ( email ) WHERE id = $1 RETURNING *",
    "DELETE FROM iso_agents WHERE id = $1",
    "WITH x AS ( SELECT id FROM iso_agents ) SELECT * FROM x ; SELECT 1",
    "INSERT INTO iso_agents ( email ) VALUES ( 'a' ) ON CONFLICT ( email ) DO UPDATE SET full_name = 'y'",
    "SELECT a FROM other WHERE b = 'iso_agents'",
];

const COMMENTS: [&str; 5] = [
    "/*traceparent='00-4b'*/",
    "/* é ' \" $$ ; /* nested */ */",
    "-- it's; \"one\n",
    " /* a */ -- b\n /* c */ ",
    "/**/",
];

const PHASES: [Phase; 6] = [
    Phase::DualWrite,
    Phase::ShadowRead,
    Phase::DualRead,
    Phase::UnifiedRead,
    Phase::UnifiedOnly,
    Phase::LegacyOnly,
];

/// Debug builds compare, each time, with what reading the text itself gives.
#[test]
fn a_comment_anywhere_changes_neither_the_verdict_nor_what_is_sent_but_for_it() {
    for phase in PHASES {
        for statement in STATEMENTS {
            let rules = rules(phase);
            let path = SearchPath::AsDeclared;
            let plain = rules.rewrite(statement, path);
            let words: Vec<&str> = statement.split(' ').collect();
            for comment in COMMENTS {
                for at in 0..=words.len() {
                    let (before, behind) = words.split_at(at);
                    let text = format!("{} {comment} {}", before.join(" "), behind.join(" "));
                    let told = rules.rewrite(&text, path);
                    same_but_for(&text, &told, &plain, comment);
                }
            }
        }
    }
}

fn same_but_for(text: &str, told: &Reading, plain: &Reading, comment: &str) {
    match (&told.verdict, &plain.verdict) {
        (Verdict::Rewritten(told), Verdict::Rewritten(plain)) => {
            assert_eq!(tokens(&told.sql), tokens(&plain.sql), "{text}");
            for lexeme in Lexer::new(comment, Strings::Standard).flatten() {
                let said = &comment[lexeme.start..lexeme.end];
                assert!(
                    told.sql.contains(said),
                    "{text} has lost {said}: {}",
                    told.sql
                );
            }
            assert!(keeps(told, text), "{text}");
            assert_eq!(told.answers, plain.answers, "{text}");
            let extents = |told: &Rewritten| -> usize { told.kept.iter().map(|k| k.length).sum() };
            assert!(extents(told) + text.len() >= extents(plain), "{text}");
        }
        (Verdict::PassThrough, Verdict::PassThrough) => {}
        (Verdict::Refused(told), Verdict::Refused(plain)) => {
            assert_eq!(told.message, plain.message, "{text}");
        }
        (told, plain) => panic!("{text}\n{told:#?}\n{plain:#?}"),
    }
}

#[test]
fn an_error_points_to_the_same_word_wherever_a_comment_stands() {
    let statement = "SELECT id , email FROM iso_agents AS a WHERE a . full_name = 'x' AND id = $1";
    let words: Vec<&str> = statement.split(' ').collect();
    for phase in PHASES {
        let rules = rules(phase);
        for comment in COMMENTS {
            for at in 0..=words.len() {
                let (before, behind) = words.split_at(at);
                let text = format!("{} {comment} {}", before.join(" "), behind.join(" "));
                let told = rules.rewrite(&text, SearchPath::AsDeclared);
                let Verdict::Rewritten(told) = &told.verdict else {
                    continue;
                };
                let direct = rules.read(&text, SearchPath::AsDeclared);
                let Verdict::Rewritten(direct) = &direct.verdict else {
                    panic!("{text} is rewritten");
                };
                assert_eq!(places(told), places(direct), "{text}");
            }
        }
    }
}

/// Where each token of the sent text that is no comment is told to stand in the client's.
fn places(rewritten: &Rewritten) -> Vec<Option<u32>> {
    let lexemes = Lexer::new(&rewritten.sql, Strings::Standard).flatten();
    let tokens = lexemes.filter(|lexeme| lexeme.kind != LexemeKind::Comment);
    let position = |lexeme: Lexeme| {
        let chars = rewritten.sql[..lexeme.start].chars().count() + 1;
        u32::try_from(chars).expect("it is short")
    };
    tokens
        .map(|lexeme| rewritten.client_position(position(lexeme)))
        .collect()
}

#[test]
fn texts_that_differ_in_comments_alone_are_read_once() {
    let rules = rules(Phase::UnifiedRead);
    let text = |trace: u32| {
        format!("SELECT email FROM iso_agents WHERE id = $1 /*traceparent='00-{trace}'*/")
    };
    for trace in 0..50 {
        let _ = rules.rewrite(&text(trace), SearchPath::AsDeclared);
    }
    let kept = |text: &str| rules.reading_kept(text, SearchPath::AsDeclared).is_some();
    assert!(kept("SELECT email FROM iso_agents WHERE id = $1"));
    assert!(kept(&text(0)), "one that may come again");
    assert!((1..50).all(|trace| !kept(&text(trace))));
    let counted = rules.take_statements();
    let [counted] = counted.as_slice() else {
        panic!("{counted:?}");
    };
    let shape = "SELECT email FROM iso_agents WHERE id = $1";
    assert_eq!(counted.statement.as_deref(), Some(shape));
    assert_eq!(counted.tally.calls, 50);
}

#[test]
fn constants_and_comments_may_both_differ() {
    let rules = rules(Phase::UnifiedRead);
    for trace in 0..20 {
        let text = format!(
            "/* trace {trace} */ SELECT email FROM iso_agents WHERE email = 'a{trace}' -- {trace}"
        );
        let told = rules.rewrite(&text, SearchPath::AsDeclared);
        let direct = rules.read(&text, SearchPath::AsDeclared);
        assert_eq!(told.verdict, direct.verdict, "{text}");
    }
}

#[test]
fn what_looks_like_a_call_in_a_comment_changes_nothing() {
    use crate::Touch;
    let rules = rules(Phase::UnifiedRead);
    let touch = |text: &str| rules.touch(text.as_bytes());
    assert_eq!(
        touch("SELECT 1 /* line:a.rb:7:in block (2 levels) */"),
        Touch::No
    );
    assert_eq!(touch("/* set; role */ SELECT 1 -- f()"), Touch::No);
    assert_eq!(touch("SELECT f() /* x */"), Touch::Changes);
    assert_eq!(touch("SELECT 1 /* x */; SET ROLE x"), Touch::Changes);
    assert_eq!(touch("SELECT '\\' /*', f() -- */"), Touch::Changes);
}

#[test]
fn what_a_comment_spells_is_nobodys_name() {
    let rules = rules(Phase::UnifiedRead);
    let text = "SELECT 1 /* route='/iso_agents' */";
    let told = rules.rewrite(text, SearchPath::AsDeclared);
    assert_eq!(told.verdict, Verdict::PassThrough);
}
