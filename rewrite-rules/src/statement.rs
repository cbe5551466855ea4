//! What the library answers about one text that a client sent: pass it, replace it, refuse it.

mod refusal;
mod told;

use crate::text::splice::MappedAs;
pub use crate::text::splice::{Kept, Mapped};
pub(crate) use refusal::{GENERATED_ALWAYS, IS_GENERATED};
pub use refusal::{Refusal, ServerVersion};
pub(crate) use told::STAGED;

use std::sync::Arc;

use crate::calls::Calls;
use crate::comments::Bare;
use crate::lens::{LENS_NAME_BYTES_MAX, TableName};
use crate::preparable::Preparable;
use crate::refuse;

/// What unqualified names of managed tables mean to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SearchPath {
    /// Each means the table that the rule files declare, and no temporary table bears such a name.
    AsDeclared,
    /// The server was asked: those whose bit is set, in the order of
    /// [`RuleSet::path_question`](crate::RuleSet::path_question), mean the declared table; the
    /// others mean another one, or none. Of a table that each tenant has: it means one of a schema that is no known
    /// tenant's.
    Finds(Names),
    /// The same where the path leads to a tenant: those of the tenants' tables whose bit is set are this one's.
    Tenant { tenant: TenantId, finds: Names },
    /// Each could mean any table, so it is refused.
    Unknown,
}

/// A tenant by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub(crate) u32);

/// A bit for each of the managed tables' names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Names([u64; Names::MAX / u64::BITS as usize]);

impl Names {
    /// A few hundred tables in one set of rules. It is copied with each look at what names mean.
    pub(crate) const MAX: usize = 512;
    /// None of them.
    pub const NONE: Names = Names([0; Names::MAX / u64::BITS as usize]);
    /// Each of them.
    pub(crate) const ALL: Names = Names([u64::MAX; Names::MAX / u64::BITS as usize]);

    pub(crate) fn has(self, at: usize) -> bool {
        let bits = self.0.get(at / u64::BITS as usize).copied().unwrap_or(0);
        bits >> (at % u64::BITS as usize) & 1 == 1
    }
}

/// Those of the first.
impl From<u64> for Names {
    fn from(bits: u64) -> Names {
        let mut names = Names::NONE;
        names.0[0] = bits;
        names
    }
}

/// The places of those that are set.
impl FromIterator<usize> for Names {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Names {
        let mut names = Names::NONE;
        for at in places {
            if let Some(bits) = names.0.get_mut(at / u64::BITS as usize) {
                *bits |= 1 << (at % u64::BITS as usize);
            }
        }
        names
    }
}

impl Keeps {
    /// The same of a text with other places.
    pub(crate) fn without_parameters(&self) -> Keeps {
        match self {
            Keeps::Nothing => Keeps::Nothing,
            Keeps::ByKey | Keeps::Prepared(_) => Keeps::ByKey,
        }
    }
}

/// Everything the session must know about one text; computed once per text and rule set.
#[derive(Debug)]
pub struct Reading {
    pub verdict: Verdict,
    pub effects: SessionEffects,
    /// Counts the text among those of its shape, if it names a managed table.
    pub(crate) calls: Option<Arc<Calls>>,
    /// The migrations whose tables the text reads, if it does nothing else to managed ones.
    pub(crate) reads: Option<Arc<[String]>>,
    /// What is sent in place of the text, or of what it was rewritten to: the same without comments.
    pub(crate) bare: Option<Bare>,
    /// What may be kept prepared of it.
    pub(crate) keeps: Keeps,
    /// What may be sent before it.
    pub(crate) tries: Option<Try>,
}

/// What costs the server less than a statement by key, and mostly does for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Try {
    /// The row as unified alone has it: it does where there is one.
    UnifiedAlone,
    /// Both halves of a write in one piece: it does where neither fails.
    InOnePiece,
}

/// What a text is to whoever keeps rewritten ones prepared.
#[derive(Clone, Debug, Default)]
pub(crate) enum Keeps {
    /// It must be sent as it is.
    #[default]
    Nothing,
    /// It finds one row by its key.
    ByKey,
    /// The same, and this is what can be bound in its stead.
    Prepared(Box<Preparable>),
}

impl Reading {
    #[must_use]
    pub fn new(verdict: Verdict, effects: SessionEffects) -> Reading {
        Reading {
            verdict,
            effects,
            calls: None,
            reads: None,
            bare: None,
            keeps: Keeps::Nothing,
            tries: None,
        }
    }

