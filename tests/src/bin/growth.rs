//! Does what grows with what a client sends, in several sizes, for somebody who counts instructions
//! (`tests/edge/growth.rs`). Each size's work stands between two calls of [`mark`]; a line of output names
//! it.
//! With a kind and a size: that work alone, and the most memory that the process had, in kB.
//!
//! Knows no clock: what is told of a size is the same on every machine, busy or not.

use crossfade::wire::frame::write_frame;
use crossfade_tests::properties::reader::rules;
use crossfade_tests::properties::session::Fed;
use crossfade_tests::protocol_scripts::messages::{
    bind, copy_data, copy_done, execute, parse, query, sync,
};
use rewrite_rules::{Phase, RuleSet};

type Work = Box<dyn FnOnce()>;

/// Nested SQL takes stack, of which the proxy's workers have so much.
const STACK_BYTES: usize = 256 << 20;

fn main() {
    let all = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(run);
    let ended = all.map(std::thread::JoinHandle::join);
    assert!(matches!(ended, Ok(Ok(()))), "the work ended early");
}

fn run() {
    let mut arguments = std::env::args().skip(1);
    let alone = arguments.next();
    let size = arguments.next().and_then(|size| size.parse().ok());
    for (name, smallest, work) in KINDS {
        match (&alone, size) {
            (None, _) => {
                for size in [1, 2, 4].map(|times| smallest * times) {
                    let work = work(size);
                    println!("{name}\t{size}");
                    mark();
                    work();
                    mark();
                }
            }
            (Some(alone), Some(size)) if alone == name => {
                work(size)();
                println!("{}", most_memory_kb());
            }
            (Some(_), _) => {}
        }
    }
}

fn most_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.and_then(|line| line.trim().strip_suffix("kB"));
    digits
        .and_then(|kb| kb.trim().parse().ok())
        .expect("/proc tells it")
}

/// What was done since the last call is counted.
#[inline(never)]
fn mark() {
    std::hint::black_box(());
}

