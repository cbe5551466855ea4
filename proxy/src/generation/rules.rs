//! One generation: a rule set, its number, and what it is to sessions that are canaries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rewrite_rules::{
    CountedShape, Meaning, Phase, Reading, RuleSet, SearchPath, Strings, Touch, Try,
};

use super::ahead::{Canaries, Canary, Seats, Who};
use crate::session::SessionRules;
use crate::session::origin::Origins;

/// A loaded rule set and its number; numbers start at 1 and only grow.
#[derive(Debug)]
pub struct Generation {
    pub(super) number: u64,
    pub(super) rules: Arc<RuleSet>,
    pub(super) canaries: Arc<Canaries>,
    /// What it is to a session that is a canary; of the whole generation nothing.
    pub(super) seats: Seats,
    /// By which such a session reads.
    ahead: Option<RuleSet>,
    /// This generation as such sessions have it, made once for each of the sets of canaries that one is in.
    variants: Mutex<BTreeMap<Seats, Arc<Generation>>>,
    /// The first generation since which the names of managed tables are these.
    names_since: u64,
    /// The first generation since which there are rules, and what sessions prepare is seen.
    watched_since: u64,
    path_question: Option<Box<str>>,
    names_beyond_ascii: bool,
    /// There are texts that something else may be tried for.
    tries: bool,
    /// What the database says of the columns; the same for all generations.
    pub(super) origins: Arc<ArcSwap<Origins>>,
}

impl Generation {
    pub(super) fn first(rules: RuleSet) -> Generation {
        Generation {
            number: 1,
            names_since: 1,
            watched_since: 1,
            path_question: rules.path_question().map(Into::into),
            names_beyond_ascii: rules.names_beyond_ascii(),
            tries: rules.may_try(),
            origins: Arc::default(),
            rules: Arc::new(rules),
            canaries: Arc::default(),
            seats: Seats::default(),
            ahead: None,
            variants: Mutex::default(),
        }
    }

    pub(super) fn after(&self, rules: Arc<RuleSet>, canaries: Vec<Canary>) -> Generation {
        let number = self.number + 1;
        // Which names mean a tenant's table is told by the tenants.
        let same_names = self.rules.path_names() == rules.path_names()
            && self.rules.tenants() == rules.tenants();
        let watched = !self.rules.migrations().is_empty();
        let next = Generation {
            number,
            names_since: if same_names { self.names_since } else { number },
            watched_since: if watched { self.watched_since } else { number },
            path_question: rules.path_question().map(Into::into),
            names_beyond_ascii: rules.names_beyond_ascii(),
            tries: rules.may_try(),
            origins: Arc::clone(&self.origins),
            canaries: Arc::new(Canaries::of(canaries, &rules, &self.canaries)),
            seats: Seats::default(),
            ahead: None,
            variants: Mutex::default(),
            rules,
        };
        // Here, and not when the first session asks, which would wait with all others of its thread.
        for seats in next.canaries.single() {
            next.variant(seats);
        }
        next
    }

    /// This generation as a session has it.
    pub(super) fn of(self: &Arc<Self>, who: &Who) -> Arc<Generation> {
        let seats = self.canaries.seats(who);
        match seats.is_empty() {
            true => Arc::clone(self),
            false => self.variant(seats),
        }
    }

    fn variant(&self, seats: Seats) -> Arc<Generation> {
        let mut variants = lock(&self.variants);
        let known = variants.entry(seats).or_insert_with(|| {
            let ahead = self.rules.reading_ahead(&self.canaries.names(seats));
            Arc::new(Generation {
                number: self.number,
                rules: Arc::clone(&self.rules),
                canaries: Arc::clone(&self.canaries),
                seats,
                tries: self.tries || ahead.may_try(),
                ahead: Some(ahead),
                variants: Mutex::default(),
                names_since: self.names_since,
                watched_since: self.watched_since,
                path_question: self.path_question.clone(),
                names_beyond_ascii: self.names_beyond_ascii,
                origins: Arc::clone(&self.origins),
            })
        });
        Arc::clone(known)
    }