    /// The migrations whose legacy tables the text reads, if that is all it does to managed tables: neither writes nor
    /// locks, nor leaves a cursor. Empty for every other text.
    #[must_use]
    #[inline]
    pub fn reads_plainly(&self) -> &[String] {
        self.reads.as_deref().unwrap_or_default()
    }

    /// The same where this can be bound in place of the text.
    #[must_use]
    pub fn with_preparable(self, preparable: Preparable) -> Reading {
        Reading {
            keeps: Keeps::Prepared(Box::new(preparable)),
            ..self
        }
    }

    /// The client's text, if it finds one row of a managed table by its key, and changes nothing for others.
    #[must_use]
    pub fn by_key(&self) -> Option<&str> {
        match (&self.keeps, &self.verdict) {
            (Keeps::ByKey | Keeps::Prepared(_), Verdict::Rewritten(rewritten)) => {
                Some(&rewritten.original)
            }
            (_, Verdict::PassThrough | Verdict::Refused(_)) | (Keeps::Nothing, _) => None,
        }
    }

    /// What may be sent before it, by [`RuleSet::trying`](crate::RuleSet::trying).
    #[must_use]
    pub fn tries(&self) -> Option<Try> {
        self.tries
    }

    /// The same of a rewritten text that may be tried.
    #[must_use]
    pub fn with_try(self, tries: Try) -> Reading {
        Reading {
            tries: Some(tries),
            ..self
        }
    }

    /// What can be kept prepared and bound in place of the text, its constants being parameters.
    #[must_use]
    pub fn preparable(&self) -> Option<&Preparable> {
        match &self.keeps {
            Keeps::Prepared(preparable) if self.bare.is_none() => Some(preparable),
            Keeps::Prepared(_) | Keeps::ByKey | Keeps::Nothing => None,
        }
    }

    /// The same as a text that is sent as a whole, if a statement of ours has to go before it.
    #[must_use]
    pub fn with_context(&self) -> Option<Reading> {
        let Verdict::Rewritten(rewritten) = &self.verdict else {
            return None;
        };
        let whole = rewritten.with_context()?;
        let mut effects = self.effects.clone();
        for on in &mut effects.prepared {
            on.statement += 1;
        }
        Some(Reading {
            verdict: Verdict::Rewritten(whole),
            effects,
            calls: self.calls.clone(),
            reads: self.reads.clone(),
            bare: None,
            keeps: Keeps::Nothing,
            tries: None,
        })
    }

    /// The same where what is sent has no comments.
    #[must_use]
    pub fn sent_bare(&self, bare: Bare) -> Reading {
        let verdict = match &self.verdict {
            Verdict::PassThrough => Verdict::PassThrough,
            Verdict::Rewritten(rewritten) => Verdict::Rewritten(rewritten.clone()),
            Verdict::Refused(refusal) => Verdict::Refused(refusal.clone()),
        };
        Reading {
            verdict,
            effects: self.effects.clone(),
            calls: self.calls.clone(),
            reads: self.reads.clone(),
            bare: Some(bare),
            keeps: self.keeps.clone(),
            tries: None,
        }
    }

    /// What is sent without comments, if it is.
    #[must_use]
    pub fn bare(&self) -> Option<&Bare> {
        self.bare.as_ref()
    }

    /// The text was sent: it is one more of its shape.
    pub fn count(&self) {
        if let Some(calls) = &self.calls {
            calls.add();
        }
    }

    /// Whether anything is counted of it.
    #[must_use]
    #[inline]
    pub fn is_counted(&self) -> bool {
        self.calls.is_some()
    }

    /// The text has run once more, as far as its first statement at least.
    pub fn ran(&self) {
        if let Some(calls) = &self.calls {
            calls.ran();
        }
    }

    /// A statement of the text has run and returned or written so many rows.
    pub fn returned(&self, rows: u64) {
        if let Some(calls) = &self.calls {
            calls.returned(rows);
        }
    }

    /// The client was told an error of it: the server's, or ours where it is refused.
    pub fn failed(&self) {
        match (&self.calls, &self.verdict) {
            (None, _) => {}
            (Some(calls), Verdict::Refused(refusal)) => calls.refused(&refusal.message),
            (Some(calls), Verdict::PassThrough | Verdict::Rewritten(_)) => calls.failed(),
        }
    }

