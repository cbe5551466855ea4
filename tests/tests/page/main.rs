//! The page of the admin listener: who gets in, what is seen, what may be done from it.

mod browser;
mod entry;
mod steps;
