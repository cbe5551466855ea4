//! What actions of foreign keys do to the rows that refer, each with a function of its own.
//!
//! ```text
//! settle_N(images, hidden, gone, to, mirror)  once unified leads: of rows that have gone, or moved (`to`)
//! carry_N(images, to, record)                 while legacy leads: what its own foreign key does by itself
//! hidden_N(images)                            which of them their lens does not show any more
//! ```
//!
//! PostgreSQL acts with the rights of the owner of the table that refers; these do with the caller's. With those of
//! whoever prepared the lens, triggers of an application's making would run under a role that may be a superuser.

use super::{child_of, columns_of};
use crate::lens::written::functions::{Call, Functions};
use crate::lens::{Action, Function, Referrer, Work, quote_ident, quote_literal};

/// When an action is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Once unified leads, on either side.
    Settled,
    /// While legacy leads, in unified.
    Carried,
}

impl Done {
    fn word(self) -> &'static str {
        match self {
            Done::Settled => "settle",
            Done::Carried => "carry",
        }
    }
}

impl Functions<'_> {
    fn action_name(&self, referrer: &Referrer, done: Done) -> String {
        let number = self.number(referrer);
        self.lens.named(&format!("{}_{number}", done.word()))
    }

    pub(super) fn act(&self, referrer: &Referrer, done: Done, arguments: &str) -> String {
        format!("PERFORM {}({arguments})", self.action_name(referrer, done))
    }

    pub(super) fn action_functions(&self, referrer: &Referrer) -> Vec<Function> {
        let acts = |action: Action| !matches!(action, Action::Nothing | Action::Restrict);
        let carries = |moved: bool| {
            let mut all = self.carried(moved);
            all.any(|(other, _)| std::ptr::eq(other, referrer))
        };
        let mut all = Vec::new();
        if acts(referrer.key.on_delete) || acts(referrer.key.on_update) {
            all.push(self.hidden(referrer));
            all.push(self.settles(referrer));
        }
        if carries(true) || carries(false) {
            all.push(self.carries(referrer));
        }
        all
    }

    /// Which of some rows their lens does not show.
    fn hidden(&self, referrer: &Referrer) -> Function {
        let (child, written) = child_of(referrer);
        let of = child.image_type();
        let function = self.guarded(
            self.lens
                .named(&format!("hidden_{}", self.number(referrer))),
            &format!("(cf_left {of}[]) RETURNS boolean[]"),
            &format!("  cf_is {of};\n  cf_hid boolean[] := '{{}}';\n"),
            &format!(
                "  FOREACH cf_is IN ARRAY cf_left LOOP\n    PERFORM 1 FROM ({}) AS cf_r;\n\
                 \x20   cf_hid := cf_hid || NOT FOUND;\n  END LOOP;\n  RETURN cf_hid;\n",
                child.read_of(written, "cf_is")
            ),
        );
        function.after(&super::image_ddl_of(child, written))
    }

    fn action_function(
        &self,
        (referrer, done): (&Referrer, Done),
        head: &str,
        declare: &str,
        body: &str,
    ) -> Function {
        let name = self.action_name(referrer, done);
        let head = format!(
            "(cf_left {}[], {head}) RETURNS boolean",
            referrer.child.image_type()
        );
        let function = self.function(name, &head, declare, body);
        let (child, written) = child_of(referrer);
        function.after(&super::image_ddl_of(child, written))
    }

    /// Of rows that have gone, or have moved from the keys of `cf_gone` to those of `cf_to`.
    fn settles(&self, referrer: &Referrer) -> Function {
        let each = |action: Action, moved: bool| match action {
            Action::Nothing | Action::Restrict => String::new(),
            Action::Cascade | Action::SetNull | Action::SetDefault => {
                self.settle_each(referrer, action, moved)
            }
        };
        let body = format!(
            "  IF cf_to IS NULL THEN\n{}    RETURN true;\n  END IF;\n{}  RETURN true;\n",
            each(referrer.key.on_delete, false),
            each(referrer.key.on_update, true),
        );
        self.action_function(
            (referrer, Done::Settled),
            &format!(
                "cf_hid boolean[], cf_gone {row}[], cf_to {row}[], cf_mirror boolean",
                row = self.row
            ),
            &format!(
                "  cf_is {of};\n  cf_be {of};\n  cf_now {of};\n",
                of = referrer.child.image_type()
            ),
            &body,
        )
    }

    fn settle_each(&self, referrer: &Referrer, action: Action, moved: bool) -> String {
        let child = &referrer.child;
        let columns = columns_of(child, &referrer.key);
        // What went with it needs nothing more.
        let went = match self.is_own(referrer) && !moved {
            true => {
                let own = self.lens.legacy_key();
                let same = own.iter().map(|key| format!("cf_d.{key} = (cf_is).{key}"));
                format!(
                    "    CONTINUE WHEN EXISTS (SELECT FROM unnest(cf_gone) AS cf_d WHERE {});\n",
                    same.collect::<Vec<_>>().join(" AND ")
                )
            }
            false => String::new(),
        };
        let names: Vec<String> = columns.iter().map(|c| quote_literal(&c.name)).collect();
        let hidden = |call: Call, image: &str| {
            format!(
                "    IF cf_hid[cf_at] THEN PERFORM {}({image}); END IF;\n",
                child.call_name(call)
            )
        };
        // In legacy its own foreign key has done the same by now, and more than one may act on a row.
        let change = format!(
            "    PERFORM 1 FROM {}(ARRAY[cf_is], ARRAY[cf_be], ARRAY[{}], false, false, false);\n{}",
            child.call_name(Call::Change),
            names.join(", "),
            hidden(Call::PutOne, "cf_be"),
        );
        let write = match action {
            Action::Cascade if !moved => format!(
                "    PERFORM 1 FROM {}(ARRAY[cf_is], false, false, cf_mirror);\n{}",
                child.call_name(Call::Delete),
                hidden(Call::RemoveOne, "cf_is"),
            ),
            Action::Cascade => {
                let places = referrer.key.places(self.lens).unwrap_or_default();
                let own = self.lens.legacy_key();
                let of = |at: usize, array: &str| format!("({array}[cf_m]).{}", own[at]);
                let pairs = || columns.iter().map(|c| quote_ident(&c.name)).zip(&places);
                let same: Vec<String> = pairs()
                    .map(|(c, at)| format!("cf_is.{c} = {}", of(*at, "cf_gone")))
                    .collect();
                let sets: String = pairs()
                    .map(|(c, at)| format!("        cf_be.{c} := {};\n", of(*at, "cf_to")))
                    .collect();
                format!(
                    "    FOR cf_m IN 1 .. cardinality(cf_gone) LOOP\n      IF {} THEN\n{sets}      END IF;\n    END LOOP;\n{change}",
                    same.join(" AND ")
                )
            }
            Action::SetNull | Action::SetDefault | Action::Nothing | Action::Restrict => {
                let sets: String = columns
                    .iter()
                    .zip(self.followed(referrer, action, None))
                    .map(|(c, value)| format!("    cf_be.{} := {value};\n", quote_ident(&c.name)))
                    .collect();
                sets + &change
            }
        };
        format!(
            "  FOR cf_at IN 1 .. cardinality(cf_left) LOOP\n    cf_is := cf_left[cf_at];\n{went}{judged}\
             \x20   cf_be := cf_is;\n{write}  END LOOP;\n",
            judged = still_refers(referrer),
        )
    }

    /// Of a row that has gone, or has moved to `cf_to`.
    fn carries(&self, referrer: &Referrer) -> Function {
        let child = &referrer.child;
        let columns = columns_of(child, &referrer.key);
        let follows = !self.is_own(referrer);
        let each = |action: Action, to: Option<&str>| {
            if matches!(action, Action::Nothing | Action::Restrict) || to.is_some() && !follows {
                return String::new();
            }
            let sets: String = columns
                .iter()
                .zip(self.followed(referrer, action, to))
                .map(|(c, value)| format!("    cf_is.{} := {value};\n", quote_ident(&c.name)))
                .collect();
            let work = match (action, to) {
                (Action::Cascade, None) => Work::Remove,
                _sets => Work::Put,
            };
            let read = format!(
                "    {} INTO cf_be;\n    IF FOUND THEN cf_is := cf_be; END IF;\n",
                child.read_of(child_of(referrer).1, "cf_is")
            );
            format!(
                "  FOREACH cf_is IN ARRAY cf_left LOOP\n{read}{sets}    PERFORM {}(ARRAY[cf_is], cf_record);\n  END LOOP;\n",
                child.function_name(work)
            )
        };
        let body = format!(
            "  IF cf_to IS NULL THEN\n{}    RETURN true;\n  END IF;\n{}  RETURN true;\n",
            each(referrer.key.on_delete, None),
            each(referrer.key.on_update, Some("cf_to")),
        );
        self.action_function(
            (referrer, Done::Carried),
            &format!("cf_to {}, cf_record boolean", self.row),
            &format!("  cf_is {of};\n  cf_be {of};\n", of = child.image_type()),
            &body,
        )
    }
}

/// A row that another transaction has changed meanwhile is looked at again, as PostgreSQL does: one that refers to
/// something else by now is left alone. Where its lens tells that by what it joins, it may tell nothing any more.
fn still_refers(referrer: &Referrer) -> String {
    let (child, written) = child_of(referrer);
    let changed: Vec<String> = referrer
        .key
        .columns
        .iter()
        .map(|&at| {
            let name = quote_ident(&child.columns[at].name);
            let differs = format!("cf_now.{name} IS DISTINCT FROM cf_is.{name}");
            match written.is_plain(at) {
                true => differs,
                false => format!("cf_now.{name} IS NOT NULL AND {differs}"),
            }
        })
        .collect();
    format!(
        "    cf_now := {};\n    CONTINUE WHEN NOT cf_now IS NULL AND ({});\n",
        child.call(Call::LockOne, "cf_is, false"),
        changed.join(" OR ")
    )
}
