//! The legacy table's key and UNIQUE constraints, once no index of its own watches over them.
//!
//! Of some of them a constraint of the unified tables takes the place (`[table.constraints]`). The
//! others, and the key, are looked for by `read`, and two rows with one value wait for each other by
//! claims.

use super::Functions;
use crate::lens::guarded::Guarded;
use crate::lens::{LegacyColumn, quote_ident, quote_literal};
use crate::lens::{Part, Unique};

impl Functions<'_> {
    /// Fails if a row has the key of an image, in the words of the legacy table. Waits for whoever is
    /// about to make one: no index of both would.
    pub(super) fn taken(&self, image: &str) -> String {
        let keys: Vec<&LegacyColumn> = self.lens.key_columns().collect();
        format!(
            "  PERFORM {claim};\n\
             \x20 PERFORM 1 FROM ({read}) AS cf_r;\n  IF FOUND THEN\n    {duplicate};\n  END IF;\n",
            claim = self.lens.call_guarded(
                Guarded::Claim,
                &format!("'', {}", self.lens.key_json(image))
            ),
            read = self.lens.read_of(self.written, image),
            duplicate = self.duplicate(&self.lens.key_constraint(), &keys, image),
        )
    }

    /// The unified table whose rows have the legacy key, if clients may write it under its own name.
    fn keyed(&self) -> Option<&Part> {
        let tables = &self.written.tables;
        let mut parts = self.written.query.parts.iter();
        parts.find(|part| {
            let keyed = part.key.iter().all(Option::is_some) && !part.nullable;
            keyed && tables.contains(&part.table)
        })
    }

    pub(super) fn counting(&self) -> &'static str {
        match self.keyed() {
            Some(_) => "  cf_there boolean;\n  cf_came bigint;\n  cf_updated bigint;\n",
            None => "",
        }
    }

    /// Whether that table has a row of the key, and what this transaction has done to it so far.
    pub(super) fn count_rows(&self) -> String {
        let Some(part) = self.keyed() else {
            return String::new();
        };
        let same: Vec<String> = part
            .key
            .iter()
            .flatten()
            .zip(self.lens.legacy_key())
            .map(|(column, key)| format!("cf_k.{} = (cf_image).{key}", quote_ident(column)))
            .collect();
        format!(
            "  cf_there := EXISTS (SELECT FROM {} AS cf_k WHERE {});\n  cf_came := {};\n  cf_updated := {};\n",
            part.table,
            same.join(" AND "),
            came(part),
            updated(part),
        )
    }

    /// Whoever writes that table under its own name claims nothing: a row of the key may come between the look and
    /// the put, which would take it for its own. Then the put has updated where it would have inserted, and there is
    /// such a row.
    pub(super) fn met_another(&self) -> String {
        let Some(part) = self.keyed() else {
            return String::new();
        };
        let keys: Vec<&LegacyColumn> = self.lens.key_columns().collect();
        format!(
            "  IF NOT cf_there AND {} = cf_came AND {} > cf_updated THEN\n    {};\n  END IF;\n",
            came(part),
            updated(part),
            self.duplicate(&self.lens.key_constraint(), &keys, "cf_image"),
        )
    }

    /// The same of the UNIQUE constraints that none of the unified tables stands for. `was`: the row
    /// before its change.
    pub(super) fn enforce(&self, image: &str, was: Option<&str>) -> String {
        self.unwatched()
            .map(|unique| self.enforce_one(unique, image, was))
            .collect()
    }

    pub(super) fn unwatched(&self) -> impl Iterator<Item = &Unique> {
        let uniques = self.written.uniques.iter();
        uniques.filter(|unique| unique.unified.is_none())
    }

    fn enforce_one(&self, unique: &Unique, image: &str, was: Option<&str>) -> String {
        let columns = self.columns_of(unique);
        let of = |image: &str| -> Vec<String> {
            let names = columns.iter().map(|column| quote_ident(&column.name));
            names.map(|name| format!("({image}).{name}")).collect()
        };
        let values = of(image);
        // NULLs are never the same.
        let mut concerns: Vec<String> = values.iter().map(|v| format!("{v} IS NOT NULL")).collect();
        if let Some(was) = was {
            concerns.push(format!(
                "ROW({})::text IS DISTINCT FROM ROW({})::text",
                values.join(", "),
                of(was).join(", ")
            ));
        }
        let texts: Vec<String> = values.iter().map(|v| format!("{v}::text")).collect();
        let own = format!("({})", was.unwrap_or(image));
        let own = self.lens.same_key("cf_r", &own);
        let said = format!(
            "at REPEATABLE READ nothing can tell whether unique constraint \"{}\" of {} holds",
            unique.name, self.lens.legacy.name
        );
        format!(
            "  IF {concerns} THEN\n\
             \x20   IF NOT cf_mirror AND current_setting('transaction_isolation') = 'repeatable read' THEN\n\
             \x20     RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {said},\n        HINT = {hint};\n    END IF;\n\
             \x20   PERFORM {claim};\n\
             \x20   PERFORM 1 FROM ({look}) AS cf_r WHERE NOT ({own});\n\
             \x20   IF FOUND THEN\n    {duplicate};\n    END IF;\n  END IF;\n",
            concerns = concerns.join(" AND "),
            said = quote_literal(&said),
            hint = quote_literal(
                "No unified constraint stands for it in [table.constraints]. Use READ COMMITTED or \
                 SERIALIZABLE."
            ),
            claim = self.lens.call_guarded(
                Guarded::Claim,
                &format!(
                    "{}, jsonb_build_array({})",
                    quote_literal(&format!(" {}", unique.name)),
                    texts.join(", ")
                )
            ),
            look = self.look_by(unique, image),
            duplicate = self.duplicate(&unique.name, &columns, image),
        )
    }

    /// `read` of the rows that have an image's values of a UNIQUE constraint.
    pub(super) fn look_by(&self, unique: &Unique, image: &str) -> String {
        let same: Vec<String> = unique
            .columns
            .iter()
            .map(|&index| {
                let column = &self.lens.columns[index];
                format!(
                    "({})::{} = ({image}).{}",
                    self.written.query.columns[index],
                    super::image::field_type(column),
                    quote_ident(&column.name)
                )
            })
            .collect();
        self.lens.read_written(self.written, &same)
    }

    pub(super) fn columns_of(&self, unique: &Unique) -> Vec<&LegacyColumn> {
        let columns = unique.columns.iter();
        columns.map(|&index| &self.lens.columns[index]).collect()
    }

    fn duplicate(&self, constraint: &str, columns: &[&LegacyColumn], image: &str) -> String {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = columns
            .iter()
            .map(|column| format!("({image}).{}::text", quote_ident(&column.name)))
            .collect();
        format!(
            "RAISE EXCEPTION USING ERRCODE = '23505',\n\
             \x20     MESSAGE = {said}, DETAIL = {detail} || concat_ws(', ', {values}) || ') already exists.',\n\
             \x20     CONSTRAINT = {constraint}, TABLE = {table}, SCHEMA = {schema}",
            said = quote_literal(&format!(
                "duplicate key value violates unique constraint \"{constraint}\""
            )),
            detail = quote_literal(&format!("Key ({})=(", names.join(", "))),
            values = values.join(", "),
            constraint = quote_literal(constraint),
            table = quote_literal(&self.lens.legacy.name),
            schema = quote_literal(&self.lens.legacy.schema),
        )
    }
}

/// By how many rows of its own this transaction has a part's table grow. An insert that is taken back since another
/// was faster has been counted, and its removal as well.
fn came(part: &Part) -> String {
    let table = quote_literal(&part.table.sql());
    format!(
        "pg_stat_get_xact_tuples_inserted(to_regclass({table})) - pg_stat_get_xact_tuples_deleted(to_regclass({table}))"
    )
}

/// How many of its rows it has updated.
fn updated(part: &Part) -> String {
    let table = quote_literal(&part.table.sql());
    format!("pg_stat_get_xact_tuples_updated(to_regclass({table}))")
}
