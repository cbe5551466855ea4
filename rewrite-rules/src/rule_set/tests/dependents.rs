//! Columns that move in place and functions that are renamed: what a rule file may say, and what
//! becomes of statements.

use super::compile;
use crate::{Phase, SearchPath, Verdict};

const RIGHT: &str = r#"[migration]
name = "m"
phase = "dual_write"
[[function]]
legacy = "s.old_id()"
unified = "s.new_id()"
[[function]]
legacy = "s.owns(old_arg, mode)"
unified = "s.owns(new_arg, mode)"
[[table]]
in_place = "s.t"
key = ["id"]
[table.columns]
id = "int NOT NULL DEFAULT 7"
old = { type = "uuid", unified = "new" }
"#;

#[track_caller]
fn wrong(find: &str, replace: &str, at: &str, says: &str) {
    assert!(RIGHT.contains(find), "{find}");
    let text = RIGHT.replacen(find, replace, 1);
    let error = match compile(&text) {
        Ok(_) => panic!("`{replace}` was accepted"),
        Err(error) => error,
    };
    let before = &text[..text.find(at).expect("the place is there")];
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
    let place = format!("rules/x.toml:{line}:{column}: ");
    assert!(error.contains(says), "{error}");
    assert!(error.contains(&place), "expected {place}\nfound {error}");
}

#[test]
fn what_cannot_move_in_place_is_told_with_its_place() {
    wrong(
        "in_place = \"s.t\"",
        "in_place = \"t\"",
        "\"t\"",
        "expected schema.table",
    );
    wrong(
        "key = [\"id\"]",
        "legacy = \"s.t\"\nkey = [\"id\"]",
        "\"s.t\"\nkey",
        "beside `in_place`",
    );
    wrong("in_place = \"s.t\"\n", "", "[\"id\"]", "lacks a side");
    wrong(
        "in_place = \"s.t\"",
        "legacy = \"s.t\"",
        "[\"id\"]",
        "lacks a side",
    );
    wrong(", unified = \"new\"", "", "\"s.t\"", "no column moves");
    wrong(
        "key = [\"id\"]",
        "key = [\"old\"]",
        "[\"old\"]",
        "the key column `old` moves",
    );
    wrong(
        "key = [\"id\"]",
        "key = [\"id\"]\nvisible = \"true\"",
        "\"true\"",
        "only columns of them move",
    );
    wrong(
        "unified = \"new\"",
        "unified = \"id\"",
        "\"s.t\"",
        "unified column `id` is set twice",
    );
    wrong(
        "int NOT NULL DEFAULT 7",
        "int NOT NULL UNIQUE",
        "\"int NOT",
        "found `UNIQUE`",
    );
    wrong("int NOT NULL DEFAULT 7", "int NOT", "\"int NOT", "NOT");
}

#[test]
fn what_a_function_cannot_become_is_told_with_its_place() {
    wrong(
        "\"s.new_id()\"",
        "\"new_id()\"",
        "\"new_id()\"",
        "expected `schema.function(argument, …)`",
    );
    wrong(
        "\"s.new_id()\"",
        "\"s.new_id\"",
        "\"s.new_id\"",
        "expected `schema.function(argument, …)`",
    );
    wrong(
        "\"s.new_id()\"",
        "\"s.new_id(a)\"",
        "\"s.new_id(a)\"",
        "another number of arguments",
    );
    wrong(
        "\"s.new_id()\"",
        "\"s.old_id()\"",
        "\"s.old_id()\"\n[[",
        "nothing of the function changes",
    );
    wrong(
        "\"s.owns(old_arg, mode)\"",
        "\"s.old_id()\"",
        "\"s.owns(new_arg",
        "another number",
    );
}

fn check(phase: Phase, before: &str, after: &str) {
    let rules = compile(RIGHT).expect("right").with_phase(None, phase);
    let reading = rules.rewrite(before, SearchPath::AsDeclared);
    let found = match &reading.verdict {
        Verdict::PassThrough => before.to_owned(),
        Verdict::Rewritten(rewritten) => rewritten.sql.clone(),
        Verdict::Refused(refusal) => refusal.message.clone(),
    };
    assert_eq!(found, after, "{phase}: {before}");
}

