//! What an operator does to the tables by hand, past the proxy, so that the legacy one can go.

use std::time::Duration;

use anyhow::Context;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// The application's statements hold these locks for milliseconds.
const ATTEMPTS_MAX: usize = 50;
const RETRY: Duration = Duration::from_millis(50);

/// Client profiles and requests refer to agents. Before legacy goes stale they must refer to
/// the unified rows, which have the same ids.
const REFER_TO_UNIFIED: &str = "\
ALTER TABLE client_profiles DROP CONSTRAINT client_profiles_iso_agent_id_fkey,
    ADD CONSTRAINT client_profiles_user_id_fkey
        FOREIGN KEY (iso_agent_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE requests DROP CONSTRAINT requests_iso_agent_id_fkey,
    ADD CONSTRAINT requests_user_id_fkey
        FOREIGN KEY (iso_agent_id) REFERENCES users ON DELETE CASCADE;";

/// Not dropped yet: a name that is gone is what `retired` needs, a copy is what operators like.
const PUT_AWAY: &str = "ALTER TABLE iso_agents RENAME TO iso_agents_until_yesterday;";

pub async fn refer_to_unified(db: &Client) -> anyhow::Result<()> {
    politely(db, REFER_TO_UNIFIED).await
}

pub async fn put_legacy_away(db: &Client) -> anyhow::Result<()> {
    politely(db, PUT_AWAY).await
}

/// Takes the locks only if they are free at once, well before a deadlock would be looked for:
/// where the operator and a client get in each other's way, the operator goes back.
async fn politely(db: &Client, sql: &str) -> anyhow::Result<()> {
    let sql = format!("BEGIN; SET LOCAL lock_timeout = '200ms'; {sql} COMMIT;");
    let mut attempt = 1;
    loop {
        match db.batch_execute(&sql).await {
            Ok(()) => return Ok(()),
            Err(error)
                if attempt < ATTEMPTS_MAX
                    && error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) =>
            {
                attempt += 1;
                db.batch_execute("ROLLBACK").await?;
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error).context("changing the tables"),
        }
    }
}
