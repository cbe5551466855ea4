//! A write to a legacy name once unified leads.

use crate::lens::Lens;
use crate::rewrite::clauses::Write;
use crate::rewrite::returning::Carried;
use crate::rewrite::{ManagedRef, Scope};

pub(in crate::rewrite) struct Unified<'w, 'a> {
    pub(super) scope: Scope<'a>,
    pub(super) target: &'w ManagedRef<'a>,
    pub(super) write: &'w Write<'a>,
    pub(super) lens: &'w Lens,
    /// Whether legacy still follows by row image.
    pub(super) mirrors: bool,
    pub(super) carried: Carried,
}

impl<'w, 'a> Unified<'w, 'a> {
    pub fn of(scope: &Scope<'a>, target: &'w ManagedRef<'a>, write: &'w Write<'a>) -> Self {
        Unified {
            scope: *scope,
            target,
            write,
            lens: target.managed.lens,
            mirrors: target.mirrors(),
            carried: Carried::default(),
        }
    }
}
