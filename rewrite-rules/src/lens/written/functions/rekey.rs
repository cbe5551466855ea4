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

use askama::Template;

use super::run::Stepped;
use super::{Call, Functions, templates, written};
use crate::lens::{Function, Work, quote_literal};

#[derive(Template)]
#[template(path = "steps/rekey_one.sql", escape = "none")]
struct RekeyOne<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    steps: Vec<Stepped<'a>>,
    /// What is said of a row under its old key, and of one that has gone.
    left: String,
    lost: String,
}

#[derive(Template)]
#[template(path = "steps/rekey.sql", escape = "none")]
struct RekeyBySteps<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    /// The condition for an image to have another key than before.
    moved: String,
    /// What is said where rows exchange their keys.
    exchanged: String,
    /// The statements that record a row under both of its keys.
    recording: String,
}

templates! { MoveLegacy "steps/move_legacy.sql" }

impl Functions<'_> {
    pub(super) fn rekey_one(&self) -> Function {
        let unlike = |what: &str| {
            quote_literal(&format!(
                "`rekey` of {} {what}; its steps must carry everything that `read` finds by the key",
                self.lens.legacy.name
            ))
        };
        let name = self.lens.call_name(Call::RekeyOne);
        let images = [("row_image", "cf_image"), ("old_image", "cf_old")];
        let template = RekeyOne {
            name: &name,
            f: self,
            steps: self.steps(&self.written.rekey, &images),
            left: unlike("leaves a row under its old key"),
            lost: unlike("loses a row"),
        };
        let ddl = template.to_string();
        written(name, ddl)
    }

    /// Whether `read` has a row of an image's key.
    fn is_there(&self, image: &str) -> String {
        let read = self.lens.read_of(self.written, image);
        format!("EXISTS (SELECT 1 FROM ({read}) AS cf_r)")
    }

    pub(super) fn rekey(&self) -> Function {
        let name = self.lens.function_name(Work::Rekey);
        let moved = self.moved("cf_old", "cf_image");
        let said = format!(
            "rows of {} exchange their keys in one statement, which crossfade cannot carry over to \
             the unified tables",
            self.lens.legacy.name
        );
        let template = RekeyBySteps {
            name: &name,
            f: self,
            exchanged: quote_literal(&said),
            recording: format!(
                "{};\n      IF {moved} THEN PERFORM {}; END IF",
                self.lens.recording(),
                self.lens.record_of("cf_old", "SQLERRM", "SQLSTATE"),
            ),
            moved,
        };
        let ddl = template.to_string();
        written(name, ddl)
    }

    pub(super) fn move_legacy(&self) -> Function {
        MoveLegacy::function(self, self.lens.call_name(Call::MoveLegacy))
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
