//! Before → after, for each rewrite and phase, over a lens small enough to read.

mod commands;
mod grouped;
mod tenants;
mod words;

use crate::lens::Work;
use crate::{
    Does, Foreign, Lens, Phase, RuleSet, SearchPath, ShadowPair, SourceFile, Verdict, Within,
};

const RULES: &str = r#"
[migration]
name = "m"
phase = "dual_write"
on_unified_error = "refuse"

[[table]]
legacy = "s.old"
unified = "s.new"
key = ["id"]
visible = "kind <> 'z'"

[table.columns]
id = { type = "int" }
role = { type = "text NOT NULL", unified = "kind", default = "'x'", values = { x = "y" } }

[table.constants]
extra = "upper(role)"
"#;

fn rules(phase: Phase) -> RuleSet {
    let file = SourceFile {
        path: "m.toml".into(),
        text: RULES.to_owned(),
    };
    RuleSet::compile(vec![file])
        .expect("the rules of the tests are right")
        .with_phase(None, phase)
}

/// The rewritten text. `{read}`, `{put}` and their like in the expectation stand for the lens's
/// own SQL, which `lens::tests` spells out.
fn check(phase: Phase, before: &str, after: &str) {
    let rules = rules(phase);
    let lens = &rules.migrations()[0].tables[0];
    let reading = rules.rewrite(before, SearchPath::AsDeclared);
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!(
            "{phase}: {before}\nexpected a rewrite, got {:?}",
            reading.verdict
        );
    };
    assert_eq!(rewritten.sql, expand(after, lens), "{phase}: {before}");
    for kept in &rewritten.kept {
        assert_eq!(
            rewritten.original[kept.original..kept.original + kept.length],
            rewritten.sql[kept.rewritten..kept.rewritten + kept.length]
        );
    }
    assert!(
        pg_query::parse(&rewritten.sql, pg_query::ParserOptions::DEFAULT).is_ok(),
        "{}",
        rewritten.sql
    );
}

fn expand(text: &str, lens: &Lens) -> String {
    let searched = format!(
        "cf_u.\"kind\" = {}",
        lens.columns[1].search_value("'x'::text").sql
    );
    let name = |work| lens.function_name(work);
    text.replace("{read}", &lens.read())
        .replace("{read where x}", &lens.read_where(&[searched.into()]).sql)
        .replace("{read or fall back}", &lens.read_with_fallback())
        .replace("{put cf_new}", &lens.put_from("cf_new"))
        .replace("{put cf_new_1}", &lens.put_from("cf_new_1"))
        .replace("{images of cf_new}", &lens.read_from("cf_new"))
        .replace(
            "{mapped cf_old.cf_v1}",
            &lens.columns[1].put_value("cf_old.cf_v1"),
        )
        .replace(
            "{mapped cf_old.cf_v1_1}",
            &lens.columns[1].put_value("cf_old.cf_v1_1"),
        )
        .replace(
            "{mapped cf_v.cf_v}",
            &lens.columns[1].put_value("cf_v.cf_v"),
        )
        .replace(
            "{mapped cf_q.cf_c1}",
            &lens.columns[1].put_value("cf_q.cf_c1"),
        )
        .replace(
            "{in conflict}",
            &["excluded", "\"old\""]
                .map(|row| {
                    let kind = format!("{row}.\"kind\"");
                    let role = lens.columns[1].read_value(&kind);
                    format!("(SELECT {row}.\"id\" AS \"id\", {role} AS \"role\") AS {row}")
                })
                .join(" CROSS JOIN "),
        )
        .replace(
            "{visible or error}",
            &format!(
                "CASE WHEN {} THEN true ELSE ('duplicate key value: the row in conflict is not one that is \
                 read under this name' || (ROW(\"old\".\"id\") IS NULL)::text)::boolean END",
                lens.visible_condition("\"old\"").unwrap_or_default()
            ),
        )
        .replace("{remove}", &name(crate::lens::Work::Remove))
        .replace("{remove_legacy}", &name(crate::lens::Work::RemoveLegacy))
        .replace("{put}", &name(crate::lens::Work::Put))
        .replace(
            "{put merged}",
            &lens.put_from("(SELECT (cf_row).* FROM cf_new WHERE cf_action <> 'DELETE')"),
        )
        .replace(
            "{image of cf_row}",
            &lens.read_from("(SELECT (cf_all.cf_row).*)"),
        )
        .replace("{mapped cf_n}", &lens.columns[1].put_value("cf_n.\"role\""))
        .replace("{extra}", &lens.constants()[0].sql)
}

fn passes(phase: Phase, text: &str) {
    let reading = rules(phase).rewrite(text, SearchPath::AsDeclared);
    assert!(
        matches!(reading.verdict, Verdict::PassThrough),
        "{phase}: {text}: {:?}",
        reading.verdict
    );
}

fn refused(phase: Phase, text: &str, says: &str) {
    let reading = rules(phase).rewrite(text, SearchPath::AsDeclared);
    let Verdict::Refused(refusal) = &reading.verdict else {
        panic!(
            "{phase}: {text}\nexpected a refusal, got {:?}",
            reading.verdict
        );
    };
    assert!(
        refusal.message.contains(says),
        "{phase}: {text}: {refusal:?}"
    );
}

#[test]
fn a_read_becomes_a_derived_table_and_nothing_else_changes() {
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly, Phase::Retired] {
        check(
            phase,
            "SELECT *  FROM old -- end",
            "SELECT *  FROM ({read}) AS \"old\" -- end",
        );
        check(
            phase,
            "SELECT o.* FROM s . old AS o",
            "SELECT o.* FROM ({read}) AS o",
        );
        check(
            phase,
            "SELECT 1 FROM old *, old o",
            "SELECT 1 FROM ({read}) AS \"old\", ({read}) o",
        );
        check(phase, "TABLE \"old\"", "SELECT * FROM ({read}) AS \"old\"");
    }
}

