//! The session under any interleaving of both sides' messages: it may end the session, but not
//! the process; without rules, what it lets through is what came.

use std::collections::VecDeque;
use std::sync::Arc;

use crossfade::generation::ahead::Who;
use crossfade::generation::{Generations, SessionPin};
use crossfade::session::lane::{FrameSide, Lane};
use crossfade::session::{
    Backend, CacheLimits, Comments, Frontend, Session, SessionLimits, SessionSettings, Violation,
};
use crossfade::wire::frame::write_frame;
use crossfade::wire::frontend::MessageLimits;
use rewrite_rules::{Phase, RuleSet, SearchPath};

use super::{Bytes, reader};

/// Without the cache a session without rules lets everything through as it comes.
const LIMITS: SessionLimits = SessionLimits {
    cache: CacheLimits::OFF,
    messages: MessageLimits {
        statement_bytes_max: 10_000_000,
        ..MessageLimits::DEFAULT
    },
    prepared_statements_max: 4,
    prepared_bytes_max: 1000,
};

/// A session with both its lanes, and what came out at the other ends.
pub struct Fed {
    pub session: Session<SessionPin>,
    generations: Arc<Generations>,
    up: Lane,
    down: Lane,
    held: VecDeque<u8>,
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
}

impl Fed {
    #[must_use]
    pub fn new(rules: RuleSet) -> Fed {
        Fed::with_cache(rules, 0)
    }

    #[must_use]
    pub fn with_cache(rules: RuleSet, cached_statements: usize) -> Fed {
        let limits = SessionLimits {
            cache: CacheLimits::of(cached_statements),
            ..LIMITS
        };
        Fed::with_limits(rules, limits)
    }

    /// A session that may prepare as many statements as an application would.
    #[must_use]
    pub fn with_room(rules: RuleSet) -> Fed {
        let limits = SessionLimits {
            prepared_statements_max: 10_000,
            prepared_bytes_max: 4_000_000,
            ..LIMITS
        };
        Fed::with_limits(rules, limits)
    }

