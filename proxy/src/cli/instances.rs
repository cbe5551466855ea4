//! `crossfade instances`: which proxies serve what, and those that fell silent.

use std::process::ExitCode;

use super::status::age;
use super::target::control_url;
use crate::config::{Config, Flags};
use crate::control::instances::{self, Served};
use crate::control::{connect, schema};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub flags: Flags,
    /// Take an instance off the list that fell silent, by its id or the beginning of it
    #[arg(long, value_name = "ID")]
    pub forget: Option<String>,
    /// The list as JSON
    #[arg(long, conflicts_with = "forget")]
    pub json: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.flags)?;
    let url = control_url(&config)?;
    let client = connect(&url, "instances").await?;
    schema::must_be_prepared(&client).await?;
    if let Some(id) = &args.forget {
        let forgotten = instances::forget(&client, id).await?;
        println!("{forgotten} is not on the list any more");
        return Ok(ExitCode::SUCCESS);
    }
    let all = instances::all(&client).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() {
        println!("none is registered");
    }
    for Served {
        migration,
        instance,
    } in &all
    {
        let epoch = instance
            .epoch
            .map_or_else(|| "no epoch".to_owned(), |epoch| format!("epoch {epoch}"));
        let how = match (instance.live, instance.drained) {
            (true, true) => "drained".to_owned(),
            (true, false) => "NOT drained".to_owned(),
            (false, _) => format!("silent for {}", age(instance.seen_seconds_ago)),
        };
        println!(
            "{instance}: {migration} in {} ({epoch}), {how}",
            instance.phase
        );
    }
    Ok(ExitCode::SUCCESS)
}
