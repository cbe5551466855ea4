//! Real drivers in front of the real program.

mod orms;
mod pgbench;
mod tokio_postgres;
mod transcripts;
