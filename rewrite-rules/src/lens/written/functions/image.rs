//! A legacy row image as a value: its type, and what the legacy table would not have taken.

use askama::Template;

use super::{Call, Functions, written};
use crate::lens::{Function, LegacyColumn, quote_ident, quote_literal};

#[derive(Template)]
#[template(path = "steps/image.sql", escape = "none")]
struct Image<'a> {
    table: &'a str,
    /// Its name as a literal.
    literal: String,
    create: String,
}

#[derive(Template)]
#[template(path = "steps/accept.sql", escape = "none")]
struct Accept<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    /// Literals, as those below.
    table: String,
    schema: String,
    not_null: Vec<(String, String)>,
    checks: Vec<(String, String)>,
}

impl Functions<'_> {
    /// The table whose rows images are, created unless it is there.
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
        let template = Image {
            literal: quote_literal(&self.row),
            table: &self.row,
            create,
        };
        template.to_string() + "\n"
    }

    pub(super) fn accept(&self) -> Function {
        let lens = self.lens;
        let name = lens.call_name(Call::Accept);
        let columns = lens.columns.iter().filter(|column| column.not_null);
        let checks = self.written.checks.iter();
        let template = Accept {
            name: &name,
            f: self,
            table: quote_literal(&lens.legacy.name),
            schema: quote_literal(&lens.legacy.schema),
            not_null: columns
                .map(|column| (quote_ident(&column.name), quote_literal(&column.name)))
                .collect(),
            checks: checks
                .map(|check| {
                    let condition = check.sql.over("cf_image");
                    (condition, quote_literal(&check.name))
                })
                .collect(),
        };
        let ddl = template.to_string();
        written(name, ddl)
    }

    /// The values of an image as texts.
    fn texts(&self, image: &str) -> String {
        let columns = self.lens.columns.iter();
        let texts = columns.map(|c| format!("({image}).{}::text", quote_ident(&c.name)));
        texts.collect::<Vec<String>>().join(", ")
    }

    /// The columns that have no room for what an image can hold.
    pub(super) fn cut(&self) -> Vec<Cut<'_>> {
        let columns = self.lens.columns.iter().enumerate();
        columns
            .filter(|(_, c)| c.may_be_domain() || field_type(c) != c.sql_type)
            .map(|(number, column)| Cut {
                number,
                name: quote_ident(&column.name),
                sql_type: &column.sql_type,
            })
            .collect()
    }

    /// What legacy would have computed from the other columns of an image, with the columns' names.
    pub(super) fn computed(&self, image: &str) -> Vec<(String, String)> {
        let image = format!("({image})");
        let columns = self.lens.columns.iter();
        columns
            .filter_map(|column| {
                let value = self.lens.computed_of(column, &image)?;
                Some((quote_ident(&column.name), value))
            })
            .collect()
    }
}

/// A column that has no room for what an image can hold.
pub(super) struct Cut<'a> {
    pub number: usize,
    pub name: String,
    pub sql_type: &'a str,
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