#[test]
fn only_a_partitioned_table_has_no_rows_whatever_its_partitions_have() {
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        for (sql, head, is_only) in [
            (
                "SELECT s.old.id FROM ONLY s.old",
                "SELECT \"old\".id FROM (",
                true,
            ),
            ("SELECT 1 FROM ONLY (old) o", "SELECT 1 FROM (", true),
            ("SELECT 1 FROM old * o", "SELECT 1 FROM (", false),
        ] {
            let reading = rules(phase).rewrite(sql, SearchPath::AsDeclared);
            let Verdict::Rewritten(rewritten) = &reading.verdict else {
                panic!("{sql}: {reading:?}");
            };
            assert!(rewritten.sql.starts_with(head), "{}", rewritten.sql);
            let looked_for = "pg_catalog.to_regclass('\"s\".\"old\"') AND cf_p.relkind = 'p'";
            let looks = rewritten.sql.contains(looked_for);
            assert_eq!(looks, is_only, "{phase}: {}", rewritten.sql);
        }
    }
}

#[test]
fn dual_read_falls_back_unless_rows_are_locked() {
    check(
        Phase::DualRead,
        "SELECT id FROM old",
        "SELECT id FROM ({read or fall back}) AS \"old\"",
    );
    check(
        Phase::DualRead,
        "SELECT s.old.id FROM old FOR UPDATE",
        "SELECT \"old\".id FROM old FOR UPDATE",
    );
    passes(Phase::DualRead, "SELECT id FROM old FOR UPDATE");
}

#[test]
fn a_locking_read_asks_for_the_legacy_rows_first_while_these_follow() {
    check(
        Phase::UnifiedRead,
        "SELECT id FROM old AS o WHERE id = $1 FOR UPDATE",
        "SELECT id FROM (SELECT * FROM ({read}) AS \"o\" WHERE (SELECT count(*) FROM (\
         SELECT 1 FROM \"s\".\"old\" AS cf_t WHERE (cf_t.\"id\") IN (SELECT \"o\".\"id\" FROM ({read}) AS \"o\" \
         WHERE (id = $1)) FOR UPDATE) AS cf_l) >= 0) AS o WHERE id = $1 FOR UPDATE",
    );
    for (phase, sql) in [
        (
            Phase::UnifiedOnly,
            "SELECT id FROM old AS o WHERE id = $1 FOR UPDATE",
        ),
        (
            Phase::UnifiedRead,
            "SELECT id FROM old AS o WHERE id = $1 FOR UPDATE SKIP LOCKED",
        ),
        (
            Phase::UnifiedRead,
            "SELECT id FROM old AS o WHERE id > $1 LIMIT 1 FOR UPDATE",
        ),
    ] {
        check(phase, sql, &sql.replace("old", "({read})"));
    }
}

#[test]
fn a_comparison_with_a_mapped_column_is_carried_over() {
    let phase = Phase::UnifiedOnly;
    for before in [
        "SELECT id FROM old WHERE role = 'x'",
        "SELECT id FROM old WHERE id > 1 AND (role = 'x' AND true)",
        "SELECT id FROM old WHERE 'x' = s.old.role",
    ] {
        let after = before
            .replace("FROM old", "FROM ({read where x}) AS \"old\"")
            .replace("s.old.role", "\"old\".role");
        check(phase, before, &after);
    }
    // A condition that is not implied by the whole WHERE, or is another table's, carries nothing.
    for before in [
        "SELECT id FROM old WHERE role = 'x' OR id = 1",
        "SELECT id FROM old WHERE NOT role = 'x'",
        "SELECT id FROM old WHERE role <> 'x'",
        "SELECT old.id FROM old, t WHERE t.role = 'x'",
        "SELECT id FROM old WHERE EXISTS (SELECT 1 FROM t WHERE role = 'x')",
    ] {
        check(
            phase,
            before,
            &before.replace("FROM old", "FROM ({read}) AS \"old\""),
        );
    }
}

#[test]
fn names_mean_what_they_mean_in_postgresql() {
    for phase in [Phase::DualWrite, Phase::UnifiedOnly] {
        for other in [
            "WITH old AS (SELECT 1) SELECT * FROM old",
            "WITH RECURSIVE a AS (SELECT * FROM old), old AS (SELECT 1) SELECT * FROM a",
            "SELECT * FROM public.old",
            "SELECT * FROM pg_temp.old",
            "SELECT old, 'old', t.old AS old FROM t AS old2(old)",
            "SELECT * FROM \"OLD\"",
            "SELECT * FROM t AS old",
            "INSERT INTO t (old) VALUES ('old') -- old",
            "BEGIN",
            "SET x.y = 'old'",
        ] {
            passes(phase, other);
        }
    }
    // WITH without RECURSIVE sees only what stands before it, and itself not at all.
    check(
        Phase::UnifiedOnly,
        "WITH old AS (SELECT * FROM old) SELECT * FROM old",
        "WITH old AS (SELECT * FROM ({read}) AS \"old\") SELECT * FROM old",
    );
    check(
        Phase::UnifiedOnly,
        "SELECT * FROM OLD",
        "SELECT * FROM ({read}) AS \"old\"",
    );
    check(
        Phase::UnifiedOnly,
        "SELECT * FROM U&\"o\\006cd\"",
        "SELECT * FROM ({read}) AS \"old\"",
    );
}

#[test]
fn a_write_under_dual_write_feeds_unified_with_its_own_rows() {
    for phase in [Phase::DualWrite, Phase::ShadowRead, Phase::DualRead] {
        check(
            phase,
            "INSERT INTO old (id) VALUES ($1)",
            "WITH cf_new AS (INSERT INTO old (id) VALUES ($1) RETURNING \"old\".*) {put cf_new}",
        );
        check(
            phase,
            "/* c */ UPDATE old o SET role = 'x' WHERE id = 1 RETURNING o.role; -- d",
            "/* c */ WITH cf_new AS (UPDATE old o SET role = 'x' WHERE id = 1 RETURNING \"o\".*), \
             cf_put AS ({put cf_new}) SELECT o.role FROM cf_new AS \"o\"; -- d",
        );
        check(
            phase,
            "DELETE FROM s.old WHERE s.old.id = 1 RETURNING s.old.id",
            "WITH cf_new AS (DELETE FROM s.old WHERE s.old.id = 1 RETURNING \"old\".*) SELECT \"old\".id \
             FROM cf_new AS \"old\" WHERE (SELECT {remove}(array_agg(ROW(cf_n.*)::\"s\".\"old\"), false) FROM cf_new AS cf_n)",
        );
    }
}

