//! What the other functions of a lens say of foreign keys, each as statements.

use super::{child_of, columns_of, lock_parent};
use crate::lens::written::functions::{Call, Functions};
use crate::lens::{Action, LegacyColumn, Referrer, Work, quote_ident, quote_literal};

impl Functions<'_> {
    /// `refers` of arrays of images in variables.
    pub(in super::super) fn refer(
        &self,
        olds: &str,
        news: &str,
        waits: bool,
        indent: &str,
    ) -> String {
        if !self.holds_keys() {
            return String::new();
        }
        format!(
            "{indent}PERFORM {}({olds}, {news}, {waits}, false);\n",
            self.lens.named("refers")
        )
    }

    /// The names of the columns of the foreign keys.
    pub(in super::super) fn referring(&self) -> Vec<&str> {
        let keys = self
            .held()
            .flat_map(|(_, key, _)| columns_of(self.lens, key));
        let mut names: Vec<&str> = keys.map(|column| column.name.as_str()).collect();
        names.dedup();
        names
    }

    /// The columns of the foreign keys as the client gave them, whatever `read` tells of them by now.
    pub(in super::super) fn as_given(&self, image: &str, given: &str, indent: &str) -> String {
        let names = self.referring().into_iter().map(quote_ident);
        names
            .map(|name| format!("{indent}{image}.{name} := {given}.{name};\n"))
            .collect()
    }

    /// Whether what an image refers to is there, of each foreign key that is given.
    fn all_there(&self, image: &str) -> String {
        self.held()
            .map(|(_, key, holder)| {
                let given: Vec<String> = columns_of(self.lens, key)
                    .iter()
                    .map(|c| format!("{image}.{} IS NOT NULL", quote_ident(&c.name)))
                    .collect();
                format!(
                    "  IF {} THEN\n    {};\n    cf_waits := cf_waits OR NOT FOUND;\n  END IF;\n",
                    given.join(" AND "),
                    lock_parent(self.lens, key, holder, image)
                )
            })
            .collect()
    }

    /// What is done of a row that does not read back after it was put: it waits, if what it refers to is not there.
    pub(in super::super) fn or_waits(&self, image: &str, lost: &str) -> String {
        if !self.holds_keys() {
            return lost.to_owned();
        }
        format!(
            "  cf_waits := false;\n{}  IF NOT cf_waits THEN {lost} END IF;\n{}  cf_now := {image};\n",
            self.all_there(image),
            self.refer("NULL", &format!("ARRAY[{image}]"), true, "  "),
        )
    }

    /// `put_one` while legacy leads, whose own foreign keys decide: a row that cannot be put yet waits for what
    /// it refers to, and is recorded if that does not come to unified.
    pub(in super::super) fn put_or_wait(&self) -> String {
        let put = format!("PERFORM {}", self.lens.call(Call::PutOne, "cf_image"));
        let waits = match self.holds_keys() {
            false => String::new(),
            true => format!(
                ";\n      IF NOT EXISTS (SELECT 1 FROM ({}) AS cf_r) THEN\n        PERFORM {}(NULL, ARRAY[cf_image], true, cf_record);\n      END IF",
                self.lens.read_of(self.written, "cf_image"),
                self.lens.named("refers"),
            ),
        };
        let waiting = self.put_waiting("cf_image", "      ");
        let waiting = waiting.trim_end().trim_end_matches(';');
        match waiting.is_empty() {
            true => format!("{put}{waits}"),
            false => format!("{put}{waits};\n{waiting}"),
        }
    }

    /// Puts those that waited for a row that has come.
    pub(in super::super) fn put_waiting(&self, image: &str, indent: &str) -> String {
        let referrers = self.written.referrers.iter();
        referrers
            .map(|referrer| {
                let number = self.number(referrer);
                // One by one: whoever has no rights to the other table calls nothing where nobody waits.
                format!(
                    "{indent}DECLARE\n{indent}  cf_c {row};\n{indent}BEGIN\n\
                     {indent}  FOREACH cf_c IN ARRAY {came}({image}) LOOP\n\
                     {indent}    PERFORM {put}(cf_c);\n{indent}  END LOOP;\n{indent}END;\n",
                    row = referrer.child.image_type(),
                    came = self.lens.named(&format!("came_{number}")),
                    put = referrer.child.call_name(Call::PutOne),
                )
            })
            .collect()
    }

    /// Variables of those that refer to rows which go or move.
    pub(in super::super) fn declare_left(&self) -> String {
        let referrers = self.written.referrers.iter();
        referrers
            .map(|referrer| {
                let (number, row) = (self.number(referrer), referrer.child.image_type());
                format!(
                    "  cf_left_{number} {row}[] := '{{}}';\n  cf_is_{number} {row};\n  cf_be_{number} {row};\n  cf_hid_{number} boolean[] := '{{}}';\n"
                )
            })
            .collect()
    }

    /// While legacy leads its own foreign keys act, by themselves and where no proxy sees it: what they do to the rows
    /// that refer to one which goes, or moves (from `from` to `to`), is done in unified as well. `doing` is what does
    /// the latter.
    pub(in super::super) fn following_actions(
        &self,
        doing: &str,
        moves: Option<(&str, &str)>,
    ) -> String {
        let (mut before, mut behind) = (String::new(), String::new());
        let lost = moves.map_or("cf_image", |(from, _)| from);
        for (referrer, action) in self.acting(moves.is_some()) {
            // Rows of the table itself may move as well: they are looked for when all have.
            if matches!(action, Action::Nothing | Action::Restrict)
                || moves.is_some() && self.is_own(referrer)
            {
                continue;
            }
            let key = &referrer.key;
            let number = self.number(referrer);
            let (child, left) = (&referrer.child, format!("cf_left_{number}"));
            let columns = columns_of(child, key);
            let new = self.followed(referrer, action, moves.map(|(_, to)| to));
            before += &format!(
                "{left} := {}({lost}, true);\n      ",
                self.lens.named(&format!("left_{number}"))
            );
            if new.is_empty() {
                // Whoever has no rights to the other table calls nothing where nobody refers to the row.
                behind += &format!(
                    ";\n      IF cardinality({left}) > 0 THEN PERFORM {}({left}, cf_record); END IF",
                    child.function_name(Work::Remove)
                );
                continue;
            }
            let sets: String = columns
                .iter()
                .zip(new)
                .map(|(c, value)| format!(" cf_is_{number}.{} := {value};", quote_ident(&c.name)))
                .collect();
            behind += &format!(
                ";\n      FOREACH cf_be_{number} IN ARRAY {left} LOOP\n        {} INTO cf_is_{number};\n\
                 \x20       IF NOT FOUND THEN cf_is_{number} := cf_be_{number}; END IF;\n       {sets}\n\
                 \x20       PERFORM {}(ARRAY[cf_is_{number}], cf_record);\n      END LOOP",
                child.read_of(child_of(referrer).1, &format!("cf_be_{number}")),
                child.function_name(Work::Put)
            );
        }
        format!("{before}{doing}{behind}")
    }

    /// What the columns of a reference become by an action; nothing where the row goes.
    fn followed(&self, referrer: &Referrer, action: Action, to: Option<&str>) -> Vec<String> {
        let columns = columns_of(&referrer.child, &referrer.key);
        let each = |value: &dyn Fn(&LegacyColumn) -> String| -> Vec<String> {
            columns.iter().map(|column| value(column)).collect()
        };
        match (action, to) {
            (Action::Nothing | Action::Restrict, _) | (Action::Cascade, None) => Vec::new(),
            (Action::SetNull, _) => each(&|_| "NULL".to_owned()),
            (Action::SetDefault, _) => each(&|c| c.default.clone().unwrap_or("NULL".to_owned())),
            (Action::Cascade, Some(to)) => {
                let own = self.lens.legacy_key();
                let places = referrer.key.places(self.lens).unwrap_or_default();
                let values = places.iter().map(|&at| format!("({to}).{}", own[at]));
                values.collect()
            }
        }
    }

    fn is_own(&self, referrer: &Referrer) -> bool {
        referrer.child.legacy == self.lens.legacy
    }

    /// What legacy's own foreign keys do to rows of the same table that refer to those which have moved, when all have:
    /// from `cf_olds` to `cf_images`. An image says what its row referred to before.
    pub(in super::super) fn following_own(&self) -> String {
        let mut each = String::new();
        for (referrer, action) in self.acting(true).filter(|(r, _)| self.is_own(r)) {
            let columns = columns_of(&referrer.child, &referrer.key);
            let values = self.followed(referrer, action, Some("cf_image"));
            if values.is_empty() {
                continue;
            }
            let number = self.number(referrer);
            let sets: String = columns
                .iter()
                .zip(values)
                .map(|(c, value)| format!(" cf_is_{number}.{} := {value};", quote_ident(&c.name)))
                .collect();
            each += &format!(
                "    FOREACH cf_is_{number} IN ARRAY {}(cf_old, true) LOOP\n     {sets}\n\
                 \x20     PERFORM {}(ARRAY[cf_is_{number}], cf_record);\n    END LOOP;\n",
                self.lens.named(&format!("left_{number}")),
                referrer.child.function_name(Work::Put),
            );
        }
        if each.is_empty() {
            return each;
        }
        format!(
            "  FOR cf_i IN 1 .. cardinality(cf_images) LOOP\n\
             \x20   cf_old := cf_olds[cf_i];\n    cf_image := cf_images[cf_i];\n\
             \x20   CONTINUE WHEN NOT ({});\n{each}  END LOOP;\n",
            self.moved("cf_old", "cf_image")
        )
    }

    pub(in super::super) fn look_left(&self, image: &str, indent: &str) -> String {
        let referrers = self.written.referrers.iter();
        referrers
            .map(|referrer| {
                let number = self.number(referrer);
                format!(
                    "{indent}cf_left_{number} := cf_left_{number} || {}({image}, cf_mirror);\n",
                    self.lens.named(&format!("left_{number}"))
                )
            })
            .collect()
    }

    /// What refers to this table, with what becomes of it. What goes goes last: nothing else is to bring it back.
    fn acting(&self, moved: bool) -> impl Iterator<Item = (&Referrer, Action)> {
        let all = move || {
            let referrers = self.written.referrers.iter();
            referrers.map(move |referrer| match moved {
                true => (referrer, referrer.key.on_update),
                false => (referrer, referrer.key.on_delete),
            })
        };
        let goes = move |action: Action| action == Action::Cascade && !moved;
        let stays = all().filter(move |(_, action)| !goes(*action));
        stays.chain(all().filter(move |(_, action)| goes(*action)))
    }

    /// What becomes of those that refer to rows which have gone.
    pub(in super::super) fn settle_gone(&self) -> String {
        self.settle(false)
    }

    /// The same where they have moved, from the keys of `cf_froms` to those of `cf_tos`.
    pub(in super::super) fn settle_moved(&self) -> String {
        self.settle(true)
    }

    fn settle(&self, moved: bool) -> String {
        let hidden = self
            .acting(moved)
            .map(|(r, action)| self.note_hidden(r, action));
        let acts = self
            .acting(moved)
            .map(|(r, action)| self.settle_left(r, action, moved));
        hidden.chain(acts).collect()
    }

    /// Which of those that an action concerns their lens does not show without what they referred to.
    fn note_hidden(&self, referrer: &Referrer, action: Action) -> String {
        match action {
            Action::Nothing | Action::Restrict => return String::new(),
            Action::SetNull | Action::SetDefault | Action::Cascade => {}
        }
        let number = self.number(referrer);
        let (child, written) = child_of(referrer);
        format!(
            "  FOREACH cf_is_{number} IN ARRAY cf_left_{number} LOOP\n    PERFORM 1 FROM ({}) AS cf_r;\n\
             \x20   cf_hid_{number} := cf_hid_{number} || NOT FOUND;\n  END LOOP;\n",
            child.read_of(written, &format!("cf_is_{number}")),
        )
    }

    fn settle_left(&self, referrer: &Referrer, action: Action, moved: bool) -> String {
        let number = self.number(referrer);
        let child = &referrer.child;
        let columns = columns_of(child, &referrer.key);
        let own = self.lens.legacy_key();
        let same: Vec<String> = own
            .iter()
            .map(|key| format!("cf_d.{key} = (cf_is_{number}).{key}"))
            .collect();
        // What went with it needs nothing more.
        let went = match child.legacy == self.lens.legacy && !moved {
            true => format!(
                "    CONTINUE WHEN EXISTS (SELECT FROM unnest(cf_done) AS cf_d WHERE {});\n",
                same.join(" AND ")
            ),
            false => String::new(),
        };
        let each = |sets: &str, write: &str| {
            format!(
                "  FOR cf_at IN 1 .. cardinality(cf_left_{number}) LOOP\n    cf_is_{number} := cf_left_{number}[cf_at];\n\
                 {went}    cf_be_{number} := cf_is_{number};\n{sets}    {write};\n  END LOOP;\n"
            )
        };
        let names: Vec<String> = columns.iter().map(|c| quote_literal(&c.name)).collect();
        // In legacy its own foreign key has done the same by now, and more than one may act on a row.
        let change = format!(
            "PERFORM 1 FROM {}(ARRAY[cf_is_{number}], ARRAY[cf_be_{number}], ARRAY[{}], false, false, false);\n\
             \x20   IF cf_hid_{number}[cf_at] THEN PERFORM {}(cf_be_{number}); END IF",
            child.call_name(Call::Change),
            names.join(", "),
            child.call_name(Call::PutOne),
        );
        let set = |value: &dyn Fn(&LegacyColumn) -> String| -> String {
            let sets = columns.iter().map(|column| {
                format!(
                    "    cf_be_{number}.{} := {};\n",
                    quote_ident(&column.name),
                    value(column)
                )
            });
            sets.collect()
        };
        match action {
            Action::Nothing | Action::Restrict => format!(
                "  PERFORM {}(cf_left_{number}, {}, {moved});\n",
                self.lens.named(&format!("gone_{number}")),
                // What moved as well is looked at under its own new key.
                if moved { "cf_froms" } else { "cf_done" },
            ),
            Action::SetNull => each(&set(&|_| "NULL".to_owned()), &change),
            Action::SetDefault => {
                let default = |c: &LegacyColumn| c.default.clone().unwrap_or("NULL".to_owned());
                each(&set(&default), &change)
            }
            Action::Cascade if moved => {
                let places = referrer.key.places(self.lens).unwrap_or_default();
                let own = self.lens.legacy_key();
                let of = |at: usize, array: &str| format!("({array}[cf_m]).{}", own[at]);
                let pairs: Vec<(String, usize)> = columns
                    .iter()
                    .map(|c| quote_ident(&c.name))
                    .zip(places)
                    .collect();
                let same: Vec<String> = pairs
                    .iter()
                    .map(|(c, at)| format!("cf_is_{number}.{c} = {}", of(*at, "cf_froms")))
                    .collect();
                let sets: String = pairs
                    .iter()
                    .map(|(c, at)| {
                        format!("        cf_be_{number}.{c} := {};\n", of(*at, "cf_tos"))
                    })
                    .collect();
                each(
                    &format!(
                        "    FOR cf_m IN 1 .. coalesce(cardinality(cf_froms), 0) LOOP\n      IF {} THEN\n{sets}      END IF;\n    END LOOP;\n",
                        same.join(" AND ")
                    ),
                    &change,
                )
            }
            Action::Cascade => each(
                "",
                &format!(
                    "PERFORM 1 FROM {}(ARRAY[cf_is_{number}], false, false, cf_mirror);\n\
                     \x20   IF cf_hid_{number}[cf_at] THEN PERFORM {}(cf_is_{number}); END IF",
                    child.call_name(Call::Delete),
                    child.call_name(Call::RemoveOne),
                ),
            ),
        }
    }
}