#[test]
fn a_call_turns_with_the_reads_and_keeps_its_name_for_the_client() {
    for (before, after) in [
        (
            "SELECT s.old_id()",
            "SELECT \"s\".\"new_id\"() AS \"old_id\"",
        ),
        (
            "SELECT old_id()::text, 1",
            "SELECT \"s\".\"new_id\"()::text AS \"old_id\", 1",
        ),
        (
            "SELECT old_id() AS x FROM old_id()",
            "SELECT \"s\".\"new_id\"() AS x FROM \"s\".\"new_id\"() AS \"old_id\"",
        ),
        (
            "SELECT * FROM old_id() WITH ORDINALITY",
            "SELECT * FROM \"s\".\"new_id\"() WITH ORDINALITY AS \"old_id\"",
        ),
        (
            "SELECT (SELECT old_id()) FROM x",
            "SELECT (SELECT \"s\".\"new_id\"() AS \"old_id\") AS \"old_id\" FROM x",
        ),
        (
            "SELECT CASE WHEN a IS DISTINCT FROM b THEN c ELSE old_id() END FROM x",
            "SELECT CASE WHEN a IS DISTINCT FROM b THEN c ELSE \"s\".\"new_id\"() END AS \"old_id\" FROM x",
        ),
        (
            "INSERT INTO x SELECT old_id() ON CONFLICT DO NOTHING RETURNING old_id()",
            "INSERT INTO x SELECT \"s\".\"new_id\"() AS \"old_id\" ON CONFLICT DO NOTHING RETURNING \"s\".\"new_id\"() AS \"old_id\"",
        ),
        (
            "SELECT 1 WHERE a = old_id()",
            "SELECT 1 WHERE a = \"s\".\"new_id\"()",
        ),
        // Not this function.
        (
            "SELECT other.old_id(), 'old_id()', old_id FROM old_id",
            "SELECT other.old_id(), 'old_id()', old_id FROM old_id",
        ),
    ] {
        check(Phase::DualRead, before, before);
        check(Phase::UnifiedRead, before, after);
        check(Phase::Retired, before, after);
    }
}

#[test]
fn an_argument_whose_name_changes_goes_by_its_place() {
    for phase in [Phase::DualWrite, Phase::UnifiedOnly] {
        check(
            phase,
            "SELECT owns(old_arg := $1, mode => 2)",
            "SELECT owns($1, 2)",
        );
        check(
            phase,
            "SELECT s.owns($1, mode := 2)",
            "SELECT s.owns($1, 2)",
        );
        check(phase, "SELECT owns($1, 2)", "SELECT owns($1, 2)");
        check(
            phase,
            "SELECT owns(mode := 2, old_arg := $1)",
            "crossfade does not rewrite named arguments in another order than the function's (function owns is being migrated)",
        );
    }
}

#[test]
fn a_table_whose_column_moves_is_seen_with_the_old_one_alone() {
    let read = |column: &str| {
        format!("(SELECT cf_u.\"id\", cf_u.{column} FROM \"s\".\"t\" AS cf_u) AS \"t\"")
    };
    check(
        Phase::DualRead,
        "SELECT * FROM t",
        &format!("SELECT * FROM {}", read("\"old\"")),
    );
    check(
        Phase::UnifiedRead,
        "SELECT * FROM t",
        &format!("SELECT * FROM {}", read("\"new\" AS \"old\"")),
    );
    check(
        Phase::DualWrite,
        "INSERT INTO t (old) VALUES ($1)",
        "INSERT INTO \"s\".\"t\" AS \"t\" (\"id\", \"old\") OVERRIDING SYSTEM VALUE SELECT cf_n.\"id\", cf_n.\"old\" \
         FROM (VALUES ((7)::integer, ($1)::uuid)) AS cf_n(\"id\", \"old\")",
    );
    check(
        Phase::UnifiedOnly,
        "INSERT INTO t (old) VALUES ($1)",
        "INSERT INTO \"s\".\"t\" AS \"t\" (\"id\", \"new\") OVERRIDING SYSTEM VALUE SELECT cf_n.\"id\", cf_n.\"old\" \
         FROM (VALUES ((7)::integer, ($1)::uuid)) AS cf_n(\"id\", \"old\")",
    );
    // The new application's.
    for sql in [
        "SELECT new FROM t",
        "SELECT x.* FROM t x JOIN y ON x.new = y.id",
        "INSERT INTO t (new) VALUES (1) RETURNING *",
        "UPDATE t SET new = 1",
        "MERGE INTO t USING x ON true WHEN MATCHED THEN UPDATE SET new = 1",
        "TRUNCATE t",
        "LOCK t",
    ] {
        check(Phase::DualRead, sql, sql);
    }
    // Another table's column of that name.
    check(
        Phase::UnifiedRead,
        "SELECT y.new, t.old FROM t JOIN y USING (id)",
        &format!(
            "SELECT y.new, t.old FROM {} JOIN y USING (id)",
            read("\"new\" AS \"old\"")
        ),
    );
}
