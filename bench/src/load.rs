//! Load: clients that send what their script says as fast as they are answered.
//!
//! One thread drives all clients, as `pgbench -j 1` would. A client waits for the end of one
//! round trip before it begins the next; what it receives is walked, not decoded.

pub mod client;
pub mod script;

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use client::Client;
use script::Script;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub transactions: u64,
    /// Bytes that the clients received and sent.
    pub bytes: u64,
    pub elapsed: Duration,
    /// Each transaction's time in nanoseconds, sorted.
    latencies: Vec<u32>,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.transactions as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which a share of the transactions was answered, in microseconds.
    pub fn quantile_us(&self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        let index = (last as f64 * share).round() as usize;
        Some(f64::from(self.latencies[index]) / 1000.0)
    }

    /// A run of another program's, which tells no single times.
    pub fn counted(transactions: u64, elapsed: Duration) -> Outcome {
        Outcome {
            transactions,
            elapsed,
            ..Outcome::default()
        }
    }
}

/// Connected clients, each ready to run its script.
pub struct Crowd {
    clients: Vec<(Client, Script)>,
}

impl Crowd {
    pub async fn gather(
        address: &str,
        script: &Script,
        clients: usize,
        seed: u64,
    ) -> anyhow::Result<Crowd> {
        let mut crowd = Crowd {
            clients: Vec::with_capacity(clients),
        };
        for number in 0..clients {
            let mut client = Client::connect(address)
                .await
                .with_context(|| format!("connecting to {address}"))?;
            let script = script.with_seed(seed.wrapping_mul(1009) + number as u64 + 1);
            if let Some(request) = script.preparation() {
                client.round_trip(&request, &[]).await?;
            }
            crowd.clients.push((client, script));
        }
        Ok(crowd)
    }

    /// Runs all clients for a time; they are connected still when it is over.
    pub async fn run(&mut self, time: Duration) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let end = start + time;
        let mut running = JoinSet::new();
        for (client, script) in self.clients.drain(..) {
            running.spawn(run_one(client, script, end));
        }
        let mut outcome = Outcome::default();
        while let Some(one) = running.join_next().await {
            let (client, script, mut latencies, bytes) = one??;
            outcome.transactions += latencies.len() as u64;
            outcome.bytes += bytes;
            outcome.latencies.append(&mut latencies);
            self.clients.push((client, script));
        }
        outcome.elapsed = start.elapsed();
        outcome.latencies.sort_unstable();
        Ok(outcome)
    }
}

async fn run_one(
    mut client: Client,
    mut script: Script,
    end: Instant,
) -> anyhow::Result<(Client, Script, Vec<u32>, u64)> {
    let mut latencies = Vec::new();
    let before = client.bytes;
    let mut request = Vec::new();
    let mut begun = Instant::now();
    while begun < end {
        request.clear();
        script.write_next(&mut request);
        client.round_trip(&request, script.copy_data()).await?;
        let now = Instant::now();
        let nanoseconds = (now - begun).as_nanos();
        latencies.push(u32::try_from(nanoseconds).unwrap_or(u32::MAX));
        begun = now;
    }
    let bytes = client.bytes - before;
    Ok((client, script, latencies, bytes))
}
