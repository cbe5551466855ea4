//! Unnamed statements kept prepared: what the server is asked, and that the client cannot tell.

use super::rig::*;
use crate::session::Comments;

const ONE: &str = "cf_00000001_1";
const TWO: &str = "cf_00000001_2";
const TEXT: &str = "SELECT a FROM t WHERE b = $1";

/// What a driver sends for one statement.
fn extended(text: &str) -> Vec<u8> {
    join([parse("", text), used("")])
}

/// The same without the Parse.
fn used(statement: &str) -> Vec<u8> {
    join([
        bind("", statement),
        describe('P', ""),
        execute("", 0),
        sync(),
    ])
}

fn answers(status: u8) -> Vec<u8> {
    join([bare('1'), answers_without_parse(status)])
}

fn answers_without_parse(status: u8) -> Vec<u8> {
    join([
        bare('2'),
        message(b'T', b"\0\0"),
        complete("SELECT 0"),
        ready(status),
    ])
}

/// The server's answers to the second sight: a Close before the Parse.
fn prepared(status: u8) -> Vec<u8> {
    join([bare('3'), answers(status)])
}

/// Shows a text twice, so that the server has it.
fn keep(rig: &mut Rig, text: &str, name: &str) {
    assert_eq!(rig.client(&extended(text)), extended(text));
    assert_eq!(rig.server(&answers(b'I')), answers(b'I'));
    let expected = join([close(""), parse(name, text), used(name)]);
    assert_eq!(rig.client(&extended(text)), expected);
    assert_eq!(rig.server(&prepared(b'I')), answers(b'I'));
}

/// The text is known: no Parse is sent, and the client gets its answer to it.
fn is_known(rig: &mut Rig, text: &str, name: &str) {
    assert_eq!(rig.client(&extended(text)), used(name), "{text}");
    assert_eq!(
        rig.server(&answers_without_parse(b'I')),
        answers(b'I'),
        "{text}"
    );
}

/// The text goes to the server as the client sent it.
fn is_sent(rig: &mut Rig, text: &str) {
    assert_eq!(rig.client(&extended(text)), extended(text), "{text}");
    assert_eq!(rig.server(&answers(b'I')), answers(b'I'), "{text}");
}

/// One Query and its answer.
fn runs(rig: &mut Rig, text: &str, status: u8) {
    assert_eq!(rig.client(&query(text)), query(text));
    rig.server(&join([complete("X"), ready(status)]));
}

#[test]
fn a_text_seen_twice_is_prepared_once_and_never_parsed_again() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    for _ in 0..4 {
        is_known(&mut rig, TEXT, ONE);
    }
    assert!(rig.session.is_idle());
}

#[test]
fn after_five_executions_a_text_is_prepared_anew_so_that_its_plan_stays_its_own() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    for _ in 0..4 {
        is_known(&mut rig, TEXT, ONE);
    }
    let expected = join([close(ONE), close(""), parse(TWO, TEXT), used(TWO)]);
    assert_eq!(rig.client(&extended(TEXT)), expected);
    assert_eq!(
        rig.server(&join([bare('3'), prepared(b'I')])),
        answers(b'I')
    );
    is_known(&mut rig, TEXT, TWO);
}

#[test]
fn a_session_without_a_cache_sends_every_parse() {
    let mut rig = Rig::new(Rule::Pass);
    for _ in 0..4 {
        is_sent(&mut rig, TEXT);
    }
}

#[test]
fn a_statement_that_is_parsed_and_bound_in_other_segments_is_the_same() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    is_known(&mut rig, TEXT, ONE);
    assert_eq!(rig.client(&used("")), used(ONE));
    let described = join([message(b't', b"\0\0"), message(b'T', b"\0\0"), ready(b'I')]);
    rig.server(&answers_without_parse(b'I'));
    let sent = rig.client(&join([describe('S', ""), sync()]));
    assert_eq!(sent, join([describe('S', ONE), sync()]));
    assert_eq!(rig.server(&described), described);
}

