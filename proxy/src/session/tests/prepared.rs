//! Statements that are prepared and executed by SQL, and what names mean.

use super::rig::*;

fn told(rig: &mut Rig, sent: &str, answers: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let sent = rig.client(&query(sent));
    let got = rig.server(&join([answers.concat(), ready(b'I')]));
    (sent, got)
}

const PREPARE: &str = "PREPARE s AS UPDATE legacy";

fn own_prepare(text: &str) -> Vec<u8> {
    let closes = || join([close_portal("cf_prepare"), close("cf_prepare")]);
    join([
        closes(),
        parse("cf_prepare", text),
        bare_bind("cf_prepare", "cf_prepare"),
        execute("cf_prepare", 0),
        closes(),
    ])
}

#[test]
fn an_execute_is_answered_as_the_statement_behind_it() {
    let mut rig = Rig::new(Rule::Write);
    let (sent, _) = told(&mut rig, PREPARE, &[complete("PREPARE")]);
    assert_eq!(
        sent,
        query("WITH put AS (PREPARE s AS UPDATE unified) SELECT")
    );
    let answers = join([rows(), complete("SELECT 2")]);
    let (sent, got) = told(&mut rig, "EXECUTE s", &[answers]);
    assert_eq!(sent, query("EXECUTE s"));
    assert_eq!(got, join([complete("UPDATE 2"), ready(b'I')]));
    // Another one is the server's own business.
    let answers = join([rows(), complete("SELECT 2")]);
    let (_, got) = told(&mut rig, "EXECUTE other", std::slice::from_ref(&answers));
    assert_eq!(got, join([answers, ready(b'I')]));
}

#[test]
fn input_waits_until_it_is_known_what_came_of_a_prepare() {
    let mut rig = Rig::new(Rule::Write);
    let sent = rig.client(&join([query(PREPARE), query("EXECUTE s")]));
    assert_eq!(
        sent,
        query("WITH put AS (PREPARE s AS UPDATE unified) SELECT")
    );
    rig.to_server.clear();
    // It fails: the older `s` is executed, of which nothing is known.
    rig.server(&join([error("42P05", "already exists"), ready(b'I')]));
    assert_eq!(rig.to_server, query("EXECUTE s"));
    let answers = join([rows(), complete("SELECT 2"), ready(b'I')]);
    assert_eq!(rig.server(&answers), answers);
}

#[test]
fn a_statement_is_prepared_anew_in_the_query_that_executes_it() {
    let mut rig = Rig::new(Rule::Read);
    told(&mut rig, PREPARE, &[complete("PREPARE")]);
    rig.registry.install(Rule::Write);
    let (sent, got) = told(
        &mut rig,
        "EXECUTE s",
        &[bare('3'), complete("PREPARE"), rows(), complete("SELECT 1")],
    );
    let text = "WITH put AS (PREPARE s AS UPDATE unified) SELECT; EXECUTE s";
    assert_eq!(sent, join([close("s"), query(text)]));
    assert_eq!(got, join([complete("UPDATE 1"), ready(b'I')]));
    let (sent, _) = told(&mut rig, "EXECUTE s", &[rows(), complete("SELECT 1")]);
    assert_eq!(sent, query("EXECUTE s"), "once is enough");
}

#[test]
fn what_could_not_be_prepared_anew_is_tried_again_and_the_error_is_told_once() {
    let mut rig = Rig::new(Rule::Read);
    told(&mut rig, PREPARE, &[complete("PREPARE")]);
    rig.registry.install(Rule::Write);
    for _ in 0..2 {
        let missing = error("42P01", "no table");
        let (sent, got) = told(&mut rig, "EXECUTE s", &[bare('3'), missing.clone()]);
        let text = "WITH put AS (PREPARE s AS UPDATE unified) SELECT; EXECUTE s";
        assert_eq!(sent, join([close("s"), query(text)]));
        assert_eq!(got, join([missing, ready(b'I')]));
    }
    // For the client it is there still, to be dropped.
    let dropped = [bare('3'), bare('1'), complete("DEALLOCATE")];
    let (sent, got) = told(&mut rig, "DEALLOCATE s", &dropped);
    assert_eq!(
        sent,
        join([close("s"), parse("s", ""), query("DEALLOCATE s")])
    );
    assert_eq!(got, join([complete("DEALLOCATE"), ready(b'I')]));
    let (sent, _) = told(&mut rig, "DEALLOCATE s", &[error("26000", "none")]);
    assert_eq!(sent, query("DEALLOCATE s"), "once is enough");
}

