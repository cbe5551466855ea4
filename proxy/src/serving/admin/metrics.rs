//! What the proxy counts, as OpenMetrics. Nothing is counted for it: each is read where it stands when somebody asks.
//!
//! The names are part of what operators build on: one that is given up goes with its alert rules and pictures.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use rewrite_rules::Phase;

use super::process::Process;
use crate::counters::reason::Reason;
use crate::counters::{MigrationTotals, Totals};
use crate::generation::ahead::{Group, RunningCanary};
use crate::latency::ONE_IN;
use crate::shared::Shared;

/// How they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    /// What Prometheus had before, and most tools read.
    Prometheus,
}

impl Format {
    pub fn media_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text",
            Format::Prometheus => "text/plain",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All of them.
pub(super) fn text(shared: Arc<Shared>, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(MetricsOf(shared)));
    let mut text = String::new();
    let written = match format {
        Format::OpenMetrics => text::encode(&mut text, &registry),
        Format::Prometheus => prometheus_text::encode(&mut text, &registry),
    };
    // Writing to a string fails only if a metric does, and then the rest is there.
    if let Err(error) = written {
        tracing::error!(%error, "metrics are not whole");
    }
    text
}

struct MetricsOf(Arc<Shared>);

impl fmt::Debug for MetricsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsOf")
    }
}

impl Collector for MetricsOf {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut to = To(encoder);
        let totals = self.0.counters.totals();
        to.info()?;
        to.sessions(&totals)?;
        to.hosts(&self.0)?;
        to.statements(&totals)?;
        to.answers(&self.0)?;
        to.migrations(&self.0)?;
        to.happened(&totals)?;
        to.canaries(&self.0, &totals)?;
        to.hook(&self.0)?;
        to.process(&Process::now())
    }
}

/// Where they go.
struct To<'a>(DescriptorEncoder<'a>);

