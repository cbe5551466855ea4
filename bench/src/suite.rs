//! A run of the whole: starts what is measured, goes through the workloads, writes the report.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure};
use rewrite_rules::Phase;

use crate::endpoint::{Endpoint, Starter, crossfade_binary, readable_dir};
use crate::load::script::Protocol;
use crate::report::Report;
use crate::workload::{
    self, CACHED, CACHED_LONG, CROSSFADE, DIRECT, DUAL_READ, DUAL_READ_HELD, DUAL_WRITE_HELD,
    DUAL_WRITE_SENT, LEGACY_ONLY, ONE_THREAD, PGBOUNCER, RELAY, UNIFIED_ONLY, UNIFIED_READ,
    UNIFIED_READ_HELD, UNIFIED_READ_SENT,
};
use crate::world::World;
use crate::{idle, machine, micro, plot, rounds, targets, traced};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// About a minute: one short round of each workload, without memory and valgrind
    #[arg(long)]
    quick: bool,
    /// Rounds of each workload
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Time of each variant in a round; pgbench takes whole seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only workloads whose name contains this; may be given several times
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// Leave out what is not a workload: memory, system calls, the cost of rewriting
    #[arg(long)]
    workloads_only: bool,
    /// Another proxy: a command that runs it, in which {upstream} and {listen} stand for the
    /// addresses that it is to use, or the address of one that runs already
    #[arg(long = "endpoint", value_name = "NAME=COMMAND|HOST:PORT")]
    endpoints: Vec<String>,
    /// pgbench's scale
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// Idle sessions whose memory is measured
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// The proxy's binary; beside this program unless given
    #[arg(long, value_name = "FILE")]
    crossfade: Option<PathBuf>,
    /// Where report.md, report.json and report.svg go
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
}

const QUICK_SECONDS: f64 = 0.3;

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let (rounds, seconds) = if args.quick {
        (1, QUICK_SECONDS)
    } else {
        (args.rounds, args.seconds)
    };
    ensure!(rounds > 0 && seconds > 0.0, "nothing to measure");
    let crossfade = crossfade_binary(args.crossfade.as_deref())?;
    eprintln!("filling a throwaway PostgreSQL …");
    let world = World::build(args.scale).await?;
    let dir = readable_dir()?;
    let upstream = world.postgres.address();
    let starter = Starter {
        dir: dir.path(),
        crossfade: &crossfade,
        upstream: &upstream,
    };
    let mut report = Report {
        machine: machine::look(&world.postgres.bin("postgres")),
        rounds,
        seconds,
        ..Report::default()
    };
    let (endpoints, proxies) = start(&starter, args, &mut report).await?;

    for workload in workload::all(&world, &proxies) {
        let wanted = |word: &String| workload.name.contains(word.as_str());
        if !args.only.is_empty() && !args.only.iter().any(wanted) {
            continue;
        }
        eprintln!("{} …", workload.name);
        let time = Duration::from_secs_f64(seconds);
        // What fails is left out and said; an hour's other figures are not to be lost with it.
        match rounds::run(&world, &endpoints, &workload, rounds, time).await {
            Ok(figures) => report.figures.push(figures),
            Err(error) => report.leave_out(&workload.name, &error),
        }
    }
    if !args.workloads_only {
        if let Err(error) = count_calls(&endpoints, &mut report).await {
            report.leave_out("system calls", &error);
        }
        drop(endpoints);
        if !args.quick {
            if let Err(error) = count_allocations(&starter, &mut report).await {
                report.leave_out("allocations", &error);
            }
            eprintln!("{} idle sessions …", args.sessions);
            match idle::behind_stub(dir.path(), &crossfade, args.sessions).await {
                Ok(idle) => report.idle = idle,
                Err(error) => report.leave_out("idle sessions", &error),
            }
        }
        eprintln!("rewriting …");
        match micro::run() {
            Ok(micro) => report.micro = Some(micro),
            Err(error) => report.leave_out("the cost of rewriting", &error),
        }
    }
    report.machine.load = machine::load();
    report.targets = targets::of(&report);
    write(&report, &args.out)
}

