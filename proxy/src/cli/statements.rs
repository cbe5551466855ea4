//! `crossfade statements`: what came of the statements that name a managed table, by shape and phase.

use std::process::ExitCode;

use super::status::age;
use super::target::control_url;
use crate::config::{Config, Flags};
use crate::control::results::{self, StatementResult};
use crate::control::{connect, schema};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those that name a table of this migration
    pub migration: Option<String>,
    #[command(flatten)]
    pub flags: Flags,
    /// So many, the most called first
    #[arg(long, default_value_t = 50, value_name = "NUMBER")]
    pub limit: u32,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let url = control_url(&Config::load(&args.flags)?)?;
    let client = connect(&url, "statements").await?;
    schema::must_be_prepared(&client).await?;
    let all = results::read(&client, args.migration.as_deref(), args.limit.into()).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() {
        println!("no statement that names a managed table was seen");
    }
    for result in &all {
        print!("{}", lines(result));
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(result: &StatementResult) -> String {
    let words = result.statement.as_deref().unwrap_or("(others)");
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut said = format!(
        "{}\n    {} in {}{}: {} times, {} rows",
        words.join(" "),
        if result.migration.is_empty() {
            "(any)"
        } else {
            &result.migration
        },
        result.phase,
        if result.canary { ", canary" } else { "" },
        result.calls,
        result.rows
    );
    if let (Some(mean), Some(p99)) = (result.mean_ms, result.p99_ms) {
        said += &format!(", {mean:.2} ms in the mean, p99 below {p99:.2} ms");
    }
    for (count, what) in [
        (result.failed, "failed"),
        (result.fallbacks, "rows fell back"),
        (result.refused, "refused"),
    ] {
        if count > 0 {
            said += &format!(", {count} {what}");
        }
    }
    if let Some(why) = result.why.as_deref().filter(|_| result.refused > 0) {
        said += &format!(" ({why})");
    }
    said += &format!(", last {} ago\n", age(result.last_seen_seconds));
    if let Some(plans) = &result.plans {
        said += &format!("    planned worse: {plans} (`crossfade coverage --plans`)\n");
    }
    said
}
