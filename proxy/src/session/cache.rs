//! The texts that the session keeps prepared on the server under names of its own, so that an
//! unnamed Parse of a text seen before need not be sent.
//!
//! ```text
//! 1st  Parse "" <text>   →  Parse "" <text>
//! 2nd  Parse "" <text>   →  Close "", Parse "cf_5e551010_1" <text>     (Close's answer is skipped)
//!      Bind "" to ""     →  Bind "" to "cf_5e551010_1"
//! 3rd  Parse "" <text>   →  nothing; the client's ParseComplete is made here
//!      Bind "" to ""     →  Bind "" to "cf_5e551010_1"
//! 7th  Parse "" <text>   →  Close "cf_5e551010_1", Close "", Parse "cf_5e551010_2" <text>
//! ```
//!
//! PostgreSQL plans the first five executions of a statement for their values; for later ones it
//! may keep one plan for all values. An unnamed statement never gets that far, so neither does
//! one that is kept, unless the operator lets it.
//!
//! Not so what was rewritten and finds one row by its key: there is one way to find it, and one plan is as good as the
//! next. Such a text is prepared once.
//!
//! Texts that differ in comments alone are one here. It is prepared with them while they are the same each time, and
//! without as soon as others come.
//!
//! Keeps the books and knows texts by their hashes only; what is done with a message is decided
//! elsewhere.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::OnceLock;

use rewrite_rules::Bare;
use rewrite_rules::keeping::{Class, class, class_by_key};

/// Longer texts are rare, cost little beside what they do, and a plan of theirs much memory.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A transaction's messages above this are not kept to be sent again.
const REPLAY_BYTES_MAX: usize = 16 * 1024;

/// Of texts whose comments the server would not see, since it has the statement, one in so many is sent as it came:
/// enough for traces to be found in its log and its views, and the one in a hundred that is parsed costs nothing.
const COMMENTS_SHOWN_EACH: u32 = 100;

/// What the server refuses is refused for what the text is, and few texts of an application are so.
const REFUSED_MAX: usize = 16;

/// Counts up, so that no name is ever used twice in a session.
pub(super) type Number = NonZeroU32;

/// 128 bits under keys that no client knows: two texts that share them are not to be found.
pub(super) type TextKey = [u64; 2];

/// What to do with an unnamed Parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParsePlan {
    AsItCame,
    /// The text was seen before: prepare it under this number's name.
    Prepare(Number),
    /// The server has it.
    Known(Number),
}

/// A text that is to be parsed: without its comments, where these are not to make it another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    text: &'a [u8],
    types: &'a [u8],
    /// Of its comments, if others may come with the same text.
    comments: CommentsKey,
    /// It finds one row by its key.
    by_key: bool,
    /// The columns of its result are spelled out by the client, whatever stands in what is sent.
    spelled: bool,
}

/// Tells comments apart, under a key that no client knows.
type CommentsKey = u64;

/// There are none, or nobody is to see them.
const NO_COMMENTS: CommentsKey = 0;

impl<'a> Asked<'a> {
    pub fn of(text: &'a [u8], types: &'a [u8]) -> Asked<'a> {
        Asked {
            text,
            types,
            comments: NO_COMMENTS,
            by_key: false,
            spelled: false,
        }
    }

    /// `client`: its text, where that finds one row by its key.
    pub fn by_key(self, client: Option<&str>) -> Asked<'a> {
        Asked {
            by_key: client.is_some(),
            spelled: client.is_some_and(|text| !text.contains('*')),
            ..self
        }
    }

    pub fn with_comments(bare: &'a Bare, came: &[u8], types: &'a [u8]) -> Asked<'a> {
        let comments: Vec<&[u8]> = bare.taken(came).collect();
        Asked {
            text: bare.text.as_bytes(),
            types,
            comments: hashers()[0].hash_one(comments).max(NO_COMMENTS + 1),
            by_key: false,
            spelled: false,
        }
    }
}

#[derive(Debug)]
struct CacheEntry {
    number: Number,
    star: bool,
    /// Those that it was prepared with. Once others have come it has none: they would be those of one for all.
    comments: CommentsKey,
    used: u64,
    binds: u32,
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Unnamed statements kept prepared on the server; 0 keeps none.
    pub statements: usize,
    /// The same of what was rewritten and finds one row by its key, by whatever protocol it comes.
    pub rewritten: usize,
    /// Binds of one before it is prepared anew.
    pub executions: u32,
}

impl CacheLimits {
    pub const OFF: CacheLimits = CacheLimits::of(0);

