//! What legacy takes of a unified write by a lens of columns.
//!
//! ```text
//! UPDATE users SET email = $1 WHERE id = $2
//!
//! cf_img AS (SELECT … FROM cf_new AS cf_u WHERE visible),
//! cf_upd AS (UPDATE iso_agents AS cf_t SET "email" = cf_n."email" FROM cf_img AS cf_n …)
//! ```
//!
//! | | what the statement set | whole rows |
//! |---|---|---|
//! | comes | INSERT | `put_legacy` |
//! | changes | UPDATE of those columns | `put_legacy` |
//! | comes into sight | as `cf_was` tells, INSERT | `put_legacy` |
//! | goes out of sight | `hide_legacy` | `hide_legacy` |
//! | goes | `hide_legacy`: while legacy leads, its row is not the new application's to delete | `remove_legacy` |

use super::brought::{Brought, Follows, TiesOfKind};
use crate::legend::query;
use crate::lens::Lens;
use crate::refuse;
use crate::rewrite::compose::{Composed, Composer, one_then};
use crate::rewrite::says::merge::Did;
use crate::rewrite::says::own::Own;
use crate::rewrite::says::upsert;
use crate::rewrite::says::write::Write;
use crate::rewrite::{ManagedRef, Scope};
use crate::statement::Refusal;
use crate::text::splice::Source;

pub(super) struct TiesByColumns<'w, 'a> {
    target: &'w ManagedRef<'a>,
    lens: &'w Lens,
}

impl<'w> TiesOfKind<'w> for TiesByColumns<'w, '_> {
    fn check(&self, scope: &Scope<'_>, write: &Write<'_>) -> Result<(), Refusal> {
        let table = self.target.table_name();
        match write.sets_key(self.target) {
            true if write.is_merge() => Err(refuse::merge_of_key(&table)),
            true if !write.acts.inserts => Err(refuse::unsupported(
                "an UPDATE of the key under its new name",
                &table,
                "Keep keys as they are until the migration ends.",
            )),
            true | false => upsert::keeps_keys(scope, self.target),
        }
    }

    fn fed(&self, sets: &[&str]) -> Vec<&'w str> {
        let columns = self.lens.columns.iter();
        columns
            .filter(|column| !self.lens.is_key(column))
            .filter(|column| column.set_by_trigger || sets.contains(&column.unified.as_str()))
            .map(|column| column.name.as_str())
            .collect()
    }

    /// Makes a row visible or hides it from legacy readers.
    fn decides(&self, sets: &[&str]) -> bool {
        sets.iter().any(|name| {
            let mut visible = self.lens.visible().into_iter();
            visible.any(|visible| visible.reads.iter().any(|read| read == name))
                || self
                    .lens
                    .column_by_unified(name)
                    .is_some_and(|column| !column.values.is_empty())
        })
    }

    fn leaves_alone(&self) -> bool {
        false
    }
}

impl<'w, 'a> TiesByColumns<'w, 'a> {
    pub fn of(target: &'w ManagedRef<'a>) -> Self {
        TiesByColumns {
            target,
            lens: target.managed.lens,
        }
    }

    pub fn bring(
        &self,
        brought: &Brought<'_, '_>,
        mut own: Own<'_, '_>,
        source: &Source<'_>,
        mut composer: Composer,
    ) -> Composed {
        let acts = brought.acts;
        let set = brought.follows == Follows::Set;
        let upserts = acts.inserts && !acts.updates.is_empty() && own.is_plain();
        if upserts && set && !brought.decides {
            own = own.telling_which_were_there();
        }
        // Of the row that a cursor is at nothing tells what it was, and of an INSERT's neither.
        let finds = !own.write.is_current_of() && (!acts.inserts || own.write.is_merge());
        let was = finds && set && brought.decides;
        let behind = finds.then(|| self.locked(&mut composer, source, &own, was));
        own.write(&mut composer, source, behind.as_deref());
        let way = Way { brought, own: &own };
        if own.is_plain() {
            let new = composer.name(query::NEW);
            composer.query(query::IMG, self.lens.read_from(&new));
        }
        match brought.follows {
            Follows::Whole => way.whole(&mut composer),
            Follows::Set => way.set(&mut composer, was),
        }
        own.finish(composer, source)
    }