#[test]
fn a_bind_to_what_sql_prepared_prepares_it_anew_by_sql() {
    let mut rig = Rig::new(Rule::Pass);
    told(&mut rig, PREPARE, &[complete("PREPARE")]);
    rig.registry.install(Rule::Write);
    let asked = join([bind("", "s"), execute("", 0), sync()]);
    let text = "WITH put AS (PREPARE s AS UPDATE unified) SELECT";
    let expected = join([close("s"), own_prepare(text), asked.clone()]);
    assert_eq!(rig.client(&asked), expected);
    let closes = || join([bare('3'), bare('3')]);
    let answers = join([
        bare('3'),
        closes(),
        bare('1'),
        bare('2'),
        complete("PREPARE"),
        closes(),
        bare('2'),
        message(b'D', b"row"),
        complete("SELECT 1"),
        ready(b'I'),
    ]);
    let expected = join([bare('2'), complete("UPDATE 1"), ready(b'I')]);
    assert_eq!(rig.server(&answers), expected);
    assert_eq!(rig.client(&asked), asked, "once is enough");
}

#[test]
fn a_prepare_by_the_extended_protocol_is_waited_for_as_well() {
    let mut rig = Rig::new(Rule::Write);
    let made = join([parse("", PREPARE), bind("", ""), execute("", 0)]);
    let behind = join([parse("", "EXECUTE s"), bind("", ""), execute("", 0), sync()]);
    let sent = rig.client(&join([made, behind.clone()]));
    let text = "WITH put AS (PREPARE s AS UPDATE unified) SELECT";
    let expected = join([
        parse("", text),
        bind("", ""),
        execute("", 0),
        message(b'H', b""),
    ]);
    assert_eq!(sent, expected);
    rig.to_server.clear();
    let answers = join([bare('1'), bare('2'), complete("PREPARE")]);
    assert_eq!(rig.server(&answers), answers);
    assert_eq!(rig.to_server, behind);
    let answers = join([
        bare('1'),
        bare('2'),
        message(b'D', b"row"),
        complete("SELECT 1"),
        ready(b'I'),
    ]);
    let expected = join([bare('1'), bare('2'), complete("UPDATE 1"), ready(b'I')]);
    assert_eq!(rig.server(&answers), expected);
}

#[test]
fn a_statement_that_was_deallocated_is_forgotten() {
    let mut rig = Rig::new(Rule::Write);
    told(&mut rig, PREPARE, &[complete("PREPARE")]);
    told(&mut rig, "DEALLOCATE s", &[complete("DEALLOCATE")]);
    let answers = join([rows(), complete("SELECT 1")]);
    let (_, got) = told(&mut rig, "EXECUTE s", std::slice::from_ref(&answers));
    assert_eq!(got, join([answers, ready(b'I')]));
}

fn question(end: char) -> Vec<u8> {
    join([
        parse("cf_path", "SELECT what names mean"),
        bare_bind("cf_path", "cf_path"),
        execute("cf_path", 0),
        close_portal("cf_path"),
        close("cf_path"),
        bare(end),
    ])
}

fn letter(letter: &str) -> Vec<u8> {
    let mut row = vec![0, 1, 0, 0, 0, 1];
    row.extend_from_slice(letter.as_bytes());
    join([
        bare('1'),
        bare('2'),
        message(b'D', &row),
        complete("SELECT 1"),
        bare('3'),
        bare('3'),
    ])
}

fn answered(told: &str, status: u8) -> Vec<u8> {
    join([letter(told), ready(status)])
}

fn asking(chunk: usize) -> Rig {
    let mut rig = Rig::asking(Rule::Read, chunk);
    assert_eq!(rig.server(&ready(b'I')), ready(b'I'));
    assert!(!rig.session.has_served());
    rig
}

/// Asks, has it answered, and gives what then goes to the server.
fn asked(rig: &mut Rig, sent: &[u8], told: &str, status: u8) -> Vec<u8> {
    assert_eq!(rig.client(sent), question('S'));
    assert!(rig.session.is_blocked());
    rig.to_server.clear();
    assert_eq!(rig.server(&answered(told, status)), b"");
    std::mem::take(&mut rig.to_server)
}

#[test]
fn the_server_is_asked_what_names_mean_before_the_first_that_is_managed() {
    for chunk in [usize::MAX, 1, 7] {
        for (told, expected) in [
            ("t", query("SELECT unified")),
            ("f", query("SELECT legacy")),
            ("u", query("SELECT crossfade.refused")),
        ] {
            let mut rig = asking(chunk);
            assert_eq!(rig.client(&query("SELECT 1")), query("SELECT 1"));
            rig.server(&join([complete("SELECT 1"), ready(b'I')]));
            let sent = asked(&mut rig, &query("SELECT legacy"), told, b'I');
            assert_eq!(sent, expected, "{told}");
            if told == "t" {
                rig.server(&join([complete("SELECT 1"), ready(b'I')]));
                assert_eq!(rig.client(&query("SELECT legacy")), expected, "only once");
            }
        }
    }
}

