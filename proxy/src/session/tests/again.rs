//! What was said in an epoch that is over is said again by the newer rules, where nothing has happened.

use super::rig::*;

const OVER: &str = "40001";

fn says(bytes: &[u8], what: &str) -> bool {
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

#[test]
fn a_query_is_said_again_as_the_newer_rules_have_it() {
    for chunk in [usize::MAX, 1] {
        let mut rig = Rig::in_chunks(Rule::Read, chunk);
        rig.server(&ready(b'I'));
        rig.to_client.clear();
        rig.client(&query("SELECT legacy"));
        assert_eq!(rig.server(&fenced_off()), b"");
        assert!(rig.session.is_blocked());
        assert_eq!(rig.server(&ready(b'I')), b"");
        assert!(rig.session.waits_for_newer());
        assert_eq!(rig.registry.pinned(), None, "a step does not wait for it");
        // What the client says meanwhile comes behind it.
        assert_eq!(rig.client(&query("SELECT 1")), b"");
        assert_eq!(rig.said_again(), b"", "there are no newer rules yet");

        rig.registry.install(Rule::Write);
        let newer = query("WITH put AS (SELECT unified) SELECT");
        assert_eq!(rig.said_again(), join([newer, query("SELECT 1")]));
        let answers = join([rows(), complete("SELECT 2"), ready(b'I')]);
        assert_eq!(
            rig.server(&answers),
            join([complete("UPDATE 2"), ready(b'I')])
        );
    }
}

#[test]
fn a_segment_of_an_unnamed_statement_is_said_again() {
    let mut rig = Rig::new(Rule::Read);
    let segment = join([
        parse("", "SELECT legacy"),
        bind("", ""),
        describe('P', ""),
        execute("", 0),
        sync(),
    ]);
    rig.client(&segment);
    assert_eq!(rig.server(&join([fenced_off(), ready(b'I')])), b"");
    rig.registry.install(Rule::Pass);
    assert_eq!(rig.said_again(), segment);
    let answers = join([
        bare('1'),
        bare('2'),
        rows(),
        complete("SELECT 2"),
        ready(b'I'),
    ]);
    assert_eq!(rig.server(&answers), answers);
}

#[test]
fn a_statement_that_was_prepared_is_prepared_anew_and_bound_again() {
    let mut rig = Rig::new(Rule::Read);
    rig.client(&join([parse("s", "SELECT legacy"), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    rig.to_client.clear();
    let segment = join([bind("", "s"), execute("", 0), sync()]);
    rig.client(&segment);
    assert_eq!(rig.server(&join([fenced_off(), ready(b'I')])), b"");
    rig.registry.install(Rule::Pass);
    let anew = join([close("s"), parse("s", "SELECT legacy"), segment]);
    assert_eq!(rig.said_again(), anew);
    let answers = join([
        bare('3'),
        bare('1'),
        bare('2'),
        complete("SELECT 0"),
        ready(b'I'),
    ]);
    let told = join([bare('2'), complete("SELECT 0"), ready(b'I')]);
    assert_eq!(rig.server(&answers), told);
}

#[test]
fn a_query_that_is_kept_prepared_is_said_again() {
    let mut rig = Rig::keeping_rewritten(usize::MAX);
    let answered = join([rows(), complete("SELECT 2"), ready(b'I')]);
    for before in [Vec::new(), Vec::new(), join([bare('1'), bare('2')])] {
        rig.client(&query("SELECT legacy WHERE id = 1"));
        rig.server(&join([before, answered.clone()]));
    }
    rig.to_client.clear();
    rig.client(&query("SELECT legacy WHERE id = 2"));
    assert_eq!(rig.server(&join([fenced_off(), ready(b'I')])), b"");
    let resent = rig.resent();
    assert_eq!(resent, query("SELECT unified WHERE id = 2"));
    assert_eq!(rig.server(&join([fenced_off(), ready(b'I')])), b"");
    rig.registry.install(Rule::Pass);
    assert_eq!(rig.said_again(), query("SELECT legacy WHERE id = 2"));
}

#[test]
fn in_a_block_the_client_repeats_its_transaction_itself() {
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("BEGIN"));
    rig.server(&join([complete("BEGIN"), ready(b'T')]));
    rig.client(&query("SELECT legacy"));
    assert!(says(&rig.server(&fenced_off()), OVER));
    rig.server(&ready(b'E'));
    assert!(!rig.session.waits_for_newer());
}

#[test]
fn nothing_is_said_again_that_has_been_answered_or_has_something_behind_it() {
    // Of a text of several statements the second: the first has run.
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("SELECT legacy; SELECT legacy"));
    rig.server(&complete("SELECT 1"));
    assert!(says(&rig.server(&fenced_off()), OVER));
    rig.server(&ready(b'I'));
    assert!(!rig.session.waits_for_newer());

    // The end of the first is told later: it has run all the same.
    let mut rig = Rig::new(Rule::Stage);
    rig.client(&query("COPY legacy"));
    assert_eq!(rig.server(&complete("COPY 1")), b"");
    assert!(says(&rig.server(&fenced_off()), OVER));

    // A second request was sent.
    let mut rig = Rig::new(Rule::Read);
    rig.client(&join([query("SELECT legacy"), query("SELECT 1")]));
    assert!(says(&rig.server(&fenced_off()), OVER));

    // The data of a COPY, which would be lost.
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("COPY legacy FROM STDIN"));
    rig.client(&join([message(b'd', b"1\n"), bare('c')]));
    assert!(says(&rig.server(&fenced_off()), OVER));

    // The client wants the answers so far.
    let mut rig = Rig::new(Rule::Read);
    let flushed = join([
        parse("", "SELECT legacy"),
        bare('H'),
        bind("", ""),
        execute("", 0),
        sync(),
    ]);
    rig.client(&flushed);
    assert!(says(&rig.server(&fenced_off()), OVER));

    // It is not the text's own fence that is missing, but one that a function looked for.
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("SELECT legacy"));
    let mut within = fenced_off();
    within.pop();
    within.extend_from_slice(b"WPL/pgSQL function f() line 1\0\0");
    let length = u32::try_from(within.len() - 1).expect("short");
    within[1..5].copy_from_slice(&length.to_be_bytes());
    assert!(says(&rig.server(&within), OVER));
}

