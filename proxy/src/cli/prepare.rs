//! `crossfade prepare`: creates what migrations need in the application's database.

use std::process::ExitCode;

use super::target::Target;
use crate::config::Flags;
use crate::control::{connect, schema};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub flags: Flags,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = Target::load(&args.flags)?;
    let client = connect(&target.url, "prepare").await?;
    let prepared = schema::prepare(&client, &target.rules, schema::Ddl::OfAll).await?;
    if prepared.schema_created {
        println!(
            "created schema crossfade (USAGE and its functions for PUBLIC, its tables for its owner)"
        );
    } else {
        println!("schema crossfade is up to date");
    }
    for function in &prepared.functions_created {
        println!("created function {function}");
    }
    for table in &prepared.tables_absent {
        println!("{table} does not exist: its functions were not created");
    }
    Ok(ExitCode::SUCCESS)
}
