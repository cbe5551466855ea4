//! Transactions keep their rules; prepared statements follow the newest.

use super::rig::*;

fn prepared(rig: &mut Rig, name: &str, text: &str) {
    rig.client(&join([parse(name, text), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    rig.to_client.clear();
}

#[test]
fn a_transaction_keeps_its_rules_and_the_next_one_takes_the_newest() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&query("BEGIN"));
    assert_eq!(rig.registry.pinned(), Some(1));
    rig.server(&join([complete("BEGIN"), ready(b'T')]));
    rig.registry.install(Rule::Read);
    assert_eq!(rig.client(&query("SELECT legacy")), query("SELECT legacy"));
    rig.server(&join([complete("SELECT 0"), ready(b'T')]));
    rig.client(&query("COMMIT"));
    assert_eq!(
        rig.registry.pinned(),
        Some(1),
        "until the server has said so"
    );
    rig.server(&join([complete("COMMIT"), ready(b'I')]));
    assert_eq!(rig.registry.pinned(), None);
    assert_eq!(rig.client(&query("SELECT legacy")), query("SELECT unified"));
    assert_eq!(rig.registry.pinned(), Some(2));
}

#[test]
fn a_pipeline_without_end_cannot_keep_an_old_generation() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&join([query("SELECT 1"), query("SELECT 2")]));
    rig.registry.install(Rule::Read);
    let sent = rig.client(&join([query("SELECT 3"), query("SELECT legacy")]));
    assert_eq!(sent, query("SELECT 3"), "what follows waits for its turn");
    let answer = join([complete("SELECT 1"), ready(b'I')]);
    rig.server(&answer.repeat(2));
    assert!(rig.session.is_blocked());
    rig.to_server.clear();
    rig.server(&answer);
    assert_eq!(rig.to_server, query("SELECT unified"));
    assert_eq!(rig.registry.pinned(), Some(2));
}

#[test]
fn the_data_of_a_copy_passes_while_a_generation_waits() {
    let mut rig = Rig::new(Rule::Pass);
    rig.client(&query("BEGIN"));
    rig.registry.install(Rule::Read);
    rig.server(&join([complete("BEGIN"), ready(b'T')]));
    rig.client(&query("COPY t FROM STDIN"));
    assert!(rig.session.is_blocked());
    rig.server(&message(b'G', b"\0\0\0"));
    let data = join([message(b'd', b"1\n"), bare('c')]);
    assert_eq!(rig.client(&data), data);
}

#[test]
fn a_statement_whose_text_changed_is_prepared_anew_behind_the_clients_back() {
    let mut rig = Rig::new(Rule::Pass);
    prepared(&mut rig, "s", "SELECT legacy");
    prepared(&mut rig, "other", "SELECT 1");
    rig.registry.install(Rule::Read);
    let sent = join([bind("", "s"), execute("", 0), bind("", "other"), sync()]);
    let expected = join([
        close("s"),
        parse("s", "SELECT unified"),
        bind("", "s"),
        execute("", 0),
        bind("", "other"),
        sync(),
    ]);
    assert_eq!(rig.client(&sent), expected);
    let answers = join([
        bare('3'),
        bare('1'),
        bare('2'),
        complete("SELECT 0"),
        bare('2'),
        ready(b'I'),
    ]);
    let expected = join([bare('2'), complete("SELECT 0"), bare('2'), ready(b'I')]);
    assert_eq!(rig.server(&answers), expected);
    // Once is enough, for Describe as well as for Bind.
    let again = join([describe('S', "s"), bind("", "s"), sync()]);
    assert_eq!(rig.client(&again), again);
}

#[test]
fn the_unnamed_statement_needs_no_close() {
    let mut rig = Rig::new(Rule::Pass);
    prepared(&mut rig, "", "SELECT legacy");
    rig.registry.install(Rule::Read);
    let sent = rig.client(&join([describe('S', ""), sync()]));
    let expected = join([parse("", "SELECT unified"), describe('S', ""), sync()]);
    assert_eq!(sent, expected);
}

#[test]
fn a_statement_that_could_not_be_prepared_anew_is_tried_again() {
    let mut rig = Rig::new(Rule::Pass);
    prepared(&mut rig, "s", "SELECT legacy");
    rig.registry.install(Rule::Read);
    rig.client(&join([bind("", "s"), sync()]));
    let failed = join([bare('3'), error("42P01", "no table"), ready(b'I')]);
    assert_eq!(
        rig.server(&failed),
        join([error("42P01", "no table"), ready(b'I')])
    );
    let sent = rig.client(&join([bind("", "s"), sync()]));
    let expected = join([
        close("s"),
        parse("s", "SELECT unified"),
        bind("", "s"),
        sync(),
    ]);
    assert_eq!(sent, expected);
}

