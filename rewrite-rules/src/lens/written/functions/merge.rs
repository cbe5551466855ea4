//! MERGE under the legacy name, once unified leads.

use super::{Call, Functions};
use crate::lens::Function;

impl Functions<'_> {
    /// What is to be done, row by row: the actions by their words, the rows as they were and as they
    /// are to be, and the columns that each action sets. Rows that are there come in the order of
    /// their keys, so one that is met twice is met again at once.
    pub(super) fn merge(&self) -> Function {
        let keys = |image: &str| {
            let all = self.lens.keys_of(&format!("({image})"));
            format!("ROW({})", all.join(", "))
        };
        let raise = |sqlstate: &str, message: &str, hint: &str| {
            format!(
                "      RAISE EXCEPTION USING ERRCODE = '{sqlstate}',\n        MESSAGE = '{message}',\n\
                 \x20       HINT = '{hint}';\n"
            )
        };
        let body = format!(
            "  FOR cf_i IN 1 .. coalesce(cardinality(cf_acts), 0) LOOP\n\
             \x20   cf_new := cf_news[cf_i];\n    cf_before := cf_old;\n    cf_old := cf_olds[cf_i];\n\
             \x20   IF cf_acts[cf_i] = 'INSERT' THEN\n      cf_row := {insert};\n{refer}\
             \x20     cf_at := cf_i;\n      RETURN NEXT;\n      CONTINUE;\n    END IF;\n\
             \x20   IF cf_i > 1 AND {key} = {key_before} THEN\n{twice}    END IF;\n\
             \x20   IF cf_acts[cf_i] = 'DELETE' THEN\n      SELECT * INTO cf_row FROM {delete} AS cf_c;\n\
             \x20   ELSE\n      SELECT * INTO cf_row FROM {change} AS cf_c;\n    END IF;\n\
             \x20   IF NOT FOUND THEN\n{gone}    END IF;\n\
             \x20   cf_at := cf_i;\n    RETURN NEXT;\n  END LOOP;\n",
            insert = self.lens.call(Call::InsertOne, "cf_new, cf_mirror"),
            refer = self.refer("NULL", "ARRAY[cf_row]", false, "      "),
            key = keys("cf_old"),
            key_before = keys("cf_before"),
            twice = raise(
                "21000",
                "MERGE command cannot affect row a second time",
                "Ensure that not more than one source row matches any one target row."
            ),
            delete = self
                .lens
                .call(Call::Delete, "ARRAY[cf_old], true, false, cf_mirror"),
            change = self.lens.call(
                Call::Change,
                "ARRAY[cf_old], ARRAY[cf_new], cf_sets[cf_i]::text[], true, false, cf_mirror"
            ),
            gone = raise(
                "40001",
                "could not serialize access due to concurrent delete",
                "The row went while this statement waited for it; run the transaction again."
            ),
        );
        self.function(
            self.lens.named(Call::Merge.word()),
            &format!(
                "(cf_acts text[], cf_olds {row}[], cf_news {row}[], cf_sets text[], cf_mirror boolean) \
                 RETURNS TABLE (cf_at integer, cf_row {row})",
                row = self.row
            ),
            &format!(
                "  cf_old {row};\n  cf_new {row};\n  cf_before {row};\n",
                row = self.row
            ),
            &body,
        )
    }
}
