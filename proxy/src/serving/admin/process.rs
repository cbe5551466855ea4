//! What the kernel counts of this process, under the names that Prometheus' own libraries give it.

use std::fs;
use std::time::Duration;

/// `USER_HZ`, which is the same on every Linux that a program sees.
const TICKS_PER_SECOND: u64 = 100;
const PAGE_BYTES: u64 = 4096;

/// As `/proc/self` has it; `None` of what cannot be read.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub cpu: Option<Duration>,
    pub resident_bytes: Option<u64>,
    pub open_files: Option<u64>,
}

impl Process {
    pub fn now() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        Process {
            cpu: stat.as_deref().and_then(cpu),
            resident_bytes: stat
                .as_deref()
                .and_then(|stat| field(stat, 24))
                .map(|pages| pages * PAGE_BYTES),
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|files| files.count() as u64),
        }
    }
}

/// User's and system's time.
fn cpu(stat: &str) -> Option<Duration> {
    let ticks = field(stat, 14)? + field(stat, 15)?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// A field by its number in proc(5). The second is the program's name, in which anything may stand.
fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(number - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let stat =
            "17 (a b) 1 (c) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 1000 9999 77 18";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(field(stat, 24), Some(77));
    }

    #[test]
    fn the_kernel_says_something_of_this_process() {
        let now = Process::now();
        assert!(now.cpu.is_some() && now.resident_bytes > Some(0) && now.open_files > Some(0));
    }
}
