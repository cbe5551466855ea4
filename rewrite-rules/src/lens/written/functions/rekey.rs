//! Keys that change: what unified alone knows of a row goes with it.
//!
//! ```text
//! rekey_one(old, image)        the steps of `rekey`, between two looks at `read`
//! rekey(olds, images, record)  what an UPDATE of legacy keys is followed by: rekey_one, then put
//! move_legacy(olds, images)    the legacy rows, once unified leads or is written under its own names
//! ```
//!
//! In unified rows move one after the other. One that comes to a key which another still has is a duplicate, as
//! it is for PostgreSQL; two rows can exchange their keys only where PostgreSQL looks at them at the
//! end of the statement (a deferrable key), and that is refused.

use super::{Call, Functions, image_relation};
use crate::lens::recorded;
use crate::lens::{Function, Work, quote_literal};

impl Functions<'_> {
    /// Nothing of unified may be left under the old key, or be there twice: whatever the operator's
    /// steps did, that is an error, not a row that is lost in silence.
    pub(super) fn rekey_one(&self) -> Function {
        let relations = vec![
            image_relation("row_image", "cf_image"),
            image_relation("old_image", "cf_old"),
        ];
        let (declare, steps) = self.steps(&self.written.rekey, relations);
        let (declare, steps) = self.keeping_last(&declare, &steps);
        let unlike = |what: &str| {
            let said = format!(
                "`rekey` of {} {what}; its steps must carry everything that `read` finds by the key",
                self.lens.legacy.name
            );
            format!(
                "RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = {}",
                quote_literal(&said)
            )
        };
        let there = |image: &str| {
            let read = self.lens.read_of(self.written, image);
            format!("EXISTS (SELECT 1 FROM ({read}) AS cf_r)")
        };
        let body = format!(
            "  IF NOT ({moved}) THEN RETURN true; END IF;\n{locks}{taken}  cf_there := {old_there};\n\
             {steps}\
             \x20 IF {old_there} THEN\n    {left};\n  END IF;\n\
             \x20 IF cf_there AND NOT {new_there} THEN\n    {lost};\n  END IF;\n\
             \x20 RETURN true;\n",
            moved = self.moved("cf_old", "cf_image"),
            locks = self.locks("cf_image"),
            taken = self.taken("cf_image"),
            old_there = there("cf_old"),
            new_there = there("cf_image"),
            left = unlike("leaves a row under its old key"),
            lost = unlike("loses a row"),
        );
        self.function(
            self.lens.named(Call::RekeyOne.word()),
            &format!(
                "(cf_old {row}, cf_image {row}) RETURNS boolean",
                row = self.row
            ),
            &format!("  cf_there boolean;\n{declare}"),
            &body,
        )
    }

    /// Images in the order in which the legacy table took them, where each new key was free when its
    /// row came to it.
    pub(super) fn rekey(&self) -> Function {
        let moved = self.moved("cf_old", "cf_image");
        let work = format!(
            "cf_unsure := false;\n    IF {moved} THEN\n{probe}    END IF;\n    {rekey};\n    PERFORM {put};\n\
             \x20   IF {moved} THEN {tombstones}; END IF",
            probe = self.probe_or("cf_old", "      cf_unsure := true;\n"),
            rekey = {
                let rekey = self.lens.call(Call::RekeyOne, "cf_old, cf_image");
                let rekey = format!("PERFORM {rekey}");
                let all = self.following_actions(&rekey, Some(("cf_old", "cf_image")));
                if all == rekey {
                    rekey
                } else {
                    format!("IF {moved} THEN\n      {all};\n    END IF")
                }
            },
            put = self.lens.call(Call::PutOne, "cf_image"),
            tombstones = self.lens.leave_tombstones_behind("unnest(ARRAY[cf_old])"),
        );
        let record = format!(
            "PERFORM {};\n    IF {moved} THEN PERFORM {}; END IF",
            self.lens.record("SQLERRM", "SQLSTATE"),
            self.lens.record_of("cf_old", "SQLERRM", "SQLSTATE"),
        );
        let body = format!(
            "  IF cf_images IS NULL THEN RETURN true; END IF;\n{exchanged}{begin}\
             \x20 FOR cf_i IN 1 .. cardinality(cf_images) LOOP\n\
             \x20   cf_old := cf_olds[cf_i];\n    cf_image := cf_images[cf_i];\n\
             \x20   IF NOT cf_record THEN\n    {work};\n    CONTINUE;\n    END IF;\n\
             {recorded}  END LOOP;\n{own}  RETURN true;\n",
            exchanged = self.exchanged(),
            begin = recorded::BEGIN,
            own = self.following_own(),
            recorded = self.lens.recorded(&work, &record),
        );
        self.function(
            self.lens.function_name(Work::Rekey),
            &format!(
                "(cf_olds {row}[], cf_images {row}[], cf_record boolean) RETURNS boolean",
                row = self.row
            ),
            &format!(
                "  cf_old {row};\n  cf_image {row};\n  cf_unsure boolean;\n{}",
                recorded::DECLARE.to_owned() + &self.declare_left(),
                row = self.row
            ),
            &body,
        )
    }

    /// Fails where a row comes to a key that another leaves only after it: both would be one row in
    /// between, and nothing could tell them apart again. That is no divergence to be recorded.
    fn exchanged(&self) -> String {
        let same: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("cf_n.{key} = cf_o.{key}"))
            .collect();
        let said = format!(
            "rows of {} exchange their keys in one statement, which crossfade cannot carry over to \
             the unified tables",
            self.lens.legacy.name
        );
        format!(
            "  PERFORM 1 FROM unnest(cf_images) WITH ORDINALITY AS cf_n \
             JOIN unnest(cf_olds) WITH ORDINALITY AS cf_o ON {} AND cf_n.ordinality < cf_o.ordinality;\n\
             \x20 IF FOUND THEN\n    RAISE EXCEPTION USING ERRCODE = '0A000', MESSAGE = {},\n\
             \x20     HINT = 'Move them in statements of their own, one of them by way of a key that nobody has.';\n\
             \x20 END IF;\n",
            same.join(" AND "),
            quote_literal(&said),
        )
    }

    /// The legacy rows under their new keys. What they have that unified lacks (lossy columns) stays,
    /// and what refers to them has its say when all have moved. A stale row in the way is excused as by
    /// `follow`.
    pub(super) fn move_legacy(&self) -> Function {
        let body = self
            .lens
            .rekeying_legacy("NOT cf_excuse OR ", |olds, images| {
                self.lens.move_legacy_rows(olds, images, false)
            });
        self.function(
            self.lens.named(Call::MoveLegacy.word()),
            &format!(
                "(cf_olds {row}[], cf_images {row}[], cf_excuse boolean) RETURNS boolean",
                row = self.row
            ),
            &format!("  cf_old {row};\n  cf_image {row};\n", row = self.row),
            &body,
        )
    }

    /// Whether two images have different keys.
    pub(super) fn moved(&self, old: &str, new: &str) -> String {
        let differ: Vec<String> = self
            .lens
            .legacy_key()
            .iter()
            .map(|key| format!("({old}).{key} IS DISTINCT FROM ({new}).{key}"))
            .collect();
        differ.join(" OR ")
    }
}
