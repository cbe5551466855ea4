//! Replaced and refused texts, and how their answers become the client's.

use super::rig::*;

const UPDATE: &str = "UPDATE legacy SET a = 1";
const SENT_UPDATE: &str = "WITH put AS (UPDATE unified SET a = 1) SELECT";

#[test]
fn a_replaced_query_keeps_its_place_among_others() {
    let mut rig = Rig::new(Rule::Read);
    let sent = join([query("SELECT 1"), query("SELECT legacy"), query("SELECT 2")]);
    let expected = join([
        query("SELECT 1"),
        query("SELECT unified"),
        query("SELECT 2"),
    ]);
    assert_eq!(rig.client(&sent), expected);
    let report = rig.report();
    assert_eq!((report.passed, report.rewritten, report.refused), (2, 1, 0));
}

#[test]
fn a_write_answers_by_its_own_tag_and_without_rows() {
    let mut rig = Rig::new(Rule::Write);
    assert_eq!(rig.client(&query(UPDATE)), query(SENT_UPDATE));
    let answers = join([rows(), complete("SELECT 2"), ready(b'I')]);
    assert_eq!(
        rig.server(&answers),
        join([complete("UPDATE 2"), ready(b'I')])
    );
}

#[test]
fn each_statement_of_a_query_has_its_own_answer() {
    let mut rig = Rig::new(Rule::Write);
    rig.client(&query("UPDATE legacy; UPDATE legacy"));
    let answers = join([
        rows(),
        complete("SELECT 2"),
        rows(),
        complete("SELECT 3"),
        // A third one, of which the rules said nothing, is the client's as it is.
        rows(),
        complete("SELECT 4"),
        ready(b'I'),
    ]);
    let expected = join([
        complete("UPDATE 2"),
        complete("UPDATE 3"),
        rows(),
        complete("SELECT 4"),
        ready(b'I'),
    ]);
    assert_eq!(rig.server(&answers), expected);
}

#[test]
fn what_is_staged_is_told_when_all_of_it_has_ended() {
    let mut rig = Rig::new(Rule::Stage);
    rig.client(&query("COPY legacy FROM STDIN"));
    let staged = join([message(b'G', b"\0\0\0"), complete("COPY 3")]);
    assert_eq!(rig.server(&staged), message(b'G', b"\0\0\0"));
    assert_eq!(rig.server(&complete("INSERT 0 3")), b"");
    let answers = join([complete("DROP TABLE"), ready(b'I')]);
    assert_eq!(
        rig.server(&answers),
        join([complete("COPY 3"), ready(b'I')])
    );
    // Its transaction fails when it ends: nothing has been told, and nothing is told of it any more.
    rig.client(&query("COPY legacy FROM STDIN"));
    rig.server(&staged);
    assert_eq!(rig.server(&complete("INSERT 0 3")), b"");
    let failed = join([error("23503", "refers to nothing"), ready(b'I')]);
    assert_eq!(rig.server(&failed), failed);
    rig.client(&query("COPY legacy FROM STDIN"));
    rig.server(&staged);
    let answers = join([complete("INSERT 0 2"), complete("DROP TABLE"), ready(b'I')]);
    assert_eq!(
        rig.server(&answers),
        join([complete("COPY 2"), ready(b'I')])
    );
}

#[test]
fn a_prepared_write_describes_no_rows_and_runs_to_its_end() {
    let mut rig = Rig::new(Rule::Write);
    let sent = join([
        parse("s", UPDATE),
        describe('S', "s"),
        bind("p", "s"),
        describe('P', "p"),
        execute("p", 10),
        sync(),
    ]);
    let expected = join([
        parse("s", SENT_UPDATE),
        describe('S', "s"),
        bind("p", "s"),
        describe('P', "p"),
        execute("p", 0),
        sync(),
    ]);
    assert_eq!(rig.client(&sent), expected);
    let described = |tag| message(tag, b"\0\0");
    let answers = join([
        bare('1'),
        described(b't'),
        described(b'T'),
        bare('2'),
        described(b'T'),
        message(b'D', b"row"),
        complete("SELECT 1"),
        ready(b'I'),
    ]);
    let expected = join([
        bare('1'),
        described(b't'),
        bare('n'),
        bare('2'),
        bare('n'),
        complete("UPDATE 1"),
        ready(b'I'),
    ]);
    assert_eq!(rig.server(&answers), expected);
}

