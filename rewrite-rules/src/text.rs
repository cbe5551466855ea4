//! A text of the client's: where its parts stand in it. What they mean is no question here.

pub(crate) mod clauses;
pub(crate) mod keywords;
pub(crate) mod lexer;
