//! Tables that each tenant has in a schema of its own, which become one for all of them.

use crossfade_tests::twin::{Case, TENANT_SCHEMAS, Twin, answer};
use rewrite_rules::Phase;

const ACME: &str = "SET search_path = 'acme_corp','public'";
const GLOBEX: &str = "SET search_path = 'globex_inc','public'";

/// Statements, `{p}` of which is the phase's own number, are answered alike in every phase.
async fn alike(statements: &[&str]) {
    let twin = Twin::start_as_owner(TENANT_SCHEMAS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        for sql in statements {
            let sql = sql.replace("{p}", &(phase as usize + 1).to_string());
            let asked = twin.same(&sql).await;
            asked.unwrap_or_else(|error| panic!("{phase}: {error}"));
        }
        if phase.writes_both() && phase > Phase::DualWrite {
            twin.verified(TENANT_SCHEMAS.tables).await;
        }
    })
    .await
    .unwrap();
}

const EMPLOYEE: &str = "created_at, updated_at, is_deleted, is_active, metadata, user_id, employee_id, gender, marital_status, \
    blood_group, nationality, employment_type, employment_status, date_of_joining, notice_period_days, exit_reason, work_mode, \
    pan_number, aadhaar_number, passport_number, uan_number, pf_number, esi_number, bio, linkedin_url";

