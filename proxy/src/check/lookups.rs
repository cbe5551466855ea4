//! Look-ups without an index: what is no matter with a hundred rows makes each write of one row read whole
//! tables once there are many.
//!
//! Plans show it: with scans of whole tables forbidden, one that is left has no index to go by.
//! Foreign keys are in no plan: what refers to a row that the lens deletes or whose key it changes
//! is looked up by the server itself.

use std::collections::BTreeSet;

use rewrite_rules::{Lens, TableName};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::Findings;
use crate::control::{ControlError, shown};
use crate::plans::scans::{WholeScan, whole_scans};

/// Nested loops alone: a join of whole tables could hide that one of them has no index.
const PLAN: &str = "BEGIN READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
                    SET LOCAL enable_mergejoin = off; SET LOCAL jit = off";

/// Foreign keys to one of the tables, without an index that begins with their columns: the referring
/// table, the key's name and its columns.
const FOREIGN_KEYS: &str = "\
SELECT k.confrelid::regclass::text, k.conrelid::regclass::text, quote_ident(k.conname), \
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY c.at) FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, at) \
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.attnum) \
FROM pg_constraint AS k WHERE k.contype = 'f' AND k.conparentid = 0 \
    AND k.confrelid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name) \
    AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = k.conrelid AND i.indisvalid \
        AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ '^\\([^ ]+ IS NOT NULL\\)$') \
        AND (SELECT array_agg(a ORDER BY a) FROM unnest(k.conkey) AS a) \
            = (SELECT array_agg(a ORDER BY a) FROM unnest((i.indkey::int2[])[0:cardinality(k.conkey) - 1]) AS a)) \
ORDER BY 1, 2, 3";

pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let tables = lens.unified_side();
    foreign_keys(client, &tables, findings).await?;
    let mut told = BTreeSet::new();
    for lookup in lens.lookups() {
        let plan = match plan(client, &lookup.sql).await? {
            Ok(plan) => plan,
            Err(said) => {
                let what = lookup.what;
                findings.note(format!(
                    "whether {what} has its indexes cannot be told, it has no plan: {said}"
                ));
                continue;
            }
        };
        for scan in whole_scans(&plan) {
            let WholeScan {
                table: named,
                condition: Some(condition),
                ..
            } = scan
            else {
                continue;
            };
            // A plan holds the steps before its own.
            if tables.contains(&&named) && told.insert((named.sql(), condition.clone())) {
                findings.warning(
                    format!(
                        "{} looks through the whole of {} for each row: no index serves {condition}",
                        lookup.what,
                        shown(&named.sql()),
                    ),
                    "create one, in the rule file's [prepare] or beside it",
                );
            }
        }
    }
    Ok(())
}

async fn foreign_keys(
    client: &Client,
    tables: &[&TableName],
    findings: &mut Findings,
) -> Result<(), ControlError> {
    let tables: Vec<String> = tables.iter().map(|table| table.sql()).collect();
    let rows = client
        .query(FOREIGN_KEYS, &[&tables])
        .await
        .map_err(ControlError::sql("look at the foreign keys' indexes"))?;
    for row in rows {
        let [to, from, key, columns]: [String; 4] = std::array::from_fn(|at| row.get(at));
        findings.warning(
            format!(
                "each delete from {to} looks through the whole of {from} for its foreign key {key}: no index begins \
                 with {columns}"
            ),
            &format!("CREATE INDEX ON {from} ({columns});"),
        );
    }
    Ok(())
}

/// The plan of a statement, or why there is none: it may name what is not there yet.
async fn plan(client: &Client, sql: &str) -> Result<Result<Value, String>, ControlError> {
    let doing = "plan of a look-up";
    let begun = client.batch_execute(PLAN).await;
    begun.map_err(ControlError::sql(doing))?;
    let explained = client
        .simple_query(&format!("EXPLAIN (FORMAT JSON, VERBOSE) {sql}"))
        .await;
    let ended = client.batch_execute("ROLLBACK").await;
    ended.map_err(ControlError::sql(doing))?;
    let rows = match explained {
        Ok(rows) => rows,
        Err(error) => {
            return match error.as_db_error() {
                Some(said) => Ok(Err(said.message().to_owned())),
                None => Err(ControlError::sql(doing)(error)),
            };
        }
    };
    let plan = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => serde_json::from_str(row.get(0)?).ok(),
        _ => None,
    });
    Ok(plan.ok_or_else(|| "the server's answer is no JSON".to_owned()))
}
