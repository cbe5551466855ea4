//! Whose code a text would call while it is planned or run, as the server resolved it.
//!
//! Asked in the transaction that has just read the text (PREPARE): the relations are those that the server holds locks on
//! for it. Nothing of the text has run by then.

use rewrite_rules::TableName;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

/// Which tables a text may name besides those that are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherTables {
    None,
    /// Those of whoever owns one of the listed ones, of the role that asks, of the schema `crossfade`, and of superusers: who may
    /// change the listed ones anyway, or more.
    OfTheSameOwners,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A view, or a table that it may not name.
    Relation,
    /// An index, a constraint, a generated column, statistics or a partition key that call somebody's function.
    TableCode,
    /// A column's type, or a cast, of somebody's.
    ColumnType,
    /// A parameter's.
    Parameters,
    /// The server answered with a word that nobody here knows.
    Unknown,
}

/// A table that the text names, or a partition of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadTable {
    pub name: TableName,
    /// Its size, in pages of the server's.
    pub pages: i64,
    /// Columns with which an index of all its rows begins.
    pub indexed: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Called {
    pub obstacle: Option<Obstacle>,
    /// The parameters' types as SQL, each behind a comma.
    pub types: String,
    pub tables: Vec<ReadTable>,
}

/// Pinned objects, which nobody can replace, have no rows in pg_depend: what is there and not pg_catalog's is
/// somebody's. Operator classes are left out, since only a superuser can make one.
const LOOK: &str = "\
WITH RECURSIVE allowed AS (SELECT n.oid AS schema, t.name FROM unnest($1::text[], $2::text[]) AS t (schema, name) \
    JOIN pg_namespace AS n ON n.nspname = t.schema), \
read AS (SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.reltype, c.relowner FROM pg_class AS c \
    WHERE c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace) AND c.relkind NOT IN ('i', 'I') \
    AND c.oid IN (SELECT l.relation FROM pg_locks AS l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' \
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))), \
owners (oid) AS (SELECT c.relowner FROM pg_class AS c JOIN allowed AS a ON a.schema = c.relnamespace AND a.name = c.relname \
    UNION SELECT r.oid FROM pg_roles AS r WHERE r.rolsuper OR r.rolname = current_user \
    UNION SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'crossfade'), \
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
        OR NOT EXISTS (SELECT FROM allowed AS a WHERE a.schema = r.relnamespace AND a.name = r.relname) \
            AND NOT ($4 AND r.relowner IN (SELECT oid FROM owners))) \
        OR EXISTS (SELECT FROM tables AS t JOIN pg_class AS c ON c.oid = t.oid WHERE c.relkind NOT IN ('r', 'p')) \
        THEN 'relation' \
    WHEN EXISTS (SELECT FROM code) THEN 'code' \
    WHEN EXISTS (SELECT FROM types AS y JOIN pg_type AS t ON t.oid = y.oid \
        WHERE t.typnamespace <> 'pg_catalog'::regnamespace AND t.typtype NOT IN ('e', 'd') AND t.typcategory <> 'A') \
        OR EXISTS (SELECT FROM casts) THEN 'type' \
    WHEN EXISTS (SELECT FROM given AS g WHERE g.typnamespace <> 'pg_catalog'::regnamespace AND g.typtype <> 'e' \
        AND (g.of_namespace IS NULL OR g.of_namespace <> 'pg_catalog'::regnamespace AND g.of_type <> 'e')) \
        OR cardinality($3::oid[]) <> (SELECT count(*) FROM given) THEN 'parameters' END, \
    coalesce((SELECT string_agg(', ' || g.name, '' ORDER BY g.n) FROM given AS g), ''), \
    (SELECT array_agg(s.nspname::text ORDER BY t.oid) FROM tables AS t JOIN pg_class AS c ON c.oid = t.oid \
        JOIN pg_namespace AS s ON s.oid = c.relnamespace), \
    (SELECT array_agg(c.relname::text ORDER BY t.oid) FROM tables AS t JOIN pg_class AS c ON c.oid = t.oid), \
    (SELECT array_agg(coalesce(pg_relation_size(t.oid), 0) / current_setting('block_size')::bigint ORDER BY t.oid) \
        FROM tables AS t JOIN pg_class AS c ON c.oid = t.oid), \
    (SELECT array_agg(coalesce((SELECT string_agg(a.attname::text, chr(1)) FROM pg_index AS i JOIN pg_attribute AS a \
            ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
            WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL), '') ORDER BY t.oid) \
        FROM tables AS t JOIN pg_class AS c ON c.oid = t.oid)";

/// What the text that this transaction has read names. In the search path there must be nothing but `pg_catalog` and
/// `pg_temp`; `parameters` are the oids of its parameters' types.
///
/// # Errors
/// The server's.
pub async fn look(
    client: &Client,
    (listed, others): (&[TableName], OtherTables),
    parameters: &[u32],
) -> Result<Called, Error> {
    let schemas: Vec<&str> = listed.iter().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = listed.iter().map(|table| table.name.as_str()).collect();
    let others = match others {
        OtherTables::None => false,
        OtherTables::OfTheSameOwners => true,
    };
    let row = client
        .query_typed_one(
            LOOK,
            &[
                (&schemas, Type::TEXT_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&parameters, Type::OID_ARRAY),
                (&others, Type::BOOL),
            ],
        )
        .await?;
    let obstacle = row.get::<_, Option<&str>>(0).map(|word| match word {
        "relation" => Obstacle::Relation,
        "code" => Obstacle::TableCode,
        "type" => Obstacle::ColumnType,
        "parameters" => Obstacle::Parameters,
        _ => Obstacle::Unknown,
    });
    let schemas: Vec<String> = row.get::<_, Option<_>>(2).unwrap_or_default();
    let names: Vec<String> = row.get::<_, Option<_>>(3).unwrap_or_default();
    let pages: Vec<i64> = row.get::<_, Option<_>>(4).unwrap_or_default();
    let indexed: Vec<String> = row.get::<_, Option<_>>(5).unwrap_or_default();
    let tables = schemas
        .into_iter()
        .zip(names)
        .zip(pages.into_iter().zip(indexed));
    Ok(Called {
        obstacle,
        types: row.get(1),
        tables: tables
            .map(|((schema, name), (pages, indexed))| ReadTable {
                name: TableName { schema, name },
                pages,
                indexed: indexed.split('\u{1}').map(str::to_owned).collect(),
            })
            .collect(),
    })
}
