//! The shipped migrations, with many rows: no statement of their applications that goes by an index on legacy reads a table
//! whole in a phase to come.

use std::sync::LazyLock;

use crossfade_tests::twin::{
    Case, ENHANCED_USER, STUDIO_CUSTOMERS, TENANT_SCHEMAS, Twin, USER_SETTINGS,
};
use rewrite_rules::Phase;
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

/// The migration with so many rows, copied, in `dual_write`.
async fn filled(case: Case, rows: &str) -> Twin {
    let twin = Twin::start_as_owner(case).await.unwrap();
    let superuser = twin.superuser().await.unwrap();
    let rows = rows.replace("{rows}", &ROWS.to_string());
    superuser.batch_execute(&rows).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    for name in std::iter::once(case.name).chain(case.also.iter().map(|(name, _)| *name)) {
        twin.crossfade_of(name, "backfill --full-speed")
            .await
            .unwrap();
    }
    superuser.batch_execute("ANALYZE").await.unwrap();
    twin
}

/// What there is to say of the plans of a file's statements, `same` apart; that each was compared in some phase.
async fn worse(twin: &Twin, migration: &str) -> Vec<String> {
    let file = format!("{}/data/plans/{migration}.txt", env!("CARGO_MANIFEST_DIR"));
    let command = format!("coverage --plans --json --file {file}");
    let said = twin.crossfade_of(migration, &command).await.unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["planned_for"], "app", "{said}");
    let plans = said["plans"].as_array().unwrap();
    let statements = std::fs::read_to_string(&file).unwrap().lines().count();
    let mut planned: Vec<&str> = plans
        .iter()
        .map(|found| found["statement"].as_str().unwrap())
        .collect();
    planned.sort_unstable();
    planned.dedup();
    assert_eq!(planned.len(), statements, "{planned:#?}");
    let worse = plans.iter().filter(|found| found["verdict"] != "same");
    worse
        .map(|found| {
            let text = |name: &str| found[name].to_string();
            let statement = found["statement"].as_str().unwrap();
            let tail: String = statement
                .chars()
                .skip(statement.chars().count().saturating_sub(120))
                .collect();
            format!(
                "{} {} {} {} {} {} -> {} {}",
                text("verdict"),
                text("phase"),
                text("scanned"),
                text("condition"),
                text("reason"),
                text("legacy_cost"),
                text("cost"),
                tail
            )
        })
        .collect()
}

async fn nothing_is_worse(case: Case, rows: &str) {
    let twin = filled(case, rows).await;
    for name in std::iter::once(case.name).chain(case.also.iter().map(|(name, _)| *name)) {
        let worse = worse(&twin, name).await;
        assert!(worse.is_empty(), "{name}:\n{}", worse.join("\n"));
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
