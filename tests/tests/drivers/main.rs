//! Real drivers in front of the real program.

mod bouncer;
mod catalog;
mod orms;
mod pgbench;
mod tokio_postgres;
mod transcripts;
