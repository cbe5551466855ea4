//! One connection of the application, to either database, and an errand made on it from beginning to
//! end. What fails because others were at it as well is tried again, as applications do. Knows
//! nothing of the other side.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type};
use tokio_postgres::{Client, Statement};

use super::answer::Answer;
use super::words::Words;
use crate::client;
use crate::piece::{self, Errand};

/// Writers meet each other for milliseconds; what unified refuses (a row that refers to nobody) is told to be
/// tried again for as long as reads turn, which takes as long as a step.
const RETRY: Duration = Duration::from_millis(50);
/// An errand is a handful of statements on a few rows; without an answer by then there is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// An ORM keeps its statements; those with an errand's words in their texts do not come again.
const PREPARED_MAX: usize = 200;

pub struct Side {
    url: String,
    /// What both servers shall know the session by.
    name: &'static str,
    connected: Option<Connected>,
}

struct Connected {
    db: Client,
    prepared: HashMap<String, Statement>,
}

/// An errand as it went.
#[derive(Debug, Default)]
pub struct Made {
    /// One for each statement.
    pub answers: Vec<Answer>,
    /// How often something was tried again.
    pub retries: u64,
}

impl Side {
    #[must_use]
    pub fn new(url: String, name: &'static str) -> Self {
        Side {
            url,
            name,
            connected: None,
        }
    }

    /// Makes an errand; `words` learns what its statements keep.
    pub async fn make(&mut self, errand: &Errand, words: &mut Words) -> anyhow::Result<Made> {
        let made = tokio::time::timeout(ANSWER_TIMEOUT, self.attempts(errand, words)).await;
        let made = made.unwrap_or_else(|_elapsed| {
            bail!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
        });
        if made.is_err() {
            // Whatever state it is in, the next errand is not to find it.
            self.connected = None;
        }
        made
    }

    /// A query by the simple protocol.
    pub async fn ask(&mut self, sql: &str) -> anyhow::Result<Answer> {
        self.connected().await?.simple(sql).await
    }

    async fn connected(&mut self) -> anyhow::Result<&mut Connected> {
        if self
            .connected
            .as_ref()
            .is_none_or(|side| side.db.is_closed())
        {
            let db = client::connect(&self.url, self.name).await?;
            self.connected = Some(Connected {
                db,
                prepared: HashMap::new(),
            });
        }
        self.connected.as_mut().context("just connected")
    }

    async fn attempts(&mut self, errand: &Errand, words: &mut Words) -> anyhow::Result<Made> {
        let side = self.connected().await?;
        let mut made = Made::default();
        // Where the transaction that is open has begun.
        let mut begun = None;
        while made.answers.len() < errand.sql.len() {
            let statement = &errand.sql[made.answers.len()];
            let answer = side.send(statement, words).await?;
            if !is_passing(&answer) {
                match statement.text() {
                    "BEGIN" => begun = Some(made.answers.len()),
                    "COMMIT" | "ROLLBACK" => begun = None,
                    _ => {}
                }
                if let Some(value) = statement.keep().and_then(|name| answer.first(name)) {
                    words.keep(statement.keep().unwrap_or_default(), value);
                }
                made.answers.push(answer);
                continue;
            }
            made.retries += 1;
            // A transaction is over, and all of it is done again.
            if let Some(begin) = begun.take() {
                side.simple("ROLLBACK").await?;
                made.answers.truncate(begin);
            }
            tokio::time::sleep(RETRY).await;
        }
        Ok(made)
    }
}

/// What comes of others: a serialization failure, a deadlock; a statement that was read before the operator put another
/// sequence in the place of an identity's, and drew from it behind that.
fn is_passing(answer: &Answer) -> bool {
    match answer.sqlstate() {
        Some("40001" | "40P01") => true,
        Some("XX000") => answer.says("could not open relation with OID"),
        Some(_) | None => false,
    }
}

impl Connected {
    async fn send(
        &mut self,
        statement: &piece::Statement,
        words: &Words,
    ) -> anyhow::Result<Answer> {
        let text = words.fill(statement.text());
        match statement.parameters() {
            None => self.simple(&text).await,
            Some(parameters) => {
                let is_kept = text == statement.text();
                let filled = parameters.iter().map(|text| words.fill(text));
                self.bound(&text, &filled.collect::<Vec<String>>(), is_kept)
                    .await
            }
        }
    }

    async fn simple(&self, sql: &str) -> anyhow::Result<Answer> {
        match self.db.simple_query(sql).await {
            Ok(messages) => Ok(Answer::of_messages(&messages)),
            Err(error) => told(error, sql),
        }
    }

    async fn bound(
        &mut self,
        sql: &str,
        parameters: &[String],
        is_kept: bool,
    ) -> anyhow::Result<Answer> {
        let statement = match self.prepared.get(sql) {
            Some(statement) => statement.clone(),
            None => match self.db.prepare(sql).await {
                Ok(statement) => statement,
                Err(error) => return told(error, sql),
            },
        };
        if is_kept && self.prepared.len() < PREPARED_MAX {
            self.prepared.insert(sql.to_owned(), statement.clone());
        }
        let texts: Vec<Text> = parameters.iter().map(|text| Text(text)).collect();
        let values: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|text| text as _).collect();
        let asked = if statement.columns().is_empty() {
            let done = self.db.execute(&statement, &values).await;
            done.map(|count| (Vec::new(), count))
        } else {
            let rows = self.db.query(&statement, &values).await;
            rows.map(|rows| (rows, 0))
        };
        match asked {
            Ok((rows, count)) => Ok(Answer::of_rows(&statement, &rows, count)?),
            Err(error) => told(error, sql),
        }
    }
}

/// What the server says of a statement is an answer to it.
fn told(error: tokio_postgres::Error, sql: &str) -> anyhow::Result<Answer> {
    match Answer::of_error(&error) {
        Some(answer) => Ok(answer),
        None => Err(error).with_context(|| format!("`{sql}`")),
    }
}

/// A parameter in text format, whatever its type: so ORMs' drivers send them.
#[derive(Debug)]
struct Text<'a>(&'a str);

impl ToSql for Text<'_> {
    fn to_sql(
        &self,
        _type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        if self.0 == "NULL" {
            return Ok(IsNull::Yes);
        }
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_type: &Type) -> bool {
        true
    }

    fn encode_format(&self, _type: &Type) -> tokio_postgres::types::Format {
        tokio_postgres::types::Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
