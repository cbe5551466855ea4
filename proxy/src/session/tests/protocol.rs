//! Order, errors, COPY and broken messages, without any rule.

use super::rig::*;
use crate::session::Violation;
use crate::wire::frontend::MessageError;

#[test]
fn what_names_no_managed_table_passes_byte_for_byte() {
    let mut rig = Rig::new(Rule::Refuse);
    let sent = join([
        query("SELECT 1; SELECT 2"),
        parse("s", "SELECT 3"),
        bind("", "s"),
        describe('P', ""),
        execute("", 5),
        close("s"),
        message(b'H', b""),
        message(b'F', b"\0\0\0\x01"),
        sync(),
    ]);
    assert_eq!(rig.client(&sent), sent);
    let answers = join([
        rows(),
        complete("SELECT 2"),
        bare('I'),
        ready(b'I'),
        bare('1'),
        bare('2'),
        bare('n'),
        message(b'D', b"x"),
        bare('s'),
        bare('3'),
        message(b'V', b"\xff\xff\xff\xff"),
        ready(b'I'),
        ready(b'I'),
    ]);
    assert_eq!(rig.server(&answers), answers);
    assert!(rig.session.is_idle());
}

#[test]
fn after_an_error_nothing_is_expected_up_to_the_sync_that_was_sent() {
    let mut rig = Rig::new(Rule::Pass);
    let sent = join([
        parse("", "SELECT nope"),
        bind("", ""),
        execute("", 0),
        query("SELECT 2"),
        sync(),
        parse("", "SELECT 1"),
        sync(),
    ]);
    rig.client(&sent);
    rig.server(&join([
        error("42703", "nope"),
        ready(b'I'),
        bare('1'),
        ready(b'I'),
    ]));
    assert!(rig.session.is_idle());
}

#[test]
fn after_an_error_nothing_is_expected_up_to_the_sync_that_is_yet_to_come() {
    let mut rig = Rig::new(Rule::Refuse);
    rig.client(&parse("", "SELECT nope"));
    rig.server(&error("42703", "nope"));
    // Skipped unread by the server, so even a managed name is nobody's concern.
    let skipped = join([bind("", ""), query("SELECT * FROM legacy"), execute("", 0)]);
    assert_eq!(rig.client(&skipped), skipped);
    rig.client(&sync());
    rig.server(&ready(b'I'));
    assert!(rig.session.is_idle());
}

#[test]
fn an_error_at_commit_leaves_the_sync_its_ready() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&join([parse("", "x"), sync(), query("SELECT 1")]));
    rig.server(&join([bare('1'), error("23503", "deferred"), ready(b'I')]));
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    assert!(rig.session.is_idle());
}

#[test]
fn a_copy_that_the_client_feeds_blindly_ignores_the_sync_before_its_data() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&join([
        parse("", "COPY t FROM STDIN"),
        bind("", ""),
        execute("", 0),
        sync(),
        message(b'd', b"1\n"),
        bare('c'),
        sync(),
    ]));
    rig.server(&join([
        bare('1'),
        bare('2'),
        message(b'G', b"\0\0\0"),
        complete("COPY 1"),
        ready(b'I'),
    ]));
    assert!(rig.session.is_idle());
}

#[test]
fn a_sync_during_a_copy_is_answered_by_nothing() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&join([
        parse("", "COPY"),
        bind("", ""),
        execute("", 0),
        sync(),
    ]));
    rig.server(&join([bare('1'), bare('2'), message(b'G', b"\0\0\0")]));
    rig.client(&join([sync(), message(b'd', b"1\n"), bare('c'), sync()]));
    rig.server(&join([complete("COPY 1"), ready(b'I')]));
    assert!(rig.session.is_idle());
}

#[test]
fn a_copy_that_fails_in_the_server_discards_up_to_the_next_sync() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&join([
        parse("", "COPY"),
        bind("", ""),
        execute("", 0),
        sync(),
    ]));
    rig.server(&join([bare('1'), bare('2'), message(b'G', b"\0\0\0")]));
    rig.client(&message(b'd', b"bad\n"));
    rig.server(&message(b'E', b"SERROR\0C22P02\0WCOPY t, line 1\0\0"));
    rig.client(&join([message(b'd', b"more\n"), bare('c'), sync()]));
    rig.server(&ready(b'I'));
    assert!(rig.session.is_idle());
}

#[test]
fn a_copy_that_fails_before_it_reads_leaves_the_sync_behind_it_to_be_answered() {
    for given_up_before_the_error_came in [false, true] {
        let mut rig = Rig::new(Rule::Pass);
        rig.client(&join([
            parse("", "COPY view"),
            bind("", ""),
            execute("", 0),
            sync(),
        ]));
        rig.server(&join([bare('1'), bare('2'), message(b'G', b"\0\0\0")]));
        let giving_up = join([message(b'f', b"no\0"), sync()]);
        if given_up_before_the_error_came {
            rig.client(&giving_up);
        }
        rig.server(&join([error("42809", "cannot copy to view"), ready(b'I')]));
        if !given_up_before_the_error_came {
            assert!(rig.session.is_idle());
            rig.client(&giving_up);
        }
        rig.server(&ready(b'I'));
        assert!(rig.session.is_idle());
    }
}

