//! The lens's laws on the database's own rows: what is put reads back the same, putting it again
//! changes nothing, under another key a row is the same, and what another lens reads stays as it was. In a transaction
//! that is rolled back.

use rewrite_rules::lens::{Lossy, RekeyTrial, quote_ident};
use rewrite_rules::{LegacyColumn, Lens, Migration, TableName};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{About, Findings, Severity};
use crate::control::{ControlError, schema};

/// What a session may be set to, and no value may depend on. Whoever has put the rows had them
/// otherwise.
const OTHERS: &str = "SET LOCAL TimeZone = 'Pacific/Kiritimati'; SET LOCAL DateStyle = 'SQL, DMY'; \
    SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL bytea_output = 'escape'; SET LOCAL extra_float_digits = 3";

/// So many rows that cannot be put say enough; each takes some attempts.
const REFUSED_MAX: usize = 20;

/// `tried`: how many rows, and how severe it is if they do not read back.
pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    tried: (u32, Severity),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let execute = |sql: String, doing| async move {
        client
            .batch_execute(&sql)
            .await
            .map_err(ControlError::sql(doing))
    };
    execute("BEGIN".to_owned(), "begin of the trial").await?;
    let ended = trial(client, lens, tried, findings).await;
    execute("ROLLBACK".to_owned(), "end of the trial").await?;
    ended
}

/// The same of what one lens puts into tables that another writes as well: what is put of one legacy table must not change
/// what the other reads, since its legacy rows do not follow.
pub(super) async fn check_beside(
    client: &Client,
    (lens, other): (&Lens, &Lens),
    tried: (u32, Order),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let sql = || ControlError::sql("trial of two tables");
    client.batch_execute("BEGIN").await.map_err(sql())?;
    let ended = trial_beside(client, (lens, other), tried, findings).await;
    client.batch_execute("ROLLBACK").await.map_err(sql())?;
    ended
}

/// Which of two lenses a backfill comes to first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Before,
    Behind,
}

/// What the other has is there first, as the rows that the lens meets.
async fn trial_beside(
    client: &Client,
    (lens, other): (&Lens, &Lens),
    (sample_rows, order): (u32, Order),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    be_brief(client).await?;
    for lens in [lens, other] {
        // The trial of the lens alone tells why not.
        if schema::functions_for_a_trial(client, lens).await.is_err() {
            return Ok(());
        }
    }
    let mut before: Vec<(String, i64)> = Vec::new();
    for (part, kept) in [(other, Some(BESIDE)), (lens, None)] {
        sample(client, part, sample_rows).await?;
        let refused = refused(client, part).await?;
        if refused.len() >= REFUSED_MAX || refused.iter().any(|refused| refused.locked) {
            return Ok(());
        }
        if let Some(kept) = kept {
            let rename = format!("ALTER TABLE pg_temp.cf_sample RENAME TO {kept}");
            let renamed = client.batch_execute(&rename).await;
            renamed.map_err(ControlError::sql("trial of two tables"))?;
            let found = differences(client, other, kept).await;
            before = found.map_err(ControlError::sql(LAWS))?;
        }
    }
    let after = differences(client, other, BESIDE).await;
    for (column, count) in after.map_err(ControlError::sql(LAWS))? {
        let was = before.iter().find(|(known, _)| *known == column);
        let more = count - was.map_or(0, |(_, count)| *count);
        if more > 0 {
            findings.warning(
                format!(
                    "column {column} of {} reads differently in {more} of its rows once rows of this table are put, \
                     and no legacy row follows that",
                    crate::control::shown(&other.legacy.sql()),
                ),
                "name the column there in `lossy` for the rows that another table's win over, or put what both have apart",
            );
        }
    }
    match order {
        Order::Before => Ok(()),
        Order::Behind => lost(client, lens, findings).await,
    }
}

/// Tells which lossy columns of the sample read otherwise than its rows have them.
async fn lost(client: &Client, lens: &Lens, findings: &mut Findings) -> Result<(), ControlError> {
    let columns: Vec<&LegacyColumn> = lens
        .columns
        .iter()
        .filter(|column| column.lossy != Lossy::Never)
        .collect();
    let differs = |_: &LegacyColumn, differs: String| format!("{differs} AND NOT r IS NULL");
    let found = unlike(client, lens, ("cf_sample", &columns), differs).await;
    let (_, lost) = found.map_err(ControlError::sql(LAWS))?;
    for (column, count) in lost {
        let lost = format!(
            "column {column} of {count} of the tried rows is lost: unified has something else, and the rule calls it lossy"
        );
        // Several tables may be tried beside this one.
        if !findings.all.iter().any(|known| known.found == lost) {
            findings.note(lost);
        }
    }
    Ok(())
}

