//! One chunk: a range of legacy rows locked, put, and noted as done, in one transaction.
//!
//! Rows that cannot be put are found by halving, each half behind a savepoint, and set aside in
//! the ledger; the rest goes on. Nearly every chunk has none, so it is tried whole and without
//! savepoints first, in as few round trips as can be.

use futures_util::future::join;
use rewrite_rules::Lens;
use rewrite_rules::lens::KeyRange;
use serde_json::Value;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use super::advance::{Advance, Note};
use super::parts::KeyPart;
use super::state::{CopyDirection, Counts};
use crate::control::hold::Hold;
use crate::control::{ControlError, ledger};
use crate::pace::CHUNK_ROWS_MAX;

/// The statements of one table's chunks, prepared once.
pub struct Chunks<'a> {
    lens: &'a Lens,
    hold: Option<&'a Hold<'a>>,
    first: ChunkWalk,
    next: ChunkWalk,
    copy_one: Ranged,
    advance: Advance,
    lock_timeout: String,
}

struct ChunkWalk {
    end: Ranged,
    keys: Ranged,
    copy: Ranged,
}

/// A statement over a range of keys, planned for each range: a plan for any range cannot know how few rows this
/// one has. The lens's functions that it calls keep their plans from row to row, which `plan_cache_mode` would not
/// let them.
struct Ranged {
    sql: String,
    types: Vec<Type>,
}

impl Ranged {
    async fn prepare(client: &Client, sql: String) -> Result<Ranged, ControlError> {
        let statement = client
            .prepare(&sql)
            .await
            .map_err(ControlError::sql("preparation of the chunks"))?;
        Ok(Ranged {
            types: statement.params().to_vec(),
            sql,
        })
    }

    fn typed<'p>(
        &self,
        parameters: Vec<&'p (dyn ToSql + Sync)>,
    ) -> Vec<(&'p (dyn ToSql + Sync), Type)> {
        parameters
            .into_iter()
            .zip(self.types.iter().cloned())
            .collect()
    }
}

/// Has what is deferred looked at, by the row or the chunk that caused it: at COMMIT nobody could tell which
/// row it was, and all would be lost.
const LOOK_NOW: &str = "SET CONSTRAINTS ALL IMMEDIATE";
/// For the rows to come, which may refer to each other.
const LOOK_LATER: &str = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED";

const BEGIN: &str = "begin of a chunk";

/// A chunk that is in.
#[derive(Clone, Debug)]
pub struct Copied {
    pub last_key: Value,
    pub counts: Counts,
}

/// What came of a chunk that was tried whole.
enum Whole {
    Copied(Copied),
    /// No row is left in the range.
    NoMore,
    /// Some row of it cannot be put.
    NotAll {
        through: Value,
    },
}

impl<'a> Chunks<'a> {
    /// Without a hold for trials that are taken back, and for nothing else.
    pub async fn prepare(
        client: &Client,
        lens: &'a Lens,
        direction: CopyDirection,
        hold: Option<&'a Hold<'a>>,
    ) -> Result<Self, ControlError> {
        let copy_of = |range| match direction {
            CopyDirection::LegacyToUnified => lens.copy(range),
            CopyDirection::UnifiedToLegacy => lens.copy_back(range),
        };
        let walk = async |range| {
            let (end, keys) = match direction {
                CopyDirection::LegacyToUnified => (lens.chunk_end(range), lens.keys(range)),
                CopyDirection::UnifiedToLegacy => {
                    (lens.unified_chunk_end(range), lens.unified_keys(range))
                }
            };
            Ok::<_, ControlError>(ChunkWalk {
                end: Ranged::prepare(client, end).await?,
                keys: Ranged::prepare(client, keys).await?,
                copy: Ranged::prepare(client, copy_of(range)).await?,
            })
        };
        // Whoever waits for a lock longer than deadlock_timeout looks for a deadlock and is the
        // one to fail. We give up earlier, so that it is never the application's transaction.
        let row = client
            .query_one(
                "SELECT greatest(setting::bigint / 2, 10) FROM pg_settings \
                 WHERE name = 'deadlock_timeout'",
                &[],
            )
            .await
            .map_err(ControlError::sql("preparation of the chunks"))?;
        Ok(Chunks {
            lens,
            hold,
            first: walk(KeyRange::Through).await?,
            next: walk(KeyRange::AfterThrough).await?,
            copy_one: Ranged::prepare(client, copy_of(KeyRange::One)).await?,
            advance: Advance::prepare(client).await?,
            lock_timeout: format!("SET LOCAL lock_timeout = {}", row.get::<_, i64>(0)),
        })
    }

