//! `crossfade doctor`: what commands and proxies that were killed have left behind, and what puts it right.

use std::process::ExitCode;
use std::time::Duration;

use super::target::{CommandTarget, say};
use crate::config::Flags;
use crate::control::{connect, named, schema};
use crate::steps::doctor::{self, Finding};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The migration's name; all of them when left out
    pub migration: Option<String>,
    #[command(flatten)]
    pub flags: Flags,
    /// Put right what can be without anybody's decision: end what steps have begun, as they would have
    #[arg(long)]
    pub mend: bool,
    /// What is found as JSON
    #[arg(long)]
    pub json: bool,
    /// With --mend, the longest wait for earlier transactions to end
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub drain_timeout_seconds: u64,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::load(&args.flags).await?;
    if let Some(name) = &args.migration {
        named::find(&target.rules, name)?;
    }
    let mut found = look(&args, &target).await?;
    if args.mend {
        let timeout = Duration::from_secs(args.drain_timeout_seconds);
        for migration in wanted(&args, &target) {
            let of_it = |finding: &&Finding| {
                finding.by_hand.is_none()
                    && (finding.migration == *migration || finding.migration == doctor::ALL)
            };
            if found.iter().any(|finding| of_it(&finding)) {
                for finding in found.iter().filter(of_it) {
                    say(&format!("{}: {}", finding.migration, finding.what));
                }
                doctor::mend(&target.url, &target.rules, migration, timeout, &mut say).await?;
            }
        }
        found = look(&args, &target).await?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else if found.is_empty() {
        println!("nothing is left to be put right");
    } else {
        for finding in &found {
            println!("{finding}");
        }
    }
    Ok(match found.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn wanted<'a>(args: &'a Args, target: &'a CommandTarget) -> impl Iterator<Item = &'a String> {
    let names = target.rules.migrations().iter().map(|m| &m.name);
    names.filter(|name| args.migration.as_ref().is_none_or(|wanted| wanted == *name))
}

async fn look(args: &Args, target: &CommandTarget) -> anyhow::Result<Vec<Finding>> {
    let client = connect(&target.url, "doctor").await?;
    schema::must_be_prepared(&client).await?;
    let mut found = Vec::new();
    for name in wanted(args, target) {
        found.extend(doctor::look(&client, named::find(&target.rules, name)?).await?);
    }
    found.extend(doctor::remains(&client).await?);
    found.extend(doctor::undelivered(&client).await?);
    Ok(found)
}
