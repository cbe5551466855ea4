//! The command line: one module for each subcommand.

pub mod advance;
pub mod apply;
pub mod backfill;
pub mod canary;
pub mod check;
pub mod console_user;
pub mod coverage;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod infer;
pub mod instances;
pub mod prepare;
pub mod retire;
pub mod rollback;
pub mod rules;
pub mod serve;
pub mod statements;
pub mod status;
pub mod target;
pub mod verify;
