//! What the cases covered: constructs × phases, and the refusals by reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crossfade_tests::generate::Case;
use crossfade_tests::raw::Message;
use rewrite_rules::Phase;

use super::subject::Subject;

const LIMITS: &str = include_str!("../../../../docs/limits.md");

/// Constructs that PostgreSQL refuses.
const FAILS: [&str; 5] = [
    "no room",
    "a value for a computed column",
    "GROUP BY what is no key",
    "key change under RESTRICT",
    "delete under RESTRICT",
];

#[derive(Default)]
pub struct Coverage {
    /// Compared and refused, for each construct and phase.
    counts: BTreeMap<&'static str, [(u32, u32); Phase::ALL.len()]>,
    refused: BTreeMap<String, u32>,
    /// What PostgreSQL did without an error.
    done: BTreeSet<&'static str>,
    statements: u32,
}

/// The reason in an error that is Crossfade's own.
pub fn refusal(message: &Message) -> Option<String> {
    if message.tag != b'E' {
        return None;
    }
    let said = message.field(b'M')?;
    let ours = said.starts_with("crossfade does not")
        || said.contains("which crossfade is migrating")
        || said.starts_with("at REPEATABLE READ nothing can tell")
        || said.contains("is named without its schema after this session changed search_path");
    if !ours {
        return None;
    }
    let reason = said
        .strip_prefix("crossfade does not rewrite ")
        .unwrap_or(&said);
    Some(reason.split(" (table ").next().unwrap_or(reason).to_owned())
}

fn is_to_fail(construct: &str) -> bool {
    FAILS.iter().any(|begin| construct.starts_with(begin))
}

impl Coverage {
    pub fn count(
        &mut self,
        phase: Phase,
        constructs: &BTreeSet<&'static str>,
        refused: Option<&str>,
    ) {
        self.statements += 1;
        for construct in constructs {
            let cell = &mut self.counts.entry(construct).or_default()[phase as usize];
            match refused {
                None => cell.0 += 1,
                Some(_) => cell.1 += 1,
            }
        }
        if let Some(reason) = refused {
            *self.refused.entry(reason.to_owned()).or_default() += 1;
        }
    }

    /// Notes what the database that is left alone did.
    pub fn did(&mut self, constructs: &BTreeSet<&'static str>, fails: bool) {
        if !fails {
            self.done.extend(constructs);
        }
    }

    /// Whether a case has a construct that some phase has not met, or that has done nothing yet but fail.
    pub fn wants(&self, subject: Subject, case: &Case) -> bool {
        let mut constructs = case.all().flat_map(|statement| &statement.constructs);
        constructs.any(|construct| {
            let counted = self.counts.get(construct);
            let must_do = subject.constructs().contains(construct) && !is_to_fail(construct);
            must_do && !self.done.contains(construct)
                || counted
                    .is_none_or(|phases| phases.iter().any(|(ours, theirs)| ours + theirs == 0))
        })
    }

    /// Every construct of the subject occurred and met every phase, none does nothing but fail unless that is what it is
    /// for, and nothing else was refused than what may be.
    pub fn check(&self, subject: Subject) {
        for construct in subject.constructs() {
            let there = self.counts.contains_key(construct);
            assert!(there, "{construct} never occurred");
            let done = is_to_fail(construct) || self.done.contains(construct);
            assert!(done, "{construct} does nothing but fail");
        }
        for (construct, phases) in &self.counts {
            for (phase, (compared, refused)) in Phase::ALL.iter().zip(phases) {
                assert!(compared + refused > 0, "{construct} never met {phase}");
            }
        }
        for reason in self.refused.keys() {
            let accepted = subject
                .accepted()
                .iter()
                .find(|words| reason.contains(**words));
            assert!(
                accepted.is_some_and(|words| LIMITS.contains(words)),
                "refused, and not told in docs/limits.md: {reason}"
            );
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<32}", "construct (refused)")?;
        for phase in Phase::ALL {
            write!(f, "{:>15}", phase.name())?;
        }
        writeln!(f)?;
        for (construct, phases) in &self.counts {
            write!(f, "{construct:<32}")?;
            for (compared, refused) in phases {
                let cell = if *refused > 0 {
                    format!("{compared} ({refused})")
                } else {
                    compared.to_string()
                };
                write!(f, "{cell:>15}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "{} statements; refusals:", self.statements)?;
        for (reason, count) in &self.refused {
            writeln!(f, "{count:>6} {reason}")?;
        }
        Ok(())
    }
}
