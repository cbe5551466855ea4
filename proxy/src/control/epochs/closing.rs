//! The end of an epoch: who is still in it is waited for, its fence is locked and loses its name, and what that leaves is dropped.

use std::time::{Duration, Instant};

use rewrite_rules::lens::{quote_ident, quote_literal};
use rewrite_rules::{Epoch, fence};
use serde::Serialize;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::DOING;
use crate::control::drain::{self, Clock};
use crate::control::error::ControlError;
use crate::fault;

const CLOSING: &str = "closing of an epoch";
/// Whoever waits for a fence holds up those that come to name it; they and it take turns.
const FENCE_LOCK_TIMEOUT: &str = "200ms";

/// Who is in a migration's newest epoch now: transactions that hold its fence.
pub async fn holders(
    client: &Client,
    migration: &str,
    epoch: i64,
) -> Result<Vec<drain::Blocker>, ControlError> {
    drain::holders_of(client, &Epoch(epoch).table(migration).sql()).await
}

/// An epoch that was left, and is not closed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpenEpoch {
    pub epoch: i64,
    pub phase: String,
    /// The transactions that hold it open.
    pub holders: Vec<drain::Blocker>,
}

/// Those of a migration before its newest one, the oldest first.
pub async fn still_open(client: &Client, migration: &str) -> Result<Vec<OpenEpoch>, ControlError> {
    let rows = client
        .query(
            "SELECT epoch, phase FROM crossfade.epochs AS e WHERE migration = $1 AND closed_at IS NULL \
             AND EXISTS (SELECT FROM crossfade.epochs AS n WHERE n.migration = $1 AND n.epoch > e.epoch) \
             ORDER BY epoch",
            &[&migration],
        )
        .await
        .map_err(ControlError::sql(DOING))?;
    let mut open = Vec::new();
    for row in rows {
        let epoch: i64 = row.get(0);
        let fence = Epoch(epoch).table(migration).sql();
        open.push(OpenEpoch {
            epoch,
            phase: row.get(1),
            holders: drain::holders_of(client, &fence).await?,
        });
    }
    Ok(open)
}

/// How long the close of an epoch waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub timeout: Duration,
    /// The transactions that still hold it open after this are ended.
    pub terminate_after: Option<Duration>,
}

impl From<Duration> for Patience {
    fn from(timeout: Duration) -> Patience {
        Patience {
            timeout,
            terminate_after: None,
        }
    }
}

/// Closes every epoch of a migration but the newest: waits for the transactions that hold one open, whichever proxy they
/// came through.
pub async fn close(
    client: &Client,
    migration: &str,
    patience: impl Into<Patience>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    let patience = patience.into();
    let began = Instant::now();
    let mut clock = Clock::start(patience.timeout);
    loop {
        let open = still_open(client, migration).await?;
        let Some(first) = open.first() else {
            return Ok(());
        };
        if try_to_close(client, migration, Epoch(first.epoch)).await? {
            continue;
        }
        let fence = Epoch(first.epoch).table(migration).sql();
        let holders = drain::holders_of(client, &fence).await?;
        let holders = holders
            .iter()
            .map(|holder| format!("epoch {} is held open by {holder}", first.epoch));
        let waiting_for = holders.collect::<Vec<_>>().join("\n");
        if patience
            .terminate_after
            .is_some_and(|after| began.elapsed() >= after)
        {
            terminate(client, &fence, tell).await?;
        }
        clock.wait(&waiting_for, tell).await?;
    }
}

/// Ends the sessions whose transactions hold this fence, and tells of each. A prepared transaction has none: it is for its
/// owner to end.
async fn terminate(
    client: &Client,
    fence: &str,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ControlError> {
    for holder in drain::holders_of(client, fence).await? {
        let Some(pid) = holder.pid else {
            continue;
        };
        let ended = client
            .execute("SELECT pg_terminate_backend($1)", &[&pid])
            .await;
        match ended {
            Ok(_) => tell(&format!("ended: {holder}")),
            Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                tell(&format!(
                    "not ended, for that needs the role pg_signal_backend, and a superuser's session a superuser: {holder}"
                ))
            }
            Err(error) => {
                let doing = "end of the transactions of an epoch that is over";
                return Err(ControlError::sql(doing)(error));
            }
        }
    }
    Ok(())
}

/// Closes those that nobody holds open. For proxies, which see to it that none stays open whose command was killed.
pub async fn close_those_left(client: &Client, migration: &str) -> Result<(), ControlError> {
    for open in still_open(client, migration).await? {
        if !try_to_close(client, migration, Epoch(open.epoch)).await? {
            break;
        }
    }
    Ok(())
}

/// Whether it is closed: `false` while a transaction holds it open.
async fn try_to_close(
    client: &Client,
    migration: &str,
    epoch: Epoch,
) -> Result<bool, ControlError> {
    let sql = || ControlError::sql(CLOSING);
    fault::point("epoch: closing");
    let closes = closes(&epoch.schema(migration), &epoch.to_string());
    let renamed = client
        .batch_execute(&format!("BEGIN; {closes}; COMMIT"))
        .await;
    if let Err(error) = renamed {
        client.batch_execute("ROLLBACK").await.map_err(sql())?;
        match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::T_R_DEADLOCK_DETECTED) => {
                return Ok(false);
            }
            // Closed by somebody else.
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => {}
            _ => return Err(sql()(error)),
        }
    }
    fault::point(fault::RENAMED);
    client
        .execute(
            "UPDATE crossfade.epochs SET closed_at = clock_timestamp() \
             WHERE migration = $1 AND epoch = $2 AND closed_at IS NULL",
            &[&migration, &epoch.0],
        )
        .await
        .map_err(sql())?;
    sweep(client).await?;
    Ok(true)
}

