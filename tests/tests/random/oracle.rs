//! One table moved by a lens by columns and by one by steps: both answer every statement as PostgreSQL
//! does, in every phase, and leave the same rows behind.
//!
//! The statements of `tests/data/oracle/corpus.sql`, and random ones beside them. What only one kind of
//! lens refuses stands with its reason in `tests/data/oracle/differences.toml`; what is not true of that
//! list, in either direction, fails.
//!
//! `CROSSFADE_ORACLE_EXTENDED` sends the statements by the extended protocol as well, `CROSSFADE_ORACLE_BLOCK`
//! runs the blocks alone whose name contains its text. `CROSSFADE_SEED` begins at
//! another random case (a failure prints its own), `CROSSFADE_ORACLE_SECONDS` goes on for as long, and
//! `CROSSFADE_ORACLE_GO_ON` tells everything that is found instead of the first.

mod bench;
mod differences;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bench::{Bench, Wrong};
use crossfade_tests::generate::{self, Choices, Protocol};
use crossfade_tests::oracle;
use differences::{Listed, Refused, Told};

use super::differential::shrink::shrink_by;

/// Few enough for each change; the differential test runs more of them by columns.
const CASES: u64 = 12;
const SEED: u64 = 60_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn goes_on() -> bool {
    std::env::var_os("CROSSFADE_ORACLE_GO_ON").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn lenses_by_columns_and_by_steps_answer_every_form_of_statement_alike() -> anyhow::Result<()>
{
    let mut bench = Bench::start().await?;
    let only = std::env::var("CROSSFADE_ORACLE_BLOCK").ok();
    let mut refused = Refused::default();
    let mut told = Told::default();
    let mut ran: Vec<&str> = Vec::new();
    let mut wrong = String::new();
    let extended = Protocol::Extended {
        binary_results: false,
    };
    let extended_too = std::env::var_os("CROSSFADE_ORACLE_EXTENDED").is_some();
    for by in [Protocol::Simple, extended] {
        if by == extended && !extended_too {
            continue;
        }
        for block in oracle::blocks(by) {
            let meant = only
                .as_ref()
                .is_none_or(|part| block.name.contains(part.as_str()));
            if !meant || block.since > bench.server {
                continue;
            }
            if by == extended && !block.case.statements.iter().any(|s| s.protocol == by) {
                continue;
            }
            ran.push(block.name);
            let outcome = bench.run(&block.case).await?;
            for found in &outcome.otherwise {
                told.add(block.name, found);
            }
            for found in &outcome.refusals {
                refused.add(block.name, found);
            }
            if let Some(first) = outcome.wrong.first() {
                let told = format!("{}:\n{}", block.name, bench::told(&outcome.wrong));
                assert!(goes_on(), "{told}proxy log:\n{}", bench.log(first));
                println!("{told}");
                wrong += &told;
            }
        }
    }
    println!(
        "{} blocks, {} statements on each side",
        ran.len(),
        bench.statements
    );
    let untold = refused.untold();
    let listed = Listed::read();
    let apart = listed.compare(&refused, &told, &ran);
    let all = format!("{wrong}{untold}{apart}");
    assert!(all.is_empty(), "{all}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lenses_by_columns_and_by_steps_answer_random_statements_alike() -> anyhow::Result<()> {
    let mut bench = Bench::start().await?;
    let listed = Listed::read();
    let first = number("CROSSFADE_SEED").unwrap_or(SEED);
    let seconds = number("CROSSFADE_ORACLE_SECONDS");
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut found: Vec<String> = Vec::new();
    let mut refusals: BTreeMap<String, u32> = BTreeMap::new();
    let mut cases = 0;
    for seed in first.. {
        if until.map_or(seed >= first + CASES, |until| Instant::now() > until) {
            break;
        }
        cases += 1;
        let mut choices = Choices::seeded(bench.server, seed);
        let case = generate::case(&mut choices);
        let outcome = bench.run(&case).await?;
        for refusal in &outcome.refusals {
            let of = format!("{} {}", refusal.kind, refusal.what);
            *refusals.entry(of).or_default() += 1;
        }
        for what in outcome.by_one.iter().filter(|what| !listed.knows(what)) {
            found.push(format!(
                "CROSSFADE_SEED={seed}: refused by {} alone in {}: {}",
                what.kind, what.phase, what.what
            ));
        }
        if let Some(wrong) = outcome.all_wrong().next() {
            let side = wrong.side;
            let small = shrink_by(
                bench.server,
                choices.taken(),
                &wrong.difference,
                async |case| bench.run_on(side, &case).await,
            )
            .await?;
            let small = Wrong {
                side,
                difference: small,
            };
            found.push(format!("CROSSFADE_SEED={seed}\n{small}"));
        }
        assert!(goes_on() || found.is_empty(), "{}", found.concat());
    }
    println!(
        "{cases} cases, {} statements on each side; refused:",
        bench.statements
    );
    for (what, times) in refusals {
        println!("{times:>6} {what}");
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}
