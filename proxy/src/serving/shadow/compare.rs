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

/// What stands in the way of a comparison, if anything does, and the parameters' types as SQL.
///
/// The relations are those that the server holds locks on for the text that was just read. Pinned
/// objects, which nobody can replace, have no rows in pg_depend: what is there and not pg_catalog's is
/// somebody's. Operator classes are left out, since only a superuser can make one.
const LOOK: &str = "\
WITH RECURSIVE allowed AS (SELECT n.oid AS schema, t.name FROM unnest($1::text[], $2::text[]) AS t (schema, name) \
    JOIN pg_namespace AS n ON n.nspname = t.schema), \
read AS (SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.reltype FROM pg_class AS c \
    WHERE c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace) AND c.relkind NOT IN ('i', 'I') \
    AND c.oid IN (SELECT l.relation FROM pg_locks AS l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' \
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))), \
tables (oid) AS (SELECT oid FROM read UNION SELECT i.inhrelid FROM tables AS t JOIN pg_inherits AS i ON i.inhparent = t.oid), \
objects AS (SELECT 'pg_class'::regclass AS class, oid FROM tables \
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i JOIN tables AS t ON t.oid = i.indrelid \
    UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint AS c JOIN tables AS t ON t.oid = c.conrelid \
    UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext AS s JOIN tables AS t ON t.oid = s.stxrelid \
    UNION ALL SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef AS f JOIN tables AS t ON t.oid = f.adrelid \
        JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> ''), \
code AS (SELECT FROM objects AS o JOIN pg_depend AS d ON d.classid = o.class AND d.objid = o.oid \
    LEFT JOIN pg_proc AS p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid \
    LEFT JOIN pg_operator AS x ON d.refclassid = 'pg_operator'::regclass AND x.oid = d.refobjid \
    WHERE coalesce(p.pronamespace, x.oprnamespace) <> 'pg_catalog'::regnamespace), \
types (oid) AS (SELECT a.atttypid FROM read AS r JOIN pg_attribute AS a ON a.attrelid = r.oid \
        WHERE a.attnum > 0 AND NOT a.attisdropped \
    UNION SELECT x.oid FROM types AS y JOIN pg_type AS t ON t.oid = y.oid \
        CROSS JOIN LATERAL (VALUES (t.typbasetype), (CASE t.typcategory WHEN 'A' THEN t.typelem END)) AS x (oid) WHERE x.oid <> 0), \
own (oid) AS (SELECT t.oid FROM types AS y JOIN pg_type AS t ON t.oid = y.oid \
        WHERE t.typnamespace <> 'pg_catalog'::regnamespace UNION SELECT r.reltype FROM read AS r), \
casts AS (SELECT FROM pg_cast AS c JOIN pg_proc AS p ON p.oid = c.castfunc \
    WHERE p.pronamespace <> 'pg_catalog'::regnamespace \
    AND (c.castsource IN (SELECT oid FROM own) OR c.casttarget IN (SELECT oid FROM own))), \
given AS (SELECT g.n, t.typnamespace, t.typtype, e.typnamespace AS of_namespace, e.typtype AS of_type, \
        format_type(t.oid, NULL) AS name \
    FROM unnest($3::oid[]) WITH ORDINALITY AS g (type, n) JOIN pg_type AS t ON t.oid = g.type \
    LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A') \
SELECT CASE \
    WHEN EXISTS (SELECT FROM read AS r WHERE r.relkind NOT IN ('r', 'p') \
        OR NOT EXISTS (SELECT FROM allowed AS a WHERE a.schema = r.relnamespace AND a.name = r.relname)) \
        OR EXISTS (SELECT FROM tables AS t JOIN pg_class AS c ON c.oid = t.oid WHERE c.relkind NOT IN ('r', 'p')) \
        THEN 'relation' \
    WHEN EXISTS (SELECT FROM code) THEN 'code' \
    WHEN EXISTS (SELECT FROM types AS y JOIN pg_type AS t ON t.oid = y.oid \
        WHERE t.typnamespace <> 'pg_catalog'::regnamespace AND t.typtype NOT IN ('e', 'd') AND t.typcategory <> 'A') \
        OR EXISTS (SELECT FROM casts) THEN 'type' \
    WHEN EXISTS (SELECT FROM given AS g WHERE g.typnamespace <> 'pg_catalog'::regnamespace AND g.typtype <> 'e' \
        AND (g.of_namespace IS NULL OR g.of_namespace <> 'pg_catalog'::regnamespace AND g.of_type <> 'e')) \
        OR cardinality($3::oid[]) <> (SELECT count(*) FROM given) THEN 'parameters' END, \
    (SELECT string_agg(', ' || g.name, '' ORDER BY g.n) FROM given AS g)";

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
    let tables = &read.candidate.tables;
    let schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let looked = client
        .query_typed(
            LOOK,
            &[
                (&schemas, Type::TEXT_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&oids, Type::OID_ARRAY),
            ],
        )
        .await
        .map_err(told)?;
    let row = looked.first().ok_or(Reason::Failed)?;
    let found: Option<&str> = row.get(0);
    match found {
        None => Ok((oids, row.get::<_, Option<String>>(1).unwrap_or_default())),
        Some("relation") => Err(Reason::Relation.into()),
        Some("code") => Err(Reason::TableCode.into()),
        Some("type") => Err(Reason::ColumnType.into()),
        Some("parameters") => Err(Reason::Parameters.into()),
        Some(_) => Err(Reason::Failed.into()),
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
