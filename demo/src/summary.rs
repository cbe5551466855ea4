//! What the demo has to show for itself, for people and for programs.

use std::time::Duration;

use rewrite_rules::Phase;
use serde_json::{Value, json};

use crate::board::Tally;
use crate::check::Verdict;

#[derive(Debug)]
pub struct Summary {
    pub migration: String,
    /// `iso_agents moved to users`.
    pub moved: String,
    pub statements_old: u64,
    pub statements_new: u64,
    pub phases: [(Phase, Tally); Phase::ALL.len()],
    pub client_errors: u64,
    pub troubles: Vec<String>,
    pub fallbacks: i64,
    pub divergences: i64,
    pub data: Verdict,
    pub elapsed: Duration,
}

impl Summary {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.client_errors == 0
            && self.divergences == 0
            && self.data.is_clean()
            && self.statements_old > 0
    }

    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            String::new(),
            format!(
                "  {:14} {:>11} {:>9} {:>10} {:>9}",
                "phase", "statements", "refused", "different", "retried"
            ),
        ];
        lines.extend(self.phases.iter().map(|(phase, tally)| {
            format!(
                "  {:14} {:>11} {:>9} {:>10} {:>9}",
                phase.name(),
                tally.statements,
                tally.refused,
                tally.different,
                tally.retried
            )
        }));
        lines.extend([
            String::new(),
            format!(
                "  statements     {:>8}  ({} by the old version, {} by the new one)",
                self.statements_old + self.statements_new,
                self.statements_old,
                self.statements_new
            ),
            format!("  client errors  {:>8}", self.client_errors),
            format!("  rows compared  {:>8}", self.data.compared),
            format!("  missing        {:>8}", self.data.missing),
            format!("  extra          {:>8}", self.data.extra),
            format!("  different      {:>8}", self.data.different),
            format!("  divergences    {:>8}", self.divergences),
            format!("  fallbacks      {:>8}", self.fallbacks),
            format!("  time           {:>7.1}s", self.elapsed.as_secs_f64()),
        ]);
        for trouble in self.troubles.iter().chain(&self.data.samples) {
            lines.push(format!("  ! {trouble}"));
        }
        lines
    }

    /// The same for a program. Seconds are whole.
    #[must_use]
    pub fn json(&self) -> Value {
        let phases = self.phases.iter().map(|(phase, tally)| {
            json!({
                "phase": phase.name(),
                "statements": tally.statements,
                "refused": tally.refused,
                "different": tally.different,
                "retried": tally.retried,
            })
        });
        json!({
            "migration": self.migration,
            "clean": self.is_clean(),
            "phases": phases.collect::<Vec<Value>>(),
            "client_errors": self.client_errors,
            "rows_compared": self.data.compared,
            "missing": self.data.missing,
            "extra": self.data.extra,
            "different": self.data.different,
            "divergences": self.divergences,
            "fallbacks": self.fallbacks,
            "troubles": self.troubles.iter().chain(&self.data.samples).collect::<Vec<_>>(),
            "seconds": self.elapsed.as_secs(),
        })
    }
}
