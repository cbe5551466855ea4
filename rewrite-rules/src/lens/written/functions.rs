//! The functions of a written lens.
//!
//! ```text
//! put_one(image)        the steps of `put`, each a statement; a step's RETURNING is kept in a
//!                       record, out of which later steps read it as a relation
//! put, remove(images, record)                  what a write to the legacy table is followed by
//! insert, change, delete(images …)             a write to the legacy name once unified leads:
//!                                              locks, looks again, puts, and brings legacy along
//! sync(keys, columns)                          legacy rows made what `read` says
//! ```
//!
//! Whoever writes locks the legacy row first (where legacy still follows) and then the rows that
//! `read` joins for its key, so that between looking again and putting nobody can interfere.

use super::{Part, Step, Written};
use crate::lens::functions::{PASSES_ON, savepoint_probe};
use crate::lens::{Function, LegacyColumn, Lens, Work, quote_ident, quote_literal};

/// The functions that take the place of composed SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    PutOne,
    RemoveOne,
    InsertOne,
    Insert,
    Change,
    Delete,
    Sync,
}

impl Call {
    pub(super) fn word(self) -> &'static str {
        match self {
            Call::PutOne => "put_one",
            Call::RemoveOne => "remove_one",
            Call::InsertOne => "insert_one",
            Call::Insert => "insert",
            Call::Change => "change",
            Call::Delete => "delete",
            Call::Sync => "sync",
        }
    }
}

impl Lens {
    pub(crate) fn written_functions(&self, written: &Written) -> Vec<Function> {
        let f = Functions {
            lens: self,
            written,
            row: self.image_type(),
        };
        vec![
            f.one(Call::PutOne, &written.put, ""),
            f.one(Call::RemoveOne, &written.remove, &f.probe()),
            f.each(Work::Put, Call::PutOne),
            f.each(Work::Remove, Call::RemoveOne),
            f.truncate(),
            f.sync(),
            f.insert_one(),
            f.insert(),
            f.change(),
            f.delete(),
        ]
    }
}

struct Functions<'a> {
    lens: &'a Lens,
    written: &'a Written,
    /// The type of an image.
    row: String,
}

