//! What is tried in place of a client's messages: what the server is asked, and that the client cannot tell.

use rewrite_rules::Try;

use super::rig::*;

const ONE: &str = "cf_00000001_1";
const READ: Rule = Rule::Tried(Try::UnifiedAlone);
const WRITE: Rule = Rule::Tried(Try::InOnePiece);

/// With a parameter of the client's own.
const PARAMETER: &str = "SELECT a FROM legacy WHERE b = $1";

fn by_key(value: u32) -> String {
    format!("SELECT a FROM legacy WHERE b = {value}")
}

/// As it is read where it is not tried.
fn full(value: u32) -> Vec<u8> {
    query(&format!("SELECT a FROM unified WHERE b = {value}"))
}

/// What stands for a Query.
fn tried(value: u32, parsed: bool, block: bool) -> Vec<u8> {
    let value = value.to_string();
    let mut body = [b"\0", ONE.as_bytes(), b"\0"].concat();
    body.extend_from_slice(&[0, 0, 0, 1]);
    body.extend_from_slice(&(value.len() as u32).to_be_bytes());
    body.extend_from_slice(value.as_bytes());
    body.extend_from_slice(&[0, 0]);
    let close = if block { close_portal("") } else { Vec::new() };
    let parse = if parsed {
        Vec::new()
    } else {
        parse_tried(&[0, 0, 0, 23])
    };
    join([
        parse,
        message(b'B', &body),
        describe('P', ""),
        execute("", 0),
        close,
        sync(),
    ])
}

/// A Parse of what is tried for a Query, with the type of its parameter, or for messages, with none.
fn parse_tried(type_oid: &[u8]) -> Vec<u8> {
    let text = "SELECT a FROM unified_alone WHERE b = $1";
    let mut body = [ONE.as_bytes(), b"\0", text.as_bytes(), b"\0"].concat();
    body.extend_from_slice(&[0, (type_oid.len() / 4) as u8]);
    body.extend_from_slice(type_oid);
    message(b'P', &body)
}

fn row() -> Vec<u8> {
    message(b'D', b"\0\0")
}

fn described() -> Vec<u8> {
    message(b'T', b"\0\0")
}

fn answer(rows: usize, status: u8) -> Vec<u8> {
    let end = complete(&format!("SELECT {rows}"));
    [described(), row().repeat(rows), end, ready(status)].concat()
}

fn failure(sqlstate: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0C{sqlstate}\0Mno\0\0").as_bytes())
}

/// A session whose next text by key is tried.
fn trying(rule: Rule, chunk: usize) -> Rig {
    let mut rig = Rig::keeping_rewritten(chunk);
    rig.registry.install(rule);
    assert_eq!(rig.client(&query(&by_key(1))), full(1), "it was never seen");
    assert_eq!(rig.server(&answer(1, b'I')), answer(1, b'I'));
    assert_eq!(rig.client(&query(&by_key(2))), tried(2, false, false));
    let first = join([bare('1'), bare('2'), answer(1, b'I')]);
    assert_eq!(rig.server(&first), answer(1, b'I'));
    rig
}

fn runs(rig: &mut Rig, text: &str, status: u8) {
    assert_eq!(rig.client(&query(text)), query(text));
    rig.server(&join([complete("X"), ready(status)]));
}

#[test]
fn a_row_that_unified_has_is_told_as_it_comes() {
    for chunk in [usize::MAX, 1, 3] {
        let mut rig = trying(READ, chunk);
        for value in 3..9 {
            assert_eq!(
                rig.client(&query(&by_key(value))),
                tried(value, true, false)
            );
            let begun = join([bare('2'), described()]);
            assert_eq!(rig.server(&begun), b"", "there may be no row");
            assert_eq!(rig.server(&row()), join([described(), row()]));
            let end = join([complete("SELECT 1"), ready(b'I')]);
            assert_eq!(rig.server(&end), end);
        }
        assert!(rig.session.is_idle());
    }
}

#[test]
fn a_row_that_unified_lacks_is_asked_for_as_it_would_have_been() {
    for chunk in [usize::MAX, 1] {
        let mut rig = trying(READ, chunk);
        let both = join([query(&by_key(3)), query("SELECT 1")]);
        assert_eq!(
            rig.client(&both),
            tried(3, true, false),
            "what comes behind waits"
        );
        assert_eq!(rig.server(&join([bare('2'), answer(0, b'I')])), b"");
        assert!(!rig.session.is_idle());
        assert_eq!(rig.said_again(), join([full(3), query("SELECT 1")]));
        let told = join([answer(1, b'I'), complete("SELECT 1"), ready(b'I')]);
        assert_eq!(rig.server(&told), told);
        assert_eq!(rig.client(&query(&by_key(4))), tried(4, true, false));
    }
}