/// Everything that is measured, and the names of those that pass-through is measured on.
async fn start(
    starter: &Starter<'_>,
    args: &Args,
    report: &mut Report,
) -> anyhow::Result<(Vec<Endpoint>, Vec<String>)> {
    let mut endpoints = vec![
        starter.relay().await?,
        starter.crossfade(CROSSFADE, Phase::DualWrite).await?,
    ];
    match starter.pgbouncer().await? {
        Some(pgbouncer) => endpoints.push(pgbouncer),
        None => report
            .left_out
            .push("PgBouncer, which is not installed".to_owned()),
    }
    for text in &args.endpoints {
        let Some((name, what)) = text.split_once('=') else {
            bail!("--endpoint {text}: expected NAME=COMMAND or NAME=HOST:PORT");
        };
        endpoints.push(if what.contains(' ') {
            starter.command(name, what).await?
        } else {
            Endpoint::running(name, what)
        });
    }
    let proxies = endpoints.iter().map(|e| e.name.clone()).collect();
    endpoints.push(Endpoint::running(DIRECT, starter.upstream));
    for (name, settings) in [
        // Still in [limits].
        (ONE_THREAD, "worker_threads = 1\n"),
        (CACHED, "[cache]\nstatements = 100\n"),
        (
            CACHED_LONG,
            "[cache]\nstatements = 100\nexecutions = 1000\n",
        ),
    ] {
        endpoints.push(
            starter
                .crossfade_set(name, Phase::DualWrite, settings)
                .await?,
        );
    }
    for (name, phase) in [
        (LEGACY_ONLY, Phase::LegacyOnly),
        (DUAL_READ, Phase::DualRead),
        (UNIFIED_READ, Phase::UnifiedRead),
        (UNIFIED_ONLY, Phase::UnifiedOnly),
    ] {
        endpoints.push(starter.crossfade(name, phase).await?);
    }
    for (name, phase) in [
        (DUAL_WRITE_HELD, Phase::DualWrite),
        (DUAL_READ_HELD, Phase::DualRead),
        (UNIFIED_READ_HELD, Phase::UnifiedRead),
    ] {
        endpoints.push(starter.held(name, phase).await?);
    }
    for (name, phase) in [
        (DUAL_WRITE_SENT, Phase::DualWrite),
        (UNIFIED_READ_SENT, Phase::UnifiedRead),
    ] {
        let nothing_kept = "[cache]\nrewritten = 0\n";
        endpoints.push(starter.crossfade_set(name, phase, nothing_kept).await?);
    }
    Ok((endpoints, proxies))
}

async fn count_calls(endpoints: &[Endpoint], report: &mut Report) -> anyhow::Result<()> {
    eprintln!("counting system calls …");
    let counted = [RELAY, CROSSFADE, PGBOUNCER];
    for protocol in Protocol::ALL {
        for endpoint in endpoints {
            if counted.contains(&endpoint.name.as_str()) {
                let calls = traced::system_calls(endpoint, protocol).await?;
                report.calls.extend(calls);
            }
        }
    }
    if report.calls.is_empty() {
        let text = "system calls, for strace is missing or may not attach";
        report.left_out.push(text.to_owned());
    }
    Ok(())
}

async fn count_allocations(starter: &Starter<'_>, report: &mut Report) -> anyhow::Result<()> {
    eprintln!("counting allocations …");
    for protocol in Protocol::ALL {
        let allocations = traced::allocations(starter, protocol).await?;
        report.allocations.extend(allocations);
    }
    if report.allocations.is_empty() {
        let text = "allocations, for valgrind is missing";
        report.left_out.push(text.to_owned());
    }
    Ok(())
}

fn write(report: &Report, out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out)?;
    let markdown = report.markdown();
    println!("{markdown}");
    std::fs::write(out.join("report.md"), &markdown)?;
    std::fs::write(
        out.join("report.json"),
        serde_json::to_string_pretty(report)?,
    )?;
    if let Some(svg) = plot::svg(report) {
        std::fs::write(out.join("report.svg"), svg)?;
    }
    eprintln!("written to {}", out.display());
    Ok(())
}
