//! `crossfade retire`: legacy tables on probation, and back; then whether they may be dropped. Exit
//! code 0 when what was asked for is done or nothing speaks against the drop, 1 when something does.

use std::process::ExitCode;

use super::status::age;
use super::target::{CommandTarget, MigrationArgs};
use crate::control::shown;
use crate::retire::{self, DropEvidence, Evidence, RetireOptions, RetireOutcome};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: MigrationArgs,
    /// Give the tables back their names and rights, at once
    #[arg(long)]
    pub undo: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Rows shown of each kind in the last verify
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub samples: u32,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::load(&args.of.flags).await?;
    let options = RetireOptions {
        undo: args.undo,
        dry_run: args.dry_run,
        untouched_days: target.gates.untouched_days,
        samples_max: args.samples,
    };
    let name = &args.of.migration;
    match retire::run(&target.url, &target.rules, name, &options).await? {
        RetireOutcome::WouldRun(statements) => {
            println!("{name}: this would be run, and nothing was:");
            for statement in statements {
                println!("  {statement};");
            }
        }
        RetireOutcome::PutAside(tables) => {
            for aside in tables {
                let (legacy, now) = (shown(&aside.legacy_table), shown(&aside.put_aside_as));
                println!(
                    "{legacy} is on probation: it is called {now}, and nobody has a right on it"
                );
            }
            println!("`crossfade retire {name} --undo` brings it back at once");
            println!("`crossfade retire {name}` tells whether anybody has missed it");
        }
        RetireOutcome::Back(tables) => {
            for aside in tables {
                println!(
                    "{} has its name and its rights back",
                    shown(&aside.legacy_table)
                );
            }
        }
        RetireOutcome::Gone => {
            println!(
                "{name}: its legacy tables are gone; its rule file may go when no old client is left"
            );
        }
        RetireOutcome::Judged(judged) => {
            print!("{}", text(name, &judged));
            if !judged.is_enough() {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(name: &str, judged: &DropEvidence) -> String {
    let mut text = String::new();
    for evidence in &judged.tables {
        text += &line(evidence);
    }
    text += &format!(
        "What it holds against unified, which has gone on without it (missing: deleted there \
         since, or never there):\n{}\n",
        judged.last_verify
    );
    if judged.is_enough() {
        text += "Nothing was dropped. Nobody has missed it; to drop it, run:\n";
        for words in &judged.drop {
            text += &format!("  {words}\n");
        }
    } else {
        text += &format!(
            "It is not time to drop it; `crossfade retire {name} --undo` brings it back\n"
        );
    }
    text
}

fn line(evidence: &Evidence) -> String {
    let mut text = format!(
        "{} ({}): on probation for {}, untouched for {} of {} days",
        shown(&evidence.legacy_table),
        shown(&evidence.put_aside_as),
        age(evidence.aside_seconds),
        age(evidence.untouched_seconds),
        evidence.untouched_days_min,
    );
    if let Some(touched) = &evidence.touched {
        text += &format!("; TOUCHED since the last look: {touched}");
    }
    text += &if evidence.unchanged {
        format!("; its {} rows are what they were", evidence.rows)
    } else {
        format!("; its {} rows are NOT what they were", evidence.rows)
    };
    text + "\n"
}
