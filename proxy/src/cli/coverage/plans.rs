//! What a comparison of plans found, for people.

use crate::control::plans::PlanFinding;
use crate::plans::compare::Comparison;
use crate::plans::{COST_MIN, DEARER_TIMES, SCAN_PAGES_MIN};

/// Statements that are shown; `--json` has all.
const SHOWN_MAX: usize = 50;

/// One statement, and the neighbouring phases of which the same is said.
struct Line<'f> {
    of: &'f PlanFinding,
    phases: Vec<&'f str>,
}

pub(super) fn text(migration: &str, compared: &Comparison) -> String {
    let lines = lines(&compared.findings);
    let count = |rank: u8| {
        let of = lines.iter().filter(|line| line.of.verdict.rank() == rank);
        let mut statements: Vec<&str> = of.map(|line| line.of.statement.as_str()).collect();
        statements.sort_unstable();
        statements.dedup();
        statements.len()
    };
    let mut said = format!(
        "{migration}: plans of {} statements, planned for {}: {} read a whole table, {} are dearer, {} cannot be compared\n  \
         (a table counts from {SCAN_PAGES_MIN} pages on, a cost from {COST_MIN} on and {DEARER_TIMES} times that on legacy; \
         plans are generic ones, without values)\n",
        compared.statements,
        compared.role,
        count(0),
        count(1),
        count(2)
    );
    if compared.left_out > 0 {
        said += &format!(
            "  {} statements that were called less often were not planned\n",
            compared.left_out
        );
    }
    let worth: Vec<&Line<'_>> = lines
        .iter()
        .filter(|line| line.of.verdict.rank() < 3)
        .collect();
    for line in worth.iter().take(SHOWN_MAX) {
        let statement: Vec<&str> = line.of.statement.split_whitespace().collect();
        said += &format!(
            "  {:>9}  {}\n             in {}: {}\n",
            line.of.calls,
            statement.join(" "),
            line.phases.join(", "),
            line.of.words()
        );
    }
    if worth.len() > SHOWN_MAX {
        said += &format!("  and {} more\n", worth.len() - SHOWN_MAX);
    }
    said
}

fn lines(findings: &[PlanFinding]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for of in findings {
        let known = lines.iter_mut().find(|line| {
            line.of.statement == of.statement
                && line.of.verdict == of.verdict
                && line.of.words() == of.words()
        });
        match known {
            Some(line) => line.phases.push(&of.phase),
            None => lines.push(Line {
                of,
                phases: vec![&of.phase],
            }),
        }
    }
    lines
}
