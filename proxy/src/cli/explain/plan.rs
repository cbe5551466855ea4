//! The server's plan of what a statement becomes, line by line.

use crate::control::connect;
use crate::plans::ask;

/// The plan, or what the server has against the text.
pub(super) async fn of(url: &str, role: &str, sql: &str) -> anyhow::Result<String> {
    let client = connect(url, "explain").await?;
    Ok(match ask::as_text(&client, role, sql).await? {
        Ok(lines) => {
            let lines = lines.iter().map(|line| format!("plan    {line}"));
            lines.collect::<Vec<_>>().join("\n")
        }
        Err(no_plan) => format!("no plan: {no_plan}"),
    })
}
