//! Queries answered by statements that are kept prepared: what the server is asked, and that the client cannot tell.

use super::rig::*;

const ONE: &str = "cf_00000001_1";
const TWO: &str = "cf_00000001_2";
const SENT: &str = "SELECT a FROM unified WHERE b = ";
const KEPT: &str = "SELECT a FROM unified WHERE b = $1";

fn by_key(value: u32) -> Vec<u8> {
    query(&format!("SELECT a FROM legacy WHERE b = {value}"))
}

fn sent(value: u32) -> Vec<u8> {
    query(&format!("{SENT}{value}"))
}

/// What a Query is answered.
fn answer(status: u8) -> Vec<u8> {
    join([message(b'T', b"\0\0"), complete("SELECT 0"), ready(status)])
}

fn parse_kept(name: &str) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", KEPT.as_bytes(), b"\0"].concat();
    body.extend_from_slice(&[0, 1, 0, 0, 0, 23]);
    message(b'P', &body)
}

fn bound(name: &str, value: u32, block: bool) -> Vec<u8> {
    let value = value.to_string();
    let mut body = [b"\0", name.as_bytes(), b"\0"].concat();
    body.extend_from_slice(&[0, 0, 0, 1]);
    body.extend_from_slice(&(value.len() as u32).to_be_bytes());
    body.extend_from_slice(value.as_bytes());
    body.extend_from_slice(&[0, 0]);
    let close = if block {
        message(b'C', b"P\0")
    } else {
        Vec::new()
    };
    join([
        message(b'B', &body),
        describe('P', ""),
        execute("", 0),
        close,
        sync(),
    ])
}

/// What the server answers to that.
fn answered(status: u8) -> Vec<u8> {
    join([bare('2'), answer(status)])
}

fn prepared() -> Vec<u8> {
    join([bare('1'), answered(b'I')])
}

/// Has the server keep the text.
fn keep(rig: &mut Rig) {
    assert_eq!(rig.client(&by_key(1)), sent(1));
    assert_eq!(rig.server(&answer(b'I')), answer(b'I'));
    let first = join([parse_kept(ONE), bound(ONE, 22, false)]);
    assert_eq!(rig.client(&by_key(22)), first);
    assert_eq!(rig.server(&prepared()), answer(b'I'));
}

fn runs(rig: &mut Rig, text: &str, status: u8) {
    assert_eq!(rig.client(&query(text)), query(text));
    rig.server(&join([complete("X"), ready(status)]));
}

fn failure(sqlstate: &str, position: &str) -> Vec<u8> {
    let fields = format!("SERROR\0C{sqlstate}\0Mno\0P{position}\0\0");
    message(b'E', fields.as_bytes())
}

#[test]
fn a_text_by_key_is_prepared_once_and_bound_from_then_on() {
    for chunk in [usize::MAX, 1, 3] {
        let mut rig = Rig::keeping_rewritten(chunk);
        keep(&mut rig);
        for value in 3..20 {
            assert_eq!(rig.client(&by_key(value)), bound(ONE, value, false));
            assert_eq!(rig.server(&answered(b'I')), answer(b'I'));
        }
        assert!(rig.session.is_idle());
    }
}

#[test]
fn in_a_block_the_portal_is_closed_and_an_unnamed_statement_is_always() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    keep(&mut rig);
    runs(&mut rig, "BEGIN", b'T');
    rig.client(&join([parse("", "SELECT 1"), sync()]));
    rig.server(&join([bare('1'), ready(b'T')]));
    assert_eq!(
        rig.client(&by_key(3)),
        join([close(""), bound(ONE, 3, true)])
    );
    let told = join([message(b'T', b"\0\0"), complete("SELECT 0")]);
    let closed = join([bare('3'), bare('2'), told, bare('3'), ready(b'T')]);
    assert_eq!(rig.server(&closed), answer(b'T'));
}

#[test]
fn the_end_is_told_when_it_is_committed_or_not_at_all() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    keep(&mut rig);
    rig.client(&by_key(3));
    let rows = join([bare('2'), message(b'T', b"\0\0"), complete("SELECT 0")]);
    assert_eq!(rig.server(&rows), message(b'T', b"\0\0"));
    assert_eq!(
        rig.server(&ready(b'I')),
        join([complete("SELECT 0"), ready(b'I')])
    );

    rig.client(&by_key(4));
    assert_eq!(rig.server(&rows), message(b'T', b"\0\0"));
    let failed = error("23503", "late");
    rig.server(&failed);
    assert_eq!(rig.server(&ready(b'I')), ready(b'I'));
}

#[test]
fn what_is_outstanding_or_unsynced_has_it_sent_as_a_query() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    keep(&mut rig);
    let both = join([by_key(3), by_key(4)]);
    assert_eq!(rig.client(&both), join([bound(ONE, 3, false), sent(4)]));
    let answers = join([answered(b'I'), answer(b'I')]);
    assert_eq!(rig.server(&answers), join([answer(b'I'), answer(b'I')]));

    rig.client(&parse("s", "SELECT 1"));
    rig.server(&bare('1'));
    assert_eq!(rig.client(&by_key(5)), sent(5));
}

