//! Steps as an operator asks for them: one, or one after the other up to a phase, tried again until their gates are met or
//! nobody waits any longer. Commands, the console and the page all go this way.

use std::time::{Duration, Instant};

use rewrite_rules::Phase;

use super::site::{Site, SiteError, Wanted};
use super::step::{self, StepDirection, StepOptions, StepPlan, Taken};
use crate::control::drain::Drained;
use crate::control::error::ControlError;
use crate::control::events::Actor;
use crate::control::named::find;

/// Rules that are applied again and again are for somebody to look at.
const ATTEMPTS_MAX: u32 = 5;

/// Between two looks at gates that are waited for: what they wait for takes seconds at least.
const LOOK: Duration = Duration::from_secs(1);

/// What drains take at most, unless an operator says otherwise.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Walk {
    pub migration: String,
    pub direction: StepDirection,
    /// Where it must stand when the first step begins; elsewhere nothing is done. `None`: wherever it stands.
    pub from: Option<Phase>,
    /// How far to go; nothing is done where it already stands there. `None`: one step.
    pub to: Option<Phase>,
    /// How long gates that are not met are waited for.
    pub wait: Duration,
    /// Take the step although gates are not met, for this reason.
    pub force: Option<String>,
    /// Why the step is taken, for the record, where it is not forced.
    pub reason: Option<String>,
    /// The longest wait for earlier transactions to end.
    pub drain_timeout: Duration,
    /// Earlier transactions are ended after this.
    pub terminate_after: Option<Duration>,
    pub by: Actor,
}

impl Walk {
    /// As it is asked for without anything said about it.
    #[must_use]
    pub fn new(migration: &str, direction: StepDirection, to: Option<Phase>, by: Actor) -> Walk {
        Walk {
            migration: migration.to_owned(),
            direction,
            from: None,
            to,
            wait: Duration::ZERO,
            force: None,
            reason: None,
            drain_timeout: DRAIN_TIMEOUT,
            terminate_after: None,
            by,
        }
    }

    fn options(&self, site: &Site) -> StepOptions {
        StepOptions {
            direction: self.direction,
            force: self.force.clone(),
            reason: self.reason.clone(),
            times: site.gates,
            drain_timeout: self.drain_timeout,
            terminate_after: self.terminate_after,
            by: self.by.clone(),
        }
    }
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// What is waited for, warned of, or done.
    Line(&'a str),
    /// A step was taken, with what its gates found.
    Step(&'a Taken),
}

/// What came of it.
#[derive(Debug)]
pub struct Walked {
    /// Where the migration stands now.
    pub at: Phase,
    /// How many steps were taken.
    pub steps: usize,
    /// What was seen of the last step's drain, where it stood where it was wanted.
    pub stood: Option<Drained>,
}

#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error(transparent)]
    Step(#[from] ControlError),
    #[error(
        "{migration} is in {at}, which is past {to}: `crossfade {other} {migration} --to {to}` leads there"
    )]
    Past {
        migration: String,
        at: Phase,
        to: Phase,
        other: &'static str,
    },
    #[error(
        "{migration} was in {from} when this command began and is in {at} now: somebody else took a step"
    )]
    Moved {
        migration: String,
        from: Phase,
        at: Phase,
    },
}

/// Goes where it is asked for. Given up at any instant it leaves a migration that the next walk goes on with.
pub async fn walk(
    site: &Site,
    walk: &Walk,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<Walked, WalkError> {
    let name = &walk.migration;
    let mut steps = 0;
    let Some(to) = walk.to else {
        let taken = one(site, walk, tell).await?;
        tell(Told::Step(&taken));
        return Ok(Walked {
            at: taken.to,
            steps: 1,
            stood: None,
        });
    };
    loop {
        let mut line = |line: &str| tell(Told::Line(line));
        let rules = site.rules(Wanted::InForce, &mut line).await?;
        let at = find(&rules, name)?.phase;
        if at == to {
            let options = walk.options(site);
            let stood = step::stand(&site.url, &rules, name, &options, &mut line).await?;
            return Ok(Walked {
                at,
                steps,
                stood: Some(stood),
            });
        }
        let (is_past, other) = match walk.direction {
            StepDirection::Forward => (at > to, StepDirection::Back),
            StepDirection::Back => (at < to, StepDirection::Forward),
        };
        if is_past {
            return Err(WalkError::Past {
                migration: name.clone(),
                at,
                to,
                other: other.word(),
            });
        }
        let taken = one(site, walk, tell).await?;
        tell(Told::Step(&taken));
        steps += 1;
    }
}

/// Looks at what stands between the migration and its next phase, and changes nothing.
pub async fn plan(
    site: &Site,
    walk: &Walk,
    tell: &mut (dyn FnMut(&str) + Send),
) -> Result<StepPlan, WalkError> {
    let rules = site.rules(Wanted::InForce, tell).await?;
    let options = walk.options(site);
    Ok(step::plan(&site.url, &rules, &walk.migration, &options).await?)
}

/// One step, tried again until its gates are met or nobody waits any longer.
async fn one(
    site: &Site,
    walk: &Walk,
    tell: &mut (dyn FnMut(Told<'_>) + Send),
) -> Result<Taken, WalkError> {
    let name = &walk.migration;
    let options = walk.options(site);
    let began = Instant::now();
    let mut said = String::new();
    let mut attempts = 0;
    let mut began_in = walk.from;
    loop {
        let mut line = |line: &str| tell(Told::Line(line));
        let rules = site.rules(Wanted::InForce, &mut line).await?;
        let at = find(&rules, name)?.phase;
        let from = *began_in.get_or_insert(at);
        if at != from {
            return Err(WalkError::Moved {
                migration: name.clone(),
                from,
                at,
            });
        }
        match step::step(&site.url, &rules, name, &options, &mut line).await {
            Err(ControlError::Unmet(unmet)) if began.elapsed() + LOOK <= walk.wait => {
                if said != unmet {
                    line(&unmet);
                    said = unmet;
                }
                tokio::time::sleep(LOOK).await;
            }
            // Somebody applied rules: the gates are looked at again by these.
            Err(ControlError::Overtaken(_)) if attempts < ATTEMPTS_MAX => attempts += 1,
            taken => return Ok(taken?),
        }
    }
}