#[test]
fn a_merge_under_dual_write_feeds_unified_with_what_it_did() {
    let phase = Phase::DualRead;
    check(
        phase,
        "MERGE INTO old o USING t ON o.id = t.id WHEN MATCHED THEN UPDATE SET role = t.r",
        "WITH cf_new AS (MERGE INTO old o USING t ON o.id = t.id WHEN MATCHED THEN UPDATE SET role = t.r \
         RETURNING merge_action() AS cf_action, ROW(\"o\".*)::\"s\".\"old\" AS cf_row), \
         cf_put AS ({put merged}) SELECT  FROM cf_new AS cf_all",
    );
    let merge = "MERGE INTO s.old USING t ON s.old.id = t.id WHEN MATCHED THEN DELETE \
                 WHEN NOT MATCHED AND CASE WHEN t.ok THEN true END THEN INSERT (id) VALUES (t.id)";
    check(
        phase,
        &format!("{merge} RETURNING merge_action(), s.old.id, * -- end"),
        &format!(
            "WITH cf_new AS ({merge} RETURNING merge_action() AS cf_action, \
             ROW(\"old\".*)::\"s\".\"old\" AS cf_row, (\"t\".*)::record AS cf_r1) \
             SELECT cf_x.\"merge_action\", \"old\".id, \"t\".*, \"old\".* FROM cf_new AS cf_all \
             CROSS JOIN LATERAL (SELECT cf_all.cf_action AS \"merge_action\") AS cf_x \
             CROSS JOIN LATERAL (SELECT (cf_all.cf_row).*) AS \"old\" \
             CROSS JOIN LATERAL (SELECT (cf_all.cf_r1).*) AS \"t\" \
             WHERE CASE WHEN (SELECT {{remove}}(array_agg(cf_row), false) FROM cf_new WHERE cf_action = 'DELETE') \
             THEN (SELECT {{put}}(array_agg(cf_row), false) FROM cf_new WHERE cf_action <> 'DELETE') END -- end"
        ),
    );
}

#[test]
fn a_merge_into_unified_decides_over_relations_of_the_clients_names() {
    check(
        Phase::UnifiedOnly,
        "MERGE INTO old o USING t ON o.id = t.id WHEN MATCHED AND t.gone THEN DELETE \
         WHEN MATCHED THEN UPDATE SET role = t.r WHEN NOT MATCHED THEN INSERT (id) VALUES (t.id)",
        "WITH cf_src AS MATERIALIZED (SELECT row_number() OVER () AS cf_number, (\"t\".*)::record AS cf_r1 FROM t), \
         cf_old AS MATERIALIZED (SELECT cf_s.cf_number, \"o\".\"id\" AS cf_k1, cf_w.cf_do, \
         CASE WHEN cf_w.cf_do = 1 THEN t.r END AS cf_v1_1 FROM cf_src AS cf_s \
         CROSS JOIN LATERAL (SELECT (cf_s.cf_r1).*) AS \"t\" JOIN ({read}) AS \"o\" ON (o.id = t.id) \
         CROSS JOIN LATERAL (SELECT CASE WHEN t.gone THEN 0 WHEN true THEN 1 END AS cf_do) AS cf_w \
         FOR UPDATE OF \"o\"), \
         cf_upd AS (MERGE INTO \"s\".\"new\" AS cf_u USING cf_old ON cf_u.\"id\" = cf_old.cf_k1 \
         AND (SELECT count(*) FROM cf_old) >= 0 WHEN MATCHED AND cf_old.cf_do = 0 THEN DELETE \
         WHEN MATCHED AND cf_old.cf_do = 1 THEN UPDATE SET \"kind\" = {mapped cf_old.cf_v1_1} \
         RETURNING merge_action() AS cf_action, cf_old.cf_number, ROW(cf_u.*)::\"s\".\"new\" AS cf_row), \
         cf_which AS MATERIALIZED (SELECT cf_s.cf_number, cf_w.cf_do FROM cf_src AS cf_s \
         CROSS JOIN LATERAL (SELECT (cf_s.cf_r1).*) AS \"t\" \
         CROSS JOIN LATERAL (SELECT CASE WHEN true THEN 2 END AS cf_do) AS cf_w \
         WHERE NOT EXISTS (SELECT FROM cf_old WHERE cf_old.cf_number = cf_s.cf_number)), \
         cf_ins2 AS (MERGE INTO \"s\".\"new\" AS cf_u USING (SELECT cf_p.cf_number, t.id AS \"id\", \
         ('x')::text AS \"role\" FROM cf_which AS cf_p JOIN cf_src AS cf_s ON cf_s.cf_number = cf_p.cf_number \
         CROSS JOIN LATERAL (SELECT (cf_s.cf_r1).*) AS \"t\" WHERE cf_p.cf_do = 2) AS cf_n ON false \
         WHEN NOT MATCHED THEN INSERT (\"id\", \"kind\", \"extra\") OVERRIDING SYSTEM VALUE \
         VALUES (cf_n.\"id\", {mapped cf_n}, {extra}) \
         RETURNING merge_action() AS cf_action, cf_n.cf_number, ROW(cf_u.*)::\"s\".\"new\" AS cf_row), \
         cf_new AS (SELECT * FROM cf_upd UNION ALL SELECT * FROM cf_ins2) SELECT  FROM cf_new AS cf_all",
    );
}