    /// A row that unified lacked was read from legacy for it.
    pub fn fell_back(&self) {
        if let Some(calls) = &self.calls {
            calls.fell_back();
        }
    }

    /// It was answered so long after the client had sent it.
    pub fn took(&self, time: std::time::Duration) {
        if let Some(calls) = &self.calls {
            calls.took(time);
        }
    }

    /// The memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let verdict = match &self.verdict {
            Verdict::PassThrough => 0,
            Verdict::Refused(refusal) => refusal.message.len() + refusal.hint.len(),
            Verdict::Rewritten(rewritten) => rewritten.bytes(),
        };
        let prepared = self.effects.prepared.iter().map(|on| match &on.does {
            Does::Prepare {
                text: Some(text), ..
            } => text.len() + size_of::<OnPrepared>(),
            _ => size_of::<OnPrepared>(),
        });
        let kept = match &self.keeps {
            Keeps::Nothing | Keeps::ByKey => 0,
            Keeps::Prepared(preparable) => preparable.bytes(),
        };
        size_of::<Reading>() + verdict + kept + prepared.sum::<usize>()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Names no managed table: the client's bytes go on unchanged.
    PassThrough,
    Rewritten(Rewritten),
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text to send in place of the client's.
    pub sql: String,
    /// One for each statement in the text, in order; empty statements are not counted.
    pub answers: Vec<Answer>,
    /// In `shadow_read`: the two queries to compare, for a text that is one comparable SELECT.
    pub shadow: Option<Box<ShadowPair>>,
    /// Extents of the client's text that stand unchanged in `sql`, to map error positions back.
    pub kept: Vec<Kept>,
    /// Where values are mapped to those of the other side.
    pub values: Vec<Mapped>,
    /// The client's own text, so that character positions can be counted in it.
    pub original: String,
    /// Names that an error may speak of, and what the client calls them.
    pub renames: Arc<[Rename]>,
    /// The text became several statements, which can be sent as a Query message: what of it can be prepared.
    pub prepared: Option<Box<Rewritten>>,
    /// It is what can be prepared of several: the others, which are run around it.
    pub around: Option<Around>,
    /// What of it only servers of some version understand.
    pub needs: Option<Needs>,
    /// A statement of ours that is to run before it is planned, in its transaction: it tells row security whose rows it
    /// is about.
    pub context: Option<Arc<str>>,
}

/// Statements of ours before and after one of the client's. [`Rewritten::answers`] are for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    pub before: String,
    pub after: [String; 2],
}

/// A version of the server, and what of the client's needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    pub version: ServerVersion,
    pub(crate) table: String,
}

/// A name on the side that the client does not see, and its name on the side that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    pub kind: Named,
    pub from: String,
    pub to: String,
}

impl Rename {
    pub(crate) fn reversed(self) -> Rename {
        Rename {
            kind: self.kind,
            from: self.to,
            to: self.from,
        }
    }
}

/// What is named, as the fields of an error tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Schema,
    Table,
    Column,
    Constraint,
    /// The columns of the legacy constraint that one of this name stands for, as errors list them: told where
    /// its own are others. Not a name of its own in any field.
    Key,
}

impl Rewritten {
    /// Whether it stands for the client's statement alone: with nothing before, behind or beside it.
    pub(crate) fn is_one_statement(&self) -> bool {
        self.answers.len() == 1
            && self.prepared.is_none()
            && self.around.is_none()
            && self.context.is_none()
            && self.shadow.is_none()
    }

    pub(crate) fn bytes(&self) -> usize {
        let shadow = self.shadow.as_ref();
        size_of::<Rewritten>()
            + self.sql.len()
            + self.original.len()
            + shadow.map_or(0, |pair| pair.bytes())
            + self.answers.len() * size_of::<Answer>()
            + self.kept.len() * size_of::<Kept>()
            + self.values.len() * size_of::<Mapped>()
            + self.renames.len() * size_of::<Rename>()
    }

    /// The legacy column whose values are mapped where this position in the sent text is, and the
    /// position of the value in the client's text.
    #[must_use]
    pub fn mapped_at(&self, position_chars: u32) -> Option<(&str, u32)> {
        match self.value_at(position_chars)? {
            (MappedAs::Value(column), position) => Some((column, position)),
            (MappedAs::SetColumns | MappedAs::InsertColumns, _) => None,
        }
    }

