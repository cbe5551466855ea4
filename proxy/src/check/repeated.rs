//! NOT NULL, CHECKs and UNIQUE constraints of a legacy table with a written lens: those that the rule
//! file repeats hold on after it.

use rewrite_rules::Lens;
use rewrite_rules::lens::{Unique, Written};
use tokio_postgres::Client;

use super::Findings;
use crate::control::ControlError;
use crate::control::catalog::Column;

pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    written: &Written,
    legacy: &[Column],
    findings: &mut Findings,
) -> Result<(), ControlError> {
    for column in legacy.iter().filter(|column| column.not_null) {
        if lens.column(&column.name).is_some_and(|said| !said.not_null) {
            findings.warning(
                format!(
                    "column {} is NOT NULL, which the rule file does not say",
                    column.name
                ),
                "write NOT NULL behind its type: it holds on once legacy is left",
            );
        }
    }
    let rows = client
        .query(
            "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint \
             WHERE contype = 'c' AND conrelid = to_regclass($1) ORDER BY 1",
            &[&lens.legacy.sql()],
        )
        .await
        .map_err(ControlError::sql("look-up of CHECKs"))?;
    for row in &rows {
        let (name, definition): (String, String) = (row.get(0), row.get(1));
        if !written.checks.iter().any(|check| check.name == name) {
            findings.warning(
                format!("the rule file does not repeat {name}: {definition}"),
                "write it in [table.checks]: it holds on once legacy is left",
            );
        }
    }
    let unique = |unique: &Unique| {
        let columns = unique.columns.iter();
        let names: Vec<&str> = columns.map(|&at| lens.columns[at].name.as_str()).collect();
        (unique.name.clone(), names.join(", "))
    };
    let said: Vec<(String, String)> = written.uniques.iter().map(unique).collect();
    let found = uniques(client, lens).await?;
    for (name, columns) in found.iter().filter(|found| !said.contains(found)) {
        findings.warning(
            format!("the rule file does not repeat {name}: UNIQUE ({columns})"),
            "write it among `columns`: ON CONFLICT goes by it once reads are unified",
        );
    }
    for (name, columns) in said.iter().filter(|said| !found.contains(said)) {
        findings.error(
            format!("the table has no {name}: UNIQUE ({columns})"),
            "write it as the table has it, or remove it from `columns`",
        );
    }
    Ok(())
}

/// The unique indexes, beside the key's, that ON CONFLICT can go by whatever a row says.
async fn uniques(client: &Client, lens: &Lens) -> Result<Vec<(String, String)>, ControlError> {
    let rows = client
        .query(
            "SELECT c.relname::text, (SELECT string_agg(a.attname::text, ', ' ORDER BY k.n) \
             FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts) \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indimmediate AND NOT i.indisprimary \
             AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY 1",
            &[&lens.legacy.sql()],
        )
        .await
        .map_err(ControlError::sql("look-up of unique indexes"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
