//! A compiled set of rule files: what one generation of the proxy works with.
//!
//! `RuleSet::compile` is the door: what comes out of it cannot be wrong in itself. Whether it
//! fits a database is `crossfade check`'s question.

mod compile;
mod tenants;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use quick_cache::sync::Cache;

use crate::constants::HOLE;
use crate::fence::{Epoch, Held};
use crate::hidden::Hidden;
use crate::lens::{Lens, TableName, Tenant};
use crate::namesakes::Namesakes;
use crate::phase::Phase;
pub use crate::phase::{OnUnifiedError, WritersAround};
use crate::shapes::Shapes;
use crate::statement::{Reading, SearchPath, Try};
use crate::template::Templates;
use crate::text_functions::WHOLE_SCHEMAS;
pub(crate) use tenants::Tenants;
pub use tenants::{ListedBy, NoTenant};

/// A rule file's path (for messages) and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct Migration {
    pub name: String,
    pub phase: Phase,
    pub file: PathBuf,
    /// The database whose tables these are; `None`: that of the control connection.
    pub database: Option<String>,
    /// What the rule file says; `None` leaves it to the phase.
    pub(crate) declared_policy: Option<OnUnifiedError>,
    pub writers_around: WritersAround,
    /// DDL of tables that tie both sides together, for `crossfade prepare`.
    pub prepare: Option<String>,
    pub tables: Vec<Lens>,
    pub functions: Vec<RenamedFunction>,
    /// Where each tenant has its tables in a schema of its own: how they are listed.
    pub tenants: Option<ListedBy>,
    /// Why the tables are not what the rule file says: what would be rewritten is refused.
    pub misfit: Option<String>,
    /// Its statements carry the fence of its epoch.
    pub held: Held,
    /// The unified half of a write waits for nobody longer than half of the time after which PostgreSQL looks for a
    /// deadlock: its failure is no failure of the write's, which is sent again.
    pub(crate) is_tried: bool,
    /// The rule file's text.
    pub text: Arc<str>,
}

/// A function under its legacy and its unified signature.
#[derive(Clone, Debug)]
pub struct RenamedFunction {
    pub legacy: Signature,
    pub unified: Signature,
}

impl RenamedFunction {
    #[must_use]
    pub fn is_renamed(&self) -> bool {
        self.legacy.name != self.unified.name
    }

    #[must_use]
    pub fn renames_arguments(&self) -> bool {
        self.legacy.arguments != self.unified.arguments
    }
}

/// A function's name and the names of its arguments, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: TableName,
    pub arguments: Vec<String>,
}

impl Migration {
    /// The table that its statements name so that the database can refuse them once their epoch is over.
    #[must_use]
    pub fn fence(&self) -> Option<TableName> {
        Some(self.epoch()?.table(&self.name))
    }

    /// The function that is there while nothing stale can be in legacy, where unified leads.
    pub(crate) fn in_step(&self) -> Option<TableName> {
        Some(self.epoch()?.in_step(&self.name))
    }

    /// Whether writes under the unified names are held to the epoch although nothing is done about them in this phase:
    /// in others they reach legacy.
    pub(crate) fn holds_unified_writes(&self) -> bool {
        !self.phase.writes_both() && self.held != Held::ByFile
    }

    /// The epoch that is in force, where the database keeps it.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        match self.held {
            Held::In(epoch) => Some(epoch),
            Held::ByFile | Held::Unknown => None,
        }
    }

    /// The tables that are left in the end. One whose columns move in place is not, and whoever
    /// writes it writes both columns.
    pub fn left_behind(&self) -> impl Iterator<Item = &Lens> {
        let tables = self.tables.iter();
        tables.filter(|lens| !lens.is_one_table() && !lens.is_of_any_tenant())
    }

    /// What happens when only the unified half of a write fails: as the rule file says, else
    /// recorded while legacy answers the reads, refused once reads depend on unified.
    #[must_use]
    pub fn on_unified_error(&self) -> OnUnifiedError {
        self.declared_policy.unwrap_or(match self.phase {
            Phase::LegacyOnly | Phase::DualWrite | Phase::ShadowRead => OnUnifiedError::Record,
            Phase::DualRead | Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {
                OnUnifiedError::Refuse
            }
        })
    }
}

/// Distinct texts whose rewrite is kept. Applications send hundreds; a text with inlined values
/// is new each time and must push out others of its kind, not grow the process.
const READINGS_MAX: usize = 10_000;

