//! The phases as a model, checked in every order of events: two proxies with a transaction each, of which any
//! may be stopped, cut off or late for as long as it likes, one row, a backfill, a way back, operators who step at any time
//! and may be killed between a step and the close of the epoch before it. Its rules are the design's, not the code's; what it
//! shows is that they suffice, and that none of the three of the fences can be left out.
//!
//! `shadow_read` is `dual_write` here, and `retired` is `unified_only`.

use stateright::{Checker, HasDiscoveries, Model, Property};

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    LegacyOnly,
    DualWrite,
    DualRead,
    UnifiedRead,
    UnifiedOnly,
}

use Phase::{DualRead, DualWrite, LegacyOnly, UnifiedOnly, UnifiedRead};

const PHASES: [Phase; 5] = [LegacyOnly, DualWrite, DualRead, UnifiedRead, UnifiedOnly];

impl Phase {
    fn is_next_to(self, other: Phase) -> bool {
        (self as i8 - other as i8).abs() <= 1
    }
}

/// The row's value on one side; `None`: no row.
type Value = Option<u8>;

/// An epoch, as far as others matter to it.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Era {
    /// What the database has in force.
    Newest,
    /// One before it, whose fence is open.
    Left,
    /// Its fence is closed.
    Closed,
}

use Era::{Closed, Left, Newest};

/// A transaction, pinned to the phase it began in.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Transaction {
    phase: Phase,
    era: Era,
    /// It has named its fence, which stays open until its end.
    holds: bool,
    snapshot: Option<Snapshot>,
}

