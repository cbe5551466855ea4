//! Where and when it was measured, with which versions. What cannot be found out is left out.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::endpoint::installed;
use crate::report::Machine;

pub fn look(postgres: &Path) -> Machine {
    let mut versions = vec![format!("Crossfade {}", env!("CARGO_PKG_VERSION"))];
    versions.extend(
        first_line(postgres, "--version").map(|v| v.replace("postgres (PostgreSQL)", "PostgreSQL")),
    );
    versions.extend(installed("pgbouncer").and_then(|program| first_line(&program, "--version")));
    let processor = fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "processor".to_owned(), |(_, name)| name.to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    Machine {
        date: first_line(Path::new("date"), "+%F").unwrap_or_default(),
        processor,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: format!("Linux {kernel}"),
        versions,
        load: load(),
    }
}

/// Runnable processes over the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(f64::NAN)
}

fn first_line(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}