#[test]
fn a_parse_that_no_bind_follows_is_the_servers_own() {
    // Whether the text still holds is found out by a Bind only.
    let used_next = join([bind("", "s"), sync()]);
    for next in [
        sync(),
        message(b'H', b""),
        join([describe('S', ""), sync()]),
        join([close(""), sync()]),
        join([parse("", "SELECT 2"), sync()]),
        join([execute("", 0), sync()]),
        query("SELECT 2"),
        used_next,
    ] {
        let mut rig = Rig::caching(Rule::Pass);
        keep(&mut rig, TEXT, ONE);
        let sent = join([parse("", TEXT), next]);
        assert_eq!(rig.client(&sent), sent);
        assert_eq!(rig.server(&bare('1')), bare('1'));
    }
}

#[test]
fn a_statement_parsed_for_a_flush_is_bound_as_the_unnamed_one() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    rig.client(&join([parse("", TEXT), message(b'H', b"")]));
    rig.server(&bare('1'));
    assert_eq!(rig.client(&used("")), used(""));
}

#[test]
fn a_failed_transaction_refuses_the_parse_itself() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    rig.client(&query("BEGIN; SELECT 1/0"));
    rig.server(&join([error("22012", "division by zero"), ready(b'E')]));
    assert_eq!(rig.client(&extended(TEXT)), extended(TEXT));
    let refused = join([error("25P02", "aborted"), ready(b'E')]);
    assert_eq!(rig.server(&refused), refused);
}

#[test]
fn while_a_transactions_status_is_unknown_nothing_is_taken_for_granted() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    // The Query may fail, or its functions may change a setting.
    let sent = join([query("SELECT f()"), extended(TEXT)]);
    assert_eq!(rig.client(&sent), sent);
}

#[test]
fn a_transaction_block_uses_what_is_kept() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    runs(&mut rig, "BEGIN", b'T');
    assert_eq!(rig.client(&extended(TEXT)), used(ONE));
    assert_eq!(rig.server(&answers_without_parse(b'T')), answers(b'T'));
    runs(&mut rig, "COMMIT", b'I');
    is_known(&mut rig, TEXT, ONE);
}

#[test]
fn a_setting_ends_what_is_kept_until_the_transaction_has_ended() {
    for text in [
        "SET TimeZone = 'UTC'",
        "SET LOCAL DateStyle = 'German'",
        "SELECT set_config('TimeZone', 'UTC', true)",
        "CREATE TEMP TABLE t (a int)",
        "DO $$ BEGIN END $$",
    ] {
        let mut rig = Rig::caching(Rule::Pass);
        keep(&mut rig, TEXT, ONE);
        runs(&mut rig, "BEGIN", b'T');
        runs(&mut rig, text, b'T');
        for _ in 0..3 {
            assert_eq!(rig.client(&extended(TEXT)), extended(TEXT), "{text}");
            rig.server(&answers(b'T'));
        }
        runs(&mut rig, "ROLLBACK", b'I');
        // Seen once since; the old statement goes when the unnamed one is replaced.
        is_sent(&mut rig, TEXT);
        let expected = join([close(ONE), close(""), parse(TWO, TEXT), used(TWO)]);
        assert_eq!(rig.client(&extended(TEXT)), expected, "{text}");
        let answer = rig.server(&join([bare('3'), prepared(b'I')]));
        assert_eq!(answer, answers(b'I'), "{text}");
    }
}

#[test]
fn the_end_of_all_prepared_statements_ends_what_is_kept() {
    for text in ["DISCARD ALL", "DEALLOCATE ALL", "SELECT 1; DISCARD ALL"] {
        let mut rig = Rig::caching(Rule::Pass);
        keep(&mut rig, TEXT, ONE);
        assert_eq!(rig.client(&query(text)), join([close(ONE), query(text)]));
        let done = join([complete("X"), ready(b'I')]);
        assert_eq!(rig.server(&join([bare('3'), done.clone()])), done);
        is_sent(&mut rig, TEXT);
        let expected = join([close(""), parse(TWO, TEXT), used(TWO)]);
        assert_eq!(rig.client(&extended(TEXT)), expected, "{text}");
    }
}

