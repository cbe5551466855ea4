//! What runs beside the sessions: the rules are followed, the database is told what is served, statements
//! are counted and reads compared, and operators look and act.

pub mod admin;
pub mod admission;
pub mod attached;
mod canary;
pub mod console;
pub mod follow;
pub mod hook;
mod names;
pub mod operate;
mod operators;
pub mod primary;
pub mod shadow;
mod statements;
