//! What the other functions of a lens say of foreign keys, each as statements.

use super::owner::Done;
use super::{columns_of, lock_parent};
use crate::lens::written::functions::{Call, Functions};
use crate::lens::{Action, LegacyColumn, Referrer, Work, quote_ident};

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
                    "  cf_left_{number} {row}[] := '{{}}';\n  cf_is_{number} {row};\n  cf_hid_{number} boolean[] := '{{}}';\n"
                )
            })
            .collect()
    }

    /// While legacy leads its own foreign keys act, by themselves and where no proxy sees it: what they do to the rows
    /// that refer to one which goes, or moves (from `from` to `to`), is done in unified as well. `doing` is what removes or
    /// moves it there.
    pub(in super::super) fn following_actions(
        &self,
        doing: &str,
        moves: Option<(&str, &str)>,
    ) -> String {
        let (mut before, mut behind) = (String::new(), String::new());
        let lost = moves.map_or("cf_image", |(from, _)| from);
        for (referrer, _) in self.carried(moves.is_some()) {
            let number = self.number(referrer);
            before += &format!(
                "cf_left_{number} := {}({lost}, true);\n      ",
                self.lens.named(&format!("left_{number}"))
            );
            behind += &format!(
                ";\n      IF cardinality(cf_left_{number}) > 0 THEN\n        {};\n      END IF",
                self.act(
                    referrer,
                    Done::Carried,
                    &format!(
                        "cf_left_{number}, {}, cf_record",
                        moves.map_or("NULL", |(_, to)| to)
                    )
                )
            );
        }
        format!("{before}{doing}{behind}")
    }

    /// Those of other tables which an action of legacy's own foreign keys is to be carried over to.
    pub(super) fn carried(&self, moved: bool) -> impl Iterator<Item = (&Referrer, Action)> {
        self.acting(moved).filter(move |(referrer, action)| {
            // Rows of the table itself may move as well: they are looked for when all have.
            let acts = !matches!(action, Action::Nothing | Action::Restrict);
            acts && (!moved || !self.is_own(referrer))
        })
    }

    /// Which of those that referred to what has gone their lens does not show without it. Whoever has no rights to the
    /// other table calls nothing where nobody refers to the row.
    fn look_hidden(&self, referrer: &Referrer) -> String {
        let number = self.number(referrer);
        format!(
            "IF cardinality(cf_left_{number}) > 0 THEN cf_hid_{number} := {}(cf_left_{number}); END IF",
            self.lens.named(&format!("hidden_{number}")),
        )
    }

    /// What the columns of a reference become by an action; nothing where the row goes.
    pub(super) fn followed(
        &self,
        referrer: &Referrer,
        action: Action,
        to: Option<&str>,
    ) -> Vec<String> {
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

    pub(super) fn is_own(&self, referrer: &Referrer) -> bool {
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
    pub(super) fn acting(&self, moved: bool) -> impl Iterator<Item = (&Referrer, Action)> {
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
        let again = self.acting(moved).filter(|(r, _)| moved && self.is_own(r));
        let again: String = again
            .map(|(r, action)| self.look_left_again(r, action))
            .collect();
        let hidden = self
            .acting(moved)
            .map(|(r, action)| self.note_hidden(r, action));
        let acts = self
            .acting(moved)
            .map(|(r, action)| self.settle_left(r, action, moved));
        again + &hidden.chain(acts).collect::<String>()
    }

    /// Rows of the table itself may have moved as well, and been set to refer to something else: those that still
    /// refer to what has moved are looked for when all have. Others were not to lose what they refer to, though their lens
    /// may have taken them along.
    fn look_left_again(&self, referrer: &Referrer, action: Action) -> String {
        let number = self.number(referrer);
        let kept = match action {
            Action::Nothing | Action::Restrict => {
                let own = self.lens.legacy_key();
                let same: Vec<String> = own
                    .iter()
                    .map(|key| format!("cf_d.{key} = cf_l.{key}"))
                    .collect();
                format!(
                    "ARRAY(SELECT cf_l FROM unnest(cf_left_{number}) AS cf_l \
                     WHERE NOT EXISTS (SELECT FROM unnest(cf_olds) AS cf_d WHERE {}))",
                    same.join(" AND ")
                )
            }
            Action::Cascade | Action::SetNull | Action::SetDefault => "'{}'".to_owned(),
        };
        format!(
            "  cf_left_{number} := {kept};\n\
             \x20 FOR cf_m IN 1 .. coalesce(cardinality(cf_froms), 0) LOOP\n\
             \x20   cf_left_{number} := cf_left_{number} || {}(cf_froms[cf_m], cf_mirror);\n  END LOOP;\n",
            self.lens.named(&format!("left_{number}"))
        )
    }

    /// `cf_now` again, whose references to rows of its own table an action may have changed since it was written.
    pub(in super::super) fn as_settled(&self, indent: &str) -> String {
        let mut acting = self.acting(true).filter(|(r, _)| self.is_own(r));
        if acting.all(|(_, action)| matches!(action, Action::Nothing | Action::Restrict)) {
            return String::new();
        }
        format!(
            "{indent}{} INTO cf_new;\n{indent}IF FOUND THEN cf_now := {}(cf_new); END IF;\n",
            self.lens.read_of(self.written, "cf_now"),
            self.lens.named("said"),
        )
    }

    /// Which of those that an action concerns their lens does not show without what they referred to.
    fn note_hidden(&self, referrer: &Referrer, action: Action) -> String {
        match action {
            Action::Nothing | Action::Restrict => String::new(),
            Action::SetNull | Action::SetDefault | Action::Cascade => {
                format!("  {};\n", self.look_hidden(referrer))
            }
        }
    }

    fn settle_left(&self, referrer: &Referrer, action: Action, moved: bool) -> String {
        let number = self.number(referrer);
        if matches!(action, Action::Nothing | Action::Restrict) {
            return format!(
                "  PERFORM {}(cf_left_{number}, {}, {moved});\n",
                self.lens.named(&format!("gone_{number}")),
                // Who moved as well still refers to what has gone.
                if moved { "'{}'" } else { "cf_done" },
            );
        }
        let (gone, to) = if moved {
            ("cf_froms", "cf_tos")
        } else {
            ("cf_done", "NULL")
        };
        format!(
            "  IF cardinality(cf_left_{number}) > 0 THEN\n    {};\n  END IF;\n",
            self.act(
                referrer,
                Done::Settled,
                &format!("cf_left_{number}, cf_hid_{number}, {gone}, {to}, cf_mirror")
            )
        )
    }
}
