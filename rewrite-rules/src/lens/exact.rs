//! Whether two values of a column are the same to a reader.

use super::{LegacyColumn, without_modifier};

impl LegacyColumn {
    /// Whether two legacy values differ in anything that a reader could see.
    pub(super) fn legacy_differs(&self, a: &str, b: &str) -> String {
        differs(&self.sql_type, a, b)
    }

    /// A legacy value in the form in which being equal means reading the same.
    pub(super) fn legacy_exact(&self, value: &str) -> String {
        exact(&self.sql_type, value)
    }

    pub(super) fn unified_differs(&self, a: &str, b: &str) -> String {
        differs(&self.unified_type, a, b)
    }
}

fn differs(sql_type: &str, a: &str, b: &str) -> String {
    format!(
        "{} IS DISTINCT FROM {}",
        exact(sql_type, a),
        exact(sql_type, b)
    )
}

/// A value in the form in which being equal means being the same to a reader.
///
/// Many types have no equality (`json`, `point`), or one under which values are equal that read
/// differently (`1.0` and `1.00`, `interval '1 day'` and `'24 hours'`, `citext`): they are compared
/// as text. Where equal values always read alike, the values themselves are cheaper.
fn exact(sql_type: &str, value: &str) -> String {
    let spelled = sql_type.to_ascii_lowercase();
    match without_modifier(&spelled).as_str() {
        "uuid"
        | "boolean"
        | "bool"
        | "smallint"
        | "int2"
        | "integer"
        | "int"
        | "int4"
        | "bigint"
        | "int8"
        | "date"
        | "timestamp"
        | "timestamp with time zone"
        | "timestamp without time zone"
        | "timestamptz"
        | "bytea" => value.to_owned(),
        "numeric" | "decimal" if spelled.contains('(') => value.to_owned(),
        // Byte for byte, whatever the column's collation holds for equal.
        _ => format!("{value}::text COLLATE \"C\""),
    }
}
