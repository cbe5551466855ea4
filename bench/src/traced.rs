//! What a round trip costs in system calls (by `strace`) and in allocations (by `valgrind`).
//! Both slow the proxy down, so they count and nothing here is timed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossfade_testbed::process::{Process, Signal};
use rewrite_rules::Phase;
use serde::Serialize;

use crate::endpoint::{Endpoint, Starter, installed};
use crate::load::client::Client;
use crate::load::script::{Draw, Protocol, Script};
use crate::workload::CROSSFADE;

/// Enough that what happens once does not show in the quotient.
const ROUND_TRIPS: usize = 2_000;

/// `strace` says nothing when it has attached.
const ATTACH: Duration = Duration::from_millis(700);

/// It writes its table when it is interrupted; killed before, it would write none.
const STRACE_STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Valgrind starts slowly, and more so on a busy machine.
const VALGRIND_START_TIMEOUT: Duration = Duration::from_secs(180);
const VALGRIND_STOP_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
pub struct Calls {
    pub proxy: String,
    pub protocol: Protocol,
    /// As counted, everything that the process did meanwhile included.
    pub calls_per_round_trip: f64,
    /// What it does in the same time while no session says anything, divided likewise.
    pub background_per_round_trip: f64,
    /// The most frequent ones with their share of a round trip.
    pub by_name: Vec<(String, f64)>,
}

fn script(protocol: Protocol) -> Script {
    let sql = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
    Script::new(protocol, sql, vec![Draw::UpTo(100_000)])
}

async fn round_trips(address: &str, protocol: Protocol, count: usize) -> anyhow::Result<Client> {
    let mut client = Client::connect(address).await?;
    let mut script = script(protocol);
    if let Some(request) = script.preparation() {
        client.round_trip(&request, &[]).await?;
    }
    more(&mut client, &mut script, count).await?;
    Ok(client)
}

async fn more(client: &mut Client, script: &mut Script, count: usize) -> anyhow::Result<()> {
    let mut request = Vec::new();
    for _ in 0..count {
        request.clear();
        script.write_next(&mut request);
        client.round_trip(&request, &[]).await?;
    }
    Ok(())
}

/// System calls of one session's round trips; `None` where `strace` is missing or may not attach.
pub async fn system_calls(
    endpoint: &Endpoint,
    protocol: Protocol,
) -> anyhow::Result<Option<Calls>> {
    let (Some(strace), Some(pid)) = (installed("strace"), endpoint.pid()) else {
        return Ok(None);
    };
    let mut client = round_trips(&endpoint.address, protocol, 10).await?;
    let work = async {
        let start = Instant::now();
        let loaded = more(&mut client, &mut script(protocol), ROUND_TRIPS).await;
        loaded.map(|()| start.elapsed())
    };
    let Some((mut by_name, time)) = counted(&strace, pid, work).await? else {
        return Ok(None);
    };
    let rest = async {
        tokio::time::sleep(time).await;
        Ok(time)
    };
    let Some((background, _)) = counted(&strace, pid, rest).await? else {
        return Ok(None);
    };
    let background: u64 = background.iter().map(|(_, calls)| calls).sum();
    let total: u64 = by_name.iter().map(|(_, calls)| calls).sum();
    by_name.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    let each = |calls: u64| calls as f64 / ROUND_TRIPS as f64;
    Ok(Some(Calls {
        proxy: endpoint.name.clone(),
        protocol,
        calls_per_round_trip: each(total),
        background_per_round_trip: each(background),
        by_name: by_name
            .into_iter()
            .take(5)
            .map(|(name, calls)| (name, each(calls)))
            .collect(),
    }))
}

/// What a process calls while something is under way, and what that came to.
async fn counted<T>(
    strace: &Path,
    pid: u32,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<Option<(Vec<(String, u64)>, T)>> {
    let counts = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(strace);
    command
        .args(["-f", "-c", "-p", &pid.to_string(), "-o"])
        .arg(counts.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let tracer = Process::spawn(command)?;
    tokio::time::sleep(ATTACH).await;
    if tracer.is_over() {
        return Ok(None);
    }
    let result = work.await?;
    tracer.stop(Signal::Interrupt, STRACE_STOP_TIMEOUT);
    let calls = parse_counts(&std::fs::read_to_string(counts.path())?);
    Ok(Some((calls, result)))
}

/// `% time  seconds  usecs/call  calls  [errors]  syscall`, a line for each.
fn parse_counts(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let name = *fields.last()?;
            let calls = fields.get(3)?.parse().ok()?;
            (name != "total").then(|| (name.to_owned(), calls))
        })
        .collect()
}

#[derive(Debug, Serialize)]
pub struct Allocations {
    pub protocol: Protocol,
    pub per_round_trip: f64,
}

/// Heap allocations of Crossfade: the difference between a long run and a short one.
pub async fn allocations(
    starter: &Starter<'_>,
    protocol: Protocol,
) -> anyhow::Result<Option<Allocations>> {
    const FEW: usize = 200;
    if installed("valgrind").is_none() {
        return Ok(None);
    }
    let few = under_valgrind(starter, protocol, FEW).await?;
    let many = under_valgrind(starter, protocol, FEW + ROUND_TRIPS).await?;
    Ok(Some(Allocations {
        protocol,
        per_round_trip: (many as f64 - few as f64) / ROUND_TRIPS as f64,
    }))
}

async fn under_valgrind(
    starter: &Starter<'_>,
    protocol: Protocol,
    count: usize,
) -> anyhow::Result<u64> {
    let listen = format!("127.0.0.1:{}", crossfade_testbed::free_port()?);
    let config = starter.crossfade_config("valgrind", &listen, Phase::DualWrite, "")?;
    let log = starter.dir.join("valgrind.log");
    let mut command = Command::new("valgrind");
    command
        .args(["--leak-check=no", "--undef-value-errors=no"])
        .arg(format!("--log-file={}", log.display()))
        .arg(starter.crossfade)
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let process = Process::spawn(command)?;
    let waiting = async {
        loop {
            if let Ok(client) = Client::connect(&listen).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let first = tokio::time::timeout(VALGRIND_START_TIMEOUT, waiting)
        .await
        .with_context(|| format!("{CROSSFADE} does not start under valgrind"))?;
    drop(first);
    drop(round_trips(&listen, protocol, count).await?);
    process.stop(Signal::Terminate, VALGRIND_STOP_TIMEOUT);
    let text = std::fs::read_to_string(&log)?;
    let Some(allocations) = parse_heap_usage(&text) else {
        bail!("valgrind says nothing about the heap:\n{text}");
    };
    Ok(allocations)
}

/// `total heap usage: 1,234 allocs, 1,230 frees, …`
fn parse_heap_usage(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("total heap usage: ")?;
    let (count, _) = rest.split_once(" allocs")?;
    count.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strace_counts_with_and_without_errors() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           1      4000           epoll_wait
 40.00    0.000400           1      2001         1 sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           1      6001         1 total
";
        let expected = [("epoll_wait", 4000), ("sendto", 2001)];
        assert_eq!(parse_counts(text), expected.map(|(n, c)| (n.to_owned(), c)));
    }

    #[test]
    fn valgrind_counts_with_separators() {
        let text = "==1==   total heap usage: 12,345 allocs, 12,300 frees, 1 bytes allocated";
        assert_eq!(parse_heap_usage(text), Some(12_345));
    }
}
