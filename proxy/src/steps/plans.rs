//! What is known of the plans of the statements in the phases to come. A plan is no answer that could be wrong: what is found
//! is told before a step, and holds none up.

use rewrite_rules::{Migration, Phase};
use tokio_postgres::Client;

use crate::control::error::ControlError;
use crate::control::gate::Gate;
use crate::control::plans::{self, PlanFinding};

/// Enough to see what kind of statement it is; `coverage --plans` has all of them.
const STATEMENTS_SHOWN: usize = 3;
const STATEMENT_CHARS_MAX: usize = 100;
/// Of one migration there are at most as many: `plans::compare` plans 500 statements for five phases.
const FINDINGS_MAX: i64 = 10_000;

/// What the last comparison found for `to` and the phases after it.
///
/// # Errors
/// The database does not answer, or was never prepared.
pub async fn advice(
    client: &Client,
    migration: &Migration,
    to: Phase,
) -> Result<Gate, ControlError> {
    let name = &migration.name;
    let mut findings = plans::read(client, Some(name), FINDINGS_MAX).await?;
    let compared_before = findings.first().map(|found| found.compared_seconds_ago);
    findings.retain(|found| found.phase.parse::<Phase>().is_ok_and(|phase| phase >= to));
    Ok(Gate {
        name: "plans",
        met: true,
        found: words(name, &findings, compared_before),
        settle: String::new(),
    })
}

fn words(name: &str, findings: &[PlanFinding], compared_before: Option<f64>) -> String {
    let Some(seconds) = compared_before else {
        return format!(
            "nobody has compared them yet, and the step does not ask for it: `crossfade coverage {name} --plans` says which \
             statements would be planned worse"
        );
    };
    let statements = distinct(findings.iter());
    let worse: Vec<&PlanFinding> = findings
        .iter()
        .filter(|found| found.verdict.is_regression())
        .collect();
    let ago = format!("compared {:.0} min ago", seconds / 60.0);
    if worse.is_empty() {
        let unknown = findings.iter().filter(|found| found.verdict.rank() == 2);
        return format!(
            "none of {} statements is known to be planned worse ({ago}); of {} it cannot be told",
            statements.len(),
            distinct(unknown).len()
        );
    }
    let all = distinct(worse.iter().copied());
    let shown = all.iter().take(STATEMENTS_SHOWN).map(|statement| {
        let of = worse.iter().find(|found| found.statement == **statement);
        let words: Vec<&str> = statement.split_whitespace().collect();
        let short: String = words.join(" ").chars().take(STATEMENT_CHARS_MAX).collect();
        of.map_or_else(String::new, |of| {
            format!("{short}: in {} it {}", of.phase, of.words())
        })
    });
    format!(
        "advice, which holds up no step: {} of {} statements would be planned worse ({ago}): {}; `crossfade coverage {name} \
         --plans` looks again and shows all",
        all.len(),
        statements.len(),
        shown.collect::<Vec<_>>().join("; ")
    )
}

/// Each statement once, in their order.
fn distinct<'f>(findings: impl Iterator<Item = &'f PlanFinding>) -> Vec<&'f str> {
    let mut found: Vec<&str> = Vec::new();
    for finding in findings {
        if !found.contains(&finding.statement.as_str()) {
            found.push(&finding.statement);
        }
    }
    found
}
