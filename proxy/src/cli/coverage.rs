//! `crossfade coverage`: what later phases will make of the statements seen so far. Exit code 0 only
//! if none of them will be refused. With `--plans`, how they will be planned, too.

mod plans;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::target::{CommandTarget, MigrationArgs};
use crate::control::connect;
use crate::control::coverage::{self, Coverage, CoverageOutcome};
use crate::control::{named, plans as kept, schema, statements};
use crate::plans::compare::{Comparison, compare};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub of: MigrationArgs,
    /// Judge the statements of a file instead, one on each line
    #[arg(long, value_name = "FILE", conflicts_with = "pg_stat_statements")]
    pub file: Option<PathBuf>,
    /// Judge what the server's pg_stat_statements holds instead
    #[arg(long)]
    pub pg_stat_statements: bool,
    /// Say as well which statements the server would plan worse than on the legacy table; nothing is run
    #[arg(long)]
    pub plans: bool,
    /// The application's role, for which they are planned; default: the owner of the legacy table
    #[arg(long, requires = "plans")]
    pub role: Option<String>,
    /// The judgement as JSON
    #[arg(long)]
    pub json: bool,
}

const REFUSED: u8 = 1;

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = CommandTarget::load(&args.of.flags).await?;
    named::find(&target.rules, &args.of.migration)?;
    let client = connect(&target.url, "coverage").await?;
    let seen = match &args.file {
        Some(path) => from_file(path)?,
        None if args.pg_stat_statements => statements::from_pg_stat_statements(&client).await?,
        None => statements::read(&client).await?,
    };
    let of_rules = (&target.rules, args.of.migration.as_str());
    let compared = match args.plans {
        true => Some(planned(&args, of_rules, &target.url, seen.clone()).await?),
        false => None,
    };
    let judged = coverage::judge(&target.rules, &args.of.migration, seen, Some(&client)).await;
    match (args.json, &compared) {
        (true, None) => println!("{}", serde_json::to_string_pretty(&judged)?),
        (true, Some(compared)) => {
            let all = serde_json::json!({
                "statements": judged,
                "plans": compared.findings,
                "planned_for": compared.role,
                "not_planned": compared.left_out,
            });
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
        (false, compared) => {
            print!("{}", text(&args.of.migration, &judged));
            if let Some(compared) = compared {
                print!("{}", plans::text(&args.of.migration, compared));
            }
        }
    }
    let covered = judged.iter().all(Coverage::is_covered);
    Ok(if covered {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REFUSED)
    })
}

/// Plans what was seen, and puts down what was found, unless it is of a file that nobody may ever send.
async fn planned(
    args: &Args,
    (rules, migration): (&rewrite_rules::RuleSet, &str),
    url: &str,
    mut seen: Vec<statements::SeenStatement>,
) -> anyhow::Result<Comparison> {
    if args.file.is_some() || args.pg_stat_statements {
        // What the server counted has its parameters, but comments and utility statements' constants as well.
        for one in &mut seen {
            if let Some(shape) = rewrite_rules::shape(&one.statement) {
                one.statement = shape;
            }
        }
    }
    // Its session is reset again and again.
    let client = connect(url, "plans").await?;
    let compared = compare(&client, (rules, migration), seen, args.role.as_deref()).await?;
    if args.file.is_none() && schema::is_prepared(&client).await? {
        kept::replace(&client, migration, &compared.findings).await?;
    }
    Ok(compared)
}

fn from_file(path: &PathBuf) -> anyhow::Result<Vec<statements::SeenStatement>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines
        .map(|line| statements::SeenStatement {
            statement: line.to_owned(),
            calls: 0,
            last_seen_seconds: None,
        })
        .collect())
}

fn text(migration: &str, judged: &[Coverage]) -> String {
    let refused: Vec<&Coverage> = judged.iter().filter(|one| !one.is_covered()).collect();
    let mut said = format!(
        "{migration}: {} distinct statements, {} of them not covered in a later phase\n",
        judged.len(),
        refused.len()
    );
    for one in judged {
        let statement = one
            .statement
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        said += &format!("  {:>9}  {statement}\n", one.calls);
        for (phases, problem) in problems(one) {
            said += &format!("             in {phases}: {problem}\n");
        }
    }
    said
}

/// The same problem in several phases is said once.
fn problems(one: &Coverage) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for phase in &one.phases {
        let problem = match &phase.outcome {
            CoverageOutcome::Passes | CoverageOutcome::Rewritten => continue,
            CoverageOutcome::Refused { message, hint } => format!("REFUSED: {message} ({hint})"),
            CoverageOutcome::Rejected { message } => format!("REJECTED by the server: {message}"),
        };
        match found.iter_mut().find(|(_, known)| *known == problem) {
            Some((phases, _)) => *phases += &format!(", {}", phase.phase),
            None => found.push((phase.phase.clone(), problem)),
        }
    }
    found
}