/// The memory that they may take, and as much for each other kind of what is kept: a bulk load comes as
/// thousands of long texts, of which none comes twice.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// What is kept, by the bytes that it takes.
type Bounded<K, V> = Cache<K, Arc<V>, Bytes>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes;

impl quick_cache::Weighter<String, Arc<Reading>> for Bytes {
    fn weight(&self, text: &String, reading: &Arc<Reading>) -> u64 {
        (text.len() + reading.bytes()) as u64
    }
}

/// A text as a part of the rules reads it, under a path.
type Elsewhere = (u64, SearchPath, String);

impl quick_cache::Weighter<Elsewhere, Arc<Reading>> for Bytes {
    fn weight(&self, (_, _, text): &Elsewhere, reading: &Arc<Reading>) -> u64 {
        (size_of::<Elsewhere>() + text.len() + reading.bytes()) as u64
    }
}

impl quick_cache::Weighter<String, Arc<Templates>> for Bytes {
    fn weight(&self, form: &String, templates: &Arc<Templates>) -> u64 {
        (form.len() + templates.bytes()) as u64
    }
}

fn bounded<K: Eq + std::hash::Hash, V>() -> Bounded<K, V>
where
    Bytes: quick_cache::Weighter<K, Arc<V>>,
{
    Cache::with_weighter(READINGS_MAX, KEPT_BYTES_MAX, Bytes)
}

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

/// What is kept of the texts that were read, for all parts of the rules.
struct Readings {
    readings: [Bounded<String, Reading>; 2],
    /// Those of the sessions in which names mean something else, by what they mean, and those by parts.
    elsewhere: Bounded<Elsewhere, Reading>,
    /// What is made of texts that differ in constants alone, by their form.
    templates: Bounded<String, Templates>,
    /// How many parts there have been.
    parts: AtomicU64,
}

impl Readings {
    fn nothing() -> Readings {
        Readings {
            readings: [bounded(), bounded()],
            elsewhere: bounded(),
            templates: bounded(),
            parts: AtomicU64::new(0),
        }
    }
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

/// A table that statements may name, and which side of which lens it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Managed<'a> {
    pub migration: &'a Migration,
    pub lens: &'a Lens,
    pub side: Side,
    /// The table of that side.
    pub table: &'a TableName,
}

