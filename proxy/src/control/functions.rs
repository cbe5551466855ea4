//! Which functions bear names of PostgreSQL's own.

use rewrite_rules::{Namesake, Namesakes};
use tokio_postgres::Client;

use super::error::ControlError;

/// The names, and whether one of those who bear them may give something else each time.
const NAMESAKES: &str = "\
SELECT p.proname::text, bool_or(p.provolatile = 'v' OR p.prokind <> 'f') FROM pg_catalog.pg_proc AS p \
WHERE p.pronamespace <> 'pg_catalog'::regnamespace AND p.proname IN (SELECT c.proname FROM pg_catalog.pg_proc AS c \
WHERE c.pronamespace = 'pg_catalog'::regnamespace) GROUP BY 1";

pub async fn namesakes(client: &Client) -> Result<Namesakes, ControlError> {
    let rows = client
        .query(NAMESAKES, &[])
        .await
        .map_err(ControlError::sql(
            "list of functions with names of PostgreSQL's",
        ))?;
    Ok(Namesakes::known(rows.iter().map(|row| {
        let namesake = Namesake {
            volatile: row.get(1),
        };
        (row.get(0), namesake)
    })))
}