    /// So many statements, each planned for its values at every execution: the server does so
    /// five times.
    #[must_use]
    pub const fn of(statements: usize) -> CacheLimits {
        CacheLimits {
            statements,
            rewritten: 0,
            executions: 5,
        }
    }
}

impl Default for CacheLimits {
    fn default() -> CacheLimits {
        CacheLimits::OFF
    }
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    limits: CacheLimits,
    /// The server's process is the one that the session was told of at its beginning. Otherwise a pooler stands between,
    /// and what is prepared may be on another connection of its.
    pub is_direct: bool,
    /// Part of every name: no client hits upon it by chance.
    tag: u32,
    /// A text fit to be kept has been seen; before that the session pays for nothing.
    awake: bool,
    /// Settings may have changed in this transaction, and may change back at its end.
    suspended: bool,
    entries: HashMap<TextKey, CacheEntry>,
    /// The text that was asked for last.
    latest: TextKey,
    /// It is not kept because it was never seen.
    pub latest_is_new: bool,
    /// Texts seen once, each in the one place that its hash allows: what does not come again
    /// displaces nothing that does.
    seen: Box<[u64]>,
    /// Still on the server, and to be closed there.
    closing: Vec<Number>,
    last_number: u32,
    /// Texts that the server has refused to prepare; the latest few.
    refused: VecDeque<TextKey>,
    /// Texts whose comments the server has not seen since one was shown.
    comments_unseen: u32,
    clock: u64,
    /// ReadyForQuery messages that the server owes: while it does, neither the transaction's
    /// status nor its settings are known.
    pub unanswered: u32,
    /// Extended messages were sent since the last Sync: what they did hangs on what comes next.
    pub in_segment: bool,
    pub replay: Replay,
}

/// The messages behind a ParseComplete that the server has not been asked for, as the client sent
/// them: should the server refuse the kept statement, they are said again with the text.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub state: ReplayState,
    frames: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReplayState {
    #[default]
    Off,
    /// The Sync is still to come.
    Recording,
    Complete,
    /// The server has refused; its ReadyForQuery is awaited, then all is said again.
    Refused,
    /// To be taken by the shell.
    Ready,
}

/// `cf_`, eight digits of the session's own, `_`; then the number.
const NAME_HEAD_BYTES: usize = 12;

/// A kept statement's name on the server, made for each message without an allocation.
pub(super) struct KeptName {
    bytes: [u8; NAME_HEAD_BYTES + 10],
    length: usize,
}