/// Drops what closed epochs have left, unless somebody still looks at it, as pg_dump does.
pub async fn sweep(client: &Client) -> Result<(), ControlError> {
    let sql = || ControlError::sql(CLOSING);
    let table = fence::TABLE;
    for schema in closed_schemas(client).await? {
        // Without CASCADE: what is not ours is not lost.
        let dropped = client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL lock_timeout = '{FENCE_LOCK_TIMEOUT}'; DROP TABLE {schema}.{table}; \
                 DROP FUNCTION IF EXISTS {schema}.{}(); DROP SCHEMA {schema}; COMMIT",
                fence::IN_STEP
            ))
            .await;
        if let Err(error) = dropped {
            client.batch_execute("ROLLBACK").await.map_err(sql())?;
            match error.code() {
                Some(
                    &SqlState::LOCK_NOT_AVAILABLE
                    | &SqlState::INVALID_SCHEMA_NAME
                    | &SqlState::UNDEFINED_TABLE
                    | &SqlState::DEPENDENT_OBJECTS_STILL_EXIST
                    | &SqlState::T_R_DEADLOCK_DETECTED,
                ) => {}
                _ => return Err(sql()(error)),
            }
        }
    }
    Ok(())
}

/// Closed epochs that are not gone.
pub async fn not_swept(client: &Client) -> Result<usize, ControlError> {
    Ok(closed_schemas(client).await?.len())
}

async fn closed_schemas(client: &Client) -> Result<Vec<String>, ControlError> {
    let closed = fence::CLOSED;
    let left = client
        .query(
            &format!(
                "SELECT quote_ident(n.nspname) FROM pg_namespace AS n \
                 WHERE n.nspname ~ '^{closed}[0-9]+_[0-9a-f]{{32}}$' AND {IS_OURS}"
            ),
            &[],
        )
        .await
        .map_err(ControlError::sql(CLOSING))?;
    Ok(left.iter().map(|row| row.get(0)).collect())
}

/// Whether a schema (`n`) is one that this role, or one it stands for, has made: a superuser is a member of every role, and
/// is not to touch what others have called so.
const IS_OURS: &str = "EXISTS (SELECT FROM pg_roles AS o, pg_roles AS me WHERE o.oid = n.nspowner \
     AND me.rolname = current_user AND (o.oid = me.oid OR me.rolsuper AND o.rolsuper \
     OR NOT me.rolsuper AND pg_has_role(o.oid, 'USAGE')))";

/// Closes fences of which `crossfade.epochs` says nothing: of a schema `crossfade` that was dropped, whose proxies may
/// still serve by them. In a transaction of the caller's.
pub(super) async fn close_strangers(client: &Client) -> Result<(), ControlError> {
    let strangers = client
        .query(
            &format!(
                "SELECT n.nspname::text, substring(n.nspname FROM '^{}([0-9]+)_') FROM pg_namespace AS n \
                 JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = '{}' AND c.relkind = 'r' AND c.relnatts = 0 \
                 WHERE n.nspname ~ '^{}[0-9]+_' AND {IS_OURS} \
                 AND substring(n.nspname FROM '^{}([0-9]+)_')::numeric NOT IN (SELECT epoch FROM crossfade.epochs)",
                fence::OPEN,
                fence::TABLE,
                fence::OPEN,
                fence::OPEN
            ),
            &[],
        )
        .await
        .map_err(ControlError::sql(CLOSING))?;
    for row in strangers {
        let (schema, number): (String, String) = (row.get(0), row.get(1));
        let table = format!("{}.{}", quote_ident(&schema), fence::TABLE);
        let holders = drain::holders_of(client, &table).await?;
        if !holders.is_empty() {
            let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
            return Err(ControlError::Refused(format!(
                "a schema crossfade was dropped while transactions ran by its rules, which are not over yet: {}",
                holders.join("; ")
            )));
        }
        client
            .batch_execute(&closes(&schema, &number))
            .await
            .map_err(ControlError::sql(CLOSING))?;
    }
    Ok(())
}

/// Locks a fence against those that come, and takes its name away. Nobody can have taken the new one before.
fn closes(schema: &str, number: &str) -> String {
    let (open, table) = (quote_ident(schema), fence::TABLE);
    let (old, new) = (
        quote_literal(schema),
        quote_literal(&format!("{}{number}_", fence::CLOSED)),
    );
    format!(
        "SET LOCAL lock_timeout = '{FENCE_LOCK_TIMEOUT}'; LOCK TABLE {open}.{table} IN EXCLUSIVE MODE; \
         DO $crossfade$ BEGIN EXECUTE format('ALTER SCHEMA %I RENAME TO %I', {old}, {new} || replace(gen_random_uuid()::text, '-', '')); \
         END $crossfade$; SET LOCAL lock_timeout TO DEFAULT"
    )
}
