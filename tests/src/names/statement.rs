//! Statements around a table's name, and texts that the server runs by itself around statements.

use super::spelling::{dollar_quoted, dotted, gap, literal};
use super::{Concern, Named, Statement};
use crate::generate::Choices;

/// Where the table's name goes.
const TABLE: &str = "‹t›";

const READS: &[&str] = &[
    "SELECT email, full_name FROM ‹t› ORDER BY email",
    "SELECT count(*), max(a.full_name) FROM ‹t› AS a WHERE a.email LIKE 'a%'",
    "SELECT (SELECT max(full_name) FROM ‹t›)",
    "SELECT msg FROM notes WHERE EXISTS (SELECT FROM ‹t› WHERE full_name <> msg) ORDER BY id",
    "WITH a AS (SELECT * FROM ‹t›) SELECT min(full_name) FROM a",
    "SELECT max(b.full_name) FROM notes JOIN ‹t› AS b ON b.email <> msg",
    "INSERT INTO notes SELECT 7, max(full_name) FROM ‹t› RETURNING msg",
    "UPDATE notes SET msg = (SELECT max(full_name) FROM ‹t›) WHERE id = 1 RETURNING msg",
    "COPY (SELECT full_name FROM ‹t› ORDER BY email) TO STDOUT",
    "COPY ‹t› (email, full_name) TO STDOUT",
    "SELECT full_name FROM ONLY ‹t› WHERE email = 'agent.1@example.com'",
    "SELECT 'iso_agents', max(full_name) FROM ‹t› /* \"iso_agents */",
];

const WRITES: &[&str] = &[
    "UPDATE ‹t› SET full_name = 'written' WHERE email = 'agent.1@example.com'",
    "UPDATE ‹t› AS a SET full_name = 'w' || a.email WHERE email LIKE 'agent.2@%' RETURNING full_name",
    "DELETE FROM ‹t› WHERE email = 'agent.4@example.com' RETURNING email",
    "INSERT INTO ‹t› (clerk_user_id, email, full_name) VALUES ('n', 'new@example.com', 'New')",
    "INSERT INTO ‹t› (clerk_user_id, email, full_name) SELECT 'm', 'm@example.com', msg FROM notes WHERE id = 1",
    "WITH w AS (UPDATE ‹t› SET full_name = 'with' WHERE email = 'agent.5@example.com' RETURNING email) TABLE w",
    "WITH iso_agents AS (SELECT 'cte' AS a) UPDATE ‹t› SET full_name = a FROM iso_agents WHERE email = 'agent.6@example.com'",
    "UPDATE ‹t› SET full_name = msg FROM notes WHERE notes.id = 2 AND email = 'agent.3@example.com'",
    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) UPDATE ‹t› SET full_name = 'explained' WHERE email = 'agent.1@example.com'",
];

/// They change what the rules rely on; the server is never shown them.
const COMMANDS: &[&str] = &[
    "ALTER TABLE ‹t› ADD COLUMN more int",
    "DROP TABLE IF EXISTS notes, ‹t›",
    "CREATE RULE r AS ON UPDATE TO ‹t› DO INSTEAD NOTHING",
    "CREATE TRIGGER t BEFORE INSERT ON ‹t› FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE VIEW v AS SELECT 1 FROM ‹t›",
    "ALTER TABLE notes ADD COLUMN a ‹t›",
    "CREATE TABLE other_notes (a int) INHERITS (‹t›)",
    "MERGE INTO ‹t› AS a USING notes ON a.email = msg WHEN MATCHED THEN DELETE",
    "TRUNCATE ‹t›",
];

/// What they are told is SQL.
const TOLD_QUERIES: &[&str] = &[
    "query_to_xml(‹s›, true, false, '')",
    "query_to_xml(nulls => true, tableforest => false, targetns => '', query => ‹s›)",
    "query_to_xml_and_xmlschema(‹s›, true, false, '')",
];

/// What they are told is a table's name.
const TOLD_NAMES: &[&str] = &[
    "table_to_xml(‹s›, true, false, '')",
    "table_to_xml(‹s›::regclass, true, false, '')",
    "table_to_xml(CAST(‹s› AS regclass), true, false, '')",
    "table_to_xml(to_regclass(‹s›), true, false, '')",
];

/// One statement that names the table; with `commands` also what must not run.
pub(super) fn statement(choices: &mut Choices, named: Named, commands: bool) -> Statement {
    match choices.below(if commands { 8 } else { 7 }) {
        0 | 1 => around(choices, named, WRITES, Concern::Write),
        2 | 3 => around(choices, named, READS, Concern::Read),
        4 => body(choices, named),
        5 => kept(choices, named),
        6 => argument(choices, named),
        _ => around(choices, named, COMMANDS, Concern::Command),
    }
}

fn around(choices: &mut Choices, named: Named, of: &[&str], concern: Concern) -> Statement {
    let shape = choices.pick(of);
    let table = said(choices, named);
    Statement {
        sql: shape.replace(TABLE, &table),
        concern,
    }
}