#[test]
fn outside_of_a_block_what_the_server_refuses_is_sent_as_a_query() {
    for sqlstate in ["42703", "0A000", "26000", "22P02", "08P01"] {
        let mut rig = Rig::keeping_rewritten(usize::MAX);
        keep(&mut rig);
        rig.client(&by_key(3));
        assert_eq!(rig.server(&failure(sqlstate, "8")), b"");
        assert_eq!(rig.client(&by_key(4)), b"", "it waits its turn");
        assert_eq!(rig.server(&ready(b'I')), b"");
        assert_eq!(rig.resent(), sent(3));
        rig.client(&[]);
        assert_eq!(rig.server(&answer(b'I')), answer(b'I'));
    }
}

#[test]
fn what_fails_as_it_runs_or_is_interrupted_is_told() {
    for (sqlstate, runs) in [
        ("23505", true),
        ("42501", true),
        ("57014", false),
        ("55P03", false),
    ] {
        let mut rig = Rig::keeping_rewritten(usize::MAX);
        keep(&mut rig);
        rig.client(&by_key(3));
        if runs {
            rig.server(&bare('2'));
        }
        rig.server(&error(sqlstate, "no"));
        let said = rig.server(&ready(b'I'));
        assert_eq!(said, ready(b'I'), "{sqlstate}");
        assert!(
            rig.to_client
                .ends_with(&join([error(sqlstate, "no"), ready(b'I')]))
        );
        assert_eq!(rig.client(&by_key(4)), bound(ONE, 4, false), "{sqlstate}");
    }
}

#[test]
fn what_it_will_not_prepare_is_not_tried_again() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    rig.client(&by_key(1));
    rig.server(&answer(b'I'));
    rig.client(&by_key(2));
    assert_eq!(
        rig.server(&join([failure("42P18", "33"), ready(b'I')])),
        b""
    );
    assert_eq!(rig.resent(), sent(2));
    rig.server(&answer(b'I'));
    for value in 3..7 {
        assert_eq!(rig.client(&by_key(value)), sent(value));
        rig.server(&answer(b'I'));
    }
}

#[test]
fn in_a_block_an_error_is_told_with_its_place_in_the_text_with_constants() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    keep(&mut rig);
    runs(&mut rig, "BEGIN", b'T');
    rig.client(&by_key(333));
    // The rules of the test tell of no place of theirs where the client's text has it.
    assert_eq!(
        rig.server(&join([failure("42703", "33"), ready(b'E')])),
        join([message(b'E', b"SERROR\0C42703\0Mno\0\0"), ready(b'E')])
    );
    assert_eq!(
        rig.client(&by_key(4)),
        sent(4),
        "a failed transaction is the server's to tell"
    );
    rig.server(&join([error("25P02", "aborted"), ready(b'E')]));
    runs(&mut rig, "ROLLBACK", b'I');
    // Twice seen, and prepared anew.
    rig.client(&by_key(5));
    rig.server(&answer(b'I'));
    let again = join([close(ONE), parse_kept(TWO), bound(TWO, 6, false)]);
    assert_eq!(rig.client(&by_key(6)), again);
}

#[test]
fn what_may_change_the_meaning_of_texts_ends_what_is_kept() {
    for text in [
        "SET DateStyle = 'SQL'",
        "CREATE TABLE t (a int)",
        "DISCARD ALL",
    ] {
        let mut rig = Rig::keeping_rewritten(usize::MAX);
        keep(&mut rig);
        rig.client(&query(text));
        if text.starts_with("DISCARD") {
            assert!(rig.to_server.ends_with(&join([close(ONE), query(text)])));
            rig.server(&bare('3'));
        }
        rig.server(&join([complete("X"), ready(b'I')]));
        rig.client(&by_key(3));
        assert!(rig.to_server.ends_with(&sent(3)), "{text}");
    }
}

#[test]
fn a_session_that_keeps_none_sends_each() {
    let mut rig = Rig::new(Rule::ByKey);
    for value in 1..5 {
        assert_eq!(rig.client(&by_key(value)), sent(value));
        rig.server(&answer(b'I'));
    }
}

#[test]
fn nothing_is_kept_where_another_process_answers_than_the_session_was_told_of() {
    for (told, keeps) in [("t", true), ("tp", false)] {
        let mut rig = Rig::asking_and_keeping_rewritten();
        rig.client(&by_key(1));
        assert!(rig.session.is_blocked());
        rig.to_server.clear();
        let mut row = vec![0, 1, 0, 0, 0, told.len() as u8];
        row.extend_from_slice(told.as_bytes());
        rig.server(&join([
            bare('1'),
            bare('2'),
            message(b'D', &row),
            complete("SELECT 1"),
            bare('3'),
            bare('3'),
            ready(b'I'),
        ]));
        assert_eq!(std::mem::take(&mut rig.to_server), sent(1));
        assert_eq!(rig.server(&answer(b'I')), answer(b'I'));
        let second = rig.client(&by_key(2));
        assert_eq!(second == sent(2), !keeps, "{told}");
    }
}