#[test]
fn a_query_in_on_conflict_runs_over_both_rows_as_they_were() {
    let insert = "INSERT INTO \"s\".\"new\" AS \"old\" (\"id\", \"kind\", \"extra\") OVERRIDING SYSTEM VALUE \
                  SELECT cf_n.\"id\", {mapped cf_n}, {extra} FROM (VALUES (1, ('x')::text)) AS cf_n(\"id\", \"role\") \
                  ON CONFLICT (\"id\") DO UPDATE SET";
    for (set, becomes) in [
        (
            "role = (SELECT max(r) FROM t WHERE i = old.id AND r <> excluded.role)",
            "\"kind\" = (SELECT {mapped cf_v.cf_v} FROM {in conflict} CROSS JOIN LATERAL (VALUES \
             ((SELECT max(r) FROM t WHERE i = old.id AND r <> excluded.role))) AS cf_v(cf_v)) \
             WHERE {visible or error}",
        ),
        (
            "(role, id) = (SELECT r, excluded.id FROM t WHERE i = old.id) WHERE old.id > 1",
            "(\"kind\", \"id\") = (SELECT {mapped cf_q.cf_c1}, cf_q.cf_c2 FROM {in conflict} LEFT JOIN LATERAL \
             (SELECT r, excluded.id FROM t WHERE i = old.id) AS cf_q(cf_c1, cf_c2) ON true) \
             WHERE {visible or error} AND (\"old\".\"id\" > 1)",
        ),
        (
            "id = excluded.id WHERE EXISTS (SELECT FROM t)",
            "\"id\" = excluded.\"id\" WHERE {visible or error} AND ((SELECT cf_v.cf_v FROM {in conflict} \
             CROSS JOIN LATERAL (VALUES (EXISTS (SELECT FROM t))) AS cf_v(cf_v)))",
        ),
    ] {
        check(
            Phase::UnifiedOnly,
            &format!(
                "INSERT INTO old (id, role) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET {set}"
            ),
            &format!("{insert} {becomes}"),
        );
    }
}

#[test]
fn a_query_that_sets_several_columns_runs_over_the_locked_rows() {
    check(
        Phase::UnifiedOnly,
        "UPDATE old o SET (role, id) = (SELECT c.r, o.id FROM t) FROM c WHERE c.i = o.id",
        "WITH cf_old AS MATERIALIZED (SELECT \"o\".\"id\" AS cf_k1, (\"o\".*)::record AS cf_row, (\"c\".*)::record AS cf_r1 \
         FROM ({read}) AS \"o\", c WHERE (c.i = o.id) FOR UPDATE OF \"o\") \
         UPDATE \"s\".\"new\" AS cf_u SET (\"kind\", \"id\") = (SELECT {mapped cf_q.cf_c1}, cf_q.cf_c2 \
         FROM (SELECT (cf_old.cf_row).*) AS \"o\" CROSS JOIN LATERAL (SELECT (cf_old.cf_r1).*) AS \"c\" \
         LEFT JOIN LATERAL (SELECT c.r, o.id FROM t) AS cf_q(cf_c1, cf_c2) ON true) \
         FROM cf_old WHERE cf_u.\"id\" = cf_old.cf_k1",
    );
}

#[test]
fn an_unreachable_clause_of_a_merge_is_left_for_the_server_to_tell() {
    let merge =
        "MERGE INTO old USING t ON true WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN DO NOTHING";
    for (clause, unreachable) in [
        (" WHEN MATCHED AND t.x THEN DO NOTHING", true),
        (" WHEN NOT MATCHED BY SOURCE THEN DELETE", false),
    ] {
        let text = format!("{merge}{clause}");
        let reading = rules(Phase::UnifiedOnly).rewrite(&text, SearchPath::AsDeclared);
        let Verdict::Rewritten(rewritten) = &reading.verdict else {
            panic!("{reading:?}")
        };
        let mistake = "WHEN MATCHED THEN DO NOTHING WHEN MATCHED THEN DO NOTHING";
        assert_eq!(rewritten.sql.contains(mistake), unreachable, "{text}");
    }
}

#[test]
fn a_merge_of_the_new_name_is_brought_back() {
    let merge = "USING t ON n.id = t.id WHEN MATCHED THEN UPDATE SET extra = t.e";
    // Before unified_read a column that legacy lacks needs nothing there.
    passes(Phase::DualRead, &format!("MERGE INTO new n {merge}"));
    passes(Phase::UnifiedOnly, &format!("MERGE INTO new n {merge}"));
    refused(
        Phase::DualRead,
        &format!("MERGE INTO new n {merge} WHEN NOT MATCHED BY SOURCE THEN UPDATE SET kind = 'y'"),
        "different columns",
    );
    refused(
        Phase::UnifiedRead,
        "MERGE INTO new USING t ON true WHEN MATCHED THEN UPDATE SET id = 2",
        "MERGE that updates the key",
    );
    let rules = rules(Phase::UnifiedRead);
    let lens = &rules.migrations()[0].tables[0];
    let row = "(SELECT (cf_row).* FROM cf_new WHERE cf_action <> 'DELETE')";
    check(
        Phase::UnifiedRead,
        &format!("MERGE INTO new n {merge}"),
        &format!(
            "WITH cf_lock AS MATERIALIZED ({}), cf_new AS (MERGE INTO new n USING t ON (n.id = t.id) \
             AND (SELECT count(*) FROM cf_lock) >= 0 WHEN MATCHED THEN UPDATE SET extra = t.e \
             RETURNING merge_action() AS cf_action, ROW(\"n\".*)::\"s\".\"new\" AS cf_row) \
             SELECT  FROM cf_new AS cf_all WHERE {}",
            lens.lock_legacy(
                "SELECT \"n\".\"id\" FROM t JOIN \"s\".\"new\" AS \"n\" ON (n.id = t.id)"
            )
            .sql,
            lens.put_legacy_call(&format!("({})", lens.read_from(row)))
        ),
    );
}