#[test]
fn a_setting_in_a_prepared_statement_counts_when_it_is_bound() {
    let mut rig = Rig::caching(Rule::Pass);
    rig.client(&join([parse("s", "SET TimeZone = 'UTC'"), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    keep(&mut rig, TEXT, ONE);
    is_known(&mut rig, TEXT, ONE);
    rig.client(&used("s"));
    rig.server(&answers_without_parse(b'I'));
    is_sent(&mut rig, TEXT);
}

#[test]
fn the_unnamed_statement_outlives_a_prepared_discard() {
    let mut rig = Rig::caching(Rule::Pass);
    rig.client(&join([parse("s", "DEALLOCATE ALL"), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    keep(&mut rig, TEXT, ONE);
    assert_eq!(rig.client(&used("s")), join([close(ONE), used("s")]));
    let closed = join([bare('3'), answers_without_parse(b'I')]);
    assert_eq!(rig.server(&closed), answers_without_parse(b'I'));
    let expected = join([parse("", TEXT), used("")]);
    assert_eq!(rig.client(&used("")), expected);
    assert_eq!(rig.server(&answers(b'I')), answers_without_parse(b'I'));
}

#[test]
fn a_function_called_by_its_number_may_set_anything() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    let call = message(b'F', b"\0\0\0\x01\0\0\0\0\0\0");
    rig.client(&call);
    rig.server(&join([message(b'V', &[255; 4]), ready(b'I')]));
    is_sent(&mut rig, TEXT);
}

#[test]
fn what_the_server_says_at_a_parse_is_said_at_each() {
    let mut rig = Rig::caching(Rule::Pass);
    let notice = message(b'N', b"SNOTICE\0C42622\0Mwill be truncated\0\0");
    is_sent(&mut rig, TEXT);
    rig.client(&extended(TEXT));
    let told = rig.server(&join([bare('3'), notice.clone(), answers(b'I')]));
    assert_eq!(told, join([notice, answers(b'I')]));
    is_sent(&mut rig, TEXT);
}

#[test]
fn a_look_at_the_prepared_statements_shows_the_clients_own() {
    let look = "SELECT name FROM pg_prepared_statements";
    let closed = join([bare('3'), complete("SELECT 0"), ready(b'I')]);
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    assert_eq!(rig.client(&query(look)), join([close(ONE), query(look)]));
    assert_eq!(rig.server(&closed), closed[5..]);

    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    let sent = rig.client(&extended(look));
    assert_eq!(sent, join([close(ONE), extended(look)]));
    assert_eq!(rig.server(&prepared(b'I')), answers(b'I'));

    let mut rig = Rig::caching(Rule::Pass);
    rig.client(&join([parse("s", look), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    keep(&mut rig, TEXT, ONE);
    assert_eq!(rig.client(&used("s")), join([close(ONE), used("s")]));
    rig.server(&join([bare('3'), answers_without_parse(b'I')]));
    // The unnamed statement is still the client's.
    assert_eq!(rig.client(&used("")), join([parse("", TEXT), used("")]));
}

#[test]
fn a_setting_in_a_prepared_statement_leaves_the_unnamed_one_as_it_was_analysed() {
    let mut rig = Rig::caching(Rule::Pass);
    rig.client(&join([parse("s", "SET TimeZone = 'UTC'"), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    keep(&mut rig, TEXT, ONE);
    rig.client(&used("s"));
    rig.server(&answers_without_parse(b'I'));
    assert_eq!(rig.client(&used("")), used(ONE));
}

#[test]
fn a_setting_that_the_server_reports_ends_what_is_kept() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    rig.server(&message(b'S', b"application_name\0x\0"));
    is_known(&mut rig, TEXT, ONE);
    rig.server(&message(b'S', b"TimeZone\0UTC\0"));
    is_sent(&mut rig, TEXT);
}

#[test]
fn a_parse_that_fails_leaves_no_unnamed_statement_and_nothing_kept() {
    let mut rig = Rig::caching(Rule::Pass);
    is_sent(&mut rig, TEXT);
    rig.client(&extended(TEXT));
    let failed = join([error("42P01", "no table"), ready(b'I')]);
    assert_eq!(rig.server(&join([bare('3'), failed.clone()])), failed);
    // The server ended its own by the Close, and says so itself.
    assert_eq!(rig.client(&used("")), used(""));
    rig.server(&join([error("26000", "does not exist"), ready(b'I')]));
    is_sent(&mut rig, TEXT);
}

#[test]
fn a_parse_that_is_discarded_leaves_the_unnamed_statement_before_it() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    rig.client(&join([
        parse("", "SELECT 2"),
        bind("", ""),
        parse("", TEXT),
        bind("", ""),
        sync(),
    ]));
    rig.server(&join([bare('1'), error("22P02", "no number"), ready(b'I')]));
    assert_eq!(rig.client(&used("")), used(""), "it is SELECT 2");
}

#[test]
fn a_query_ends_the_unnamed_statement() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    is_known(&mut rig, TEXT, ONE);
    runs(&mut rig, "SELECT 1", b'I');
    assert_eq!(rig.client(&used("")), used(""), "the server has none");
}

#[test]
fn a_close_ends_the_unnamed_statement() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    let sent = join([close(""), used("")]);
    assert_eq!(rig.client(&sent), sent);
    rig.server(&join([bare('3'), error("26000", "none"), ready(b'I')]));
    is_known(&mut rig, TEXT, ONE);
}

#[test]
fn a_plan_that_the_server_refuses_is_made_anew_behind_the_clients_back() {
    for sqlstate in ["0A000", "26000", "42703"] {
        let mut rig = Rig::caching(Rule::Pass);
        keep(&mut rig, TEXT, ONE);
        assert_eq!(rig.client(&extended(TEXT)), used(ONE));
        assert_eq!(rig.server(&error(sqlstate, "refused")), b"");
        assert!(rig.session.is_blocked(), "what follows waits");
        assert_eq!(rig.resent(), b"", "the server is not ready");
        assert_eq!(rig.server(&ready(b'I')), b"");
        assert_eq!(rig.resent(), extended(TEXT));
        assert!(!rig.session.is_blocked());
        assert_eq!(rig.server(&answers(b'I')), answers(b'I'));
        assert!(rig.session.is_idle());
        assert_eq!(rig.client(&used("")), used(""), "it is the server's own");
        rig.server(&answers_without_parse(b'I'));
        is_sent(&mut rig, TEXT);
    }
}

#[test]
fn an_error_of_the_values_is_the_clients() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    rig.client(&extended(TEXT));
    let failed = join([error("22P02", "no number"), ready(b'I')]);
    let answer = rig.server(&failed);
    assert_eq!(answer, join([bare('1'), failed]));
    is_known(&mut rig, TEXT, ONE);
}

#[test]
fn what_had_an_effect_before_is_never_said_again() {
    // In a transaction block, behind another statement, behind a Flush, and before more input.
    let bound = join([parse("", TEXT), used("")]);
    let flushed = join([parse("s", "SELECT 1"), bind("", "s"), execute("", 0)]);
    for before in [0, 1, 2, 3] {
        let mut rig = Rig::caching(Rule::Pass);
        keep(&mut rig, TEXT, ONE);
        match before {
            0 => runs(&mut rig, "BEGIN", b'T'),
            1 => {
                rig.client(&flushed);
            }
            2 => {
                rig.client(&join([flushed.clone(), message(b'H', b"")]));
            }
            _ => {}
        }
        if before == 1 || before == 2 {
            rig.server(&join([bare('1'), bare('2'), complete("INSERT 0 1")]));
        }
        rig.client(&bound);
        if before == 3 {
            rig.client(&query("SELECT 1"));
        }
        let answer = rig.server(&error("0A000", "cached plan must not change result type"));
        assert!(!answer.is_empty(), "case {before}");
        rig.server(&ready(b'E'));
        assert_eq!(rig.resent(), b"", "case {before}");
    }
}

#[test]
fn an_open_list_of_columns_is_not_kept_in_a_transaction_block() {
    let mut rig = Rig::caching(Rule::Pass);
    let star = "SELECT * FROM t WHERE a = $1";
    keep(&mut rig, star, ONE);
    is_known(&mut rig, star, ONE);
    runs(&mut rig, "BEGIN", b'T');
    assert_eq!(rig.client(&extended(star)), extended(star));
}

#[test]
fn errors_speak_of_the_unnamed_statement() {
    for (said, told) in [
        (
            "bind message supplies 1 parameters, but prepared statement \"cf_00000001_1\" requires 2",
            "bind message supplies 1 parameters, but prepared statement \"\" requires 2",
        ),
        (
            "prepared statement \"cf_00000001_1\" does not exist",
            "unnamed prepared statement does not exist",
        ),
    ] {
        let mut rig = Rig::caching(Rule::Pass);
        keep(&mut rig, TEXT, ONE);
        runs(&mut rig, "BEGIN", b'T');
        rig.client(&extended(TEXT));
        let answer = rig.server(&error("08P01", said));
        assert_eq!(answer, join([bare('1'), error("08P01", told)]));
    }
}

#[test]
fn the_least_used_text_makes_room_for_a_third() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, "SELECT 1, $1", ONE);
    keep(&mut rig, "SELECT 2, $1", TWO);
    is_sent(&mut rig, "SELECT $1, 3");
    let three = "cf_00000001_3";
    let expected = join([
        close(ONE),
        close(""),
        parse(three, "SELECT $1, 3"),
        used(three),
    ]);
    assert_eq!(rig.client(&extended("SELECT $1, 3")), expected);
    rig.server(&join([bare('3'), prepared(b'I')]));
    is_known(&mut rig, "SELECT 2, $1", TWO);
}

#[test]
fn a_close_that_the_server_never_read_is_sent_again() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    runs(&mut rig, "RESET ALL", b'I');
    is_sent(&mut rig, TEXT);
    rig.client(&join([bind("", "nope"), extended(TEXT)]));
    rig.server(&join([error("26000", "nope"), ready(b'I')]));
    is_sent(&mut rig, TEXT);
    let sent = rig.client(&extended(TEXT));
    assert!(sent.starts_with(&join([close(ONE)])), "{sent:?}");
}

#[test]
fn a_text_that_the_server_converts_is_kept_only_in_ascii() {
    let mut rig = Rig::caching(Rule::Pass);
    rig.server(&message(b'S', b"client_encoding\0SJIS\0"));
    for _ in 0..4 {
        is_sent(&mut rig, "SELECT 'ä', $1");
    }
    keep(&mut rig, TEXT, ONE);
}

#[test]
fn an_error_that_ends_the_connection_is_told_and_nothing_is_said_again() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    rig.client(&extended(TEXT));
    let fatal = message(b'E', b"SFATAL\0VFATAL\0C42501\0Mnot you\0\0");
    assert_eq!(rig.server(&fatal), join([bare('1'), fatal]));
}

#[test]
fn a_statement_refused_in_a_transaction_is_not_used_again_after_it() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    runs(&mut rig, "BEGIN", b'T');
    rig.client(&extended(TEXT));
    rig.server(&join([error("0A000", "cached plan"), ready(b'E')]));
    runs(&mut rig, "ROLLBACK", b'I');
    is_sent(&mut rig, TEXT);
}

#[test]
fn what_was_flushed_is_answered_and_not_said_again() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    let flushed = join([parse("", TEXT), bind("", ""), message(b'H', b""), sync()]);
    rig.client(&flushed);
    let failed = error("0A000", "cached plan");
    let told = rig.server(&join([failed.clone(), ready(b'I')]));
    assert_eq!(told, join([bare('1'), failed, ready(b'I')]));
    assert_eq!(rig.resent(), b"");
}

