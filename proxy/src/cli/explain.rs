//! `crossfade explain`: what a statement becomes, offline.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use rewrite_rules::{Answer, Phase, RuleSet, SearchPath, TagVerb, Verdict};

use crate::rules_dir;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory of rule files
    #[arg(long, env = "CROSSFADE_RULES")]
    rules: PathBuf,
    /// Explain as in this phase; default: the one that the rule file names
    #[arg(long)]
    phase: Option<Phase>,
    /// The statement, as the application sends it
    sql: String,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let rules = rules_dir::load(&args.rules)
        .with_context(|| format!("cannot use the rules in {}", args.rules.display()))?;
    if rules.migrations().is_empty() {
        bail!(
            "no rule file in {}: nothing is rewritten",
            args.rules.display()
        );
    }
    let rules = match args.phase {
        Some(phase) => rules.with_phase(None, phase),
        None => rules,
    };
    println!("{}", explain(&rules, &args.sql));
    Ok(ExitCode::SUCCESS)
}

fn explain(rules: &RuleSet, sql: &str) -> String {
    let phases: Vec<String> = rules
        .migrations()
        .iter()
        .map(|m| format!("{} in {}", m.name, m.phase))
        .collect();
    let mut said = format!("-- {}\n", phases.join(", "));
    if !rules.must_read(sql.as_bytes()) {
        return said + "-- passes through: it names no table that is managed in this phase\n" + sql;
    }
    match &rules.rewrite(sql, SearchPath::AsDeclared).verdict {
        Verdict::PassThrough => said + "-- passes through as it is\n" + sql,
        Verdict::Refused(refusal) => {
            said += &format!(
                "-- refused with {}: {}\n-- hint: {}",
                refusal.sqlstate, refusal.message, refusal.hint
            );
            said
        }
        Verdict::Rewritten(rewritten) => {
            for (index, answer) in rewritten.answers.iter().enumerate() {
                if let Some(told) = told(*answer) {
                    said += &format!(
                        "-- statement {}: the client is answered {told}\n",
                        index + 1
                    );
                }
            }
            if let Some(shadow) = &rewritten.shadow {
                said += &format!("-- a sample is compared with: {}\n", shadow.unified);
            }
            said + &rewritten.sql
        }
    }
}

fn told(answer: Answer) -> Option<String> {
    let tag = match answer.tag? {
        TagVerb::Insert => "INSERT 0 n",
        TagVerb::Update => "UPDATE n",
        TagVerb::Delete => "DELETE n",
    };
    let rows = if answer.hide_rows {
        " without rows"
    } else {
        ""
    };
    Some(format!("`{tag}`{rows}"))
}
