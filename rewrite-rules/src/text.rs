//! A text of the client's: its words, its tree, where the parts of either stand in it, and the text that is made
//! of it. What they mean is no question here.

pub(crate) mod clauses;
pub(crate) mod keywords;
pub(crate) mod lexer;
pub(crate) mod splice;
pub(crate) mod tokens;
pub(crate) mod tree;
