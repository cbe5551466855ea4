//! One variant run once, and what it cost whom.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::cpu;
use crate::endpoint::Endpoint;
use crate::load::{Crowd, Outcome};
use crate::workload::{Driver, Variant};
use crate::world::World;

/// Before the clock starts: caches of the server's sessions, the processor's frequency.
const WARM_UP: Duration = Duration::from_millis(100);

/// A server's process outlives its client by a moment, in which its time is nobody's: the parent
/// has not inherited it yet. PgBouncer's stay, hence the end to the waiting.
const REAPED_TIMEOUT: Duration = Duration::from_millis(500);
const REAPED_POLL: Duration = Duration::from_millis(10);

#[derive(Clone, Debug)]
pub struct Sample {
    pub outcome: Outcome,
    /// Of the endpoint's process; `None` where there is none between client and server.
    pub proxy_cpu: Option<Duration>,
    pub server_cpu: Duration,
}

impl Sample {
    pub fn proxy_us(&self) -> Option<f64> {
        let cpu = self.proxy_cpu?;
        Some(cpu.as_secs_f64() * 1e6 / self.outcome.transactions as f64)
    }

    pub fn server_us(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.outcome.transactions as f64
    }

    pub fn megabytes(&self) -> f64 {
        self.outcome.bytes as f64 / 1e6
    }
}

pub async fn run(
    world: &World,
    endpoint: &Endpoint,
    variant: &Variant,
    clients: usize,
    time: Duration,
) -> anyhow::Result<Sample> {
    let server = world.postgres.pid().context("the server is stopped")?;
    let spent = || (endpoint.pid().map(cpu::of_process), cpu::of_tree(server));
    let processes = cpu::children(server).len();
    let (before, outcome, after) = match &variant.driver {
        Driver::Script(script) => {
            let mut crowd = Crowd::gather(&endpoint.address, script, clients, next_seed()).await?;
            crowd.run(WARM_UP.min(time)).await?;
            let before = spent();
            let outcome = crowd.run(time).await?;
            // Read while the clients are connected: the server's processes are all there.
            (before, outcome, spent())
        }
        Driver::Pgbench(arguments) => {
            let before = spent();
            let outcome = pgbench(world, endpoint, arguments, clients, time)?;
            reaped(server, processes).await;
            (before, outcome, spent())
        }
    };
    if outcome.transactions == 0 {
        bail!("{}: no transaction was finished", variant.label);
    }
    reaped(server, processes).await;
    Ok(Sample {
        outcome,
        proxy_cpu: before.0.zip(after.0).map(|(b, a)| a.saturating_sub(b)),
        server_cpu: after.1.saturating_sub(before.1),
    })
}

/// Waits until the server has no more processes than it had.
async fn reaped(server: u32, processes: usize) {
    let end = Instant::now() + REAPED_TIMEOUT;
    while cpu::children(server).len() > processes && Instant::now() < end {
        tokio::time::sleep(REAPED_POLL).await;
    }
}

/// Values that must be fresh differ from those of every run before.
fn next_seed() -> u64 {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    RUNS.fetch_add(1, Relaxed)
}

fn pgbench(
    world: &World,
    endpoint: &Endpoint,
    arguments: &[&str],
    clients: usize,
    time: Duration,
) -> anyhow::Result<Outcome> {
    let (host, port) = endpoint.address.rsplit_once(':').context("no port")?;
    // It takes whole seconds.
    let seconds = time.as_secs_f64().round().max(1.0);
    let output = Command::new(world.postgres.bin("pgbench"))
        .args(["--no-vacuum", "--client", &clients.to_string()])
        .args(["--time", &seconds.to_string()])
        .args(["--host", host, "--port", port, "--username", "postgres"])
        .args(arguments)
        .arg("postgres")
        // The bare relay knows no answer to a request for encryption.
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let parsed = number_after(&text, "number of transactions actually processed: ")
        .zip(number_after(&text, "tps = "))
        .filter(|_| output.status.success());
    let Some((transactions, per_second)) = parsed else {
        bail!(
            "pgbench against {} failed:\n{text}{}",
            endpoint.name,
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let elapsed = Duration::from_secs_f64(transactions / per_second.max(0.001));
    Ok(Outcome::counted(transactions as u64, elapsed))
}

fn number_after(text: &str, words: &str) -> Option<f64> {
    let (_, rest) = text.split_once(words)?;
    let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgbench_says_how_much_it_did() {
        let text = "number of transactions actually processed: 1234/5000\n\
                    tps = 812.5 (without initial connection time)\n";
        let processed = number_after(text, "number of transactions actually processed: ");
        assert_eq!(processed, Some(1234.0));
        assert_eq!(number_after(text, "tps = "), Some(812.5));
    }
}
