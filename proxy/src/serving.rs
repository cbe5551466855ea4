//! What runs beside the sessions: the rules are followed, the database is told what is served, statements
//! are counted and reads compared.

pub mod admin;
pub mod admission;
pub mod attached;
pub mod follow;
mod names;
pub mod operate;
pub mod shadow;
mod statements;
