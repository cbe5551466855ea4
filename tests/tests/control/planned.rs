//! The shipped migrations, with many rows: no statement of their applications that goes by an index on legacy reads a table
//! whole in a phase to come.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crossfade_tests::twin::{
    Case, ENHANCED_USER, STUDIO_CUSTOMERS, TENANT_SCHEMAS, Twin, USER_SETTINGS,
};
use rewrite_rules::shape;
use serde_json::Value;

/// Of the largest tables.
const ROWS: u32 = 20_000;

/// Policies let roles update rows that they may not insert.
static ISO_AGENTS_RULES: LazyLock<String> = LazyLock::new(|| {
    let shipped = include_str!("../../../rewrite-rules/rules/iso_agents.toml");
    shipped.replace("# row_security", "row_security")
});

fn iso_agents() -> Case {
    Case {
        name: "iso_agents",
        rules: ISO_AGENTS_RULES.as_str(),
        tables: 1,
        also: &[(
            "iso_agents_dependents",
            include_str!("../../../rewrite-rules/rules/iso_agents_dependents.toml"),
        )],
        server: "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS; \
             GRANT anon, authenticated, service_role TO app",
        legacy: include_str!("../../data/lens/iso_agents_legacy.sql"),
        unified: include_str!("../../data/lens/iso_agents_unified.sql"),
    }
}

/// The migration with so many rows on both sides.
async fn filled(case: Case, rows: &str) -> Twin {
    let twin = Twin::start_as_owner(case).await.unwrap();
    twin.prepare().await.unwrap();
    let superuser = twin.superuser().await.unwrap();
    let rows = rows.replace("{rows}", &ROWS.to_string());
    superuser.batch_execute(&rows).await.unwrap();
    superuser.batch_execute("ANALYZE").await.unwrap();
    twin
}

/// Statements of which a word is enough to know them, that are planned worse in `dual_read`: what unified lacks is looked for among all
/// rows where no key says which (docs/limits.md). They may be; once reads need legacy no more, no statement is, but `STAY`.
const IN_DUAL_READ: [&str; 11] = [
    "FROM iso_agents ORDER BY id LIMIT",
    "JOIN iso_agents a ON a.id = p.iso_agent_id",
    "SELECT \"public\".\"iso_agents\".* FROM",
    "SELECT count(*) FROM iso_agents",
    "ORDER BY \"main_enhanceduser\".\"id\" ASC",
    "WHERE \"main_enhanceduser\".\"username\" IN",
    "WHERE T2.\"username\"",
    "SELECT COUNT(*) AS",
    "\"studio_owners\" AS \"o\" ON",
    "ORDER BY \"employees_employee\".\"employee_id\"",
    "GROUP BY \"public\".\"bookings\".\"status\"",
];

/// Whose booking it is, is computed of two tables: no index has it.
const STAY: [&str; 2] = [
    "WHERE \"public\".\"bookings\".\"customerId\" = $1",
    "WHERE \"public\".\"bookings\".\"customerId\" IN",
];

/// Plans of a file's statements, each of which was compared in some phase.
async fn plans(twin: &Twin, migration: &str) -> Vec<Value> {
    let file = format!("{}/data/plans/{migration}.txt", env!("CARGO_MANIFEST_DIR"));
    let command = format!("coverage --plans --json --file {file}");
    let said = twin.crossfade_of(migration, &command).await.unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["planned_for"], "app", "{said}");
    let plans = said["plans"].as_array().unwrap();
    let statements = std::fs::read_to_string(&file).unwrap();
    let statements: BTreeSet<String> = statements.lines().filter_map(shape).collect();
    let planned = plans
        .iter()
        .map(|found| found["statement"].as_str().unwrap());
    let planned: BTreeSet<String> = planned.map(str::to_owned).collect();
    assert_eq!(planned, statements);
    plans.clone()
}

async fn nothing_is_worse(case: Case, rows: &str) {
    let twin = filled(case, rows).await;
    for name in std::iter::once(case.name).chain(case.also.iter().map(|(name, _)| *name)) {
        let mut wrong = Vec::new();
        for found in plans(&twin, name).await {
            let statement = found["statement"].as_str().unwrap();
            let known = |words: &[&str]| words.iter().any(|word| statement.contains(word));
            let stays = known(&STAY);
            let as_expected = match (found["verdict"].as_str(), found["phase"].as_str()) {
                (Some("same"), Some("unified_read" | "unified_only")) => !stays,
                (Some("same"), _) => true,
                (Some("scan" | "dearer"), Some("dual_read")) => stays || known(&IN_DUAL_READ),
                // Known until somebody mends it.
                (Some("scan"), Some("unified_read" | "unified_only")) => stays,
                (_, _) => false,
            };
            if !as_expected {
                wrong.push(format!("{found:#}"));
            }
        }
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
    }
}

#[tokio::test]
async fn agents_who_become_users_are_found_by_indexes_in_every_phase() {
    nothing_is_worse(
        iso_agents(),
        include_str!("../../data/plans/iso_agents.sql"),
    )
    .await;
}

#[tokio::test]
async fn enhanced_users_are_found_by_indexes_in_every_phase() {
    let rows = include_str!("../../data/plans/enhanced_user.sql");
    nothing_is_worse(ENHANCED_USER, rows).await;
}

#[tokio::test]
async fn settings_are_found_by_indexes_in_every_phase() {
    let rows = include_str!("../../data/plans/user_settings.sql");
    nothing_is_worse(USER_SETTINGS, rows).await;
}

#[tokio::test]
async fn owners_and_customers_are_found_by_indexes_in_every_phase() {
    let rows = include_str!("../../data/plans/studio_customers.sql");
    nothing_is_worse(STUDIO_CUSTOMERS, rows).await;
}

#[tokio::test]
async fn a_tenants_rows_are_found_by_indexes_in_every_phase() {
    let rows = include_str!("../../data/plans/tenant_schemas.sql");
    nothing_is_worse(TENANT_SCHEMAS, rows).await;
}
