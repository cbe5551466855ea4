//! A session between two byte streams, with rules made for the test.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rewrite_rules::{
    Answer, Does, Meaning, Names, OnPrepared, Parameter, Preparable, Reading, Refusal, Rewritten,
    RuleSet, SearchPath, SessionEffects, ShadowPair, Strings, TagVerb, Touch, Try, Verdict, Within,
};

use crate::session::lane::Lane;
use crate::session::origin::Origins;
use crate::session::{
    Backend, CacheLimits, Comments, Events, Frontend, Pin, ReadEnd, Session, SessionLimits,
    SessionReport, SessionRules, SessionSettings, Violation,
};
use crate::wire::backend;
use crate::wire::frame::{write_frame, write_string};
use crate::wire::frontend::MessageLimits;

/// What a generation of the test does with a text that spells `legacy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Pass,
    /// `legacy` becomes `unified`, and nothing else changes.
    Read,
    /// As in `Read`, and another name is managed that is no ASCII.
    ReadBeyondAscii,
    /// As in `Read`, and the pair is to be compared.
    Shadow,
    /// The text goes into a CTE: rows are hidden, the tag becomes UPDATE.
    Write,
    /// As in `Read`; what stands behind the last `=` may be a parameter.
    ByKey,
    /// As in `ByKey`, where `alone` is tried in place of `unified`, of a read or of a write.
    Tried(Try),
    /// The text goes between two of ours: its end is told with the second.
    Stage,
    Refuse,
    /// The text is no SQL.
    Unreadable,
}

#[derive(Debug)]
pub struct Rules {
    number: u64,
    rule: Rule,
    /// The server is asked what names mean.
    asks: bool,
}

impl SessionRules for Rules {
    fn number(&self) -> u64 {
        self.number
    }

    fn must_read(&self, text: &[u8]) -> bool {
        let text = String::from_utf8_lossy(text);
        ["legacy", "EXECUTE", "DEALLOCATE", "PREPARE", "search_path"]
            .iter()
            .any(|word| text.contains(word))
    }

    fn may_name(&self, text: &[u8]) -> bool {
        String::from_utf8_lossy(text).contains("legacy")
    }

    fn touch(&self, text: &[u8]) -> Touch {
        RuleSet::empty().touch(text)
    }

    fn spells_name(&self, text: &[u8]) -> bool {
        self.may_name(text)
    }

    fn origins(&self) -> Arc<Origins> {
        Arc::default()
    }

    fn reads_ahead(&self, _migration: &[u8]) -> bool {
        false
    }

