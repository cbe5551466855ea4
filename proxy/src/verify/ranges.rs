//! Verify by ranges of the key, each in a snapshot of its own: it can be interrupted and taken up
//! again, and go on for ever at a low rate.
//!
//! Within a range both sides are seen in one snapshot, so a difference is one. What is not seen is a
//! row that a range has passed when it changes; the verify counts as old as its first range.

use std::time::{Duration, Instant};

use rewrite_rules::lens::{Disagreement, KeyRange};
use rewrite_rules::{Lens, Migration, RuleSet};
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};

use super::report::{ColumnCount, SampleRow, TableReport, VerifyReport};
use super::{record, unified_tables};
use crate::control::{
    Control, ControlError, alone, around, connect, events, flush_counters, named, schema, shown,
    snapshot,
};
use crate::pace::{self, Pace};

#[derive(Clone, Copy, Debug)]
pub struct RangeOptions {
    pub samples_max: u32,
    /// From the lowest key, whatever was compared before.
    pub restart: bool,
    /// Legacy rows compared in a second.
    pub rows_per_second_max: Option<i64>,
    /// Begin again at the end, until it is ended from outside.
    pub continuous: bool,
}

const DOING: &str = "comparison of a range";
/// Rows of the first range: a hundredth of a second's work.
const ROWS_START: i64 = 2_000;
/// Between two lines about how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A pass over a small table must not be followed by the next one at once.
const PASS_MIN: Duration = Duration::from_secs(1);

/// Between attempts to connect again: longer each time.
const REOPEN_MIN: Duration = Duration::from_millis(250);
const REOPEN_MAX: Duration = Duration::from_secs(30);