/// The sample of the other lens.
const BESIDE: &str = "cf_beside";

async fn trial(
    client: &Client,
    lens: &Lens,
    (sample_rows, severity): (u32, Severity),
    findings: &mut Findings,
) -> Result<(), ControlError> {
    be_brief(client).await?;
    if let Err(error) = schema::functions_for_a_trial(client, lens).await {
        findings.warning(
            format!("the mapping was not tried, for its functions cannot be made: {error}"),
            "see what `crossfade prepare` says",
        );
        return Ok(());
    }
    let mut rows = sample(client, lens, sample_rows).await?;
    for (law, settings) in [
        ("is put", None),
        (
            "is put twice, and read with other settings of the session",
            Some(OTHERS),
        ),
    ] {
        let refused = refused(client, lens).await?;
        if refused.iter().any(|refused| refused.locked) {
            findings.warning(
                format!("the mapping was not tried: of {rows} sampled rows others lock some"),
                "run the check again",
            );
            return Ok(());
        }
        if !refused.is_empty() {
            let some = refused.len() < REFUSED_MAX && (refused.len() as i64) < rows;
            findings.about(if some { About::Aside } else { About::Rows });
            findings.add(
                severity,
                told(lens, rows, &refused),
                "repair such rows first; a backfill sets them aside in crossfade.divergence",
            );
            findings.about(About::Rows);
            if refused.len() >= REFUSED_MAX {
                return Ok(());
            }
            rows = rows.saturating_sub_unsigned(refused.len() as u64);
        }
        if let Some(settings) = settings {
            client
                .batch_execute(settings)
                .await
                .map_err(ControlError::sql(LAWS))?;
        }
        let different = match differences(client, lens, "cf_sample").await {
            Ok(different) => different,
            Err(error) => {
                findings.error(
                    format!("rows cannot be read back: {}", said(&error)),
                    "correct `read`",
                );
                return Ok(());
            }
        };
        for (column, count) in different {
            findings.add(
                severity,
                format!("column {column} reads back differently in {count} of {rows} rows after a row {law}"),
                "correct its mapping, or name it in `unverified` if it may differ",
            );
        }
    }
    findings.note(format!("{rows} rows read back as they were put"));
    lost(client, lens, findings).await?;
    match lens.rekey_trial("pg_temp.cf_sample") {
        Some(trial) => keys_change(client, &trial, findings).await,
        None => Ok(()),
    }
}

/// Rows that the application has locked are not waited for long enough to be its deadlock.
async fn be_brief(client: &Client) -> Result<(), ControlError> {
    client
        .execute(
            "SELECT set_config('lock_timeout', greatest(setting::bigint / 2, 10)::text, true) \
             FROM pg_settings WHERE name = 'deadlock_timeout'",
            &[],
        )
        .await
        .map(drop)
        .map_err(ControlError::sql("begin of the trial"))
}

/// Takes some of the legacy rows as `cf_sample`; how many these are.
async fn sample(client: &Client, lens: &Lens, sample_rows: u32) -> Result<i64, ControlError> {
    let sql = || ControlError::sql("sample of rows");
    let key = lens.legacy_key().join(", ");
    // Spread over the key, and the same sample when the check is run again.
    let sample = format!(
        "CREATE TEMPORARY TABLE cf_sample ON COMMIT DROP AS SELECT * FROM {} \
         ORDER BY md5(concat_ws(',', {key})) LIMIT {sample_rows}; ANALYZE pg_temp.cf_sample",
        lens.legacy
    );
    client.batch_execute(&sample).await.map_err(sql())?;
    let row = client
        .query_one("SELECT count(*) FROM pg_temp.cf_sample", &[])
        .await
        .map_err(sql())?;
    Ok(row.get(0))
}

/// Whether a unified table of a lens refers to one of another lens.
const REFERS: &str = "\
SELECT EXISTS (SELECT FROM pg_constraint AS k WHERE k.contype = 'f' \
    AND k.conrelid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name) \
    AND k.confrelid IN (SELECT to_regclass(name) FROM unnest($2::text[]) AS name))";

