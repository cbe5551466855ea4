//! The steps between phases: what each asks for, how it is taken, and where a migration stands.

pub mod bake;
pub mod gates;
mod rehearsal;
pub mod status;
pub mod step;
