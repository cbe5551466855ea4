//! The console on the clients' port: psql, drivers, exporters, and those who mean harm.

mod hostile;
mod operators;
mod pools;
