//! The server's plan of a text, in a transaction that is rolled back: nothing is run.

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::control::connect;

/// The plan, or what the server has against the text.
pub(super) async fn of(url: &str, sql: &str) -> anyhow::Result<String> {
    let client = connect(url, "explain").await?;
    client.batch_execute("BEGIN").await?;
    let planned = planned(&client, sql).await;
    client.batch_execute("ROLLBACK").await?;
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

/// A prepared statement has a plan without values for its parameters.
async fn planned(client: &Client, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let sql = sql.trim_end().trim_end_matches(';');
    client
        .batch_execute("SET LOCAL plan_cache_mode = force_generic_plan")
        .await?;
    // By the extended protocol, which takes one statement: a second one behind it would be run.
    client
        .execute(&format!("PREPARE cf_explained AS {sql}"), &[])
        .await?;
    let count: i32 = client
        .query_one(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements \
             WHERE name = 'cf_explained'",
            &[],
        )
        .await?
        .get(0);
    let nulls = vec!["NULL"; usize::try_from(count).unwrap_or(0)];
    let values = if nulls.is_empty() {
        String::new()
    } else {
        format!("({})", nulls.join(", "))
    };
    let rows = client
        .simple_query(&format!("EXPLAIN EXECUTE cf_explained{values}"))
        .await?;
    Ok(rows
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect())
}
