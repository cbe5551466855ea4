//! The steps between phases: what each asks for, how it is taken, and where a migration stands.

pub mod bake;
pub mod canary;
pub mod doctor;
pub mod gates;
mod plans;
mod referred;
mod rehearsal;
mod sequences;
pub mod site;
pub mod status;
pub mod step;
pub mod views;
pub mod walk;
