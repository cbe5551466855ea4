//! The foreign keys of legacy tables: what they refuse, when, and in which words, in every phase as on a database
//! that was left alone.

use crossfade_tests::control::number;
use crossfade_tests::control::{pid, until_blocked};
use crossfade_tests::twin::{Case, ENHANCED_USER, Twin, answer};
use rewrite_rules::Phase;

/// The columns that an enhanced user must have.
const COLUMNS: &str = "id, username, manager_id, password, is_superuser, first_name, last_name, email, is_staff, is_active, \
    date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at";

fn row(id: u32, manager: &str) -> String {
    format!(
        "({id}, 'ref{id}', {manager}, '', false, '', '', '', false, true, '2026-01-01', 'Ref', '', '', '{{}}', 0, '2026-01-01', \
         '2026-01-01')"
    )
}

fn user(id: u32, manager: &str) -> String {
    let values = row(id, manager);
    format!("INSERT INTO main_enhanceduser ({COLUMNS}) VALUES {values} RETURNING id, manager_id")
}

async fn same(twin: &Twin, phase: Phase, sql: &str) -> String {
    let asked = twin.same(sql).await;
    asked.unwrap_or_else(|error| panic!("{phase}: {error}"))
}

/// Statements, each of which both answer alike, errors with their tables and constraints.
async fn all_same(twin: &Twin, phase: Phase, statements: &[String]) {
    for sql in statements {
        same(twin, phase, sql).await;
    }
    same(
        twin,
        phase,
        "SELECT id, manager_id, technician_id, phone FROM main_enhanceduser ORDER BY id",
    )
    .await;
    same(
        twin,
        phase,
        "SELECT enhanceduser_id, group_id FROM main_enhanceduser_groups ORDER BY 1, 2",
    )
    .await;
}

