use std::fs;
use std::path::Path;

use super::*;

/// What stands in a text, without blanks.
fn told(text: &str, strings: Strings) -> Result<Vec<(LexemeKind, &str)>, Unfound> {
    let lexer = Lexer::new(text, strings);
    lexer
        .map(|lexeme| lexeme.map(|found| (found.kind, &text[found.start..found.end])))
        .collect()
}

#[test]
fn everything_ends_where_postgresql_ends_it() {
    use LexemeKind::{
        Comment, DollarString, Number, Parameter, PrefixedString, Quoted, String, Symbol, Word,
    };
    for (text, expected) in [
        (
            "a.\"b\"",
            vec![(Word, "a"), (Symbol, "."), (Quoted, "\"b\"")],
        ),
        (
            "e'\\''||U&\"a\"",
            vec![
                (PrefixedString, "e'\\''"),
                (Symbol, "||"),
                (Quoted, "U&\"a\""),
            ],
        ),
        ("n'a'", vec![(Word, "n"), (String, "'a'")]),
        (
            "'a' -- x\n  'b' 'c'",
            vec![(String, "'a' -- x\n  'b'"), (String, "'c'")],
        ),
        (
            "$1$a$ $b$ $a$",
            vec![(Parameter, "$1"), (DollarString, "$a$ $b$ $a$")],
        ),
        (
            "1..2.5e-3",
            vec![(Number, "1"), (Symbol, ".."), (Number, "2.5e-3")],
        ),
        (
            "0x1F+1_000",
            vec![(Number, "0x1F"), (Symbol, "+"), (Number, "1_000")],
        ),
        (
            "a+-1 @- 2",
            vec![
                (Word, "a"),
                (Symbol, "+"),
                (Symbol, "-"),
                (Number, "1"),
                (Symbol, "@-"),
                (Number, "2"),
            ],
        ),
        (
            "<=>/*>*/--",
            vec![(Symbol, "<=>"), (Comment, "/*>*/"), (Comment, "--")],
        ),
        (
            "a$b::c:=d",
            vec![
                (Word, "a$b"),
                (Symbol, "::"),
                (Word, "c"),
                (Symbol, ":="),
                (Word, "d"),
            ],
        ),
    ] {
        assert_eq!(told(text, Strings::Standard), Ok(expected), "{text}");
        assert!(agrees(text), "{text}");
    }
    let escaped = told(r"'\'' , 'a'", Strings::Escapes);
    assert_eq!(
        escaped,
        Ok(vec![(String, r"'\''"), (Symbol, ","), (String, "'a'")])
    );
    assert_eq!(told("'a' /*", Strings::Standard), Err(Unfound::Lost));
    assert_eq!(told("U&'a' '", Strings::Escapes), Err(Unfound::NeverTaken));
}

#[test]
fn statements_of_the_regression_scripts_and_of_ours_are_taken_apart_as_postgresql_does() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
    let mut directories = vec![tests];
    let mut lexed = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("it is a directory") {
            let path = entry.expect("it is there").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sql") {
                let text = fs::read(&path).expect("it can be read");
                let text = String::from_utf8_lossy(&text).replace('\0', "");
                for statement in text.split_inclusive(";\n") {
                    assert!(agrees(statement), "{}: {statement}", path.display());
                    lexed += usize::from(pg_query::scan_tokens(statement).is_ok());
                }
            }
        }
    }
    assert!(lexed > 8_000, "only {lexed} statements were compared");
}

proptest::proptest! {
    #[test]
    fn whatever_postgresql_takes_apart_is_taken_apart_alike(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..14),
    ) {
        let text = pieces.concat();
        proptest::prop_assert!(agrees(&text), "{:?}", text);
    }
}

/// What begins, ends and looks like something.
const PIECES: &[&str] = &[
    "'", "''", "'a'", "\\", "\n", " ", "\t", "\r", "\x0b", "--", "-", "+", "*", "/", "/*", "*/",
    "=", "<", ">", "!", "@", "~", "%", "^", "&", "|", "?", "#", "`", ":", "::", ":=", ".", "..",
    ",", ";", "(", ")", "[", "]", "$", "$$", "$a$", "$1", "1", "0", "x", "e", "E'", "b'1'", "U&",
    "\"", "_", "o", "n", "N'", "é", "a", "uescape", "1.5e",
];