/// What is sent, the smallest number of it, and the work of a number.
type Kind = (&'static str, usize, fn(usize) -> Work);

const KINDS: [Kind; 13] = [
    ("UPDATEs in one string", 10, |size| {
        one_string(size, |n| {
            (
                format!("UPDATE iso_agents SET full_name = 'n {n}' WHERE id = '{n}'"),
                "SELECT 1",
            )
        })
    }),
    ("SELECTs in one string", 10, |size| {
        one_string(size, |n| {
            (
                format!("SELECT id, {n} FROM iso_agents WHERE email = '{n}'"),
                "SELECT 1",
            )
        })
    }),
    ("INSERTs in one string", 10, |size| {
        one_string(size, |n| {
            (
                format!("INSERT INTO iso_agents (email) VALUES ('{n}')"),
                "SELECT 1",
            )
        })
    }),
    ("DELETEs in one string", 10, |size| {
        one_string(size, |n| {
            (
                format!("DELETE FROM iso_agents WHERE id = '{n}'"),
                "SELECT 1",
            )
        })
    }),
    ("UPDATEs among others in one string", 10, |size| {
        one_string(size, |n| match n % 2 {
            0 => (format!("UPDATE notes SET msg = lower('{n}')"), "UPDATE 1"),
            _ => (
                format!("UPDATE iso_agents SET email = lower('{n}')"),
                "SELECT 1",
            ),
        })
    }),
    ("PREPAREs in one string", 10, |size| {
        one_string(size, |n| {
            (
                format!("PREPARE p{n} AS UPDATE iso_agents SET email = '{n}'"),
                "PREPARE",
            )
        })
    }),
    (
        "EXECUTEs in one string, of what was prepared under other rules",
        10,
        executes,
    ),
    ("UPDATEs in one pipeline", 10, |size| {
        let text = |n| format!("UPDATE iso_agents SET full_name = 'n {n}' WHERE id = '{n}'");
        let each = |n| [parse("", &text(n)), bind("", "", &[], 0), execute("", 0)].concat();
        let sent: Vec<u8> = (0..size).flat_map(each).chain(sync()).collect();
        let mut answers = Vec::new();
        for _ in 0..size {
            for tag in *b"12" {
                write_frame(&mut answers, tag, |_| {});
            }
            complete(&mut answers, "SELECT 1");
        }
        ready(&mut answers);
        conversation(Phase::DualWrite, sent, answers)
    }),
    ("rows of one INSERT", 25, |size| {
        let rows: Vec<String> = (0..size).map(|n| format!("(lower('{n}'))")).collect();
        let text = format!("INSERT INTO iso_agents (email) VALUES {}", rows.join(", "));
        let mut answers = Vec::new();
        complete(&mut answers, "SELECT 1");
        ready(&mut answers);
        conversation(Phase::DualWrite, query(&text), answers)
    }),
    ("rows of one INSERT into another table", 1_000, |size| {
        let rows: Vec<String> = (0..size).map(|n| format!("(lower('{n}'))")).collect();
        let text = format!("INSERT INTO notes (msg) VALUES {}", rows.join(", "));
        let rules = RuleSet::empty();
        Box::new(move || {
            std::hint::black_box(rules.touch(text.as_bytes()));
        })
    }),
    ("rows of one COPY", 1_000, |size| {
        let mut sent = query("COPY notes FROM STDIN");
        sent.extend(copy_data(b"a\tb\n").repeat(size));
        sent.extend(copy_done());
        let mut answers = Vec::new();
        write_frame(&mut answers, b'G', |out| out.extend_from_slice(&[0, 0, 0]));
        complete(&mut answers, "COPY 1");
        ready(&mut answers);
        conversation(Phase::DualWrite, sent, answers)
    }),
    ("quotation marks in the body of DO", 200, |size| {
        // While backslashes escape, each begins a string without an end.
        let text = format!("DO $$ iso_agents '{} $$", "\\'".repeat(size));
        let mut answers = Vec::new();
        ready(&mut answers);
        conversation(Phase::DualWrite, query(&text), answers)
    }),
    ("calls around a text", 10, |size| {
        let text = format!("'SELECT 1 {}'", "a ".repeat(20 * size));
        let calls = "query_to_xml(".repeat(size);
        let text = format!("SELECT {calls}{text}{} FROM iso_agents", ")".repeat(size));
        let mut answers = Vec::new();
        ready(&mut answers);
        conversation(Phase::DualWrite, query(&text), answers)
    }),
];

/// A Query of so many statements, with what the server answers to each.
fn one_string(size: usize, statement: impl Fn(usize) -> (String, &'static str)) -> Work {
    let (mut texts, mut answers) = (Vec::new(), Vec::new());
    for (text, tag) in (0..size).map(statement) {
        texts.push(text);
        complete(&mut answers, tag);
    }
    ready(&mut answers);
    conversation(Phase::DualWrite, query(&texts.join("; ")), answers)
}

fn executes(size: usize) -> Work {
    let name = |n| format!("p{n}");
    let mut fed = admitted(Phase::DualRead);
    for n in 0..size {
        let text = format!("PREPARE {} AS UPDATE iso_agents SET email = '{n}'", name(n));
        let mut answers = Vec::new();
        complete(&mut answers, "PREPARE");
        ready(&mut answers);
        exchange(&mut fed, &query(&text), &answers);
    }
    fed.new_rules(rules_in(Phase::UnifiedRead));
    let texts: Vec<String> = (0..size).map(|n| format!("EXECUTE {}", name(n))).collect();
    let mut answers = Vec::new();
    for _ in 0..size {
        write_frame(&mut answers, b'3', |_| {});
    }
    for _ in 0..size {
        complete(&mut answers, "PREPARE");
        complete(&mut answers, "SELECT 1");
    }
    ready(&mut answers);
    let sent = query(&texts.join("; "));
    Box::new(move || exchange(&mut fed, &sent, &answers))
}

/// A request to a session that has found out what names mean, and the server's answers.
fn conversation(phase: Phase, sent: Vec<u8>, answers: Vec<u8>) -> Work {
    let mut fed = admitted(phase);
    Box::new(move || exchange(&mut fed, &sent, &answers))
}

fn admitted(phase: Phase) -> Fed {
    let mut fed = Fed::with_room(rules_in(phase));
    let mut answers = Vec::new();
    write_frame(&mut answers, b'R', |out| {
        out.extend_from_slice(&[0, 0, 0, 0])
    });
    ready(&mut answers);
    fed.server(&answers).expect("the session is let in");
    // The question what the managed names mean, and its answer: all is as declared.
    fed.client(&query("SELECT id FROM iso_agents"))
        .expect("a query");
    answers.clear();
    for tag in *b"12" {
        write_frame(&mut answers, tag, |_| {});
    }
    write_frame(&mut answers, b'D', |out| {
        out.extend_from_slice(&[0, 1, 0, 0, 0, 6]);
        out.extend_from_slice(b"1 ttsb");
    });
    complete(&mut answers, "SELECT 1");
    for tag in *b"33" {
        write_frame(&mut answers, tag, |_| {});
    }
    ready(&mut answers);
    fed.server(&answers).expect("the question is answered");
    answers.clear();
    complete(&mut answers, "SELECT 1");
    ready(&mut answers);
    fed.server(&answers).expect("the query is answered");
    assert!(fed.session.is_idle());
    fed
}

fn exchange(fed: &mut Fed, sent: &[u8], answers: &[u8]) {
    fed.client(sent).expect("the client keeps the protocol");
    fed.server(answers).expect("the server does, too");
    assert!(fed.session.is_idle(), "an answer is missing");
}

fn rules_in(phase: Phase) -> RuleSet {
    rules(0).with_phase(None, phase)
}

fn complete(answers: &mut Vec<u8>, tag: &str) {
    write_frame(answers, b'C', |out| {
        out.extend_from_slice(tag.as_bytes());
        out.push(0);
    });
}

fn ready(answers: &mut Vec<u8>) {
    write_frame(answers, b'Z', |out| out.push(b'I'));
}