#[test]
fn a_merge_needs_a_server_whose_merge_returns_rows() {
    let needed = |text: &str| {
        let reading = rules(Phase::DualWrite).rewrite(text, SearchPath::AsDeclared);
        match &reading.verdict {
            Verdict::Rewritten(rewritten) => rewritten
                .refused_by(crate::ServerVersion::told("16.9 (Debian 16.9-1)"))
                .map(|refusal| refusal.message),
            other => panic!("{other:?}"),
        }
    };
    let refused = needed("PREPARE p AS MERGE INTO old o USING t ON true WHEN MATCHED THEN DELETE");
    assert!(refused.is_some_and(|message| message.contains("version 16")));
    assert_eq!(needed("DELETE FROM old"), None);
    for (told, version) in [("18.1", 18), ("17beta2", 17), ("", 0), ("devel", 0)] {
        assert_eq!(crate::ServerVersion::told(told).0, version);
    }
}

#[test]
fn a_write_inside_with_leaves_its_answer_in_its_place() {
    let insert = "INSERT INTO old (id) VALUES (1) RETURNING \"old\".*";
    check(
        Phase::DualWrite,
        "WITH a AS (SELECT 1), x (i) AS (INSERT INTO old (id) VALUES (1) RETURNING id) SELECT i FROM x",
        &format!(
            "WITH a AS (SELECT 1), cf_new_1 AS ({insert}), cf_put_1 AS ({{put cf_new_1}}), \
             x (i) AS (SELECT id FROM cf_new_1 AS \"old\") SELECT i FROM x"
        ),
    );
    // What nobody reads must happen all the same.
    check(
        Phase::DualWrite,
        "WITH x AS (DELETE FROM old) DELETE FROM t",
        "WITH cf_new_1 AS (DELETE FROM old RETURNING \"old\".*), cf_do_1 AS (INSERT INTO crossfade.never \
         SELECT true WHERE NOT ((SELECT {remove}(array_agg(ROW(cf_n.*)::\"s\".\"old\"), false) \
         FROM cf_new_1 AS cf_n))), x AS (SELECT  FROM cf_new_1 AS \"old\") DELETE FROM t",
    );
    // Two writes of one statement keep apart; the client's queries stay in front.
    check(
        Phase::DualWrite,
        "WITH x AS (INSERT INTO old (id) VALUES (1)) UPDATE old SET role = 'x'",
        &format!(
            "WITH cf_new_1 AS ({insert}), x AS ({{put cf_new_1}}), \
             cf_new AS (UPDATE old SET role = 'x' RETURNING \"old\".*) {{put cf_new}}"
        ),
    );
}

#[test]
fn explain_explains_the_rewritten_write() {
    check(
        Phase::DualWrite,
        "EXPLAIN (COSTS OFF) INSERT INTO old (id) VALUES (1)",
        "EXPLAIN (COSTS OFF) WITH cf_new AS (INSERT INTO old (id) VALUES (1) RETURNING \"old\".*) {put cf_new}",
    );
    check(
        Phase::DualWrite,
        "EXPLAIN ANALYZE VERBOSE INSERT INTO old (id) VALUES (1)",
        "EXPLAIN ANALYZE VERBOSE WITH cf_new AS (INSERT INTO old (id) VALUES (1) RETURNING \"old\".*) {put cf_new}",
    );
}

#[test]
fn a_write_to_unified_only_keeps_the_clients_expressions() {
    let phase = Phase::UnifiedOnly;
    check(
        phase,
        "UPDATE old SET role = lower(role) WHERE id = 1",
        "WITH cf_old AS MATERIALIZED (SELECT \"old\".\"id\" AS cf_k1, lower(role) AS cf_v1 FROM ({read}) AS \"old\" \
         WHERE (id = 1) FOR NO KEY UPDATE OF \"old\") UPDATE \"s\".\"new\" AS cf_u SET \"kind\" = {mapped cf_old.cf_v1} \
         FROM cf_old WHERE cf_u.\"id\" = cf_old.cf_k1",
    );
    check(
        phase,
        "DELETE FROM old USING t WHERE t.id = old.id",
        "WITH cf_old AS MATERIALIZED (SELECT \"old\".\"id\" AS cf_k1 FROM ({read}) AS \"old\", t \
         WHERE (t.id = old.id) FOR UPDATE OF \"old\") DELETE FROM \"s\".\"new\" AS cf_u \
         USING cf_old WHERE cf_u.\"id\" = cf_old.cf_k1",
    );
}

#[test]
fn copy_goes_the_way_of_select_and_insert() {
    check(
        Phase::UnifiedOnly,
        "COPY old (id) TO STDOUT (FORMAT csv)",
        "COPY (SELECT \"id\" FROM ({read}) AS \"old\") TO STDOUT (FORMAT csv)",
    );
    check(
        Phase::DualRead,
        "COPY s.old TO STDOUT",
        "COPY (SELECT \"id\", \"role\" FROM ({read or fall back}) AS \"old\") TO STDOUT",
    );
    passes(Phase::DualWrite, "COPY old TO STDOUT");
    check(
        Phase::DualWrite,
        "COPY old(role) FROM STDIN WITH (NULL 'x')",
        "CREATE TEMPORARY TABLE cf_copy (\"role\" text) ON COMMIT DROP; \
         COPY pg_temp.cf_copy(role) FROM STDIN WITH (NULL 'x'); \
         WITH cf_new AS (INSERT INTO \"s\".\"old\" (\"role\") SELECT \"role\" FROM pg_temp.cf_copy RETURNING \"old\".*) \
         {put cf_new}; DROP TABLE pg_temp.cf_copy",
    );
    passes(Phase::UnifiedOnly, "COPY new FROM STDIN");
}

