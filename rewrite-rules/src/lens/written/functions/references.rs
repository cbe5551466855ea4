//! The foreign keys between two legacy tables, once unified leads and no index of their own watches over them.
//!
//! ```text
//! keys                        a row for each reference that is still to be looked at in its transaction; the
//!                             trigger that does so is as deferred as the foreign key, and takes the row away
//! key_N()                     that trigger's function: whether the row that refers has one to refer to
//! refers(olds, images …)      the rows of images, which the statement has written
//! forgets(images)             those that have gone
//! said(image)                 what a row refers to, as long as there is nothing to refer to
//! left_N(image, mirror)       of a table that is referred to: who refers to a row that is to go
//! gone_N(images …)            these, to be looked at when it has gone
//! came_N(image)               who waits for a row that has come
//! settle_N, carry_N(images …) what an action does to those that referred to rows which have gone or moved, once
//!                             unified leads and before (`references/referring`)
//! ```
//!
//! It is how PostgreSQL's own foreign keys go. What is referred to is locked FOR KEY SHARE when it is looked at,
//! by every look-up the newest rows are found, and whoever removes it looks for those that refer to it when it
//! has its lock: so of two that meet one waits, and finds what the other did. At REPEATABLE READ the latter cannot
//! find them; while legacy follows, its own foreign key does, and after that it is refused.
//!
//! A row may come before what it refers to. Some lenses cannot put it before that (a membership of nobody): it
//! waits in `keys`, and is put when the other comes.

mod held;
mod referring;

use askama::Template;

use super::{Call, Functions, templates, written};
use crate::lens::{Callers, Function, Work};
use held::Held;
use referring::Referring;

templates! {
    Refers "steps/references/refers.sql"
    Forgets "steps/references/forgets.sql"
    Said "steps/references/said.sql"
}

/// The table of what is to be looked at.
#[derive(Template)]
#[template(path = "steps/references/keys.sql", escape = "none")]
struct Keys<'a> {
    f: &'a Functions<'a>,
}

/// The trigger of a foreign key, and its function.
#[derive(Template)]
#[template(path = "steps/references/key.sql", escape = "none")]
struct KeyTrigger<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    key: &'a Held<'a>,
    trigger: String,
}

/// Templates of functions of a table that is referred to, one for each foreign key that refers to it.
macro_rules! of_referrers {
    ($($template:ident $word:tt $path:tt)*) => {$(
        #[derive(Template)]
        #[template(path = $path, escape = "none")]
        struct $template<'a> {
            name: &'a str,
            f: &'a Functions<'a>,
            key: &'a Referring<'a>,
        }

        impl $template<'_> {
            fn function(f: &Functions<'_>, key: &Referring<'_>) -> Function {
                let name = key.named($word);
                let ddl = $template { name: &name, f, key }.to_string();
                written(name, ddl)
            }
        }
    )*};
}

of_referrers! {
    Left "left" "steps/references/left.sql"
    Came "came" "steps/references/came.sql"
    Gone "gone" "steps/references/gone.sql"
    Hidden "hidden" "steps/references/hidden.sql"
    Settle "settle" "steps/references/settle.sql"
    Carry "carry" "steps/references/carry.sql"
}

impl Functions<'_> {
    pub(super) fn reference_functions(&self) -> Vec<Function> {
        let mut all: Vec<Function> = self.held().iter().map(|key| self.looks(key)).collect();
        if self.holds_keys() {
            all.push(Refers::function(self, self.lens.named("refers")));
            all.push(Forgets::function(self, self.lens.named("forgets")));
            all.push(Said::function(self, self.lens.named("said")));
        }
        for key in &self.referring() {
            all.push(Left::function(self, key));
            all.push(Came::function(self, key));
            all.push(Gone::function(self, key));
            if key.acts(false) || key.acts(true) {
                all.push(Hidden::function(self, key));
                all.push(Settle::function(self, key));
            }
            if key.carries(false) || key.carries(true) {
                all.push(Carry::function(self, key));
            }
        }
        all
    }

    /// The table of what is to be looked at.
    fn keys(&self) -> String {
        self.lens.named("keys")
    }

    fn keys_ddl(&self) -> String {
        Keys { f: self }.to_string() + "\n"
    }

    fn looks(&self, key: &Held<'_>) -> Function {
        let name = self.lens.reference_name(key.number);
        let template = KeyTrigger {
            name: &name,
            f: self,
            key,
            trigger: self.lens.bare_name(&format!("key_{}", key.number)),
        };
        Function {
            ddl: template.to_string(),
            name,
            callers: Callers::Nobody,
        }
    }
}