fn statements(text: &str, phase: Phase) -> Vec<String> {
    let p = (phase as u32 + 1) * 1000;
    let each = text.split(";\n").map(str::trim).filter(|s| !s.is_empty());
    each.map(|sql| {
        let mut sql = sql.to_owned();
        for n in 1..9 {
            sql = sql.replace(&format!("{{{n}}}"), &(p + n).to_string());
        }
        sql
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_nobody_is_refused_in_every_phase() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let text = "
UPDATE main_enhanceduser SET manager_id = 77777 WHERE id = 5;
UPDATE main_enhanceduser SET manager_id = 77777, phone = '1' WHERE id IN (4, 5);
UPDATE main_enhanceduser SET technician_id = 77777 WHERE id = 5;
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (77777, 1);
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (5, 77777);
INSERT INTO main_enhanceduser_user_permissions (enhanceduser_id, permission_id) VALUES (77777, 1);
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (77777, 1) ON CONFLICT (enhanceduser_id, group_id) DO NOTHING;
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (77777, 1) ON CONFLICT (enhanceduser_id, group_id) DO UPDATE SET group_id = 2;
UPDATE main_enhanceduser_groups SET enhanceduser_id = 77777 WHERE enhanceduser_id = 5;
DELETE FROM main_enhanceduser WHERE id = 24;
DELETE FROM main_enhanceduser WHERE id IN (1, 24);
DELETE FROM main_enhanceduser WHERE id = 8;
UPDATE main_enhanceduser SET id = 99000 WHERE id = 24;
UPDATE main_enhanceduser SET phone = '{1}' WHERE id = 5 RETURNING manager_id;
";
        all_same(&twin, phase, &statements(text, phase)).await;
        same(&twin, phase, &user(90_000, "77777")).await;
        if phase.writes_both() && phase > Phase::DualWrite {
            twin.verified(3).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_may_come_before_what_it_refers_to_within_a_transaction() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let p = (phase as u32 + 1) * 1000;
        let mut all = vec![
            "BEGIN".to_owned(),
            format!("INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES ({p}, 1), ({p}, 2) RETURNING enhanceduser_id, group_id"),
            user(p + 1, &p.to_string()),
            format!("UPDATE main_enhanceduser SET phone = '2' WHERE id = {} RETURNING phone, manager_id", p + 1),
            user(p, "NULL"),
            "COMMIT".to_owned(),
            // It never comes.
            "BEGIN".to_owned(),
            format!("INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES ({}, 1)", p + 2),
            "COMMIT".to_owned(),
            "BEGIN".to_owned(),
            user(p + 3, "88888"),
            "COMMIT".to_owned(),
            // It is taken back.
            "BEGIN".to_owned(),
            user(p + 4, "88888"),
            format!("UPDATE main_enhanceduser SET manager_id = NULL WHERE id = {} RETURNING manager_id", p + 4),
            "COMMIT".to_owned(),
            "BEGIN".to_owned(),
            user(p + 5, "88888"),
            format!("DELETE FROM main_enhanceduser WHERE id = {}", p + 5),
            "COMMIT".to_owned(),
            "BEGIN".to_owned(),
            "SAVEPOINT s".to_owned(),
            user(p + 6, "88888"),
            "ROLLBACK TO s".to_owned(),
            "COMMIT".to_owned(),
            // What waited is taken back before what it waited for comes.
            "BEGIN".to_owned(),
            format!("INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES ({}, 1), ({0}, 2)", p + 9),
            // Nobody finds what waits once unified leads.
            match phase < Phase::UnifiedRead {
                true => format!("DELETE FROM main_enhanceduser_groups WHERE enhanceduser_id = {} AND group_id = 1", p + 9),
                false => "SELECT".to_owned(),
            },
            user(p + 10, &(p + 9).to_string()),
            format!("DELETE FROM main_enhanceduser WHERE id = {}", p + 10),
            user(p + 9, "NULL"),
            format!("SELECT group_id FROM main_enhanceduser_groups WHERE enhanceduser_id = {}", p + 9),
            format!("SELECT id, manager_id FROM main_enhanceduser WHERE id >= {}", p + 9),
            "COMMIT".to_owned(),
            format!("DELETE FROM main_enhanceduser_groups WHERE enhanceduser_id = {}", p + 9),
            format!("DELETE FROM main_enhanceduser WHERE id = {}", p + 9),
            // A manager goes before those whom she manages.
            "BEGIN".to_owned(),
            format!("DELETE FROM main_enhanceduser_groups WHERE enhanceduser_id = {p}"),
            format!("DELETE FROM main_enhanceduser WHERE id = {p}"),
            format!("UPDATE main_enhanceduser SET manager_id = {0} WHERE id = {0} RETURNING manager_id", p + 1),
            "COMMIT".to_owned(),
            format!("DELETE FROM main_enhanceduser WHERE id = {}", p + 1),
            // Two who manage each other come and go in one statement.
            format!(
                "INSERT INTO main_enhanceduser ({COLUMNS}) VALUES {}, {}",
                row(p + 7, &(p + 8).to_string()),
                row(p + 8, &(p + 7).to_string())
            ),
            format!("SELECT id, manager_id FROM main_enhanceduser WHERE id >= {}", p + 7),
            format!("DELETE FROM main_enhanceduser WHERE id >= {}", p + 7),
        ];
        all.push("SELECT count(*) FROM main_enhanceduser WHERE id > 1000".to_owned());
        all_same(&twin, phase, &all).await;
        if phase.writes_both() && phase > Phase::DualWrite {
            twin.verified(3).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_with_a_table_that_is_truncated() {
    let twin = Twin::in_phase(ENHANCED_USER, Phase::UnifiedOnly)
        .await
        .unwrap();
    let member =
        "INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (7000, 1)";
    let all = format!(
        "BEGIN; {member}; TRUNCATE main_enhanceduser_groups; {}; COMMIT",
        user(7000, "NULL")
    );
    twin.proxied.batch_execute(&all).await.unwrap();
    let left = "SELECT count(*) FROM main_enhanceduser_groups";
    assert_eq!(number(&twin.proxied, left).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_are_set_by_their_legacy_names_in_every_phase() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let text = "
BEGIN;
SET CONSTRAINTS main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id IMMEDIATE;
UPDATE main_enhanceduser SET manager_id = 77777 WHERE id = 5;
ROLLBACK;
BEGIN;
UPDATE main_enhanceduser SET manager_id = 77777 WHERE id = 5;
SET CONSTRAINTS \"main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id\", public.main_enhanceduser_technician_id_77c1de69_fk_main_technician_id IMMEDIATE;
ROLLBACK;
BEGIN;
UPDATE main_enhanceduser SET technician_id = 77777 WHERE id = 5;
SET CONSTRAINTS main_enhanceduser_technician_id_77c1de69_fk_main_technician_id IMMEDIATE;
ROLLBACK;
BEGIN;
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (77777, 1);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (5, 77777);
ROLLBACK;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS main_enhanceduser_gr_enhanceduser_id_b3f68b6d_fk_main_enha DEFERRED;
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (77777, 1);
COMMIT;
SET CONSTRAINTS no_such_constraint IMMEDIATE;
SET CONSTRAINTS nowhere.main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id IMMEDIATE;
";
        all_same(&twin, phase, &statements(text, phase)).await;
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn errors_at_the_end_of_a_transaction_are_told_alike_in_either_protocol() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        match phase {
            Phase::DualRead => twin.carry_to(phase).await.unwrap(),
            _ => twin.advance(phase).await.unwrap(),
        }
        for statements in [
            // Each ends with a Sync of its own.
            &["UPDATE main_enhanceduser SET technician_id = 77777 WHERE id = 5"][..],
            &["UPDATE main_enhanceduser SET manager_id = 77777 WHERE id = 5"],
            &[
                "BEGIN",
                "INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (5, 77777)",
                "COMMIT",
            ],
            &[
                "BEGIN",
                "UPDATE main_enhanceduser SET technician_id = 77777 WHERE id = 5",
                "SET CONSTRAINTS ALL IMMEDIATE",
                "ROLLBACK",
            ],
            // What the client itself says of the unified table is told as it is.
            &["SELECT 1"],
        ] {
            let told = twin.told_alike(statements).await;
            told.unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
        same(
            &twin,
            phase,
            "BEGIN; UPDATE main_enhanceduser SET technician_id = 77777 WHERE id = 5; COMMIT",
        )
        .await;
    }
}

#[tokio::test]
async fn whoever_refers_to_a_row_and_whoever_deletes_it_wait_for_each_other() {
    for phase in [Phase::UnifiedRead, Phase::UnifiedOnly] {
        let twin = Twin::in_phase(ENHANCED_USER, phase).await.unwrap();
        let (one, other) = (&twin.proxied, twin.another().await.unwrap());
        // Who refers is there first.
        let refers = "BEGIN; UPDATE main_enhanceduser SET manager_id = 42 WHERE id = 41; SET CONSTRAINTS ALL IMMEDIATE";
        one.batch_execute(refers).await.unwrap();
        let waiting = pid(&other).await.unwrap();
        let delete = "DELETE FROM main_enhanceduser WHERE id = 42";
        let commit = async {
            until_blocked(&twin.direct, waiting).await.unwrap();
            answer(one, "COMMIT").await
        };
        let (deleted, committed) = tokio::join!(answer(&other, delete), commit);
        assert_eq!(committed, "done 0", "{phase}");
        assert!(
            deleted.starts_with("23503")
                && deleted
                    .contains("main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id"),
            "{phase}: {deleted}"
        );
        // Who deletes is there first.
        one.batch_execute("BEGIN; DELETE FROM main_enhanceduser WHERE id = 43")
            .await
            .unwrap();
        let refers = "UPDATE main_enhanceduser SET manager_id = 43 WHERE id = 44";
        let commit = async {
            until_blocked(&twin.direct, waiting).await.unwrap();
            answer(one, "COMMIT").await
        };
        let (referred, committed) = tokio::join!(answer(&other, refers), commit);
        assert_eq!(committed, "done 0", "{phase}");
        assert!(
            referred.starts_with("23503")
                && referred
                    .contains("main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id"),
            "{phase}: {referred}"
        );
    }
}

/// Each action of a foreign key, on tables whose unified ones have no foreign key at all.
const HOUSES: Case = Case {
    name: "houses",
    rules: r#"
[migration]
name = "houses"
phase = "legacy_only"

[[table]]
legacy = "public.houses"
unified = "public.place"
key = ["id"]
when_hidden = "remove"
columns = "id integer NOT NULL, name text"
read = "SELECT p.id, p.name FROM place p"
put = ["INSERT INTO place (id, name) SELECT id, name FROM row_image ON CONFLICT (id) DO UPDATE SET name = excluded.name"]
remove = ["DELETE FROM place USING row_image r WHERE place.id = r.id"]
rekey = ["UPDATE place SET id = r.id FROM row_image r, old_image o WHERE place.id = o.id"]

[[table]]
legacy = "public.tenants"
unified = "public.dweller"
key = ["id"]
when_hidden = "remove"
columns = """id integer NOT NULL, note text,
  a integer CONSTRAINT tenants_a_fkey REFERENCES houses ON DELETE CASCADE ON UPDATE CASCADE,
  b integer CONSTRAINT tenants_b_fkey REFERENCES houses ON DELETE SET NULL ON UPDATE SET NULL,
  c integer DEFAULT 1 CONSTRAINT tenants_c_fkey REFERENCES houses ON DELETE SET DEFAULT ON UPDATE CASCADE,
  d integer CONSTRAINT tenants_d_fkey REFERENCES houses ON DELETE RESTRICT ON UPDATE RESTRICT,
  e integer CONSTRAINT tenants_e_fkey REFERENCES houses (id) DEFERRABLE,
  f integer, CONSTRAINT tenants_f_fkey FOREIGN KEY (f) REFERENCES public.tenants ON DELETE CASCADE"""
read = "SELECT d.* FROM dweller d"
put = ["""INSERT INTO dweller (id, note, a, b, c, d, e, f) SELECT id, note, a, b, c, d, e, f FROM row_image
  ON CONFLICT (id) DO UPDATE SET note = excluded.note, a = excluded.a, b = excluded.b, c = excluded.c, d = excluded.d,
  e = excluded.e, f = excluded.f"""]
remove = ["DELETE FROM dweller USING row_image r WHERE dweller.id = r.id"]
rekey = ["UPDATE dweller SET id = r.id FROM row_image r, old_image o WHERE dweller.id = o.id"]
"#,
    tables: 2,
    also: &[],
    server: "",
    legacy: "CREATE TABLE houses (id integer PRIMARY KEY, name text);
        CREATE TABLE tenants (id integer PRIMARY KEY, note text,
          a integer CONSTRAINT tenants_a_fkey REFERENCES houses ON DELETE CASCADE ON UPDATE CASCADE,
          b integer CONSTRAINT tenants_b_fkey REFERENCES houses ON DELETE SET NULL ON UPDATE SET NULL,
          c integer DEFAULT 1 CONSTRAINT tenants_c_fkey REFERENCES houses ON DELETE SET DEFAULT ON UPDATE CASCADE,
          d integer CONSTRAINT tenants_d_fkey REFERENCES houses ON DELETE RESTRICT ON UPDATE RESTRICT,
          e integer CONSTRAINT tenants_e_fkey REFERENCES houses DEFERRABLE,
          f integer CONSTRAINT tenants_f_fkey REFERENCES tenants ON DELETE CASCADE);
        INSERT INTO houses SELECT n, 'h' || n FROM generate_series(1, 90) AS n;
        INSERT INTO tenants (id, a, f) SELECT n, n, CASE WHEN n % 10 > 0 THEN n - 1 END FROM generate_series(60, 90) AS n",
    unified: "CREATE TABLE place (id integer PRIMARY KEY, name text);
        CREATE TABLE dweller (id integer PRIMARY KEY, note text, a integer, b integer, c integer, d integer, e integer, f integer);
        CREATE INDEX ON dweller (a); CREATE INDEX ON dweller (b); CREATE INDEX ON dweller (c);
        CREATE INDEX ON dweller (d); CREATE INDEX ON dweller (e); CREATE INDEX ON dweller (f)",
};

/// `{h}` is a house of the phase's own, and of tenants the first.
const ACTS: &str = "
INSERT INTO tenants (id, a) VALUES ({h}01, {h}), ({h}02, NULL) RETURNING *;
INSERT INTO tenants (id, b) VALUES ({h}03, {h}) RETURNING *;
INSERT INTO tenants (id, c) VALUES ({h}04, {h}), ({h}05, 777);
INSERT INTO tenants (id, c) VALUES ({h}04, {h});
INSERT INTO tenants (id, d) VALUES ({h}06, {h}) RETURNING *;
INSERT INTO tenants (id, e) VALUES ({h}07, {h});
INSERT INTO tenants (id, f) VALUES ({h}08, {h}01), ({h}09, {h}08);
INSERT INTO tenants (id, f) VALUES ({h}10, NULL), ({h}11, {h}10);
UPDATE tenants SET f = {h}11 WHERE id = {h}10;
UPDATE tenants SET f = 777 WHERE id = {h}08;
UPDATE tenants SET e = 777 WHERE id = {h}07;
UPDATE tenants SET note = 'n' WHERE e = {h} RETURNING *;
UPDATE houses SET id = 1{h} WHERE id = {h};
DELETE FROM houses WHERE id = {h};
DELETE FROM tenants WHERE id = {h}06;
UPDATE houses SET id = 1{h} WHERE id = {h};
DELETE FROM houses WHERE id = {h};
BEGIN;
SET CONSTRAINTS tenants_e_fkey DEFERRED;
DELETE FROM houses WHERE id = {h};
INSERT INTO houses VALUES ({h}, 'again');
COMMIT;
SELECT * FROM tenants ORDER BY id;
BEGIN;
SET CONSTRAINTS tenants_e_fkey DEFERRED;
INSERT INTO tenants (id, e) VALUES ({h}20, 9{h});
INSERT INTO tenants (id, e) VALUES ({h}21, 9{h});
DELETE FROM tenants WHERE id = {h}20;
SAVEPOINT s;
DELETE FROM tenants WHERE id = {h}21;
ROLLBACK TO s;
INSERT INTO houses VALUES (9{h}, 'late');
SELECT * FROM tenants ORDER BY id;
COMMIT;
BEGIN;
SET CONSTRAINTS tenants_e_fkey DEFERRED;
DELETE FROM houses WHERE id = 9{h};
DELETE FROM tenants WHERE id = {h}21;
INSERT INTO houses VALUES (9{h}, 'late');
SELECT * FROM tenants ORDER BY id;
COMMIT;
BEGIN;
SET CONSTRAINTS tenants_e_fkey DEFERRED;
INSERT INTO tenants (id, a, e) VALUES ({h}22, 1, 8{h});
UPDATE tenants SET id = {h}23 WHERE id = {h}22;
INSERT INTO houses VALUES (8{h}, 'late');
SELECT * FROM tenants ORDER BY id;
DELETE FROM houses WHERE id = 8{h};
DELETE FROM tenants WHERE id = {h}23;
INSERT INTO tenants (id, e) VALUES ({h}23, NULL);
INSERT INTO houses VALUES (8{h}, 'late');
SELECT * FROM tenants ORDER BY id;
COMMIT;
SELECT * FROM tenants ORDER BY id;
DELETE FROM tenants WHERE id = {h}23;
DELETE FROM houses WHERE id IN (8{h}, 9{h});
INSERT INTO tenants (id, a, b, c) VALUES ({h}12, {h}, {h}, {h}) RETURNING *;
DELETE FROM tenants WHERE id = {h}07;
UPDATE houses SET id = 1{h} WHERE id = {h} RETURNING *;
SELECT * FROM tenants ORDER BY id;
INSERT INTO tenants (id, b, c) VALUES ({h}13, 1{h}, 1{h}) ON CONFLICT (id) DO UPDATE SET b = 777;
INSERT INTO tenants (id, b, c) VALUES ({h}13, 1{h}, 1{h}) ON CONFLICT (id) DO UPDATE SET b = 777;
DELETE FROM houses WHERE id IN (1{h}, {h}) RETURNING *;
DELETE FROM tenants WHERE id = 60;
DELETE FROM tenants WHERE id IN ({h}10, {h}11);
SELECT * FROM houses ORDER BY id;
";

#[tokio::test(flavor = "multi_thread")]
async fn each_action_of_a_foreign_key_does_what_it_does_without_us() {
    let twin = Twin::start(HOUSES).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let house = (phase as u32 + 10).to_string();
        for sql in ACTS.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
            same(&twin, phase, &sql.replace("{h}", &house)).await;
        }
        same(&twin, phase, "SELECT * FROM tenants ORDER BY id").await;
        if phase.writes_both() && phase > Phase::DualWrite {
            twin.verified(2).await;
        }
    })
    .await
    .unwrap();
}

/// What a first transaction has done to a tenant, and what a second, which waits for it, does to the house.
const MEETINGS: [(&str, &str); 5] = [
    (
        "UPDATE tenants SET id = 10{n} WHERE id = {n}",
        "UPDATE houses SET id = 10{n} WHERE id = {n}",
    ),
    (
        "UPDATE tenants SET id = 10{n} WHERE id = {n}",
        "DELETE FROM houses WHERE id = {n}",
    ),
    (
        "UPDATE tenants SET note = 'met' WHERE id = {n}",
        "UPDATE houses SET id = 10{n} WHERE id = {n}",
    ),
    (
        "UPDATE tenants SET a = NULL WHERE id = {n}",
        "UPDATE houses SET id = 10{n} WHERE id = {n}",
    ),
    (
        "DELETE FROM tenants WHERE id = {n}",
        "UPDATE houses SET id = 10{n} WHERE id = {n}",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_action_waits_for_whoever_writes_what_refers_to_the_row() {
    for phase in [Phase::ShadowRead, Phase::DualRead, Phase::UnifiedRead] {
        let twin = Twin::in_phase(HOUSES, phase).await.unwrap();
        for (number, (first, second)) in (71..).zip(MEETINGS) {
            let told = |sql: &str| sql.replace("{n}", &number.to_string());
            // Nobody refers to its tenant but by what is met here.
            twin.same(&format!("UPDATE tenants SET f = NULL WHERE f = {number}"))
                .await
                .unwrap();
            let mut said = Vec::new();
            for (one, other) in [
                (
                    twin.another_alone().await.unwrap(),
                    twin.another_alone().await.unwrap(),
                ),
                (twin.another().await.unwrap(), twin.another().await.unwrap()),
            ] {
                let alone = said.is_empty();
                one.batch_execute(&format!("BEGIN; {}", told(first)))
                    .await
                    .unwrap();
                let waiting = pid(&other).await.unwrap();
                let direct = if alone { &twin.alone } else { &twin.direct };
                let second = told(second);
                let commit = async {
                    until_blocked(direct, waiting).await.unwrap();
                    answer(&one, "COMMIT").await
                };
                said.push(tokio::join!(answer(&other, &second), commit));
            }
            assert_eq!(said[0], said[1], "{phase}: {first}; {second}");
            for table in ["tenants", "houses"] {
                let all = format!("SELECT * FROM {table} ORDER BY id");
                twin.same(&all)
                    .await
                    .unwrap_or_else(|error| panic!("{phase}: {first}; {second}: {error}"));
            }
        }
        twin.equal_in(phase, "tenants", "dweller").await.unwrap();
        twin.equal_in(phase, "houses", "place").await.unwrap();
    }
}

#[tokio::test]
async fn what_nothing_can_tell_at_repeatable_read_is_refused() {
    let twin = Twin::in_phase(HOUSES, Phase::UnifiedOnly).await.unwrap();
    twin.proxied
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    twin.refused("DELETE FROM houses WHERE id = 1", "nothing can tell")
        .await
        .unwrap();
}

#[tokio::test]
async fn truncate_reaches_what_refers_to_the_table_as_it_does_without_us() {
    for phase in [
        Phase::DualWrite,
        Phase::DualRead,
        Phase::UnifiedRead,
        Phase::UnifiedOnly,
    ] {
        let twin = Twin::start_as_owner(HOUSES).await.unwrap();
        twin.prepare().await.unwrap();
        twin.carry_to(phase).await.unwrap();
        for sql in [
            "TRUNCATE houses",
            "BEGIN",
            "TRUNCATE tenants, houses",
            "SELECT (SELECT count(*) FROM houses), (SELECT count(*) FROM tenants)",
            "ROLLBACK",
            "SELECT (SELECT count(*) FROM houses), (SELECT count(*) FROM tenants)",
            "TRUNCATE houses CASCADE",
            "SELECT (SELECT count(*) FROM houses), (SELECT count(*) FROM tenants)",
        ] {
            same(&twin, phase, sql).await;
        }
        if phase.writes_both() {
            twin.verified(2).await;
        }
    }
}