#[test]
fn truncate_and_lock_reach_both_sides() {
    let [truncate, empty] = [Work::Truncate, Work::Empty]
        .map(|work| rules(Phase::DualWrite).migrations()[0].tables[0].function_name(work));
    let nobody = "ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::text[]";
    check(
        Phase::DualWrite,
        "TRUNCATE old RESTART IDENTITY",
        &format!("SELECT FROM {truncate}(true, false)"),
    );
    check(
        Phase::DualWrite,
        "TRUNCATE old CASCADE",
        &format!(
            "SELECT FROM crossfade.truncate(ARRAY['TRUNCATE old CASCADE', 'SELECT FROM {empty}(NULL, NULL, NULL)'])"
        ),
    );
    check(
        Phase::UnifiedOnly,
        "TRUNCATE TABLE s.old",
        &format!("SELECT FROM {empty}({nobody})"),
    );
    refused(
        Phase::DualWrite,
        "TRUNCATE new",
        "TRUNCATE of the unified table",
    );
    passes(Phase::UnifiedOnly, "TRUNCATE new");
    let cascades = format!("SELECT FROM {empty}(NULL, NULL, NULL)");
    check(
        Phase::DualWrite,
        "TRUNCATE TABLE t, ONLY (s.old), u * RESTART IDENTITY CASCADE",
        &format!(
            "SELECT FROM crossfade.truncate(ARRAY['TRUNCATE t, ONLY (s.old), u * RESTART IDENTITY CASCADE', '{cascades}'])"
        ),
    );
    check(
        Phase::UnifiedOnly,
        "TRUNCATE t /* */, old, s.old, new",
        &format!(
            "SELECT FROM crossfade.truncate(ARRAY['TRUNCATE t, new ', 'SELECT FROM {empty}({nobody})'])"
        ),
    );
    refused(
        Phase::DualWrite,
        "TRUNCATE old, new",
        "TRUNCATE of the unified table",
    );
    check(
        Phase::DualWrite,
        "LOCK old IN SHARE MODE",
        "LOCK old, \"s\".\"new\" IN SHARE MODE",
    );
    check(
        Phase::DualWrite,
        "LOCK TABLE new",
        "LOCK TABLE \"s\".\"old\", new",
    );
    check(
        Phase::UnifiedOnly,
        "LOCK TABLE ONLY s.old",
        "LOCK TABLE \"s\".\"new\"",
    );
}

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
    ] {
        assert_eq!(rewritten.client_rights(said), expected);
    }
}

