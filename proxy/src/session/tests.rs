//! The session fed with bytes: what reaches the server, and what reaches the client.

mod again;
mod cache;
mod generations;
mod kept_queries;
mod path;
mod prepared;
mod protocol;
mod rewriting;
mod rig;
mod splitting;
mod tries;