#[test]
fn a_question_in_a_pipeline_needs_no_sync_and_fails_with_it() {
    for fails in [false, true] {
        let mut rig = asking(usize::MAX);
        let begin = join([parse("", "BEGIN"), bind("", ""), execute("", 0)]);
        let read = join([
            parse("", "SELECT legacy"),
            bind("", ""),
            execute("", 0),
            sync(),
        ]);
        let sent = rig.client(&join([begin.clone(), read.clone()]));
        assert_eq!(sent, join([begin, question('H')]));
        rig.to_server.clear();
        if fails {
            let failed = error("25001", "no");
            assert_eq!(rig.server(&failed), failed);
            assert_eq!(rig.to_server, read, "the server discards it");
            assert_eq!(rig.server(&ready(b'I')), ready(b'I'));
            continue;
        }
        let begun = join([bare('1'), bare('2'), complete("BEGIN")]);
        assert_eq!(rig.server(&join([begun.clone(), letter("t")])), begun);
        let rest = join([bind("", ""), execute("", 0), sync()]);
        assert_eq!(rig.to_server, join([parse("", "SELECT unified"), rest]));
        let read = join([bare('1'), bare('2'), complete("SELECT 1"), ready(b'T')]);
        assert_eq!(rig.server(&read), read);
    }
}

#[test]
fn a_change_of_the_path_is_asked_for_until_its_transaction_ends() {
    let mut rig = asking(usize::MAX);
    let read = query("SELECT legacy");
    asked(&mut rig, &read, "t", b'I');
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    rig.client(&query("BEGIN"));
    rig.server(&join([complete("BEGIN"), ready(b'T')]));
    rig.client(&query("SET search_path TO x"));
    rig.server(&join([complete("SET"), ready(b'T')]));
    assert_eq!(asked(&mut rig, &read, "f", b'T'), read);
    rig.server(&join([complete("SELECT 1"), ready(b'T')]));
    rig.client(&query("ROLLBACK TO a"));
    rig.server(&join([complete("ROLLBACK"), ready(b'T')]));
    assert_eq!(asked(&mut rig, &read, "t", b'T'), query("SELECT unified"));
    // A failed transaction answers nothing.
    rig.server(&join([error("22012", "division by zero"), ready(b'E')]));
    assert_eq!(rig.client(&read), query("SELECT unified"));
    rig.server(&join([error("25P02", "aborted"), ready(b'E')]));
    rig.client(&query("ROLLBACK"));
    rig.server(&join([complete("ROLLBACK"), ready(b'I')]));
    assert_eq!(asked(&mut rig, &read, "f", b'I'), read);
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    assert_eq!(rig.client(&read), read, "and no more");
}

#[test]
fn a_prepared_statement_follows_the_path() {
    let mut rig = asking(usize::MAX);
    let made = join([parse("s", "SELECT legacy"), sync()]);
    asked(&mut rig, &made, "t", b'I');
    rig.server(&join([bare('1'), ready(b'I')]));
    rig.client(&query("SET search_path TO x"));
    rig.server(&join([complete("SET"), ready(b'I')]));
    for chunk in [usize::MAX, 3] {
        rig.chunk = chunk;
        let bound = join([bind("", "s"), sync()]);
        if chunk == 3 {
            assert_eq!(rig.client(&bound), bound, "it is known by now");
            continue;
        }
        let sent = asked(&mut rig, &bound, "f", b'I');
        let anew = join([close("s"), parse("s", "SELECT legacy")]);
        assert_eq!(sent, join([anew, bind("", "s"), sync()]));
        rig.server(&join([bare('3'), bare('1'), bare('2'), ready(b'I')]));
    }
}

#[test]
fn a_question_that_fails_leaves_names_unknown_and_is_asked_again() {
    let mut rig = asking(usize::MAX);
    for _ in 0..2 {
        assert_eq!(rig.client(&query("SELECT legacy")), question('S'));
        rig.to_server.clear();
        let failed = join([error("57014", "canceled"), ready(b'I')]);
        assert_eq!(rig.server(&failed), b"");
        assert_eq!(rig.to_server, query("SELECT crossfade.refused"));
        rig.server(&join([poisoned(), ready(b'I')]));
    }
}
