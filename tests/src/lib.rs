//! What the end-to-end tests stand on: a server, a proxy in front of it, programs that drive it.
//!
//! The proxy is the real binary, so that its command line, its watching of files and its exit
//! are under test as well. This crate knows how to start things and nothing of what is right.

pub mod alone;
pub mod answer;
pub mod binary;
pub mod bouncer;
pub mod console;
pub mod control;
pub mod corpus;
pub mod cut;
pub mod estate;
pub mod generate;
pub mod line;
pub mod names;
pub mod newer;
pub mod oracle;
pub mod program;
pub mod properties;
pub mod protocol_scripts;
pub mod proxy;
pub mod raw;
pub mod regress;
pub mod retired;
pub mod sides;
pub mod tap;
pub mod torture;
pub mod twin;
pub mod visit;
pub mod world;

pub use program::{Transcript, java, node, psql, python, sqlx};
pub use proxy::Proxy;
pub use world::World;
