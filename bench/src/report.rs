//! The report: everything measured, as Markdown for people and as JSON for programs.

use std::fmt::Write;

use serde::Serialize;

use crate::idle::Idle;
use crate::micro::Micro;
use crate::rounds::{Figures, Row};
use crate::targets::{Target, Verdict};
use crate::traced::{Allocations, Calls};
use crate::workload::{FINE_ROUNDS, Group};

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    pub seconds: f64,
    pub figures: Vec<Figures>,
    pub idle: Vec<Idle>,
    pub calls: Vec<Calls>,
    pub allocations: Vec<Allocations>,
    pub micro: Option<Micro>,
    pub targets: Vec<Target>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct Machine {
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    /// Programs and their versions.
    pub versions: Vec<String>,
    /// Runnable processes per core, on average, while it was measured.
    pub load: f64,
}

impl Report {
    /// Something could not be measured.
    pub fn leave_out(&mut self, what: &str, why: &anyhow::Error) {
        eprintln!("{what}: {why:#}");
        self.left_out.push(format!("{what}: {why:#}"));
    }

    pub fn markdown(&self) -> String {
        let mut out = String::new();
        if !self.figures.is_empty() {
            self.write_circumstances(&mut out);
        }

        for group in Group::ALL {
            let figures: Vec<&Figures> = self.figures.iter().filter(|f| f.group == group).collect();
            if !figures.is_empty() {
                let _ = writeln!(out, "\n### {}\n", title(group));
                out.push_str(&table(group, &figures));
            }
        }
        self.write_idle(&mut out);
        self.write_traced(&mut out);
        self.write_micro(&mut out);
        self.write_targets(&mut out);
        for text in &self.left_out {
            let _ = writeln!(out, "\nLeft out: {text}.");
        }
        out
    }

    fn write_circumstances(&self, out: &mut String) {
        let machine = &self.machine;
        let _ = writeln!(
            out,
            "{}, {} × {}, {}, {}.",
            machine.date,
            machine.cores,
            machine.processor,
            machine.kernel,
            machine.versions.join(", ")
        );
        let _ = writeln!(
            out,
            "{} rounds of {} s for each variant, {FINE_ROUNDS} times as many of the passed-through SELECTs at 8 \
             clients; medians of the rounds' ratios. Proxy, server and client share the cores (load \
             {:.1} at the end): compare ratios, not times.",
            self.rounds, self.seconds, machine.load
        );
    }

    fn write_idle(&self, out: &mut String) {
        if self.idle.is_empty() {
            return;
        }
        out.push_str("\n### Memory of idle sessions\n\n");
        out.push_str("| proxy | sessions | KB per session | MB in all |\n|---|---|---|---|\n");
        for idle in &self.idle {
            let _ = writeln!(
                out,
                "| {} | {} | {:.1} | {:.0} |",
                idle.proxy,
                idle.sessions,
                idle.bytes_per_session / 1024.0,
                idle.total_bytes as f64 / 1e6
            );
        }
    }

    fn write_traced(&self, out: &mut String) {
        if self.calls.is_empty() && self.allocations.is_empty() {
            return;
        }
        out.push_str("\n### System calls and allocations of a round trip\n\n");
        out.push_str("| | | calls | of these in the background | |\n|---|---|---|---|---|\n");
        for calls in &self.calls {
            let names: Vec<String> = calls
                .by_name
                .iter()
                .filter(|(_, each)| *each > 0.005)
                .map(|(name, each)| format!("{name} {each:.2}"))
                .collect();
            let _ = writeln!(
                out,
                "| {} | {} | {:.2} | {:.2} | {} |",
                calls.proxy,
                calls.protocol.name(),
                calls.calls_per_round_trip,
                calls.background_per_round_trip,
                names.join(", ")
            );
        }
        for allocations in &self.allocations {
            let _ = writeln!(
                out,
                "| crossfade, heap allocations | {} | {:.2} | | |",
                allocations.protocol.name(),
                allocations.per_round_trip
            );
        }
    }

    fn write_micro(&self, out: &mut String) {
        let Some(micro) = &self.micro else { return };
        out.push_str("\n### Reading and rewriting a text\n\n");
        out.push_str("| scan of | ns | ns per KB |\n|---|---|---|\n");
        for scan in &micro.scan {
            let _ = writeln!(
                out,
                "| {} bytes | {:.0} | {:.0} |",
                scan.text_bytes, scan.nanoseconds, scan.nanoseconds_per_kilobyte
            );
        }
        out.push_str(
            "\n| rewrite | phase | first, µs | other constants, ns | another comment, ns | scan and cache, ns |\n|---|---|---|---|---|---|\n",
        );
        for rewrite in &micro.rewrites {
            let _ = writeln!(
                out,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
                rewrite.statement,
                rewrite.phase,
                rewrite.first_us,
                rewrite.same_form_ns,
                rewrite.traced_ns,
                rewrite.cached_ns
            );
        }
    }

