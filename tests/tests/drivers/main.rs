//! Real drivers in front of the real program.

mod bouncer;
mod orms;
mod pgbench;
mod tokio_postgres;
mod transcripts;
