//! Tests that measure their own process: nothing else may take memory in it.

use std::process::Command;

const VARIABLE: &str = "CROSSFADE_TEST_ALONE";

/// Whether this process runs nothing but this test. If not, one that does has passed it when this returns.
///
/// # Panics
///
/// When it has failed there.
#[must_use]
pub fn is_alone(test: &str) -> bool {
    // The runner that has a process for each test says so.
    if ["NEXTEST", VARIABLE]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        return true;
    }
    let this = std::env::current_exe().expect("its own path");
    let ended = Command::new(this)
        .args(["--exact", test, "--nocapture"])
        .env(VARIABLE, "1")
        .output()
        .expect("it runs");
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{test}: {said}"
    );
    false
}
