//! What names mean, and how the server reads texts: when it is asked, and for how long its answer holds.

use super::rig::*;

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
    let mut row = vec![0, 1, 0, 0, 0, letter.len() as u8];
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
    let poison = query("SELECT crossfade.refused");
    assert_eq!(
        rig.client(&read),
        poison,
        "what comes behind its end is not known"
    );
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

/// A session that has been asked, in which nothing was changed.
fn settled() -> Rig {
    let mut rig = asking(usize::MAX);
    asked(&mut rig, &query("SELECT legacy"), "t", b'I');
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    rig.to_server.clear();
    rig
}

#[test]
fn after_whatever_may_change_what_names_mean_the_server_is_asked_again() {
    for text in [
        "SET SCHEMA 'x'",
        "SELECT set_config($1, $2, false)",
        "DO $$ BEGIN END $$",
        "CALL p()",
        "SELECT f(1)",
        "ALTER SCHEMA a RENAME TO b",
    ] {
        let mut rig = settled();
        rig.client(&query(text));
        rig.server(&join([complete("X"), ready(b'I')]));
        let sent = asked(&mut rig, &query("SELECT legacy"), "f", b'I');
        assert_eq!(sent, query("SELECT legacy"), "{text}");
        // The same by the extended protocol, at each execution.
        let mut rig = settled();
        rig.client(&join([parse("s", text), sync()]));
        rig.server(&join([bare('1'), ready(b'I')]));
        let read = query("SELECT legacy");
        assert_eq!(rig.client(&read), query("SELECT unified"), "{text}");
        rig.server(&join([complete("SELECT 1"), ready(b'I')]));
        for told in ["f", "t"] {
            rig.client(&join([bind("", "s"), execute("", 0), sync()]));
            rig.server(&join([bare('2'), complete("X"), ready(b'I')]));
            asked(&mut rig, &read, told, b'I');
            rig.server(&join([complete("SELECT 1"), ready(b'I')]));
        }
    }
}

#[test]
fn after_a_call_by_number_and_a_setting_that_is_told_the_server_is_asked_again() {
    let mut rig = settled();
    let call = message(b'F', &[0; 12]);
    assert_eq!(rig.client(&call), call);
    rig.server(&join([message(b'V', &[0; 4]), ready(b'I')]));
    asked(&mut rig, &query("SELECT legacy"), "t", b'I');
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    // A trigger, a view, an operator has set it.
    rig.client(&query("DELETE FROM t"));
    let told = message(b'S', b"search_path\0other\0");
    rig.server(&join([complete("DELETE 1"), told, ready(b'I')]));
    asked(&mut rig, &query("SELECT legacy"), "f", b'I');
}

#[test]
fn what_is_known_to_change_nothing_costs_no_question() {
    let mut rig = settled();
    for text in [
        "SELECT lower(a), count(*) FROM t WHERE id IN (1, 2)",
        "INSERT INTO \"notes\" (\"msg\") VALUES (now())",
        "SELECT set_config('app.tenant', '7', true)",
        "BEGIN",
        "SET LOCAL app.tenant = '7'",
        "COMMIT",
    ] {
        rig.client(&query(text));
        let status = if text == "BEGIN" || text.starts_with("SET") {
            b'T'
        } else {
            b'I'
        };
        rig.server(&join([complete("X"), ready(status)]));
        assert_eq!(
            rig.client(&query("SELECT legacy")),
            query("SELECT unified"),
            "{text}"
        );
        rig.server(&join([complete("SELECT 1"), ready(status)]));
    }
}

#[test]
fn in_a_block_that_changed_it_one_question_holds_up_to_its_end() {
    let mut rig = settled();
    let read = query("SELECT legacy");
    let run = |rig: &mut Rig, text: &str, status: u8| {
        rig.client(&query(text));
        rig.server(&join([complete("X"), ready(status)]));
    };
    run(&mut rig, "BEGIN", b'T');
    run(&mut rig, "SET LOCAL search_path TO x", b'T');
    assert_eq!(asked(&mut rig, &read, "f", b'T'), read);
    rig.server(&join([complete("SELECT 1"), ready(b'T')]));
    assert_eq!(rig.client(&read), read, "it is known by now");
    rig.server(&join([complete("SELECT 1"), ready(b'T')]));
    run(&mut rig, "COMMIT", b'I');
    assert_eq!(asked(&mut rig, &read, "t", b'I'), query("SELECT unified"));
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    // A pipeline of two transactions, without a word of theirs.
    let set = join([
        parse("", "SELECT set_config('search_path', 'x', true)"),
        bind("", ""),
        execute("", 0),
    ]);
    let segment = join([
        parse("", "SELECT legacy"),
        bind("", ""),
        execute("", 0),
        sync(),
    ]);
    let sent = rig.client(&join([set.clone(), segment.clone(), segment.clone()]));
    assert_eq!(sent, join([set, question('H')]));
    rig.to_server.clear();
    rig.server(&join([
        bare('1'),
        bare('2'),
        complete("SELECT 1"),
        letter("f"),
    ]));
    assert_eq!(rig.to_server, join([segment.clone(), question('S')]));
    rig.to_server.clear();
    rig.server(&join([
        bare('1'),
        bare('2'),
        complete("SELECT 1"),
        ready(b'I'),
    ]));
    rig.server(&answered("t", b'I'));
    let rest = join([bind("", ""), execute("", 0), sync()]);
    assert_eq!(rig.to_server, join([parse("", "SELECT unified"), rest]));
}

