//! `crossfade check`: whether the rules fit the database, before anything is moved.
//!
//! It reads catalogs and tries the lens's laws on sampled rows in a transaction that is rolled
//! back. It changes nothing, and knows no mapping but what the lens gives as SQL.

mod between;
mod collisions;
mod laws;
mod limits;
mod lookups;
mod others_code;
mod shape;
mod surroundings;
mod targets;
mod unseen;

use std::collections::BTreeMap;

use rewrite_rules::{Lens, Migration, RuleSet};
use serde::Serialize;
use tokio_postgres::Client;

use crate::control::{ControlError, callers, connect, schema};

/// One thing that was found.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub table: String,
    pub found: String,
    /// What to do about it; empty for what only should be known.
    pub settle: String,
}

#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// To be known: nothing breaks.
    Note,
    /// Something that no proxy can see or settle: the operator must.
    Warning,
    /// Rows would be lost, wrong or refused.
    Error,
}

impl Severity {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Collects what is found about one table.
pub(crate) struct Findings {
    table: String,
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, severity: Severity, found: String, settle: &str) {
        let table = self.table.clone();
        self.all.push(Finding {
            severity,
            table,
            found,
            settle: settle.to_owned(),
        });
    }

    fn error(&mut self, found: String, settle: &str) {
        self.add(Severity::Error, found, settle);
    }

    fn warning(&mut self, found: String, settle: &str) {
        self.add(Severity::Warning, found, settle);
    }

    fn note(&mut self, found: String) {
        self.add(Severity::Note, found, "");
    }
}

/// Checks one migration against its database, worst findings first.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    migration: &str,
    sample_rows: u32,
) -> Result<Vec<Finding>, ControlError> {
    let migration = crate::control::step::find(rules, migration)?;
    let control = connect(url, "check").await?;
    let mut all = Vec::new();
    for lens in &migration.tables {
        let mut findings = Findings {
            table: crate::control::shown(&lens.legacy.sql()),
            all: Vec::new(),
        };
        let fits = shape::check(&control, lens, &mut findings).await?;
        surroundings::check(&control, lens, &mut findings).await?;
        others_code::check(&control, lens, &mut findings).await?;
        if fits {
            between::check(&control, lens, &mut findings).await?;
        }
        if fits && has_legacy(migration) {
            if !migration.phase.reads_unified() {
                collisions::check(&control, lens, &mut findings).await?;
            }
            lookups::check(&control, lens, &mut findings).await?;
            targets::check(&control, (rules, migration), lens, &mut findings).await?;
            laws::check(&control, lens, sample_rows, &mut findings).await?;
        }
        all.append(&mut findings.all);
    }
    all.append(&mut callers(&control, rules).await?);
    all.append(&mut unseen::check(&control).await?);
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(all)
}

/// Who may do too much or too little in schema `crossfade`, one finding for each role.
async fn callers(client: &Client, rules: &RuleSet) -> Result<Vec<Finding>, ControlError> {
    if !schema::is_prepared(client).await? {
        return Ok(Vec::new());
    }
    let mut by_role: BTreeMap<(String, bool), Vec<String>> = BTreeMap::new();
    for off in callers::off(client, rules).await? {
        let what = format!("{} ON {}", off.right, off.on);
        by_role.entry((off.role, off.lacks)).or_default().push(what);
    }
    Ok(by_role
        .into_iter()
        .map(|((role, lacks), rights)| {
            let found = if lacks {
                format!(
                    "role {role} may use the tables but lacks {}",
                    rights.join(", ")
                )
            } else {
                format!(
                    "role {role} has no right on the tables that calls for {}",
                    rights.join(", ")
                )
            };
            Finding {
                severity: Severity::Error,
                table: "schema crossfade".to_owned(),
                found,
                settle: "`crossfade prepare` mends it".to_owned(),
            }
        })
        .collect())
}

/// Why a table does not fit the rules, one line each; nothing when it does.
pub(crate) async fn misfits(client: &Client, lens: &Lens) -> Result<Vec<String>, ControlError> {
    let mut findings = Findings {
        table: crate::control::shown(&lens.legacy.sql()),
        all: Vec::new(),
    };
    shape::check(client, lens, &mut findings).await?;
    let errors = findings.all.into_iter();
    Ok(errors
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}: {}", finding.table, finding.found))
        .collect())
}

/// Whether the legacy table must still be there.
fn has_legacy(migration: &Migration) -> bool {
    migration.phase != rewrite_rules::Phase::Retired
}
