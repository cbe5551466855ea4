//! What of two answers must be equal, and what need not be.

use std::fmt;

use crossfade_tests::answer::comparable;
use crossfade_tests::generate::{Case, Statement};
use crossfade_tests::raw::Message;
use rewrite_rules::Phase;

use super::excuses::{Answered, excuse, is_denied};
use super::subject::Subject;

/// What one side answered to a statement, and the rows seen after it.
pub struct Step {
    pub answer: Vec<String>,
    pub seen: Option<Vec<String>>,
    pub refused: Option<String>,
}

impl Step {
    pub fn fails(&self) -> bool {
        self.answer.iter().any(|line| line.starts_with("E "))
    }
}

pub struct Difference {
    pub phase: Phase,
    pub statements: Vec<String>,
    pub expected: String,
    pub got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.phase)?;
        for statement in &self.statements {
            writeln!(f, "    {statement}")?;
        }
        write!(
            f,
            "PostgreSQL:\n{}\nCrossfade:\n{}",
            self.expected, self.got
        )
    }
}

/// What must be equal: rows in their order only where there is one, none of a plan, and none
/// before an error, whose moment is the plan's choice.
pub fn reduced(messages: &[Message], statement: &Statement, writes: bool) -> Vec<String> {
    // Of a row that it only locked PostgreSQL says either.
    let told = comparable(messages).into_iter();
    let mut told: Vec<String> = told
        .map(|line| line.replace("due to concurrent delete", "due to concurrent update"))
        .collect();
    // Which branches of a UNION are left is the plan's choice, and with them a portal's modifiers.
    if statement.constructs.contains("set operation")
        && let Some(bound) = told.iter().position(|line| line == "2 []")
    {
        let (before, mut behind) = (told[..bound].to_vec(), told.split_off(bound));
        behind.retain(|line| !line.starts_with("T "));
        told = [before, behind].concat();
    }
    let fails = told.iter().any(|line| line.starts_with("E "));
    let explains = statement.constructs.contains("EXPLAIN");
    let mut lines: Vec<String> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    for line in told {
        let row = line.starts_with("D ") || line.starts_with("d ");
        if row {
            rows.push(line);
            continue;
        }
        // Ids that a default has drawn have no order in common.
        let drawn = writes && rows.iter().any(|row| row.contains("<id>"));
        if !statement.ordered || drawn {
            rows.sort();
        }
        if !explains && !fails {
            lines.append(&mut rows);
        }
        rows.clear();
        // Whether an error comes at Bind or at Execute is the planner's choice as well.
        if !fails || line.starts_with(['C', 'E', 'N', 'Z']) {
            lines.push(line);
        }
    }
    lines
}

/// The error and the transaction's state alone: a text of several statements that cannot be
/// rewritten fails as a whole, without the results of those before.
fn only_error(answer: &[String]) -> Vec<&String> {
    let error = answer.iter().position(|line| line.starts_with("E "));
    error.map_or_else(Vec::new, |at| answer[at..].iter().collect())
}

/// A value of the wrong type meets the mapping of its values before its column: where an INSERT has
/// several rows or a query it cannot be told which value it was.
fn is_mapped_mismatch(sql: &str, wanted: &[String], got: &[String]) -> bool {
    if !sql.to_ascii_uppercase().contains("INSERT") {
        return false;
    }
    let has = |answer: &[String], start: &str| answer.iter().any(|line| line.starts_with(start));
    has(wanted, "E ERROR | 42804 | column \"role\"")
        && has(got, "E ERROR | 42883 | operator does not exist")
}

