//! A legacy row image as a value: its type, and what the legacy table would not have taken.

use super::{Call, Functions};
use crate::lens::{Function, LegacyColumn, Visible, quote_ident, quote_literal};

impl Functions<'_> {
    /// The table whose rows images are, created unless it is there. It never has a row: statements
    /// "insert" into it to have types judged.
    pub(super) fn image_ddl(&self) -> String {
        let fields: String = self
            .lens
            .columns
            .iter()
            .map(|c| format!("{} {}, ", quote_ident(&c.name), field_type(c)))
            .collect();
        format!(
            "DO $crossfade$ BEGIN\n  IF to_regclass({name}) IS NULL THEN\n\
             \x20   CREATE TABLE {row} ({fields}CHECK (false));\n\
             \x20   GRANT SELECT, INSERT ON {row} TO PUBLIC;\n  END IF;\nEND $crossfade$;\n",
            name = quote_literal(&self.row),
            row = self.row,
        )
    }

    /// What the legacy table's NOT NULL and CHECKs would have said of an image, in their words.
    pub(super) fn accept(&self) -> Function {
        let lens = self.lens;
        let columns = lens.columns.iter();
        let nulls: String = columns
            .filter(|column| column.not_null)
            .map(|column| {
                format!(
                    " WHEN (cf_image).{} IS NULL THEN {}",
                    quote_ident(&column.name),
                    quote_literal(&column.name)
                )
            })
            .collect();
        let checks: String = self
            .written
            .checks
            .iter()
            .map(|check| {
                format!(
                    " WHEN NOT ({}) THEN {}",
                    check.sql.replace(Visible::ROW, "cf_image"),
                    quote_literal(&check.name)
                )
            })
            .collect();
        let raise = |kind: &str, sqlstate: &str, said: &str| {
            format!(
                "  IF cf_broken IS NOT NULL THEN\n    RAISE EXCEPTION USING ERRCODE = '{sqlstate}', \
                 {kind} = cf_broken,\n      MESSAGE = format({}, cf_broken, {table}), DETAIL = {},\n      \
                 TABLE = {table}, SCHEMA = {};\n  END IF;\n",
                quote_literal(said),
                self.failing_row(),
                quote_literal(&lens.legacy.schema),
                table = quote_literal(&lens.legacy.name),
            )
        };
        let broken = |arms: &str| match arms {
            "" => String::new(),
            arms => format!("  cf_broken := CASE{arms} END;\n"),
        };
        let body = format!(
            "{}{}{}{}  RETURN true;\n",
            broken(&nulls),
            raise(
                "COLUMN",
                "23502",
                "null value in column \"%s\" of relation \"%s\" violates not-null constraint"
            ),
            broken(&checks),
            raise(
                "CONSTRAINT",
                "23514",
                "new row for relation \"%2$s\" violates check constraint \"%1$s\""
            ),
        );
        self.function(
            lens.named(Call::Accept.word()),
            &format!("(cf_image {}) RETURNS boolean", self.row),
            "  cf_broken text;\n",
            &body,
        )
    }

    /// The row as PostgreSQL describes it: each value up to 64 bytes.
    fn failing_row(&self) -> String {
        let values: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|column| format!("(cf_image).{}::text", quote_ident(&column.name)))
            .collect();
        format!(
            "(SELECT 'Failing row contains (' || string_agg(CASE WHEN v IS NULL THEN 'null' \
             WHEN octet_length(v) > 64 THEN left(v, 64) || '...' ELSE v END, ', ' ORDER BY n) || ').' \
             FROM unnest(ARRAY[{}]) WITH ORDINALITY AS cf_v (v, n))",
            values.join(", ")
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

    /// What legacy would have computed from the other columns of an image.
    pub(super) fn computed(&self, image: &str, indent: &str) -> String {
        let columns = self.lens.columns.iter();
        columns
            .filter_map(|column| {
                let value = self.lens.computed_of(column, &format!("({image})"))?;
                Some(format!(
                    "{indent}{image}.{} := {value};\n",
                    quote_ident(&column.name)
                ))
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
pub(super) fn field_type(column: &LegacyColumn) -> String {
    let base = column.base_type();
    match base.to_ascii_lowercase().trim_end_matches("[]") {
        "character varying" | "varchar" | "bit varying" | "varbit" | "bpchar" => base,
        "pg_catalog.bit" if column.sql_type.contains('(') => {
            base.replace("pg_catalog.bit", "bit varying")
        }
        _ => column.sql_type.clone(),
    }
}