    fn with_limits(rules: RuleSet, limits: SessionLimits) -> Fed {
        let generations = Arc::new(Generations::new(rules));
        let pin = generations.session(Who::new("app".into(), String::new()));
        let settings = SessionSettings {
            limits,
            search_path: SearchPath::AsDeclared,
            strip_channel_binding: false,
            comments: Comments::default(),
            shadow_sample: 0.5,
            seed: 7,
        };
        Fed {
            session: Session::new(pin, generations.current(), settings),
            generations,
            up: Lane::default(),
            down: Lane::default(),
            held: VecDeque::new(),
            to_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Other rules are in force, from the next transaction on.
    ///
    /// # Panics
    /// If no step leads there.
    pub fn new_rules(&mut self, rules: RuleSet) {
        self.generations
            .install(rules)
            .expect("no more than one step from those that were");
    }

    /// Feeds the client's bytes; they wait while the session is blocked.
    pub fn client(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.held.extend(bytes);
        let input: Vec<u8> = self.held.drain(..).collect();
        let mut side = Frontend(&mut self.session);
        let consumed = feed(&mut self.up, &mut side, &input, &mut self.to_server)?;
        self.held.extend(&input[consumed..]);
        Ok(())
    }

    pub fn server(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut side = Backend(&mut self.session);
        let consumed = feed(&mut self.down, &mut side, bytes, &mut self.to_client)?;
        assert_eq!(consumed, bytes.len(), "the server is never blocked");
        if self.up.takes_frames()
            && let Some(again) = self.session.take_resend()
        {
            self.to_server.extend_from_slice(&again);
        }
        self.client(&[])
    }
}

fn feed(
    lane: &mut Lane,
    side: &mut impl FrameSide,
    input: &[u8],
    sink: &mut Vec<u8>,
) -> Result<usize, Violation> {
    let mut output = Vec::new();
    let fed = lane.feed(side, input, &mut output);
    sink.extend_from_slice(&output);
    sink.extend_from_slice(&input[fed.run]);
    fed.violation.map_or(Ok(fed.consumed), Err)
}

/// Texts of every kind of verdict and effect.
const TEXTS: [&str; 8] = [
    "SELECT a FROM t WHERE id = $1",
    "SELECT * FROM iso_agents WHERE id = $1",
    "UPDATE iso_agents SET full_name = 'x'",
    "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES ('a', 'a@b.c', 'x') RETURNING id",
    "ALTER TABLE iso_agents ADD x int",
    "SET search_path TO x",
    "DEALLOCATE ALL",
    "EXECUTE a; DELETE FROM public.iso_agents",
];
const NAMES: [&[u8]; 4] = [b"", b"a", b"b", b"c"];
const CLIENT_TAGS: &[u8] = b"QPBDECHSFXdcfp";
const SERVER_TAGS: &[u8] = b"12sntTDCIZEGWHVAvRKNdc";

/// A message whose body mostly fits its type: a choice of names, texts and bytes.
fn body(tag: u8, from_client: bool, data: &mut Bytes<'_>, out: &mut Vec<u8>) {
    let choice = usize::from(data.byte());
    let (name, other) = (NAMES[choice & 3], NAMES[(choice >> 2) & 3]);
    let text = TEXTS[(choice >> 4) & 7].as_bytes();
    let pieces: &[&[u8]] = match (from_client, tag) {
        (true, b'Q') => &[text, b"\0"],
        (true, b'P') => &[name, b"\0", text, b"\0\0\0"],
        (true, b'B') => &[other, b"\0", name, b"\0\0\0\0\0\0\0"],
        (true, b'D' | b'C') => &[if choice & 64 == 0 { b"S" } else { b"P" }, name, b"\0"],
        (true, b'E') => &[name, b"\0\0\0\0", &[0, 7][choice & 1..=choice & 1]],
        (true, b'H' | b'S' | b'X' | b'c') => &[],
        (false, b'Z') => &[&b"ITE"[choice % 3..=choice % 3]],
        (false, b'E' | b'N') => &[
            b"SERROR\0C",
            [&b"42P01"[..], b"CF001", b"25P02", b"0A000"][choice & 3],
            b"\0Mx\0\0",
        ],
        (false, b'S') => &[
            b"client_encoding\0",
            [&b"UTF8"[..], b"LATIN1"][choice & 1],
            b"\0",
        ],
        (false, b'C') => &[[&b"SELECT 3"[..], b"INSERT 0 1", b"SET"][choice % 3], b"\0"],
        _ => &[data.take(choice & 7)],
    };
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}

fn play(data: &[u8], fed: &mut Fed, mut transparent: bool) -> Result<(), Violation> {
    let (mut sent, mut came) = (Vec::new(), Vec::new());
    let mut data = Bytes(data);
    while !data.is_empty() {
        let step = data.byte();
        let from_client = step & 1 == 0;
        let tags = if from_client {
            CLIENT_TAGS
        } else {
            SERVER_TAGS
        };
        let tag = tags[usize::from(step >> 2) % tags.len()];
        let mut bytes = Vec::new();
        match (step, step & 2) {
            // Not a message at all.
            (254.., _) => bytes.extend_from_slice(data.take(9)),
            // New rules, in the middle of whatever it is.
            (252..=253, _) => {
                let phase = fed
                    .generations
                    .current()
                    .phases()
                    .next()
                    .map(|(_, phase)| phase);
                let next = phase.and_then(Phase::next).unwrap_or(Phase::Retired);
                let rules = reader::rules(0).with_phase(None, next);
                let _one_step = fed.generations.install(rules);
                transparent = false;
            }
            (_, 0) => {
                let mut content = Vec::new();
                body(tag, from_client, &mut data, &mut content);
                write_frame(&mut bytes, tag, |out| out.extend_from_slice(&content));
            }
            (_, _) => {
                let length = usize::from(data.byte() & 31);
                let content = data.take(length);
                write_frame(&mut bytes, tag, |out| out.extend_from_slice(content));
            }
        }
        if from_client {
            sent.extend_from_slice(&bytes);
            fed.client(&bytes)?;
        } else {
            came.extend_from_slice(&bytes);
            fed.server(&bytes)?;
        }
        if transparent {
            assert!(sent.starts_with(&fed.to_server), "to the server");
            // Notices of our own functions are swallowed, rules or no rules.
            let swallowed = came.windows(5).any(|window| window == b"CF001");
            assert!(
                swallowed || came.starts_with(&fed.to_client),
                "to the client"
            );
        }
        let _taken = fed.session.take_report();
    }
    Ok(())
}

pub fn check(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    // A violation ends the session, which is an answer too.
    let _ended = play(data, &mut Fed::new(RuleSet::empty()), true);
    let rules = reader::rules(*choice);
    let phase = rules.migrations()[0].phase;
    let rules = || rules.with_phase(None, phase);
    let _ended = play(data, &mut Fed::new(rules()), false);
    let _ended = play(data, &mut Fed::with_cache(rules(), 2), false);
}
