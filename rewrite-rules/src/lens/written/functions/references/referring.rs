//! A foreign key that lenses see to, as the table that is referred to has it, and what its actions do.
//!
//! ```text
//! settle_N(images, hidden, gone, to, mirror)  once unified leads: of rows that have gone, or moved (`to`)
//! carry_N(images, to, record)                 while legacy leads: what its own foreign key does by itself
//! hidden_N(images)                            which of them their lens does not show any more
//! ```
//!
//! PostgreSQL acts with the rights of the owner of the table that refers; these do with the caller's. With those of
//! whoever prepared the lens, triggers of an application's making would run under a role that may be a superuser.

use std::ops::Deref;

use super::held::{Held, StillReferred};
use crate::lens::written::functions::Functions;
use crate::lens::{Action, all_of, quote_ident, quote_literal};

pub(in super::super) struct Referring<'a> {
    /// Among those that refer to the table.
    pub number: usize,
    /// Among those of the table that refers.
    pub of_child: usize,
    pub child: Functions<'a>,
    held: Held<'a>,
}

impl<'a> Deref for Referring<'a> {
    type Target = Held<'a>;

    fn deref(&self) -> &Held<'a> {
        &self.held
    }
}

impl<'a> Functions<'a> {
    /// What refers to this table.
    pub(in super::super) fn referring(&self) -> Vec<Referring<'a>> {
        let referrers = (1..).zip(&self.written.referrers);
        let referring = referrers.filter_map(|(number, referrer)| {
            let child = &*referrer.child;
            Some(Referring {
                number,
                of_child: referrer.number,
                child: Functions::of(child, child.steps()?),
                held: Held {
                    number: referrer.number,
                    key: &referrer.key,
                    child,
                    parent: self.lens,
                },
            })
        });
        referring.collect()
    }

    /// The same in the order in which actions are taken: what goes goes last, so that nothing else brings it back.
    pub(in super::super) fn acting(&self, moved: bool) -> Vec<Referring<'a>> {
        let all = self.referring().into_iter();
        let (goes, mut acting): (Vec<_>, Vec<_>) = all.partition(|key| key.goes(moved));
        acting.extend(goes);
        acting
    }

    /// Those to which an action of legacy's own foreign keys is to be carried over.
    pub(in super::super) fn carried(&self, moved: bool) -> Vec<Referring<'a>> {
        let acting = self.acting(moved).into_iter();
        acting.filter(|key| key.carries(moved)).collect()
    }

    /// Those of the table itself.
    pub(in super::super) fn own_among(&self, moved: bool) -> Vec<Referring<'a>> {
        let acting = self.acting(moved).into_iter();
        acting.filter(|key| key.is_own()).collect()
    }

    /// Those of them by which a row that moves has others follow.
    pub(in super::super) fn acting_on_own(&self) -> Vec<Referring<'a>> {
        let own = self.own_among(true).into_iter();
        own.filter(|key| key.acts(true)).collect()
    }

    pub(in super::super) fn acts_on_own(&self) -> bool {
        !self.acting_on_own().is_empty()
    }
}

