//! Which tenants there are: asked of the database by the query of the rule files.

use std::collections::HashSet;

use rewrite_rules::{Phase, RuleSet, Tenant};
use tokio_postgres::Client;

use super::error::ControlError;

/// Each has a schema of its own, and PostgreSQL's catalogs grow slow before this.
const TENANTS_MAX: usize = 50_000;

/// Of some schemas, those that lack one of the tables.
const LACKING: &str = "\
SELECT s.name FROM unnest($1::text[]) AS s (name) WHERE EXISTS (SELECT FROM unnest($2::text[]) AS t (name) \
WHERE NOT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
WHERE n.nspname = s.name AND c.relname = t.name))";

/// The same rules with the tenants that there are now; rules that have none as they are.
pub async fn known(client: &Client, rules: RuleSet) -> Result<RuleSet, ControlError> {
    match listed(client, &rules).await? {
        Some(tenants) => Ok(rules.with_tenants(tenants)),
        None => Ok(rules),
    }
}

/// The tenants whose statements are rewritten; `None` where the rules have none.
///
/// One whose tables are still being made is none yet: until then nothing can be brought into them.
pub async fn listed(client: &Client, rules: &RuleSet) -> Result<Option<Vec<Tenant>>, ControlError> {
    let Some(by) = rules.tenants_listed_by() else {
        return Ok(None);
    };
    let sql = || ControlError::sql("list of the tenants");
    let rows = client
        .query(
            &format!(
                "SELECT t.schema::text, t.value::text FROM ({}) AS t (schema, value) LIMIT {}",
                by.query,
                TENANTS_MAX + 1
            ),
            &[],
        )
        .await
        .map_err(sql())?;
    if rows.len() > TENANTS_MAX {
        return Err(ControlError::Refused(format!(
            "`tenants` lists more than {TENANTS_MAX}"
        )));
    }
    let mut tenants = Vec::with_capacity(rows.len());
    let (mut schemas, mut values) = (HashSet::new(), HashSet::new());
    for row in &rows {
        let (Some(schema), Some(value)) = (row.get(0), row.get(1)) else {
            return Err(ControlError::Refused(
                "`tenants` lists a tenant without a schema, or without what tells its rows apart"
                    .to_owned(),
            ));
        };
        let tenant = Tenant { schema, value };
        RuleSet::may_be_tenant(&tenant).map_err(|no| {
            ControlError::Refused(format!("`tenants` lists {}: {}", no.schema, no.reason))
        })?;
        // Two of one schema, or with one value, would have each other's rows.
        let twice = !schemas.insert(tenant.schema.clone()) || !values.insert(tenant.value.clone());
        if twice {
            return Err(ControlError::Refused(format!(
                "`tenants` lists schema {} or value {} twice",
                tenant.schema, tenant.value
            )));
        }
        tenants.push(tenant);
    }
    let tables = legacy_tables(rules);
    if !tables.is_empty() {
        let schemas: Vec<&str> = tenants.iter().map(|t| t.schema.as_str()).collect();
        let rows = client
            .query(LACKING, &[&schemas, &tables])
            .await
            .map_err(sql())?;
        let lacking: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
        tenants.retain(|tenant| !lacking.contains(&tenant.schema));
    }
    tenants.sort();
    Ok(Some(tenants))
}

/// The names of the tables that each tenant must have for its rows to be written on both sides.
fn legacy_tables(rules: &RuleSet) -> Vec<String> {
    let migrations = rules.declared().iter();
    let written = migrations.filter(|migration| match migration.phase {
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead => true,
        Phase::UnifiedOnly | Phase::Retired => false,
    });
    let lenses = written.flat_map(|migration| &migration.tables);
    let of_tenants = lenses.filter(|lens| lens.is_of_any_tenant());
    of_tenants.map(|lens| lens.legacy.name.clone()).collect()
}