/// Of two errors Crossfade tells the one that it finds itself, before the server has run anything.
/// PostgreSQL comes to it later: behind another one in the same statement's analysis, or in a
/// statement behind the one that failed.
fn is_told_first(statement: &Statement, wanted: &[String], got: &[String]) -> bool {
    let ours = [
        "0A000 | source for a multiple-column UPDATE item",
        "42703 | column \"nothing\" of relation \"iso_agents\"",
        "42601 | INSERT has more",
    ];
    let (Some(wanted), Some(got)) = (Failure::of(wanted), Failure::of(got)) else {
        return false;
    };
    // PostgreSQL parses before it looks at the transaction; but not everything may be passed to it.
    let aborted = wanted.is("42601") && got.is("25P02") && may_end(&statement.sql);
    let found_early = ours.iter().any(|ours| got.told.starts_with(ours));
    if aborted || !found_early || got.told == wanted.told {
        return aborted;
    }
    let begins = |position: usize| {
        let mut later = statement.later.iter().rev();
        later.find(|start| **start < position).copied()
    };
    let behind = got.position.and_then(begins);
    match (behind, wanted.position) {
        // In a statement behind the one that failed; an error of a value has no place.
        (Some(start), Some(failed)) if failed <= start => true,
        (Some(_), None) => true,
        // In the same one, by its analysis: types, names, and constants that are no such value.
        (Some(_) | None, _) => got.is("0A000") && (wanted.is("42") || wanted.is("22")),
    }
}

/// Whether a text may end a transaction.
fn may_end(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    let ends = ["commit", "end", "rollback", "prepare"];
    ends.iter().any(|word| sql.contains(word))
}

/// An answer's error.
pub struct Failure<'a> {
    /// From its SQLSTATE on.
    pub told: &'a str,
    position: Option<usize>,
}