impl Referring<'_> {
    /// One of the functions for it.
    pub fn named(&self, word: &str) -> String {
        self.parent.named(&format!("{word}_{}", self.number))
    }

    pub fn is_own(&self) -> bool {
        self.held.child.legacy == self.parent.legacy
    }

    /// What becomes of those that refer to a row which goes, or moves.
    fn action(&self, moved: bool) -> Action {
        match moved {
            true => self.key.on_update,
            false => self.key.on_delete,
        }
    }

    pub fn acts(&self, moved: bool) -> bool {
        match self.action(moved) {
            Action::Nothing | Action::Restrict => false,
            Action::Cascade | Action::SetNull | Action::SetDefault => true,
        }
    }

    /// Rows of the table itself may move as well: they are looked for when all have.
    pub fn carries(&self, moved: bool) -> bool {
        self.acts(moved) && !(moved && self.is_own())
    }

    /// Whether they go as well.
    pub fn goes(&self, moved: bool) -> bool {
        self.action(moved) == Action::Cascade && !moved
    }

    /// Whether they follow to another key.
    pub fn follows(&self, moved: bool) -> bool {
        self.action(moved) == Action::Cascade && moved
    }

    /// What the columns of a reference become, of a row that moves `to` a key; none where the row goes.
    pub fn followed(&self, moved: bool, to: Option<&str>) -> Vec<(String, String)> {
        let columns = self.columns().into_iter();
        let names = self.names().into_iter();
        match (self.action(moved), to) {
            (Action::Nothing | Action::Restrict, _) | (Action::Cascade, None) => Vec::new(),
            (Action::SetNull, _) => names.map(|name| (name, "NULL".to_owned())).collect(),
            (Action::SetDefault, _) => columns
                .map(|column| {
                    let value = column.default.as_deref().unwrap_or("NULL");
                    (quote_ident(&column.name), value.to_owned())
                })
                .collect(),
            (Action::Cascade, Some(to)) => {
                let pairs = self.pairs();
                pairs
                    .map(|(name, own)| (name, format!("({to}).{own}")))
                    .collect()
            }
        }
    }

    /// Whether a row (`of` stands before its columns) refers to that of an image.
    pub fn refers(&self, of: &str, image: &str) -> String {
        let pairs = self.pairs();
        all_of(pairs.map(|(name, own)| format!("{of}{name} = ({image}).{own}")))
    }

    /// Whether a row refers to something else by now than it did. Where its lens tells that by what it joins, it may
    /// tell nothing any more.
    pub fn refers_no_more(&self, now: &str, was: &str) -> String {
        let places = self.key.columns.iter().zip(self.names());
        let changed: Vec<String> = places
            .map(|(&at, name)| {
                let differs = format!("{now}.{name} IS DISTINCT FROM {was}.{name}");
                match self.child.written.is_plain(at) {
                    true => differs,
                    false => format!("{now}.{name} IS NOT NULL AND {differs}"),
                }
            })
            .collect();
        changed.join(" OR ")
    }

    /// `read` of the rows that refer to that of an image.
    pub fn read_of_those(&self, image: &str) -> String {
        let child = self.held.child;
        let own = self.parent.legacy_key();
        let places = self.key.places(self.parent).unwrap_or_default();
        let columns = self.key.columns.iter().zip(places);
        let conditions: Vec<String> = columns
            .map(|(&column, at)| {
                format!(
                    "({})::{} = ({image}).{}",
                    self.child.written.query.columns[column],
                    child.columns[column].sql_type,
                    own[at]
                )
            })
            .collect();
        child.read_written(self.child.written, &conditions)
    }

    /// How the legacy rows that refer to one are locked by legacy's own foreign key.
    pub fn strength(&self) -> &'static str {
        match (self.key.on_delete, self.key.on_update) {
            (Action::Cascade, _) => "UPDATE",
            (Action::SetNull | Action::SetDefault, _)
            | (_, Action::Cascade | Action::SetNull | Action::SetDefault) => "NO KEY UPDATE",
            (Action::Nothing | Action::Restrict, Action::Nothing | Action::Restrict) => "KEY SHARE",
        }
    }

    /// The name of the table that refers, as a literal.
    pub fn child_table(&self) -> String {
        quote_literal(&self.held.child.legacy.sql())
    }

    /// What is said where nothing can tell whether it holds.
    pub fn untold(&self) -> String {
        quote_literal(&format!(
            "at REPEATABLE READ nothing can tell whether foreign key \"{}\" of {} holds",
            self.key.name, self.held.child.legacy.name
        ))
    }

    /// What RESTRICT raises.
    pub fn restricted(&self, moved: bool, image: &str) -> Option<StillReferred> {
        let action = self.action(moved);
        (action == Action::Restrict).then(|| self.still_referred_by(action, image))
    }
}
