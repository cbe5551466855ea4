//! A legacy row image as a value: its type, and what the legacy table would not have taken.

use super::Functions;
use crate::lens::{LegacyColumn, quote_ident, quote_literal};

impl Functions<'_> {
    /// The type of an image, created unless it is there.
    pub(super) fn image_ddl(&self) -> String {
        let fields: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|c| format!("{} {}", quote_ident(&c.name), field_type(c)))
            .collect();
        format!(
            "DO $crossfade$ BEGIN\n  IF to_regtype({}) IS NULL THEN CREATE TYPE {} AS ({}); END IF;\n\
             END $crossfade$;\n",
            quote_literal(&self.row),
            self.row,
            fields.join(", "),
        )
    }

    /// Values that the legacy column has no room for are errors, as they would be there. A cast
    /// would cut them in silence; an assignment complains.
    pub(super) fn fits(&self, image: &str, indent: &str) -> String {
        self.cut()
            .map(|(number, c)| {
                let name = quote_ident(&c.name);
                format!("{indent}cf_fit_{number} := {image}.{name};\n{indent}{image}.{name} := cf_fit_{number};\n")
            })
            .collect()
    }

    pub(super) fn fitting(&self) -> String {
        self.cut()
            .map(|(number, c)| format!("  cf_fit_{number} {};\n", c.sql_type))
            .collect()
    }

    fn cut(&self) -> impl Iterator<Item = (usize, &LegacyColumn)> {
        let columns = self.lens.columns.iter().enumerate();
        columns.filter(|(_, c)| field_type(c) != c.sql_type)
    }
}

/// The type of a field of an image: the column's, but where a cast to that would cut a value.
fn field_type(column: &LegacyColumn) -> &str {
    match column.base_type().to_ascii_lowercase().as_str() {
        "character varying" | "varchar" | "bit varying" | "varbit" => column.base_type(),
        // Without their length these would mean a length of one.
        "character" | "char" | "bpchar" if column.sql_type.contains('(') => "bpchar",
        "bit" if column.sql_type.contains('(') => "bit varying",
        _ => &column.sql_type,
    }
}