    /// Copies the next rows of a range, at most about `rows`. `None`: there are no more.
    pub async fn copy(
        &self,
        client: &mut Client,
        run: &str,
        part: &KeyPart,
        rows: i64,
    ) -> Result<Option<Copied>, ControlError> {
        let (after, highest) = (part.last_key.as_ref(), &part.highest_key);
        let note = Note {
            lens: self.lens,
            run,
            part: part.number,
            chunk_rows: rows,
        };
        let end = match self.whole(client, &note, after, highest).await {
            Ok(Whole::Copied(copied)) => return Ok(Some(copied)),
            Ok(Whole::NoMore) => return self.rolled_back(client).await.map(|()| None),
            Ok(Whole::NotAll { through }) => {
                self.rolled_back(client).await?;
                through
            }
            Err(error) => {
                // The first error counts; if this one fails, the connection is gone.
                let _ = self.rolled_back(client).await;
                return Err(error);
            }
        };
        let mut transaction = self.begin(client).await?;
        let counts = self.halves(&mut transaction, after, &end).await?;
        self.advance.to(&transaction, &note, &end, counts).await?;
        transaction
            .commit()
            .await
            .map_err(ControlError::sql("commit of a chunk"))?;
        Ok(Some(Copied {
            last_key: end,
            counts,
        }))
    }

    /// A chunk in one piece. Unless it was copied, its transaction is still to be rolled back.
    async fn whole(
        &self,
        client: &Client,
        note: &Note<'_>,
        after: Option<&Value>,
        highest: &Value,
    ) -> Result<Whole, ControlError> {
        let walk = self.walk(after);
        // What the lens's functions keep was planned for tables as small as they were a chunk ago.
        let locked = match self.hold {
            Some(hold) => hold.begins_with(client).await?,
            None => String::new(),
        };
        let begin = format!(
            "DISCARD PLANS; START TRANSACTION ISOLATION LEVEL READ COMMITTED; {}; {locked}",
            self.lock_timeout
        );
        // Both are on their way before the first answer comes.
        let (begun, end) = join(
            client.batch_execute(&begin),
            client.query_typed_opt(
                &walk.end.sql,
                &walk
                    .end
                    .typed(parameters(after, highest, Some(&note.chunk_rows))),
            ),
        )
        .await;
        begun.map_err(|error| self.failed(error))?;
        let end = end.map_err(ControlError::sql("look for a chunk's end"))?;
        let Some(end) = end.map(|row| row.get::<_, Value>(0)) else {
            return Ok(Whole::NoMore);
        };
        let copied = client
            .query_typed_one(
                &walk.copy.sql,
                &walk.copy.typed(parameters(after, &end, None)),
            )
            .await;
        let counts = match copied {
            Ok(row) => counts_in(&row),
            Err(error) if RowFailure::of(&error).is_some() => {
                return Ok(Whole::NotAll { through: end });
            }
            Err(error) => return Err(ControlError::sql("copy of a chunk")(error)),
        };
        match client.batch_execute(LOOK_NOW).await {
            Ok(()) => {}
            Err(error) if RowFailure::of(&error).is_some() => {
                return Ok(Whole::NotAll { through: end });
            }
            Err(error) => return Err(ControlError::sql("copy of a chunk")(error)),
        }
        self.advance.to(client, note, &end, counts).await?;
        client
            .batch_execute("COMMIT")
            .await
            .map_err(ControlError::sql("commit of a chunk"))?;
        Ok(Whole::Copied(Copied {
            last_key: end,
            counts,
        }))
    }

    async fn rolled_back(&self, client: &Client) -> Result<(), ControlError> {
        client
            .batch_execute("ROLLBACK")
            .await
            .map_err(ControlError::sql("end of a chunk"))
    }

