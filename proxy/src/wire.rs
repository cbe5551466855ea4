//! PostgreSQL's wire protocol as bytes: frames, the messages that must be understood, startup.
//!
//! These files know bytes. They never see a socket, a clock, a rule file or the meaning of SQL.

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod startup;