/// Whether rows of a lens are refused as long as those of another of its migration are not there.
pub(super) async fn refers(
    client: &Client,
    lens: &Lens,
    migration: &Migration,
) -> Result<bool, ControlError> {
    let others = migration
        .tables
        .iter()
        .filter(|other| other.legacy != lens.legacy);
    let others = others.flat_map(Lens::unified_tables);
    let own = lens.unified_tables();
    let names = |tables: Vec<&TableName>| -> Vec<String> {
        tables.into_iter().map(TableName::sql).collect()
    };
    let tables: [Vec<String>; 2] = [names(own), names(others.collect())];
    let row = client
        .query_one(REFERS, &[&tables[0], &tables[1]])
        .await
        .map_err(ControlError::sql("look at the foreign keys"))?;
    Ok(row.get(0))
}

/// A row of the sample that cannot be put, and is no longer in it.
struct RefusedRow {
    key: String,
    reason: String,
    /// Somebody else is at it: nothing is known of the row.
    locked: bool,
}

/// Puts the sample. Rows that cannot be put are found by halving, each half behind a savepoint, and
/// leave it: of rows that would meet the first stays.
async fn refused(client: &Client, lens: &Lens) -> Result<Vec<RefusedRow>, ControlError> {
    let sql = || ControlError::sql("trial of sampled rows");
    let key = lens.legacy_key().join(", ");
    let list =
        format!("SELECT ctid::text, concat_ws(', ', {key}) FROM pg_temp.cf_sample ORDER BY {key}");
    let rows = client.query(&list, &[]).await.map_err(sql())?;
    let all: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let put = format!(
        "SAVEPOINT cf_put; {}; RELEASE cf_put",
        lens.put_all_from("pg_temp.cf_part")
    );
    client
        .batch_execute(
            "DROP TABLE IF EXISTS pg_temp.cf_part; \
             CREATE TEMPORARY TABLE cf_part (LIKE pg_temp.cf_sample) ON COMMIT DROP",
        )
        .await
        .map_err(sql())?;
    let mut refused = Vec::new();
    let mut parts = vec![&all[..]];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let rows: Vec<&str> = part.iter().map(|(row, _)| row.as_str()).collect();
        client
            .batch_execute("DELETE FROM pg_temp.cf_part")
            .await
            .map_err(sql())?;
        client
            .execute(
                "INSERT INTO pg_temp.cf_part SELECT * FROM pg_temp.cf_sample \
                 WHERE ctid = ANY ($1::text[]::tid[])",
                &[&rows],
            )
            .await
            .map_err(sql())?;
        let Err(error) = client.batch_execute(&put).await else {
            continue;
        };
        client
            .batch_execute("ROLLBACK TO cf_put; RELEASE cf_put")
            .await
            .map_err(sql())?;
        if let [(row, key)] = part {
            client
                .execute(
                    "DELETE FROM pg_temp.cf_sample WHERE ctid = $1::text::tid",
                    &[row],
                )
                .await
                .map_err(sql())?;
            refused.push(RefusedRow {
                key: key.clone(),
                reason: said(&error),
                locked: is_locked(&error),
            });
            if refused.len() >= REFUSED_MAX {
                break;
            }
        } else if is_locked(&error) {
            // Each half would wait again.
            refused.push(RefusedRow {
                key: String::new(),
                reason: said(&error),
                locked: true,
            });
            break;
        } else {
            let (first, second) = part.split_at(part.len() / 2);
            parts.extend([second, first]);
        }
    }
    Ok(refused)
}

/// How many rows, and for each reason one of them.
fn told(lens: &Lens, rows: i64, refused: &[RefusedRow]) -> String {
    let mut reasons: Vec<(&str, &str, usize)> = Vec::new();
    for row in refused {
        match reasons
            .iter_mut()
            .find(|(reason, ..)| *reason == row.reason)
        {
            Some((_, _, times)) => *times += 1,
            None => reasons.push((&row.reason, &row.key, 1)),
        }
    }
    let shown: Vec<String> = reasons
        .iter()
        .map(|(reason, key, times)| format!("{reason} ({times}, the first is {key})"))
        .collect();
    let least = if refused.len() >= REFUSED_MAX {
        "at least "
    } else {
        ""
    };
    format!(
        "{least}{} of {rows} sampled rows cannot be put into {}: {}",
        refused.len(),
        lens.unified,
        shown.join("; ")
    )
}

