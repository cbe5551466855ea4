//! A client's write to the legacy name once unified leads.
//!
//! Whoever writes locks the legacy row first (where legacy still follows) and then the rows that
//! `read` joins for its key, so that between looking again and putting nobody can interfere.

use super::{Call, Functions};
use crate::lens::Part;
use crate::lens::{Function, quote_ident, quote_literal};

impl Functions<'_> {
    pub(super) fn insert_one(&self) -> Function {
        let body = format!(
            "{fits}{computed}  PERFORM {accept};\n  IF cf_mirror THEN {lock_legacy}; END IF;\n{locks}{taken}{enforce}\
             {count}  PERFORM {put};\n{met}{read_back}{given}{mirror}{waiting}  RETURN cf_now;\n",
            given = self.as_given("cf_now", "cf_image", "  "),
            waiting = self.put_waiting("cf_now", "  "),
            fits = self.fits("cf_image", "  "),
            computed = self.computed("cf_image", "  "),
            accept = self.lens.call(Call::Accept, "cf_image"),
            lock_legacy = self.lock_legacy("cf_image"),
            locks = self.locks("cf_image"),
            taken = self.taken("cf_image"),
            enforce = self.enforce("cf_image", None),
            count = self.count_rows(),
            put = self.lens.call(Call::PutOne, "cf_image"),
            met = self.met_another(),
            read_back = self.read_back_inserted(),
            mirror = self.mirror("  "),
        );
        self.function(
            self.lens.named(Call::InsertOne.word()),
            &format!(
                "(cf_image {row}, cf_mirror boolean) RETURNS {row}",
                row = self.row
            ),
            &format!(
                "  cf_now {};\n{}{}{}",
                self.row,
                self.waiting(),
                self.counting(),
                self.fitting()
            ),
            &body,
        )
    }

    /// Images in the client's order, which is that of its RETURNING. With ON CONFLICT DO NOTHING a
    /// row is skipped that the legacy table would not have taken; one that only unified does not take, or for a row that
    /// legacy readers do not see, is an error, or it would be lost in silence. With a target that is not the key (`cf_arbiter`)
    /// that is looked at before the key is.
    pub(super) fn insert(&self) -> Function {
        let one = self.lens.call(Call::InsertOne, "cf_image, cf_mirror");
        let body = format!(
            "  FOREACH cf_image IN ARRAY coalesce(cf_images, '{{}}') LOOP\n\
             \x20   IF cf_skip IS NULL THEN\n      cf_now := {one};\n\
             \x20   ELSE\n\
             \x20     IF cf_arbiter IS NOT NULL THEN\n{fits}        PERFORM {accept};\n{look}\
             \x20       CONTINUE WHEN NOT cf_now IS NULL;\n      END IF;\n\
             \x20     BEGIN\n        cf_now := {one};\n\
             \x20     EXCEPTION WHEN unique_violation THEN\n\
             \x20       GET STACKED DIAGNOSTICS cf_constraint = CONSTRAINT_NAME;\n\
             \x20       IF cf_constraint = ANY (cf_skip) THEN\n{skipped}        END IF;\n{look}\
             \x20       IF cf_arbiter IS NULL OR cf_now IS NULL THEN RAISE; END IF;\n        CONTINUE;\n\
             \x20     END;\n    END IF;\n{entered}    RETURN NEXT cf_now;\n  END LOOP;\n{refer}",
            entered = self.if_holding("    cf_entered := cf_entered || cf_now;\n"),
            refer = self.refer("NULL", "cf_entered", false, "  "),
            fits = self.fits("cf_image", "        "),
            accept = self.lens.call(Call::Accept, "cf_image"),
            skipped = self.look_skipped("cf_now", "          "),
            look = self.look("cf_now", "        "),
        );
        self.function(
            self.lens.named(Call::Insert.word()),
            &format!(
                "(cf_images {row}[], cf_arbiter text, cf_skip text[], cf_mirror boolean) RETURNS SETOF {row}",
                row = self.row
            ),
            &format!(
                "  cf_image {row};\n  cf_now {row};\n  cf_constraint text;\n{}{}",
                self.if_holding(&format!("  cf_entered {}[] := '{{}}';\n", self.row)),
                self.fitting(),
                row = self.row
            ),
            &body,
        )
    }

    /// An UPDATE: old and new images in step, and the columns that the client set; of the others the
    /// row's own are put. See [`Functions::look_again`] for `cf_held` and `cf_strict`. A row whose key
    /// changes moves to it first; in legacy all at once, as by the client's own UPDATE: what refers to
    /// them is looked at when all have moved.
    pub(super) fn change(&self) -> Function {
        let moves = self.written.can_rekey();
        let enforces = self.unwatched().next().is_some();
        let sets: String = self
            .lens
            .columns
            .iter()
            .filter(|column| moves || !self.lens.is_key(column))
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
             \x20   cf_i := cf_i + 1;\n    cf_new := cf_images[cf_i];\n{again}{said}{was}{fits}{sets}{computed}\
             \x20   PERFORM {accept};\n{enforce}{rekey}{wanted}    PERFORM {put};\n{read_back}{given}{mirror}{changed}    RETURN NEXT cf_now;\n  END LOOP;\n{move_legacy}{refer}{moved}{follow}",
            said = self.if_holding(&format!(
                "    cf_now := {}(cf_now);\n",
                self.lens.named("said")
            )),
            wanted = self.if_holding("    cf_given := cf_now;\n"),
            given = self.as_given("cf_now", "cf_given", "    "),
            changed = self.if_holding(
                "    cf_wases := cf_wases || cf_was;\n    cf_ares := cf_ares || cf_now;\n"
            ),
            refer = self.refer_changed(),
            moved = if moves {
                self.settle_moved()
            } else {
                String::new()
            },
            again = self.look_again(),
            enforce = self.enforce("cf_now", Some("cf_was")),
            was = if moves || enforces || self.holds_keys() {
                "    cf_was := cf_now;\n"
            } else {
                ""
            },
            rekey = if moves {
                self.move_row()
            } else {
                String::new()
            },
            fits = self.fits("cf_new", "    "),
            computed = self.computed("cf_now", "    "),
            accept = self.lens.call(Call::Accept, "cf_now"),
            put = self.lens.call(Call::PutOne, "cf_now"),
            read_back = self.read_back("cf_now", "    "),
            mirror = if moves {
                "    cf_done := cf_done || cf_now;\n".to_owned()
            } else {
                self.mirror("    ")
            },
            move_legacy = if moves {
                self.move_legacy_behind()
            } else {
                String::new()
            },
            follow = if moves {
                self.follow_moved()
            } else {
                String::new()
            },
        );
        self.function(
            self.lens.named(Call::Change.word()),
            &format!("(cf_olds {row}[], cf_news {row}[], cf_set text[], cf_held boolean, cf_strict boolean, cf_mirror boolean) RETURNS SETOF {row}", row = self.row),
            &format!("  cf_old {row};\n  cf_new {row};\n  cf_now {row};\n  cf_was {row};\n  cf_i integer := 0;\n  cf_images {row}[] := cf_news;\n  cf_froms {row}[];\n  cf_tos {row}[];\n  cf_done {row}[] := '{{}}';\n{holding}{left}{fitting}", row = self.row, holding = self.if_holding(&format!("  cf_given {row};\n  cf_wases {row}[] := '{{}}';\n  cf_ares {row}[] := '{{}}';\n", row = self.row)), left = if moves { self.declare_left() } else { String::new() }, fitting = self.fitting()),
            &body,
        )
    }

    /// `cf_was` moved to the key of `cf_now`.
    fn move_row(&self) -> String {
        format!(
            "    IF {} THEN\n{}      PERFORM {};\n      cf_froms := cf_froms || cf_was;\n\
             \x20     cf_tos := cf_tos || cf_now;\n    END IF;\n",
            self.moved("cf_was", "cf_now"),
            self.look_left("cf_was", "      "),
            self.lens.call(Call::RekeyOne, "cf_was, cf_now"),
        )
    }

    /// Legacy behind rows that have moved, whose own foreign keys act on what refers to them.
    fn move_legacy_behind(&self) -> String {
        let call = self.lens.call(Call::MoveLegacy, "cf_froms, cf_tos, true");
        format!("  IF cf_mirror THEN PERFORM {call}; END IF;\n")
    }

    /// Legacy behind rows that may have moved, when foreign keys have acted on either side.
    fn follow_moved(&self) -> String {
        format!(
            "  IF cf_mirror THEN\n    FOREACH cf_now IN ARRAY cf_done LOOP\n{}{}    END LOOP;\n  END IF;\n",
            self.as_settled("      "),
            self.mirror("      "),
        )
    }

    /// What the changed rows refer to, if the client has set it or they have other keys.
    fn refer_changed(&self) -> String {
        let names: Vec<String> = self.referring().into_iter().map(quote_literal).collect();
        let refer = self.refer("cf_wases", "cf_ares", false, "    ");
        match names.is_empty() {
            true => String::new(),
            false => format!(
                "  IF cf_set && ARRAY[{}] OR cf_froms IS NOT NULL THEN\n{refer}  END IF;\n",
                names.join(", ")
            ),
        }
    }

    /// What only a lens with foreign keys that it sees to needs.
    fn if_holding(&self, sql: &str) -> String {
        match self.holds_keys() {
            true => sql.to_owned(),
            false => String::new(),
        }
    }

    fn waiting(&self) -> String {
        self.if_holding("  cf_waits boolean;\n")
    }

    pub(super) fn delete(&self) -> Function {
        let body = format!(
            "  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{{}}') LOOP\n{again}{left}\
             \x20   PERFORM {remove};\n    cf_done := cf_done || cf_old;\n    RETURN NEXT cf_now;\n  END LOOP;\n\
             \x20 IF cf_mirror THEN PERFORM {drop}; END IF;\n{gone}",
            again = self.look_again(),
            left = self.look_left("cf_now", "    "),
            remove = self.lens.call(Call::RemoveOne, "cf_now"),
            drop = self.lens.call(Call::Drop, "cf_done, true"),
            gone = self.settle_gone(),
        );
        self.function(
            self.lens.named(Call::Delete.word()),
            &format!(
                "(cf_olds {row}[], cf_held boolean, cf_strict boolean, cf_mirror boolean) RETURNS SETOF {row}",
                row = self.row
            ),
            &format!(
                "  cf_old {row};\n  cf_now {row};\n  cf_done {row}[] := '{{}}';\n{}",
                self.declare_left(),
                row = self.row
            ),
            &body,
        )
    }

    /// FOR UPDATE: the rows as they are under their locks. Whether they still are what the statement
    /// asks for it looks itself.
    pub(super) fn lock(&self) -> Function {
        let body = format!(
            "  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{{}}') LOOP\n    cf_now := {one};\n\
             \x20   CONTINUE WHEN cf_now IS NULL;\n    RETURN NEXT cf_now;\n  END LOOP;\n",
            one = self.lens.call(Call::LockOne, "cf_old, cf_mirror"),
        );
        self.function(
            self.lens.named(Call::Lock.word()),
            &format!(
                "(cf_olds {row}[], cf_mirror boolean) RETURNS SETOF {row}",
                row = self.row
            ),
            &format!("  cf_old {row};\n  cf_now {row};\n", row = self.row),
            &body,
        )
    }

    /// One row as it is under its locks; NULL if it is gone, as for any UPDATE that waited for it.
    ///
    /// A row of which another transaction has changed what `read` joins it by, while this one waited, was
    /// not locked: PostgreSQL looks at the row that it waited for again, beside what the others were when
    /// the statement began. So that is done until what is read was locked; each time around somebody
    /// else has committed.
    pub(super) fn lock_one(&self) -> Function {
        let (inner, outer) = self.locks_of("cf_old");
        let held = match &*inner {
            "" => "  cf_held := true;\n".to_owned(),
            _ => format!("{inner}  cf_held := FOUND;\n"),
        };
        let body = format!(
            "  LOOP\n  IF cf_mirror THEN {lock_legacy}; END IF;\n{held}{outer}  {read} INTO cf_now;\n\
             \x20 IF NOT FOUND THEN RETURN NULL; END IF;\n  EXIT WHEN cf_held;\n  END LOOP;\n  RETURN cf_now;\n",
            lock_legacy = self.lock_legacy("cf_old"),
            read = self.lens.read_of(self.written, "cf_old"),
        );
        self.function(
            self.lens.named(Call::LockOne.word()),
            &format!(
                "(cf_old {row}, cf_mirror boolean) RETURNS {row}",
                row = self.row
            ),
            &format!("  cf_now {};\n  cf_held boolean;\n", self.row),
            &body,
        )
    }

    /// `cf_now`: the row of `cf_old` as it is under its locks, which the statement may have taken before it
    /// computed the new values (`cf_held`). One that is gone is skipped, as by any UPDATE or DELETE that
    /// waited for it; one that has changed fails a statement that could not look at its condition again
    /// (`cf_strict`).
    fn look_again(&self) -> String {
        format!(
            "    IF cf_held THEN {} INTO cf_now; ELSE cf_now := {}; END IF;\n\
             \x20   CONTINUE WHEN cf_now IS NULL;\n\
             \x20   IF cf_strict AND cf_now *<> cf_old THEN\n\
             \x20     RAISE EXCEPTION USING ERRCODE = '40001',\n\
             \x20       MESSAGE = 'could not serialize access due to concurrent update',\n\
             \x20       HINT = 'The row changed while this statement waited for it; run the transaction again.';\n\
             \x20   END IF;\n",
            self.lens.read_of(self.written, "cf_old"),
            self.lens.call(Call::LockOne, "cf_old, cf_mirror"),
        )
    }

    fn read_back(&self, image: &str, indent: &str) -> String {
        format!(
            "{indent}{} INTO cf_now;\n{indent}IF NOT FOUND THEN {} END IF;\n",
            self.lens.read_of(self.written, image),
            self.maps_to_nothing(),
        )
    }

    /// The same of a row that may have come before what it refers to.
    fn read_back_inserted(&self) -> String {
        format!(
            "  {} INTO cf_now;\n  IF NOT FOUND THEN {} END IF;\n",
            self.lens.read_of(self.written, "cf_image"),
            self.or_waits("cf_image", &self.maps_to_nothing()),
        )
    }

    fn maps_to_nothing(&self) -> String {
        let said = format!(
            "a row of {} does not read back after it was put; its lens maps it to nothing",
            self.lens.legacy.name
        );
        format!(
            "RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = {};",
            quote_literal(&said)
        )
    }

    /// Locks the rows that `read` joins for a key: in one statement those that must be there, and
    /// each that need not in one of its own. Rows of tables that are only looked up stay free.
    pub(super) fn locks(&self, image: &str) -> String {
        let (inner, outer) = self.locks_of(image);
        inner + &outer
    }

    fn locks_of(&self, image: &str) -> (String, String) {
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
        let (mut locks, mut outer) = (String::new(), String::new());
        if !inner.is_empty() {
            locks += &format!(
                "  PERFORM 1 FROM {} WHERE {conditions} FOR UPDATE OF {};\n",
                query.from,
                inner.join(", ")
            );
        }
        // Of what need not be there only what clients may write: lenses lock the others' rows.
        let clients = |part: &&Part| self.written.tables.contains(&part.table);
        for part in parts().filter(|part| part.nullable).filter(clients) {
            outer += &format!(
                "  PERFORM 1 FROM {} WHERE {conditions} FOR UPDATE OF {};\n",
                part.from,
                quote_ident(&part.alias)
            );
        }
        (locks, outer)
    }
}