    fn look(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading> {
        self.rewrite(text, path, strings)
    }

    fn rewrite(&self, text: &str, path: SearchPath, strings: Strings) -> Arc<Reading> {
        if strings == Strings::Escapes && text.contains('\\') {
            let refused = refuse("backslashes escape");
            return Arc::new(Reading::new(refused, SessionEffects::default()));
        }
        let argument = |word: &str| {
            let after = text.split_once(word)?.1;
            Some(after.trim().trim_end_matches(';').to_owned())
        };
        let deallocates = argument("DEALLOCATE").map(|name| Does::Deallocate(Some(name)));
        let executes = argument("EXECUTE").map(|name| Does::Execute {
            name,
            within: Within::Nothing,
        });
        let prepares = argument("PREPARE").map(|rest| Does::Prepare {
            name: rest.split(' ').next().unwrap_or_default().to_owned(),
            text: Some(text.to_owned()),
            answer: match verdict(self.rule, text) {
                Verdict::Rewritten(rewritten) => rewritten.answers[0],
                Verdict::PassThrough | Verdict::Refused(_) => Answer::default(),
            },
        });
        let all = [deallocates, executes, prepares].into_iter().flatten();
        let on = |does| OnPrepared {
            statement: 0,
            at: 0,
            does,
        };
        let effects = SessionEffects {
            path: text.contains("search_path").then_some(SearchPath::Unknown),
            prepared: all.map(on).collect(),
            unparsed: false,
            ..SessionEffects::default()
        };
        let verdict = match (text.contains("legacy"), path) {
            (false, _) => Verdict::PassThrough,
            (true, SearchPath::Unknown) => refuse("search_path was changed"),
            (true, SearchPath::Finds(_) | SearchPath::Tenant { .. }) => Verdict::PassThrough,
            (true, SearchPath::AsDeclared) => verdict(self.rule, text),
        };
        let reading = Reading::new(verdict, effects);
        Arc::new(match self.rule {
            Rule::ByKey if text.contains("legacy") => reading.with_preparable(preparable(text)),
            Rule::Tried(tries) if text.contains("legacy") => {
                reading.with_preparable(preparable(text)).with_try(tries)
            }
            _ => reading,
        })
    }

    fn tries(&self) -> bool {
        matches!(self.rule, Rule::Tried(_))
    }

    fn trying(&self, tries: Try, (text, _): (&str, SearchPath), _: Strings) -> Arc<Reading> {
        let alone = text.replace("legacy", "legacy_alone");
        let reading = match tries {
            Try::UnifiedAlone => verdict(Rule::ByKey, &alone),
            Try::InOnePiece => verdict(Rule::ByKey, &alone),
        };
        let reading = Reading::new(reading, SessionEffects::default());
        Arc::new(reading.with_preparable(preparable(&alone)))
    }

    fn names_since(&self) -> u64 {
        1
    }

    fn watched_since(&self) -> u64 {
        1
    }

    fn path_question(&self) -> Option<&str> {
        self.asks.then_some("SELECT what names mean")
    }

    /// `e` behind the letter says that backslashes escape, `c` that the server converts, `p` that another process answers
    /// than the session was told of.
    fn path_answered(&self, letters: &[u8]) -> Option<Meaning> {
        let path = match letters.first()? {
            b't' => SearchPath::AsDeclared,
            b'f' => SearchPath::Finds(Names::NONE),
            _ => SearchPath::Unknown,
        };
        let strings = match letters.contains(&b'e') {
            true => Strings::Escapes,
            false => Strings::Standard,
        };
        Some(Meaning {
            path,
            strings,
            converts: letters.contains(&b'c'),
            backend: if letters.contains(&b'p') { 2 } else { 1 },
        })
    }

    fn names_beyond_ascii(&self) -> bool {
        self.rule == Rule::ReadBeyondAscii
    }
}

fn refuse(message: &str) -> Verdict {
    Verdict::Refused(Refusal {
        sqlstate: "0A000",
        message: message.to_owned(),
        hint: "do otherwise".to_owned(),
        position: Some(8),
    })
}

fn preparable(text: &str) -> Preparable {
    let (before, value) = text.rsplit_once("= ").expect("a value stands at the end");
    let before = format!("{}= ", before.replace("legacy", "unified"));
    let at = before.len();
    Preparable {
        sql: format!("{before}$1"),
        parameters: vec![Parameter {
            type_oid: 23,
            value: value.to_owned(),
        }],
        places: vec![(at..at + 2, at..at + value.len())],
    }
}

fn verdict(rule: Rule, text: &str) -> Verdict {
    let rewritten = |sql: String, answer: Answer, shadow| {
        Verdict::Rewritten(Rewritten {
            renames: std::sync::Arc::default(),
            prepared: None,
            around: None,
            needs: None,
            context: None,
            sql,
            answers: text.split(';').map(|_| answer).collect(),
            shadow,
            kept: Vec::new(),
            values: Vec::new(),
            original: text.to_owned(),
        })
    };
    let unified = text.replace("legacy", "unified");
    match rule {
        Rule::Pass => Verdict::PassThrough,
        Rule::Refuse => refuse("not while it moves"),
        Rule::Unreadable => Verdict::Refused(Refusal {
            sqlstate: "42601",
            message: "syntax error".to_owned(),
            hint: String::new(),
            position: Some(1),
        }),
        Rule::Read | Rule::ReadBeyondAscii | Rule::ByKey | Rule::Tried(_) => {
            rewritten(unified, Answer::default(), None)
        }
        Rule::Shadow => {
            let pair = ShadowPair {
                migration: "m".to_owned(),
                legacy: text.to_owned(),
                tables: Vec::new(),
                foreign: None,
                unified,
            };
            rewritten(text.to_owned(), Answer::default(), Some(Box::new(pair)))
        }
        Rule::Write => {
            let answer = Answer {
                tag: Some(TagVerb::Update),
                hide_rows: true,
                ..Answer::default()
            };
            rewritten(format!("WITH put AS ({unified}) SELECT"), answer, None)
        }
        Rule::Stage => {
            let staged = rewritten(
                format!("COPY stage; {unified}; DROP stage"),
                Answer::default(),
                None,
            );
            let silent = Answer {
                silent: true,
                ..Answer::default()
            };
            let told = Answer {
                tag: Some(TagVerb::Copy),
                later: true,
                ..Answer::default()
            };
            match staged {
                Verdict::Rewritten(rewritten) => Verdict::Rewritten(Rewritten {
                    answers: vec![silent, told, silent],
                    ..rewritten
                }),
                other => other,
            }
        }
    }
}

/// The test's generations, shared with the session's pin.
#[derive(Clone, Debug)]
pub struct Registry(Rc<RefCell<(Arc<Rules>, Option<u64>)>>);

impl Registry {
    pub fn install(&self, rule: Rule) {
        let number = self.newest() + 1;
        let asks = self.0.borrow().0.asks;
        self.0.borrow_mut().0 = Arc::new(Rules { number, rule, asks });
    }

