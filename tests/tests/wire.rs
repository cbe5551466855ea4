//! The wire by its bytes: what a driver never sends, and what no driver shows.

#[path = "wire/bad_input.rs"]
mod bad_input;
#[path = "wire/raw.rs"]
mod raw;
#[path = "wire/size.rs"]
mod size;
#[path = "wire/transparency.rs"]
mod transparency;
#[path = "wire/upstream.rs"]
mod upstream;
