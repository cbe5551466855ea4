//! The command line: arguments, the log, the runtime, and which command is meant.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crossfade::{cli, eprintln, print};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(
    name = "crossfade",
    version,
    about = "Moves an application's tables while it runs: a PostgreSQL proxy"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    Serve(cli::serve::Args),
    /// Show what a statement is rewritten to
    Explain(cli::explain::Args),
    /// Print the JSON schema of rule files, for editors
    Schema,
    /// Draft a rule file from the tables of a live database
    Infer(cli::infer::Args),
    /// Create what a migration needs in the application's database
    Prepare(cli::prepare::Args),
    /// Copy legacy rows to the unified tables
    Backfill(cli::backfill::Args),
    /// Compare both sides row by row
    Verify(cli::verify::Args),
    /// Check the rules against the database
    Check(cli::check::Args),
    /// Judge the statements seen so far for every later phase
    Coverage(cli::coverage::Args),
    /// Put rule files into force
    Apply(cli::apply::Args),
    /// Show which rules are in force, and since when
    Rules(cli::rules::Args),
    /// Show which proxies serve what
    Instances(cli::instances::Args),
    /// Name what killed commands and proxies have left behind, and put it right
    Doctor(cli::doctor::Args),
    /// Print a line for the console's users file; the password comes from stdin or the terminal
    ConsoleUser(cli::console_user::Args),
    /// Show who did what, when, why, and what was found
    Events(cli::events::Args),
    /// Show what came of statements, by shape and phase
    Statements(cli::statements::Args),
    /// Show where every migration stands
    Status(cli::status::Args),
    /// Let some sessions read as in the next phase, and watch how they do
    Canary(cli::canary::Args),
    /// Take a migration one phase forward
    Advance(cli::advance::Args),
    /// Take a migration one phase back
    Rollback(cli::rollback::Args),
    /// Put the legacy tables of a retired migration on probation, and judge whether they may go
    Retire(cli::retire::Args),
    /// Take a live application through a whole migration, on a throwaway server
    #[cfg(feature = "demo")]
    Demo(cli::demo::Args),
}

/// Commands parse SQL as the workers do, and its grammar recurses: see the workers' stack.
const STACK_BYTES: usize = 256 * 1024 * 1024;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("crossfade: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("CROSSFADE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,tokio_postgres=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()?;
    // The main thread's stack is the system's choice; a task runs on a worker's.
    runtime.block_on(async {
        let command = tokio::spawn(async {
            match cli.command {
                Command::Serve(args) => cli::serve::run(args).await,
                Command::Explain(args) => cli::explain::run(args).await,
                Command::Schema => {
                    print!("{}", rewrite_rules::schema());
                    Ok(ExitCode::SUCCESS)
                }
                Command::Infer(args) => cli::infer::run(args).await,
                Command::Prepare(args) => cli::prepare::run(args).await,
                Command::Backfill(args) => cli::backfill::run(args).await,
                Command::Verify(args) => cli::verify::run(args).await,
                Command::Canary(args) => cli::canary::run(args).await,
                Command::Check(args) => cli::check::run(args).await,
                Command::Coverage(args) => cli::coverage::run(args).await,
                Command::Apply(args) => cli::apply::run(args).await,
                Command::Rules(args) => cli::rules::run(args).await,
                Command::Instances(args) => cli::instances::run(args).await,
                Command::Doctor(args) => cli::doctor::run(args).await,
                Command::ConsoleUser(args) => cli::console_user::run(&args),
                Command::Events(args) => cli::events::run(args).await,
                Command::Statements(args) => cli::statements::run(args).await,
                Command::Status(args) => cli::status::run(args).await,
                Command::Advance(args) => cli::advance::run(args).await,
                Command::Rollback(args) => cli::rollback::run(args).await,
                Command::Retire(args) => cli::retire::run(args).await,
                #[cfg(feature = "demo")]
                Command::Demo(args) => cli::demo::run(args).await,
            }
        });
        command.await?
    })
}