#[tokio::test(flavor = "multi_thread")]
async fn what_django_tenants_sends_is_answered_alike_for_two_tenants() {
    let values = |id: &str, user: &str, number: &str| {
        format!(
            "('{id}'::uuid, '2026-01-01Z', '2026-01-01Z', false, true, '{{}}', '{user}'::uuid, '{number}', '', '', '', 'Indian', \
             'full_time', 'probation', '2025-01-01', 30, '', 'office', '', '', '', '', '', '', '', '')"
        )
    };
    let insert = |id: &str, user: &str, number: &str| {
        format!(
            "INSERT INTO employees_employee (id, {EMPLOYEE}) VALUES {}",
            values(id, user, number)
        )
    };
    let both = |sql: &str| {
        vec![
            ACME.to_owned(),
            sql.to_owned(),
            GLOBEX.to_owned(),
            sql.to_owned(),
        ]
    };
    let mut statements = Vec::new();
    for (tenant, letter) in [(ACME, 'a'), (GLOBEX, 'b')] {
        statements.push(tenant.to_owned());
        statements.push(format!(
            "INSERT INTO \"employees_department\" (\"id\", \"created_at\", \"updated_at\", \"is_deleted\", \"is_active\", \"name\", \"code\", \
             \"description\", \"cost_center\") VALUES ('d{letter}000000-0000-4000-8000-00000000000{{p}}'::uuid, '2026-11-21Z'::timestamptz, \
             '2026-11-21Z'::timestamptz, false, true, 'Eng', 'ENG{{p}}', '', '')"
        ));
        statements.push(tenant.to_owned());
        statements.push(insert(
            &format!("e{letter}000000-0000-4000-8000-00000000000{{p}}"),
            &format!("c{letter}000000-0000-4000-8000-00000000000{{p}}"),
            "EMP00{p}",
        ));
    }
    for sql in [
        "SELECT e.id, e.employee_id, d.code FROM employees_employee e LEFT JOIN employees_department d ON d.code = 'ENG{p}' \
         WHERE (e.is_active AND NOT e.is_deleted) ORDER BY e.employee_id, e.id LIMIT 50",
        "SELECT * FROM employees_employee ORDER BY id",
        "SELECT COUNT(*) AS \"__count\" FROM \"employees_employee\" WHERE \"employees_employee\".\"department_id\" IS NULL",
        "SELECT 1 AS \"a\" FROM \"employees_employee\" WHERE \"employees_employee\".\"employee_id\" = 'EMP001' LIMIT 1",
        "UPDATE employees_employee SET employment_status = 'active', bio = 'of {p}' WHERE employee_id = 'EMP00{p}' RETURNING id, bio",
        "UPDATE employees_employee e SET bio = d.name FROM employees_department d WHERE d.code = 'ENG{p}' AND e.employee_id = 'EMP00{p}'",
        "UPDATE employees_employee SET work_mode = 'remote'",
        "DELETE FROM employees_department d USING employees_employee e WHERE e.employee_id = 'EMP00{p}' AND d.code = 'ENG{p}' RETURNING d.code",
        "SELECT code FROM employees_department d WHERE EXISTS (SELECT FROM employees_employee e WHERE e.bio = d.name) ORDER BY code",
        "WITH e AS (UPDATE employees_employee SET gender = 'x{p}' WHERE employee_id = 'EMP00{p}' RETURNING *) SELECT id, gender FROM e",
        "SELECT row_to_json(e) FROM employees_employee e ORDER BY id",
        "SELECT * FROM employees_employee WHERE employee_id = 'EMP00{p}' FOR UPDATE",
        "INSERT INTO leave_holiday_locations (holiday_id, location_id) VALUES (gen_random_uuid(), gen_random_uuid()) RETURNING id",
        "INSERT INTO leave_holiday_locations (holiday_id, location_id) VALUES \
         ('00000000-0000-4000-8000-00000000000{p}', '00000000-0000-4000-8000-000000000000') ON CONFLICT DO NOTHING",
        "INSERT INTO leave_holiday_locations (holiday_id, location_id) VALUES \
         ('00000000-0000-4000-8000-00000000000{p}', '00000000-0000-4000-8000-000000000000') ON CONFLICT DO NOTHING",
        "SELECT count(*), max(id) FROM leave_holiday_locations",
    ] {
        statements.extend(both(sql));
    }
    let upsert = format!(
        "{} ON CONFLICT (employee_id) DO UPDATE SET bio = excluded.bio || employees_employee.bio || '{{p}}' RETURNING bio",
        insert(
            "ec000000-0000-4000-8000-00000000000{p}",
            "cc000000-0000-4000-8000-00000000000{p}",
            "EMP00{p}"
        )
    );
    statements.extend(both(&upsert));
    // Its number is there already, in this tenant.
    statements.extend([
        ACME.to_owned(),
        insert(
            "ed000000-0000-4000-8000-00000000000{p}",
            "cd000000-0000-4000-8000-00000000000{p}",
            "EMP00{p}",
        ),
    ]);
    statements.push("SET search_path = 'public'".to_owned());
    statements.push("SELECT domain FROM tenants_domain ORDER BY domain".to_owned());
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    alike(&statements).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_follows_the_path_however_it_is_set() {
    alike(&[
        "SET search_path TO acme_corp",
        "SELECT code FROM employees_department ORDER BY code",
        "BEGIN",
        "SET LOCAL search_path = 'globex_inc', 'public'",
        "SELECT code FROM employees_department ORDER BY code",
        "COMMIT",
        "SELECT code FROM employees_department ORDER BY code",
        "BEGIN",
        "SET search_path = \"globex_inc\"",
        "UPDATE employees_department SET description = 'rolled back'",
        "ROLLBACK",
        "SELECT code, description FROM employees_department ORDER BY code",
        "BEGIN",
        "SAVEPOINT a",
        "SET search_path = globex_inc",
        "SELECT code FROM employees_department ORDER BY code",
        "ROLLBACK TO a",
        "SELECT code FROM employees_department ORDER BY code",
        "COMMIT",
        "SELECT set_config('search_path', 'globex_inc, public', false)",
        "SELECT code FROM employees_department ORDER BY code",
        "SET SCHEMA 'acme_corp'",
        "SELECT code FROM employees_department ORDER BY code",
        "SELECT code FROM globex_inc.employees_department ORDER BY code",
        "CREATE TEMP TABLE employees_department (code text)",
        "SELECT code FROM employees_department ORDER BY code",
        "DROP TABLE pg_temp.employees_department",
        "SELECT code FROM employees_department ORDER BY code",
        "RESET search_path",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_made_while_others_are_migrated_is_one_of_them_without_a_reload() {
    let twin = Twin::start_as_owner(TENANT_SCHEMAS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.carry_to(Phase::DualRead).await.unwrap();
    let initech = "SET search_path = 'initech', 'public'";
    let department = "INSERT INTO employees_department (id, created_at, updated_at, is_deleted, is_active, name, code, description, \
        cost_center) VALUES ('d0000000-0000-4000-8000-0000000000c1', '2025-01-01Z', '2025-01-01Z', false, true, 'Sales', 'SALES', '', '')";
    for sql in [
        "SET search_path = 'public'",
        "INSERT INTO tenants_tenant VALUES ('00000000-0000-4000-8000-0000000000c0', 'initech', 'Initech', 'initech')",
        "CREATE SCHEMA \"initech\"",
        initech,
    ] {
        twin.same(sql).await.unwrap();
    }
    twin.direct
        .batch_execute("INSERT INTO organizations SELECT id, name FROM tenants_tenant WHERE schema_name = 'initech'")
        .await
        .unwrap();
    // No rows before its tables are there, and never those of others.
    let early = answer(&twin.proxied, "SELECT count(*) FROM employees_department").await;
    assert!(early.starts_with("55000"), "{early}");
    twin.same(include_str!("../../data/tenants/tenant.sql"))
        .await
        .unwrap();
    until_it_counts(&twin).await;
    for sql in [
        department,
        "SELECT id, code FROM employees_department",
        ACME,
        "SELECT code FROM employees_department ORDER BY code",
        "SELECT code FROM initech.employees_department",
    ] {
        twin.same(sql).await.unwrap();
    }
    twin.crossfade("backfill").await.unwrap();
    twin.verified(TENANT_SCHEMAS.tables / 2 * 3).await;
    let said = twin.crossfade("advance").await.unwrap();
    assert!(said.contains("-> unified_read"), "{said}");
    for sql in [
        initech,
        "UPDATE employees_department SET code = 'NEW' RETURNING code",
        "SELECT * FROM employees_department",
    ] {
        twin.same(sql).await.unwrap();
    }
    twin.verified(TENANT_SCHEMAS.tables / 2 * 3).await;
}

/// Until the tenant in the path is known: proxies look once a second.
async fn until_it_counts(twin: &Twin) {
    let look = async {
        while answer(&twin.proxied, "SELECT count(*) FROM employees_department")
            .await
            .starts_with("55000")
        {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, look)
        .await
        .expect("the tenant counts");
}

/// The policies of the application that comes: they fail where nobody has said whose rows are meant.
const WALLED: Case = Case {
    unified: concat!(
        include_str!("../../data/tenants/unified.sql"),
        include_str!("../../data/tenants/row_security.sql")
    ),
    ..TENANT_SCHEMAS
};

#[tokio::test(flavor = "multi_thread")]
async fn row_security_is_told_of_the_tenant_in_each_statements_transaction() {
    let twin = Twin::start_as_owner(WALLED).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        let p = (phase as usize + 1).to_string();
        for (path, letter) in [(ACME, "a"), (GLOBEX, "b"), (ACME, "e")] {
            for sql in [
                path,
                "INSERT INTO employees_department (id, created_at, updated_at, is_deleted, is_active, name, code, description, \
                 cost_center) VALUES ('d{l}000000-0000-4000-8000-00000000000{p}', '2025-01-01Z', '2025-01-01Z', false, true, 'W', 'W{l}{p}', \
                 '', '') RETURNING code",
                "UPDATE employees_department SET description = 'walled {p}' WHERE code LIKE 'W%' RETURNING code, description",
                "SELECT code, description FROM employees_department ORDER BY code",
                "BEGIN",
                "SELECT count(*) FROM employees_department",
                "DELETE FROM employees_department WHERE code = 'W{l}{p}'",
                "ROLLBACK",
                "SELECT count(*) FROM employees_department",
                "PREPARE s AS SELECT code FROM employees_department ORDER BY code",
                "EXECUTE s",
                "DEALLOCATE s",
            ] {
                let sql = sql.replace("{p}", &p).replace("{l}", letter);
                twin.same(&sql).await.unwrap_or_else(|error| panic!("{phase}: {error}"));
            }
            for (sql, values) in [
                ("SELECT code FROM employees_department WHERE code <> $1 ORDER BY code", [Some("SALES")]),
                ("UPDATE employees_department SET description = $1 WHERE code = 'SALES' RETURNING code, description", [Some("bound")]),
            ] {
                let asked = twin.same_with(sql, &values).await;
                asked.unwrap_or_else(|error| panic!("{phase}: {error}"));
            }
        }
        if phase.writes_both() && phase > Phase::DualWrite {
            twin.verified(TENANT_SCHEMAS.tables).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_no_row_is_read_or_written_in_any_phase() {
    let twin = Twin::start_as_owner(TENANT_SCHEMAS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.in_every_phase(async |phase| {
        if phase == Phase::LegacyOnly {
            return;
        }
        for path in [
            "SET search_path = 'public'",
            "RESET search_path",
            "SET search_path = ''",
        ] {
            for sql in [
                "SELECT * FROM employees_department",
                "SELECT count(*) FROM tenants_domain, employees_department",
                "SELECT 1 WHERE EXISTS (SELECT FROM employees_department)",
                "INSERT INTO employees_department SELECT * FROM acme_corp.employees_department",
                "UPDATE employees_department SET code = 'x'",
                "DELETE FROM employees_department",
                "DELETE FROM tenants_domain USING employees_department",
                "WITH a AS (DELETE FROM employees_department RETURNING 1) SELECT FROM a",
                "COPY employees_department TO STDOUT",
                "TRUNCATE employees_department",
                "SELECT * FROM initech.employees_department",
                "DELETE FROM \"{tenant}\".employees_department",
            ] {
                let proxied = &twin.proxied;
                proxied.simple_query(path).await.unwrap();
                let found = answer(proxied, sql).await;
                let refused = ["55000", "42P01"]
                    .iter()
                    .any(|code| found.starts_with(code));
                assert!(refused, "{phase}: {path}: {sql}: {found}");
            }
        }
    })
    .await
    .unwrap();
}