#[test]
fn who_waits_in_vain_is_told_and_goes_on() {
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("SELECT legacy"));
    rig.server(&join([fenced_off(), ready(b'I')]));
    let told = rig.session.give_up();
    assert!(says(&told, OVER));
    assert!(told.ends_with(&ready(b'I')));
    assert!(!rig.session.is_blocked());
    assert_eq!(rig.client(&query("SELECT legacy")), query("SELECT unified"));
}

#[test]
fn whoever_meets_one_step_after_the_other_is_told_in_the_end() {
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("SELECT legacy"));
    for _ in 0..3 {
        assert_eq!(rig.server(&join([fenced_off(), ready(b'I')])), b"");
        rig.registry.install(Rule::Read);
        assert_eq!(rig.said_again(), query("SELECT unified"));
    }
    assert!(says(&rig.server(&fenced_off()), OVER));
    rig.server(&ready(b'I'));
    // Another statement begins anew.
    rig.client(&query("SELECT legacy"));
    rig.to_client.clear();
    assert_eq!(rig.server(&join([fenced_off(), ready(b'I')])), b"");
}

#[test]
fn a_message_that_is_too_long_is_not_kept() {
    let mut rig = Rig::new(Rule::Read);
    let long = join([
        parse("", "SELECT legacy"),
        message(b'B', &[&[0; 6][..], &[b'x'; 20_000]].concat()),
        execute("", 0),
        sync(),
    ]);
    rig.client(&long);
    assert!(says(&rig.server(&fenced_off()), OVER));
}
