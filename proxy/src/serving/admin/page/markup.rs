//! What is found, as HTML. Nothing here asks anybody anything: from the same model comes the same page.

mod canary;
mod confirm;
mod events;
mod frame;
mod ladder;
mod login;
mod migration;
mod overview;
mod parts;
mod plans;
mod progress;
mod proxies;
mod rows;
mod statements;
mod step;
#[cfg(test)]
mod tests;

pub(super) use confirm::{REASON_CHARS_MAX, confirm};
pub(super) use events::history;
pub(super) use frame::{SCRIPT, STYLE, failure};
pub(super) use login::login;
pub(super) use migration::migration;
pub(super) use overview::overview;
pub(super) use parts::path_of;
pub(super) use proxies::proxies;
