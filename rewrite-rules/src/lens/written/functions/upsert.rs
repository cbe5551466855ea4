//! INSERT … ON CONFLICT … DO UPDATE under the legacy name, once unified leads: one row at a time.
//!
//! ```text
//! enter(image, arbiter, names, done) → there, row
//! ```
//!
//! The row that the image is in conflict with, locked and as it is now; or the image, inserted. Each
//! statement in it sees what has been committed meanwhile, so whoever waited for another insert of the
//! same value finds its row. It goes on as long as rows come and go under it, as PostgreSQL's own does:
//! each time around somebody else has committed. What becomes of a row that is there is the client's to say, outside.

use super::{Call, Functions};
use crate::lens::{Function, quote_literal};

/// How often an insert may meet a value that no legacy row has, before that is an error: somebody may
/// have removed the row in between, or it is one that legacy readers never see.
const TRIES_MAX: u32 = 5;

impl Functions<'_> {
    /// `cf_arbiter` is the constraint that ON CONFLICT goes by, `cf_names` what errors call it on
    /// either side; `cf_done` the keys that the statement has written, if it must know them.
    pub(super) fn enter(&self) -> Function {
        let keys = |image: &str| {
            let all = self.lens.keys_of(&format!("({image})"));
            format!("ROW({})", all.join(", "))
        };
        let body = format!(
            "{fits}  PERFORM {accept};\n  LOOP\n{look}\
             \x20   IF cf_row IS NULL THEN\n\
             \x20     BEGIN\n        cf_row := {insert};\n{refer}        cf_there := false;\n        RETURN;\n\
             \x20     EXCEPTION WHEN unique_violation THEN\n\
             \x20       GET STACKED DIAGNOSTICS cf_constraint = CONSTRAINT_NAME;\n\
             \x20       IF cf_constraint <> ALL (cf_names) OR cf_tries >= {TRIES_MAX} THEN\n{look_last}\
             \x20         IF cf_row IS NULL THEN RAISE; END IF;\n        END IF;\n\
             \x20       IF current_setting('transaction_isolation') <> 'read committed' THEN\n        {serialize};\n        END IF;\n\
             \x20       cf_tries := cf_tries + 1;\n      END;\n      CONTINUE;\n    END IF;\n\
             \x20   cf_found := cf_row;\n\
             \x20   CONTINUE WHEN {lock} IS NULL;\n{look}\
             \x20   CONTINUE WHEN cf_row IS NULL OR {key} IS DISTINCT FROM {found_key};\n\
             \x20   IF {key}::text = ANY (cf_done) THEN\n\
             \x20     RAISE EXCEPTION USING ERRCODE = '21000',\n\
             \x20       MESSAGE = 'ON CONFLICT DO UPDATE command cannot affect row a second time',\n\
             \x20       HINT = 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.';\n\
             \x20   END IF;\n    cf_there := true;\n    RETURN;\n  END LOOP;\n",
            fits = self.fits("cf_image", "  "),
            accept = self.lens.call(Call::Accept, "cf_image"),
            serialize = came_later(),
            look = self.look("cf_row", "    "),
            // Who waited for another constraint's row finds that it has the arbiter's values as well.
            look_last = self.look("cf_row", "          "),
            insert = self.lens.call(Call::InsertOne, "cf_image, cf_mirror"),
            refer = self.refer("NULL", "ARRAY[cf_row]", false, "        "),
            lock = self.lens.call(Call::LockOne, "cf_found, cf_mirror"),
            key = keys("cf_row"),
            found_key = keys("cf_found"),
        );
        self.function(
            self.lens.named(Call::Enter.word()),
            &format!(
                "(cf_given {row}, cf_arbiter text, cf_names text[], cf_done text[], cf_mirror boolean, \
                 OUT cf_there boolean, OUT cf_row {row})",
                row = self.row
            ),
            &format!(
                "  cf_image {row} := cf_given;\n  cf_found {row};\n  cf_constraint text;\n\
                 \x20 cf_tries integer := 0;\n{fitting}",
                row = self.row,
                fitting = self.fitting()
            ),
            &body,
        )
    }

    /// The row that has the values of `cf_image` in the columns of `cf_arbiter`, into a variable.
    pub(super) fn look(&self, into: &str, indent: &str) -> String {
        let key = self.lens.key_constraint();
        let by_key = self.lens.read_of(self.written, "cf_image");
        let mut sql = format!(
            "{indent}IF cf_arbiter = {} THEN\n{indent}  {by_key} INTO {into};\n",
            quote_literal(&key)
        );
        for unique in &self.written.uniques {
            sql += &format!(
                "{indent}ELSIF cf_arbiter = {} THEN\n{indent}  {} INTO {into};\n",
                quote_literal(&unique.name),
                self.look_by(unique, "cf_image")
            );
        }
        sql + indent + "END IF;\n"
    }

    /// The row that a constraint of `cf_skip` kept `cf_image` out for, as legacy readers see it. If they see none, it is
    /// none of theirs, and the image is not to be passed over; unless nobody knows the constraint's columns.
    pub(super) fn look_skipped(&self, into: &str, indent: &str) -> String {
        let key = self.lens.key_constraint();
        let by_key = self.lens.read_of(self.written, "cf_image");
        let mut sql = format!(
            "{indent}IF cf_constraint = {} THEN\n{indent}  {by_key} INTO {into};\n",
            quote_literal(&key)
        );
        for unique in &self.written.uniques {
            let names = std::iter::once(&unique.name).chain(&unique.unified);
            let names: Vec<String> = names.map(|name| quote_literal(name)).collect();
            sql += &format!(
                "{indent}ELSIF cf_constraint IN ({}) THEN\n{indent}  {} INTO {into};\n",
                names.join(", "),
                self.look_by(unique, "cf_image")
            );
        }
        format!(
            "{sql}{indent}ELSE CONTINUE;\n{indent}END IF;\n{indent}CONTINUE WHEN FOUND;\n\
             {indent}IF current_setting('transaction_isolation') <> 'read committed' THEN\n\
             {indent}  {};\n{indent}END IF;\n{indent}RAISE;\n",
            came_later()
        )
    }
}

fn came_later() -> String {
    format!(
        "RAISE EXCEPTION USING ERRCODE = '40001',\n\
         \x20       MESSAGE = 'could not serialize access due to concurrent update',\n        HINT = {}",
        quote_literal(
            "A row with these values came after this transaction's snapshot; run it again."
        )
    )
}