    /// Locks the legacy rows of what may be written, before any unified row; behind them, as `cf_was`, what these are to
    /// legacy readers, if that is needed. Gives the name of the last.
    fn locked(
        &self,
        composer: &mut Composer,
        source: &Source<'_>,
        own: &Own<'_, '_>,
        was: bool,
    ) -> String {
        let alias = &own.write.alias;
        let keys = own.found(source, &self.lens.legacy_key_of(alias), None, false);
        composer.once(query::LOCK, self.lens.lock_legacy(keys, "UPDATE"));
        let lock = composer.name(query::LOCK);
        if !was {
            return lock;
        }
        let shown = self.lens.was_shown(alias);
        composer.once(query::WAS, own.found(source, &shown, Some(&lock), true));
        composer.name(query::WAS)
    }
}

/// A write that is being brought back.
struct Way<'b, 'w, 'a> {
    brought: &'b Brought<'w, 'a>,
    own: &'b Own<'w, 'a>,
}

impl Way<'_, '_, '_> {
    /// The images of the rows to which this was done.
    fn images(&self, composer: &Composer, did: Did) -> String {
        if self.own.is_plain() {
            return composer.name(query::IMG);
        }
        let rows = self.own.rows(composer, did);
        format!("({})", self.brought.lens.read_from(&rows))
    }

    /// A call that removes the legacy rows of what has gone out of sight.
    fn hide(&self, composer: &Composer) -> String {
        let lens = self.brought.lens;
        let hidden = lens.hidden_from(&self.own.rows(composer, Did::Put));
        lens.hide_legacy_call(&format!("({hidden})"))
    }

    fn whole(&self, composer: &mut Composer) {
        let Brought { lens, acts, .. } = self.brought;
        let mut calls = Vec::new();
        if acts.deletes {
            calls.push(lens.remove_legacy_call(&self.images(composer, Did::Deleted)));
        }
        if self.brought.decides {
            calls.push(self.hide(composer));
        }
        if acts.inserts || !acts.updates.is_empty() {
            let put = lens.put_legacy_call(&self.images(composer, Did::Put));
            // In this order: a row that goes may hold a unique value of one that stays.
            let first = calls.join(" AND ");
            calls = vec![if first.is_empty() {
                put
            } else {
                one_then(&first, &put)
            }];
        }
        for call in calls {
            composer.call(call);
        }
    }

    /// Of rows that are there the columns that were set. One that comes into being is one that nobody saw before
    /// (`was`: what they were is known): another that legacy has no more was deleted there, and stays so.
    fn set(&self, composer: &mut Composer, was: bool) {
        let Brought {
            lens,
            acts,
            columns,
            decides,
            ..
        } = self.brought;
        if acts.inserts {
            let images = self.images(composer, Did::Inserted);
            let upserts = !acts.updates.is_empty() && !self.own.write.is_merge();
            let put = match upserts {
                true => lens.put_legacy_from(&images, Some(columns)),
                false => lens.insert_legacy_from(&images),
            };
            composer.query(query::PUT, put);
        }
        // An upsert that does not tell which rows were there has put them all.
        let put = acts.inserts && self.own.is_plain();
        if *decides && self.own.write.is_current_of() {
            let images = self.images(composer, Did::Updated);
            composer.query(query::PUT, lens.put_legacy_from(&images, Some(columns)));
        } else if !columns.is_empty() && !put {
            let images = self.images(composer, Did::Updated);
            composer.query(query::UPD, lens.update_legacy_from(&images, columns));
        }
        if was {
            let updated = self.own.rows(composer, Did::Updated);
            let shown = lens.shown_among(&updated, &composer.name(query::WAS));
            let shown = format!("({})", lens.read_from(&shown));
            composer.query(query::SHOWN, lens.put_legacy_from(&shown, Some(&[])));
        }
        self.gone(composer);
    }

    /// The legacy rows of what went, and of what went out of sight.
    fn gone(&self, composer: &mut Composer) {
        if self.brought.decides {
            let hide = self.hide(composer);
            composer.call(hide);
        }
        if self.brought.acts.deletes {
            let images = self.images(composer, Did::Deleted);
            let hide = self.brought.lens.hide_legacy_call(&images);
            composer.call(hide);
        }
    }
}