#[test]
fn texts_of_another_generation_are_other_texts() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, "SELECT $1, legacy", ONE);
    is_known(&mut rig, "SELECT $1, legacy", ONE);
    rig.registry.install(Rule::Read);
    // The unnamed statement itself follows the rules, too.
    let sent = rig.client(&used(""));
    assert_eq!(sent, join([parse("", "SELECT $1, unified"), used("")]));
    rig.server(&answers(b'I'));
    for expected in [
        extended("SELECT $1, unified"),
        join([close(""), parse(TWO, "SELECT $1, unified"), used(TWO)]),
        used(TWO),
    ] {
        assert_eq!(rig.client(&extended("SELECT $1, legacy")), expected);
        let closed = if expected.starts_with(&close("")) {
            bare('3')
        } else {
            vec![]
        };
        rig.server(&closed);
        if expected == used(TWO) {
            rig.server(&answers_without_parse(b'I'));
        } else {
            rig.server(&answers(b'I'));
        }
    }
}

#[test]
fn a_refused_text_is_never_kept() {
    let mut rig = Rig::caching(Rule::Refuse);
    for _ in 0..4 {
        let sent = rig.client(&extended("SELECT $1, legacy"));
        assert_eq!(sent, extended("SELECT crossfade.refused"));
        rig.server(&join([poisoned(), ready(b'I')]));
    }
}

