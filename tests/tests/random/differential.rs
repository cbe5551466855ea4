//! Random statements straight to a database that has only the legacy tables' truth, and through
//! Crossfade in every phase: same answers, same rows afterwards.
//!
//! `CROSSFADE_SEED` begins at another case (a failure prints its own), `CROSSFADE_DIFFERENTIAL_SECONDS`
//! goes on for as long, `CROSSFADE_DIFFERENTIAL_GO_ON` reports every difference instead of the first.

pub(crate) mod compare;
pub(crate) mod coverage;
mod excuses;
pub(crate) mod run;
pub(crate) mod shrink;
pub(crate) mod subject;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use compare::Difference;
use coverage::Coverage;
use crossfade_tests::estate::{BY_COLUMNS, BY_STEPS};
use crossfade_tests::generate::Choices;
use run::Bench;
use subject::Subject;

/// About 2,000 statements over all phases: few enough for each change. After them come only cases
/// with a construct that some phase has not met.
const CASES: u64 = 90;
/// The grammar has no construct that so many cases do not show.
const CASES_MAX: u64 = 3_000;
const SEED: u64 = 20_000;
/// In so long a run every construct meets every phase.
const LONG_SECONDS: u64 = 600;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_are_answered_as_postgresql_does() -> anyhow::Result<()> {
    all(Subject::Agents).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_over_tables_that_move_by_columns_are_answered_as_postgresql_does()
-> anyhow::Result<()> {
    all(Subject::Estate(&BY_COLUMNS)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_over_tables_that_move_by_steps_are_answered_as_postgresql_does()
-> anyhow::Result<()> {
    all(Subject::Estate(&BY_STEPS)).await
}

/// Faults of rule files, none of which `check` can see: what is right, and what stands there instead.
fn planted() -> [Subject; 3] {
    [
        // A column does not follow where the row is there.
        BY_STEPS.planted(
            "price = excluded.price, size = excluded.size",
            "price = excluded.price",
        ),
        // Some rows stay when they are deleted.
        BY_STEPS.planted(
            "DELETE FROM dweller USING row_image r WHERE dweller.id = r.id",
            "DELETE FROM dweller USING row_image r WHERE dweller.id = r.id AND dweller.a IS NULL",
        ),
        // A value is another one on the other side.
        BY_COLUMNS.planted("'Asia/Tokyo'", "'Asia/Kolkata'"),
    ]
    .map(Subject::Estate)
}

/// What `planted_faults_are_found` does, with the first of them.
#[tokio::test(flavor = "multi_thread")]
async fn one_planted_fault_is_found() -> anyhow::Result<()> {
    let [first, ..] = planted();
    is_found(first).await
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_faults_are_found() -> anyhow::Result<()> {
    for subject in planted() {
        is_found(subject).await?;
    }
    Ok(())
}

async fn is_found(subject: Subject) -> anyhow::Result<()> {
    let mut bench = Bench::start(subject).await?;
    for seed in SEED..SEED + 3 * CASES {
        let case = subject.case(&mut Choices::seeded(bench.server, seed));
        if let Some(found) = bench.run(&case, None).await?.first() {
            println!("{found}");
            return Ok(());
        }
    }
    anyhow::bail!("not found: {subject:?}")
}

async fn all(subject: Subject) -> anyhow::Result<()> {
    let mut bench = Bench::start(subject).await?;
    let mut coverage = Coverage::default();
    let first = number("CROSSFADE_SEED").unwrap_or(SEED);
    let seconds = number("CROSSFADE_DIFFERENTIAL_SECONDS");
    let cases = number("CROSSFADE_DIFFERENTIAL_CASES").unwrap_or(CASES);
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    // Some cases, or some seconds, need not meet everything.
    let long = seconds.is_none_or(|seconds| seconds >= LONG_SECONDS);
    let complete = cases == CASES && long;
    let go_on = std::env::var_os("CROSSFADE_DIFFERENTIAL_GO_ON").is_some();
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for seed in first.. {
        let mut choices = Choices::seeded(bench.server, seed);
        let case = subject.case(&mut choices);
        let only_new = until.map_or(seed >= first + cases, |until| Instant::now() > until);
        if only_new && (!complete || seed >= first + CASES_MAX) {
            break;
        }
        if only_new && !coverage.wants(subject, &case) {
            continue;
        }
        let differences = bench.run(&case, Some(&mut coverage)).await?;
        let Some(difference) = differences.first() else {
            continue;
        };
        let phases: Vec<&str> = differences.iter().map(|d| d.phase.name()).collect();
        if found.get(&kind(difference)).is_some_and(|count| *count > 2) {
            continue;
        }
        *found.entry(kind(difference)).or_default() += 1;
        let small = shrink::shrink(&mut bench, choices.taken(), difference).await?;
        let report = format!("CROSSFADE_SEED={seed}, in {phases:?}\n{small}");
        assert!(
            go_on,
            "{report}\nproxy log:\n{}",
            bench.log(difference.phase)
        );
        println!("=== {report}\n");
    }
    println!("{coverage}");
    assert!(found.is_empty(), "{found:#?}");
    if complete {
        coverage.check(subject);
    }
    Ok(())
}

/// What differences of one cause have in common, roughly.
fn kind(difference: &Difference) -> String {
    let mut lines = difference.got.lines();
    let line = lines.find(|line| line.starts_with("+ E"));
    let statement = difference.statements.last();
    let about = line.or(statement.map(String::as_str)).unwrap_or_default();
    let letters = about.chars().filter(|c| !c.is_ascii_digit());
    letters.take(110).collect()
}
