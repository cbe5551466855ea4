//! A wrong rule file says where it is wrong, what was found and what was expected.

use std::sync::Arc;

use super::kept::KEPT_BYTES_MAX;
use super::{RuleSet, SourceFile};
use crate::statement::{Reading, SessionEffects, Verdict};
use crate::{Phase, SearchPath};

mod between;
mod dependents;
mod forms;
mod locks;
mod merged;
mod references;
mod tenants;
mod written;

const RIGHT: &str = include_str!("../../rules/iso_agents.toml");

fn compile(text: &str) -> Result<RuleSet, String> {
    let file = SourceFile {
        path: "rules/x.toml".into(),
        text: text.to_owned(),
    };
    RuleSet::compile(vec![file]).map_err(|errors| errors.to_string())
}

/// Compiles the shipped file with one text replaced, and gives the error.
fn wrong(find: &str, replace: &str) -> String {
    assert!(RIGHT.contains(find), "{find}");
    match compile(&RIGHT.replacen(find, replace, 1)) {
        Ok(_) => panic!("`{replace}` was accepted"),
        Err(error) => error,
    }
}

/// `path:line:column` of the first place where a text stands in the shipped file.
fn place(find: &str) -> String {
    let before = &RIGHT[..RIGHT.find(find).expect("the text is there")];
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
    format!("rules/x.toml:{line}:{column}: ")
}

#[test]
fn the_shipped_rule_file_compiles() {
    let rules = compile(RIGHT).expect("the shipped file is right");
    let migration = &rules.migrations()[0];
    assert_eq!(
        (migration.name.as_str(), migration.phase),
        ("iso_agents", Phase::LegacyOnly)
    );
    assert_eq!(migration.tables[0].columns.len(), 11);
    assert_eq!(migration.tables[0].legacy_key(), ["\"id\""]);
}

#[test]
fn an_error_points_at_its_place_and_says_what_was_expected() {
    let error = wrong("phase = \"legacy_only\"", "phase = \"dual_writes\"");
    assert!(error.starts_with(&place("\"legacy_only\"\n#")), "{error}");
    assert!(
        error.contains("`dual_writes`") && error.contains("legacy_only, dual_write, shadow_read"),
        "{error}"
    );

    let error = wrong("key     = [\"id\"]", "key     = [\"uid\"]");
    assert!(
        error.starts_with(&place("\"id\"]")) && error.contains("`uid`"),
        "{error}"
    );

    let error = wrong(
        "legacy  = \"public.iso_agents\"",
        "legacy  = \"iso_agents\"",
    );
    assert!(
        error.contains("found `iso_agents`; expected schema.table"),
        "{error}"
    );

    let error = wrong("operator = \"operator\" }", "operator = \"admin\" }");
    assert!(
        error.contains("unified value `admin` of column `role` has two legacy values"),
        "{error}"
    );

    let error = wrong("metadata->>'phone'", "metadata->>");
    assert!(error.contains("in `metadata->>`"), "{error}");

    let error = wrong("metadata->>'phone'", "meta->>'phone'");
    assert!(
        error.contains("unknown column `meta`; expected one of: id, clerk_user_id"),
        "{error}"
    );

    let error = wrong("metadata->>'phone'", "(SELECT 1)");
    assert!(error.contains("found a subquery"), "{error}");

    let error = wrong("phone    =", "email    =");
    assert!(
        error.contains("unified column `email` is set twice"),
        "{error}"
    );

    let error = wrong("is_active     = { type", "is_active     = { typo");
    assert!(error.contains("typo"), "{error}");

    let error = wrong("[migration]", "[migration");
    assert!(error.starts_with("rules/x.toml:4:"), "{error}");
}