    /// What is wrong with the number of a query's columns, and its position in the client's text, if this one in the
    /// sent text is where they are counted.
    #[must_use]
    pub fn counted_at(&self, position_chars: u32) -> Option<(&'static str, u32)> {
        let (what, position) = self.value_at(position_chars)?;
        let said = match what {
            MappedAs::Value(_) => return None,
            MappedAs::SetColumns => "number of columns does not match number of values",
            MappedAs::InsertColumns => "INSERT has more expressions than target columns",
        };
        Some((said, position))
    }

    fn value_at(&self, position_chars: u32) -> Option<(&MappedAs, u32)> {
        let chars_before = (position_chars as usize).checked_sub(1)?;
        let (byte, _) = self.sql.char_indices().nth(chars_before)?;
        let mut mapped = self.values.iter();
        let mapped = mapped.find(|mapped| mapped.rewritten.contains(&byte))?;
        let chars = self.original.get(..mapped.original)?.chars().count() + 1;
        Some((&mapped.what, u32::try_from(chars).ok()?))
    }

    /// Why a server of this version cannot be sent it, if it cannot.
    #[must_use]
    pub fn refused_by(&self, server: ServerVersion) -> Option<Refusal> {
        let needs = self.needs.as_ref()?;
        (server < needs.version).then(|| refuse::merge_needs(needs.version, server, &needs.table))
    }

    /// The same where it is not the text that is answered, but one execution of what `sql` prepared.
    #[must_use]
    pub fn executed(&self, answer: Answer, sql: String) -> Rewritten {
        Rewritten {
            sql,
            answers: vec![answer],
            shadow: None,
            // Its errors have no place in the text that executes it.
            kept: Vec::new(),
            original: String::new(),
            values: Vec::new(),
            renames: Arc::clone(&self.renames),
            prepared: None,
            around: None,
            needs: None,
            context: self.context.clone(),
        }
    }

    /// The same as a text that sets its context by itself, as one that is sent as a whole can.
    #[must_use]
    pub fn with_context(&self) -> Option<Rewritten> {
        let context = self.context.as_ref()?;
        let before = format!("{context}; ");
        let mut all = self.clone();
        all.context = None;
        all.sql.insert_str(0, &before);
        all.answers.insert(0, Answer::OF_OURS);
        for kept in &mut all.kept {
            kept.rewritten += before.len();
        }
        let values = std::mem::take(&mut all.values).into_iter();
        all.values = values.map(|value| value.moved(before.len())).collect();
        Some(all)
    }

    /// A statement of ours by itself, of which the client hears nothing.
    #[must_use]
    pub fn of_ours(sql: &str) -> Rewritten {
        Rewritten {
            sql: sql.to_owned(),
            answers: vec![Answer::OF_OURS],
            ..Rewritten::behind(Arc::default())
        }
    }

    /// What tells errors that come behind the statements which caused them: of what they have renamed.
    #[must_use]
    pub fn behind(renames: Arc<[Rename]>) -> Rewritten {
        Rewritten {
            sql: String::new(),
            answers: Vec::new(),
            shadow: None,
            kept: Vec::new(),
            values: Vec::new(),
            original: String::new(),
            renames,
            prepared: None,
            around: None,
            needs: None,
            context: None,
        }
    }

    /// A name of an error field as the client knows it.
    #[must_use]
    pub fn client_name<'n>(&'n self, kind: Named, name: &'n str) -> &'n str {
        self.renames
            .iter()
            .find(|rename| rename.kind == kind && rename.from == name)
            .map_or(name, |rename| &rename.to)
    }

    /// A message with the quoted names in it as the client knows them; `at` is where in the client's text
    /// it points. A column that the client itself calls so there is told as it is.
    #[must_use]
    pub fn client_message(&self, message: &str, at: Option<u32>) -> String {
        let own = at.and_then(|at| self.name_at(at));
        let mut said = message.to_owned();
        for Rename { kind, from, to } in self.renames.iter() {
            if *kind == Named::Key || *kind == Named::Column && own.as_ref() == Some(from) {
                continue;
            }
            said = renamed(&said, (*kind, &format!("\"{from}\"")), &format!("\"{to}\""));
        }
        said
    }

