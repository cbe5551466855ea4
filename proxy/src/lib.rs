//! The Crossfade proxy.

pub mod backfill;
pub mod cancel;
pub mod check;
pub mod cli;
pub mod config;
pub mod control;
pub mod counters;
pub mod demo;
pub mod fault;
pub mod generation;
pub mod held;
pub mod infer;
pub mod latency;
pub mod relay;
pub mod retire;
pub mod rules_dir;
pub mod server;
pub mod session;
pub mod shadow;
pub mod stream;
pub mod supervisor;
pub mod testbed;
pub mod tls;
pub mod upstream;
pub mod verify;
pub mod wire;