#[test]
fn in_a_block_a_read_is_tried_and_a_write_is_not() {
    let mut rig = trying(READ, usize::MAX);
    runs(&mut rig, "BEGIN", b'T');
    assert_eq!(rig.client(&query(&by_key(3))), tried(3, true, true));
    let none = join([
        bare('2'),
        described(),
        complete("SELECT 0"),
        bare('3'),
        ready(b'T'),
    ]);
    assert_eq!(rig.server(&none), b"");
    assert_eq!(rig.said_again(), full(3));
    assert_eq!(rig.server(&answer(0, b'T')), answer(0, b'T'));

    let mut rig = trying(WRITE, usize::MAX);
    runs(&mut rig, "BEGIN", b'T');
    assert_eq!(rig.client(&query(&by_key(3))), full(3));
}

#[test]
fn an_error_of_a_read_in_a_block_is_told_and_outside_of_one_is_met_again() {
    let mut rig = trying(READ, usize::MAX);
    rig.client(&query(&by_key(3)));
    let fails = join([bare('2'), failure("22012"), ready(b'I')]);
    assert_eq!(rig.server(&fails), b"");
    assert_eq!(rig.said_again(), full(3));
    rig.server(&join([failure("22012"), ready(b'I')]));

    runs(&mut rig, "BEGIN", b'T');
    rig.to_client.clear();
    rig.client(&query(&by_key(4)));
    let fails = join([bare('2'), failure("22012"), ready(b'E')]);
    assert_eq!(rig.server(&fails), join([failure("22012"), ready(b'E')]));
}

#[test]
fn a_write_is_told_when_it_is_committed_and_sent_otherwise_when_it_fails() {
    for chunk in [usize::MAX, 1] {
        let mut rig = trying(WRITE, chunk);
        rig.client(&query(&by_key(3)));
        let begun = join([bare('2'), described(), row(), complete("SELECT 1")]);
        assert_eq!(rig.server(&begun), b"", "it may fail when it is committed");
        assert_eq!(rig.server(&ready(b'I')), answer(1, b'I'));

        for fails_late in [false, true] {
            let mut rig = trying(WRITE, chunk);
            rig.client(&query(&by_key(4)));
            let begun = match fails_late {
                true => begun.clone(),
                false => bare('2'),
            };
            let fails = join([begun, failure("23505"), ready(b'I')]);
            assert_eq!(rig.server(&fails), b"");
            assert_eq!(rig.said_again(), full(4));
            assert_eq!(rig.server(&answer(1, b'I')), answer(1, b'I'));
        }
    }
}

#[test]
fn whoever_wants_a_statement_ended_is_obeyed() {
    for rule in [READ, WRITE] {
        let mut rig = trying(rule, usize::MAX);
        rig.client(&query(&by_key(3)));
        let cancelled = join([failure("57014"), ready(b'I')]);
        assert_eq!(rig.server(&join([bare('2'), cancelled.clone()])), cancelled);
        assert!(rig.session.is_idle());
    }
}

#[test]
fn what_a_write_returned_before_it_failed_cannot_be_taken_back() {
    let mut rig = trying(WRITE, usize::MAX);
    rig.client(&query(&by_key(3)));
    let large = message(b'D', &vec![0; 100_000]);
    let begun = join([bare('2'), described(), large.clone()]);
    assert_eq!(rig.server(&begun), join([described(), large]));
    let told = rig.server(&join([failure("23503"), ready(b'I')]));
    assert!(
        told.windows(5).any(|word| word == b"40001"),
        "nothing has happened"
    );
    assert!(rig.session.is_idle());
    // It is sent otherwise from now on.
    assert_eq!(rig.client(&query(&by_key(4))), full(4));
}

#[test]
fn what_a_trigger_says_is_not_said_twice() {
    let mut rig = trying(WRITE, usize::MAX);
    let notice = message(b'N', b"SNOTICE\0C00000\0Mhello\0\0");
    rig.client(&query(&by_key(3)));
    let fails = join([bare('2'), notice.clone(), failure("23505"), ready(b'I')]);
    assert_eq!(rig.server(&fails), b"");
    rig.said_again();
    let told = join([notice.clone(), answer(1, b'I')]);
    assert_eq!(rig.server(&told), told);

    rig.client(&query(&by_key(4)));
    let done = join([bare('2'), notice.clone(), answer(1, b'I')]);
    assert_eq!(rig.server(&done), told);
}

/// Messages that are one execution of a text, and what stands for them.
fn segment(text: &str) -> Vec<u8> {
    join([
        parse("", text),
        bare_bind("", ""),
        describe('P', ""),
        execute("", 0),
        sync(),
    ])
}

fn tried_segment(parsed: bool) -> Vec<u8> {
    let parse = if parsed { Vec::new() } else { parse_tried(&[]) };
    join([
        parse,
        bare_bind("", ONE),
        describe('P', ""),
        execute("", 0),
        sync(),
    ])
}