    /// A message about rights to a table, whose name stands in it without quotation marks, whatever the
    /// language. What else may bear the name is told apart by the word before it.
    #[must_use]
    pub fn client_rights(&self, message: &str) -> String {
        const OTHERS: [&str; 6] = [
            "schema",
            "function",
            "sequence",
            "type",
            "database",
            "procedure",
        ];
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        for Rename { from, to, .. } in self.renames.iter().filter(|r| r.kind == Named::Table) {
            let found = message.match_indices(from.as_str()).find(|(at, _)| {
                let (before, behind) = (&message[..*at], &message[at + from.len()..]);
                let word = before.trim_end().rsplit(' ').next().unwrap_or_default();
                !before.ends_with(part) && !behind.starts_with(part) && !OTHERS.contains(&word)
            });
            if let Some((at, _)) = found {
                return format!("{}{to}{}", &message[..at], &message[at + from.len()..]);
            }
        }
        match self
            .legacy_of_function(message)
            .or_else(|| self.first_emptied(message))
        {
            Some(legacy) => format!("permission denied for table {legacy}"),
            None => message.to_owned(),
        }
    }

    /// The first table of a TRUNCATE of several, where the message is of the function that empties them all: whoever has the
    /// right to none of the managed tables may not call it.
    fn first_emptied(&self, message: &str) -> Option<&str> {
        let mut tables = self.renames.iter().filter(|r| r.kind == Named::Table);
        let first = tables.next().map(|table| table.to.as_str());
        first.filter(|_| message.ends_with("for function truncate"))
    }

    /// The legacy table behind a function of its lens, with which this message ends. Who may not call it has no right
    /// to the table; where the server looks at the rights to the table before, it is not called.
    fn legacy_of_function(&self, message: &str) -> Option<&str> {
        const HASH_DIGITS: usize = 8;
        let (_, function) = message.rsplit_once(' ')?;
        let (word, hash) = function.rsplit_once('_')?;
        let hex = |c: char| c.is_ascii_hexdigit();
        if hash.len() != HASH_DIGITS || !hash.chars().all(hex) {
            return None;
        }
        let mut tables = self.renames.iter().filter(|r| r.kind == Named::Table);
        // A long table's name is cut in that of the function.
        let is_of = |table: &&Rename| {
            let begins = |at| table.to.get(..at).is_some_and(|name| word.ends_with(name));
            begins(table.to.len().min(LENS_NAME_BYTES_MAX))
        };
        tables.find(is_of).map(|table| table.to.as_str())
    }

    /// The last part of the name that stands at a 1-based position in the client's text.
    fn name_at(&self, position_chars: u32) -> Option<String> {
        let before = (position_chars as usize).checked_sub(1)?;
        let mut rest = self.original.chars().skip(before).peekable();
        loop {
            let quoted = rest.next_if_eq(&'"').is_some();
            let mut name = String::new();
            while let Some(c) = rest.next_if(|c| match quoted {
                true => *c != '"',
                false => c.is_alphanumeric() || ['_', '$'].contains(c),
            }) {
                name.push(c);
            }
            rest.next_if(|c| quoted && *c == '"');
            if rest.next_if_eq(&'.').is_none() {
                return Some(if quoted { name } else { name.to_lowercase() });
            }
        }
    }

    /// Maps a 1-based character position in the sent text (field `P` of an `ErrorResponse`) to
    /// the client's text; `None` when it points into text that the client never wrote.
    #[must_use]
    pub fn client_position(&self, position_chars: u32) -> Option<u32> {
        let chars_before = (position_chars as usize).checked_sub(1)?;
        let byte = match self.sql.char_indices().nth(chars_before) {
            Some((byte, _)) => byte,
            None if chars_before == self.sql.chars().count() => self.sql.len(),
            None => return None,
        };
        let kept = self
            .kept
            .iter()
            .find(|k| k.rewritten <= byte && byte < k.rewritten + k.length.max(1))?;
        let original = kept.original + (byte - kept.rewritten);
        let chars = self.original.get(..original)?.chars().count() + 1;
        u32::try_from(chars).ok()
    }
}

impl Answer {
    /// To a statement of our own.
    const OF_OURS: Answer = Answer {
        tag: None,
        hide_rows: true,
        silent: true,
        later: false,
    };
}

