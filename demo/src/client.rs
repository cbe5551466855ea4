//! The loop that both versions of the application run: connect, act, think, act again.
//! Knows that acts succeed or fail, not what they are.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::board::{Board, Side};

/// A client thinks this long between two acts: the demo shows a live application, not a load
/// test, and leaves room for the backfill on a machine with two cores.
const THINK: Duration = Duration::from_millis(4);
/// An act is a handful of statements on single rows; without an answer by then there is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two attempts to connect.
const RECONNECT: Duration = Duration::from_millis(200);

/// One connection of one version of the application, with what it has prepared.
pub trait Version: Sized + Send {
    const SIDE: Side;
    /// What the client knows, across connections.
    type Memory: Send;

    fn connect(url: &str) -> impl Future<Output = anyhow::Result<Self>> + Send;
    /// Does one thing a user would; yields how many statements it took.
    fn act(
        &mut self,
        memory: &mut Self::Memory,
        board: &Board,
    ) -> impl Future<Output = anyhow::Result<u64>> + Send;
    fn is_closed(&self) -> bool;
}

/// Runs until the board says stop. Every error is a trouble; none ends the loop.
pub async fn run<V: Version>(url: String, mut memory: V::Memory, board: Arc<Board>) {
    let mut connected: Option<V> = None;
    while !board.is_stopping() {
        let mut version = match connected.take().filter(|version| !version.is_closed()) {
            Some(version) => version,
            None => match V::connect(&url).await {
                Ok(version) => version,
                Err(error) => {
                    board.trouble(&format!("{:?} version, connecting: {error:#}", V::SIDE));
                    tokio::time::sleep(RECONNECT).await;
                    continue;
                }
            },
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, version.act(&mut memory, &board)).await {
            Ok(Ok(statements)) => {
                board.count(V::SIDE, statements);
                connected = Some(version);
            }
            Ok(Err(error)) => {
                board.trouble(&format!("{:?} version, {error:#}", V::SIDE));
                connected = Some(version);
            }
            Err(_elapsed) => board.trouble(&format!(
                "{:?} version: no answer within {} s",
                V::SIDE,
                ANSWER_TIMEOUT.as_secs()
            )),
        }
        tokio::time::sleep(THINK).await;
    }
}

/// A connection whose task ends with the client.
pub async fn connect(url: &str, application_name: &str) -> anyhow::Result<Client> {
    let mut config: tokio_postgres::Config = url.parse()?;
    config.application_name(application_name);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        // The client's next call reports the loss.
        let _lost = connection.await;
    });
    Ok(client)
}

/// Sends one statement by the simple protocol; yields the count of its command tag.
pub async fn simple(db: &Client, sql: &str) -> anyhow::Result<u64> {
    let messages = db
        .simple_query(sql)
        .await
        .with_context(|| format!("`{sql}`"))?;
    for message in messages {
        if let SimpleQueryMessage::CommandComplete(count) = message {
            return Ok(count);
        }
    }
    bail!("`{sql}` was not completed")
}

/// The same, with the first row's columns.
pub async fn simple_row(db: &Client, sql: &str) -> anyhow::Result<Vec<Option<String>>> {
    let messages = db
        .simple_query(sql)
        .await
        .with_context(|| format!("`{sql}`"))?;
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            return Ok((0..row.len())
                .map(|column| row.get(column).map(str::to_owned))
                .collect());
        }
    }
    bail!("`{sql}` yielded no row")
}
