//! `crossfade check`: whether the rules fit the database, before anything is moved.
//!
//! It reads catalogs and tries the lens's laws on sampled rows in a transaction that is rolled
//! back. It changes nothing, and knows no mapping but what the lens gives as SQL.

mod analysis;
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

use rewrite_rules::{Lens, Migration, Phase, RuleSet, WritersAround};
use serde::Serialize;
use tokio_postgres::Client;

use crate::control::connection::address;
use crate::control::{ControlError, callers, connect, guard, schema, seal};

/// One thing that was found.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub about: About,
    pub table: String,
    pub found: String,
    /// What to do about it; empty for what only should be known.
    pub settle: String,
}

/// What a finding speaks of, which decides whom it stops.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The rule file and the catalog: an error is one for every statement.
    Fit,
    /// Rows that are there now.
    Rows,
    /// Some of them that cannot be put, while others can: a backfill sets such rows aside, and goes on.
    Aside,
    /// What roles may do.
    Roles,
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

/// How closely it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Catalogs alone: what a proxy asks before it serves.
    Fit,
    /// Rows as well, on so many of which the mapping is tried.
    Rows { sample_rows: u32 },
}

impl Depth {
    fn reads_rows(self) -> bool {
        match self {
            Depth::Fit => false,
            Depth::Rows { .. } => true,
        }
    }
}

/// Rows on which the mapping is tried where nobody says how many.
pub const SAMPLE_ROWS: u32 = 1000;
/// Rows on which it is tried beside a running application, by a step or by a proxy that sees other rules:
/// enough to show a wrong mapping, and few to be locked until the trial is over.
pub(crate) const TRIED_ROWS: u32 = 100;

/// Collects what is found about one table.
pub(crate) struct Findings {
    table: String,
    about: About,
    all: Vec<Finding>,
}

impl Findings {
    fn of(lens: &Lens) -> Findings {
        Findings {
            table: crate::control::shown(&lens.legacy.sql()),
            about: About::Fit,
            all: Vec::new(),
        }
    }

    /// What is found from here on speaks of this.
    fn about(&mut self, about: About) -> &mut Findings {
        self.about = about;
        self
    }

    fn add(&mut self, severity: Severity, found: String, settle: &str) {
        let table = self.table.clone();
        self.all.push(Finding {
            severity,
            about: self.about,
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

/// What was found, and where.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The host that was asked, as it calls itself; `None`: by a socket file.
    pub host: Option<String>,
    pub findings: Vec<Finding>,
}

/// Checks one migration against its database, worst findings first.
pub async fn run(
    url: &str,
    rules: &RuleSet,
    migration: &str,
    sample_rows: u32,
) -> Result<Checked, ControlError> {
    let migration = crate::control::named::find(rules, migration)?;
    let client = connect(url, "check").await?;
    let host = address(&client).await?;
    let depth = Depth::Rows { sample_rows };
    let mut all = tables(&client, (rules, migration), depth).await?;
    for lens in &migration.tables {
        let mut findings = Findings::of(lens);
        surroundings::check(&client, lens, &mut findings).await?;
        others_code::check(&client, lens, &mut findings).await?;
        all.append(&mut findings.all);
    }
    all.append(&mut callers(&client, rules).await?);
    all.append(&mut unseen::check(&client).await?);
    all.extend(unguarded(&client, migration).await?);
    all.extend(unsealed(&client, migration).await?);
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(Checked {
        host,
        findings: all,
    })
}

/// Why the tables and their rows are not what the rule file says, one line each; nothing when they are, but
/// for rows that a backfill would set aside.
/// What roles may do, and who calls the functions, is not among it: the one has a gate of its own, the
/// other is settled by every preparation.
pub(crate) async fn errors(
    client: &Client,
    of: (&RuleSet, &Migration),
    depth: Depth,
) -> Result<Vec<String>, ControlError> {
    let findings = tables(client, of, depth).await?;
    Ok(findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error && finding.about != About::Aside)
        .map(|finding| format!("{}: {}", finding.table, finding.found))
        .collect())
}

/// The rule file against the tables.
async fn tables(
    client: &Client,
    (rules, migration): (&RuleSet, &Migration),
    depth: Depth,
) -> Result<Vec<Finding>, ControlError> {
    let mut all = Vec::new();
    for lens in &migration.tables {
        let mut findings = Findings::of(lens);
        one_at_a_time((rules, migration), lens, &mut findings);
        let phase = migration.phase;
        let mut fits = shape::check(client, lens, phase, depth, &mut findings).await?;
        if fits {
            fits = analysis::check(client, lens, &mut findings).await?;
            if depth.reads_rows() {
                between::check(client, lens, &mut findings).await?;
            }
        }
        if let Depth::Rows { sample_rows } = depth
            && fits
            && writes_legacy(phase)
        {
            if !phase.reads_unified() {
                // Also what is left in unified of a visit to it, which the next backfill settles.
                findings.about(About::Aside);
                collisions::check(client, lens, &mut findings).await?;
            }
            findings.about(About::Rows);
            lookups::check(client, lens, &mut findings).await?;
            targets::check(client, (rules, migration), lens, &mut findings).await?;
            // A row of a split table may be nothing without one of another, which is not copied yet, and so is one
            // that refers to it.
            let is_alone = migration.tables.len() == 1
                || lens.is_row_for_row() && !laws::refers(client, lens, migration).await?;
            let severity = if is_alone {
                Severity::Error
            } else {
                Severity::Warning
            };
            laws::check(client, lens, (sample_rows, severity), &mut findings).await?;
            // Whose rows are rows of the same table before all.
            let meets = |other: &Lens| other.unified == lens.unified && other.shares(&lens.unified);
            let mut order = laws::Order::Behind;
            for other in &migration.tables {
                if other.legacy == lens.legacy {
                    order = laws::Order::Before;
                } else if meets(other) {
                    let tried = (sample_rows, order);
                    laws::check_beside(client, (lens, other), tried, &mut findings).await?;
                }
            }
        }
        all.append(&mut findings.all);
    }
    Ok(all)
}

/// Two migrations that have begun may not both write a unified table: a write to it would have to follow phases of each.
fn one_at_a_time((rules, migration): (&RuleSet, &Migration), lens: &Lens, findings: &mut Findings) {
    let others = rules.migrations().iter();
    let begun = others.filter(|m| m.name != migration.name && m.phase != Phase::LegacyOnly);
    for other in begun {
        let mut theirs = other.tables.iter().flat_map(Lens::unified_tables);
        let own = lens.unified_tables();
        if let Some(table) = theirs.find(|table| own.contains(table)) {
            findings.error(
                format!(
                    "{} is a unified table of migration {} as well, which is in {}",
                    crate::control::shown(&table.sql()),
                    other.name,
                    other.phase
                ),
                "finish that one and take its rule file away, or put the tables of both into one file",
            );
        }
    }
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
                about: About::Roles,
                table: "schema crossfade".to_owned(),
                found,
                settle: "`crossfade prepare` mends it".to_owned(),
            }
        })
        .collect())
}

