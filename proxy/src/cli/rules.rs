//! `crossfade rules`: what is in force, and since when.

use std::process::ExitCode;

use anyhow::bail;

use super::target::control_url;
use crate::config::{Config, Flags};
use crate::control::{connect, epochs};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the rule file in force of this migration
    pub migration: Option<String>,
    #[command(flatten)]
    pub flags: Flags,
    /// Every epoch there was, the newest last
    #[arg(long, conflicts_with = "migration")]
    pub history: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.flags)?;
    let url = control_url(&config)?;
    let client = connect(&url, "rules").await?;
    if let Some(name) = &args.migration {
        let Some(known) = epochs::of(&client, name).await? else {
            bail!("crossfade.epochs has nothing of {name}; `crossfade rules` lists what it has");
        };
        print!("{}", known.rules);
        return Ok(ExitCode::SUCCESS);
    }
    let all = epochs::history(&client).await?;
    let newest = |line: &epochs::Epochs| {
        let later = all.iter().filter(|other| other.migration == line.migration);
        later.map(|other| other.epoch).max() == Some(line.epoch)
    };
    for line in all.iter().filter(|line| args.history || newest(line)) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
