//! What stands for a retired table in the catalog: an empty table of its name and shape, so that whoever looks it up there
//! (`\d`, `pg_dump --table`, an ORM's inspection at its start, `'t'::regclass`) finds what was there before. Statements on
//! the name go through Crossfade and never reach it.
//!
//! | of the table | the stand-in has |
//! |---|---|
//! | columns, CHECKs, comments | the same (`LIKE … INCLUDING ALL`) |
//! | constraints, indexes, foreign keys | the same, by name: those of the table give way |
//! | sequences of its columns | the same, which belong to its columns from now on; of an identity column one that draws nothing |
//! | owner and grants | the same: `information_schema` shows a table to whoever has a right on it |
//! | rows | none, and nobody writes or reads it in silence: a trigger, and a policy of row security, raise |
//! | its own triggers, rules, policies, extended statistics, storage parameters | none |
//!
//! Whatever the server refuses of it, but for the table itself, is left out and told.

use rewrite_rules::lens::{quote_ident, quote_literal};
use tokio_postgres::{Client, Transaction};

use super::Aside;
use super::statement::Statement;
use crate::control::stand_in::{NAME, TRIGGER_FUNCTION};
use crate::control::{ControlError, shown};

/// The statements that make one, apart by when they can be said: the definitions of foreign keys name tables of which a
/// stand-in may be made in the same transaction.
pub(super) struct StandIn {
    /// The table itself, with its keys and indexes.
    pub made: Vec<Statement>,
    /// Its foreign keys, once all tables are there.
    pub refers: Vec<Statement>,
    /// Who owns it and who may see it, and that nobody reads or writes it.
    pub guarded: Vec<Statement>,
}

/// What is asked of the table before anything is renamed, while PostgreSQL writes its definitions with the legacy name.
const TABLE: &str = "\
SELECT c.relpersistence = 'u' AND c.relkind = 'r', quote_ident(pg_get_userbyid(c.relowner)), \
    CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, \
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 \
        AND NOT a.attisdropped AND a.attidentity <> '' ORDER BY a.attnum) \
FROM pg_class AS c WHERE c.oid = to_regclass($1)";

/// Constraints and indexes by their own definitions; then foreign keys, but those to a table that is on probation; then comments
/// that LIKE does not copy.
const PARTS: &str = "\
WITH t AS (SELECT to_regclass($1)::oid AS oid), \
keys AS (SELECT k.* FROM t JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')), \
indexes AS (SELECT i.oid, i.relname, i.relnamespace FROM t JOIN pg_index AS x ON x.indrelid = t.oid AND x.indisvalid \
    JOIN pg_class AS i ON i.oid = x.indexrelid WHERE NOT EXISTS (SELECT FROM keys WHERE conindid = i.oid)), \
refers AS (SELECT k.*, EXISTS (SELECT FROM crossfade.retirements AS r WHERE to_regclass(r.put_aside_as) = k.confrelid) AS to_aside \
    FROM t JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype = 'f') \
SELECT refers, what, sql FROM ( \
    SELECT 1 AS at, conname::text AS name, false AS refers, format('constraint %I', conname) AS what, \
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1, conname, pg_get_constraintdef(oid)) AS sql FROM keys \
    UNION ALL SELECT 2, relname, false, format('index %I', relname), pg_get_indexdef(oid) FROM indexes \
    UNION ALL SELECT 3, conname, true, format('foreign key %I', conname), CASE WHEN NOT to_aside THEN \
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1, conname, pg_get_constraintdef(oid)) END FROM refers \
    UNION ALL SELECT 4, conname, contype = 'f', format('comment on constraint %I', conname), \
        format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname, $1, obj_description(oid, 'pg_constraint')) \
        FROM (SELECT oid, conname, contype FROM keys UNION ALL SELECT oid, conname, contype FROM refers WHERE NOT to_aside) AS k \
        WHERE obj_description(oid, 'pg_constraint') IS NOT NULL \
    UNION ALL SELECT 4, relname, false, format('comment on index %I', relname), \
        format('COMMENT ON INDEX %I.%I IS %L', n.nspname, i.relname, obj_description(i.oid, 'pg_class')) \
        FROM (SELECT oid, relname, relnamespace FROM indexes UNION ALL SELECT c.oid, c.relname, c.relnamespace \
            FROM keys JOIN pg_class AS c ON c.oid = conindid) AS i JOIN pg_namespace AS n ON n.oid = i.relnamespace \
        WHERE obj_description(i.oid, 'pg_class') IS NOT NULL \
    UNION ALL SELECT 4, '', false, 'comment', format('COMMENT ON TABLE %s IS %L', $1, obj_description(oid, 'pg_class')) \
        FROM t WHERE obj_description(oid, 'pg_class') IS NOT NULL \
) AS p ORDER BY at, name";

