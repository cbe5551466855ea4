//! Strangers, limits, bytes that no driver sends, and how the proxy stops.

mod growth;
mod limits;
mod raw;
mod stop;
mod supervisor;
mod texts;
mod tls;
mod wire;
