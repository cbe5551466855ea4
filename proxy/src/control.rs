//! Crossfade's own work in the application's database: its schema, who serves what, what is
//! drained, and the steps between phases.
//!
//! It asks lenses for their SQL and never composes a mapping itself; it never sees a client's
//! statement.

pub mod attached;
pub mod connection;
pub mod drain;
pub mod error;
pub mod events;
pub mod gates;
pub mod instances;
pub mod ledger;
pub mod phase_file;
pub mod schema;
pub mod status;
pub mod step;

pub use connection::{Control, connect};
pub use error::ControlError;