/// Sequences that belong to columns, which the stand-in's columns shall own: they outlive the table then.
const SEQUENCES: &str = "\
SELECT format('%I.%I', n.nspname, s.relname), format('%I', a.attname) \
FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S' \
JOIN pg_namespace AS n ON n.oid = s.relnamespace \
JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass \
    AND d.refobjid = to_regclass($1) AND d.deptype = 'a' ORDER BY 1";

/// What makes a stand-in for a table that will be called `aside` by then. Nothing is searched for names (`search_path = ''`),
/// so that they are written with their schemas.
pub(super) async fn plan(
    transaction: &Transaction<'_>,
    (migration, table, aside): (&str, &str, &str),
    grants: &[String],
) -> Result<StandIn, ControlError> {
    let sql = || ControlError::sql("look at what a stand-in has to have");
    let row = transaction
        .query_one(TABLE, &[&table])
        .await
        .map_err(sql())?;
    let (unlogged, owner): (bool, String) = (row.get(0), row.get(1));
    let partitioned: Option<String> = row.get(2);
    let identities: Vec<String> = row.get(3);

    let mut made = vec![Statement::must(format!(
        "CREATE {}TABLE {table} (LIKE {aside} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS){}",
        if unlogged { "UNLOGGED " } else { "" },
        partitioned.map_or(String::new(), |by| format!(" PARTITION BY {by}"))
    ))];
    made.extend(identities.iter().map(|column| draws_nothing(table, column)));
    let mut refers = Vec::new();
    let parts = transaction.query(PARTS, &[&table]).await.map_err(sql())?;
    for part in &parts {
        let of = if part.get(0) { &mut refers } else { &mut made };
        let what = format!("{} of {}", part.get::<_, &str>(1), shown(table));
        of.push(match part.get(2) {
            Some(statement) => Statement::may(statement, what),
            None => {
                Statement::left_out(format!("{what}: it refers to a table that is on probation"))
            }
        });
    }
    let mut guarded = vec![
        Statement::must(format!(
            "CREATE TRIGGER {NAME} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} \
             FOR EACH STATEMENT EXECUTE FUNCTION {}({})",
            TRIGGER_FUNCTION.trim_end_matches("()"),
            quote_literal(migration)
        )),
        Statement::must(format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {NAME}")),
        Statement::must(format!(
            "CREATE POLICY {NAME} ON {table} USING (crossfade.stand_in_is_read({}, {}))",
            quote_literal(&shown(table)),
            quote_literal(migration)
        )),
        Statement::must(format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        )),
        Statement::may(
            format!("ALTER TABLE {table} OWNER TO {owner}"),
            format!("owner of {}", shown(table)),
        ),
    ];
    let sequences = transaction.query(SEQUENCES, &[&table]).await;
    for row in sequences.map_err(sql())? {
        let (sequence, column): (String, String) = (row.get(0), row.get(1));
        guarded.push(Statement::may(
            format!("ALTER SEQUENCE {sequence} OWNED BY {table}.{column}"),
            format!("sequence {sequence} of {}", shown(table)),
        ));
    }
    // Default privileges may have given some.
    guarded.push(Statement::must(nobody_may(table)));
    guarded.extend(grants.iter().cloned().map(Statement::must));
    Ok(StandIn {
        made,
        refers,
        guarded,
    })
}