    /// The canaries that run.
    #[must_use]
    pub fn canaries(&self) -> &Canaries {
        &self.canaries
    }

    /// The statements that came since the last call, by these rules and by those of canaries; with the latter true.
    #[must_use]
    pub fn take_statements(&self) -> Vec<(CountedShape, bool)> {
        let own = self.rules.take_statements().into_iter();
        let mut taken: Vec<_> = own.map(|shape| (shape, false)).collect();
        let variants: Vec<Arc<Generation>> = lock(&self.variants).values().cloned().collect();
        for rules in variants.iter().filter_map(|variant| variant.ahead.as_ref()) {
            taken.extend(
                rules
                    .take_statements()
                    .into_iter()
                    .map(|shape| (shape, true)),
            );
        }
        taken
    }

    /// What the session sends of a text: that of its own phase, unless it is a plain read that it reads ahead.
    fn reading(&self, read: impl Fn(&RuleSet) -> Arc<Reading>) -> Arc<Reading> {
        let own = read(&self.rules);
        match &self.ahead {
            Some(ahead) if self.reads_some_ahead(&own) => read(ahead),
            Some(_) | None => own,
        }
    }

    fn reads_some_ahead(&self, own: &Reading) -> bool {
        let reads = own.reads_plainly();
        let is_read = |name: &str| reads.iter().any(|migration| migration == name);
        !reads.is_empty() && self.canaries.reads_any(self.seats, is_read)
    }

    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Whether some of its migrations do not fit the database.
    #[must_use]
    pub fn withholds(&self) -> bool {
        self.misfits().next().is_some()
    }

    /// Those, each with the reason.
    pub fn misfits(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.rules.migrations().iter();
        all.filter_map(|m| Some((m.name.as_str(), m.misfit.as_deref()?)))
    }

    /// The phase that a migration is in, by its name.
    #[must_use]
    pub fn phase(&self, migration: &str) -> Option<Phase> {
        let mut all = self.rules.migrations().iter();
        all.find(|m| m.name == migration).map(|m| m.phase)
    }

    /// Every migration and its phase.
    pub fn phases(&self) -> impl Iterator<Item = (&str, Phase)> {
        let all = self.rules.migrations().iter();
        all.map(|m| (m.name.as_str(), m.phase))
    }
}

impl SessionRules for Generation {
    fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    fn must_read(&self, text: &[u8]) -> bool {
        self.rules.must_read(text)
    }

    fn may_name(&self, text: &[u8]) -> bool {
        self.rules.may_name(text)
    }

    fn spells_name(&self, text: &[u8]) -> bool {
        self.rules.spells_name(text)
    }

    fn rewrite(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading> {
        let reading = self.reading(|rules| rules.look_as(text, path, strings));
        reading.count();
        reading
    }

    fn origins(&self) -> Arc<Origins> {
        self.origins.load_full()
    }

    fn look(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading> {
        self.reading(|rules| rules.look_as(text, path, strings))
    }

    fn reads_ahead(&self, migration: &[u8]) -> bool {
        let is = |name: &str| name.as_bytes() == migration;
        self.canaries.reads_any(self.seats, is)
    }

    fn tries(&self) -> bool {
        self.tries
    }

    fn trying(
        &self,
        tries: Try,
        (text, path): (&str, SearchPath),
        strings: Strings,
    ) -> Arc<Reading> {
        self.reading(|rules| rules.trying(tries).look_as(text, path, strings))
    }

    fn touch(&self, text: &[u8]) -> Touch {
        self.rules.touch(text)
    }

    fn names_beyond_ascii(&self) -> bool {
        self.names_beyond_ascii
    }

    fn names_since(&self) -> u64 {
        self.names_since
    }

    fn watched_since(&self) -> u64 {
        self.watched_since
    }

    fn path_question(&self) -> Option<&str> {
        self.path_question.as_deref()
    }

    fn path_answered(&self, letters: &[u8]) -> Option<Meaning> {
        self.rules.path_answered(letters)
    }
}

/// A map of generations is whole after any panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
