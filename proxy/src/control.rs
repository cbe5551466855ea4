//! Crossfade's own work in the application's database: its schema, who serves what, what is
//! drained, and the steps between phases.
//!
//! It asks lenses for their SQL and never composes a mapping itself; it never sees a client's
//! statement.

pub mod alone;
pub mod around;
pub mod attached;
pub mod bake;
pub mod connection;
pub mod coverage;
pub mod drain;
pub mod error;
pub mod events;
pub mod gates;
pub mod instances;
pub mod ledger;
pub(crate) mod neighbours;
pub mod phase_file;
mod rehearsal;
pub(crate) mod rights;
pub mod schema;
pub mod statements;
pub mod status;
pub mod step;

pub use alone::alone;
pub use connection::{Control, connect, flush_counters, snapshot};
pub use error::ControlError;

/// A table's name as people write it: quotes only where they are needed.
#[must_use]
pub fn shown(table: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.\"".contains(c);
    if table.chars().all(plain) {
        table.replace('"', "")
    } else {
        table.to_owned()
    }
}