impl KeptName {
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Cache {
    pub fn new(limits: CacheLimits, seed: u64, is_direct: bool) -> Cache {
        Cache {
            limits,
            is_direct,
            tag: (seed >> 32) as u32 ^ seed as u32,
            ..Cache::default()
        }
    }

    /// Whether unnamed statements are kept, whatever they are.
    pub fn is_on(&self) -> bool {
        self.limits.statements > 0
    }

    /// Whether what was rewritten and finds one row by its key is kept.
    pub fn keeps_rewritten(&self) -> bool {
        self.limits.rewritten > 0 && self.is_direct
    }

    /// How many are kept in all.
    fn statements_max(&self) -> usize {
        self.limits.statements.max(self.limits.rewritten)
    }

    /// Whether anything can be disturbed.
    pub fn is_awake(&self) -> bool {
        self.awake
    }

    pub fn name(&self, number: Number) -> KeptName {
        let mut name = KeptName {
            bytes: *b"cf_00000000_0000000000",
            length: NAME_HEAD_BYTES,
        };
        for (at, byte) in name.bytes[3..11].iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(self.tag >> (28 - 4 * at)) as usize & 15];
        }
        let mut divisor = 1;
        while number.get() / divisor >= 10 {
            divisor *= 10;
        }
        while divisor > 0 {
            name.bytes[name.length] = b'0' + (number.get() / divisor % 10) as u8;
            name.length += 1;
            divisor /= 10;
        }
        name
    }

    /// Decides on an unnamed Parse of this text. `at_rest`: no transaction is open and nothing
    /// outstanding, so that no setting awaits its end, and should the server refuse what is kept,
    /// all can be said again.
    pub fn consult(&mut self, asked: Asked<'_>, at_rest: bool) -> ParsePlan {
        let Asked {
            text,
            comments,
            by_key,
            spelled,
            ..
        } = asked;
        self.latest_is_new = false;
        if self.suspended || self.unanswered > 0 || text.len() > TEXT_BYTES_MAX {
            return ParsePlan::AsItCame;
        }
        let key = key(text, asked.types);
        self.clock += 1;
        self.latest = key;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.used = self.clock;
            let star = entry.star;
            if star && !at_rest && !spelled {
                return ParsePlan::AsItCame;
            }
            let (number, shown) = (entry.number, entry.comments);
            let is_worn = entry.binds >= self.limits.executions && !by_key;
            if shown == NO_COMMENTS && comments != NO_COMMENTS {
                self.comments_unseen += 1;
                if self.comments_unseen >= COMMENTS_SHOWN_EACH {
                    self.comments_unseen = 0;
                    return ParsePlan::AsItCame;
                }
            }
            let shows_others = shown != NO_COMMENTS && shown != comments;
            if !is_worn && !shows_others {
                return ParsePlan::Known(number);
            }
            self.drop_entry(key);
            let shown = if shows_others { NO_COMMENTS } else { shown };
            return self.admit(key, star, shown);
        }
        if self.refused.contains(&key) {
            return ParsePlan::AsItCame;
        }
        let class = if by_key {
            class_by_key(text)
        } else {
            class(text)
        };
        let Class::Fit { star } = class else {
            return ParsePlan::AsItCame;
        };
        if !self.awake {
            self.awake = true;
            self.suspended = !at_rest;
            self.seen = vec![0; self.statements_max().next_power_of_two() * 2].into_boxed_slice();
        }
        let places = self.seen.len();
        let place = &mut self.seen[key[0] as usize % places];
        if *place != key[1] {
            *place = key[1];
            self.latest_is_new = true;
            return ParsePlan::AsItCame;
        }
        *place = 0;
        self.admit(key, star, comments)
    }

    /// Whether the server has no comments in the text that was asked for last, or is not to have them.
    pub fn latest_is_bare(&self) -> bool {
        let entry = self.entries.get(&self.latest);
        entry.is_some_and(|entry| entry.comments == NO_COMMENTS)
    }

    fn admit(&mut self, key: TextKey, star: bool, comments: CommentsKey) -> ParsePlan {
        let Some(number) = self.last_number.checked_add(1).and_then(Number::new) else {
            return ParsePlan::AsItCame;
        };
        self.last_number = number.get();
        if self.entries.len() >= self.statements_max() {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some((key, _)) = oldest {
                let key = *key;
                self.drop_entry(key);
            }
        }
        let entry = CacheEntry {
            number,
            star,
            comments,
            used: self.clock,
            binds: 0,
        };
        self.entries.insert(key, entry);
        ParsePlan::Prepare(number)
    }

    /// A kept statement is bound; it is that of the text asked for last, unless that one failed.
    pub fn bound(&mut self, number: Number) {
        if let Some(entry) = self.entries.get_mut(&self.latest)
            && entry.number == number
        {
            entry.binds += 1;
        }
    }

    fn drop_entry(&mut self, key: TextKey) {
        if let Some(entry) = self.entries.remove(&key) {
            self.closing.push(entry.number);
        }
    }

    /// A statement that the server no longer takes.
    pub fn forget(&mut self, number: Number) {
        if self.lose(number) {
            self.closing.push(number);
        }
    }

    /// A statement that the server does not have; true if it was kept.
    pub fn lose(&mut self, number: Number) -> bool {
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.number != number);
        self.entries.len() < before
    }

    /// A statement that the server would not prepare: it is not asked again.
    pub fn refuse(&mut self, number: Number) {
        let mut entries = self.entries.iter();
        let found = entries.find(|(_, entry)| entry.number == number);
        if let Some((key, _)) = found {
            if self.refused.len() == REFUSED_MAX {
                self.refused.pop_front();
            }
            self.refused.push_back(*key);
        }
        self.lose(number);
    }

    /// Every text may mean something else now.
    pub fn clear(&mut self) {
        let numbers = self.entries.drain().map(|(_, entry)| entry.number);
        self.closing.extend(numbers);
        self.refused.clear();
    }

    /// As [`Cache::clear`], and once more when the transaction ends, which may undo the change.
    pub fn disturb(&mut self) {
        if self.awake {
            self.suspended = true;
            self.clear();
        }
    }

    /// No transaction is open and nothing outstanding.
    pub fn rest(&mut self) {
        self.suspended = false;
        self.unanswered = 0;
        if self.closing.is_empty() && self.closing.capacity() > 0 {
            self.closing = Vec::new();
        }
    }

    /// What is to be closed on the server; asked only where the unnamed statement, which may still
    /// be one of these, is about to be replaced or can be prepared again.
    pub fn take_closing(&mut self) -> Vec<Number> {
        std::mem::take(&mut self.closing)
    }

    /// A Close that the server never read.
    pub fn close_later(&mut self, number: Number) {
        self.closing.push(number);
    }
}