#[test]
fn every_error_of_a_file_is_reported() {
    let text = RIGHT
        .replace("key     = [\"id\"]", "key     = [\"uid\"]")
        .replace("phase = \"legacy_only\"", "phase = \"no\"");
    let error = compile(&text).expect_err("both are wrong");
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn a_table_belongs_to_one_migration() {
    let files = ["a", "b"].map(|name| SourceFile {
        path: format!("{name}.toml").into(),
        text: RIGHT.replace("name  = \"iso_agents\"", &format!("name = \"{name}\"")),
    });
    let error = RuleSet::compile(files.to_vec())
        .expect_err("both manage it")
        .to_string();
    assert!(
        error.contains("already managed by migration `a` in a.toml"),
        "{error}"
    );
}

#[test]
fn two_migrations_write_one_unified_table_one_after_the_other() {
    let files = |phases: [Phase; 2]| {
        ["a", "b"].map(|name| {
            let phase = phases[usize::from(name == "b")];
            SourceFile {
                path: format!("{name}.toml").into(),
                text: RIGHT
                    .replace("name  = \"iso_agents\"", &format!("name = \"{name}\""))
                    .replace("public.iso_agents", &format!("public.{name}_agents"))
                    .replace("phase = \"legacy_only\"", &format!("phase = \"{phase}\"")),
            }
        })
    };
    for phase in Phase::ALL {
        for phases in [[phase, Phase::LegacyOnly], [Phase::LegacyOnly, phase]] {
            RuleSet::compile(files(phases).to_vec()).expect("one of them has not begun");
        }
        for other in Phase::ALL
            .into_iter()
            .skip(1)
            .filter(|_| phase != Phase::LegacyOnly)
        {
            let error = RuleSet::compile(files([phase, other]).to_vec());
            let error = error.expect_err("both have begun").to_string();
            assert!(
                error.contains("unified table \"public\".\"users\" is already managed by migration `a` in a.toml; of two"),
                "{error}"
            );
        }
    }
}

#[test]
fn only_texts_that_can_matter_are_read() {
    let rules = compile(RIGHT).expect("right");
    let dual = rules.with_phase(None, Phase::DualWrite);
    let late = rules.with_phase(None, Phase::UnifiedOnly);
    for text in ["SELECT * FROM Iso_Agents", "select U&\"x\"", "DISCARD ALL"] {
        assert!(dual.must_read(text.as_bytes()), "{text}");
        assert!(late.must_read(text.as_bytes()), "{text}");
    }
    assert!(
        rules.must_read(b"SELECT 1 FROM iso_agents"),
        "counted for coverage"
    );
    assert!(
        rules.must_read(b"PREPARE s AS SELECT 1"),
        "the next phase must know what is prepared in sessions that are open now"
    );
    assert!(
        !rules.must_read(b"UPDATE users SET x = 1"),
        "legacy_only manages nothing"
    );
    assert!(dual.must_read(b"UPDATE users SET x = 1"));
    assert!(
        !late.must_read(b"UPDATE users SET x = 1"),
        "unified names are not managed there"
    );
    assert!(!dual.must_read(b"SELECT * FROM pgbench_accounts"));
    assert!(!RuleSet::empty().must_read(b"SELECT * FROM iso_agents"));
}

#[test]
fn statements_are_counted_by_shape_in_every_phase() {
    use crate::SearchPath::AsDeclared;
    for phase in Phase::ALL {
        let rules = compile(RIGHT).expect("right").with_phase(None, phase);
        for text in [
            "SELECT id FROM iso_agents WHERE email = 'a'",
            "SELECT id FROM iso_agents WHERE email = 'b'",
            "SELECT id FROM iso_agents WHERE email = 'b'",
            "SELECT 'iso_agents'",
            "SELECT FROM iso_agents WHERE",
            "TRUNCATE t, iso_agents",
        ] {
            let _counted = rules.rewrite(text, AsDeclared);
        }
        let taken = rules.take_statements().into_iter();
        let mut taken: Vec<(String, u64)> = taken
            .map(|shape| {
                assert_eq!(
                    (shape.migration.as_str(), shape.phase),
                    ("iso_agents", Some(phase))
                );
                (shape.statement.expect("there is room"), shape.tally.calls)
            })
            .collect();
        taken.sort();
        assert_eq!(
            taken,
            [
                ("SELECT id FROM iso_agents WHERE email = $1".to_owned(), 3),
                ("TRUNCATE t, iso_agents".to_owned(), 1)
            ],
            "{phase}"
        );
        assert!(rules.take_statements().is_empty(), "taken is taken");
    }
}

#[test]
fn what_is_kept_of_texts_takes_a_bounded_amount_of_memory() {
    let rules = RuleSet::empty();
    let long = "x".repeat(100_000);
    let (mut texts, mut bytes) = (0, 0);
    while bytes < 2 * KEPT_BYTES_MAX {
        let text = format!("{texts} {long}");
        bytes += text.len() as u64;
        texts += 1;
        let reading = Reading::new(Verdict::PassThrough, SessionEffects::default());
        rules.keep_reading(&text, SearchPath::AsDeclared, Arc::new(reading));
    }
    assert!(
        rules.kept.readings[0].len() > 100,
        "{}",
        rules.kept.readings[0].len()
    );
    assert!(rules.kept.readings[0].weight() <= KEPT_BYTES_MAX);
}

#[test]
fn what_becomes_of_hidden_rows_is_said_in_one_of_three_words() {
    let said = "when_hidden = \"keep\"";
    assert!(RIGHT.contains(said));
    let rules = |word: &str| RIGHT.replace(said, &format!("when_hidden = \"{word}\""));
    let function = |text: &str| -> String {
        let rules = compile(text).expect("it is right");
        let functions = rules.migrations()[0].tables[0].functions();
        let mut functions = functions.into_iter();
        let found = functions.find(|function| function.name.contains("\"hide_legacy_"));
        found.expect("there is one").ddl
    };
    let keep = function(&rules("keep"));
    assert!(
        keep.contains("PERFORM crossfade.\"record_iso_agents_"),
        "{keep}"
    );
    assert!(
        keep.contains("'CF003'") && !keep.contains("DELETE"),
        "{keep}"
    );
    // Unless it is said otherwise.
    assert_eq!(function(&RIGHT.replace(said, "")), keep);
    let remove = function(&rules("remove"));
    assert!(
        remove.contains("DELETE FROM \"public\".\"iso_agents\""),
        "{remove}"
    );
    let refuse = function(&rules("refuse"));
    assert!(refuse.contains("ERRCODE = '55000'"), "{refuse}");
    let error = compile(&rules("drop")).expect_err("no such word");
    assert!(
        error.contains("found `drop`; expected `keep`, `remove` or `refuse`"),
        "{error}"
    );
}

#[test]
fn a_migration_that_does_not_fit_the_tables_refuses_what_it_would_rewrite_and_nothing_else() {
    let misfit = |name: &str| (name == "iso_agents").then(|| "no column x".to_owned());
    let in_phase = |phase| {
        let rules = compile(RIGHT).expect("right");
        rules.with_phase(None, phase).withheld(misfit)
    };
    let verdict = |phase, sql: &str| {
        let reading = in_phase(phase).rewrite(sql, SearchPath::AsDeclared);
        match &reading.verdict {
            Verdict::PassThrough => "passes",
            Verdict::Rewritten(rewritten) if rewritten.sql == sql => "passes",
            Verdict::Rewritten(_) => "is rewritten",
            Verdict::Refused(refusal) => {
                let said = &refusal.message;
                assert!(
                    said.contains("iso_agents") && said.ends_with("no column x"),
                    "{said}"
                );
                "is refused"
            }
        }
    };
    for (phase, sql, becomes) in [
        (Phase::LegacyOnly, "DELETE FROM iso_agents", "passes"),
        (Phase::DualWrite, "DELETE FROM iso_agents", "is refused"),
        (Phase::DualWrite, "DELETE FROM users", "is refused"),
        (Phase::DualWrite, "SELECT email FROM iso_agents", "passes"),
        (Phase::ShadowRead, "SELECT email FROM iso_agents", "passes"),
        (
            Phase::DualRead,
            "SELECT email FROM iso_agents",
            "is refused",
        ),
        (Phase::DualRead, "SELECT email FROM users", "passes"),
        (Phase::DualRead, "SELECT 1; TABLE iso_agents", "is refused"),
        (
            Phase::Retired,
            "PREPARE p AS TABLE iso_agents",
            "is refused",
        ),
        (Phase::Retired, "SELECT 'iso_agents'", "passes"),
    ] {
        assert_eq!(verdict(phase, sql), becomes, "{phase}: {sql}");
    }
}

#[test]
fn every_part_of_a_lens_is_given_out_to_be_read_by_the_server() {
    let rules = compile(RIGHT).expect("right");
    let parts = |rules: &RuleSet| -> Vec<&str> {
        let lens = &rules.migrations()[0].tables[0];
        lens.analysed()
            .iter()
            .map(|analysed| analysed.part)
            .collect()
    };
    assert_eq!(parts(&rules), ["read", "put"]);
    let split = include_str!("../../rules/user_settings.toml");
    let split = compile(split).expect("right");
    assert_eq!(parts(&split), ["read", "put", "remove", "rekey"]);
    for analysed in split.migrations()[0].tables[0].analysed() {
        pg_query::parse(&analysed.sql, pg_query::ParserOptions::DEFAULT).expect(&analysed.sql);
    }
}
