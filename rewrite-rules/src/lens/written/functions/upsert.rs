//! INSERT … ON CONFLICT (key) DO UPDATE under the legacy name, once unified leads.

use super::{Call, Functions};
use crate::lens::{Function, quote_literal};

impl Functions<'_> {
    /// Images in the client's order. `cf_at` are the places of those for which the statement found a
    /// row, `cf_olds` these rows, `cf_news` what is to become of them, `cf_oks` whether the client's
    /// condition holds; `cf_arbiters` the names of the key's constraints.
    pub(super) fn upsert(&self) -> Function {
        let keys: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("(cf_image).{key}"))
            .collect();
        let of_each: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("cf_e.{key}"))
            .collect();
        let again = format!(
            "RAISE EXCEPTION USING ERRCODE = '40001',\n\
             \x20       MESSAGE = 'could not serialize access due to concurrent update',\n\
             \x20       HINT = {}",
            quote_literal(
                "A row with this key came or went while the statement looked for it; run the \
                 transaction again."
            )
        );
        let body = format!(
            "  cf_twice := (SELECT count(*) <> count(DISTINCT ROW({of_each})) FROM unnest(cf_all) AS cf_e);\n\
             \x20 FOR cf_i IN 1 .. coalesce(cardinality(cf_all), 0) LOOP\n\
             \x20   cf_image := cf_all[cf_i];\n{fits}    PERFORM {accept};\n\
             \x20   IF cf_twice AND ROW({keys})::text = ANY (cf_done) THEN\n\
             \x20     RAISE EXCEPTION USING ERRCODE = '21000',\n\
             \x20       MESSAGE = 'ON CONFLICT DO UPDATE command cannot affect row a second time',\n\
             \x20       HINT = 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.';\n\
             \x20   END IF;\n\
             \x20   IF cf_at[cf_place] IS DISTINCT FROM cf_i THEN\n\
             \x20     BEGIN\n        cf_now := {insert};\n\
             \x20     EXCEPTION WHEN unique_violation THEN\n\
             \x20       GET STACKED DIAGNOSTICS cf_constraint = CONSTRAINT_NAME;\n\
             \x20       IF cf_constraint <> ALL (cf_arbiters) THEN RAISE; END IF;\n\
             \x20       {again};\n      END;\n\
             \x20   ELSE\n      cf_place := cf_place + 1;\n\
             \x20     CONTINUE WHEN NOT cf_oks[cf_place - 1];\n\
             \x20     SELECT * INTO cf_now FROM {change} AS cf_c;\n\
             \x20     IF NOT FOUND THEN\n        {again};\n      END IF;\n\
             \x20   END IF;\n\
             \x20   IF cf_twice THEN cf_done := cf_done || ROW({keys})::text; END IF;\n\
             \x20   RETURN NEXT cf_now;\n  END LOOP;\n",
            of_each = of_each.join(", "),
            keys = keys.join(", "),
            fits = self.fits("cf_image", "    "),
            accept = self.lens.call(Call::Accept, "cf_image"),
            insert = self.lens.call(Call::InsertOne, "cf_image, cf_mirror"),
            change = self.lens.call(
                Call::Change,
                "ARRAY[cf_before[cf_place - 1]], ARRAY[cf_after[cf_place - 1]], cf_set, false, cf_mirror"
            ),
        );
        self.function(
            self.lens.named(Call::Upsert.word()),
            &format!(
                "(cf_images {row}[], cf_at integer[], cf_olds {row}[], cf_news {row}[], cf_oks boolean[], \
                 cf_set text[], cf_arbiters text[], cf_mirror boolean) RETURNS SETOF {row}",
                row = self.row
            ),
            &format!(
                "  cf_image {row};\n  cf_now {row};\n  cf_constraint text;\n  cf_twice boolean;\n\
                 \x20 cf_done text[] := '{{}}';\n  cf_place integer := 1;\n  cf_all {row}[] := cf_images;\n\
                 \x20 cf_before {row}[] := cf_olds;\n  cf_after {row}[] := cf_news;\n{fitting}",
                row = self.row,
                fitting = self.fitting()
            ),
            &body,
        )
    }
}