#[test]
fn copies_of_the_simple_protocol_end_with_the_query() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&query("COPY t FROM STDIN"));
    rig.server(&message(b'G', b"\0\0\0"));
    rig.client(&join([
        message(b'd', b"bad\n"),
        message(b'f', b"no more\0"),
    ]));
    rig.server(&join([error("57014", "failed"), ready(b'I')]));
    // The rest of a COPY that is over is ignored.
    rig.client(&join([message(b'd', b"late"), bare('c')]));
    rig.client(&query("COPY t TO STDOUT"));
    let out = join([
        message(b'H', b"\0\0\0"),
        message(b'd', b"1\n"),
        bare('c'),
        complete("COPY 1"),
        ready(b'I'),
    ]);
    assert_eq!(rig.server(&out), out);
    assert!(rig.session.is_idle());
}

#[test]
fn asynchronous_messages_may_come_at_any_time() {
    let mut rig = Rig::new(Rule::Pass);
    let anything = join([
        message(b'A', b"\0\0\0\x01c\0p\0"),
        message(b'S', b"TimeZone\0UTC\0"),
        message(b'N', b"C01000\0Mhello\0\0"),
    ]);
    assert_eq!(rig.server(&anything), anything);
    let fatal = {
        let mut out = Vec::new();
        crate::wire::backend::write_error(&mut out, "FATAL", "57P01", "terminating", "");
        out
    };
    assert_eq!(rig.server(&fatal), fatal);
    assert!(rig.session.is_ending());
}

#[test]
fn a_broken_message_ends_the_session_after_what_came_before_it() {
    let whole = query("SELECT 1");
    for broken in [
        message(b'z', b""),
        vec![b'Q', 0, 0, 0, 3],
        message(b'Q', b"no NUL"),
        message(b'Q', b"two\0texts\0"),
        message(b'P', b"s\0SELECT"),
        message(b'P', b"s\0SELECT\0\0\x02\0\0\0\x17"),
        message(b'B', b"portal only\0"),
        message(b'B', b""),
        message(b'D', b"Qs\0"),
        message(b'C', b""),
        message(b'E', b"\0\0\0"),
        message(b'S', b"x"),
        vec![b'Q', 0, 0, 4, 0],
        vec![b'B', 0x7f, 0xff, 0xff, 0xff],
    ] {
        let mut rig = Rig::new(Rule::Pass);
        let sent = [whole.clone(), broken.clone()].concat();
        let error = rig.try_client(&sent).expect_err("a violation");
        assert!(matches!(error, Violation::Client(_)), "{broken:?}: {error}");
        assert_eq!(rig.to_server, whole, "{broken:?}");
    }
}

#[test]
fn names_that_never_end_are_not_waited_for() {
    let mut rig = Rig::new(Rule::Pass);
    let mut bind = vec![b'B', 0x10, 0, 0, 0];
    bind.resize(30_000, b'x');
    let error = rig.try_client(&bind).expect_err("a violation");
    assert!(matches!(
        error,
        Violation::Client(MessageError::Malformed { .. })
    ));
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_session() {
    for (asked, answer) in [
        (sync(), bare('1')),
        (query("SELECT 1"), bare('2')),
        (parse("", "SELECT 1"), ready(b'I')),
        (bind("", ""), complete("SELECT 1")),
        (vec![], ready(b'I')),
        (vec![], message(b'D', b"")),
        (sync(), message(b'?', b"")),
    ] {
        let mut rig = Rig::new(Rule::Pass);
        rig.client(&asked);
        let error = rig.try_server(&answer).expect_err("a violation");
        assert!(matches!(error, Violation::OutOfOrder { .. }), "{error}");
    }
}

#[test]
fn a_client_that_takes_no_answers_is_held_up_and_goes_on_when_it_does() {
    let mut rig = Rig::new(Rule::Pass);
    let flood = bind("", "").repeat(20_000);
    rig.client(&flood);
    assert!(rig.session.is_blocked());
    assert!(rig.to_server.len() < flood.len());
    for _ in 0..20_000 {
        rig.server(&bare('2'));
    }
    assert!(!rig.session.is_blocked());
    assert_eq!(rig.to_server, flood);
}

#[test]
fn a_value_larger_than_any_buffer_passes_as_it_comes() {
    let mut rig = Rig::new(Rule::Pass);
    let mut sent = parse("", "INSERT");
    sent.extend_from_slice(&[b'B', 0x06, 0, 0, 0]); // 100 MB
    sent.extend_from_slice(b"\0\0 and then");
    assert_eq!(rig.client(&sent), sent, "the beginning goes on at once");
    let part = [7; 60_000];
    assert_eq!(rig.client(&part), part);
}
