//! Whether rules may go into force: none does that `crossfade check` calls an error, as far as there is
//! a control connection to ask by.
//!
//! | what changes | what is asked |
//! |---|---|
//! | a rule file's own text | all that `check` asks of tables and rows; what it finds wrong with the rules in force as well is no reason to keep these |
//! | its phase alone, forward | the tables (`advance` has looked at the rest) |
//! | its phase alone, back | nothing: a way back must not be barred |
//! | the proxy starts | the tables; migrations that do not fit them are *withheld* |
//!
//! In `legacy_only` no statement is rewritten, so such a file is taken as it is: its statements are to be
//! counted before there are unified tables.

use std::time::Duration;

use rewrite_rules::{Migration, Phase, RuleSet};
use tokio_postgres::Client;

use crate::check::{self, Depth, TRIED_ROWS};
use crate::control::connection::connect;
use crate::control::error::ControlError;
use crate::generation::Reasons;
use crate::sources::Texts;

/// Rows are tried and searched for collisions, each search within a minute.
const RULES_TIMEOUT: Duration = Duration::from_secs(300);
/// Nobody is served meanwhile; if it takes longer, what is not managed is served before it is known.
const FIRST_TIMEOUT: Duration = Duration::from_secs(60);
/// Catalogs are looked at.
const FIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What becomes of a set that is to follow another.
#[derive(Debug, Default)]
pub struct Admission {
    /// Why it does not.
    pub refused: Reasons,
    /// It may, but for these: they were withheld before, and no other text says otherwise.
    pub withheld: Reasons,
}

/// What stands against a set that is to follow another.
pub async fn following(
    url: &str,
    running: Texts<'_>,
    next: Texts<'_>,
) -> Result<Admission, ControlError> {
    let look = async {
        let mut admission = Admission::default();
        let mut client = None;
        for migration in next.rules.migrations() {
            let Some(question) = question(running, next, migration) else {
                continue;
            };
            let client = match &mut client {
                Some(client) => client,
                none @ None => none.insert(connect(url, "check").await?),
            };
            let (wrong, reasons) = match question {
                Question::Fits => {
                    let wrong = errors(client, next.rules, migration, Depth::Fit).await?;
                    (wrong, &mut admission.refused)
                }
                Question::FitsByNow => {
                    let wrong = errors(client, next.rules, migration, Depth::Fit).await?;
                    (wrong, &mut admission.withheld)
                }
                Question::IsNoWorseThan(old) => {
                    let of = (next.rules, migration);
                    let wrong = new_errors(client, of, (running.rules, old)).await?;
                    (wrong, &mut admission.refused)
                }
            };
            if !wrong.is_empty() {
                reasons.insert(migration.name.clone(), wrong.join("; "));
            }
        }
        Ok(admission)
    };
    within(RULES_TIMEOUT, look).await
}

/// What stands against serving rules that the database has in force: of migrations whose text has changed or that have gone
/// forward. A way back must not be barred.
pub async fn adopted(
    url: &str,
    running: Texts<'_>,
    next: Texts<'_>,
) -> Result<Reasons, ControlError> {
    let look = async {
        let mut reasons = Reasons::new();
        let mut client = None;
        for migration in next.rules.migrations() {
            let old = running.rules.migration(&migration.name);
            let same = old.filter(|old| running.text_of(old) == next.text_of(migration));
            let known = same.and_then(|old| old.misfit.clone());
            let is_asked = match same {
                None => true,
                Some(old) => migration.phase > old.phase || known.is_some(),
            };
            if !is_asked || migration.phase == Phase::LegacyOnly {
                continue;
            }
            let client = match &mut client {
                Some(client) => client,
                none @ None => none.insert(connect(url, "check").await?),
            };
            let wrong = errors(client, next.rules, migration, Depth::Fit).await?;
            if !wrong.is_empty() {
                reasons.insert(migration.name.clone(), wrong.join("; "));
            }
        }
        Ok(reasons)
    };
    within(FIT_TIMEOUT, look).await
}

/// What stands against serving a set, of which nothing is in force yet.
pub async fn first(url: &str, rules: &RuleSet) -> Result<Reasons, ControlError> {
    let look = async {
        let mut reasons = Reasons::new();
        let serving = |m: &&Migration| m.phase != Phase::LegacyOnly;
        if !rules.migrations().iter().any(|m| serving(&m)) {
            return Ok(reasons);
        }
        let client = connect(url, "check").await?;
        for migration in rules.migrations().iter().filter(serving) {
            let wrong = errors(&client, rules, migration, Depth::Fit).await?;
            if !wrong.is_empty() {
                reasons.insert(migration.name.clone(), wrong.join("; "));
            }
        }
        Ok(reasons)
    };
    within(FIRST_TIMEOUT, look).await
}

/// Every migration whose statements are rewritten, with one reason for all.
#[must_use]
pub fn all(rules: &RuleSet, reason: &str) -> Reasons {
    let migrations = rules.migrations().iter();
    migrations
        .filter(|migration| migration.phase != Phase::LegacyOnly)
        .map(|migration| (migration.name.clone(), reason.to_owned()))
        .collect()
}

enum Question<'a> {
    Fits,
    /// As withheld as before if not.
    FitsByNow,
    /// In all that `check` asks, than the one in force, if there is one.
    IsNoWorseThan(Option<&'a Migration>),
}

fn question<'a>(
    running: Texts<'a>,
    next: Texts<'_>,
    migration: &Migration,
) -> Option<Question<'a>> {
    if migration.phase == Phase::LegacyOnly {
        return None;
    }
    let Some(old) = running.rules.migration(&migration.name) else {
        return Some(Question::IsNoWorseThan(None));
    };
    let is_same = running.text_of(old) == next.text_of(migration);
    match (is_same, old.misfit.is_some()) {
        (true, true) => Some(Question::FitsByNow),
        (true, false) => (migration.phase > old.phase).then_some(Question::Fits),
        // What rewrites nothing is no measure.
        (false, withheld) => {
            let measure = !withheld && old.phase != Phase::LegacyOnly;
            Some(Question::IsNoWorseThan(measure.then_some(old)))
        }
    }
}

/// What is wrong with a migration and was not wrong with the one before it.
async fn new_errors(
    client: &Client,
    (rules, migration): (&RuleSet, &Migration),
    (running, old): (&RuleSet, Option<&Migration>),
) -> Result<Vec<String>, ControlError> {
    let sample_rows = TRIED_ROWS;
    let depth = Depth::Rows { sample_rows };
    let mut wrong = errors(client, rules, migration, depth).await?;
    if let Some(old) = old.filter(|_| !wrong.is_empty()) {
        let known = errors(client, running, old, depth).await?;
        wrong.retain(|error| !known.contains(error));
    }
    Ok(wrong)
}

async fn errors(
    client: &Client,
    rules: &RuleSet,
    migration: &Migration,
    depth: Depth,
) -> Result<Vec<String>, ControlError> {
    check::errors(client, (rules, migration), depth).await
}

async fn within<T>(
    limit: Duration,
    look: impl Future<Output = Result<T, ControlError>>,
) -> Result<T, ControlError> {
    let looked = tokio::time::timeout(limit, look).await;
    looked.unwrap_or_else(|_| {
        Err(ControlError::TimedOut {
            waited_seconds: limit.as_secs(),
            waiting_for: "the rules to be compared with the database".to_owned(),
        })
    })
}
