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
