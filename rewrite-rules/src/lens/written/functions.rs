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
mod put;
mod references;
mod rekey;
mod run;
mod unique;
mod upsert;

use crate::lens::{Callers, Function, Lens, Work, Written, quote_literal};

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
        let f = Functions::of(self, written);
        let [truncate, empty] = f.truncates();
        // First, since they make tables whose rows others take.
        let mut all = f.reference_functions();
        all.extend([
            f.put_one(),
            f.remove_one(),
            f.put(),
            f.remove(),
            truncate,
            empty,
            f.accept(),
            f.follow(),
            f.drop_legacy(),
            f.move_legacy(),
            f.sync(),
        ]);
        all.extend(f.client_functions());
        all.extend([f.enter(), f.merge(), f.keep_last(), f.may_write()]);
        if f.moves_keys() {
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

/// Templates of functions that need nothing but their names and the lens.
macro_rules! templates {
    ($($template:ident $path:tt)*) => {$(
        #[derive(askama::Template)]
        #[template(path = $path, escape = "none")]
        struct $template<'a> {
            name: &'a str,
            f: &'a Functions<'a>,
        }

        impl $template<'_> {
            fn function(f: &Functions<'_>, name: String) -> Function {
                let ddl = $template { name: &name, f }.to_string();
                written(name, ddl)
            }
        }
    )*};
}
use templates;

impl<'a> Functions<'a> {
    fn of(lens: &'a Lens, written: &'a Written) -> Functions<'a> {
        Functions {
            lens,
            written,
            row: lens.image_type(),
        }
    }

    /// The two behind a TRUNCATE.
    fn truncates(&self) -> [Function; 2] {
        let mut remove = format!(
            "PERFORM {}({}, false)",
            self.lens.function_name(Work::Remove),
            self.lens.images_in(&format!("({})", self.lens.read()))
        );
        if self.holds_keys() {
            // What waits is shown by nobody.
            remove += &format!("; PERFORM {}(NULL)", self.lens.named("forgets"));
        }
        [self.lens.truncate(&remove), self.lens.empty(&remove)]
    }

    /// Whether two rows in scope under names have the same key.
    fn same_key(&self, a: &str, b: &str) -> String {
        self.lens.same_key(a, b)
    }

    /// `read` of the one row that has the key of an image.
    fn read_of(&self, image: &str) -> String {
        self.lens.read_of(self.written, image)
    }

    fn moves_keys(&self) -> bool {
        self.written.can_rekey()
    }

    /// The key of an image, as a row.
    fn key_row(&self, image: &str) -> String {
        format!("ROW({})", self.key_order(&format!("({image})")))
    }

    /// The legacy table's name and schema as literals.
    fn table(&self) -> String {
        quote_literal(&self.lens.legacy.name)
    }

    fn schema(&self) -> String {
        quote_literal(&self.lens.legacy.schema)
    }

    fn key_order(&self, row: &str) -> String {
        self.lens.keys_of(row).join(", ")
    }
}

/// A function that whoever writes may call.
fn written(name: String, ddl: String) -> Function {
    Function {
        name,
        ddl,
        callers: Callers::Writers,
    }
}
