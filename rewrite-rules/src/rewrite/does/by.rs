//! What the ways to do a write have in common: what the statement says.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::rewrite::says::Says;

/// A client's write, and one of the ways to do it, which adds what that way composes of what the write says.
pub(super) struct By<'s, 'w, 'a, Way> {
    says: &'s Says<'w, 'a>,
    way: PhantomData<Way>,
}

impl<'s, 'w, 'a, Way> By<'s, 'w, 'a, Way> {
    pub fn of(says: &'s Says<'w, 'a>) -> By<'s, 'w, 'a, Way> {
        By {
            says,
            way: PhantomData,
        }
    }
}

impl<'w, 'a, Way> Deref for By<'_, 'w, 'a, Way> {
    type Target = Says<'w, 'a>;

    fn deref(&self) -> &Says<'w, 'a> {
        self.says
    }
}