    fn walk(&self, after: Option<&Value>) -> &ChunkWalk {
        if after.is_some() {
            &self.next
        } else {
            &self.first
        }
    }

    /// Puts one key of the ledger again; its counts are zero when legacy has no such row.
    pub async fn copy_one(&self, client: &mut Client, key: &Value) -> Result<Counts, ControlError> {
        let mut transaction = self.begin(client).await?;
        let counts = match savepoint(&mut transaction, &self.copy_one, vec![key]).await? {
            Ok(counts) => counts,
            Err(failure) => failure.set_aside(&transaction, self.lens, key).await?,
        };
        transaction
            .commit()
            .await
            .map_err(ControlError::sql("commit of a row"))?;
        Ok(counts)
    }

    /// Puts one key of the ledger again, where nothing may be recorded: what fails stays as it is in the ledger.
    pub async fn settle_one(
        &self,
        client: &mut Client,
        key: &Value,
    ) -> Result<Counts, ControlError> {
        let mut transaction = self.begin(client).await?;
        let Ok(counts) = savepoint(&mut transaction, &self.copy_one, vec![key]).await? else {
            return Ok(Counts::default());
        };
        transaction
            .commit()
            .await
            .map_err(ControlError::sql("commit of a row"))?;
        Ok(counts)
    }

    /// The way back, tried in a transaction that is rolled back: legacy rows that are `gone` from
    /// unified are removed, as they would be first, and others put. Tells which are refused, and why.
    pub async fn refused(
        &self,
        client: &mut Client,
        gone: Vec<Value>,
        keys: &[Value],
    ) -> Result<Vec<(Value, String)>, ControlError> {
        let mut transaction = self.begin(client).await?;
        let mut refused = Vec::new();
        let sql = || ControlError::sql("trial of a removal");
        let trial = transaction.savepoint("cf_gone").await.map_err(sql())?;
        let (remove, gone) = (self.lens.remove_stale_legacy_of(), Value::Array(gone));
        match trial.execute(&remove, &[&gone]).await {
            Ok(_) => trial.commit().await.map_err(sql())?,
            // What other tables have that refers to them would go before.
            Err(error) if RowFailure::of(&error).is_some() => {
                trial.rollback().await.map_err(sql())?
            }
            Err(error) => return Err(sql()(error)),
        }
        for key in keys {
            if let Err(failure) = savepoint(&mut transaction, &self.copy_one, vec![key]).await? {
                refused.push((key.clone(), failure.reason));
            }
        }
        transaction
            .rollback()
            .await
            .map_err(ControlError::sql("end of the trial"))?;
        Ok(refused)
    }

    async fn begin<'c>(&self, client: &'c mut Client) -> Result<Transaction<'c>, ControlError> {
        let locked = match self.hold {
            Some(hold) => hold.begins_with(client).await?,
            None => String::new(),
        };
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted)
            .start()
            .await
            .map_err(ControlError::sql(BEGIN))?;
        let begun = format!("{}; {locked}", self.lock_timeout);
        let begun = transaction.batch_execute(&begun);
        begun.await.map_err(|error| self.failed(error))?;
        Ok(transaction)
    }

    fn failed(&self, error: tokio_postgres::Error) -> ControlError {
        match self.hold {
            Some(hold) => hold.failed(error, BEGIN),
            None => ControlError::sql(BEGIN)(error),
        }
    }

    async fn attempt(
        &self,
        transaction: &mut Transaction<'_>,
        after: Option<&Value>,
        through: &Value,
    ) -> Result<Result<Counts, RowFailure>, ControlError> {
        let parameters = parameters(after, through, None);
        savepoint(transaction, &self.walk(after).copy, parameters).await
    }

    /// Halves the range until every row that fails stands alone.
    async fn halves(
        &self,
        transaction: &mut Transaction<'_>,
        after: Option<&Value>,
        end: &Value,
    ) -> Result<Counts, ControlError> {
        let walk = self.walk(after);
        let mut keys: Vec<Value> = transaction
            .query_typed(
                &walk.keys.sql,
                &walk
                    .keys
                    .typed(parameters(after, end, Some(&CHUNK_ROWS_MAX))),
            )
            .await
            .map_err(ControlError::sql("list of a chunk's keys"))?
            .iter()
            .map(|row| row.get(0))
            .collect();
        // The row at the end may be gone by now; the range must be covered all the same.
        if keys.last() != Some(end) {
            keys.push(end.clone());
        }
        let mut counts = Counts::default();
        let middle = keys.len() / 2;
        // Later half first, so that rows are locked in the order of the key.
        let mut pieces = vec![(middle, keys.len()), (0, middle)];
        while let Some((from, to)) = pieces.pop() {
            if from == to {
                continue;
            }
            let after = if from == 0 {
                after
            } else {
                Some(&keys[from - 1])
            };
            let last = &keys[to - 1];
            match self.attempt(transaction, after, last).await? {
                Ok(more) => counts += more,
                Err(failure) if to - from == 1 => {
                    counts += failure.set_aside(transaction, self.lens, last).await?;
                }
                Err(_failure) => {
                    let middle = from + (to - from) / 2;
                    pieces.push((middle, to));
                    pieces.push((from, middle));
                }
            }
        }
        Ok(counts)
    }
}