#[test]
fn a_refused_query_fails_in_its_place_with_the_refusals_words() {
    let mut rig = Rig::new(Rule::Refuse);
    let sent = join([query("BEGIN"), query("DROP legacy")]);
    let poison = query("SELECT crossfade.refused");
    assert_eq!(rig.client(&sent), join([query("BEGIN"), poison]));
    rig.server(&join([complete("BEGIN"), ready(b'T')]));
    let answer = rig.server(&join([poisoned(), ready(b'E')]));
    assert_eq!(answer, join([refusal("not while it moves"), ready(b'E')]));
    // In the failed transaction it is the transaction that the server complains about.
    rig.client(&query("DROP legacy"));
    let aborted = join([error("25P02", "aborted"), ready(b'E')]);
    assert_eq!(rig.server(&aborted), aborted);
    assert_eq!(rig.report().refused, 2);
}

#[test]
fn a_refused_parse_leaves_the_older_statement_of_that_name() {
    let mut rig = Rig::new(Rule::Refuse);
    rig.client(&join([parse("s", "SELECT 1"), sync()]));
    rig.server(&join([bare('1'), ready(b'I')]));
    let sent = join([parse("s", "DROP legacy"), bind("", "s"), sync()]);
    let expected = join([
        parse("s", "SELECT crossfade.refused"),
        bind("", "s"),
        sync(),
    ]);
    assert_eq!(rig.client(&sent), expected);
    let answer = rig.server(&join([poisoned(), ready(b'I')]));
    assert_eq!(answer, join([refusal("not while it moves"), ready(b'I')]));
    let again = join([bind("", "s"), sync()]);
    assert_eq!(rig.client(&again), again);
}

#[test]
fn an_error_of_replaced_text_shows_nothing_of_it() {
    let mut rig = Rig::new(Rule::Write);
    rig.client(&query(UPDATE));
    let body =
        b"SERROR\0C23505\0Mduplicate\0P9\0p7\0qWITH put\0Wfunction crossfade.put\0tusers\0\0";
    let answer = rig.server(&message(b'E', body));
    assert_eq!(
        answer,
        message(b'E', b"SERROR\0C23505\0Mduplicate\0tusers\0\0")
    );
    // Where a trigger of the application's failed is nothing of ours.
    rig.server(&ready(b'I'));
    rig.client(&query(UPDATE));
    let own = message(b'E', b"SERROR\0CP0001\0Mno\0Wfunction check_it\0\0");
    assert_eq!(rig.server(&own), own);
}

#[test]
fn a_missing_function_of_ours_says_what_to_do() {
    let mut rig = Rig::new(Rule::Write);
    rig.client(&query(UPDATE));
    let answer = rig.server(&error(
        "42883",
        "function crossfade.put_x(legacy) does not exist",
    ));
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("C55000\0"), "{text}");
    assert!(text.contains("crossfade prepare"), "{text}");
    // One of the client's own is the client's affair.
    rig.server(&ready(b'I'));
    rig.client(&query(UPDATE));
    let own = error("42883", "function f(integer) does not exist");
    assert_eq!(rig.server(&own), own);
}

#[test]
fn notices_meant_for_the_proxy_are_counted_and_kept_from_the_client() {
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("SELECT legacy"));
    let notice = |code: &str| message(b'N', format!("SNOTICE\0C{code}\0Mm\0\0").as_bytes());
    let answer = rig.server(&join([notice("CF001"), notice("01000"), notice("CF002")]));
    assert_eq!(answer, notice("01000"));
    let events = rig.events();
    for counted in [&events.fallbacks, &events.divergences] {
        let told: Vec<_> = counted
            .iter()
            .map(|(n, count)| (n.migration.as_str(), count))
            .collect();
        assert_eq!(told, [("m", 1)]);
    }
}

#[test]
fn after_search_path_is_touched_the_rules_are_told() {
    let mut rig = Rig::new(Rule::Read);
    rig.client(&query("SET search_path = x"));
    let sent = rig.client(&query("SELECT legacy"));
    assert_eq!(sent, query("SELECT crossfade.refused"));
}

#[test]
fn a_text_that_is_not_utf_8_is_refused_when_it_spells_a_managed_name() {
    let mut rig = Rig::new(Rule::Read);
    let sent = rig.client(&message(b'Q', b"SELECT legacy, '\xe9'\0"));
    assert_eq!(sent, query("SELECT crossfade.refused"));
    for harmless in [&b"SELECT '\xe9'\0"[..], b"EXECUTE s ('\xe9')\0"] {
        let harmless = message(b'Q', harmless);
        assert_eq!(rig.client(&harmless), harmless);
    }
}

