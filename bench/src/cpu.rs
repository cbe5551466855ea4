//! What processes have used of the processor and hold of the memory, as the kernel counts it.
//!
//! Knows /proc. A process's own threads are counted to the nanosecond; children that have exited
//! only as their parent inherited them, in clock ticks.

use std::fs;
use std::time::Duration;

/// USER_HZ, which Linux has fixed at 100 for all that user space sees.
const TICK: Duration = Duration::from_millis(10);

/// The processor time of one process's threads.
pub fn of_process(pid: u32) -> Duration {
    let nanoseconds: u64 = entries(&format!("/proc/{pid}/task"))
        .filter_map(|thread| {
            fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()
        })
        .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanoseconds)
}

/// The processor time of a process, its children, and those of its children that have exited.
pub fn of_tree(pid: u32) -> Duration {
    let inherited = Stat::of(pid).map_or(0, |stat| stat.children_ticks);
    let inherited = TICK * u32::try_from(inherited).unwrap_or(u32::MAX);
    children(pid)
        .into_iter()
        .map(of_process)
        .fold(of_process(pid) + inherited, |sum, child| sum + child)
}

pub fn children(parent: u32) -> Vec<u32> {
    entries("/proc")
        .filter(|&pid| Stat::of(pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

/// Resident memory that is not shared with a file, in bytes: heap and stacks.
pub fn anonymous_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes * 1024)
}

fn entries(directory: &str) -> impl Iterator<Item = u32> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

struct Stat {
    parent: u32,
    children_ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Stat> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The program's name stands in parentheses and may hold anything, spaces included.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Stat {
            parent: u32::try_from(number(1)?).ok()?,
            children_ticks: number(13)? + number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_under_its_parent() {
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .spawn()
            .expect("sleep runs");
        let found = children(std::process::id());
        let known = found.contains(&child.id());
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert!(known, "{} is not among {found:?}", child.id());
    }

    #[test]
    fn work_is_seen_in_the_time_of_the_process() {
        let before = of_process(std::process::id());
        let step = |sum: u64, n: u64| std::hint::black_box(sum.wrapping_mul(31) ^ n);
        let work = (0..5_000_000).fold(1, step);
        assert!(of_process(std::process::id()) > before, "{work}");
    }
}
