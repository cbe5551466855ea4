//! `crossfade prepare`: creates what migrations need in the application's database.

use std::process::ExitCode;
use std::time::Duration;

use super::target::CommandTarget;
use crate::config::Flags;
use crate::control::guard::{self, EventTriggers};
use crate::control::{connect, epochs, grants, schema, seal};

/// As long as a table that is to be sealed may be in use by others.
const SEAL_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub flags: Flags,
    /// Print what has to be granted to a role before it can be the control connection's, and change
    /// nothing
    #[arg(long, value_name = "ROLE")]
    pub grants_for: Option<String>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::of_files(&args.flags).await?;
    let client = connect(&target.url, "prepare").await?;
    if let Some(role) = &args.grants_for {
        for grant in grants::grants(&client, &target.rules, role).await? {
            println!("{}", grant.statement);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let lacking = grants::lacking(&client, &target.rules).await?;
    if !lacking.is_empty() {
        eprintln!("The control connection's role lacks rights. Whoever owns the tables may run:");
        for statement in &lacking {
            eprintln!("  {statement}");
        }
    }
    let prepared = schema::prepare(&client, &target.rules, schema::Ddl::OfAll).await?;
    if prepared.schema_created {
        println!(
            "created schema crossfade (its tables for its owner, each function for the roles that hold the matching right)"
        );
    } else if let Some(found) = prepared.upgraded_from {
        println!(
            "brought schema crossfade from version {found} to {}",
            schema::VERSION
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
    match guard::prepare(&client, &target.rules).await? {
        EventTriggers::Yes => {}
        EventTriggers::MayNot => println!(
            "no event trigger refuses a change of the tables' columns that goes around the proxies: this role may \
             not create one. A superuser may: {}",
            guard::by_hand()
        ),
    }
    for migration in target.rules.migrations() {
        let phase = epochs::phase(&client, migration).await?;
        let mut tell = |line: &str| eprintln!("{line}");
        let open = seal::settle(&client, migration, phase, SEAL_PATIENCE, &mut tell).await?;
        if let Some(told) = seal::told_of(&open) {
            println!("{told}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
