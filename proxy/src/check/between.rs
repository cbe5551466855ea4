//! Columns of one type in legacy and of another in unified: whether a setting decides what a value of one
//! is as the other, which the catalog knows better than a rule file, and how many unified rows have a value
//! that legacy cannot hold.

use rewrite_rules::lens::{self, Lossy, quote_ident};
use rewrite_rules::{LegacyColumn, Lens};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::Findings;
use crate::control::catalog::columns;
use crate::control::{ControlError, shown};

pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    match lens.read_as_written() {
        Some(read) => written(client, lens, &read, findings).await,
        None => derived(client, lens, findings).await,
    }
}

async fn derived(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let differs = |column: &&LegacyColumn| !column.is_same() && column.values.is_empty();
    for column in lens.columns.iter().filter(differs) {
        if !decided(client, column, findings).await? {
            continue;
        }
        let Some(count) = lens.count_unheld(column, "") else {
            continue;
        };
        let (unified, legacy) = (shown(&lens.unified.sql()), shown(&lens.legacy.sql()));
        let rows: i64 = client
            .query_one(&count, &[])
            .await
            .map_err(ControlError::sql("count of values that legacy cannot hold"))?
            .get(0);
        let told = format!(
            "{unified}.{} that {legacy}.{} ({}) cannot hold",
            column.unified, column.name, column.sql_type
        );
        if rows > 0 {
            findings.warning(
                format!("{rows} rows have a {told}: they do not exist for legacy readers"),
                "change them, or know that only the new application sees them",
            );
        } else {
            findings.note(format!(
                "a row with a {told} does not exist for legacy readers; none has one"
            ));
        }
    }
    Ok(())
}

/// Whether values are made of each other in one way only, as PostgreSQL judges it for a generated column.
async fn decided(
    client: &Client,
    column: &LegacyColumn,
    findings: &mut Findings,
) -> Result<bool, ControlError> {
    let sql = || ControlError::sql("trial of a column's types");
    let ways = [
        (
            &column.sql_type,
            &column.unified_type,
            column.as_unified("v"),
        ),
        (
            &column.unified_type,
            &column.sql_type,
            column.as_legacy("v"),
        ),
    ];
    for (from, to, made) in ways {
        // Labels of an enum are read and written the same in every session, whatever the catalog says.
        let row = client
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_type AS t WHERE t.typtype = 'e' \
                 AND t.oid IN (to_regtype($1), to_regtype($2)))",
                &[from, to],
            )
            .await
            .map_err(sql())?;
        if row.get(0) {
            continue;
        }
        client.batch_execute("BEGIN").await.map_err(sql())?;
        let create = format!(
            "CREATE TEMPORARY TABLE cf_between (v {from}, made {to} GENERATED ALWAYS AS ({made}) STORED)"
        );
        let tried = client.batch_execute(&create).await;
        client.batch_execute("ROLLBACK").await.map_err(sql())?;
        let Err(error) = tried else { continue };
        let types = format!("column {}: {from} as {to}", column.name);
        let mutable = error.code() == Some(&SqlState::INVALID_OBJECT_DEFINITION);
        match &column.cast {
            Some(_) if mutable => findings.note(format!(
                "{types} by `cast` has a function that is not immutable; make sure that no setting decides it"
            )),
            None if mutable => {
                findings.error(
                    format!("{types} depends on the session"),
                    "write `cast`: `at time zone '…'`, or SQL for either side that no setting changes",
                );
                return Ok(false);
            }
            Some(_) | None => {
                let said = error
                    .as_db_error()
                    .map_or_else(|| error.to_string(), |said| said.message().to_owned());
                findings.error(
                    format!("{types}: {said}"),
                    "write `cast` with SQL for either side",
                );
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// What `read` yields before it gets the legacy types.
async fn written(
    client: &Client,
    lens: &Lens,
    read: &str,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let sql = || ControlError::sql("look at the types that `read` yields");
    client.batch_execute("BEGIN").await.map_err(sql())?;
    let create = format!("CREATE TEMPORARY TABLE cf_read AS {read} WITH NO DATA");
    let found = match client.batch_execute(&create).await {
        Ok(()) => columns(client, "pg_temp.cf_read").await,
        // What is wrong with `read` is told where it is run.
        Err(_wrong) => Ok(Vec::new()),
    };
    client.batch_execute("ROLLBACK").await.map_err(sql())?;
    for (column, found) in lens.columns.iter().zip(found?) {
        if let Some(setting) = lens::depends_on(&column.sql_type, &found.sql_type) {
            findings.error(
                format!(
                    "`read` yields {} for {}, which is {}: what it is there depends on the session ({setting})",
                    found.sql_type, column.name, column.sql_type
                ),
                "say how in `read` and in `put`, as by AT TIME ZONE '…'",
            );
            continue;
        }
        let value = format!("cf_r.{}", quote_ident(&column.name));
        let held = lens::held(&column.sql_type, &found.sql_type).over(&value);
        let Some(held) = held.filter(|_| column.lossy != Lossy::Always) else {
            continue;
        };
        let count = format!("SELECT count(*) FROM ({read}) AS cf_r WHERE NOT ({held})");
        let rows: i64 = client.query_one(&count, &[]).await.map_err(sql())?.get(0);
        if rows > 0 {
            findings.error(
                format!(
                    "{rows} rows that `read` yields have a {} that {} cannot hold: it would be cut, or an \
                     error of every read",
                    column.name, column.sql_type
                ),
                "say in the WHERE of `read` which rows legacy has, or change them",
            );
        }
    }
    Ok(())
}