fn said(choices: &mut Choices, named: Named) -> String {
    let before = gap(choices);
    let name = dotted(choices, named.schema, named.table);
    format!("{before}{name}{}", gap(choices))
}

/// A read or a write that returns no rows.
fn within_body(choices: &mut Choices, named: Named) -> String {
    const WITHIN: &[&str] = &[
        "UPDATE ‹t› SET full_name = 'body' WHERE email = 'agent.1@example.com'",
        "DELETE FROM ‹t› WHERE email = 'agent.4@example.com'",
        "UPDATE notes SET msg = (SELECT max(full_name) FROM ‹t›) WHERE id = 1",
    ];
    let shape = choices.pick(WITHIN);
    let table = said(choices, named);
    shape.replace(TABLE, &table)
}

/// A block of PL/pgSQL.
fn block(choices: &mut Choices, named: Named) -> String {
    let sql = within_body(choices, named);
    match choices.below(6) {
        0 | 1 => format!("BEGIN {sql}; END"),
        2 => format!("BEGIN EXECUTE {}; END", literal(choices, &sql)),
        3 => format!(
            "DECLARE s text := {}; BEGIN EXECUTE s; END",
            literal(choices, &sql)
        ),
        4 => {
            let schema = named.schema.map(|schema| format!("{schema}."));
            let schema = schema.unwrap_or_default();
            let name = literal(choices, named.table);
            format!("BEGIN EXECUTE format('UPDATE {schema}%I SET full_name = ''f''', {name}); END")
        }
        _ => format!("BEGIN IF true THEN {sql}; END IF; EXCEPTION WHEN no_data THEN NULL; END"),
    }
}

/// DO.
fn body(choices: &mut Choices, named: Named) -> Statement {
    let block = block(choices, named);
    let body = literal(choices, &block);
    let sql = match choices.below(4) {
        0 | 1 => format!("DO {body}"),
        2 => format!("DO LANGUAGE plpgsql {body}"),
        _ => format!("DO {body} LANGUAGE {}", literal(choices, "plpgsql")),
    };
    Statement {
        sql,
        concern: Concern::Body,
    }
}

/// CREATE FUNCTION; its call is another statement.
fn kept(choices: &mut Choices, named: Named) -> Statement {
    let sql = match choices.below(5) {
        0 | 1 => {
            let query = within_body(choices, named);
            let body = literal(choices, &query);
            format!("CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS {body}")
        }
        2 => {
            let query = within_body(choices, named);
            format!(
                "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql BEGIN ATOMIC {query}; END"
            )
        }
        3 => {
            let block = block(choices, named);
            let body = dollar_quoted(choices, &block);
            format!(
                "CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS void AS {body} LANGUAGE plpgsql"
            )
        }
        _ => {
            let block = block(choices, named);
            let body = literal(choices, &block);
            format!("CREATE PROCEDURE pg_temp.p() LANGUAGE plpgsql AS {body}")
        }
    };
    Statement {
        sql,
        concern: Concern::Body,
    }
}

/// A function that is handed SQL or a table's name, or a cast that asks the catalog.
fn argument(choices: &mut Choices, named: Named) -> Statement {
    let table = dotted(choices, named.schema, named.table);
    match choices.below(6) {
        0..=2 => {
            let call = choices.pick(TOLD_QUERIES);
            let query = format!("SELECT full_name FROM {table} ORDER BY email");
            let sql = told(choices, call, &query);
            Statement {
                sql: format!("SELECT {sql}"),
                concern: Concern::ReadsText,
            }
        }
        3 => {
            let call = choices.pick(TOLD_NAMES);
            let sql = told(choices, call, &table);
            Statement {
                // Its rows come in no order.
                sql: format!(
                    "SELECT array_agg(a ORDER BY a) FROM \
                     regexp_matches({sql}::text, '<full_name>([^<]*)', 'g') AS a"
                ),
                concern: Concern::ReadsText,
            }
        }
        4 => {
            let query = format!("SELECT to_tsvector('simple', full_name) FROM {table}");
            let query = literal(choices, &query);
            Statement {
                sql: format!("SELECT word, ndoc FROM ts_stat({query}) ORDER BY 1"),
                concern: Concern::ReadsText,
            }
        }
        _ => {
            let name = literal(choices, &table);
            Statement {
                sql: format!("SELECT {name}::regclass::text"),
                concern: Concern::Catalog,
            }
        }
    }
}

/// A call with its text in place, the function's name in any spelling.
fn told(choices: &mut Choices, call: &str, text: &str) -> String {
    let (function, arguments) = call.split_once('(').unwrap_or((call, ")"));
    let schema = if choices.chance(30) {
        Some("pg_catalog")
    } else {
        None
    };
    let function = dotted(choices, schema, function);
    let text = literal(choices, text);
    let call = format!("{function}{}({arguments}", gap(choices));
    call.replace("‹s›", &text)
}