impl<'a> Managed<'a> {
    /// The lenses that write this table of the migration: several where several legacy tables become one. Their
    /// order, that of the rule file, is the one in which whoever writes under the unified name locks legacy rows.
    pub(crate) fn lenses(self) -> impl Iterator<Item = &'a Lens> {
        let (migration, one) = (self.migration, self.lens);
        let several = self.side == Side::Unified && one.steps().is_some();
        let all = migration.tables.iter().filter(move |_| several);
        let others = all.filter(move |lens| lens.shares(self.table));
        let alone = (!several).then_some(one);
        alone.into_iter().chain(others)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Legacy,
    Unified,
}

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

    /// The same rules with one migration in another phase: for `explain` and for rehearsals.
    #[must_use]
    pub fn with_phase(&self, name: Option<&str>, phase: Phase) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            if name.is_none_or(|name| name == migration.name) {
                migration.phase = phase;
            }
        }
        self.with(migrations)
    }

    /// The same rules for those who read some of the migrations as in the phase that comes next: what they are shown is
    /// compared as by these. Only what [`Reading::reads_plainly`] is to be read by them.
    #[must_use]
    pub fn reading_ahead(&self, names: &[&str]) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            if names.contains(&migration.name.as_str()) {
                migration.phase = migration.phase.next().unwrap_or(migration.phase);
            }
        }
        RuleSet {
            ahead_of: Some(Arc::new(self.with(self.declared.to_vec()))),
            ..self.with(migrations)
        }
    }

    /// The rules that these read ahead of.
    pub(crate) fn ahead_of(&self) -> Option<&RuleSet> {
        self.ahead_of.as_deref()
    }

    /// The same rules, of which some migrations do not fit the database, each with the reason: their
    /// statements are refused where they would be rewritten.
    #[must_use]
    pub fn withheld(&self, reason: impl Fn(&str) -> Option<String>) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            migration.misfit = reason(&migration.name);
        }
        self.with(migrations)
    }

    /// The same rules, each migration's held so.
    #[must_use]
    pub fn held(&self, held: impl Fn(&str) -> Held) -> RuleSet {
        let mut migrations = self.declared.to_vec();
        for migration in &mut migrations {
            migration.held = held(&migration.name);
        }
        self.with(migrations)
    }

    /// Whether there is a migration of which texts may be tried otherwise first.
    #[must_use]
    pub fn may_try(&self) -> bool {
        self.migrations
            .iter()
            .any(|migration| match migration.phase {
                Phase::DualRead => true,
                Phase::DualWrite | Phase::ShadowRead => {
                    migration.on_unified_error() == OnUnifiedError::Record
                }
                Phase::LegacyOnly | Phase::UnifiedRead | Phase::UnifiedOnly | Phase::Retired => {
                    false
                }
            })
    }

    /// The rules by which a text is read that may be sent before what these make of it. What they say of others is of no
    /// use: [`Reading::tries`] tells which.
    #[must_use]
    pub fn trying(&self, tries: Try) -> &RuleSet {
        let place = match tries {
            Try::UnifiedAlone => 0,
            Try::InOnePiece => 1,
        };
        self.trying[place].get_or_init(|| {
            let mut migrations = self.declared.to_vec();
            for migration in &mut migrations {
                match tries {
                    Try::UnifiedAlone if migration.phase == Phase::DualRead => {
                        migration.phase = Phase::UnifiedRead;
                    }
                    Try::UnifiedAlone => {}
                    Try::InOnePiece => {
                        migration.is_tried = migration.on_unified_error() == OnUnifiedError::Record;
                        migration.declared_policy = Some(OnUnifiedError::Refuse);
                    }
                }
            }
            Box::new(self.with(migrations))
        })
    }

    /// Other rules, with the tenants and the functions that are known.
    fn with(&self, declared: Vec<Migration>) -> RuleSet {
        RuleSet {
            namesakes: self.namesakes.clone(),
            ..RuleSet::of(declared, self.tenants().map(<[Tenant]>::to_vec))
        }
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

    /// What a text was read as; apart for each search path, which decides what a name means.
    pub(crate) fn reading_kept(&self, text: &str, path: SearchPath) -> Option<Arc<Reading>> {
        let kept = &self.kept;
        match (path, self.part) {
            (SearchPath::AsDeclared, 0) => kept.readings[0].get(text),
            (SearchPath::Unknown, 0) => kept.readings[1].get(text),
            (_, part) => kept.elsewhere.get(&(part, path, text.to_owned())),
        }
    }

    pub(crate) fn keep_reading(&self, text: &str, path: SearchPath, reading: Arc<Reading>) {
        let (kept, text) = (&self.kept, text.to_owned());
        match (path, self.part) {
            (SearchPath::AsDeclared, 0) => kept.readings[0].insert(text, reading),
            (SearchPath::Unknown, 0) => kept.readings[1].insert(text, reading),
            (_, part) => kept.elsewhere.insert((part, path, text), reading),
        }
    }

    pub(crate) fn templates_kept(&self, form: &str) -> Option<Arc<Templates>> {
        match self.part {
            0 => self.kept.templates.get(form),
            part => self.kept.templates.get(&of_part(part, form)),
        }
    }

    pub(crate) fn keep_templates(&self, form: String, templates: Arc<Templates>) {
        let form = match self.part {
            0 => form,
            part => of_part(part, &form),
        };
        self.kept.templates.insert(form, templates);
    }

    /// The declared tables that each tenant has, in phases in which their names are not just legacy's.
    pub(crate) fn of_any_tenant(&self) -> impl Iterator<Item = (&Migration, &Lens)> {
        let migrations = self
            .declared
            .iter()
            .filter(|m| m.phase != Phase::LegacyOnly);
        migrations
            .flat_map(|migration| migration.tables.iter().map(move |lens| (migration, lens)))
            .filter(|(_, lens)| lens.is_of_any_tenant())
    }

    /// Every managed table that a name in a statement may mean. `schema` is `None` for an unqualified
    /// name, which may mean each of this name. A unified table of several lenses is told once, with the first of them.
    pub(crate) fn all_managed(&self, schema: Option<&str>, name: &str) -> Vec<Managed<'_>> {
        let is = |table: &TableName| {
            table.name == name && schema.is_none_or(|schema| schema == table.schema)
        };
        self.migrations
            .iter()
            .filter(|migration| migration.phase != Phase::LegacyOnly)
            .flat_map(|migration| migration.tables.iter().map(move |lens| (migration, lens)))
            .flat_map(|(migration, lens)| {
                let lens = lens.in_phase(migration.phase);
                let found = |side, table| Managed {
                    migration,
                    lens,
                    side,
                    table,
                };
                let legacy = is(&lens.legacy).then(|| found(Side::Legacy, &lens.legacy));
                // What is shared by all tenants is none's.
                let shared = lens.discriminator().is_some();
                let here = match shared {
                    true => lens.is_of_any_tenant(),
                    false => legacy.is_none() && migration.phase.writes_both(),
                };
                let mut unified = lens.unified_tables().into_iter();
                let table = unified.find(|table| here && is(table));
                let is_first = |table: &&TableName| {
                    let mut all = migration.tables.iter();
                    let first = all.find(|other| other.shares(table));
                    first.is_none_or(|first| first.legacy == lens.legacy)
                };
                let table = table.filter(is_first);
                legacy
                    .into_iter()
                    .chain(table.map(|table| found(Side::Unified, table)))
            })
            .collect()
    }
}