    pub fn pinned(&self) -> Option<u64> {
        self.0.borrow().1
    }
}

impl Pin for Registry {
    type Rules = Rules;

    fn newest(&self) -> u64 {
        self.0.borrow().0.number
    }

    fn begin(&mut self, held: &mut Arc<Rules>) {
        let mut inner = self.0.borrow_mut();
        *held = Arc::clone(&inner.0);
        inner.1 = Some(held.number);
    }

    fn end(&mut self) {
        self.0.borrow_mut().1 = None;
    }

    fn asked(&mut self) {}

    fn is_timed(&self) -> bool {
        false
    }

    fn answered(&mut self) -> Option<Duration> {
        None
    }

    fn read_ended(&mut self, _migrations: &[String], _end: ReadEnd) {}

    fn served_by(&mut self, _backend: i32) {}
}

pub struct Rig {
    pub session: Session<Registry>,
    pub registry: Registry,
    up: Lane,
    down: Lane,
    backlog: Vec<u8>,
    pub chunk: usize,
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
}

pub const LIMITS: SessionLimits = SessionLimits {
    messages: MessageLimits {
        statement_bytes_max: 1000,
        ..MessageLimits::DEFAULT
    },
    prepared_statements_max: 3,
    prepared_bytes_max: 400,
    cache: CacheLimits::OFF,
};

impl Rig {
    /// A session that has just become ready.
    pub fn new(rule: Rule) -> Rig {
        let mut rig = Rig::in_chunks(rule, usize::MAX);
        rig.server(&ready(b'I'));
        rig.to_client.clear();
        rig
    }

    /// A ready session that keeps up to two unnamed statements prepared.
    pub fn caching(rule: Rule) -> Rig {
        let mut rig = Rig::caching_in_chunks(rule, usize::MAX);
        rig.server(&ready(b'I'));
        rig.to_client.clear();
        rig
    }

    pub fn caching_in_chunks(rule: Rule, chunk: usize) -> Rig {
        let limits = SessionLimits {
            cache: CacheLimits::of(2),
            ..LIMITS
        };
        Rig::with_limits(rule, chunk, limits, false)
    }

