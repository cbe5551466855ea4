//! Functions that are handed SQL or a table's name as text, and read or write the table.
//!
//! ```text
//! SELECT query_to_xml('SELECT * FROM iso_agents', …)      reads rows: refused once reads are unified
//! SELECT dblink_exec('…', 'DELETE FROM iso_agents')       may write: refused from dual_write on
//! SELECT pg_relation_size('iso_agents')                   asks the catalog: none of ours
//! ```
//!
//! Those of PostgreSQL and of its usual extensions; what functions of the database's own do with a
//! text no proxy can see.

/// What a function makes of the texts among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// SQL, or the name of a table.
    Text,
    /// The name of a schema, all of whose tables it reads.
    Schema,
    /// None: it reads every table.
    Everything,
}

/// What it does with a table that is named there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableUse {
    Reads,
    Writes,
}

/// The schema is given for names that anybody might give to a function.
const FUNCTIONS: &[(Option<&str>, &str, Takes, TableUse)] = &[
    (None, "query_to_xml", Takes::Text, TableUse::Reads),
    (
        None,
        "query_to_xml_and_xmlschema",
        Takes::Text,
        TableUse::Reads,
    ),
    (None, "table_to_xml", Takes::Text, TableUse::Reads),
    (
        None,
        "table_to_xml_and_xmlschema",
        Takes::Text,
        TableUse::Reads,
    ),
    (None, "schema_to_xml", Takes::Schema, TableUse::Reads),
    (
        None,
        "schema_to_xml_and_xmlschema",
        Takes::Schema,
        TableUse::Reads,
    ),
    (None, "database_to_xml", Takes::Everything, TableUse::Reads),
    (
        None,
        "database_to_xml_and_xmlschema",
        Takes::Everything,
        TableUse::Reads,
    ),
    (None, "ts_stat", Takes::Text, TableUse::Reads),
    (None, "ts_rewrite", Takes::Text, TableUse::Reads),
    // xml2, tablefunc
    (None, "xpath_table", Takes::Text, TableUse::Reads),
    (None, "crosstab", Takes::Text, TableUse::Reads),
    (None, "crosstab2", Takes::Text, TableUse::Reads),
    (None, "crosstab3", Takes::Text, TableUse::Reads),
    (None, "crosstab4", Takes::Text, TableUse::Reads),
    (None, "connectby", Takes::Text, TableUse::Reads),
    // dblink: whatever it is connected to may be this database.
    (None, "dblink", Takes::Text, TableUse::Writes),
    (None, "dblink_exec", Takes::Text, TableUse::Writes),
    (None, "dblink_open", Takes::Text, TableUse::Writes),
    (None, "dblink_send_query", Takes::Text, TableUse::Writes),
    (
        None,
        "dblink_build_sql_delete",
        Takes::Text,
        TableUse::Reads,
    ),
    (
        None,
        "dblink_build_sql_insert",
        Takes::Text,
        TableUse::Reads,
    ),
    (
        None,
        "dblink_build_sql_update",
        Takes::Text,
        TableUse::Reads,
    ),
    // What runs later, or elsewhere.
    (Some("cron"), "schedule", Takes::Text, TableUse::Writes),
    (
        Some("cron"),
        "schedule_in_database",
        Takes::Text,
        TableUse::Writes,
    ),
    (None, "pg_background_launch", Takes::Text, TableUse::Writes),
    (
        None,
        "run_command_on_workers",
        Takes::Text,
        TableUse::Writes,
    ),
    (
        None,
        "run_command_on_all_nodes",
        Takes::Text,
        TableUse::Writes,
    ),
    (
        Some("aws_s3"),
        "query_export_to_s3",
        Takes::Text,
        TableUse::Reads,
    ),
    (
        Some("aws_s3"),
        "table_import_from_s3",
        Takes::Text,
        TableUse::Writes,
    ),
    // What changes the table.
    (
        None,
        "create_distributed_table",
        Takes::Text,
        TableUse::Writes,
    ),
    (
        None,
        "create_reference_table",
        Takes::Text,
        TableUse::Writes,
    ),
    (None, "create_hypertable", Takes::Text, TableUse::Writes),
    (None, "addgeometrycolumn", Takes::Text, TableUse::Writes),
    (None, "dropgeometrycolumn", Takes::Text, TableUse::Writes),
    (None, "dropgeometrytable", Takes::Text, TableUse::Writes),
    (None, "updategeometrysrid", Takes::Text, TableUse::Writes),
];

/// Words that stand in the text of a call which names no table but reads managed ones.
pub(crate) const WHOLE_SCHEMAS: [&str; 2] = ["schema_to_xml", "database_to_xml"];

/// What is known of a function.
pub(crate) fn known(schema: Option<&str>, name: &str) -> Option<(Takes, TableUse)> {
    let mut functions = FUNCTIONS.iter();
    let found = functions.find(|(within, known, _, _)| {
        *known == name && within.is_none_or(|within| schema == Some(within))
    });
    found.map(|&(_, _, takes, does)| (takes, does))
}

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|&(_, name, _, _)| name)
}

/// Whether a word may be the name of one that runs or reads what a text says.
pub(crate) fn runs_text(word: &str) -> bool {
    FUNCTIONS.iter().any(|(_, known, _, _)| *known == word)
}