/// Rows under other keys. What cannot be tried, since a row that stands in the way cannot be removed,
/// is told.
async fn keys_change(
    client: &Client,
    trial: &RekeyTrial,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    for sql in &trial.clear {
        if let Err(error) = client.batch_execute(sql).await {
            findings.note(format!("`rekey` was not tried on rows: {}", said(&error)));
            return Ok(());
        }
    }
    const SETTLE: &str = "correct `rekey`, or leave it out: an UPDATE of the key is then refused";
    if let Err(error) = client.batch_execute(&trial.rekey).await {
        if is_locked(&error) {
            findings.warning(
                "`rekey` was not tried: others lock some of the sampled rows".to_owned(),
                "run the check again",
            );
            return Ok(());
        }
        findings.error(
            format!("`rekey` of a sampled row fails: {}", said(&error)),
            SETTLE,
        );
        return Ok(());
    }
    let row = client
        .query_one(&trial.compare, &[])
        .await
        .map_err(ControlError::sql(LAWS))?;
    let (rows, counted): (i64, Vec<i64>) = (row.get(0), row.get(1));
    let names =
        std::iter::once("(all: the row is gone)").chain(trial.columns.iter().map(String::as_str));
    let before = findings.all.len();
    for (column, count) in names.zip(counted).filter(|(_, count)| *count > 0) {
        findings.error(
            format!("column {column} reads differently in {count} of {rows} rows after their key changed"),
            SETTLE,
        );
    }
    if findings.all.len() == before {
        findings.note(format!("{rows} rows are the same under another key"));
    }
    Ok(())
}

fn is_locked(error: &tokio_postgres::Error) -> bool {
    let locked = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| locked.contains(code))
}

fn said(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |said| said.message().to_owned())
}

/// The sample against what the lens reads, column by column. A column that a trigger sets differs
/// by the trigger's own time.
async fn differences(
    client: &Client,
    lens: &Lens,
    sample: &str,
) -> Result<Vec<(String, i64)>, tokio_postgres::Error> {
    let compared: Vec<&LegacyColumn> = lens
        .compared_columns()
        .filter(|column| !column.set_by_trigger)
        .collect();
    let differs = |column: &LegacyColumn, differs: String| match column.is_lossy_in("r") {
        None => differs,
        Some(lossy) => format!("{differs} AND NOT {lossy}"),
    };
    let (hidden, different) = unlike(client, lens, (sample, &compared), differs).await?;
    let hidden = (hidden > 0).then(|| ("(all: the row is hidden)".to_owned(), hidden));
    Ok(hidden.into_iter().chain(different).collect())
}

/// How many rows of the sample are not read at all, and the columns that differ so, each with the number of its rows.
async fn unlike(
    client: &Client,
    lens: &Lens,
    (sample, columns): (&str, &[&LegacyColumn]),
    condition: impl Fn(&LegacyColumn, String) -> String,
) -> Result<(i64, Vec<(String, i64)>), tokio_postgres::Error> {
    let join: Vec<String> = lens
        .legacy_key()
        .iter()
        .map(|key| format!("r.{key} = s.{key}"))
        .collect();
    let mut counts = vec!["count(*) FILTER (WHERE r IS NULL)".to_owned()];
    counts.extend(columns.iter().map(|column| {
        let name = quote_ident(&column.name);
        let differs = format!("r.{name}::text IS DISTINCT FROM s.{name}::text");
        format!("count(*) FILTER (WHERE {})", condition(column, differs))
    }));
    let sql = format!(
        "SELECT ARRAY[{}] FROM pg_temp.{sample} s LEFT JOIN ({}) r ON {}",
        counts.join(", "),
        lens.read_judged(),
        join.join(" AND ")
    );
    let row = client.query_one(&sql, &[]).await?;
    let mut counted = row.get::<_, Vec<i64>>(0).into_iter();
    let hidden = counted.next().unwrap_or_default();
    let names = columns.iter().map(|column| column.name.clone());
    let different = names.zip(counted).filter(|(_, count)| *count > 0);
    Ok((hidden, different.collect()))
}

const LAWS: &str = "comparison of sampled rows";
