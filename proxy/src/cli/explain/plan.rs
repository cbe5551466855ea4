//! The server's plan of a text, for a role of the application's: planning evaluates functions that the
//! text or its tables name, so it is done with that role's rights, read-only, and rolled back.

use rewrite_rules::statements;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::control::client_role::{self, TempFunction};
use crate::control::connect;

/// The role's policies are part of its plans. A plan takes no time, but what it evaluates may.
const SETTINGS: &str = "SET LOCAL row_security = on; \
     SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL statement_timeout = '60s'";

/// A prepared statement has a plan without values for its parameters.
const PLAN: &str = "\
DECLARE count integer; \
BEGIN \
    EXECUTE 'PREPARE cf_explained AS ' || $1; \
    SELECT pg_catalog.cardinality(p.parameter_types) INTO count \
        FROM pg_catalog.pg_prepared_statements AS p WHERE p.name = 'cf_explained'; \
    RETURN QUERY EXECUTE 'EXPLAIN EXECUTE cf_explained' || CASE WHEN count > 0 \
        THEN '(' || pg_catalog.rtrim(pg_catalog.repeat('NULL, ', count), ', ') || ')' ELSE '' END; \
END";

/// The plan, or what the server has against the text.
pub(super) async fn of(url: &str, role: &str, sql: &str) -> anyhow::Result<String> {
    let sql = sql.trim_end().trim_end_matches(';');
    // A second one behind it would be run.
    match statements(sql) {
        Some(1) => {}
        Some(_) => return Ok("no plan: cannot insert multiple commands into one".to_owned()),
        None => return Ok("no plan: this is no SQL that Crossfade knows".to_owned()),
    }
    let client = connect(url, "explain").await?;
    let planned = planned(&client, role, sql).await;
    client_role::end(&client).await?;
    Ok(match planned {
        Ok(lines) => lines
            .iter()
            .map(|line| format!("plan    {line}"))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => {
            let said = error.as_db_error().map(|said| said.message().to_owned());
            format!("no plan: {}", said.unwrap_or_else(|| error.to_string()))
        }
    })
}

async fn planned(
    client: &Client,
    role: &str,
    sql: &str,
) -> Result<Vec<String>, tokio_postgres::Error> {
    if !client_role::begin(client, role, SETTINGS).await? {
        return Ok(vec![format!("none: this session cannot be {role}'s")]);
    }
    let plan = TempFunction {
        name: "cf_plan",
        arguments: "text",
        returns: "SETOF text",
        body: PLAN,
    };
    client_role::function(client, &plan).await?;
    client.batch_execute("SET TRANSACTION READ ONLY").await?;
    let rows = client
        .query_typed("SELECT * FROM pg_temp.cf_plan($1)", &[(&sql, Type::TEXT)])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