    /// A ready session that keeps up to two of what is rewritten and finds one row by its key.
    pub fn keeping_rewritten(chunk: usize) -> Rig {
        Rig::keeping(chunk, false)
    }

    /// The same that asks what names mean first, of a server that says at the beginning that it is process 1.
    pub fn asking_and_keeping_rewritten() -> Rig {
        Rig::keeping(usize::MAX, true)
    }

    fn keeping(chunk: usize, asks: bool) -> Rig {
        let limits = SessionLimits {
            cache: CacheLimits {
                rewritten: 2,
                ..CacheLimits::OFF
            },
            ..LIMITS
        };
        let mut rig = Rig::with_limits(Rule::ByKey, chunk, limits, asks);
        rig.server(&join([message(b'K', b"\0\0\0\x01key!"), ready(b'I')]));
        rig.to_client.clear();
        rig
    }

    /// A ready session that keeps statements, and treats comments so.
    pub fn forwarding(rule: Rule, comments: Comments) -> Rig {
        let mut rig = Rig::caching_in_chunks(rule, usize::MAX);
        let settings = SessionSettings {
            comments,
            ..rig.session.settings
        };
        let first = Arc::clone(&rig.registry.0.borrow().0);
        rig.session = Session::new(rig.registry.clone(), first, settings);
        rig.server(&ready(b'I'));
        rig.to_client.clear();
        rig
    }

    /// A session that is still to become ready, and then to ask what names mean.
    pub fn asking(rule: Rule, chunk: usize) -> Rig {
        Rig::with_limits(rule, chunk, LIMITS, true)
    }

    pub fn in_chunks(rule: Rule, chunk: usize) -> Rig {
        Rig::with_limits(rule, chunk, LIMITS, false)
    }

