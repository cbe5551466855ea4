//! Interleaved rounds: within a round every variant of a workload runs once, in an order that
//! turns from round to round. What is reported is the median, over the rounds, of each round's
//! ratios: a machine that is slow for a while is slow for all variants of a round alike.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::endpoint::Endpoint;
use crate::measure::{self, Sample};
use crate::workload::{Group, PGBOUNCER, Workload};
use crate::world::World;

/// A workload's figures, ready to be shown.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub workload: String,
    pub group: Group,
    pub clients: usize,
    pub rounds: usize,
    /// What `proxy_cpu_to_floor` is measured by.
    pub floor: &'static str,
    pub rows: Vec<Row>,
}

/// Medians over the rounds. Ratios to the workload's first variant unless they say otherwise.
#[derive(Debug, Serialize)]
pub struct Row {
    pub label: String,
    pub per_second: f64,
    pub per_second_ratio: f64,
    /// Ratio to the floor's.
    pub per_second_to_floor: Option<f64>,
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub added_p50_us: Option<f64>,
    pub added_p99_us: Option<f64>,
    pub proxy_cpu_us: Option<f64>,
    pub proxy_cpu_to_floor: Option<f64>,
    /// What the middle half of the rounds said of it.
    pub proxy_cpu_to_floor_between: Option<(f64, f64)>,
    /// Ratio to PgBouncer's.
    pub proxy_cpu_to_pgbouncer: Option<f64>,
    pub server_cpu_us: f64,
    pub server_cpu_ratio: f64,
    /// Processor time of proxy and server together, as a ratio to the floor's.
    pub cpu_to_floor: Option<f64>,
    pub megabytes_per_second: Option<f64>,
    pub proxy_cpu_us_per_megabyte: Option<f64>,
}

pub async fn run(
    world: &World,
    endpoints: &[Endpoint],
    workload: &Workload,
    rounds: usize,
    time: Duration,
) -> anyhow::Result<Figures> {
    let count = workload.variants.len();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); count];
    let rounds = rounds * workload.rounds;
    for round in 0..rounds {
        world.tidy().await?;
        for turn in 0..count {
            let index = (turn + round) % count;
            let variant = &workload.variants[index];
            let endpoint = endpoints
                .iter()
                .find(|endpoint| endpoint.name == variant.endpoint)
                .with_context(|| format!("no endpoint is called {}", variant.endpoint))?;
            let sample = measure::run(world, endpoint, variant, workload.clients, time)
                .await
                .with_context(|| format!("{}: {}", workload.name, variant.label))?;
            samples[index].push(sample);
        }
    }
    Ok(figures(workload, rounds, &samples))
}

fn figures(workload: &Workload, rounds: usize, samples: &[Vec<Sample>]) -> Figures {
    let base = &samples[0];
    let is_floor = |label: &str| label == workload.floor;
    let floor = workload.variants.iter().position(|v| is_floor(&v.label));
    let floor = floor.map(|index| &samples[index]);
    let pgbouncer = workload.variants.iter().position(|v| v.label == PGBOUNCER);
    let pgbouncer = pgbouncer.map(|index| &samples[index]);
    let is_bulk = workload.group == Group::Bulk;
    let rows = workload.variants.iter().zip(samples);
    let rows = rows.map(|(variant, own)| {
        let each = |value: &dyn Fn(&Sample) -> Option<f64>| median(own.iter().filter_map(value));
        let against = |other: &[Sample], value: &dyn Fn(&Sample, &Sample) -> Option<f64>| {
            let pairs = own.iter().zip(other);
            median(pairs.filter_map(|(own, other)| value(own, other)))
        };
        let proxy_cpu = |other: &[Sample]| -> Vec<f64> {
            let pairs = own.iter().zip(other);
            let ratios = pairs.filter_map(|(own, other)| Some(own.proxy_us()? / other.proxy_us()?));
            ratios.collect()
        };
        let (of_floor, of_pgbouncer) =
            (floor.map(|f| proxy_cpu(f)), pgbouncer.map(|p| proxy_cpu(p)));
        let to_floor = |value: &dyn Fn(&Sample) -> Option<f64>| {
            against(floor?, &|own, floor| Some(value(own)? / value(floor)?))
        };
        let added = |share: f64| {
            against(base, &|own, base| {
                Some(own.outcome.quantile_us(share)? - base.outcome.quantile_us(share)?)
            })
        };
        let always = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Row {
            label: variant.label.clone(),
            per_second: always(each(&|s| Some(s.outcome.per_second()))),
            per_second_ratio: always(against(base, &|own, base| {
                Some(own.outcome.per_second() / base.outcome.per_second())
            })),
            per_second_to_floor: to_floor(&|s| Some(s.outcome.per_second())),
            p50_us: each(&|s| s.outcome.quantile_us(0.5)),
            p99_us: each(&|s| s.outcome.quantile_us(0.99)),
            added_p50_us: added(0.5),
            added_p99_us: added(0.99),
            proxy_cpu_us: each(&Sample::proxy_us),
            proxy_cpu_to_floor: median(of_floor.iter().flatten().copied()),
            proxy_cpu_to_floor_between: middle_half(of_floor.iter().flatten().copied()),
            proxy_cpu_to_pgbouncer: median(of_pgbouncer.iter().flatten().copied()),
            server_cpu_us: always(each(&|s| Some(s.server_us()))),
            server_cpu_ratio: always(against(base, &|own, base| {
                Some(own.server_us() / base.server_us())
            })),
            cpu_to_floor: to_floor(&|s| Some(s.server_us() + s.proxy_us().unwrap_or(0.0))),
            megabytes_per_second: each(&|s| {
                is_bulk.then(|| s.megabytes() / s.outcome.elapsed.as_secs_f64())
            }),
            proxy_cpu_us_per_megabyte: each(&|s| {
                is_bulk.then(|| Some(s.proxy_cpu?.as_secs_f64() * 1e6 / s.megabytes()))?
            }),
        }
    });
    Figures {
        workload: workload.name.clone(),
        group: workload.group,
        clients: workload.clients,
        rounds,
        floor: workload.floor,
        rows: rows.collect(),
    }
}

/// Between which values the middle half of several lies.
fn middle_half(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values = sorted(values);
    let quarter = values.len() / 4;
    Some((*values.get(quarter)?, values[values.len() - 1 - quarter]))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values = sorted(values);
    let (lower, upper) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[lower], values[upper]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median([4.0, 1.0, 9.0, 2.0].into_iter()), Some(3.0));
        assert_eq!(median([4.0, 1.0, 9.0].into_iter()), Some(4.0));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn the_middle_half_leaves_the_outer_quarters_out() {
        assert_eq!(middle_half([7.0].into_iter()), Some((7.0, 7.0)));
        let eight = [8.0, 1.0, 7.0, 2.0, 6.0, 3.0, 5.0, 4.0];
        assert_eq!(middle_half(eight.into_iter()), Some((3.0, 6.0)));
        assert_eq!(middle_half(std::iter::empty()), None);
    }
}
