//! The Crossfade proxy.

// First: the macros of this one are meant by those below.
#[macro_use]
pub mod output;

pub mod backfill;
pub mod cancel;
pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod counters;
pub(crate) mod door;
pub mod fault;
pub mod generation;
pub mod held;
pub mod infer;
pub mod latency;
pub mod pace;
pub mod plans;
pub mod relay;
pub mod repair;
pub mod retire;
pub mod rules_dir;
pub mod served;
pub mod server;
pub mod serving;
pub mod session;
pub mod sessions;
pub mod shared;
pub mod sources;
pub mod steps;
pub mod stream;
pub mod supervisor;
pub mod tls;
pub mod upstream;
pub mod verify;
pub mod wire;
