//! What the cases covered: constructs × phases, and the refusals by reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crossfade_tests::generate::Case;
use crossfade_tests::raw::Message;
use rewrite_rules::Phase;

/// The refusals that are accepted, in the words of their messages and of docs/limits.md.
const ACCEPTED: &[&str] = &[
    "MERGE into a migrated table before PostgreSQL 17",
    "TABLESAMPLE of a table that is read from its new place",
    "WHERE CURRENT OF once reads are unified",
    "the system column",
    "a whole row as a result column",
    "is named without its schema",
];

const LIMITS: &str = include_str!("../../../../docs/limits.md");

#[derive(Default)]
pub struct Coverage {
    /// Compared and refused, for each construct and phase.
    counts: BTreeMap<&'static str, [(u32, u32); Phase::ALL.len()]>,
    refused: BTreeMap<String, u32>,
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
        || said.contains("is named without its schema after this session changed search_path");
    if !ours {
        return None;
    }
    let reason = said
        .strip_prefix("crossfade does not rewrite ")
        .unwrap_or(&said);
    Some(reason.split(" (table ").next().unwrap_or(reason).to_owned())
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

    /// Whether a case has a construct that some phase has not met.
    pub fn wants(&self, case: &Case) -> bool {
        let mut constructs = case
            .statements
            .iter()
            .flat_map(|statement| &statement.constructs);
        constructs.any(|construct| {
            let counted = self.counts.get(construct);
            counted.is_none_or(|phases| phases.iter().any(|(ours, theirs)| ours + theirs == 0))
        })
    }

    /// Every construct met every phase, and nothing else was refused than what may be.
    pub fn check(&self) {
        for (construct, phases) in &self.counts {
            for (phase, (compared, refused)) in Phase::ALL.iter().zip(phases) {
                assert!(compared + refused > 0, "{construct} never met {phase}");
            }
        }
        for reason in self.refused.keys() {
            let accepted = ACCEPTED.iter().find(|words| reason.contains(**words));
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