    fn write_targets(&self, out: &mut String) {
        if self.targets.is_empty() {
            return;
        }
        out.push_str("\n### Targets\n\n");
        out.push_str("| | measured | target | |\n|---|---|---|---|\n");
        for target in &self.targets {
            let verdict = match target.verdict() {
                Verdict::Met => "met",
                Verdict::Missed => "**missed**",
            };
            let _ = writeln!(
                out,
                "| {} | {:.2} | ≤ {} | {verdict} |",
                target.name, target.measured, target.at_most
            );
        }
    }
}

fn title(group: Group) -> &'static str {
    match group {
        Group::PassThrough => "Passed through, 8 clients (pgbench)",
        Group::Latency => "Passed through, 1 client",
        Group::Bulk => "Bulk data, 1 client",
        Group::RewrittenReads => "Rewritten reads, 8 clients",
        Group::DualWrites => "Dual writes and what one would take instead, 8 clients",
    }
}

/// A column's heading and its cell.
type Column = (&'static str, fn(&Row) -> String);

const RATE: Column = ("per second", |row| format!("{:.0}", row.per_second));
const RATE_RATIO: Column = ("ratio", |row| format!("{:.2}", row.per_second_ratio));
const PROXY_CPU: Column = ("proxy CPU, µs", |row| optional(row.proxy_cpu_us, 1));
const SERVER_CPU: Column = ("server CPU, µs", |row| format!("{:.1}", row.server_cpu_us));
const SERVER_RATIO: Column = ("server CPU ratio", |row| {
    format!("{:.2}", row.server_cpu_ratio)
});
const TO_RELAY: Column = ("CPU × relay's", |row| optional(row.proxy_cpu_to_floor, 2));
const BETWEEN: Column = ("half of the rounds", |row| {
    let between = row.proxy_cpu_to_floor_between;
    between.map_or("–".to_owned(), |(low, high)| {
        format!("{low:.2}–{high:.2}")
    })
});
const P50: Column = ("p50, µs", |row| optional(row.p50_us, 0));
const P99: Column = ("p99, µs", |row| optional(row.p99_us, 0));

fn table(group: Group, figures: &[&Figures]) -> String {
    let columns: Vec<Column> = match group {
        Group::PassThrough => vec![
            RATE,
            RATE_RATIO,
            PROXY_CPU,
            TO_RELAY,
            BETWEEN,
            SERVER_CPU,
            SERVER_RATIO,
        ],
        Group::Latency => vec![
            P50,
            ("added p50", |row| optional(row.added_p50_us, 1)),
            P99,
            ("added p99", |row| optional(row.added_p99_us, 0)),
            PROXY_CPU,
            TO_RELAY,
        ],
        Group::Bulk => vec![
            ("MB/s", |row| optional(row.megabytes_per_second, 0)),
            RATE_RATIO,
            ("proxy CPU, µs per MB", |row| {
                optional(row.proxy_cpu_us_per_megabyte, 0)
            }),
            TO_RELAY,
        ],
        Group::RewrittenReads => vec![
            RATE,
            RATE_RATIO,
            ("ratio to passed through", |row| {
                optional(row.per_second_to_floor, 2)
            }),
            PROXY_CPU,
            SERVER_CPU,
            ("CPU of both ÷ passed through", |row| {
                optional(row.cpu_to_floor, 2)
            }),
        ],
        Group::DualWrites => vec![RATE, RATE_RATIO, SERVER_RATIO, P50, P99, PROXY_CPU],
    };
    let mut out = String::from("| workload | |");
    columns.iter().for_each(|(heading, _)| {
        let _ = write!(out, " {heading} |");
    });
    out.push_str(&format!("\n|---|---|{}\n", "---|".repeat(columns.len())));
    for figures in figures {
        let mut name = figures.workload.as_str();
        for row in &figures.rows {
            let _ = write!(out, "| {name} | {} |", row.label);
            for (_, cell) in &columns {
                let _ = write!(out, " {} |", cell(row));
            }
            out.push('\n');
            name = "";
        }
    }
    out
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}
