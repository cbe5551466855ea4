//! INSERT, UPDATE, DELETE and COPY, before → after.

use super::{check, passes, refused, rules};
use crate::lens::Work;
use crate::{Phase, SearchPath, Verdict};

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
        "DO $crossfade$ BEGIN IF NOT pg_catalog.has_any_column_privilege(coalesce(\
         pg_catalog.to_regclass('\"s\".\"old\"'), pg_catalog.to_regclass('\"s\".\"new\"')), 'INSERT') THEN \
         RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'permission denied for table old'; END IF; \
         CREATE TEMPORARY TABLE cf_copy (\"role\" text) ON COMMIT DROP; END $crossfade$; \
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
            "/* */ SELECT FROM crossfade.truncate(ARRAY['TRUNCATE t, new ', 'SELECT FROM {empty}({nobody})'])"
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
fn a_comment_behind_with_swallows_nothing() {
    let reading = rules(Phase::DualWrite).read(
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
