//! Legacy rows that would meet each other, or rows that unified has already, in one of its unique
//! indexes: all of them, before the first is moved.

use rewrite_rules::Lens;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::Findings;
use crate::control::{ControlError, shown};

/// Both tables are read for each index. Who has more rows than that allows has the dry run of a
/// backfill.
const WITHIN_SECONDS: u32 = 60;
/// Values that are shown.
const EXAMPLES_MAX: i64 = 3;

/// A unique index of the unified table.
struct UnifiedUnique {
    name: String,
    /// SQL over one of its rows.
    keys: Vec<String>,
    condition: String,
}

/// Written lenses say by their own SQL what becomes of rows that meet.
pub(super) async fn check(
    client: &Client,
    lens: &Lens,
    findings: &mut Findings,
) -> Result<(), ControlError> {
    if !lens.pairs_rows() {
        return Ok(());
    }
    for unique in uniques(client, lens).await? {
        let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = '{WITHIN_SECONDS}s'");
        let sql = || ControlError::sql("search for collisions");
        client.batch_execute(&begin).await.map_err(sql())?;
        let found = client
            .query_one(&colliding(lens, &unique), &[&EXAMPLES_MAX])
            .await;
        client.batch_execute("ROLLBACK").await.map_err(sql())?;
        match found {
            Ok(row) => {
                let (rows, examples): (i64, Vec<String>) = (row.get(0), row.get(1));
                if rows > 0 {
                    findings.error(
                        format!(
                            "{rows} rows collide with others in {} of {}: {}",
                            unique.name,
                            shown(&lens.unified.sql()),
                            examples.join(", ")
                        ),
                        "repair them first; a backfill sets those that come too late aside in crossfade.divergence",
                    );
                }
            }
            // A column that the lens does not feed: its default decides.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => {}
            Err(error) => findings.warning(
                format!(
                    "whether rows collide in {} was not found out: {}",
                    unique.name,
                    error
                        .as_db_error()
                        .map_or_else(|| error.to_string(), |said| said.message().to_owned())
                ),
                "see what `crossfade backfill --dry-run` says",
            ),
        }
    }
    Ok(())
}

/// How many legacy rows share what must be unique with another row, and some of those values.
/// A unified row of a legacy row's key counts as that legacy row, which it is to become.
fn colliding(lens: &Lens, unique: &UnifiedUnique) -> String {
    let key = lens.unified_arbiter().join(", ");
    let same: Vec<String> = lens
        .unified_arbiter()
        .iter()
        .map(|key| format!("cf_i.{key} = cf_t.{key}"))
        .collect();
    let numbered = |prefix: &str| -> Vec<String> {
        (1..=unique.keys.len())
            .map(|number| format!("{prefix}{number}"))
            .collect()
    };
    let values = numbered("cf_v");
    let listed: Vec<String> = unique
        .keys
        .iter()
        .zip(&values)
        .map(|(key, value)| format!("{key} AS {value}"))
        .collect();
    let of = |mine: bool, rows: &str, others: &str| {
        format!(
            "SELECT {mine} AS cf_mine, ROW({key}) AS cf_key, {} FROM {rows} AS cf_t WHERE ({}){others}",
            listed.join(", "),
            unique.condition,
        )
    };
    let known: Vec<String> = values.iter().map(|v| format!("{v} IS NOT NULL")).collect();
    let values = values.join(", ");
    format!(
        "WITH cf_images AS MATERIALIZED ({images}), cf_all AS ({put} UNION ALL {there}), \
         cf_met AS (SELECT count(*) FILTER (WHERE cf_mine) AS cf_rows, ROW({values})::text AS cf_shown \
         FROM cf_all WHERE {known} GROUP BY {values} \
         HAVING bool_or(cf_mine) AND count(DISTINCT cf_key) > 1) \
         SELECT coalesce(sum(cf_rows), 0)::bigint, \
         ARRAY(SELECT cf_shown FROM cf_met ORDER BY cf_shown LIMIT $1) FROM cf_met",
        images = lens.unified_rows_of(&lens.legacy.sql()),
        put = of(true, "cf_images", ""),
        there = of(
            false,
            &lens.unified.sql(),
            &format!(
                " AND NOT EXISTS (SELECT FROM cf_images AS cf_i WHERE {})",
                same.join(" AND ")
            )
        ),
        known = known.join(" AND "),
    )
}

/// The key is the same on both sides by definition.
fn is_key(lens: &Lens, unique: &UnifiedUnique) -> bool {
    let own = lens.discriminator().map(|own| own.column.as_str());
    let key = lens.key_columns().map(|column| column.unified.as_str());
    let keys = unique.keys.iter().map(|key| key.trim_matches('"'));
    own.into_iter().chain(key).eq(keys)
}

async fn uniques(client: &Client, lens: &Lens) -> Result<Vec<UnifiedUnique>, ControlError> {
    let rows = client
        .query(
            "SELECT r.relname::text, ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false) \
             FROM generate_series(1, i.indnkeyatts) AS n ORDER BY n), \
             coalesce(pg_get_expr(i.indpred, i.indrelid), 'true') \
             FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid \
             WHERE i.indrelid = to_regclass($1) AND i.indisunique ORDER BY 1",
            &[&lens.unified.sql()],
        )
        .await
        .map_err(ControlError::sql("look-up of unique indexes"))?;
    Ok(rows
        .iter()
        .map(|row| UnifiedUnique {
            name: row.get(0),
            keys: row.get(1),
            condition: row.get(2),
        })
        .filter(|unique| !is_key(lens, unique))
        .collect())
}
