//! Points at which a test has the program end as in a power cut, or stop as on a machine that sleeps. In a release build
//! there are none.

use std::time::Duration;

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
pub const CLOSE: [&str; 2] = ["epoch: closing", RENAMED];
pub const RENAMED: &str = "epoch: renamed";

/// Within a backfill, behind its look at the phase: before it begins, and behind the beginning of each table.
pub const BACKFILL_DRAINED: &str = "backfill: drained";
pub const BACKFILL_BEGUN: &str = "backfill: begun";
/// Within a repair that knows what differs.
pub const REPAIR_COMPARED: &str = "repair: compared";

/// The variable that names the point at which to end.
pub const VARIABLE: &str = "CROSSFADE_ENDS_AT";

/// The variable that names the point at which to stop, until somebody sends SIGCONT.
pub const STOP_VARIABLE: &str = "CROSSFADE_STOPS_AT";

const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// Ends or stops the program here, without a word to anybody, if a test asks for it.
pub fn point(name: &str) {
    let is_wanted = |variable| std::env::var(variable).is_ok_and(|wanted| wanted == name);
    if !cfg!(debug_assertions) {
        return;
    }
    if is_wanted(VARIABLE) {
        std::process::abort();
    }
    if is_wanted(STOP_VARIABLE) {
        let this = std::process::id().to_string();
        // The shell's own: not every machine has a program of that name.
        let stopped = std::process::Command::new("/bin/sh")
            .args(["-c", "kill -s STOP \"$0\"", &this])
            .status();
        assert!(
            stopped.is_ok_and(|status| status.success()),
            "cannot stop at {name}"
        );
        // Another thread may be the one to take the signal; this one does nothing until it has.
        std::thread::sleep(TAKEN_WITHIN);
    }
}