#[test]
fn a_statement_that_is_refused_today_fails_at_its_bind_and_lives_on() {
    let mut rig = Rig::new(Rule::Pass);
    prepared(&mut rig, "s", "SELECT legacy");
    rig.registry.install(Rule::Refuse);
    let used = join([bind("", "s"), execute("", 0), sync()]);
    let sent = rig.client(&used);
    let expected = join([
        parse("cf_refused", "SELECT crossfade.refused"),
        used.clone(),
    ]);
    assert_eq!(sent, expected);
    let answer = rig.server(&join([poisoned(), ready(b'I')]));
    assert_eq!(answer, join([refusal("not while it moves"), ready(b'I')]));
    assert_eq!(rig.report().refused, 1);
    rig.registry.install(Rule::Pass);
    assert_eq!(rig.client(&used), used, "the server still holds its text");
}

#[test]
fn a_failed_parse_leaves_the_map_as_the_server_has_it() {
    let mut rig = Rig::new(Rule::Pass);
    prepared(&mut rig, "s", "SELECT legacy");
    // The second is a duplicate, and what follows it is never read.
    rig.client(&join([
        parse("s", "SELECT 1"),
        close("s"),
        parse("s", "SELECT 2"),
        sync(),
    ]));
    rig.server(&join([error("42P05", "duplicate"), ready(b'I')]));
    rig.registry.install(Rule::Read);
    let sent = rig.client(&bind("", "s"));
    let expected = join([close("s"), parse("s", "SELECT unified"), bind("", "s")]);
    assert_eq!(sent, expected);
}

#[test]
fn deallocated_statements_are_forgotten_and_younger_ones_are_not() {
    let mut rig = Rig::new(Rule::Pass);
    prepared(&mut rig, "s", "SELECT legacy");
    rig.client(&join([
        query("DEALLOCATE s"),
        parse("s", "SELECT legacy, 2"),
    ]));
    rig.server(&join([complete("DEALLOCATE"), ready(b'I'), bare('1')]));
    rig.client(&join([sync(), query("DEALLOCATE s")]));
    rig.server(&join([ready(b'I'), error("25P02", "failed"), ready(b'I')]));
    rig.registry.install(Rule::Read);
    let sent = rig.client(&bind("", "s"));
    let expected = join([close("s"), parse("s", "SELECT unified, 2"), bind("", "s")]);
    assert_eq!(sent, expected);
}

#[test]
fn a_text_too_large_to_keep_has_to_be_prepared_again_after_a_change() {
    let mut rig = Rig::new(Rule::Pass);
    let long = format!("SELECT legacy{}", " ".repeat(500));
    prepared(&mut rig, "s", &long);
    let used = join([bind("", "s"), sync()]);
    assert_eq!(rig.client(&used), used, "in its own generation it works");
    rig.server(&join([bare('2'), ready(b'I')]));
    rig.registry.install(Rule::Read);
    rig.client(&used);
    let answer = rig.server(&join([poisoned(), ready(b'I')]));
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("C26000\0"), "{text}");
}

#[test]
fn more_statements_than_the_limit_are_refused() {
    let mut rig = Rig::new(Rule::Pass);
    for name in ["a", "b", "c"] {
        prepared(&mut rig, name, "SELECT 1");
    }
    rig.client(&join([parse("d", "SELECT 1"), sync()]));
    let answer = rig.server(&join([poisoned(), ready(b'I')]));
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("C53400\0"), "{text}");
    // Closing one makes room.
    rig.client(&join([close("a"), sync()]));
    rig.server(&join([bare('3'), ready(b'I')]));
    assert_eq!(rig.client(&parse("d", "SELECT 1")), parse("d", "SELECT 1"));
}

#[test]
fn sql_execute_of_a_statement_from_another_generation_is_refused() {
    let mut rig = Rig::new(Rule::Pass);
    prepared(&mut rig, "s", "SELECT legacy");
    let execute = query("EXECUTE s");
    assert_eq!(rig.client(&execute), execute);
    rig.server(&join([complete("SELECT 0"), ready(b'I')]));
    rig.registry.install(Rule::Read);
    assert_eq!(rig.client(&execute), query("SELECT crossfade.refused"));
    let answer = rig.server(&join([poisoned(), ready(b'I')]));
    assert!(String::from_utf8_lossy(&answer).contains("C0A000\0"));
}