#[test]
fn what_is_kept_comes_out_the_same_however_the_stream_is_cut() {
    let converse = |chunk: usize| {
        let mut rig = Rig::caching_in_chunks(Rule::Write, chunk);
        rig.server(&ready(b'I'));
        for text in [TEXT, "UPDATE legacy SET a = $1"] {
            let hidden = text.contains("legacy");
            for sight in 0..4 {
                rig.client(&extended(text));
                if sight == 1 {
                    rig.server(&bare('3'));
                    // The first text's statement, which was refused in the end.
                    rig.server(&if hidden { bare('3') } else { vec![] });
                }
                let row = message(b'D', b"row");
                let ran = join([bare('2'), message(b'T', b"\0\0"), row, complete("SELECT 1")]);
                if sight < 2 {
                    rig.server(&bare('1'));
                }
                if sight == 3 && !hidden {
                    rig.server(&join([error("0A000", "cached plan"), ready(b'I')]));
                    let resent = rig.resent();
                    rig.to_server.extend_from_slice(&resent);
                    rig.server(&bare('1'));
                }
                rig.server(&join([ran, ready(b'I')]));
            }
        }
        assert!(rig.session.is_idle());
        (rig.to_server, rig.to_client)
    };
    let whole = converse(usize::MAX);
    let known = [bind("", ONE), bind("", TWO)];
    for bind in known {
        assert!(whole.0.windows(bind.len()).any(|window| window == bind));
    }
    for chunk in 1..120 {
        assert_eq!(converse(chunk), whole, "in chunks of {chunk}");
    }
}

