//! `crossfade advance`: one phase forward, if the gates let it.

use std::process::ExitCode;
use std::time::Duration;

use rewrite_rules::Phase;

use super::target::{Named, Target, say};
use crate::steps::step::{self, Direction, Options};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: Named,
    /// Take the step although gates are not met; the reason is recorded
    #[arg(long, requires = "reason")]
    pub force: bool,
    /// Why the step is forced
    #[arg(long, requires = "force", value_name = "TEXT")]
    pub reason: Option<String>,
    /// Show the gates and the steps to come, in order, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The longest wait for earlier transactions to end
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub drain_timeout_seconds: u64,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    take(Direction::Forward, &args).await
}

/// `advance` and `rollback` differ in the direction only.
pub(super) async fn take(direction: Direction, args: &Args) -> anyhow::Result<ExitCode> {
    let target = Target::load(&args.of.flags).await?;
    let options = Options {
        direction,
        force: args.reason.clone().filter(|_| args.force),
        times: target.gates,
        drain_timeout: Duration::from_secs(args.drain_timeout_seconds),
    };
    if args.dry_run {
        let plan = step::plan(&target.url, &target.rules, &args.of.migration, &options).await?;
        print!("{plan}");
        return Ok(if plan.is_free() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let taken = step::step(
        &target.url,
        &target.rules,
        &args.of.migration,
        &options,
        &mut say,
    )
    .await?;
    for gate in &taken.gates {
        println!("{gate}");
    }
    println!(
        "{}: {} -> {}, drained ({} serving, {} earlier writers waited for)",
        args.of.migration, taken.from, taken.to, taken.drained.instances, taken.drained.waited_for
    );
    if taken.to == Phase::Retired {
        println!(
            "Nothing was dropped. `crossfade retire {}` puts the legacy tables on probation",
            args.of.migration
        );
    }
    Ok(ExitCode::SUCCESS)
}