#[test]
fn how_the_server_reads_strings_is_followed() {
    let mut rig = settled();
    let text = query(r"SELECT legacy, 'it\'s'");
    let poison = query("SELECT crossfade.refused");
    rig.client(&query("SET standard_conforming_strings TO off"));
    let told = message(b'S', b"standard_conforming_strings\0off\0");
    rig.server(&join([complete("SET"), told, ready(b'I')]));
    // The rules of this test refuse what has escapes.
    assert_eq!(asked(&mut rig, &text, "te", b'I'), poison);
    rig.server(&join([poisoned(), ready(b'I')]));
    rig.client(&query("RESET ALL"));
    rig.server(&join([complete("RESET"), ready(b'I')]));
    assert_eq!(
        asked(&mut rig, &text, "t", b'I'),
        query(r"SELECT unified, 'it\'s'")
    );
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    // In a pipeline nothing is told yet.
    let both = join([
        query("SET standard_conforming_strings TO off"),
        text.clone(),
    ]);
    let sent = rig.client(&both);
    let set = query("SET standard_conforming_strings TO off");
    assert_eq!(sent, join([set, question('S')]));
    rig.to_server.clear();
    rig.server(&join([complete("SET"), ready(b'I'), answered("te", b'I')]));
    assert_eq!(rig.to_server, poison);
    rig.server(&join([poisoned(), ready(b'I')]));
    // A question that fails says nothing of them.
    rig.client(&query("RESET ALL"));
    rig.server(&join([complete("RESET"), ready(b'I')]));
    assert_eq!(rig.client(&text), question('S'));
    rig.to_server.clear();
    rig.server(&join([error("57014", "canceled"), ready(b'I')]));
    assert_eq!(rig.to_server, poison);
}

#[test]
fn a_statement_prepared_under_another_setting_of_strings_is_to_be_prepared_again() {
    let mut rig = settled();
    rig.client(&join([parse("s", r"SELECT legacy, 'a\'"), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    let told = message(b'S', b"standard_conforming_strings\0off\0");
    rig.client(&query("SET standard_conforming_strings TO off"));
    rig.server(&join([complete("SET"), told, ready(b'I')]));
    // What it means is still what it meant.
    let used = join([bind("", "s"), sync()]);
    assert_eq!(asked(&mut rig, &used, "te", b'I'), used);
    rig.server(&join([bare('2'), ready(b'I')]));
    // Under another generation it would have to be read again, and would be read otherwise.
    rig.registry.install(Rule::Read);
    rig.client(&query("SELECT 1"));
    rig.server(&join([complete("SELECT 1"), ready(b'I')]));
    let poison = parse("cf_refused", "SELECT crossfade.refused");
    assert_eq!(rig.client(&used), join([poison, used]));
    let failed = rig.server(&join([poisoned(), ready(b'I')]));
    assert!(String::from_utf8_lossy(&failed).contains("26000"));
}

#[test]
fn a_generation_that_comes_while_the_server_is_asked_gets_its_turn_with_what_waits() {
    for chunk in [usize::MAX, 1, 7] {
        let mut rig = asking(chunk);
        assert_eq!(rig.client(&query("SELECT legacy")), question('S'));
        rig.registry.install(Rule::Write);
        rig.to_server.clear();
        assert_eq!(rig.server(&answered("t", b'I')), b"");
        assert_eq!(
            rig.to_server,
            query("WITH put AS (SELECT unified) SELECT"),
            "nothing is outstanding whose end it could wait for"
        );
        assert_eq!(rig.registry.pinned(), Some(2));
    }
}

#[test]
fn a_generation_that_comes_while_the_server_is_asked_in_a_block_does_not_hold_what_waits() {
    for chunk in [usize::MAX, 1, 7] {
        let mut rig = asking(chunk);
        rig.client(&query("BEGIN"));
        rig.server(&join([complete("BEGIN"), ready(b'T')]));
        rig.to_server.clear();
        rig.to_client.clear();
        assert_eq!(rig.client(&query("SELECT legacy")), question('S'));
        rig.registry.install(Rule::Write);
        rig.to_server.clear();
        rig.server(&answered("t", b'T'));
        assert_eq!(
            rig.to_server,
            query("SELECT unified"),
            "the block goes on under the rules that it began with"
        );
        assert_eq!(rig.registry.pinned(), Some(1));
    }
}