#[test]
fn the_new_name_passes_where_only_unified_is_written() {
    for phase in [Phase::LegacyOnly, Phase::UnifiedOnly, Phase::Retired] {
        passes(phase, "UPDATE new SET kind = 'y'");
    }
    for phase in [
        Phase::DualWrite,
        Phase::ShadowRead,
        Phase::DualRead,
        Phase::UnifiedRead,
    ] {
        passes(phase, "SELECT * FROM new");
    }
    // Before unified_read a column that legacy lacks needs nothing there.
    passes(Phase::DualRead, "UPDATE new SET extra = 'y'");
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
fn on_conflict_moves_no_row_away_from_the_other_side() {
    for phase in Phase::ALL.into_iter().filter(|phase| phase.writes_both()) {
        for set in [
            "id = excluded.id",
            "id = 7",
            "(role, id) = (excluded.role, excluded.id)",
        ] {
            let sql = format!(
                "INSERT INTO old (id, role) VALUES (1, 'x') ON CONFLICT (role) DO UPDATE SET {set}"
            );
            refused(phase, &sql, "ON CONFLICT DO UPDATE of id");
        }
        let unified = "INSERT INTO new (id, kind) VALUES (1, 'y') ON CONFLICT (kind) DO UPDATE SET id = excluded.id";
        refused(phase, unified, "ON CONFLICT DO UPDATE of id");
        // Equal already, or there is no conflict.
        for arbiter in ["(id)", "(role, id)", "ON CONSTRAINT old_pkey"] {
            if phase == Phase::UnifiedRead && arbiter != "(id)" {
                continue;
            }
            let sql = format!(
                "INSERT INTO old (id, role) VALUES (1, 'x') ON CONFLICT {arbiter} DO UPDATE SET (id, role) = (excluded.id, excluded.role)"
            );
            let reading = rules(phase).rewrite(&sql, SearchPath::AsDeclared);
            assert!(
                matches!(reading.verdict, Verdict::Rewritten(_)),
                "{phase} {sql}: {:?}",
                reading.verdict
            );
        }
    }
    let alone = rules(Phase::UnifiedOnly);
    let sql = "INSERT INTO old (id) VALUES (1) ON CONFLICT (role) DO UPDATE SET id = excluded.id";
    let reading = alone.rewrite(sql, SearchPath::AsDeclared);
    assert!(matches!(reading.verdict, Verdict::Rewritten(_)));
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
fn an_unqualified_name_is_refused_after_the_search_path_changed() {
    let rules = rules(Phase::DualWrite);
    let unknown = |text| rules.rewrite(text, SearchPath::Unknown);
    assert!(matches!(
        unknown("DELETE FROM old").verdict,
        Verdict::Refused(_)
    ));
    assert!(matches!(
        unknown("DELETE FROM s.old").verdict,
        Verdict::Rewritten(_)
    ));
    let leaves = |text| rules.rewrite(text, SearchPath::AsDeclared).effects.path;
    let unknown = Some(SearchPath::Unknown);
    assert_eq!(leaves("SET search_path = other"), unknown);
    assert_eq!(
        leaves("SELECT set_config('search_path', $1, true)"),
        unknown
    );
    let before = self::rules(Phase::LegacyOnly);
    let made = before.rewrite("CREATE TEMP TABLE new (a int)", SearchPath::AsDeclared);
    assert_eq!(made.effects.path, unknown);
    assert_eq!(
        leaves("SET search_path TO s, other"),
        Some(SearchPath::AsDeclared)
    );
    assert_eq!(leaves("SHOW search_path"), None);
    assert_eq!(leaves("CREATE TEMP TABLE t AS SELECT FROM old"), None);
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
fn a_comment_behind_with_swallows_nothing() {
    let reading = rules(Phase::DualWrite).rewrite(
        "WITH w AS (SELECT 1) -- note\nDELETE FROM s.old USING w",
        SearchPath::AsDeclared,
    );
    let Verdict::Rewritten(rewritten) = &reading.verdict else {
        panic!("{reading:?}")
    };
    assert!(
        rewritten
            .sql
            .starts_with("WITH w AS (SELECT 1), cf_new AS (")
    );
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

#[test]
fn a_parenthesised_value_for_a_column_list_is_no_row() {
    for (text, position) in [
        ("UPDATE s.old SET (role) = (role)", 28),
        ("UPDATE s.old SET (role) = ((role)::text)", 29),
        ("UPDATE s.old SET (role) = ((SELECT 'x') || 'y')", 28),
    ] {
        let reading = rules(Phase::UnifiedOnly).rewrite(text, SearchPath::AsDeclared);
        let Verdict::Refused(refusal) = &reading.verdict else {
            panic!("{text}: {reading:?}")
        };
        let source = "source for a multiple-column UPDATE item must be";
        assert!(refusal.message.contains(source), "{refusal:?}");
        assert_eq!(refusal.position, Some(position), "{text}");
    }
    // A query is one in any number of parentheses.
    for query in ["(SELECT 'x')", "((SELECT 'x'))", "(((VALUES ('x'))))"] {
        let text = format!("UPDATE s.old SET (role) = {query}");
        let reading = rules(Phase::UnifiedOnly).rewrite(&text, SearchPath::AsDeclared);
        assert!(
            matches!(reading.verdict, Verdict::Rewritten(_)),
            "{text}: {reading:?}"
        );
    }
}

#[test]
fn a_whole_row_keeps_the_row_type_where_it_shows() {
    const ROW: &str =
        "(CASE WHEN \"old\".* IS DISTINCT FROM NULL THEN ROW(\"old\".*)::\"s\".\"old\" END)";
    const O: &str =
        "(CASE WHEN \"o\".* IS DISTINCT FROM NULL THEN ROW(\"o\".*)::\"s\".\"old\" END)";
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        let check = |before: &str, after: &str| {
            let after = after.replace("{row}", ROW).replace("{o}", O);
            let after = after
                .replace("{old}", "({read}) AS \"old\"")
                .replace("{as o}", "({read}) o");
            super::tests::check(phase, before, &after);
        };
        check("SELECT old FROM old", "SELECT {row} AS \"old\" FROM {old}");
        check(
            "SELECT s.old.*, (old) FROM old",
            "SELECT \"old\".*, ({row}) AS \"old\" FROM {old}",
        );
        check("SELECT o AS x FROM old o", "SELECT {o} AS x FROM {as o}");
        check(
            "SELECT array_agg(o.*) FROM old o",
            "SELECT array_agg({o}) FROM {as o}",
        );
        check("SELECT f(s.old.*) FROM old", "SELECT f({row}) FROM {old}");
        check(
            "SELECT x.o FROM (SELECT o FROM old o) x WHERE EXISTS (SELECT o FROM (VALUES (1)) o)",
            "SELECT x.o FROM (SELECT {o} AS \"o\" FROM {as o}) x WHERE EXISTS (SELECT o FROM (VALUES (1)) o)",
        );
        check(
            "SELECT CASE WHEN true THEN o ELSE o END, coalesce(o, NULL) FROM old o",
            "SELECT CASE WHEN true THEN {o} ELSE {o} END AS \"o\", coalesce({o}, NULL) FROM {as o}",
        );
        check(
            "SELECT o::text, o::s.old FROM old o ORDER BY o",
            "SELECT o::text, {o}::s.old AS \"o\" FROM {as o} ORDER BY o",
        );
        check(
            "SELECT o AS x FROM old o GROUP BY o HAVING o IS NOT NULL",
            "SELECT {o} AS x FROM {as o} GROUP BY {o} HAVING {o} IS NOT NULL",
        );
        check(
            "SELECT DISTINCT o FROM old o ORDER BY o",
            "SELECT DISTINCT {o} AS \"o\" FROM {as o} ORDER BY o",
        );
        check(
            "SELECT row_to_json(o) FROM old o (x)",
            "SELECT row_to_json({o}) FROM {as o} (x)",
        );
        // Rows of any type will do, or it is none.
        for same in [
            "SELECT count(o), row_to_json(o), (o).role, role(o), (o).* FROM {as o}",
            "SELECT 1 FROM {as o} JOIN t ON o = t WHERE o IS NOT NULL",
            "SELECT o.role FROM {as o} ORDER BY o",
            "SELECT role FROM {as o}, (SELECT 1) AS q(o) WHERE o = 1 AND f(o)",
            "SELECT o FROM {as o}, LATERAL (SELECT 1 AS o) x",
            "WITH q AS (SELECT 1 o) SELECT o FROM q, {as o}",
            "SELECT f(o) FROM t, {as o}",
        ] {
            check(&same.replace("{as o}", "old o"), same);
        }
        check(
            "SELECT o FROM old o, t",
            "SELECT (CASE WHEN \"o\".* IS DISTINCT FROM NULL AND CASE pg_catalog.pg_typeof(\"o\")::text WHEN 'record' \
             THEN true ELSE ('\"o\" is a column here and the name of a table, write \"o\".column; its type is ' || \
             pg_catalog.pg_typeof(\"o\"))::boolean END THEN ROW(\"o\".*)::\"s\".\"old\" END) AS \"o\" FROM {as o}, t",
        );
        check(
            "SELECT nullif(o, NULL) FROM old o",
            "SELECT nullif({o}, NULL) FROM {as o}",
        );
        check(
            "SELECT o.* IS NULL, f(o.*) FROM old o, t",
            "SELECT o.* IS NULL, f({o}) FROM {as o}, t",
        );
    }
    for shows in [
        "SELECT old FROM old",
        "SELECT array_agg(old) FROM old",
        "SELECT (SELECT o FROM old o)",
        // What a query within has for a result may be the client's in the end.
        "SELECT x.r, (x.r).role FROM (SELECT o AS r FROM old o) x",
        "SELECT (x.o).role FROM (SELECT o FROM old o) x",
        "SELECT nullif(old, NULL) FROM old",
        "SELECT jsonb_populate_record(old, '{}') FROM old",
    ] {
        refused(Phase::Retired, shows, "a whole row as a result column");
    }
}

#[test]
fn a_whole_row_in_returning_is_the_new_row_with_its_type() {
    const ROW: &str =
        "(CASE WHEN \"old\".* IS DISTINCT FROM NULL THEN ROW(\"old\".*)::\"s\".\"old\" END)";
    for end in ["", "; SELECT 1"] {
        check(
            Phase::DualWrite,
            &format!("UPDATE old SET role = 'x' RETURNING old{end}"),
            &format!(
                "WITH cf_new AS (UPDATE old SET role = 'x' RETURNING \"old\".*), cf_put AS ({{put cf_new}}) SELECT {ROW} AS \"old\" FROM cf_new AS \"old\"{end}"
            ),
        );
    }
    for sql in [
        "UPDATE old o SET role = 'x' FROM t RETURNING o, t, f(o.*), (o).id",
        "DELETE FROM old USING s.old b RETURNING b, b.*, old",
        "MERGE INTO old o USING t ON true WHEN MATCHED THEN DELETE RETURNING o, t AS x, coalesce(t, t)",
        "MERGE INTO new n USING t ON true WHEN MATCHED THEN DELETE RETURNING t, n",
        "UPDATE new SET extra = 'x', kind = 'y' RETURNING new, coalesce(new, NULL), new.*",
        "WITH w AS (UPDATE old o SET role = 'x' RETURNING o) SELECT o FROM w",
    ] {
        for phase in Phase::ALL.into_iter().filter(|phase| phase.writes_both()) {
            let reading = rules(phase).rewrite(sql, SearchPath::AsDeclared);
            assert!(
                matches!(reading.verdict, Verdict::Rewritten(_)),
                "{phase} {sql}: {:?}",
                reading.verdict
            );
        }
    }
    let gone = "a whole row as a result column";
    refused(Phase::Retired, "DELETE FROM old RETURNING old", gone);
    refused(
        Phase::Retired,
        "DELETE FROM old USING t RETURNING old",
        gone,
    );
}

/// The pair of texts that a read is compared by, or what keeps it from that.
fn compared(sql: &str) -> Option<ShadowPair> {
    let reading = rules(Phase::ShadowRead).rewrite(sql, SearchPath::AsDeclared);
    match &reading.verdict {
        Verdict::Rewritten(rewritten) => rewritten.shadow.as_deref().cloned(),
        Verdict::PassThrough | Verdict::Refused(_) => None,
    }
}

#[test]
fn a_pair_to_compare_names_every_table_with_its_schema() {
    for (sql, legacy) in [
        ("SELECT id FROM old", "SELECT id FROM s.old"),
        (
            "SELECT old.id FROM ONLY old",
            "SELECT old.id FROM ONLY s.old",
        ),
        ("TABLE old", "TABLE s.old"),
        (
            "SELECT a.id FROM \"old\" a JOIN s.new USING (id) WHERE EXISTS (SELECT FROM new)",
            "SELECT a.id FROM s.old a JOIN s.new USING (id) WHERE EXISTS (SELECT FROM s.new)",
        ),
        (
            "WITH old AS (SELECT * FROM s.old) SELECT count(*) FROM old",
            "WITH old AS (SELECT * FROM s.old) SELECT count(*) FROM old",
        ),
    ] {
        let pair = compared(sql).expect(sql);
        let legacy = legacy.replace("s.old", r#""s"."old""#);
        assert_eq!(
            pair.legacy,
            legacy.replace("s.new", r#""s"."new""#),
            "{sql}"
        );
        assert!(!pair.unified.contains("old\" "), "{}", pair.unified);
        assert!(!pair.unified.contains("FROM new"), "{}", pair.unified);
        let tables: Vec<String> = pair.tables.iter().map(ToString::to_string).collect();
        assert_eq!(tables, [r#""s"."new""#, r#""s"."old""#], "{sql}");
        assert_eq!(pair.foreign, None);
    }
}

#[test]
fn what_a_client_may_have_made_is_never_run_for_a_comparison() {
    use Foreign::{Collation, Function, Operator, Relation, Type};
    for (sql, foreign) in [
        ("SELECT app.lower(role) FROM old", Function),
        ("SELECT slug(role) FROM old", Function),
        ("SELECT id FROM old WHERE now() > '2026-01-01'", Function),
        ("SELECT array_agg(id) FROM old", Function),
        ("SELECT * FROM old, app.lower('x')", Function),
        (
            "SELECT app.lower(x) OVER () FROM (SELECT count(*) FROM old) AS t (x)",
            Function,
        ),
        (
            "SELECT id FROM old WHERE role OPERATOR(app.=) 'x'",
            Operator,
        ),
        (
            "SELECT id FROM old WHERE role OPERATOR(app.=) ANY (VALUES ('x'))",
            Operator,
        ),
        (
            "SELECT id FROM old ORDER BY role USING OPERATOR(app.<)",
            Operator,
        ),
        ("SELECT role::app.label FROM old", Type),
        ("SELECT app.label 'x' FROM old", Type),
        ("SELECT CAST('{x}' AS app.label[]) FROM old", Type),
        ("SELECT id FROM old ORDER BY role COLLATE app.c", Collation),
        ("SELECT id FROM old JOIN app.view USING (id)", Relation),
        (
            "SELECT id FROM old WHERE id IN (SELECT id FROM other)",
            Relation,
        ),
    ] {
        let pair = compared(sql).unwrap_or_else(|| panic!("{sql}: nothing to count"));
        assert_eq!(pair.foreign, Some(foreign), "{sql}");
        assert_eq!((pair.legacy.as_str(), pair.unified.as_str()), ("", ""));
    }
    for sql in [
        "SELECT pg_catalog.lower(role) FROM old",
        "SELECT replace(upper(role), 'X', 'Y'), count(*) FROM old GROUP BY char_length(role), role",
        "SELECT id FROM old WHERE role OPERATOR(pg_catalog.=) 'x'",
        "SELECT role::pg_catalog.text, id::int FROM old ORDER BY role COLLATE \"C\"",
    ] {
        assert_eq!(compared(sql).expect(sql).foreign, None, "{sql}");
    }
    // What a query in progress says of itself is no difference of the data.
    assert_eq!(
        compared("SELECT id FROM old WHERE current_date > '2026-01-01'").map(drop),
        None
    );
}