#[test]
fn in_another_client_encoding_only_ascii_is_replaced() {
    let mut rig = Rig::new(Rule::Read);
    rig.server(&message(b'S', b"client_encoding\0LATIN1\0"));
    assert_eq!(rig.client(&query("SELECT legacy")), query("SELECT unified"));
    let refused = query("SELECT crossfade.refused");
    assert_eq!(rig.client(&query("SELECT legacy, 'é'")), refused);
    rig.server(&message(b'S', b"client_encoding\0UTF8\0"));
    assert_eq!(
        rig.client(&query("SELECT legacy, 'é'")),
        query("SELECT unified, 'é'")
    );
}

#[test]
fn a_managed_name_that_is_no_ascii_is_not_overlooked_in_another_encoding() {
    let mut rig = Rig::new(Rule::ReadBeyondAscii);
    let text = message(b'Q', b"SELECT FROM \xfcbersicht\0");
    assert_eq!(rig.client(&text), text, "in UTF-8 no name looks like this");
    rig.server(&message(b'S', b"client_encoding\0LATIN1\0"));
    assert_eq!(rig.client(&text), query("SELECT crossfade.refused"));
    assert_eq!(rig.client(&query("SELECT 1")), query("SELECT 1"));
    // What is not converted is in the encoding of the database.
    rig.server(&message(b'S', b"server_encoding\0LATIN1\0"));
    rig.server(&message(b'S', b"client_encoding\0SQL_ASCII\0"));
    assert_eq!(rig.client(&text), query("SELECT crossfade.refused"));
}

#[test]
fn a_read_that_succeeded_outside_a_transaction_is_offered_for_comparison() {
    let mut rig = Rig::new(Rule::Shadow);
    rig.client(&query("SELECT legacy"));
    assert!(
        rig.events().shadows.is_empty(),
        "not before it has succeeded"
    );
    rig.server(&join([rows(), complete("SELECT 2"), ready(b'I')]));
    let shadows = rig.events().shadows;
    assert_eq!(shadows.len(), 1);
    assert_eq!(shadows[0].unified, "SELECT unified");
    assert_eq!(shadows[0].parameters, []);

    // The first Bind shows that there is something to compare; the next ones are looked at.
    let once = join([
        parse("", "SELECT legacy"),
        bind("", ""),
        execute("", 0),
        sync(),
    ]);
    let answers = join([bare('1'), bare('2'), complete("SELECT 2"), ready(b'I')]);
    for expected in [0, 1] {
        rig.client(&once);
        rig.server(&answers);
        let shadows = rig.events().shadows;
        assert_eq!(shadows.len(), expected);
        for shadow in shadows {
            assert_eq!(shadow.parameters, [(0, Some(b"v".to_vec()))]);
        }
    }
}

#[test]
fn a_read_that_failed_or_ran_in_a_transaction_is_not_compared() {
    let mut rig = Rig::new(Rule::Shadow);
    rig.client(&query("SELECT legacy"));
    rig.server(&join([error("57014", "cancelled"), ready(b'I')]));
    assert!(rig.events().shadows.is_empty());
    rig.client(&query("BEGIN"));
    rig.server(&join([complete("BEGIN"), ready(b'T')]));
    rig.client(&query("SELECT legacy"));
    rig.server(&join([complete("SELECT 1"), ready(b'T')]));
    rig.client(&query("COMMIT"));
    rig.server(&join([complete("COMMIT"), ready(b'I')]));
    assert!(rig.events().shadows.is_empty());
}

#[test]
fn in_a_failed_transaction_what_is_no_sql_is_told_by_the_server() {
    let mut rig = Rig::new(Rule::Unreadable);
    let poison = query("SELECT crossfade.refused");
    assert_eq!(rig.client(&query("FROM legacy")), poison);
    rig.server(&join([error("42P01", "refused"), ready(b'I')]));
    rig.client(&query("BEGIN"));
    rig.server(&join([complete("BEGIN"), ready(b'T')]));
    assert_eq!(rig.client(&query("FROM legacy")), poison);
    rig.server(&join([error("42P01", "refused"), ready(b'E')]));
    for text in ["FROM legacy", "SELECT legacy; DELETE FROM legacy SOMEHOW"] {
        assert_eq!(rig.client(&query(text)), query(text));
        let told = join([error("42601", "syntax error"), ready(b'E')]);
        assert_eq!(rig.server(&told), told);
    }
    // What follows the end of the transaction would run.
    for text in [
        "RollBack; FROM legacy",
        "ABORT; FROM legacy",
        "/* */End; FROM legacy",
    ] {
        assert_eq!(rig.client(&query(text)), poison, "{text}");
        rig.server(&join([error("25P02", "aborted"), ready(b'E')]));
    }
    // Before the answer to a ROLLBACK it is not known whether the transaction is still failed.
    let sent = rig.client(&join([query("ROLLBACK"), query("FROM legacy")]));
    assert_eq!(sent, join([query("ROLLBACK"), poison]));
}