impl<'a> Failure<'a> {
    pub fn of(answer: &'a [String]) -> Option<Failure<'a>> {
        let mut lines = answer.iter();
        let told = lines.find_map(|line| line.strip_prefix("E ERROR | "))?;
        let position = told.split(" | ").nth(2).and_then(|at| at.parse().ok());
        Some(Failure { told, position })
    }

    pub fn is(&self, sqlstate: &str) -> bool {
        self.told.starts_with(sqlstate)
    }
}

pub fn compare(
    subject: Subject,
    phase: Phase,
    case: &Case,
    expected: &[Step],
    got: &[Step],
) -> Option<Difference> {
    let all: Vec<&Statement> = case.all().collect();
    // Where what waits is refused nothing has met.
    let met = case.statements.len().saturating_sub(1);
    let refused = |step: &Step| step.refused.is_some();
    let apart = case.waiting.is_some() && got.iter().skip(met).any(refused);
    for (at, step) in got.iter().enumerate() {
        if step.refused.is_some() || apart && at >= met {
            return None;
        }
        let told = |expected: String, got: String| Difference {
            phase,
            statements: all[..=at].iter().copied().map(shown).collect(),
            expected,
            got,
        };
        let Some(wanted) = expected.get(at) else {
            return Some(told("nothing".to_owned(), step.answer.join("\n")));
        };
        let several = all[at].constructs.contains("several statements");
        let failed_whole = several
            && step
                .answer
                .first()
                .is_some_and(|line| line.starts_with("E "))
            && only_error(&wanted.answer) == only_error(&step.answer);
        // Constants are computed by the plan, in places that are not the same.
        let statement = all[at];
        let failed = Failure::of(&wanted.answer);
        let planned = statement.constructs.contains("EXPLAIN")
            && failed.is_some_and(|failure| failure.is("22"))
            && step.answer.iter().any(|line| line == "C EXPLAIN");
        let excused = failed_whole
            || planned
            || is_mapped_mismatch(&statement.sql, &wanted.answer, &step.answer)
            || is_told_first(statement, &wanted.answer, &step.answer)
            || is_equal_as_numbers(statement, &wanted.answer, &step.answer);
        let answered = Answered {
            subject,
            phase,
            statements: &all[..=at],
            wanted: &wanted.answer,
            got: &step.answer,
        };
        if wanted.answer != step.answer && excuse(&answered).is_some() {
            return None;
        }
        if wanted.answer != step.answer && !excused {
            let (wanted, got) = unlike(&wanted.answer, &step.answer);
            return Some(told(wanted, got));
        }
        // One transaction failed and the other goes on, or ended before what failed as a whole: what
        // comes behind has nothing to be compared with.
        let apart = planned && (several || wanted.answer.last() != step.answer.last());
        if apart || failed_whole && may_end(&statement.sql) {
            return None;
        }
        if let (Some(wanted), Some(seen)) = (&wanted.seen, &step.seen) {
            if is_denied(seen, &all[..=at]) {
                return None;
            }
            // Side 3 is the unified one, 2 the legacy one; the straight database has only 2.
            let truth: Vec<&str> = wanted.iter().map(|row| row.as_str()).collect();
            let agents: Vec<&str> = truth
                .iter()
                .filter_map(|row| row.strip_prefix("2 "))
                .collect();
            let mut wrong: Vec<String> = Vec::new();
            for side in ["2 ", "3 "] {
                let rows: Vec<&str> = seen
                    .iter()
                    .filter_map(|row| row.strip_prefix(side))
                    .collect();
                if !rows.is_empty() || agents.is_empty() {
                    let (only_wanted, only_got) = unlike(&owned(&agents), &owned(&rows));
                    if !only_wanted.is_empty() || !only_got.is_empty() {
                        wrong.push(format!(
                            "side {side}lacks\n{only_wanted}\nand has\n{only_got}"
                        ));
                    }
                }
            }
            let others = |rows: &[String]| -> Vec<String> {
                rows.iter()
                    .filter(|row| !row.starts_with(['2', '3']))
                    .cloned()
                    .collect()
            };
            if others(wanted) != others(seen) {
                let (a, b) = unlike(&others(wanted), &others(seen));
                wrong.push(format!("neighbours lack\n{a}\nand have\n{b}"));
            }
            if !wrong.is_empty() {
                return Some(told("other rows afterwards".to_owned(), wrong.join("\n")));
            }
        }
    }
    None
}

fn owned(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

pub fn shown(statement: &Statement) -> String {
    let parameters: Vec<String> = statement
        .parameters
        .iter()
        .map(|p| match &p.value {
            None => "NULL".to_owned(),
            Some(bytes) => String::from_utf8_lossy(bytes).escape_debug().to_string(),
        })
        .collect();
    let data = statement.data.as_deref().unwrap_or_default();
    format!(
        "{:?} {} {parameters:?} {data}",
        statement.protocol, statement.sql
    )
}

/// Of equal values a set operation gives the one that its plan comes to first: 0.0 or 0.00.
fn is_equal_as_numbers(statement: &Statement, wanted: &[String], got: &[String]) -> bool {
    let number = |value: &str| match value.contains('.') && value.parse::<f64>().is_ok() {
        true => value.trim_end_matches('0').to_owned(),
        false => value.to_owned(),
    };
    let rows = |answer: &[String]| {
        let line = |line: &String| line.split('"').map(number).collect::<Vec<_>>();
        let mut lines: Vec<_> = answer.iter().map(line).collect();
        lines.sort();
        lines
    };
    statement.constructs.contains("set operation") && rows(wanted) == rows(got)
}

/// The lines that only one of two answers has.
fn unlike(wanted: &[String], got: &[String]) -> (String, String) {
    const LINES_MAX: usize = 6;
    let only = |a: &[String], b: &[String], sign: &str| {
        let lines: Vec<String> = a
            .iter()
            .filter(|line| !b.contains(line))
            .take(LINES_MAX)
            .map(|line| format!("{sign} {}", line.chars().take(400).collect::<String>()))
            .collect();
        lines.join("\n")
    };
    let (a, b) = (only(wanted, got, "-"), only(got, wanted, "+"));
    if a.is_empty() && b.is_empty() && wanted != got {
        return (
            format!("{wanted:?}").chars().take(900).collect(),
            format!("{got:?}").chars().take(900).collect(),
        );
    }
    (a, b)
}
