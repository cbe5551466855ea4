//! The wire by its bytes: what a driver never sends, and what no driver shows.

mod bad_input;
mod size;
mod transparency;
mod upstream;