impl To<'_> {
    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.begin(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        self.begin(name, help, unit, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    /// A counter with one value for each set of labels.
    fn counters<'l, L>(&mut self, name: &str, help: &str, values: L) -> fmt::Result
    where
        L: IntoIterator<Item = (Vec<(&'static str, &'l str)>, u64)>,
    {
        let mut metric = self.begin(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let mut one = metric.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges<'l, L>(&mut self, name: &str, help: &str, values: L) -> fmt::Result
    where
        L: IntoIterator<Item = (Vec<(&'static str, &'l str)>, u64)>,
    {
        let mut metric = self.begin(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn info(&mut self) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        self.begin("crossfade_build", "The program", None, MetricType::Info)?
            .encode_info(&labels)
    }

    fn sessions(&mut self, totals: &Totals) -> fmt::Result {
        self.gauge(
            "crossfade_sessions",
            "Clients that are connected",
            None,
            totals.sessions_open,
        )?;
        self.counter(
            "crossfade_sessions_begun",
            "Clients that have asked for a session",
            totals.sessions_total,
        )?;
        self.counter(
            "crossfade_upstream_failures",
            "Connections to the server that failed, or broke without a word",
            totals.upstream_failures,
        )
    }

    fn hosts(&mut self, shared: &Shared) -> fmt::Result {
        let in_use = shared.upstream.in_use().map(ToString::to_string);
        let hosts = shared.upstream.addresses().map(ToString::to_string);
        let hosts: Vec<String> = hosts.collect();
        let states = hosts.iter().map(|host| {
            let labels = vec![("host", host.as_str())];
            (labels, u64::from(in_use.as_ref() == Some(host)))
        });
        self.gauges(
            "crossfade_upstream_host",
            "1 for the host that clients are brought to",
            states,
        )?;
        self.gauge(
            "crossfade_upstream_waiting",
            "Clients that wait for the server to come back, or for another host",
            None,
            shared.upstream.waiting() as u64,
        )
    }

    fn statements(&mut self, totals: &Totals) -> fmt::Result {
        let outcomes = [
            ("passed", totals.passed),
            ("rewritten", totals.rewritten),
            ("refused", totals.refused),
        ];
        self.counters(
            "crossfade_statements",
            "Texts of clients by what became of them; one that is prepared counts once",
            outcomes.map(|(outcome, count)| (vec![("outcome", outcome)], count)),
        )
    }

    fn answers(&mut self, shared: &Shared) -> fmt::Result {
        let latencies = &shared.generations.latencies;
        // Read first: what is timed meanwhile is in the counts and not in the sum.
        let sum = latencies.sum();
        let mut buckets = latencies.by_bound();
        let count = buckets.iter().map(|(_, count)| count).sum();
        if let Some(last) = buckets.last_mut() {
            last.0 = f64::INFINITY;
        }
        let help = format!(
            "From a client's first message to the answer that leaves nothing outstanding; one in {ONE_IN} is timed"
        );
        self.begin(
            "crossfade_exchange",
            &help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?
        .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        self.gauge(
            "crossfade_held",
            "What all sessions together hold of long messages",
            Some(&Unit::Bytes),
            shared.held.held() as u64,
        )
    }

    fn migrations(&mut self, shared: &Shared) -> fmt::Result {
        let generation = shared.generations.current();
        let number = generation.number();
        self.gauge(
            "crossfade_generation",
            "The rules in force, counted from 1 since the start",
            None,
            number,
        )?;
        self.gauge(
            "crossfade_drained",
            "1: no transaction runs under earlier rules",
            None,
            shared.generations.drained(number).into(),
        )?;
        let phases: Vec<(String, Phase)> = generation
            .phases()
            .map(|(name, phase)| (name.to_owned(), phase))
            .collect();
        let states = phases.iter().flat_map(|(name, at)| {
            Phase::ALL.into_iter().map(move |phase| {
                let labels = vec![("migration", name.as_str()), ("phase", phase.name())];
                (labels, u64::from(phase == *at))
            })
        });
        self.gauges(
            "crossfade_migration_phase",
            "1 for the phase that is served",
            states,
        )?;
        let refused = shared.rules_refused();
        let refused = refused
            .keys()
            .map(|name| (vec![("migration", name.as_str())], 1));
        self.gauges(
            "crossfade_rules_refused",
            "1 for each migration whose rule file is not in force; `crossfade status` says why",
            refused,
        )?;
        let around = shared.around.lock();
        let around = around.unwrap_or_else(PoisonError::into_inner).clone();
        let around = phases.iter().map(|(name, _)| {
            let count = around.get(name).copied().unwrap_or(0);
            (vec![("migration", name.as_str())], count)
        });
        self.gauges(
            "crossfade_writers_around",
            "Who wrote around the proxies since the last clean verify, where the tables are sealed; `crossfade status` names them",
            around,
        )?;
        let plans = shared.plans.lock();
        let plans = plans.unwrap_or_else(PoisonError::into_inner).clone();
        let plans = plans
            .iter()
            .filter(|((name, _), _)| phases.iter().any(|(served, _)| served == name))
            .map(|((name, phase), count)| {
                let labels = vec![("migration", name.as_str()), ("phase", phase.name())];
                (labels, *count)
            });
        self.gauges(
            "crossfade_plan_regressions",
            "Statements that would be planned worse in the phase, as the last `crossfade coverage --plans` found",
            plans,
        )
    }

    fn happened(&mut self, totals: &Totals) -> fmt::Result {
        let of = |value: fn(&MigrationTotals) -> u64| {
            let all = totals.migrations.iter();
            all.map(move |(name, counted)| (vec![("migration", name.as_str())], value(counted)))
        };
        self.counters(
            "crossfade_fallback_rows",
            "Rows read from legacy because unified lacked them",
            of(|counted| counted.fallbacks),
        )?;
        self.counters(
            "crossfade_divergences",
            "Keys that entered the ledger",
            of(|counted| counted.divergences),
        )?;
        let compared = totals.migrations.iter().flat_map(|(name, counted)| {
            let results = [
                ("equal", counted.shadow_equal),
                ("different", counted.shadow_different),
            ];
            results.map(|(result, count)| {
                (
                    vec![("migration", name.as_str()), ("result", result)],
                    count,
                )
            })
        });
        self.counters(
            "crossfade_shadow_reads",
            "Reads that were compared",
            compared,
        )?;
        let not_compared = totals.migrations.iter().flat_map(|(name, counted)| {
            let reasons = Reason::ALL.into_iter().zip(counted.not_comparable);
            reasons
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| {
                    (
                        vec![("migration", name.as_str()), ("reason", reason.name())],
                        count,
                    )
                })
        });
        self.counters(
            "crossfade_shadow_reads_not_comparable",
            "Reads of the sample that could not be compared",
            not_compared,
        )?;
        self.counter(
            "crossfade_shadow_reads_dropped",
            "Reads of the sample that found the queue full",
            totals.shadow_dropped,
        )
    }

    fn canaries(&mut self, shared: &Shared, totals: &Totals) -> fmt::Result {
        let generation = shared.generations.current();
        let all = generation.canaries().running();
        let mut metric = self.begin(
            "crossfade_canary_share",
            "Of the sessions that read as in the next phase, 0 to 1; those that are named come to it",
            None,
            MetricType::Gauge,
        )?;
        for RunningCanary { canary, .. } in all {
            let labels = [("migration", canary.migration.as_str())];
            metric.encode_family(&labels)?.encode_gauge(&canary.share)?;
        }
        let groups = all.iter().flat_map(|running| {
            let name = running.canary.migration.as_str();
            Group::ALL.map(|group| (name, group, running.counts(group)))
        });
        let reads = groups.clone().flat_map(|(name, group, counts)| {
            let results = [("answered", counts.answered()), ("failed", counts.failed())];
            results.map(|(result, count)| {
                let labels = vec![
                    ("migration", name),
                    ("group", group.name()),
                    ("result", result),
                ];
                (labels, count)
            })
        });
        self.counters(
            "crossfade_canary_reads",
            "Plain reads since the canary began, of canaries and of all others",
            reads,
        )?;
        let mut metric = self.begin(
            "crossfade_canary_read",
            "How long exchanges took that were one such read",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (name, group, counts) in groups.clone() {
            let sum = counts.times.sum();
            let mut buckets = counts.times.by_bound();
            let count = buckets.iter().map(|(_, count)| count).sum();
            if let Some(last) = buckets.last_mut() {
                last.0 = f64::INFINITY;
            }
            let labels = [("migration", name), ("group", group.name())];
            let mut one = metric.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        let fallbacks = groups.map(|(name, group, _)| {
            let counted = totals.migrations.get(name).copied().unwrap_or_default();
            let count = match group {
                Group::Canary => counted.fallbacks_of_canaries,
                Group::Rest => counted.fallbacks - counted.fallbacks_of_canaries,
            };
            (vec![("migration", name), ("group", group.name())], count)
        });
        self.counters(
            "crossfade_canary_fallback_rows",
            "Rows read from legacy because unified lacked them, for canaries and for all others",
            fallbacks,
        )
    }

    fn hook(&mut self, shared: &Shared) -> fmt::Result {
        let counters = &shared.counters;
        let results = [
            ("told", &counters.hook_told),
            ("failed", &counters.hook_failed),
            ("given_up", &counters.hook_given_up),
        ];
        self.counters(
            "crossfade_hook_deliveries",
            "Attempts of this proxy to tell the hook of events, and events that it has given up",
            results.map(|(result, count)| (vec![("result", result)], count.load(Relaxed))),
        )
    }

    fn process(&mut self, now: &Process) -> fmt::Result {
        if let Some(cpu) = now.cpu {
            self.begin(
                "process_cpu",
                "User's and system's time",
                Some(&Unit::Seconds),
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, f64, f64>(&cpu.as_secs_f64(), None)?;
        }
        if let Some(bytes) = now.resident_bytes {
            self.gauge(
                "process_resident_memory",
                "Memory that is resident",
                Some(&Unit::Bytes),
                bytes,
            )?;
        }
        match now.open_files {
            Some(open) => self.gauge("process_open_fds", "Open file descriptors", None, open),
            None => Ok(()),
        }
    }
}
