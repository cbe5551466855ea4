//! `crossfade advance`: one phase forward, or up to a named one, if the gates let it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use rewrite_rules::Phase;
use serde_json::{Value, json};

use super::target::{CommandTarget, MigrationArgs, say};
use crate::control::drain::Drained;
use crate::control::error::ControlError;
use crate::control::named::find;
use crate::steps::step::{self, StepDirection, StepOptions, Taken};

/// Rules that are applied again and again are for somebody to look at.
const ATTEMPTS_MAX: u32 = 5;

/// Between two looks at gates that are waited for: what they wait for takes seconds at least.
const LOOK: Duration = Duration::from_secs(1);

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
    if args.dry_run {
        return plan(direction, args).await;
    }
    let name = &args.of.migration;
    let mut told = StepsTold::default();
    let Some(to) = args.to else {
        let taken = one(direction, args).await?;
        told.step(args, &taken);
        told.end(args, taken.to);
        return Ok(ExitCode::SUCCESS);
    };
    loop {
        let target = CommandTarget::load(&args.of.flags).await?;
        let at = find(&target.rules, name)?.phase;
        if at == to {
            let options = options(direction, args, &target);
            let drained = step::stand(&target.url, &target.rules, name, &options, &mut say).await?;
            told.stands(args, at, &drained);
            told.end(args, at);
            return Ok(ExitCode::SUCCESS);
        }
        let (is_past, other) = match direction {
            StepDirection::Forward => (at > to, "rollback"),
            StepDirection::Back => (at < to, "advance"),
        };
        if is_past {
            bail!(
                "{name} is in {at}, which is past {to}: `crossfade {other} {name} --to {to}` leads there"
            );
        }
        let taken = one(direction, args).await?;
        told.step(args, &taken);
    }
}

fn options(direction: StepDirection, args: &Args, target: &CommandTarget) -> StepOptions {
    StepOptions {
        direction,
        force: args.reason.clone().filter(|_| args.force),
        times: target.gates,
        drain_timeout: Duration::from_secs(args.drain_timeout_seconds),
        terminate_after: args.terminate_after.map(Duration::from_secs),
    }
}

async fn plan(direction: StepDirection, args: &Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::load(&args.of.flags).await?;
    let options = options(direction, args, &target);
    let plan = step::plan(&target.url, &target.rules, &args.of.migration, &options).await?;
    print!("{plan}");
    Ok(if plan.is_free() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One step, tried again until its gates are met or nobody waits any longer.
async fn one(direction: StepDirection, args: &Args) -> anyhow::Result<Taken> {
    let patience = Duration::from_secs(args.wait.unwrap_or(0));
    let began = Instant::now();
    let mut said = String::new();
    let mut attempts = 0;
    let mut began_in = None;
    loop {
        let target = CommandTarget::load(&args.of.flags).await?;
        let options = options(direction, args, &target);
        let (url, rules) = (&target.url, &target.rules);
        let at = find(rules, &args.of.migration)?.phase;
        let from = *began_in.get_or_insert(at);
        if at != from {
            bail!(
                "{} was in {from} when this command began and is in {at} now: somebody else took a step",
                args.of.migration
            );
        }
        match step::step(url, rules, &args.of.migration, &options, &mut say).await {
            Err(ControlError::Unmet(unmet)) if began.elapsed() + LOOK <= patience => {
                if said != unmet {
                    say(&unmet);
                    said = unmet;
                }
                tokio::time::sleep(LOOK).await;
            }
            // Somebody applied rules: the gates are looked at again by these.
            Err(ControlError::Overtaken(_)) if attempts < ATTEMPTS_MAX => attempts += 1,
            taken => return Ok(taken?),
        }
    }
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