/// How the server's answer to one statement becomes the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Replace the server's command tag (`SELECT n`, `INSERT 0 n`) by this verb and the same count.
    pub tag: Option<TagVerb>,
    /// The client's statement returns no rows, the rewritten one does: they are dropped, and
    /// Describe answers `NoData`.
    pub hide_rows: bool,
    /// A statement of our own: the client hears nothing of its end.
    pub silent: bool,
    /// Such a one comes behind it, and its end is told with that one's: as the last of its text it is told when the
    /// transaction has ended.
    pub later: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagVerb {
    /// `INSERT 0 n`
    Insert,
    /// `UPDATE n`
    Update,
    /// `DELETE n`
    Delete,
    /// `MERGE n`
    Merge,
    /// `COPY n`
    Copy,
    /// `TRUNCATE TABLE`
    Truncate,
}

impl TagVerb {
    /// The command tag for a number of rows.
    #[must_use]
    pub fn tag(self, rows: u64) -> String {
        match self {
            TagVerb::Insert => format!("INSERT 0 {rows}"),
            TagVerb::Update => format!("UPDATE {rows}"),
            TagVerb::Delete => format!("DELETE {rows}"),
            TagVerb::Merge => format!("MERGE {rows}"),
            TagVerb::Copy => format!("COPY {rows}"),
            TagVerb::Truncate => "TRUNCATE TABLE".to_owned(),
        }
    }
}

/// Two texts with the same parameters whose results should be equal as multisets of rows, made for a
/// session in whose search path is `pg_catalog` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowPair {
    pub migration: String,
    pub legacy: String,
    pub unified: String,
    /// The tables that they read. Whoever runs them makes sure that they read no others.
    pub tables: Vec<TableName>,
    /// Why the two are not to be run, and are empty.
    pub foreign: Option<Foreign>,
}

impl ShadowPair {
    fn bytes(&self) -> usize {
        let tables = self.tables.iter();
        let tables = tables.map(|t| size_of::<TableName>() + t.schema.len() + t.name.len());
        size_of::<ShadowPair>() + self.legacy.len() + self.unified.len() + tables.sum::<usize>()
    }

    pub(crate) fn not_comparable(migration: String, foreign: Foreign) -> ShadowPair {
        ShadowPair {
            migration,
            legacy: String::new(),
            unified: String::new(),
            tables: Vec::new(),
            foreign: Some(foreign),
        }
    }
}

/// What in a client's statement is neither `pg_catalog`'s nor a managed table: it may be of anybody's
/// making, and would run whatever that somebody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    Relation,
    /// Also one of `pg_catalog` that may answer differently each time.
    Function,
    Operator,
    Type,
    Collation,
}

/// What a text does to the session besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionEffects {
    /// What unqualified names may mean otherwise from now on: as far as the text tells.
    pub path: Option<SearchPath>,
    /// What its statements do with prepared statements, in their order.
    pub prepared: Vec<OnPrepared>,
    /// The text is no SQL to this grammar: the effects are a guess by its words.
    pub unparsed: bool,
    /// A statement stands behind one that takes back what its transaction has changed, such as COMMIT.
    pub reverts_within: bool,
}

impl SessionEffects {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.prepared.is_empty()
    }
}

/// What one statement of a text does with a prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnPrepared {
    /// Which of the statements that are sent it is.
    pub statement: usize,
    /// Where it begins in the client's text, in bytes.
    pub at: usize,
    pub does: Does,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// `PREPARE name AS …`
    Prepare {
        name: String,
        /// The whole PREPARE as the client wrote it; `None` when it could not be read.
        text: Option<String>,
        /// How the answer to its execution becomes the client's.
        answer: Answer,
    },
    /// `EXECUTE name (…)`
    Execute { name: String, within: Within },
    /// `None` means all of them.
    Deallocate(Option<String>),
    /// The session's own PREPARE of a statement that a later generation reads otherwise.
    Renew(String),
}

/// What an EXECUTE stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    Nothing,
    Explain,
    CreateTableAs,
}

/// A message with one name replaced wherever it may be a name of that kind: the word before it says
/// what it is, and behind a colon it is a value.
fn renamed(message: &str, (kind, from): (Named, &str), to: &str) -> String {
    let mut pieces = message.split(from);
    let mut said = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let word = said.trim_end().rsplit(' ').next().unwrap_or_default();
        let means_it = match word {
            "column" | "reference" => kind == Named::Column,
            "relation" | "table" | "constraint" => kind != Named::Column,
            word => !word.ends_with(':'),
        };
        said += if means_it { to } else { from };
        said += piece;
    }
    said
}
