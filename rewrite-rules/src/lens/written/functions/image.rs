//! A legacy row image as a value: its type, and what the legacy table would not have taken.

use super::{Call, Functions};
use crate::lens::{Function, LegacyColumn, quote_ident, quote_literal};

impl Functions<'_> {
    /// The table whose rows images are, created unless it is there. It never has a row: statements
    /// "insert" into it to have types judged.
    ///
    /// What may be a domain is there as the type below it, without its length: a cast of a row to a domain
    /// would cut its values.
    pub(super) fn image_ddl(&self) -> String {
        let columns = || self.lens.columns.iter();
        let fields: String = columns()
            .map(|c| format!("{} {}, ", quote_ident(&c.name), field_type(c)))
            .collect();
        let create = if columns().any(LegacyColumn::may_be_domain) {
            let escaped = |text: &str| text.replace('%', "%%");
            let fields: String = columns()
                .map(|c| match c.may_be_domain() {
                    true => format!("{} %s, ", escaped(&quote_ident(&c.name))),
                    false => escaped(&format!("{} {}, ", quote_ident(&c.name), field_type(c))),
                })
                .collect();
            let bases: String = columns()
                .filter(|c| c.may_be_domain())
                .map(|c| format!(",\n      {}", base_of(&c.sql_type)))
                .collect();
            let create = format!(
                "CREATE TABLE {} ({fields}CHECK (false))",
                escaped(&self.row)
            );
            format!("EXECUTE format({}{bases})", quote_literal(&create))
        } else {
            format!("CREATE TABLE {} ({fields}CHECK (false))", self.row)
        };
        format!(
            "DO $crossfade$ BEGIN\n  IF to_regclass({name}) IS NULL THEN\n\
             \x20   {create};\n\
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
                    check.sql.over("cf_image"),
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
        columns.filter(|(_, c)| c.may_be_domain() || field_type(c) != c.sql_type)
    }
}

/// SQL of the type that a domain is over, or of the type itself.
fn base_of(sql_type: &str) -> String {
    format!(
        "(WITH RECURSIVE cf_t AS (SELECT oid, typtype, typbasetype FROM pg_catalog.pg_type WHERE oid = {}::regtype \
         UNION ALL SELECT cf_b.oid, cf_b.typtype, cf_b.typbasetype FROM cf_t JOIN pg_catalog.pg_type AS cf_b \
         ON cf_b.oid = cf_t.typbasetype AND cf_t.typtype = 'd') \
         SELECT pg_catalog.format_type(oid, -1) FROM cf_t WHERE typtype <> 'd')",
        quote_literal(sql_type)
    )
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
