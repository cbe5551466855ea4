//! One comparison: what the two texts read is looked at first, then both are run in one statement,
//! hence in one snapshot.
//!
//! Names in them are pg_catalog's, or a table's with its schema, since nothing else is in the search
//! path. What the server made of them is asked of the server: the relations that it locked for them,
//! and of those everything that would call code of somebody's while a query on them is planned or run.
//! All of it, and the run, in a transaction that is read-only where the texts are at work.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::parameter::{self, Raw};
use crate::control::called::{self, Obstacle, OtherTables};
use crate::control::client_role::{self, TempFunction};
use crate::counters::reason::{NotComparable, Reason};
use crate::shared::ShadowRead;

/// A slow read is not worth slowing the server for.
const SETTINGS: &str = "SET LOCAL search_path = pg_catalog, pg_temp; \
     SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// A function takes 100 arguments; one is the text.
const PARAMETERS_MAX: usize = 99;

/// Reads a text as PREPARE does: no further than what its names mean and its parameters are of.
const PARSE: &str = "\
DECLARE types oid[]; \
BEGIN \
    EXECUTE 'PREPARE cf_pair' || coalesce('(' || (SELECT string_agg(CASE t WHEN 0 THEN 'unknown' \
        ELSE format_type(t, NULL) END, ', ' ORDER BY n) FROM unnest($2) WITH ORDINALITY AS d (t, n)) || ')', '') \
        || ' AS ' || $1; \
    SELECT p.parameter_types::oid[] INTO types FROM pg_prepared_statements AS p WHERE p.name = 'cf_pair'; \
    DEALLOCATE cf_pair; \
    RETURN types; \
END";

/// How many rows only one of the two sides has.
pub(super) async fn compare(client: &Client, read: &ShadowRead) -> Result<i64, NotComparable> {
    if let Some(foreign) = read.candidate.foreign {
        return Err(Reason::from(foreign).into());
    }
    if read.candidate.parameters.len() > PARAMETERS_MAX {
        return Err(Reason::Parameters.into());
    }
    match client_role::begin(client, &read.role, SETTINGS).await {
        Ok(true) => {}
        Ok(false) => return Err(Reason::Role.into()),
        Err(error) => {
            let told = NotComparable::told(&error);
            return Err(NotComparable {
                reason: Reason::Role,
                ..told
            });
        }
    }
    let sql = comparison(&read.candidate.legacy, &read.candidate.unified);
    let types = look(client, read, &sql).await?;
    run(client, read, &sql, &types).await
}

/// The oids of the parameters' types and their names as SQL, if the texts may be run.
async fn look(
    client: &Client,
    read: &ShadowRead,
    sql: &str,
) -> Result<(Vec<u32>, String), NotComparable> {
    let told = |error: Error| NotComparable::told(&error);
    let parse = TempFunction {
        name: "cf_parse",
        arguments: "text, oid[]",
        returns: "oid[]",
        body: PARSE,
    };
    client_role::function(client, &parse).await.map_err(told)?;
    client
        .batch_execute("SAVEPOINT cf_parse; SET TRANSACTION READ ONLY")
        .await
        .map_err(told)?;
    let declared = &read.candidate.parameter_types;
    let parsed = client
        .query_typed(
            "SELECT pg_temp.cf_parse($1, $2)",
            &[(&sql, Type::TEXT), (declared, Type::OID_ARRAY)],
        )
        .await
        .map_err(told)?;
    let oids: Vec<u32> = parsed
        .first()
        .and_then(|row| row.get(0))
        .unwrap_or_default();
    let tables = (&*read.candidate.tables, OtherTables::None);
    let called = called::look(client, tables, &oids).await.map_err(told)?;
    match called.obstacle {
        None => Ok((oids, called.types)),
        Some(Obstacle::Relation) => Err(Reason::Relation.into()),
        Some(Obstacle::TableCode) => Err(Reason::TableCode.into()),
        Some(Obstacle::ColumnType) => Err(Reason::ColumnType.into()),
        Some(Obstacle::Parameters) => Err(Reason::Parameters.into()),
        Some(Obstacle::Unknown) => Err(Reason::Failed.into()),
    }
}

async fn run(
    client: &Client,
    read: &ShadowRead,
    sql: &str,
    (oids, types): &(Vec<u32>, String),
) -> Result<i64, NotComparable> {
    let told = |error: Error| NotComparable::told(&error);
    let parameters = &read.candidate.parameters;
    // A parameter that neither side uses has no type, and no argument stands for it.
    if parameters.len() != oids.len() {
        return Err(Reason::Parameters.into());
    }
    let places = |from: usize, to: usize| -> String {
        let places = (from..=to).map(|place| format!("${place}"));
        places.collect::<Vec<_>>().join(", ")
    };
    let using = match oids.len() {
        0 => String::new(),
        count => format!("USING {}", places(2, count + 1)),
    };
    let body = format!("DECLARE rows bigint; BEGIN EXECUTE $1 INTO rows {using}; RETURN rows; END");
    client
        .batch_execute("ROLLBACK TO SAVEPOINT cf_parse")
        .await
        .map_err(told)?;
    let compare = TempFunction {
        name: "cf_compare",
        arguments: &format!("text{types}"),
        returns: "bigint",
        body: &body,
    };
    client_role::function(client, &compare)
        .await
        .map_err(told)?;
    client
        .batch_execute("SET TRANSACTION READ ONLY")
        .await
        .map_err(told)?;
    let raw: Vec<Raw> = parameters
        .iter()
        .map(|(format, value)| Raw::new(*format, value.as_deref()))
        .collect();
    let raw = raw.iter().zip(oids);
    let raw = raw.map(|(one, oid)| (one as &(dyn ToSql + Sync), parameter::declared(*oid)));
    let values: Vec<_> = std::iter::once((&sql as &(dyn ToSql + Sync), Type::TEXT))
        .chain(raw)
        .collect();
    let call = format!("SELECT pg_temp.cf_compare({})", places(1, values.len()));
    let rows = client.query_typed(&call, &values).await.map_err(told)?;
    let row = rows.first().ok_or(Reason::Failed)?;
    Ok(row.get::<_, Option<i64>>(0).unwrap_or_default())
}

/// Rows are compared as text, as multisets: some types have no equality, and order is the
/// statement's own affair only where it says so. The line breaks end comments in the texts.
fn comparison(legacy: &str, unified: &str) -> String {
    let legacy = format!("SELECT cf_r::text FROM (\n{}\n) AS cf_r", bare(legacy));
    let unified = format!("SELECT cf_r::text FROM (\n{}\n) AS cf_r", bare(unified));
    format!(
        "SELECT count(*) FROM (({legacy} EXCEPT ALL {unified}) UNION ALL \
         ({unified} EXCEPT ALL {legacy})) AS cf_difference"
    )
}

fn bare(sql: &str) -> &str {
    sql.trim_end().trim_end_matches(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_comment_or_semicolon_does_not_swallow_the_comparison() {
        let sql = comparison("SELECT 1 -- one", "SELECT 2;");
        assert!(sql.contains("SELECT 1 -- one\n) AS cf_r"), "{sql}");
        assert!(sql.contains("SELECT 2\n) AS cf_r"), "{sql}");
    }
}
