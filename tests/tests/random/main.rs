//! What random statements, bytes and faults find. Each prints its seed and replays from it.

mod differential;
mod names;
mod oracle;
mod properties;
mod random_split;
mod scoping;
mod torture;