fn traced(trace: u32) -> String {
    format!("/* é {trace} */ SELECT a FROM t WHERE b = $1 /*traceparent='00-{trace}'*/")
}

/// Shows texts that differ in comments until the server has what they have in common.
fn keep_traced(rig: &mut Rig) {
    keep(rig, &traced(1), ONE);
    let expected = join([close(ONE), close(""), parse(TWO, TEXT), used(TWO)]);
    assert_eq!(rig.client(&extended(&traced(3))), expected);
    let answered = rig.server(&join([bare('3'), prepared(b'I')]));
    assert_eq!(answered, answers(b'I'));
}

#[test]
fn texts_that_differ_in_comments_alone_are_one_statement_without() {
    let mut rig = Rig::caching(Rule::Pass);
    keep_traced(&mut rig);
    for trace in 4..8 {
        is_known(&mut rig, &traced(trace), TWO);
    }
    assert!(rig.session.is_idle());
}

#[test]
fn a_rewritten_text_is_kept_without_its_comments_as_well() {
    let mut rig = Rig::caching(Rule::Read);
    let text = |trace: u32| format!("SELECT a FROM legacy WHERE b = $1 /* {trace} */");
    let unified = "SELECT a FROM unified WHERE b = $1";
    for trace in 1..4 {
        rig.client(&extended(&text(trace)));
        let closed = match trace {
            1 => Vec::new(),
            2 => bare('3'),
            _ => join([bare('3'), bare('3')]),
        };
        assert_eq!(rig.server(&join([closed, answers(b'I')])), answers(b'I'));
    }
    assert!(
        String::from_utf8_lossy(&rig.to_server).contains(&format!("{TWO}\0{unified}\0")),
        "it has none"
    );
    is_known(&mut rig, &text(4), TWO);
}

