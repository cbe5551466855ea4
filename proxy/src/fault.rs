//! Points at which a test has the program end as in a power cut. In a release build there are none.

/// Where a step between phases can be made to end, in their order.
pub const STEP: [&str; 10] = [
    "step: alone",
    "step: gates",
    "step: event",
    "step: remembered",
    "step: opened",
    "file: written",
    "file: replaced",
    "step: waited",
    "step: drained",
    "step: counting",
];

/// Within the step to `dual_read` alone, before its gates.
pub const READS_TURN: &str = "step: reads turn";

/// From this one of [`STEP`] on the new phase is in force.
pub const OPENED: usize = 4;

/// Within the close of an epoch, where no proxy closes it before.
pub const CLOSE: [&str; 2] = ["epoch: closing", "epoch: renamed"];

/// The variable that names the point at which to end.
pub const VARIABLE: &str = "CROSSFADE_ENDS_AT";

/// Ends the program here, without a word to anybody, if a test asks for it.
pub fn point(name: &str) {
    if cfg!(debug_assertions) && std::env::var(VARIABLE).is_ok_and(|wanted| wanted == name) {
        std::process::abort();
    }
}
