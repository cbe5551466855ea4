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

use askama::Template;

use super::{Call, Functions, templates, written};
use crate::lens::{Function, Lossy, WhenHidden, list, lossy, quote_ident, quote_literal};

#[derive(Template)]
#[template(path = "steps/follow.sql", escape = "none")]
struct Follow<'a> {
    name: &'a str,
    f: &'a Functions<'a>,
    /// The statement that finds out of which rows columns are lossy.
    judge: Option<String>,
    lossy: Vec<LossyFlag>,
}

/// Whether the row of an image is one of those of which columns (a list of literals) are lossy.
struct LossyFlag {
    flag: String,
    columns: String,
}

templates! {
    Drop "steps/drop.sql"
    Sync "steps/sync.sql"
}

impl Functions<'_> {
    pub(super) fn sync(&self) -> Function {
        Sync::function(self, self.lens.call_name(Call::Sync))
    }

    pub(super) fn drop_legacy(&self) -> Function {
        Drop::function(self, self.lens.call_name(Call::Drop))
    }

    pub(super) fn follow(&self) -> Function {
        let name = self.lens.call_name(Call::Follow);
        let lossy = 0..self.written.query.lossy.len();
        let template = Follow {
            name: &name,
            f: self,
            judge: self.lens.judged_of(self.written, "cf_image"),
            lossy: lossy.map(|number| self.lossy_rows(number)).collect(),
        };
        let ddl = template.to_string();
        written(name, ddl)
    }

    fn lossy_rows(&self, number: usize) -> LossyFlag {
        let columns = self.lens.columns.iter();
        let columns = columns.filter(|column| column.lossy == Lossy::When(number));
        let columns: Vec<String> = columns.map(|column| quote_literal(&column.name)).collect();
        LossyFlag {
            flag: lossy::flag(number),
            columns: columns.join(", "),
        }
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
        let values = list(names.iter().map(|name| format!("({image}).{name}")));
        let sets = self.assigned(|name| format!("excluded.{name}"));
        format!(
            "INSERT INTO {} AS cf_t ({}) OVERRIDING SYSTEM VALUE VALUES ({}) ON CONFLICT ({}) DO {}",
            self.lens.legacy,
            names.join(", "),
            values,
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

    fn legacy_key_of(&self, image: &str) -> String {
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
}
