//! What is refused, and where errors are told.

use super::{passes, refused, rules};
use crate::{Does, Phase, SearchPath, Verdict, Within};

#[test]
fn an_error_is_told_in_the_clients_names() {
    let rules = rules(Phase::UnifiedOnly);
    let reading = rules.rewrite("DELETE FROM old", SearchPath::AsDeclared);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{reading:?}")
    };
    assert_eq!(rewritten.client_name(crate::Named::Table, "new"), "old");
    assert_eq!(rewritten.client_name(crate::Named::Column, "kind"), "role");
    assert_eq!(
        rewritten.client_name(crate::Named::Constraint, "kind"),
        "kind"
    );
    assert_eq!(
        rewritten.client_message(
            "null value in column \"kind\" of relation \"new\" violates",
            None
        ),
        "null value in column \"role\" of relation \"old\" violates"
    );
    // A column that is called as a table is, a table as a column, and values.
    for said in [
        "column \"new\" is of type integer",
        "relation \"kind\" does not exist",
        "invalid input syntax for type integer: \"new\"",
    ] {
        assert_eq!(rewritten.client_message(said, None), said);
    }
    // What the client itself calls so is no name of ours.
    let sql = "UPDATE s.old SET role = old.Kind";
    let reading = rules.rewrite(sql, SearchPath::AsDeclared);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{sql}")
    };
    let said = "column old.kind does not exist, nor \"kind\"";
    assert_eq!(rewritten.client_message(said, Some(25)), said);
    assert_ne!(rewritten.client_message(said, Some(18)), said);
    // Rights are told without quotation marks, in any language.
    for (said, expected) in [
        (
            "permission denied for table new",
            "permission denied for table old",
        ),
        (
            "keine Berechtigung für Tabelle new",
            "keine Berechtigung für Tabelle old",
        ),
        (
            "テーブルnewへのアクセスが拒否されました",
            "テーブルoldへのアクセスが拒否されました",
        ),
        (
            "permission denied for schema new",
            "permission denied for schema new",
        ),
        (
            "permission denied for table new_new",
            "permission denied for table new_new",
        ),
        // That of a TRUNCATE of several.
        (
            "permission denied for function truncate",
            "permission denied for table old",
        ),
    ] {
        assert_eq!(rewritten.client_rights(said), expected);
    }
}

#[test]
fn what_is_not_rewritten_is_refused_in_every_managed_phase() {
    for phase in Phase::ALL
        .into_iter()
        .filter(|phase| *phase != Phase::LegacyOnly)
    {
        refused(phase, "DROP TABLE IF EXISTS old", "DROP TABLE");
        refused(phase, "ALTER TABLE s.old ADD c int", "ALTER TABLE");
        refused(phase, "DO $$ BEGIN DELETE FROM old; END $$", "DO");
        refused(phase, "CREATE VIEW v AS SELECT * FROM old", "CREATE VIEW");
        refused(
            phase,
            "CREATE MATERIALIZED VIEW v AS SELECT * FROM old",
            "CREATE MATERIALIZED",
        );
        refused(
            phase,
            "UPDATE old o SET role = 'x' RETURNING new.role",
            "OLD and NEW in RETURNING",
        );
        refused(phase, "COPY old FROM STDIN (FREEZE)", "FREEZE");
        refused(
            phase,
            "MERGE INTO old USING t ON true WHEN MATCHED THEN UPDATE SET id = 2",
            "MERGE that updates the key",
        );
        refused(phase, "SELECT 1; DROP TABLE old", "DROP TABLE");
        refused(phase, "SELECT FROM old WHERE", "syntax error");
    }
    for phase in [
        Phase::DualRead,
        Phase::UnifiedRead,
        Phase::UnifiedOnly,
        Phase::Retired,
    ] {
        refused(phase, "SELECT ctid FROM old", "ctid");
        if phase != Phase::DualRead {
            refused(
                phase,
                "UPDATE old o SET (role) = (SELECT x FROM t) FROM f() AS g WHERE g = o.id",
                "(a query) beside what has no row",
            );
        }
        refused(
            phase,
            "SELECT * FROM old TABLESAMPLE system (1)",
            "TABLESAMPLE",
        );
        refused(
            phase,
            "UPDATE old SET role = 'x' WHERE CURRENT OF c",
            "CURRENT OF",
        );
    }
}

#[test]
fn a_text_that_cannot_be_parsed_passes_when_it_cannot_name_a_table_of_ours() {
    let long = format!("SELECT 1 /* execute {} */", "x".repeat(2 << 20));
    for text in ["CREATE TRIGGER t UPDATE OR UPDATE EXECUTE f()", &long] {
        passes(Phase::DualWrite, text);
    }
    let long = format!("{long}; TABLE old");
    refused(Phase::DualWrite, &long, "limit");
    refused(Phase::DualWrite, "discard U&\"\\006fld\" x", "syntax error");
    let rules = rules(Phase::DualWrite);
    let reading = rules.rewrite(
        "Discord; Set Search_path x; Execute (P)",
        SearchPath::AsDeclared,
    );
    assert_eq!(reading.effects.path, Some(SearchPath::Unknown));
    assert!(reading.effects.unparsed);
    let executes = Does::Execute {
        name: "p".to_owned(),
        within: Within::Nothing,
    };
    assert_eq!(reading.effects.prepared[0].does, executes);
}

#[test]
fn an_error_position_is_mapped_into_the_clients_text() {
    let rules = rules(Phase::UnifiedOnly);
    let text = "SELECT 'é', nothing FROM old WHERE x";
    let reading = rules.rewrite(text, SearchPath::AsDeclared);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{reading:?}")
    };
    let position = |needle: &str, text: &str| {
        let byte = text.rfind(needle).expect("the needle is there");
        u32::try_from(text[..byte].chars().count() + 1).expect("a short text")
    };
    for needle in ["nothing", "WHERE x", "x"] {
        let sent = position(needle, &rewritten.sql);
        assert_eq!(
            rewritten.client_position(sent),
            Some(position(needle, text)),
            "{needle}"
        );
    }
    assert_eq!(
        rewritten.client_position(position("cf_u", &rewritten.sql)),
        None
    );
    assert_eq!(rewritten.client_position(0), None);
    assert_eq!(rewritten.client_position(u32::MAX), None);
}

#[test]
fn a_syntax_error_is_placed_in_the_clients_text() {
    for (text, position) in [
        ("EXPLAIN COPY s.old TO STDOUT", 9),
        ("SELECT 'é' FROM FROM s.old", 17),
        ("SELECT x FROM s.old WHERE", 26),
    ] {
        let reading = rules(Phase::DualWrite).rewrite(text, SearchPath::AsDeclared);
        let Verdict::Refused(refusal) = &reading.verdict else {
            panic!("{text}: {reading:?}")
        };
        assert_eq!(refusal.position, Some(position), "{text}: {refusal:?}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_placed_in_the_clients_text() {
    let text = "UPDATE s.old SET role = 1 WHERE id = 2";
    let reading = rules(Phase::UnifiedOnly).rewrite(text, SearchPath::AsDeclared);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{reading:?}")
    };
    let assigned = rewritten
        .sql
        .find("SET \"kind\" = ")
        .expect("the assignment")
        + "SET \"kind\" = ".len();
    let position = rewritten.client_position(u32::try_from(assigned + 1).expect("a short text"));
    assert_eq!(position, Some(25));
}