impl Replay {
    pub fn start(&mut self) {
        self.frames.clear();
        self.state = ReplayState::Recording;
    }

    pub fn stop(&mut self) {
        if matches!(self.state, ReplayState::Recording | ReplayState::Complete) {
            self.state = ReplayState::Off;
        }
    }

    /// Whether a message of this length would be kept.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.state == ReplayState::Recording && self.frames.len() + bytes <= REPLAY_BYTES_MAX
    }

    /// Keeps a message, if it is here as a whole.
    pub fn keep(&mut self, tag: u8, length: u32, body: &[u8]) {
        if !self.has_room(body.len() + 5) || length as usize != body.len() + 4 {
            self.stop();
            return;
        }
        self.frames.push(tag);
        self.frames.extend_from_slice(&length.to_be_bytes());
        self.frames.extend_from_slice(body);
    }

    /// The server has refused what stands for a text; nothing of the client's is kept beside it.
    pub fn refuse(&mut self) {
        self.frames.clear();
        self.state = ReplayState::Refused;
    }

    /// The server is ready again: `parse` goes before what was kept.
    pub fn prepare(&mut self, parse: impl FnOnce(&mut Vec<u8>)) {
        let mut all = Vec::with_capacity(self.frames.len() * 2);
        parse(&mut all);
        all.append(&mut self.frames);
        self.frames = all;
        self.state = ReplayState::Ready;
    }

    pub fn take(&mut self) -> Vec<u8> {
        self.state = ReplayState::Off;
        std::mem::take(&mut self.frames)
    }
}

fn key(text: &[u8], types: &[u8]) -> TextKey {
    // A text has no NUL, so the two parts cannot be told apart wrongly.
    [0, 1].map(|at| hashers()[at].hash_one((text, types)))
}

