//! `crossfade-bench`: what Crossfade costs, beside what it is measured against.

mod cpu;
mod endpoint;
mod idle;
mod load;
mod machine;
mod many;
mod measure;
mod micro;
mod moving;
mod plot;
mod relay;
mod report;
mod rounds;
mod rules;
mod stub;
mod suite;
mod targets;
mod traced;
mod workload;
mod world;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "crossfade-bench", version, about = "Load tests of Crossfade")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Interleaved rounds over all workloads and proxies; writes a report
    Run(suite::Args),
    /// What the scan and the rewriting of a text cost, in process
    Rewrite,
    /// What idle sessions cost in memory
    Idle(idle::Args),
    /// A backfill and a verify against plain SQL, and beside an application
    Backfill(moving::Args),
    /// How the cost of a request grows with the statements or rows in it
    Many(many::Args),
    /// A bare relay, the floor that the proxy is held against
    Relay(relay::Args),
    /// A server that answers without a database, for thousands of sessions
    #[command(hide = true)]
    Stub(stub::Args),
    /// Idle clients, until standard input ends
    #[command(hide = true)]
    Hold(idle::HoldArgs),
}

/// The rewriter's grammar recurses, and the first rewrites are measured on this thread.
const STACK_BYTES: usize = 64 * 1024 * 1024;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let work = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || run(cli.command))?;
    match work.join() {
        Ok(result) => result,
        Err(_panic) => anyhow::bail!("the load test ended by a defect of its own"),
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    // One thread drives all clients, and sleeps while a child program is the client.
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    match command {
        Command::Run(args) => runtime()?.block_on(suite::run(&args)),
        Command::Backfill(args) => runtime()?.block_on(moving::run(&args)),
        Command::Many(args) => runtime()?.block_on(many::run(&args)),
        Command::Rewrite => {
            let report = report::Report {
                micro: Some(micro::run()?),
                ..report::Report::default()
            };
            print!("{}", report.markdown());
            Ok(())
        }
        Command::Idle(args) => {
            let report = report::Report {
                idle: runtime()?.block_on(idle::alone(&args))?,
                ..report::Report::default()
            };
            print!("{}", report.markdown());
            Ok(())
        }
        Command::Relay(args) => relay::run(&args),
        Command::Stub(args) => stub::run(&args),
        Command::Hold(args) => runtime()?.block_on(idle::hold(&args)),
    }
}
