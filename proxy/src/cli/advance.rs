//! `crossfade advance`: one phase forward, or up to a named one, if the gates let it.

use std::process::ExitCode;
use std::time::Duration;

use rewrite_rules::Phase;
use serde_json::{Value, json};

use super::target::{MigrationArgs, say};
use crate::config::Config;
use crate::control::drain::Drained;
use crate::control::events::Actor;
use crate::steps::site::Site;
use crate::steps::step::{StepDirection, Taken};
use crate::steps::walk::{self, Told, Walk};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: MigrationArgs,
    /// How far to go, one step after the other; nothing is done where it already stands there
    #[arg(long, value_name = "PHASE")]
    pub to: Option<Phase>,
    /// Wait so long for gates that are not met
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["force", "dry_run"])]
    pub wait: Option<u64>,
    /// Take the step although gates are not met; the reason is recorded
    #[arg(long, requires = "reason", conflicts_with = "to")]
    pub force: bool,
    /// Why the step is forced
    #[arg(long, requires = "force", value_name = "TEXT")]
    pub reason: Option<String>,
    /// Show the gates and the steps to come, in order, and change nothing
    #[arg(long, conflicts_with_all = ["to", "json"])]
    pub dry_run: bool,
    /// The longest wait for earlier transactions to end
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub drain_timeout_seconds: u64,
    /// End the transactions that still hold the phase before open so long after all proxies that are alive have left it: they
    /// came through a proxy that was stopped or cut off. Its clients lose their connections
    #[arg(long, value_name = "SECONDS")]
    pub terminate_after: Option<u64>,
    /// Print what was done as JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    take(StepDirection::Forward, &args).await
}

/// `advance` and `rollback` differ in the direction only.
pub(super) async fn take(direction: StepDirection, args: &Args) -> anyhow::Result<ExitCode> {
    let site = Site::of(&Config::load(&args.of.flags)?)?;
    let walk = Walk {
        wait: Duration::from_secs(args.wait.unwrap_or(0)),
        force: args.reason.clone().filter(|_| args.force),
        drain_timeout: Duration::from_secs(args.drain_timeout_seconds),
        terminate_after: args.terminate_after.map(Duration::from_secs),
        ..Walk::new(
            &args.of.migration,
            direction,
            args.to,
            Actor::of_process().clone(),
        )
    };
    if args.dry_run {
        let plan = walk::plan(&site, &walk, &mut say).await?;
        print!("{plan}");
        return Ok(match plan.is_free() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    let mut told = StepsTold::default();
    let walked = walk::walk(&site, &walk, &mut |what| match what {
        Told::Line(line) => say(line),
        Told::Step(taken) => told.step(args, taken),
    })
    .await?;
    if let Some(drained) = &walked.stood {
        told.stands(args, walked.at, drained);
    }
    told.end(args, walked.at);
    Ok(ExitCode::SUCCESS)
}

/// What the command answers: lines as it goes, or one document at its end.
#[derive(Default)]
struct StepsTold {
    steps: Vec<Value>,
}

impl StepsTold {
    fn step(&mut self, args: &Args, taken: &Taken) {
        if args.json {
            self.steps.push(json!({
                "from": taken.from.name(), "to": taken.to.name(), "gates": taken.gates,
                "instances": taken.drained.instances, "waited_for": taken.drained.waited_for,
            }));
            return;
        }
        for gate in &taken.gates {
            println!("{gate}");
        }
        println!(
            "{}: {} -> {}, drained ({} serving, {} earlier writers waited for)",
            args.of.migration,
            taken.from,
            taken.to,
            taken.drained.instances,
            taken.drained.waited_for
        );
        if taken.to == Phase::Retired {
            println!(
                "Nothing was dropped. `crossfade retire {}` puts the legacy tables on probation",
                args.of.migration
            );
        }
    }

    fn stands(&self, args: &Args, at: Phase, drained: &Drained) {
        if !args.json && self.steps.is_empty() {
            println!(
                "{}: in {at}, drained ({} serving)",
                args.of.migration, drained.instances
            );
        }
    }

    fn end(&self, args: &Args, at: Phase) {
        if args.json {
            let document = json!({
                "migration": args.of.migration, "phase": at.name(), "steps": self.steps,
            });
            println!("{document:#}");
        }
    }
}