impl Functions<'_> {
    fn function(&self, name: String, head: &str, declare: &str, body: &str) -> Function {
        let fields: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|c| format!("{} {}", quote_ident(&c.name), field_type(c)))
            .collect();
        let ddl = format!(
            "DO $crossfade$ BEGIN\n  IF to_regtype({}) IS NULL THEN CREATE TYPE {} AS ({}); END IF;\n\
             END $crossfade$;\n\
             CREATE OR REPLACE FUNCTION {name}{head}\nLANGUAGE plpgsql VOLATILE AS $crossfade$\n\
             #variable_conflict use_column\nDECLARE\n{declare}BEGIN\n{body}END\n$crossfade$",
            quote_literal(&self.row),
            self.row,
            fields.join(", "),
        );
        Function { name, ddl }
    }

    /// The steps for one image.
    fn one(&self, call: Call, steps: &[Step], before: &str) -> Function {
        let mut relations = vec!["row_image AS (SELECT (cf_image).*)".to_owned()];
        let mut declare = String::new();
        let mut body = before.to_owned();
        for (number, step) in (1..).zip(steps) {
            let with = format!("WITH {}", relations.join(", "));
            if step.returning.is_empty() {
                body += &format!("  {with} {};\n", step.sql);
                continue;
            }
            let kept = format!("cf_step_{number}");
            declare += &format!("  {kept} record;\n");
            body += &format!(
                "  {with}, cf_step AS ({})\n  SELECT cf_step.*, count(*) OVER () AS cf_rows INTO {kept} FROM cf_step;\n",
                step.sql
            );
            let Some(name) = &step.name else { continue };
            let said = format!(
                "step {name} of {} returned % rows for one row image; expected at most one",
                self.lens.legacy.name
            );
            body += &format!(
                "  IF {kept}.cf_rows > 1 THEN\n    RAISE EXCEPTION {}, {kept}.cf_rows USING ERRCODE = '21000';\n  END IF;\n",
                quote_literal(&said)
            );
            let columns: Vec<String> = step
                .returning
                .iter()
                .map(|column| quote_ident(column))
                .map(|column| format!("{kept}.{column} AS {column}"))
                .collect();
            relations.push(format!(
                "{} AS (SELECT {} WHERE {kept}.cf_rows > 0)",
                quote_ident(name),
                columns.join(", ")
            ));
        }
        body += "  RETURN true;\n";
        self.function(
            self.lens.named(call.word()),
            &format!("(cf_image {}) RETURNS boolean", self.row),
            &declare,
            &body,
        )
    }

    /// See [`savepoint_probe`]: the put asks the unique indexes, and what it puts is removed.
    fn probe(&self) -> String {
        let put = format!("PERFORM {}", self.lens.call(Call::PutOne, "cf_image"));
        format!("  {};\n", savepoint_probe(&put))
    }

    /// The images one by one in the order of their keys, so that two of these calls that need the
    /// same unified rows ask for them in the same order.
    fn each(&self, work: Work, one: Call) -> Function {
        let perform = format!("PERFORM {}", self.lens.call(one, "cf_image"));
        let after = match work {
            Work::Remove => format!(
                "      {};\n",
                self.lens.leave_tombstones("unnest(ARRAY[cf_image])")
            ),
            Work::Put | Work::Rekey | Work::PutLegacy | Work::RemoveLegacy | Work::Truncate => {
                String::new()
            }
        };
        let body = format!(
            "  IF cf_images IS NULL THEN RETURN true; END IF;\n\
             \x20 FOR cf_image IN SELECT * FROM unnest(cf_images) AS cf_i ORDER BY {order} LOOP\n\
             \x20   IF NOT cf_record THEN\n      {perform};\n{after}      CONTINUE;\n    END IF;\n\
             \x20   BEGIN\n      {perform};\n{after}    EXCEPTION WHEN OTHERS THEN\n{PASSES_ON}\
             \x20     PERFORM {record};\n    END;\n  END LOOP;\n  RETURN true;\n",
            order = self.key_order("cf_i"),
            record = self.lens.record("SQLERRM", "SQLSTATE"),
        );
        self.function(
            self.lens.function_name(work),
            &format!(
                "(cf_images {}[], cf_record boolean) RETURNS boolean",
                self.row
            ),
            &format!("  cf_image {};\n", self.row),
            &body,
        )
    }

    fn truncate(&self) -> Function {
        let remove = format!(
            "PERFORM {}({}, false)",
            self.lens.function_name(Work::Remove),
            self.lens.images_in(&format!("({})", self.lens.read()))
        );
        Function {
            name: self.lens.function_name(Work::Truncate),
            ddl: self.lens.truncate_function(&remove),
        }
    }

    /// Legacy made what `read` says; of a row that is there only `cf_set`, if that is given.
    fn sync(&self) -> Function {
        let put = self.put_legacy("cf_now", |name| {
            format!("CASE WHEN cf_set IS NULL OR {} = ANY (cf_set) THEN excluded.{name} ELSE cf_t.{name} END",
                quote_literal(name.trim_matches('"')))
        });
        let body = format!(
            "  IF cf_keys IS NULL THEN RETURN true; END IF;\n\
             \x20 FOR cf_image IN SELECT * FROM unnest(cf_keys) AS cf_i ORDER BY {order} LOOP\n\
             \x20   {lock_legacy};\n{locks}    {read} INTO cf_now;\n\
             \x20   IF FOUND THEN\n      {put};\n    ELSE\n      {remove};\n    END IF;\n\
             \x20 END LOOP;\n  RETURN true;\n",
            order = self.key_order("cf_i"),
            lock_legacy = self.lock_legacy("cf_image"),
            locks = self.locks("cf_image"),
            read = self.lens.read_of(self.written, "cf_image"),
            remove = self.remove_legacy("cf_image"),
        );
        self.function(
            self.lens.named(Call::Sync.word()),
            &format!("(cf_keys {}[], cf_set text[]) RETURNS boolean", self.row),
            &format!("  cf_image {row};\n  cf_now {row};\n", row = self.row),
            &body,
        )
    }

    fn insert_one(&self) -> Function {
        let keys: Vec<String> = self.lens.key_columns().map(|c| c.name.clone()).collect();
        let values: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("(cf_image).{key}::text"))
            .collect();
        let constraint = format!("{}_pkey", self.lens.legacy.name);
        let body = format!(
            "{fits}  IF cf_mirror THEN {lock_legacy}; END IF;\n{locks}\
             \x20 PERFORM 1 FROM ({read}) AS cf_r;\n\
             \x20 IF FOUND THEN\n    RAISE EXCEPTION USING ERRCODE = '23505',\n\
             \x20     MESSAGE = {said}, DETAIL = {detail} || concat_ws(', ', {values}) || ') already exists.',\n\
             \x20     CONSTRAINT = {constraint}, TABLE = {table}, SCHEMA = {schema};\n  END IF;\n\
             \x20 PERFORM {put};\n{read_back}{mirror}  RETURN cf_now;\n",
            fits = self.fits("cf_image", "  "),
            lock_legacy = self.lock_legacy("cf_image"),
            locks = self.locks("cf_image"),
            read = self.lens.read_of(self.written, "cf_image"),
            said = quote_literal(&format!(
                "duplicate key value violates unique constraint \"{constraint}\""
            )),
            detail = quote_literal(&format!("Key ({})=(", keys.join(", "))),
            values = values.join(", "),
            constraint = quote_literal(&constraint),
            table = quote_literal(&self.lens.legacy.name),
            schema = quote_literal(&self.lens.legacy.schema),
            put = self.lens.call(Call::PutOne, "cf_image"),
            read_back = self.read_back("cf_image", "  "),
            mirror = self.mirror("  "),
        );
        self.function(
            self.lens.named(Call::InsertOne.word()),
            &format!(
                "(cf_image {row}, cf_mirror boolean) RETURNS {row}",
                row = self.row
            ),
            &format!("  cf_now {};\n{}", self.row, self.fitting()),
            &body,
        )
    }

    /// Images in the client's order, which is that of its RETURNING.
    fn insert(&self) -> Function {
        let one = self.lens.call(Call::InsertOne, "cf_image, cf_mirror");
        let body = format!(
            "  FOREACH cf_image IN ARRAY coalesce(cf_images, '{{}}') LOOP\n\
             \x20   IF cf_skip THEN\n      BEGIN\n        cf_now := {one};\n\
             \x20     EXCEPTION WHEN unique_violation THEN CONTINUE;\n      END;\n\
             \x20   ELSE\n      cf_now := {one};\n    END IF;\n    RETURN NEXT cf_now;\n  END LOOP;\n"
        );
        self.function(
            self.lens.named(Call::Insert.word()),
            &format!(
                "(cf_images {row}[], cf_skip boolean, cf_mirror boolean) RETURNS SETOF {row}",
                row = self.row
            ),
            &format!("  cf_image {row};\n  cf_now {row};\n", row = self.row),
            &body,
        )
    }

    /// An UPDATE: old and new images in step, and the columns that the client set. The row is
    /// looked at again under its locks. If it changed since the statement looked, the new values
    /// still stand where neither they nor the condition depend on the old ones.
    fn change(&self) -> Function {
        let sets: String = self
            .lens
            .columns
            .iter()
            .filter(|column| !self.lens.is_key(column))
            .map(|c| {
                let name = quote_ident(&c.name);
                format!(
                    "    IF {} = ANY (cf_set) THEN cf_now.{name} := cf_new.{name}; END IF;\n",
                    quote_literal(&c.name)
                )
            })
            .collect();
        let body = format!(
            "  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{{}}') LOOP\n\
             \x20   cf_i := cf_i + 1;\n    cf_new := cf_images[cf_i];\n{again}{fits}{sets}\
             \x20   PERFORM {put};\n{read_back}{mirror}    RETURN NEXT cf_now;\n  END LOOP;\n",
            again = self.look_again(),
            fits = self.fits("cf_new", "    "),
            put = self.lens.call(Call::PutOne, "cf_now"),
            read_back = self.read_back("cf_old", "    "),
            mirror = self.mirror("    "),
        );
        self.function(
            self.lens.named(Call::Change.word()),
            &format!("(cf_olds {row}[], cf_news {row}[], cf_set text[], cf_alone boolean, cf_mirror boolean) RETURNS SETOF {row}", row = self.row),
            &format!("  cf_old {row};\n  cf_new {row};\n  cf_now {row};\n  cf_i integer := 0;\n  cf_images {row}[] := cf_news;\n{fitting}", row = self.row, fitting = self.fitting()),
            &body,
        )
    }

    fn delete(&self) -> Function {
        let body = format!(
            "  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{{}}') LOOP\n{again}\
             \x20   PERFORM {remove};\n\
             \x20   IF cf_mirror THEN {remove_legacy}; END IF;\n    RETURN NEXT cf_now;\n  END LOOP;\n",
            again = self.look_again(),
            remove = self.lens.call(Call::RemoveOne, "cf_now"),
            remove_legacy = self.remove_legacy("cf_old"),
        );
        self.function(
            self.lens.named(Call::Delete.word()),
            &format!(
                "(cf_olds {row}[], cf_alone boolean, cf_mirror boolean) RETURNS SETOF {row}",
                row = self.row
            ),
            &format!("  cf_old {row};\n  cf_now {row};\n", row = self.row),
            &body,
        )
    }

    /// `cf_now`: the row of `cf_old` as it is under its locks. A row that is gone is skipped, as
    /// by any UPDATE or DELETE that waited for it.
    fn look_again(&self) -> String {
        format!(
            "    IF cf_mirror THEN {}; END IF;\n{}    {} INTO cf_now;\n\
             \x20   CONTINUE WHEN NOT FOUND;\n\
             \x20   IF NOT cf_alone AND cf_now::text IS DISTINCT FROM cf_old::text THEN\n\
             \x20     RAISE EXCEPTION USING ERRCODE = '40001',\n\
             \x20       MESSAGE = 'could not serialize access due to concurrent update',\n\
             \x20       HINT = 'The row changed while this statement waited for it; run the transaction again.';\n\
             \x20   END IF;\n",
            self.lock_legacy("cf_old"),
            self.locks("cf_old"),
            self.lens.read_of(self.written, "cf_old"),
        )
    }

    fn read_back(&self, image: &str, indent: &str) -> String {
        let said = format!(
            "a row of {} does not read back after it was put; its lens maps it to nothing",
            self.lens.legacy.name
        );
        format!(
            "{indent}{} INTO cf_now;\n{indent}IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = {}; END IF;\n",
            self.lens.read_of(self.written, image),
            quote_literal(&said),
        )
    }

    fn mirror(&self, indent: &str) -> String {
        let put = self.put_legacy("cf_now", |name| format!("excluded.{name}"));
        format!("{indent}IF cf_mirror THEN\n{indent}  {put};\n{indent}END IF;\n")
    }

    /// The legacy row of an image, written. Of a row that is there, lossy columns stay: unified
    /// has nothing to say of them.
    fn put_legacy(&self, image: &str, value: impl Fn(&str) -> String) -> String {
        let names: Vec<String> = self
            .lens
            .columns
            .iter()
            .map(|c| quote_ident(&c.name))
            .collect();
        let values: Vec<String> = names
            .iter()
            .map(|name| format!("({image}).{name}"))
            .collect();
        let sets: Vec<String> = self
            .lens
            .columns
            .iter()
            .filter(|c| !self.lens.is_key(c) && !c.lossy)
            .map(|c| quote_ident(&c.name))
            .map(|name| format!("{name} = {}", value(&name)))
            .collect();
        let action = if sets.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", sets.join(", "))
        };
        format!(
            "INSERT INTO {} AS cf_t ({}) OVERRIDING SYSTEM VALUE VALUES ({}) ON CONFLICT ({}) DO {action}",
            self.lens.legacy,
            names.join(", "),
            values.join(", "),
            self.lens.legacy_key().join(", "),
        )
    }

    fn legacy_row(&self, image: &str) -> String {
        let keys: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("cf_t.{key} = ({image}).{key}"))
            .collect();
        format!("{} AS cf_t WHERE {}", self.lens.legacy, keys.join(" AND "))
    }

    fn lock_legacy(&self, image: &str) -> String {
        format!("PERFORM 1 FROM {} FOR UPDATE", self.legacy_row(image))
    }

    fn remove_legacy(&self, image: &str) -> String {
        format!("DELETE FROM {}", self.legacy_row(image))
    }

    /// Locks the rows that `read` joins for a key: in one statement those that must be there, and
    /// each that need not in one of its own. Rows of tables that are only looked up stay free.
    fn locks(&self, image: &str) -> String {
        let query = &self.written.query;
        let ours =
            |table| self.written.tables.contains(table) || self.written.crosswalk.contains(table);
        let mut conditions = vec![self.lens.has_key_of(self.written, image)];
        conditions.extend(query.condition.iter().map(|c| format!("({c})")));
        let conditions = conditions.join(" AND ");
        let parts = || query.parts.iter().filter(|part| ours(&part.table));
        let inner: Vec<String> = parts()
            .filter(|part| !part.nullable)
            .map(|part| quote_ident(&part.alias))
            .collect();
        let mut sql = String::new();
        if !inner.is_empty() {
            sql += &format!(
                "  PERFORM 1 FROM {} WHERE {conditions} FOR UPDATE OF {};\n",
                query.from,
                inner.join(", ")
            );
        }
        // Of what need not be there only what clients may write: lenses lock the others' rows.
        let clients = |part: &&Part| self.written.tables.contains(&part.table);
        for part in parts().filter(|part| part.nullable).filter(clients) {
            sql += &format!(
                "  PERFORM 1 FROM {} WHERE {conditions} FOR UPDATE OF {};\n",
                part.from,
                quote_ident(&part.alias)
            );
        }
        sql
    }

    fn key_order(&self, row: &str) -> String {
        let keys: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("{row}.{key}"))
            .collect();
        keys.join(", ")
    }

    /// Values that the legacy column has no room for are errors, as they would be there. A cast
    /// would cut them in silence; an assignment complains.
    fn fits(&self, image: &str, indent: &str) -> String {
        self.cut()
            .map(|(number, c)| {
                let name = quote_ident(&c.name);
                format!("{indent}cf_fit_{number} := {image}.{name};\n{indent}{image}.{name} := cf_fit_{number};\n")
            })
            .collect()
    }

    fn fitting(&self) -> String {
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