/// One pass, or pass after pass; each is recorded at its end. Returns the last one's report.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    name: &str,
    options: &RangeOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<VerifyReport, ControlError> {
    let migration = named::find(rules, name)?;
    let mut client = open(url, name).await?;
    if options.restart {
        forget(&client, name).await?;
    }
    let mut was_clean = None;
    loop {
        let begun = Instant::now();
        let report = match recorded_pass(&mut client, migration, options, tell).await {
            Ok(report) => report,
            // The server's answer may come before its connection ends: asking it tells.
            Err(error) if options.continuous && client.batch_execute("").await.is_err() => {
                tell(&format!("{error}; goes on when the server is back"));
                client = reopen(url, name).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        // Pass after pass that finds the same is one event.
        if was_clean != Some(report.clean) {
            events::note(&client, name, "verify", &record::summary(&report)).await?;
        }
        was_clean = Some(report.clean);
        if !options.continuous {
            return Ok(report);
        }
        tell(&report.to_string());
        tokio::time::sleep(PASS_MIN.saturating_sub(begun.elapsed())).await;
    }
}

async fn open(url: &str, name: &str) -> Result<Control, ControlError> {
    let client = connect(url, "verify").await?;
    schema::must_be_prepared(&client).await?;
    alone(&client, "verify by ranges", name).await?;
    Ok(client)
}

/// Tries until the server lets us in again: who watches over a migration outlives its restarts.
async fn reopen(url: &str, name: &str) -> Result<Control, ControlError> {
    let mut wait = REOPEN_MIN;
    loop {
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(REOPEN_MAX);
        match open(url, name).await {
            Err(ControlError::Connect(_)) => {}
            opened => return opened,
        }
    }
}

async fn recorded_pass(
    client: &mut Client,
    migration: &Migration,
    options: &RangeOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<VerifyReport, ControlError> {
    let report = pass(client, migration, options, tell).await?;
    record::add(client, migration, &report).await?;
    forget(client, &migration.name).await?;
    Ok(report)
}

async fn forget(client: &Client, name: &str) -> Result<(), ControlError> {
    client
        .execute(
            "DELETE FROM crossfade.verify_progress WHERE migration = $1",
            &[&name],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of the verify's progress"))
}

async fn pass(
    client: &mut Client,
    migration: &Migration,
    options: &RangeOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<VerifyReport, ControlError> {
    let mut report = VerifyReport::of(&migration.name, String::new());
    for lens in &migration.tables {
        must_be_in_one_order(client, lens).await?;
        let (started_at, table) = table(client, lens, options, tell).await?;
        // The server writes times of one zone so that they sort as texts.
        if report.snapshot_at.is_empty() || started_at < report.snapshot_at {
            report.snapshot_at = started_at;
        }
        report.push(table);
    }
    Ok(report)
}

/// A range must be the same rows on both sides: texts that are ordered differently are not.
pub(crate) async fn must_be_in_one_order(client: &Client, lens: &Lens) -> Result<(), ControlError> {
    for column in lens.key_columns() {
        let base = column.sql_type.split('(').next().unwrap_or_default().trim();
        let is_text = [
            "text",
            "varchar",
            "character varying",
            "character",
            "char",
            "bpchar",
        ]
        .contains(&base.to_ascii_lowercase().as_str());
        if !is_text {
            continue;
        }
        let key = rewrite_rules::lens::quote_ident(&column.name);
        let row = client
            .query_opt(
                &format!(
                    "SELECT pg_collation_for(u.{key}), (SELECT pg_collation_for(l.{key}) FROM {} AS l \
                     LIMIT 1) FROM ({}) AS u LIMIT 1",
                    lens.legacy,
                    lens.read()
                ),
                &[],
            )
            .await
            .map_err(ControlError::sql(DOING))?;
        let orders: Option<(Option<String>, Option<String>)> =
            row.map(|row| (row.get(0), row.get(1)));
        if let Some((Some(unified), Some(legacy))) = orders
            && unified != legacy
        {
            return Err(ControlError::Refused(format!(
                "{key} of {} is ordered by {legacy}, that of the unified side by {unified}: ranges of it \
                 are not the same rows; verify as a whole",
                shown(&lens.legacy.sql())
            )));
        }
    }
    Ok(())
}

/// How far a table is.
struct TableProgress {
    started_at: String,
    last_key: Option<Value>,
    done: bool,
    rows: i64,
    samples: Vec<Value>,
}

async fn table(
    client: &mut Client,
    lens: &Lens,
    options: &RangeOptions,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<(String, TableReport), ControlError> {
    let name = shown(&lens.legacy.sql());
    if forget_other_rules(client, lens).await? {
        tell(&format!(
            "{name}: its rules have changed since; begins anew"
        ));
    }
    let mut progress = begin(client, lens).await?;
    if progress.last_key.is_some() && !progress.done {
        tell(&format!(
            "{name}: goes on after {} rows that were compared since {}",
            progress.rows, progress.started_at
        ));
    }
    let mut pace = Pace::start(ROWS_START);
    let mut told = Instant::now();
    while !progress.done {
        let begun = Instant::now();
        let before = progress.rows;
        let rows = pace.throttled_rows(options.rows_per_second_max);
        range(client, lens, &mut progress, rows, options.samples_max).await?;
        let took = begun.elapsed();
        if progress.rows - before >= rows {
            pace.took(took);
        }
        if told.elapsed() >= TELL_EVERY {
            tell(&format!("{name}: {} rows compared", progress.rows));
            told = Instant::now();
        }
        let least = pace::rest(progress.rows - before, options.rows_per_second_max);
        tokio::time::sleep(least.saturating_sub(took)).await;
    }
    Ok((progress.started_at, outcome(client, lens).await?))
}

/// What ranges were found to be under other rules says nothing of these.
async fn forget_other_rules(client: &Client, lens: &Lens) -> Result<bool, ControlError> {
    let forgotten = client
        .execute(
            "DELETE FROM crossfade.verify_progress WHERE migration = $1 AND legacy_table = $2 \
             AND rules_hash IS DISTINCT FROM md5($3)",
            &[&lens.migration, &lens.legacy.sql(), &record::compared(lens)],
        )
        .await
        .map_err(ControlError::sql("note of the verify's progress"))?;
    Ok(forgotten > 0)
}

async fn begin(client: &Client, lens: &Lens) -> Result<TableProgress, ControlError> {
    let columns = vec![0_i64; lens.compared_columns().count()];
    let row = client
        .query_one(
            "INSERT INTO crossfade.verify_progress AS p (migration, legacy_table, columns, rules_hash) \
             VALUES ($1, $2, $3, md5($4)) ON CONFLICT (migration, legacy_table) DO UPDATE \
             SET columns = p.columns \
             RETURNING started_at::text, last_key, done, legacy_rows, samples",
            &[
                &lens.migration,
                &lens.legacy.sql(),
                &columns,
                &record::compared(lens),
            ],
        )
        .await
        .map_err(ControlError::sql("note of the verify's progress"))?;
    let samples: Value = row.get(4);
    Ok(TableProgress {
        started_at: row.get(0),
        last_key: row.get(1),
        done: row.get(2),
        rows: row.get(3),
        samples: samples.as_array().cloned().unwrap_or_default(),
    })
}

/// The next range, and the note that it is done.
async fn range(
    client: &mut Client,
    lens: &Lens,
    progress: &mut TableProgress,
    rows: i64,
    samples_max: u32,
) -> Result<(), ControlError> {
    let sql = || ControlError::sql(DOING);
    let transaction = snapshot(client, DOING).await?;
    transaction
        .batch_execute("SET TRANSACTION READ ONLY")
        .await
        .map_err(sql())?;
    let after = progress.last_key.clone();
    let rest = match after {
        None => KeyRange::All,
        Some(_) => KeyRange::After,
    };
    let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
    if let Some(after) = &after {
        parameters.push(after);
    }
    parameters.push(&rows);
    let end = transaction
        .query_opt(&lens.chunk_end(rest), &parameters)
        .await
        .map_err(sql())?
        .map(|row| row.get::<_, Value>(0));
    parameters.pop();
    let range = match (&after, &end) {
        // What unified has above the highest legacy key.
        (_, None) => rest,
        (None, Some(_)) => KeyRange::Through,
        (Some(_), Some(_)) => KeyRange::AfterThrough,
    };
    parameters.extend(end.iter().map(|end| end as &(dyn ToSql + Sync)));
    let counts = transaction
        .query_one(&lens.count_disagreements_in(range), &parameters)
        .await
        .map_err(sql())?;
    let left = (samples_max as usize).saturating_sub(progress.samples.len());
    let more = samples(&transaction, lens, range, &parameters, &counts, left).await?;
    progress.samples.extend(more);
    let own = around::own_scans(&transaction, &lens.legacy.sql()).await?;
    flush_counters(&transaction).await?;
    transaction.commit().await.map_err(sql())?;
    note(client, lens, end.as_ref(), &counts, &progress.samples).await?;
    around::add_own(client, &lens.migration, &lens.legacy.sql(), own).await?;
    progress.rows += counts.get::<_, i64>(0);
    progress.done = end.is_none();
    if end.is_some() {
        progress.last_key = end;
    }
    Ok(())
}

async fn samples(
    transaction: &Transaction<'_>,
    lens: &Lens,
    range: KeyRange,
    bounds: &[&(dyn ToSql + Sync)],
    counts: &Row,
    left: usize,
) -> Result<Vec<Value>, ControlError> {
    let mut samples = Vec::new();
    for (kind, at) in Disagreement::ALL.into_iter().zip(2..) {
        let limit = i64::try_from(left.saturating_sub(samples.len())).unwrap_or(i64::MAX);
        if limit == 0 || counts.get::<_, i64>(at) == 0 {
            continue;
        }
        let mut parameters = bounds.to_vec();
        parameters.push(&limit);
        let rows = transaction
            .query(&lens.sample_disagreements_in(kind, range), &parameters)
            .await
            .map_err(ControlError::sql("samples of what differs"))?;
        samples.extend(rows.iter().map(|row| {
            json!({
                "kind": kind.name(),
                "key": row.get::<_, Value>(0),
                "columns": row.get::<_, Option<Value>>(1),
            })
        }));
    }
    Ok(samples)
}

/// The cursor and the counts in one statement: a range counts once, however often it is compared.
async fn note(
    client: &Client,
    lens: &Lens,
    end: Option<&Value>,
    counts: &Row,
    samples: &[Value],
) -> Result<(), ControlError> {
    let columns: Vec<i64> = (5..counts.len()).map(|at| counts.get(at)).collect();
    client
        .execute(
            "UPDATE crossfade.verify_progress SET last_key = coalesce($3, last_key), \
             done = $3::jsonb IS NULL, legacy_rows = legacy_rows + $4, unified_rows = unified_rows + $5, \
             missing = missing + $6, extra = extra + $7, different = different + $8, samples = $9, \
             columns = ARRAY(SELECT a + b FROM unnest(columns, $10::bigint[]) \
             WITH ORDINALITY AS c (a, b, at) ORDER BY at) \
             WHERE migration = $1 AND legacy_table = $2",
            &[
                &lens.migration,
                &lens.legacy.sql(),
                &end,
                &counts.get::<_, i64>(0),
                &counts.get::<_, i64>(1),
                &counts.get::<_, i64>(2),
                &counts.get::<_, i64>(3),
                &counts.get::<_, i64>(4),
                &Value::Array(samples.to_vec()),
                &columns,
            ],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("note of the verify's progress"))
}

async fn outcome(client: &Client, lens: &Lens) -> Result<TableReport, ControlError> {
    let row = client
        .query_one(
            "SELECT legacy_rows, unified_rows, missing, extra, different, columns, samples \
             FROM crossfade.verify_progress WHERE migration = $1 AND legacy_table = $2",
            &[&lens.migration, &lens.legacy.sql()],
        )
        .await
        .map_err(ControlError::sql("look at the verify's progress"))?;
    let columns: Vec<i64> = row.get(5);
    let samples: Value = row.get(6);
    let kind_of = |name: &str| {
        let known = Disagreement::ALL.into_iter();
        known.map(Disagreement::name).find(|known| *known == name)
    };
    let sample = |sample: &Value| {
        Some(SampleRow {
            kind: kind_of(sample["kind"].as_str()?)?,
            key: sample["key"].clone(),
            columns: sample["columns"].clone(),
        })
    };
    Ok(TableReport {
        legacy_table: lens.legacy.sql(),
        unified_table: unified_tables(lens),
        legacy_rows: row.get(0),
        unified_rows: row.get(1),
        missing: row.get(2),
        extra: row.get(3),
        different: row.get(4),
        different_columns: lens
            .compared_columns()
            .zip(columns)
            .filter(|(_, different)| *different > 0)
            .map(|(column, different)| ColumnCount {
                column: column.name.clone(),
                different,
                set_by_trigger: column.set_by_trigger,
            })
            .collect(),
        // Each range has its own snapshot: what columns add up to belongs to none.
        totals: Vec::new(),
        ignored_columns: super::ignored_columns(lens),
        undeclared_columns: super::undeclared(client, lens).await?,
        samples: samples
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(sample)
            .collect(),
    })
}