fn hashers() -> &'static [RandomState; 2] {
    static HASHERS: OnceLock<[RandomState; 2]> = OnceLock::new();
    HASHERS.get_or_init(|| [RandomState::new(), RandomState::new()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(statements: usize) -> Cache {
        Cache::new(CacheLimits::of(statements), 7, true)
    }

    fn ask(cache: &mut Cache, text: &str) -> ParsePlan {
        cache.consult(Asked::of(text.as_bytes(), b"\0\0"), true)
    }

    fn number(number: u32) -> Number {
        Number::new(number).expect("not zero")
    }

    #[test]
    fn the_second_sight_prepares_and_the_third_knows() {
        let mut cache = cache(2);
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::AsItCame);
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Prepare(number(1)));
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Known(number(1)));
        let typed = cache.consult(Asked::of(b"SELECT $1", &[0, 1, 0, 0, 0, 23]), true);
        assert_eq!(
            typed,
            ParsePlan::AsItCame,
            "other types are another statement"
        );
    }

    #[test]
    fn names_count_up_behind_the_sessions_own_tag() {
        let cache = Cache::new(CacheLimits::of(1), 0xfe_0000_0001, true);
        for (number_, name) in [
            (1, "cf_000000ff_1"),
            (10, "cf_000000ff_10"),
            (u32::MAX, "cf_000000ff_4294967295"),
        ] {
            assert_eq!(cache.name(number(number_)).as_bytes(), name.as_bytes());
        }
    }

    fn ask_commented(cache: &mut Cache, text: &str) -> (ParsePlan, bool) {
        let bare = Bare::of(text).expect("it has comments");
        let asked = Asked::with_comments(&bare, text.as_bytes(), b"\0\0");
        let plan = cache.consult(asked, true);
        (plan, cache.latest_is_bare())
    }

    #[test]
    fn comments_that_are_the_same_each_time_are_prepared_and_others_are_none() {
        let mut cache = cache(2);
        let named = "-- name: One\nSELECT $1";
        ask_commented(&mut cache, named);
        let with_them = (ParsePlan::Prepare(number(1)), false);
        assert_eq!(ask_commented(&mut cache, named), with_them);
        let known = (ParsePlan::Known(number(1)), false);
        assert_eq!(ask_commented(&mut cache, named), known);

        let other = "/* trace 1 */ SELECT $1";
        let without = (ParsePlan::Prepare(number(2)), true);
        assert_eq!(ask_commented(&mut cache, other), without);
        for text in [named, other, "/* trace 2 */ SELECT $1"] {
            let known = (ParsePlan::Known(number(2)), true);
            assert_eq!(ask_commented(&mut cache, text), known);
        }
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Known(number(2)));
        assert_eq!(cache.take_closing(), [number(1)]);
    }

    #[test]
    fn one_in_a_hundred_texts_shows_its_comments() {
        let mut cache = cache(2);
        let mut shown = 0;
        for trace in 0..1003 {
            let (plan, _) = ask_commented(&mut cache, &format!("SELECT $1 /* {trace} */"));
            shown += usize::from(plan == ParsePlan::AsItCame);
            if let ParsePlan::Prepare(number) | ParsePlan::Known(number) = plan {
                cache.bound(number);
            }
        }
        assert_eq!(shown, 1 + 10);
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let mut cache = cache(2);
        for text in ["SELECT $1", "SELECT $2"] {
            ask(&mut cache, text);
            ask(&mut cache, text);
        }
        ask(&mut cache, "SELECT $1");
        ask(&mut cache, "SELECT $3");
        assert_eq!(ask(&mut cache, "SELECT $3"), ParsePlan::Prepare(number(3)));
        assert_eq!(cache.take_closing(), [number(2)]);
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Known(number(1)));
    }

    #[test]
    fn texts_that_never_come_again_displace_nothing() {
        let mut cache = cache(2);
        ask(&mut cache, "SELECT 'kept', $1");
        ask(&mut cache, "SELECT 'kept', $1");
        for n in 0..1000 {
            assert_eq!(
                ask(&mut cache, &format!("SELECT {n}, $1")),
                ParsePlan::AsItCame
            );
        }
        assert_eq!(
            ask(&mut cache, "SELECT 'kept', $1"),
            ParsePlan::Known(number(1))
        );
        assert_eq!(cache.entries.len(), 1);
    }

    #[test]
    fn a_text_that_is_very_long_is_never_kept() {
        let mut cache = cache(2);
        let text = format!("SELECT $1, '{}'", "x".repeat(TEXT_BYTES_MAX));
        for _ in 0..3 {
            assert_eq!(ask(&mut cache, &text), ParsePlan::AsItCame);
        }
    }

    #[test]
    fn after_five_binds_a_text_is_prepared_anew() {
        let mut cache = cache(2);
        ask(&mut cache, "SELECT $1");
        for round in 1..4 {
            assert_eq!(
                ask(&mut cache, "SELECT $1"),
                ParsePlan::Prepare(number(round))
            );
            cache.bound(number(round));
            for _ in 1..5 {
                assert_eq!(
                    ask(&mut cache, "SELECT $1"),
                    ParsePlan::Known(number(round))
                );
                cache.bound(number(round));
            }
        }
        assert_eq!(cache.take_closing(), [number(1), number(2)]);
    }

    #[test]
    fn the_operator_says_after_how_many_binds() {
        let limits = CacheLimits {
            executions: 7,
            ..CacheLimits::of(2)
        };
        let mut cache = Cache::new(limits, 7, true);
        ask(&mut cache, "SELECT $1");
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Prepare(number(1)));
        for _ in 0..6 {
            cache.bound(number(1));
            assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Known(number(1)));
        }
        cache.bound(number(1));
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Prepare(number(2)));
    }

    #[test]
    fn binds_of_another_text_do_not_count() {
        let mut cache = cache(2);
        for text in ["SELECT $1", "SELECT $1", "SELECT $2", "SELECT $2"] {
            ask(&mut cache, text);
        }
        for _ in 0..5 {
            cache.bound(number(1));
        }
        assert_eq!(ask(&mut cache, "SELECT $2"), ParsePlan::Known(number(2)));
    }

    #[test]
    fn a_star_is_known_only_where_all_can_be_said_again() {
        let mut cache = cache(2);
        ask(&mut cache, "SELECT * FROM t WHERE a = $1");
        ask(&mut cache, "SELECT * FROM t WHERE a = $1");
        let asked = Asked::of(b"SELECT * FROM t WHERE a = $1", b"\0\0");
        let plan = cache.consult(asked, false);
        assert_eq!(plan, ParsePlan::AsItCame);
        assert_eq!(
            ask(&mut cache, "SELECT * FROM t WHERE a = $1"),
            ParsePlan::Known(number(1))
        );
    }

    #[test]
    fn the_first_text_of_all_is_not_trusted_in_the_midst_of_a_transaction() {
        let mut cache = cache(2);
        for _ in 0..3 {
            let plan = cache.consult(Asked::of(b"SELECT $1", b"\0\0"), false);
            assert_eq!(plan, ParsePlan::AsItCame);
        }
        cache.rest();
        assert_eq!(ask(&mut cache, "SELECT $1"), ParsePlan::Prepare(number(1)));
    }
}