/// Whether columns may change around the proxies and nobody hinders it.
async fn unguarded(
    client: &Client,
    migration: &Migration,
) -> Result<Option<Finding>, ControlError> {
    if !schema::is_prepared(client).await? || guard::is_watched(client).await? {
        return Ok(None);
    }
    let may = guard::may_watch(client).await?;
    // Where nothing is kept in step, `prepare` and the next step make them.
    if may && !guard::is_guarded(migration.phase) {
        return Ok(None);
    }
    Ok(Some(Finding {
        severity: Severity::Warning,
        about: About::Roles,
        table: "event triggers".to_owned(),
        found: "a change of the tables' columns that goes around the proxies is seen only by the next check, \
                verify or step: no event trigger refuses it"
            .to_owned(),
        settle: if may {
            "`crossfade prepare` makes them".to_owned()
        } else {
            format!("this role may not create one; a superuser may: {}", guard::by_hand())
        },
    }))
}

/// Tables at which writers around the proxies are not seen for certain, since this role may not seal them.
async fn unsealed(client: &Client, migration: &Migration) -> Result<Option<Finding>, ControlError> {
    if !schema::is_prepared(client).await? {
        return Ok(None);
    }
    // Those of the first phase that needs it, where none does yet.
    let phase = match migration.phase {
        Phase::LegacyOnly => Phase::DualWrite,
        Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead
        | Phase::UnifiedOnly
        | Phase::Retired => migration.phase,
    };
    let open = seal::may_not(client, migration, phase).await?;
    if open.is_empty() {
        return Ok(None);
    }
    let severity = match migration.writers_around {
        WritersAround::Refuse => Severity::Error,
        WritersAround::Count | WritersAround::Ignore => Severity::Warning,
    };
    Ok(Some(Finding {
        severity,
        about: About::Roles,
        table: open.join(", "),
        found: "who writes there around the proxies is looked for once a second, and not seen for certain: this role does \
                not own the table, and so may not seal it"
            .to_owned(),
        settle: "make it a member of the owner (GRANT owner TO role); writers_around = \"ignore\" says that it is meant so"
            .to_owned(),
    }))
}

/// Whether statements still go to the legacy table.
fn writes_legacy(phase: Phase) -> bool {
    match phase {
        Phase::UnifiedOnly | Phase::Retired => false,
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::DualRead
        | Phase::UnifiedRead => true,
    }
}
