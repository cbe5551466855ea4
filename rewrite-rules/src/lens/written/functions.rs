//! The functions of a written lens.
//!
//! ```text
//! put_one(image)        the steps of `put`, each a statement; a step's RETURNING is kept in a
//!                       record, out of which later steps read it as a relation
//! put, remove(images, record)      what a write to the legacy table is followed by
//! rekey_one(old, image), rekey(olds, images, record)  the same for keys that change (`rekey`)
//! insert, change, delete(images …) a write to the legacy name once unified leads (`client`)
//! lock_one(image), lock(images …)  rows as they are under their locks; what FOR UPDATE returns (`client`)
//! enter(image, arbiter …)          the row that an image is in conflict with, or its insert (`upsert`)
//! merge(actions, olds, images …)   a MERGE
//! keep_last(value)                 `lastval()` made what it was (`last`)
//! may_write(command, rights, set)  whether the client may do that at all (`may`)
//! key_N(), refers(…), said(…), left_N(…), gone_N(…), came_N(…)  foreign keys (`references`)
//! accept(image)                    errors of the legacy table's NOT NULL and CHECKs (`image`)
//! follow(image …), drop(images …)  one legacy row made an image; legacy rows removed (`legacy`)
//! sync(keys, columns, makes, gone) legacy rows made what `read` says (`legacy`)
//! move_legacy(olds, images)        legacy rows under other keys (`rekey`)
//! ```

mod client;
mod image;
mod last;
mod legacy;
mod may;
mod merge;
mod references;
mod rekey;
mod unique;
mod upsert;

use crate::lens::functions::savepoint_probe_or;
use crate::lens::recorded;
use crate::lens::{Callers, Function, Lens, Work, quote_ident, quote_literal};
use crate::lens::{Step, Written};

/// The functions that take the place of composed SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    PutOne,
    RemoveOne,
    RekeyOne,
    InsertOne,
    Insert,
    Enter,
    Merge,
    Change,
    Delete,
    Lock,
    LockOne,
    Accept,
    Follow,
    Drop,
    KeepLast,
    MayWrite,
    MoveLegacy,
    Sync,
}

impl Call {
    pub(super) fn word(self) -> &'static str {
        match self {
            Call::PutOne => "put_one",
            Call::RemoveOne => "remove_one",
            Call::RekeyOne => "rekey_one",
            Call::InsertOne => "insert_one",
            Call::Insert => "insert",
            Call::Enter => "enter",
            Call::Merge => "merge",
            Call::Change => "change",
            Call::Delete => "delete",
            Call::Lock => "lock",
            Call::LockOne => "lock_one",
            Call::Accept => "accept",
            Call::Follow => "follow",
            Call::Drop => "drop",
            Call::KeepLast => "keep_last",
            Call::MayWrite => "may_write",
            Call::MoveLegacy => "move_legacy",
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
        let [truncate, empty] = f.truncates();
        // First, since they make tables whose rows others take.
        let mut all = f.reference_functions();
        all.extend([
            f.one(Call::PutOne, &written.put, ""),
            f.one(Call::RemoveOne, &written.remove, &f.probe("cf_image")),
            f.each(Work::Put, Call::PutOne),
            f.each(Work::Remove, Call::RemoveOne),
            truncate,
            empty,
            f.accept(),
            f.follow(),
            f.drop_legacy(),
            f.move_legacy(),
            f.sync(),
            f.insert_one(),
            f.insert(),
            f.change(),
            f.delete(),
            f.lock_one(),
            f.lock(),
            f.enter(),
            f.merge(),
            f.keep_last(),
            f.may_write(),
        ]);
        if written.can_rekey() {
            all.extend([f.rekey_one(), f.rekey()]);
        }
        all
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
        let ddl = format!(
            "{}CREATE OR REPLACE FUNCTION {name}{head}\nLANGUAGE plpgsql VOLATILE AS $crossfade$\n\
             #variable_conflict use_column\nDECLARE\n{declare}BEGIN\n{body}END\n$crossfade$",
            self.image_ddl(),
        );
        Function {
            name,
            ddl,
            callers: Callers::Writers,
        }
    }