#[test]
fn messages_are_held_until_they_are_one_execution() {
    for chunk in [usize::MAX, 1, 7] {
        let mut rig = Rig::keeping_rewritten(chunk);
        rig.registry.install(READ);
        let as_it_is = segment("SELECT a FROM unified WHERE b = $1");
        assert_eq!(rig.client(&segment(PARAMETER)), as_it_is);
        let answers = join([bare('1'), bare('2'), answer(1, b'I')]);
        assert_eq!(rig.server(&answers), answers);
        assert_eq!(rig.client(&segment(PARAMETER)), tried_segment(false));
        assert_eq!(rig.server(&answers), answers);

        assert_eq!(rig.client(&segment(PARAMETER)), tried_segment(true));
        assert_eq!(rig.server(&join([bare('2'), answer(1, b'I')])), answers);
        // The unnamed statement is still the client's to bind, which the server has never heard of.
        let once_more = join([bare_bind("", ""), execute("", 0), sync()]);
        rig.registry.install(Rule::Read);
        let parsed = parse("", "SELECT a FROM unified WHERE b = $1");
        assert_eq!(rig.client(&once_more), join([parsed, once_more]));
    }
}

#[test]
fn messages_that_did_not_do_are_read_as_they_came() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    rig.registry.install(READ);
    let as_it_is = segment("SELECT a FROM unified WHERE b = $1");
    let answers = join([bare('1'), bare('2'), answer(0, b'I')]);
    rig.client(&segment(PARAMETER));
    rig.server(&answers);
    assert_eq!(rig.client(&segment(PARAMETER)), tried_segment(false));
    let none = join([bare('1'), bare('2'), answer(0, b'I')]);
    rig.to_client.clear();
    assert_eq!(rig.server(&none), b"");
    assert_eq!(rig.said_again(), as_it_is);
    assert_eq!(rig.server(&answers), answers);
}

#[test]
fn whatever_is_not_one_execution_goes_on_as_it_came() {
    let text = PARAMETER;
    let sent = "SELECT a FROM unified WHERE b = $1";
    let execution = |text: &str| {
        join([
            parse("", text),
            bare_bind("", ""),
            describe('P', ""),
            execute("", 0),
        ])
    };
    let ends: [(&str, Vec<u8>); 6] = [
        ("a Flush", bare('H')),
        (
            "another execution",
            join([bare_bind("", ""), execute("", 0), sync()]),
        ),
        ("a Close", join([close_portal(""), sync()])),
        ("another Execute", join([execute("", 0), sync()])),
        ("a Query", query("SELECT 1")),
        ("the end", bare('X')),
    ];
    for (what, end) in ends {
        let mut rig = Rig::keeping_rewritten(usize::MAX);
        rig.registry.install(READ);
        rig.client(&segment(text));
        rig.server(&join([bare('1'), bare('2'), answer(1, b'I')]));
        assert_eq!(rig.client(&execution(text)), b"", "{what}");
        assert_eq!(
            rig.client(&end),
            join([execution(sent), end.clone()]),
            "{what}"
        );
    }
    for (what, odd) in [
        (
            "a named portal",
            join([bare_bind("p", ""), execute("p", 0), sync()]),
        ),
        (
            "some rows of all",
            join([bare_bind("", ""), execute("", 1), sync()]),
        ),
    ] {
        let mut rig = Rig::keeping_rewritten(usize::MAX);
        rig.registry.install(READ);
        rig.client(&segment(text));
        rig.server(&join([bare('1'), bare('2'), answer(1, b'I')]));
        let came = join([parse("", text), odd.clone()]);
        assert_eq!(rig.client(&came), join([parse("", sent), odd]), "{what}");
    }
}

#[test]
fn a_statement_of_the_clients_own_is_tried_under_another_name() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    rig.registry.install(READ);
    let prepared = join([parse("s", PARAMETER), sync()]);
    rig.client(&prepared);
    rig.server(&join([bare('1'), ready(b'I')]));
    rig.to_client.clear();
    let run = join([bare_bind("", "s"), execute("", 0), sync()]);
    let rows = |rows: usize| {
        let end = complete(&format!("SELECT {rows}"));
        [bare('2'), row().repeat(rows), end, ready(b'I')].concat()
    };
    assert_eq!(rig.client(&run), run);
    assert_eq!(rig.server(&rows(1)), rows(1));
    let bound = join([bare_bind("", ONE), execute("", 0), sync()]);
    assert_eq!(rig.client(&run), join([parse_tried(&[]), bound.clone()]));
    assert_eq!(rig.server(&join([bare('1'), rows(1)])), rows(1));
    assert_eq!(rig.client(&run), bound);
    assert_eq!(rig.server(&rows(0)), b"");
    assert_eq!(rig.said_again(), run);
    assert_eq!(rig.server(&rows(0)), rows(0));
}

#[test]
fn what_seldom_does_is_not_tried_for_a_while() {
    let mut rig = trying(READ, usize::MAX);
    let mut tries = 0;
    for value in 100..400 {
        let mut sent = rig.client(&query(&by_key(value)));
        if sent == tried(value, true, false) {
            tries += 1;
            rig.server(&join([bare('2'), answer(0, b'I')]));
            sent = rig.said_again();
        }
        let before = match sent[0] {
            b'P' => join([bare('1'), bare('2')]),
            b'B' => bare('2'),
            _ => Vec::new(),
        };
        rig.server(&join([before, answer(0, b'I')]));
    }
    assert_eq!(tries, 9, "eight, and one behind a while of 256");
}
