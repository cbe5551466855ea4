//! What ON CONFLICT goes by: whether PostgreSQL will find an index of the unified table for each unique
//! index of the legacy one.
//!
//! It is asked for the plan of an INSERT that Crossfade has rewritten, which nobody runs: what it says is
//! what clients would be told.

use rewrite_rules::{Lens, Migration, Phase, RuleSet, Verdict};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::Findings;
use crate::control::{ControlError, shown};

/// A unique index of the legacy table.
struct ConflictTarget {
    name: String,
    /// The way PostgreSQL writes it.
    definition: String,
    /// One on columns alone, of all rows.
    plain: bool,
    /// What ON CONFLICT says to go by it.
    sql: String,
}

pub(super) async fn check(
    client: &Client,
    (rules, migration): (&RuleSet, &Migration),
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    if !lens.pairs_rows() {
        return Ok(());
    }
    let rules = rules.with_phase(Some(&migration.name), Phase::UnifiedOnly);
    let unified = shown(&lens.unified.sql());
    for target in targets(client, lens).await? {
        let ConflictTarget {
            name, definition, ..
        } = &target;
        let insert = format!(
            "EXPLAIN INSERT INTO {} DEFAULT VALUES ON CONFLICT {} DO NOTHING",
            lens.legacy.sql(),
            target.sql
        );
        let reading = rules.rewrite(&insert, rules.path_of(None));
        let rewritten = match &reading.verdict {
            Verdict::Rewritten(rewritten) => &rewritten.sql,
            Verdict::PassThrough => continue,
            Verdict::Refused(refusal) => {
                findings.warning(
                    format!(
                        "ON CONFLICT by {name} ({definition}) will be refused: {}",
                        refusal.message
                    ),
                    "know that statements that go by it have to be changed before unified_read",
                );
                continue;
            }
        };
        let Err(error) = client.simple_query(rewritten).await else {
            continue;
        };
        if error.code() != Some(&SqlState::INVALID_COLUMN_REFERENCE) {
            // Rights that this role lacks, or what else the other checks tell.
            continue;
        }
        if target.plain {
            findings.warning(
                format!("ON CONFLICT by {name} finds no index of {unified}: {definition}"),
                "create a unique index on exactly these columns, of all rows or of the visible ones",
            );
        } else {
            findings.warning(
                format!("{unified} has nothing like {name}: {definition}"),
                "create it there, or know that it no longer holds once legacy is left, and that \
                 ON CONFLICT that goes by it fails once unified leads",
            );
        }
    }
    Ok(())
}

async fn targets(client: &Client, lens: &Lens) -> Result<Vec<ConflictTarget>, ControlError> {
    let rows = client
        .query(
            "SELECT r.relname::text, substring(pg_get_indexdef(i.indexrelid) from ' USING (.*)'), \
                    i.indpred IS NULL AND i.indexprs IS NULL, \
                    '(' || (SELECT string_agg(pg_get_indexdef(i.indexrelid, n, false), ', ' ORDER BY n) \
                            FROM generate_series(1, i.indnkeyatts) AS n) || ')' \
                    || coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') \
             FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid \
             WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate \
             ORDER BY 1",
            &[&lens.legacy.sql()],
        )
        .await
        .map_err(ControlError::sql("look-up of unique indexes"))?;
    let of = |row: &tokio_postgres::Row| ConflictTarget {
        name: row.get(0),
        definition: row.get(1),
        plain: row.get(2),
        sql: row.get(3),
    };
    Ok(rows.iter().map(of).collect())
}