    fn with_limits(rule: Rule, chunk: usize, limits: SessionLimits, asks: bool) -> Rig {
        let first = Arc::new(Rules {
            number: 1,
            rule,
            asks,
        });
        let registry = Registry(Rc::new(RefCell::new((Arc::clone(&first), None))));
        let settings = SessionSettings {
            limits,
            search_path: SearchPath::AsDeclared,
            strip_channel_binding: false,
            comments: Comments::Sampled,
            shadow_sample: 1.0,
            seed: 1,
        };
        Rig {
            session: Session::new(registry.clone(), first, settings),
            registry,
            up: Lane::default(),
            down: Lane::default(),
            backlog: Vec::new(),
            chunk,
            to_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Feeds the client's bytes; gives what newly reached the server.
    pub fn client(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.try_client(bytes).expect("no violation")
    }

    pub fn try_client(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Violation> {
        let before = self.to_server.len();
        self.backlog.extend_from_slice(bytes);
        while !self.backlog.is_empty() || (self.up.is_waiting() && !self.session.is_blocked()) {
            let chunk = self.chunk.min(self.backlog.len());
            let input: Vec<u8> = self.backlog[..chunk].to_vec();
            let mut output = Vec::new();
            let fed = self
                .up
                .feed(&mut Frontend(&mut self.session), &input, &mut output);
            self.to_server.extend_from_slice(&output);
            self.to_server.extend_from_slice(&input[fed.run]);
            self.backlog.drain(..fed.consumed);
            if let Some(violation) = fed.violation {
                return Err(violation);
            }
            if fed.consumed < chunk {
                break;
            }
        }
        Ok(self.to_server[before..].to_vec())
    }

    /// What the shell would send to the server of its own accord.
    pub fn resent(&mut self) -> Vec<u8> {
        self.session.take_resend().unwrap_or_default()
    }

    /// What reaches the server once the shell has found newer rules for what waits for them.
    pub fn said_again(&mut self) -> Vec<u8> {
        let mut frames = self.session.take_again().unwrap_or_default();
        frames.append(&mut self.backlog);
        self.client(&frames)
    }

    /// Feeds the server's bytes; gives what newly reached the client.
    pub fn server(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.try_server(bytes).expect("no violation")
    }

    pub fn try_server(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Violation> {
        let before = self.to_client.len();
        for input in bytes.chunks(self.chunk.min(bytes.len().max(1))) {
            let mut output = Vec::new();
            let fed = self
                .down
                .feed(&mut Backend(&mut self.session), input, &mut output);
            self.to_client.extend_from_slice(&output);
            self.to_client.extend_from_slice(&input[fed.run]);
            if let Some(violation) = fed.violation {
                return Err(violation);
            }
            assert_eq!(fed.consumed, input.len(), "the server is never blocked");
        }
        self.try_client(&[])?;
        Ok(self.to_client[before..].to_vec())
    }

    pub fn report(&mut self) -> SessionReport {
        self.session.take_report().unwrap_or_default()
    }

    pub fn events(&mut self) -> Events {
        self.report()
            .events
            .map(|events| *events)
            .unwrap_or_default()
    }
}

pub fn join<const N: usize>(frames: [Vec<u8>; N]) -> Vec<u8> {
    frames.concat()
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

fn strings(tag: u8, parts: &[&[u8]], tail: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        write_string(&mut body, part);
    }
    body.extend_from_slice(tail);
    message(tag, &body)
}

pub fn query(text: &str) -> Vec<u8> {
    strings(b'Q', &[text.as_bytes()], b"")
}

pub fn parse(name: &str, text: &str) -> Vec<u8> {
    strings(b'P', &[name.as_bytes(), text.as_bytes()], &[0, 0])
}

/// One text parameter, `v`.
pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    strings(
        b'B',
        &[portal.as_bytes(), statement.as_bytes()],
        &[0, 0, 0, 1, 0, 0, 0, 1, b'v', 0, 0],
    )
}

pub fn describe(kind: char, name: &str) -> Vec<u8> {
    strings(b'D', &[format!("{kind}{name}").as_bytes()], b"")
}

pub fn close(name: &str) -> Vec<u8> {
    strings(b'C', &[format!("S{name}").as_bytes()], b"")
}

pub fn close_portal(name: &str) -> Vec<u8> {
    strings(b'C', &[format!("P{name}").as_bytes()], b"")
}

/// Without parameters, results in text format.
pub fn bare_bind(portal: &str, statement: &str) -> Vec<u8> {
    strings(b'B', &[portal.as_bytes(), statement.as_bytes()], &[0; 6])
}

pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    strings(b'E', &[portal.as_bytes()], &rows_max.to_be_bytes())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub fn complete(tag: &str) -> Vec<u8> {
    strings(b'C', &[tag.as_bytes()], b"")
}

/// ParseComplete, BindComplete, CloseComplete, NoData and others without a body.
pub fn bare(tag: char) -> Vec<u8> {
    message(tag as u8, b"")
}

pub fn rows() -> Vec<u8> {
    join([
        message(b'T', b"\0\0"),
        message(b'D', b"row one"),
        message(b'D', b"row two"),
    ])
}

pub fn error(sqlstate: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    backend::write_error(&mut out, "ERROR", sqlstate, message, "");
    out
}

pub fn refusal(message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let fields: [(u8, &[u8]); 6] = [
        (b'S', b"ERROR"),
        (b'V', b"ERROR"),
        (b'C', b"0A000"),
        (b'M', message.as_bytes()),
        (b'H', b"do otherwise"),
        (b'P', b"8"),
    ];
    backend::write_fields(&mut out, b'E', fields);
    out
}

/// What the server says of a text whose epoch is over.
pub fn fenced_off() -> Vec<u8> {
    error("42P01", "relation \"crossfade_e1_m.fence\" does not exist")
}

/// The server's answer to the text that stands for a refused one.
pub fn poisoned() -> Vec<u8> {
    error("42P01", "missing FROM-clause entry for table \"crossfade\"")
}
