//! What a session costs in memory while it does nothing: the growth of a proxy's private memory
//! over many sessions, each of which has worked a little before it fell idle. Sockets are the
//! kernel's and not in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::cpu;
use crate::endpoint::{
    Endpoint, Starter, crossfade_binary, open_files_max, readable_dir, with_open_files,
};
use crate::load::client::Client;
use crate::load::script::{Protocol, Script, query};
use crate::workload::{CROSSFADE, RELAY};
use rewrite_rules::Phase;

/// Sessions that come before the count, so that what a process allocates once is not divided
/// among those that are counted.
const WARM_UP_SESSIONS: usize = 50;

/// Sessions that connect at one time: below the usual accept backlog of 128.
const CONNECTING_MAX: usize = 64;

/// Buffers that a session gives back when it has nothing to do are given back by then.
const REST: Duration = Duration::from_millis(500);

/// Files that a proxy has open beside its sessions' sockets; more than any of them needs.
const OTHER_FILES: usize = 60;

/// Named statements that each session leaves prepared, as a driver's cache would.
const PREPARED: usize = 3;

#[derive(Debug, Serialize)]
pub struct Idle {
    pub proxy: String,
    pub sessions: usize,
    pub bytes_per_session: f64,
    /// The whole process with all sessions.
    pub total_bytes: u64,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// The proxy's binary; beside this program unless given
    #[arg(long, value_name = "FILE")]
    crossfade: Option<PathBuf>,
}

/// The measurement alone, which needs no PostgreSQL.
pub async fn alone(args: &Args) -> anyhow::Result<Vec<Idle>> {
    let dir = readable_dir()?;
    let crossfade = crossfade_binary(args.crossfade.as_deref())?;
    behind_stub(dir.path(), &crossfade, args.sessions).await
}

/// Starts the stub server, and measures before it.
pub async fn behind_stub(
    dir: &Path,
    crossfade: &Path,
    sessions: usize,
) -> anyhow::Result<Vec<Idle>> {
    let starter = |upstream| Starter {
        dir,
        crossfade,
        upstream,
    };
    let open_files = open_files_max()?;
    // Each session is two sockets to a proxy.
    let most = (open_files.saturating_sub(OTHER_FILES) / 2).saturating_sub(WARM_UP_SESSIONS);
    if most < sessions {
        println!("{most} sessions in place of {sessions}: a process may open {open_files} files");
    }
    let sessions = sessions.min(most);
    let stub = starter("").stub().await?;
    run(&starter(&stub.address), sessions).await
}

/// Measures the relay, Crossfade and PgBouncer, one after the other, before a stub server.
async fn run(starter: &Starter<'_>, sessions: usize) -> anyhow::Result<Vec<Idle>> {
    let mut proxies = vec![
        starter.relay().await?,
        starter.crossfade(CROSSFADE, Phase::DualWrite).await?,
    ];
    proxies.extend(starter.pgbouncer().await?);
    let mut all = Vec::new();
    for proxy in &proxies {
        all.push(one(proxy, sessions).await?);
    }
    // The relay first, in this and every report.
    debug_assert_eq!(all[0].proxy, RELAY);
    Ok(all)
}

async fn one(proxy: &Endpoint, sessions: usize) -> anyhow::Result<Idle> {
    let pid = proxy.pid().context("only a process of ours has a size")?;
    let _warm = Held::hold(&proxy.address, WARM_UP_SESSIONS).await?;
    tokio::time::sleep(REST).await;
    let before = cpu::anonymous_bytes(pid);
    let _held = Held::hold(&proxy.address, sessions).await?;
    tokio::time::sleep(REST).await;
    let after = cpu::anonymous_bytes(pid);
    Ok(Idle {
        proxy: proxy.name.clone(),
        sessions,
        bytes_per_session: after.saturating_sub(before) as f64 / sessions as f64,
        total_bytes: after,
    })
}

/// Idle clients in a process of their own, which may open as many files as it takes.
struct Held {
    // Closing its standard input ends it.
    _child: tokio::process::Child,
}

impl Held {
    async fn hold(address: &str, sessions: usize) -> anyhow::Result<Held> {
        let mut command = with_open_files(&std::env::current_exe()?);
        command
            .args(["hold", "--address", address])
            .args(["--sessions", &sessions.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("its output is ours")?;
        let said = BufReader::new(output).lines().next_line().await?;
        ensure!(
            said.as_deref() == Some(HELD),
            "{sessions} sessions could not be opened at {address}"
        );
        Ok(Held { _child: child })
    }
}

const HELD: &str = "held";

#[derive(Debug, clap::Args)]
pub struct HoldArgs {
    #[arg(long)]
    address: String,
    #[arg(long)]
    sessions: usize,
}

/// The child: opens the sessions, works a little in each, says so, and waits.
pub async fn hold(args: &HoldArgs) -> anyhow::Result<()> {
    let mut clients = Vec::with_capacity(args.sessions);
    while clients.len() < args.sessions {
        let step = CONNECTING_MAX.min(args.sessions - clients.len());
        let opening = (0..step).map(|_| worked(&args.address));
        clients.extend(futures_util::future::try_join_all(opening).await?);
    }
    println!("{HELD}");
    std::io::read_to_string(std::io::stdin())?;
    Ok(())
}

async fn worked(address: &str) -> anyhow::Result<Client> {
    let mut client = Client::connect(address).await?;
    client.round_trip(&query("SELECT 1"), &[]).await?;
    let sql = "SELECT abalance FROM pgbench_accounts WHERE aid = 1";
    let mut request = Vec::new();
    Script::new(Protocol::Extended, sql, Vec::new()).write_next(&mut request);
    client.round_trip(&request, &[]).await?;
    for number in 0..PREPARED {
        let request = Script::prepare_as(&format!("s{number}"), sql);
        client.round_trip(&request, &[]).await?;
    }
    Ok(client)
}