/// A form as one part of the rules keeps it. No text begins so.
fn of_part(part: u64, form: &str) -> String {
    format!("{HOLE}{part}{HOLE}{form}")
}

/// Spells a name by its code points, so that any name may follow.
const ESCAPED_NAME: &str = "u&\"";

/// The words that a text is searched for, how many of the first can spell a managed name, and how many of these are
/// such names themselves.
fn words(migrations: &[Migration]) -> (Vec<String>, usize, usize) {
    let mut words: Vec<String> = Vec::new();
    let mut watched: Vec<String> = Vec::new();
    for migration in migrations {
        for lens in &migration.tables {
            if migration.holds_unified_writes() {
                let unified = lens.unified_tables();
                watched.extend(unified.iter().map(|t| t.name.replace('"', "\"\"")));
            }
            if migration.phase == Phase::LegacyOnly {
                watched.push(lens.legacy.name.replace('"', "\"\""));
            } else {
                words.push(lens.legacy.name.clone());
            }
            if migration.phase != Phase::LegacyOnly {
                words.extend(lens.constraint_names().map(str::to_owned));
            }
            // Without a tenant it means what no legacy reader may have, in every phase.
            let shared = lens.is_of_any_tenant() && migration.phase != Phase::LegacyOnly;
            if migration.phase.writes_both() || shared {
                words.extend(lens.unified_tables().iter().map(|t| t.name.clone()));
            }
        }
        let called = migration
            .functions
            .iter()
            .map(|f| f.legacy.name.name.clone());
        if migration.phase != Phase::LegacyOnly {
            words.extend(called);
        }
    }
    let spelled_words = words.len();
    for (words, managed) in [(&mut words, true), (&mut watched, false)] {
        let is_managed = |m: &Migration| (m.phase != Phase::LegacyOnly) == managed;
        if migrations.iter().any(is_managed) {
            words.extend(WHOLE_SCHEMAS.iter().map(|word| (*word).to_owned()));
        }
    }
    let mut naming_words = words.len();
    if !words.is_empty() {
        // Quotes in a name are doubled in SQL, and a U& escape can spell any name.
        words
            .iter_mut()
            .for_each(|word| *word = word.replace('"', "\"\""));
        words.push(ESCAPED_NAME.to_owned());
        naming_words = words.len();
    }
    if !migrations.is_empty() {
        // In `legacy_only` too: what a session did there holds in the phases to come.
        words.extend(SESSION_WORDS.iter().map(|word| (*word).to_owned()));
    }
    if !watched.is_empty() {
        watched.push(ESCAPED_NAME.to_owned());
    }
    words.append(&mut watched);
    (words, naming_words, spelled_words)
}

/// The managed tables of either side, each once and in order.
fn path_names(migrations: &[Migration]) -> Vec<TableName> {
    let lenses = migrations.iter().flat_map(|migration| &migration.tables);
    let tables = lenses.flat_map(|lens| {
        let unified = lens.unified_tables().into_iter().cloned();
        unified.chain([lens.legacy.clone()])
    });
    let mut names: Vec<TableName> = tables.collect();
    names.sort();
    names.dedup();
    names
}

fn finder(words: &[String]) -> Option<AhoCorasick> {
    (!words.is_empty()).then(|| {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            // The fastest kind. It takes most memory, of which few words need little.
            .kind(Some(AhoCorasickKind::DFA))
            // Looking ahead for a rare letter stops too often in texts as short as these.
            .prefilter(false)
            .build(words)
            .expect("a handful of short words is within the automaton's limits")
    })
}

/// Words that the session must see whatever they name: they make, run or end prepared statements.
/// What changes the meaning of names is seen by [`touch`](crate::touch).
const SESSION_WORDS: [&str; 4] = ["prepare", "execute", "deallocate", "discard"];