fn parameters<'p>(
    after: Option<&'p Value>,
    through: &'p Value,
    limit: Option<&'p i64>,
) -> Vec<&'p (dyn ToSql + Sync)> {
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(3);
    if let Some(after) = after {
        parameters.push(after);
    }
    parameters.push(through);
    if let Some(limit) = limit {
        parameters.push(limit);
    }
    parameters
}

/// The answer of a copy.
fn counts_in(row: &Row) -> Counts {
    Counts {
        rows: row.get(0),
        put: row.get(1),
        set_aside: 0,
        settled: row.get(2),
    }
}

/// Runs a copy behind a savepoint: a row's failure is an answer, anything else an error.
async fn savepoint(
    transaction: &mut Transaction<'_>,
    copy: &Ranged,
    parameters: Vec<&(dyn ToSql + Sync)>,
) -> Result<Result<Counts, RowFailure>, ControlError> {
    let sql = || ControlError::sql("copy of a chunk");
    let savepoint = transaction.savepoint("cf_chunk").await.map_err(sql())?;
    let copied = match savepoint
        .query_typed_one(&copy.sql, &copy.typed(parameters))
        .await
    {
        Ok(row) => savepoint.batch_execute(LOOK_LATER).await.map(|()| row),
        Err(error) => Err(error),
    };
    match copied {
        Ok(row) => {
            savepoint.commit().await.map_err(sql())?;
            Ok(Ok(counts_in(&row)))
        }
        Err(error) => match RowFailure::of(&error) {
            Some(failure) => {
                savepoint.rollback().await.map_err(sql())?;
                Ok(Err(failure))
            }
            None => Err(sql()(error)),
        },
    }
}

/// Why a row cannot be put: the row's fault, not the server's and not the mapping's.
pub(crate) struct RowFailure {
    pub reason: String,
    pub sqlstate: String,
}

impl RowFailure {
    /// Classes: 22 data (a phone too long, an unmapped value), 23 constraints, 44 WITH CHECK
    /// OPTION, 54 limits (an index row too large), P0 what triggers raise.
    pub(crate) fn of(error: &tokio_postgres::Error) -> Option<RowFailure> {
        let db = error.as_db_error()?;
        let class = db.code().code().get(..2)?;
        let at_fault = ["22", "23", "44", "54", "P0"].contains(&class);
        at_fault.then(|| RowFailure {
            reason: match db.detail() {
                Some(detail) => format!("{}: {detail}", db.message()),
                None => db.message().to_owned(),
            },
            sqlstate: db.code().code().to_owned(),
        })
    }

    async fn set_aside(
        self,
        transaction: &Transaction<'_>,
        lens: &Lens,
        key: &Value,
    ) -> Result<Counts, ControlError> {
        ledger::set_aside(transaction, lens, key, &self.reason, &self.sqlstate).await?;
        Ok(Counts {
            rows: 1,
            set_aside: 1,
            ..Counts::default()
        })
    }
}
