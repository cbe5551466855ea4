//! What Crossfade is held to, and whether it holds.

use rewrite_rules::Phase;
use serde::Serialize;

use crate::load::script::Protocol;
use crate::report::Report;
use crate::rounds::{Figures, Row};
use crate::workload::{CACHED, CACHED_LONG, CROSSFADE, EXTENDED, Group, ONE_THREAD, RELAY};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Met,
    Missed,
}

#[derive(Clone, Debug, Serialize)]
pub struct Target {
    pub name: String,
    pub measured: f64,
    pub at_most: f64,
}

impl Target {
    pub fn verdict(&self) -> Verdict {
        if self.measured <= self.at_most {
            Verdict::Met
        } else {
            Verdict::Missed
        }
    }
}

/// Every target that the report has the figures for.
pub fn of(report: &Report) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut hold = |name: &str, measured: Option<f64>, at_most: f64| {
        targets.extend(measured.map(|measured| Target {
            name: name.to_owned(),
            measured,
            at_most,
        }));
    };
    for protocol in Protocol::ALL {
        let name = format!("select, {}", protocol.name());
        hold(
            &format!("{name}: proxy CPU ÷ bare relay's"),
            report
                .row(&name, CROSSFADE)
                .and_then(|row| row.proxy_cpu_to_floor),
            match protocol {
                Protocol::Prepared => 1.1,
                Protocol::Simple | Protocol::Extended => 1.15,
            },
        );
    }
    for (label, with) in [(CROSSFADE, ""), (ONE_THREAD, ", with one thread")] {
        hold(
            &format!("select, prepared: proxy CPU ÷ PgBouncer's{with}"),
            report
                .row("select, prepared", label)
                .and_then(|row| row.proxy_cpu_to_pgbouncer),
            1.0,
        );
    }
    for cached in [CACHED, CACHED_LONG] {
        hold(
            &format!("select, extended: direct TPS ÷ that of {cached}"),
            report
                .row(EXTENDED, cached)
                .map(|row| 1.0 / row.per_second_ratio),
            1.0,
        );
    }
    let added = |label| {
        let row = report.row("select, prepared, 1 client", label)?;
        row.added_p50_us
    };
    hold(
        "prepared, 1 client: added p50 ÷ bare relay's",
        added(CROSSFADE)
            .zip(added(RELAY))
            .map(|(own, relay)| own / relay),
        1.15,
    );
    for figures in report.in_group(Group::Bulk) {
        hold(
            &format!("{}: proxy CPU per MB ÷ bare relay's", figures.workload),
            figures
                .row(CROSSFADE)
                .and_then(|row| row.proxy_cpu_to_floor),
            1.1,
        );
    }
    for phase in [Phase::DualRead, Phase::UnifiedRead, Phase::UnifiedOnly] {
        hold(
            &format!(
                "rewritten prepared read in {}: CPU ÷ passed through",
                phase.name()
            ),
            report
                .row(
                    "read by key, prepared",
                    &format!("iso_agents in {}", phase.name()),
                )
                .and_then(|row| row.cpu_to_floor),
            1.05,
        );
    }
    for calls in report.calls.iter().filter(|calls| calls.proxy == CROSSFADE) {
        hold(
            &format!(
                "{}: system calls per round trip, less the background's",
                calls.protocol.name()
            ),
            Some(calls.calls_per_round_trip - calls.background_per_round_trip),
            // What happens once, divided by the round trips, is no call of a round trip's.
            6.05,
        );
    }
    for allocations in &report.allocations {
        hold(
            &format!(
                "{}: allocations per round trip",
                allocations.protocol.name()
            ),
            Some(allocations.per_round_trip),
            0.05,
        );
    }
    for idle in report.idle.iter().filter(|idle| idle.proxy == CROSSFADE) {
        hold(
            &format!("KB per idle session, of {}", idle.sessions),
            Some(idle.bytes_per_session / 1024.0),
            16.0,
        );
    }
    if let Some(micro) = &report.micro {
        let largest = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
        let mut firsts = micro.rewrites.iter().map(|rewrite| rewrite.first_us);
        hold(
            "first rewrite, µs, the slowest",
            largest(&mut firsts),
            100.0,
        );
        let mut others = micro.rewrites.iter().map(|rewrite| rewrite.same_form_ns);
        hold(
            "rewrite of a text with other constants, µs, the slowest",
            largest(&mut others).map(|nanoseconds| nanoseconds / 1000.0),
            10.0,
        );
        let mut traced = micro.rewrites.iter().map(|rewrite| rewrite.traced_ns);
        hold(
            "rewrite of a text with another comment, µs, the slowest",
            largest(&mut traced).map(|nanoseconds| nanoseconds / 1000.0),
            10.0,
        );
        let mut cached = micro.rewrites.iter().map(|rewrite| rewrite.cached_ns);
        hold(
            "cached rewrite, ns, the slowest",
            largest(&mut cached),
            1000.0,
        );
    }
    targets
}

impl Report {
    fn in_group(&self, group: Group) -> impl Iterator<Item = &Figures> {
        self.figures.iter().filter(move |f| f.group == group)
    }

    pub fn row(&self, workload: &str, label: &str) -> Option<&Row> {
        let figures = self.figures.iter().find(|f| f.workload == workload)?;
        figures.row(label)
    }
}

impl Figures {
    fn row(&self, label: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.label == label)
    }
}
