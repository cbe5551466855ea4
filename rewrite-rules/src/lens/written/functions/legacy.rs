//! The legacy rows of a written lens, once unified leads or is written under its own names.
//!
//! ```text
//! follow(image, columns, makes)  one legacy row made the image
//! drop(images, excuse)           legacy rows removed
//! sync(keys, columns, makes, gone)  legacy rows made what `read` says; where that has none, removed
//!                                (`gone`), or what the rule file says of hidden rows
//! ```
//!
//! While legacy leads, a row of it that is not there was deleted, whatever unified has left of it: none
//! comes into being but where the statement made it visible (`makes`).

use super::{Call, Functions};
use crate::lens::{Function, Lossy, WhenHidden, lossy, quote_ident, quote_literal};

impl Functions<'_> {
    /// Legacy made what `read` says; of a row that is there only `cf_set`, if that is given.
    pub(super) fn sync(&self) -> Function {
        let follow = self
            .lens
            .call(Call::Follow, "cf_now, cf_set, cf_makes, cf_excuse");
        let body = format!(
            "  IF cf_keys IS NULL THEN RETURN true; END IF;\n\
             \x20 FOR cf_image IN SELECT * FROM unnest(cf_keys) AS cf_i ORDER BY {order} LOOP\n\
             \x20   cf_now := {lock};\n\
             \x20   IF NOT cf_now IS NULL THEN\n      PERFORM {follow};\n    ELSIF cf_gone THEN\n      PERFORM {remove};\n\
             \x20   ELSIF EXISTS (SELECT 1 FROM {row}) THEN\n      {hidden};\n    END IF;\n\
             \x20 END LOOP;\n  RETURN true;\n",
            order = self.key_order("cf_i"),
            lock = self.lens.call(Call::LockOne, "cf_image, true"),
            remove = self.lens.call(Call::Drop, "ARRAY[cf_image], cf_excuse"),
            row = self.legacy_row("cf_image"),
            hidden = match self.lens.hidden_rows() {
                WhenHidden::Remove => format!(
                    "PERFORM {}",
                    self.lens.call(Call::Drop, "ARRAY[cf_image], cf_excuse")
                ),
                WhenHidden::Keep | WhenHidden::Refuse => self.lens.hidden(),
            },
        );
        self.function(
            self.lens.named(Call::Sync.word()),
            &format!(
                "(cf_keys {}[], cf_set text[], cf_makes boolean, cf_gone boolean, cf_excuse boolean) RETURNS boolean",
                self.row
            ),
            &format!("  cf_image {row};\n  cf_now {row};\n", row = self.row),
            &body,
        )
    }

    /// The legacy rows of images, all at once, as by the client's own DELETE: what refers to them is looked at when all
    /// are gone.
    pub(super) fn drop_legacy(&self) -> Function {
        let record = [self.lens.record("SQLERRM", "SQLSTATE")];
        let one = self
            .lens
            .excused_one(&self.remove_legacy("cf_image"), &record);
        let each = format!("  FOREACH cf_image IN ARRAY cf_images LOOP\n{one}  END LOOP;\n");
        let all = self.remove_legacy_all("cf_images");
        let body = "  IF coalesce(cardinality(cf_images), 0) = 0 THEN RETURN true; END IF;\n"
            .to_owned()
            + &self.lens.excused("NOT cf_excuse OR ", &all, &each);
        self.function(
            self.lens.named(Call::Drop.word()),
            &format!(
                "(cf_images {}[], cf_excuse boolean) RETURNS boolean",
                self.row
            ),
            &format!("  cf_image {};\n", self.row),
            &body,
        )
    }

    pub(super) fn mirror(&self, indent: &str) -> String {
        let follow = self.lens.call(Call::Follow, "cf_now, NULL, true, true");
        format!("{indent}IF cf_mirror THEN PERFORM {follow}; END IF;\n")
    }

    /// One legacy row made an image; of a row that is there only `cf_set`, if that is given. The reverse backfill is
    /// not excused (`cf_excuse`).
    pub(super) fn follow(&self) -> Function {
        let write = format!(
            "{};\n    IF NOT FOUND AND cf_makes THEN {}; END IF",
            self.update_legacy("cf_image"),
            self.insert_legacy("cf_image"),
        );
        let lossy = self.lens.judged_of(self.written, "cf_image");
        let (declare, mut judge) = lossy.unwrap_or_default();
        judge += &self.nothing_to_follow();
        let record = [self.lens.record("SQLERRM", "SQLSTATE")];
        let one = self.lens.excused_one(&write, &record);
        let body = judge + &self.lens.excused("NOT cf_excuse OR ", &write, &one);
        self.function(
            self.lens.named(Call::Follow.word()),
            &format!(
                "(cf_image {}, cf_set text[], cf_makes boolean, cf_excuse boolean) RETURNS boolean",
                self.row
            ),
            &declare,
            &body,
        )
    }

    /// Where all that a statement set is lossy in the row, legacy is not even touched.
    fn nothing_to_follow(&self) -> String {
        let left_out: String = (0..self.written.query.lossy.len())
            .map(|number| {
                let columns = self.lens.columns.iter();
                let names: Vec<String> = columns
                    .filter(|column| column.lossy == Lossy::When(number))
                    .map(|column| quote_literal(&column.name))
                    .collect();
                format!(
                    "    IF {} IS NOT FALSE THEN\n\
                     \x20     cf_set := ARRAY(SELECT cf_c FROM unnest(cf_set) AS cf_c WHERE cf_c <> ALL (ARRAY[{}]));\n\
                     \x20   END IF;\n",
                    lossy::flag(number),
                    names.join(", "),
                )
            })
            .collect();
        if left_out.is_empty() {
            return left_out;
        }
        format!(
            "  IF cf_set IS NOT NULL THEN\n{left_out}    IF cf_set = '{{}}' AND NOT cf_makes THEN RETURN true; END IF;\n\
             \x20 END IF;\n"
        )
    }

    /// The legacy row of an image, in `cf_set` or as a whole. Lossy columns stay, or those of which it
    /// is lossy: unified has nothing to say of them.
    fn update_legacy(&self, image: &str) -> String {
        let key = self.legacy_key_of(image);
        match self.assigned(|name| format!("({image}).{name}")) {
            None => format!("PERFORM 1 FROM {} AS cf_t WHERE {key}", self.lens.legacy),
            Some(sets) => format!("UPDATE {} AS cf_t SET {sets} WHERE {key}", self.lens.legacy),
        }
    }

    /// The legacy row of an image that has none, as far as this statement sees.
    fn insert_legacy(&self, image: &str) -> String {
        let written = self.lens.columns.iter().filter(|c| !c.is_computed());
        let names: Vec<String> = written.map(|c| quote_ident(&c.name)).collect();
        let values: Vec<String> = names
            .iter()
            .map(|name| format!("({image}).{name}"))
            .collect();
        let sets = self.assigned(|name| format!("excluded.{name}"));
        format!(
            "INSERT INTO {} AS cf_t ({}) OVERRIDING SYSTEM VALUE VALUES ({}) ON CONFLICT ({}) DO {}",
            self.lens.legacy,
            names.join(", "),
            values.join(", "),
            self.lens.legacy_key().join(", "),
            sets.map_or("NOTHING".to_owned(), |sets| format!("UPDATE SET {sets}")),
        )
    }

    fn assigned(&self, value: impl Fn(&str) -> String) -> Option<String> {
        let columns = self.lens.columns.iter();
        let sets: Vec<String> = columns
            .filter(|c| !self.lens.is_key(c) && c.lossy != Lossy::Always && !c.is_never_set())
            .map(|c| {
                let name = quote_ident(&c.name);
                let set = format!(
                    "cf_set IS NULL OR {} = ANY (cf_set)",
                    quote_literal(&c.name)
                );
                let follows = match c.lossy {
                    Lossy::Never | Lossy::Always => set,
                    Lossy::When(number) => format!("NOT {} AND ({set})", lossy::flag(number)),
                };
                format!(
                    "{name} = CASE WHEN {follows} THEN {} ELSE cf_t.{name} END",
                    value(&name)
                )
            })
            .collect();
        (!sets.is_empty()).then(|| sets.join(", "))
    }

    pub(super) fn legacy_key_of(&self, image: &str) -> String {
        self.lens.same_key("cf_t", &format!("({image})"))
    }

    fn legacy_row(&self, image: &str) -> String {
        format!(
            "{} AS cf_t WHERE {}",
            self.lens.legacy,
            self.legacy_key_of(image)
        )
    }

    pub(super) fn lock_legacy(&self, image: &str) -> String {
        format!("PERFORM 1 FROM {} FOR UPDATE", self.legacy_row(image))
    }

    fn remove_legacy_all(&self, images: &str) -> String {
        format!(
            "DELETE FROM {} AS cf_t USING unnest({images}) AS cf_i WHERE {}",
            self.lens.legacy,
            self.lens.same_key("cf_t", "cf_i")
        )
    }

    fn remove_legacy(&self, image: &str) -> String {
        format!("DELETE FROM {}", self.legacy_row(image))
    }
}
