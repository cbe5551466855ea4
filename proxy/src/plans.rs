//! Whether a statement of the application is planned worse on the unified side than on the legacy one, before any read turns.
//!
//! It knows plans and costs, and nothing of what a statement answers. Nothing is run: a statement is planned as the role
//! that owns the legacy table, read-only, and only if all that it calls is PostgreSQL's own.

pub mod ask;
pub mod compare;
mod judge;
pub(crate) mod scans;

pub use judge::{COST_MIN, DEARER_TIMES, SCAN_PAGES_MIN};