/// An identity column cannot have the table's own sequence. Whoever draws from the stand-in's is told that it has come to
/// its end, and gets no number that unified has given out already.
fn draws_nothing(table: &str, column: &str) -> Statement {
    let (column, named) = (quote_ident(column), quote_literal(column));
    let table_named = quote_literal(table);
    Statement::must(format!(
        "ALTER TABLE {table} ALTER {column} SET NO CYCLE; \
         SELECT setval(s.seqrelid, CASE WHEN s.seqincrement > 0 THEN s.seqmax ELSE s.seqmin END) FROM pg_sequence AS s \
         WHERE s.seqrelid = pg_get_serial_sequence({table_named}, {named})::regclass"
    ))
}

fn nobody_may(table: &str) -> String {
    let literal = quote_literal(table);
    format!(
        "DO $crossfade$ DECLARE who text; BEGIN FOR who IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' \
         ELSE quote_ident(pg_get_userbyid(a.grantee)) END FROM pg_class AS c, \
         aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a WHERE c.oid = to_regclass({literal}) \
         LOOP EXECUTE format('REVOKE ALL ON TABLE %s FROM %s CASCADE', {literal}, who); END LOOP; END $crossfade$"
    )
}

/// The stand-ins of tables on probation from which their owners could not dump data, for row security holds for them.
pub(super) async fn forced<'a>(
    client: &Client,
    asides: &'a [Aside],
) -> Result<Vec<&'a String>, ControlError> {
    let tables = asides.iter().filter(|aside| aside.has_stand_in);
    let tables: Vec<&String> = tables.map(|aside| &aside.legacy_table).collect();
    let rows = client
        .query(
            "SELECT n FROM unnest($1::text[]) AS n JOIN pg_class AS c ON c.oid = to_regclass(n) AND c.relforcerowsecurity \
             JOIN pg_roles AS o ON o.oid = c.relowner AND NOT o.rolsuper AND NOT o.rolbypassrls",
            &[&tables],
        )
        .await
        .map_err(ControlError::sql("look at the owners of stand-ins"))?;
    let forced: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(tables
        .into_iter()
        .filter(|table| forced.contains(table))
        .collect())
}

/// What gives the sequences back to the table's own columns, and drops the stand-ins. One that holds anything, which takes
/// somebody who has disabled its trigger, stays, and so does the probation.
pub(super) async fn take_away(
    transaction: &Transaction<'_>,
    tables: &[(&str, &str)],
) -> Result<(), ControlError> {
    let sql = || ControlError::sql("taking the stand-ins away");
    for (table, aside) in tables {
        let empty = transaction
            .query_one("SELECT pg_relation_size(to_regclass($1)) = 0", &[table])
            .await
            .map_err(sql())?;
        if !empty.get::<_, bool>(0) {
            return Err(ControlError::Refused(format!(
                "{}, the stand-in of {}, has held rows: look what they are, DELETE and VACUUM them; nothing was changed",
                shown(table),
                shown(aside)
            )));
        }
        let sequences = transaction
            .query(SEQUENCES, &[table])
            .await
            .map_err(sql())?;
        for row in sequences {
            let (sequence, column): (String, String) = (row.get(0), row.get(1));
            let back = format!("ALTER SEQUENCE {sequence} OWNED BY {aside}.{column}");
            transaction.batch_execute(&back).await.map_err(sql())?;
        }
    }
    let names: Vec<&str> = tables.iter().map(|(table, _)| *table).collect();
    if !names.is_empty() {
        let drop = format!("DROP TABLE {}", names.join(", "));
        transaction.batch_execute(&drop).await.map_err(sql())?;
    }
    Ok(())
}