/// What a transaction at REPEATABLE READ saw, and what others committed since.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
struct Snapshot {
    saw_legacy: bool,
    saw_unified: bool,
    legacy_changed: bool,
    unified_changed: bool,
    /// A backfill waits for those.
    before_last_chunk: bool,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Proxy {
    phase: Phase,
    /// Of the rules that it serves by: it need not have heard of others.
    era: Era,
    transaction: Option<Transaction>,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Copying {
    Never,
    Running,
    Sweeping,
    Complete,
    Void,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct State {
    /// What the database has in force.
    phase: Phase,
    /// An epoch before it is not closed, and had this phase.
    left: Option<Phase>,
    proxies: [Proxy; 2],
    legacy: Value,
    unified: Value,
    /// The last acknowledged write.
    truth: Value,
    backfill: Copying,
    reverse: Copying,
    tombstone: bool,
    /// `legacy_only` was visited after dual writes: unified lacks its writes.
    unified_stale: bool,
    /// `unified_only` was visited: legacy lacks its writes.
    legacy_stale: bool,
    begun: u8,
    written: u8,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
enum Event {
    /// With its fence named at once, or not before it writes.
    Begin(usize, Isolation, bool),
    Put(usize),
    Delete(usize),
    /// Rolled back, or its client, session or server killed.
    Abort(usize),
    Step(Phase),
    /// By the operator, the next one, or a proxy.
    Close,
    Adopt(usize),
    /// Killed and started again: its transactions are gone, and it asks the database.
    CrashProxy(usize),
    /// A kill in the middle of any of these is the same as their not having happened: each is one
    /// transaction with the note of it.
    StartBackfill,
    Chunk,
    Sweep,
    Repair,
    StartReverse,
    ReverseChunk,
    ReverseSweep,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Isolation {
    ReadCommitted,
    RepeatableRead,
}

/// The rules; the tests take one away.
#[derive(Clone, Debug)]
struct Rules {
    /// A statement of an epoch that is closed fails.
    fence: bool,
    /// An epoch is closed when no transaction holds it open.
    waits: bool,
    /// A step and a backfill begin only when the epoch before is closed; a step back to it may be taken at once.
    order: bool,
    /// Every step is to a neighbour.
    adjacency: bool,
    /// A delete at REPEATABLE READ asks the unique index about rows that it cannot see.
    probe: bool,
    /// Whoever visited `legacy_only` comes to `dual_read` by a backfill and a clean verify only.
    unified_current: bool,
    /// And whoever visited `unified_only` comes back to `dual_read` by a reverse backfill.
    legacy_current: bool,
    transactions_max: u8,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            fence: true,
            waits: true,
            order: true,
            adjacency: true,
            probe: true,
            unified_current: true,
            legacy_current: true,
            transactions_max: 3,
        }
    }
}

impl State {
    fn is_drained(&self) -> bool {
        self.left.is_none()
    }

    fn transactions(&mut self) -> impl Iterator<Item = &mut Transaction> {
        self.proxies
            .iter_mut()
            .filter_map(|p| p.transaction.as_mut())
    }

    fn read(&self, phase: Phase) -> Value {
        match phase {
            LegacyOnly | DualWrite => self.legacy,
            DualRead => self.unified.or(self.legacy),
            UnifiedRead | UnifiedOnly => self.unified,
        }
    }

    /// Everybody who may read now, and in which phase.
    fn readers(&self, rules: &Rules) -> impl Iterator<Item = Phase> {
        let may = |era: Era| era != Closed || !rules.fence;
        self.proxies.iter().flat_map(move |proxy| {
            let pinned = proxy.transaction.as_ref();
            let pinned = pinned.filter(|running| may(running.era) || running.holds);
            let pinned = pinned.map(|running| running.phase);
            let next = may(proxy.era).then_some(proxy.phase);
            [next, pinned].into_iter().flatten()
        })
    }

    fn set_legacy(&mut self, value: Value) {
        if self.legacy != value {
            self.legacy = value;
            self.each_snapshot(|snapshot| snapshot.legacy_changed = true);
        }
    }

    fn set_unified(&mut self, value: Value) {
        if self.unified != value {
            self.unified = value;
            self.each_snapshot(|snapshot| snapshot.unified_changed = true);
        }
    }

    fn each_snapshot(&mut self, mut change: impl FnMut(&mut Snapshot)) {
        for proxy in &mut self.proxies {
            if let Some(Transaction {
                snapshot: Some(snapshot),
                ..
            }) = &mut proxy.transaction
            {
                change(snapshot);
            }
        }
    }

    fn old_snapshots(&self) -> bool {
        let mut all = self.proxies.iter().filter_map(|p| p.transaction.as_ref());
        all.any(|running| {
            running
                .snapshot
                .as_ref()
                .is_some_and(|s| s.before_last_chunk)
        })
    }

    /// Writes and commits, or fails with 40001, which does nothing.
    fn write(&mut self, rules: &Rules, proxy: usize, value: Value) {
        let Some(running) = self.proxies[proxy].transaction.take() else {
            return;
        };
        let phase = running.phase;
        let snapshot = running.snapshot.unwrap_or_default();
        let (legacy, unified) = match phase {
            LegacyOnly => (true, false),
            DualWrite | DualRead | UnifiedRead => (true, true),
            UnifiedOnly => (false, true),
        };
        let mut sees = (true, true);
        if value.is_none() {
            // A delete goes by what it sees; a put is an upsert and meets every row.
            sees.0 = snapshot.saw_legacy || !snapshot.legacy_changed;
            sees.1 = snapshot.saw_unified || !snapshot.unified_changed;
        }
        let leads_unified = phase >= UnifiedRead;
        let lead_changed = if leads_unified {
            snapshot.unified_changed
        } else {
            snapshot.legacy_changed
        };
        let conflict = lead_changed
            || (legacy && snapshot.legacy_changed && (sees.0 || rules.probe))
            || (unified && snapshot.unified_changed && (sees.1 || rules.probe));
        if conflict {
            return;
        }
        if legacy && sees.0 {
            self.set_legacy(value);
        }
        if unified && sees.1 {
            self.set_unified(value);
        }
        let swept = [Copying::Sweeping, Copying::Complete].contains(&self.backfill);
        if unified && !sees.1 && !swept {
            self.tombstone = true;
        }
        self.truth = value;
    }
}

impl Model for Rules {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let proxy = Proxy {
            phase: LegacyOnly,
            era: Newest,
            transaction: None,
        };
        vec![State {
            phase: LegacyOnly,
            left: None,
            proxies: [proxy.clone(), proxy],
            legacy: Some(0),
            unified: None,
            truth: Some(0),
            backfill: Copying::Never,
            reverse: Copying::Never,
            tombstone: false,
            unified_stale: false,
            legacy_stale: false,
            begun: 0,
            written: 0,
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        for (at, proxy) in state.proxies.iter().enumerate() {
            match proxy.transaction {
                Some(_) => events.extend([Event::Put(at), Event::Delete(at), Event::Abort(at)]),
                None if self.fence && proxy.era == Closed => {}
                None if state.begun < self.transactions_max => events.extend([
                    // One that has seen nothing and holds nothing might as well begin later.
                    Event::Begin(at, Isolation::ReadCommitted, true),
                    Event::Begin(at, Isolation::RepeatableRead, true),
                    Event::Begin(at, Isolation::RepeatableRead, false),
                ]),
                None => {}
            }
            if proxy.era != Newest {
                events.push(Event::Adopt(at));
            }
            events.push(Event::CrashProxy(at));
        }
        let is_drained = state.is_drained() || !self.order;
        for to in PHASES {
            let is_step = to != state.phase && (to.is_next_to(state.phase) || !self.adjacency);
            let in_order = is_drained || state.left == Some(to);
            if is_step && in_order && self.gates_met(state, to) {
                events.push(Event::Step(to));
            }
        }
        let is_held = state.proxies.iter().any(|proxy| {
            let running = proxy.transaction.as_ref();
            running.is_some_and(|running| running.holds && running.era == Left)
        });
        if state.left.is_some() && (!is_held || !self.waits) {
            events.push(Event::Close);
        }
        let copying = [DualWrite, DualRead].contains(&state.phase);
        if copying && is_drained && state.backfill != Copying::Sweeping {
            events.push(Event::StartBackfill);
        }
        if state.backfill == Copying::Running && copying {
            events.push(Event::Chunk);
        }
        if state.backfill == Copying::Sweeping && !state.old_snapshots() {
            events.push(Event::Sweep);
        }
        if copying && is_drained && state.unified_stale && state.backfill == Copying::Complete {
            events.push(Event::Repair);
        }
        if state.phase == UnifiedRead && is_drained && state.legacy_stale {
            events.push(Event::StartReverse);
        }
        if state.phase == UnifiedRead && state.reverse == Copying::Running {
            events.push(Event::ReverseChunk);
        }
        if state.phase == UnifiedRead
            && state.reverse == Copying::Sweeping
            && !state.old_snapshots()
        {
            events.push(Event::ReverseSweep);
        }
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        let mut state = last.clone();
        match event {
            Event::Begin(at, isolation, holds) => {
                state.begun += 1;
                let snapshot = (isolation == Isolation::RepeatableRead).then(|| Snapshot {
                    saw_legacy: state.legacy.is_some(),
                    saw_unified: state.unified.is_some(),
                    ..Snapshot::default()
                });
                let Proxy { phase, era, .. } = state.proxies[at];
                state.proxies[at].transaction = Some(Transaction {
                    phase,
                    era,
                    holds,
                    snapshot,
                });
            }
            Event::Put(at) => {
                state.written += 1;
                let value = state.written;
                state.write(self, at, Some(value));
            }
            Event::Delete(at) => state.write(self, at, None),
            Event::Abort(at) => state.proxies[at].transaction = None,
            Event::Step(to) => {
                match to {
                    LegacyOnly => {
                        state.unified_stale = true;
                        state.backfill = Copying::Void;
                        state.tombstone = false;
                    }
                    DualRead => {
                        state.unified_stale = false;
                        state.legacy_stale = false;
                    }
                    UnifiedOnly => {
                        state.legacy_stale = true;
                        state.reverse = Copying::Void;
                    }
                    // A transaction of legacy_only may still change what another wrote to both.
                    DualWrite if state.phase == LegacyOnly => state.unified_stale = true,
                    DualWrite | UnifiedRead => {}
                }
                state.left = Some(state.phase);
                state.phase = to;
                for proxy in &mut state.proxies {
                    if proxy.era == Newest {
                        proxy.era = Left;
                    }
                }
                for running in state.transactions().filter(|r| r.era == Newest) {
                    running.era = Left;
                }
            }
            Event::Close => {
                state.left = None;
                for proxy in &mut state.proxies {
                    if proxy.era == Left {
                        proxy.era = Closed;
                        // What it believes makes no difference any more.
                        if self.fence {
                            proxy.phase = LegacyOnly;
                        }
                    }
                    if let Some(running) = &mut proxy.transaction
                        && running.era == Left
                    {
                        running.era = Closed;
                        // Nothing is left to it but to fail.
                        if self.fence && !running.holds {
                            proxy.transaction = None;
                        }
                    }
                }
            }
            Event::Adopt(at) => {
                state.proxies[at].phase = state.phase;
                state.proxies[at].era = Newest;
            }
            Event::CrashProxy(at) => {
                state.proxies[at] = Proxy {
                    phase: state.phase,
                    era: Newest,
                    transaction: None,
                };
            }
            Event::StartBackfill => state.backfill = Copying::Running,
            Event::Chunk => {
                if state.legacy.is_some() {
                    state.set_unified(state.legacy);
                }
                state.each_snapshot(|snapshot| snapshot.before_last_chunk = true);
                state.backfill = Copying::Sweeping;
            }
            Event::Sweep => {
                if state.tombstone && state.legacy.is_none() {
                    state.set_unified(None);
                }
                state.tombstone = false;
                state.each_snapshot(|snapshot| snapshot.before_last_chunk = false);
                state.backfill = Copying::Complete;
            }
            Event::Repair => state.set_unified(state.legacy),
            Event::StartReverse => state.reverse = Copying::Running,
            Event::ReverseChunk => {
                if state.unified.is_some() {
                    state.set_legacy(state.unified);
                }
                state.each_snapshot(|snapshot| snapshot.before_last_chunk = true);
                state.reverse = Copying::Sweeping;
            }
            Event::ReverseSweep => {
                if state.unified.is_none() {
                    state.set_legacy(None);
                }
                state.each_snapshot(|snapshot| snapshot.before_last_chunk = false);
                state.reverse = Copying::Complete;
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "every read sees the last acknowledged write",
                |rules: &Rules, state: &State| {
                    state
                        .readers(rules)
                        .all(|phase| state.read(phase) == state.truth)
                },
            ),
            Property::always(
                "after the sweep both sides are the same",
                |_, state: &State| {
                    let settled = state.backfill == Copying::Complete
                        && state.is_drained()
                        && [DualWrite, DualRead, UnifiedRead].contains(&state.phase)
                        && !state.unified_stale
                        && !state.legacy_stale;
                    !settled || state.legacy == state.unified
                },
            ),
            Property::always(APART, |_, state: &State| {
                let mut writers = state.proxies.iter().filter_map(|p| p.transaction.as_ref());
                writers.all(|r| r.phase == state.phase || r.phase.is_next_to(state.phase))
            }),
            // What the model must be able to do, or the others hold for want of events.
            Property::sometimes("the way there ends", |_, state: &State| {
                state.phase == UnifiedOnly && state.is_drained() && state.written > 1
            }),
            Property::sometimes("the way back ends", |_, state: &State| {
                state.phase == LegacyOnly && state.reverse == Copying::Complete && state.written > 0
            }),
        ]
    }
}

impl Rules {
    /// The gates of a step, beside the drain.
    fn gates_met(&self, state: &State, to: Phase) -> bool {
        let complete = state.backfill == Copying::Complete;
        let verified = state.legacy == state.unified;
        match (state.phase, to) {
            (DualWrite, DualRead) => {
                !self.unified_current || !state.unified_stale || (complete && verified)
            }
            (DualRead, UnifiedRead) => complete && verified,
            (UnifiedRead, DualRead) => {
                let caught_up = state.reverse == Copying::Complete && verified;
                !self.legacy_current || !state.legacy_stale || caught_up
            }
            _every_other_step => true,
        }
    }
}

fn check(rules: Rules) -> impl Checker<Rules> {
    rules.checker().threads(2).spawn_bfs().join()
}

/// Whether some order of events breaks all of these.
fn breaks(rules: Rules, properties: &[&'static str]) -> bool {
    let found = HasDiscoveries::AllOf(properties.iter().copied().collect());
    let checked = rules.checker().threads(2).finish_when(found);
    let checked = checked.spawn_bfs().join();
    let mut broken = properties.iter();
    broken.all(|property| checked.discovery(property).is_some())
}

const APART: &str = "nobody writes two steps apart";
const READS: &str = "every read sees the last acknowledged write";

#[test]
fn every_order_of_events_keeps_every_acknowledged_write_readable() {
    let checked = check(Rules::default());
    println!("{} states", checked.unique_state_count());
    checked.assert_properties();
    assert!(checked.is_done());
}

#[test]
fn without_the_fence_a_proxy_that_was_stopped_loses_a_write() {
    let rules = Rules {
        fence: false,
        ..Rules::default()
    };
    assert!(breaks(rules, &[READS]));
}

#[test]
fn a_fence_that_is_closed_over_somebody_loses_a_write() {
    let rules = Rules {
        waits: false,
        ..Rules::default()
    };
    assert!(breaks(rules, &[READS]));
}

#[test]
fn a_step_before_the_epoch_before_is_closed_loses_a_write() {
    let rules = Rules {
        order: false,
        ..Rules::default()
    };
    assert!(breaks(rules, &[READS, APART]));
}

#[test]
fn a_step_that_skips_a_phase_loses_a_write() {
    let rules = Rules {
        adjacency: false,
        ..Rules::default()
    };
    assert!(breaks(rules, &[READS]));
}

#[test]
fn a_ghost_of_a_delete_that_could_not_look_is_kept_from_readers_by_the_gates() {
    let rules = Rules {
        probe: false,
        ..Rules::default()
    };
    assert!(check(rules).discovery(READS).is_none());
}

#[test]
fn without_a_backfill_after_a_visit_to_legacy_only_dual_read_shows_stale_rows() {
    let rules = Rules {
        unified_current: false,
        ..Rules::default()
    };
    assert!(breaks(rules, &[READS]));
}

#[test]
fn without_a_reverse_backfill_the_way_back_from_unified_only_loses_writes() {
    let rules = Rules {
        legacy_current: false,
        ..Rules::default()
    };
    assert!(breaks(rules, &[READS]));
}