    /// The steps for one image.
    fn one(&self, call: Call, steps: &[Step], before: &str) -> Function {
        let (declare, body) = self.steps(steps, vec![image_relation("row_image", "cf_image")]);
        let (declare, body) = self.keeping_last(&declare, &body);
        self.function(
            self.lens.named(call.word()),
            &format!("(cf_image {}) RETURNS boolean", self.row),
            &declare,
            &format!("{before}{body}  RETURN true;\n"),
        )
    }

    /// Variables and statements of steps that see some relations, and those that they make.
    fn steps(&self, steps: &[Step], mut relations: Vec<String>) -> (String, String) {
        let (mut declare, mut body) = (String::new(), String::new());
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
        (declare, body)
    }

    /// See [`savepoint_probe_or`]: the put asks the unique indexes, and what it puts is removed.
    fn probe(&self, image: &str) -> String {
        self.probe_or(image, "")
    }

    /// The same, with what is done where it could not look.
    fn probe_or(&self, image: &str, unsure: &str) -> String {
        let put = format!("PERFORM {}", self.lens.call(Call::PutOne, image));
        format!("  {};\n", savepoint_probe_or(&put, unsure))
    }

    /// The images one by one in the order of their keys, so that two of these calls that need the
    /// same unified rows ask for them in the same order.
    fn each(&self, work: Work, one: Call) -> Function {
        let perform = match work {
            Work::Put => self.put_or_wait(),
            _removes => {
                let remove = format!("PERFORM {}", self.lens.call(one, "cf_image"));
                self.following_actions(&remove, None)
            }
        };
        let after = match work {
            Work::Remove => format!(
                ";\n      {}",
                self.lens.leave_tombstones("unnest(ARRAY[cf_image])")
            ),
            Work::Put
            | Work::Rekey
            | Work::PutLegacy
            | Work::RekeyLegacy
            | Work::RemoveLegacy
            | Work::HideLegacy
            | Work::Truncate
            | Work::Empty => String::new(),
        };
        let one = format!("{perform}{after}");
        let record = format!("PERFORM {}", self.lens.record("SQLERRM", "SQLSTATE"));
        let body = format!(
            "  IF cf_images IS NULL THEN RETURN true; END IF;\n{begin}\
             \x20 FOR cf_image IN SELECT * FROM unnest(cf_images) AS cf_i ORDER BY {order} LOOP\n\
             \x20   IF NOT cf_record THEN\n      {one};\n      CONTINUE;\n    END IF;\n\
             {recorded}  END LOOP;\n  RETURN true;\n",
            begin = recorded::BEGIN,
            order = self.key_order("cf_i"),
            recorded = self.lens.recorded(&one, &record),
        );
        self.function(
            self.lens.function_name(work),
            &format!(
                "(cf_images {}[], cf_record boolean) RETURNS boolean",
                self.row
            ),
            &format!(
                "  cf_image {};\n{}{}",
                self.row,
                recorded::DECLARE,
                self.declare_left()
            ),
            &body,
        )
    }

    /// The two behind a TRUNCATE.
    fn truncates(&self) -> [Function; 2] {
        let remove = format!(
            "PERFORM {}({}, false)",
            self.lens.function_name(Work::Remove),
            self.lens.images_in(&format!("({})", self.lens.read()))
        );
        [
            (Work::Truncate, self.lens.truncate_function(&remove)),
            (Work::Empty, self.lens.empty_function(&remove)),
        ]
        .map(|(work, ddl)| Function {
            name: self.lens.function_name(work),
            ddl,
            callers: Callers::Writers,
        })
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
}

/// A relation of the one image in a variable.
fn image_relation(name: &str, variable: &str) -> String {
    format!("{name} AS (SELECT ({variable}).*)")
}
