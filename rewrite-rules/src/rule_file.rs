//! The shape of a rule file as written.
