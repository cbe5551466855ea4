//! MERGE, before → after.

use super::{check, passes, refused, rules};
use crate::{Phase, SearchPath, Verdict};

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
             WHERE CASE WHEN (SELECT {{remove}}(array_agg(ROW(cf_n.*)::\"s\".\"old\"), false) \
             FROM (SELECT (cf_row).* FROM cf_new WHERE cf_action = 'DELETE') AS cf_n) \
             THEN (SELECT {{put}}(array_agg(ROW(cf_n.*)::\"s\".\"old\"), false) \
             FROM (SELECT (cf_row).* FROM cf_new WHERE cf_action <> 'DELETE') AS cf_n) END -- end"
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
                "SELECT \"n\".\"id\" FROM t JOIN \"s\".\"new\" AS \"n\" ON (n.id = t.id)",
                "UPDATE"
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
