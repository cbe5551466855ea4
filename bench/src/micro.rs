//! What reading and rewriting a text costs, in process: the scan that every text pays, the first
//! rewrite of a text that names a managed table, and every later one.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rewrite_rules::{Phase, RuleSet, SearchPath, SourceFile, Verdict};
use serde::Serialize;

use crate::rounds::median;
use crate::rules::rules_in;

const STATEMENTS: [(&str, &str); 6] = [
    (
        "read by key",
        "SELECT id, email, full_name, role, is_active FROM iso_agents WHERE id = $1",
    ),
    (
        "read by a mapped value",
        "SELECT a.* FROM iso_agents a WHERE a.role = 'iso_agent' AND a.is_active \
         ORDER BY a.created_at DESC LIMIT 20",
    ),
    (
        "join with aggregates",
        "SELECT a.id, a.full_name, count(r.id) AS requests, max(r.created_at) AS latest \
         FROM iso_agents AS a LEFT JOIN requests AS r ON r.iso_agent_id = a.id \
         WHERE a.role IN ('iso_agent', 'operator') AND a.email LIKE $1 \
         GROUP BY a.id, a.full_name HAVING count(r.id) > 3 ORDER BY requests DESC",
    ),
    (
        "update",
        "UPDATE iso_agents SET full_name = $1, margin_value = $2 WHERE id = $3 \
         RETURNING id, updated_at",
    ),
    (
        "insert",
        "INSERT INTO iso_agents (clerk_user_id, email, full_name, role, metadata) \
         VALUES ($1, $2, $3, $4, $5) RETURNING *",
    ),
    ("delete", "DELETE FROM iso_agents WHERE id = $1"),
];

/// A text that names nothing managed, of the kind an ORM writes; repeated to the length wanted.
const FOREIGN: &str = "SELECT t0.id, t0.created_at, t1.total_amount FROM orders AS t0 \
    INNER JOIN order_lines AS t1 ON t1.order_id = t0.id WHERE t0.customer = $1 AND t1.state <> 'x' ";

/// A figure is the median of so many parts, each shorter than the scheduler's time slice.
const PARTS: usize = 100;
const PART: Duration = Duration::from_micros(500);

#[derive(Debug, Serialize)]
pub struct Micro {
    pub scan: Vec<Scan>,
    pub rewrites: Vec<Rewrite>,
}

#[derive(Debug, Serialize)]
pub struct Scan {
    pub text_bytes: usize,
    pub nanoseconds: f64,
    pub nanoseconds_per_kilobyte: f64,
}

#[derive(Debug, Serialize)]
pub struct Rewrite {
    pub statement: &'static str,
    pub phase: &'static str,
    pub first_us: f64,
    /// Of a text that differs in its constants from one seen before.
    pub same_form_ns: f64,
    pub cached_ns: f64,
    /// Of a text that differs in a comment from one seen before.
    pub traced_ns: f64,
}

pub fn run() -> anyhow::Result<Micro> {
    let rules = rule_set(Phase::DualRead)?;
    let scan = [FOREIGN.len(), 1_000, 10_000, 100_000].map(|bytes| {
        let mut text = FOREIGN.repeat(bytes / FOREIGN.len() + 1).into_bytes();
        text.truncate(bytes);
        let nanoseconds = nanoseconds(|| {
            black_box(rules.must_read(black_box(&text)));
        });
        Scan {
            text_bytes: bytes,
            nanoseconds,
            nanoseconds_per_kilobyte: nanoseconds * 1000.0 / bytes as f64,
        }
    });
    let mut rewrites = Vec::new();
    for phase in [Phase::DualWrite, Phase::DualRead, Phase::UnifiedRead] {
        let rules = rule_set(phase)?;
        for (name, sql) in STATEMENTS {
            rewrites.push(rewrite(&rules, phase, name, sql)?);
        }
    }
    Ok(Micro {
        scan: scan.into(),
        rewrites,
    })
}

fn rewrite(
    rules: &RuleSet,
    phase: Phase,
    statement: &'static str,
    sql: &str,
) -> anyhow::Result<Rewrite> {
    let path = SearchPath::AsDeclared;
    if let Verdict::Refused(refusal) = &rules.rewrite(sql, path).verdict {
        anyhow::bail!("{statement} is refused in {}: {refusal:?}", phase.name());
    }
    let cached_ns = nanoseconds(|| {
        // What the session does with a text of the client's: the scan, then the look-up.
        if rules.must_read(black_box(sql).as_bytes()) {
            black_box(rules.rewrite(sql, path));
        }
    });
    let mut number = 0_u64;
    let first_us = microseconds(|| {
        // A text never seen before: a hint makes it another one.
        number += 1;
        black_box(rules.rewrite(&format!("/*+ {number} */ {sql}"), path));
    });
    let texts: Vec<String> = (0..1_000).map(|n| with_constants(sql, n)).collect();
    // The first two of a form are read.
    let mut others = texts.iter().cycle();
    for text in others.by_ref().take(3) {
        black_box(rules.rewrite(text, path));
    }
    let same_form_ns = nanoseconds(|| {
        let text = others.next().map_or(sql, String::as_str);
        if rules.must_read(black_box(text).as_bytes()) {
            black_box(rules.rewrite(text, path));
        }
    });
    let traced: Vec<String> = (0..1_000_u32)
        .map(|n| format!("{sql} /*traceparent='00-{n:032x}-{n:016x}-01'*/"))
        .collect();
    let mut traced = traced.iter().cycle();
    let traced_ns = nanoseconds(|| {
        let text = traced.next().map_or(sql, String::as_str);
        if rules.must_read(black_box(text).as_bytes()) {
            black_box(rules.rewrite(text, path));
        }
    });
    Ok(Rewrite {
        statement,
        phase: phase.name(),
        first_us,
        same_form_ns,
        cached_ns,
        traced_ns,
    })
}

/// The text as a client writes it that knows no parameters, with other values for each number.
fn with_constants(sql: &str, number: u64) -> String {
    let mut text = sql.replace("LIMIT 20", &format!("LIMIT {number}"));
    for parameter in 1..=5 {
        text = text.replace(&format!("${parameter}"), &format!("'{number}'"));
    }
    text
}

fn rule_set(phase: Phase) -> anyhow::Result<RuleSet> {
    let file = SourceFile {
        path: "iso_agents.toml".into(),
        text: rules_in(phase),
    };
    Ok(RuleSet::compile(vec![file])?)
}

/// The time of one call, of calls that take nanoseconds.
fn nanoseconds(mut call: impl FnMut()) -> f64 {
    undisturbed(|| {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < PART {
            // Reading the clock costs as much as a short scan.
            for _ in 0..16 {
                call();
            }
            calls += 16;
        }
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    })
}

/// The time of one call, of calls that take microseconds.
fn microseconds(mut call: impl FnMut()) -> f64 {
    undisturbed(|| {
        let start = Instant::now();
        call();
        start.elapsed().as_nanos() as f64 / 1000.0
    })
}

/// The median of many short parts: those in which the machine did something else are few, and
/// count as one each, however long it took.
fn undisturbed(mut part: impl FnMut() -> f64) -> f64 {
    median((0..PARTS).map(|_| part())).unwrap_or(f64::NAN)
}
