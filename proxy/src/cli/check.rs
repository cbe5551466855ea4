//! `crossfade check`: whether the rules fit the database. Exit code 0 only without errors.

use std::process::ExitCode;

use super::target::{CommandTarget, MigrationArgs};
use crate::check::{self, Checked, Severity};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: MigrationArgs,
    /// Rows on which the mapping is tried, in a transaction that is rolled back
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub sample_rows: u32,
    /// The findings as JSON
    #[arg(long)]
    pub json: bool,
}

const ERRORS: u8 = 1;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::of_files(&args.of.flags).await?;
    let checked = check::run(
        &target.url,
        &target.rules,
        &args.of.migration,
        args.sample_rows,
    )
    .await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&checked.findings)?);
    } else {
        print!("{}", text(&args.of.migration, &checked));
    }
    let failed = checked
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    Ok(if failed {
        ExitCode::from(ERRORS)
    } else {
        ExitCode::SUCCESS
    })
}

fn text(migration: &str, checked: &Checked) -> String {
    let findings = &checked.findings;
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let mut said = String::new();
    for finding in findings {
        said += &format!(
            "{:<8} {}: {}\n",
            finding.severity.name(),
            finding.table,
            finding.found
        );
        if !finding.settle.is_empty() {
            said += &format!("         -> {}\n", finding.settle);
        }
    }
    // Of several hosts the one that was asked.
    let host = checked.host.as_deref().unwrap_or("a socket file");
    said + &format!(
        "{migration}: {} errors, {} warnings, {} notes, at {host}\n",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    )
}
