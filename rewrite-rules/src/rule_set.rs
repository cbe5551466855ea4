//! A compiled set of rule files: what one generation of the proxy works with.
//!
//! `RuleSet::compile` is the door: what comes out of it cannot be wrong in itself. Whether it
//! fits a database is `crossfade check`'s question.

mod compile;
mod kept;
mod managed;
mod migration;
mod others;
mod readings;
mod tenants;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use aho_corasick::AhoCorasick;

use crate::hidden::Hidden;
use crate::lens::{TableName, Tenant};
use crate::namesakes::Namesakes;
use crate::phase::Phase;
pub use crate::phase::{OnUnifiedError, WritersAround};
use crate::shapes::Shapes;
use kept::Readings;
pub(crate) use managed::{Managed, Side};
pub use migration::{ListedBy, Migration, RenamedFunction, Signature, SourceFile};
pub use tenants::NoTenant;
pub(crate) use tenants::Tenants;
use words::{finder, path_names, words};

pub struct RuleSet {
    /// Each tenant's tables by themselves.
    migrations: Arc<Vec<Migration>>,
    /// As the rule files declare them.
    declared: Arc<Vec<Migration>>,
    /// Whose tables those are that each tenant has.
    pub(crate) tenants: Option<Tenants>,
    /// Finds the texts that must be read; `None` when there is nothing to find.
    pub(crate) scan: Option<AhoCorasick>,
    /// Finds those that spell no name and may mean one; `None` when there is nothing to mean.
    hidden: Option<Hidden>,
    pub(crate) shapes: Arc<Shapes>,
    /// The first so many words of the scan can spell a managed name; behind them are session words, and
    /// names whose statements are counted in `legacy_only`.
    naming_words: usize,
    /// Of these, the first so many are such names themselves.
    spelled_words: usize,
    /// The managed tables of either side, in any phase, each once and in order.
    pub(crate) path_names: Vec<TableName>,
    /// Which of PostgreSQL's functions' names others bear.
    pub(crate) namesakes: Namesakes,
    kept: Arc<Readings>,
    /// Which part of the rules this is; 0: all of them.
    part: u64,
    /// The rules by which a text is read that is sent before another, of each kind.
    trying: [OnceLock<Box<RuleSet>>; 2],
    /// These are in the phases of others' next: those others, by which reads are compared.
    ahead_of: Option<Arc<RuleSet>>,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet")
            .field("migrations", &self.migrations)
            .finish_non_exhaustive()
    }
}

/// Everything wrong with a set of rule files, each with file, line, column and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleErrors(pub Vec<String>);

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for RuleErrors {}

impl RuleSet {
    #[must_use]
    pub fn empty() -> RuleSet {
        RuleSet::of(Vec::new(), None)
    }

    /// Checks and compiles rule files. Every error in every file is reported, not the first one.
    pub fn compile(files: Vec<SourceFile>) -> Result<RuleSet, RuleErrors> {
        compile::compile(files).map(|declared| RuleSet::of(declared, None))
    }

    /// Rules as they are declared, with the tenants where some are known.
    fn of(declared: Vec<Migration>, tenants: Option<Vec<Tenant>>) -> RuleSet {
        let declared = Arc::new(declared);
        let has_tenants = declared.iter().any(|m| m.tenants.is_some());
        let tenants = has_tenants.then(|| Tenants::of(tenants));
        let migrations = match &tenants {
            None => Arc::clone(&declared),
            Some(tenants) => {
                let list = tenants.list().unwrap_or_default();
                Arc::new(declared.iter().map(|m| m.of_tenants(list)).collect())
            }
        };
        let (words, naming_words, spelled_words) = words(&declared);
        let managed = declared.iter().any(|m| m.phase != Phase::LegacyOnly);
        RuleSet {
            hidden: managed.then(Hidden::new),
            path_names: path_names(&declared),
            scan: finder(&words),
            migrations,
            declared,
            tenants,
            shapes: Arc::default(),
            namesakes: Namesakes::default(),
            naming_words,
            spelled_words,
            kept: Arc::new(Readings::nothing()),
            part: 0,
            trying: Default::default(),
            ahead_of: None,
        }
    }

    /// The rules of some tenants: what they find and keep they share with all the others.
    fn part(&self, migrations: Vec<Migration>) -> RuleSet {
        let migrations = Arc::new(migrations);
        RuleSet {
            hidden: self.hidden.clone(),
            path_names: path_names(&migrations),
            scan: self.scan.clone(),
            declared: Arc::clone(&migrations),
            migrations,
            tenants: None,
            shapes: Arc::clone(&self.shapes),
            namesakes: self.namesakes.clone(),
            naming_words: self.naming_words,
            spelled_words: self.spelled_words,
            part: self.kept.parts.fetch_add(1, Ordering::Relaxed) + 1,
            kept: Arc::clone(&self.kept),
            trying: Default::default(),
            // Of the tables of tenants no read is compared.
            ahead_of: None,
        }
    }

    #[must_use]
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    #[must_use]
    pub fn migration(&self, name: &str) -> Option<&Migration> {
        self.migrations
            .iter()
            .find(|migration| migration.name == name)
    }

    /// The same rules, where these functions bear names of PostgreSQL's.
    #[must_use]
    pub fn with_namesakes(&self, namesakes: Namesakes) -> RuleSet {
        RuleSet {
            namesakes,
            ..self.with(self.declared.to_vec())
        }
    }

    #[must_use]
    pub fn namesakes(&self) -> &Namesakes {
        &self.namesakes
    }

    /// Whether the same migrations are withheld as in another set, for the same reasons.
    #[must_use]
    pub fn same_misfits(&self, other: &RuleSet) -> bool {
        let of = |set: &RuleSet| -> Vec<(String, Option<String>)> {
            let migrations = set.migrations.iter();
            migrations
                .map(|m| (m.name.clone(), m.misfit.clone()))
                .collect()
        };
        of(self) == of(other)
    }

    /// Whether the bytes spell a managed name (in any case), may hide one, or spell a word that changes
    /// what names or prepared statements mean; in `legacy_only`, a name whose statements are counted.
    /// Everything else passes unread.
    #[must_use]
    pub fn must_read(&self, text: &[u8]) -> bool {
        self.scan.as_ref().is_some_and(|scan| scan.is_match(text)) || self.may_hide(text)
    }

    fn may_hide(&self, text: &[u8]) -> bool {
        let hidden = self.hidden.as_ref();
        hidden.is_some_and(|hidden| hidden.may_be_in(text))
    }

    /// Whether the bytes can name a managed table, session words apart.
    #[must_use]
    pub fn may_name(&self, text: &[u8]) -> bool {
        self.spells(text, |word| word < self.naming_words) || self.may_hide(text)
    }

    /// Whether the bytes spell such a name as it is; the others that [`RuleSet::may_name`] finds have
    /// a name in escapes or on several lines, or name a whole schema, and must be read to be known.
    #[must_use]
    pub fn spells_name(&self, text: &[u8]) -> bool {
        self.spells(text, |word| word < self.spelled_words)
    }

    fn spells(&self, text: &[u8], of: impl Fn(usize) -> bool) -> bool {
        self.scan.as_ref().is_some_and(|scan| {
            let mut found = scan.find_overlapping_iter(text);
            found.any(|found| of(found.pattern().as_usize()))
        })
    }
}