fn fails_at(position: &str) -> Vec<u8> {
    let fields = ["SERROR", "VERROR", "C42703", "Mcolumn", position];
    let fields = fields.map(|field| format!("{field}\0")).concat();
    message(b'E', format!("{fields}\0").as_bytes())
}

#[test]
fn an_error_in_a_text_without_comments_points_into_that_with_them() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, &traced(1), ONE);
    // `SELECT a` without comments begins at 1, and 10 characters further with them.
    rig.client(&extended(&traced(3)));
    let failed = join([bare('3'), bare('3'), fails_at("P8"), ready(b'I')]);
    assert_eq!(rig.server(&failed), join([fails_at("P18"), ready(b'I')]));
    assert!(rig.session.is_idle());
    // What came with its comments is told as it came.
    is_sent(&mut rig, "SELECT 1");
    rig.client(&extended(&traced(4)));
    let told = rig.server(&join([fails_at("P8"), ready(b'I')]));
    assert_eq!(told, join([fails_at("P8"), ready(b'I')]));
}

#[test]
fn an_error_of_a_known_text_in_a_transaction_points_into_the_one_that_was_sent() {
    let mut rig = Rig::caching(Rule::Pass);
    keep_traced(&mut rig);
    runs(&mut rig, "BEGIN", b'T');
    let long = format!("/* {} */{}", "x".repeat(30), TEXT);
    assert_eq!(rig.client(&extended(&long)), used(TWO));
    let told = rig.server(&join([fails_at("P8"), ready(b'E')]));
    assert_eq!(told, join([bare('1'), fails_at("P44"), ready(b'E')]));
}

#[test]
fn what_is_said_again_is_told_in_places_of_the_text_as_it_came() {
    let mut rig = Rig::caching(Rule::Pass);
    keep_traced(&mut rig);
    assert_eq!(rig.client(&extended(&traced(4))), used(TWO));
    assert_eq!(rig.server(&join([fails_at("P8"), ready(b'I')])), b"");
    assert_eq!(rig.resent(), extended(TEXT));
    let told = rig.server(&join([fails_at("P8"), ready(b'I')]));
    assert_eq!(told, join([fails_at("P18"), ready(b'I')]));
}

#[test]
fn what_a_comment_says_disturbs_nothing() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    runs(
        &mut rig,
        "SELECT 1 /* a; SET TimeZone = x; DISCARD ALL */",
        b'I',
    );
    is_known(&mut rig, TEXT, ONE);
}

#[test]
fn a_hint_makes_another_statement() {
    let mut rig = Rig::caching(Rule::Pass);
    keep(&mut rig, TEXT, ONE);
    let hinted = format!("/*+ SeqScan(t) */ {TEXT}");
    keep(&mut rig, &hinted, TWO);
    is_known(&mut rig, TEXT, ONE);
    is_known(&mut rig, &hinted, TWO);
}

#[test]
fn comments_that_are_always_forwarded_make_other_texts() {
    let mut rig = Rig::forwarding(Rule::Pass, Comments::Always);
    for trace in 0..4 {
        is_sent(&mut rig, &traced(trace));
    }
    // Another one: which of those before is still remembered as seen is chance.
    keep(&mut rig, &traced(4), ONE);
}

#[test]
fn comments_that_are_never_forwarded_are_in_no_text_that_was_rewritten() {
    let mut rig = Rig::forwarding(Rule::Read, Comments::Never);
    let text = "/* a */ SELECT a FROM legacy -- b\nWHERE b = 1 /* c */";
    let unified = "SELECT a FROM unified \nWHERE b = 1";
    assert_eq!(rig.client(&query(text)), query(unified));
    let told = rig.server(&join([fails_at("P1"), ready(b'I')]));
    // Nothing of the rig's rewritten texts is told to be the client's.
    assert_eq!(told.len(), fails_at("P1").len() - 3 + ready(b'I').len());
    assert_eq!(rig.client(&parse("s", text)), parse("s", unified));
    rig.server(&bare('1'));
    // Others pass as they are.
    let other = "SELECT 1 /* a */";
    assert_eq!(rig.client(&query(other)), query(other));
}
