//! Greedy shrinking: smaller choices that still differ in the same phase.

use crossfade_tests::generate::{self, Case, Choices};

use super::run::{Bench, Difference};

/// Each attempt runs the case on two sides; a few hundred take some seconds.
const ATTEMPTS_MAX: u32 = 250;

pub async fn shrink(
    bench: &mut Bench,
    choices: Vec<u32>,
    first: &Difference,
) -> anyhow::Result<Difference> {
    let (server, phase) = (bench.server, first.phase);
    shrink_by(server, choices, first, async |case| {
        bench.run_in(phase, &case).await
    })
    .await
}

/// The same where something else tells whether a case still differs.
pub async fn shrink_by(
    server: u32,
    choices: Vec<u32>,
    first: &Difference,
    mut differs: impl AsyncFnMut(Case) -> anyhow::Result<Option<Difference>>,
) -> anyhow::Result<Difference> {
    let phase = first.phase;
    let mut best = choices;
    let mut attempts = 0;
    let mut smallest = Difference {
        phase,
        statements: first.statements.clone(),
        expected: first.expected.clone(),
        got: first.got.clone(),
    };
    let mut window = best.len() / 2;
    while window > 0 && attempts < ATTEMPTS_MAX {
        let mut at = 0;
        while at < best.len() && attempts < ATTEMPTS_MAX {
            let end = (at + window).min(best.len());
            let mut without = best.clone();
            without.drain(at..end);
            let mut lowered = best.clone();
            lowered[at..end].fill(0);
            let mut smaller = None;
            for candidate in [without, lowered] {
                if candidate == best {
                    continue;
                }
                attempts += 1;
                let mut replay = Choices::replayed(server, candidate);
                let case = generate::case(&mut replay);
                let taken = replay.taken();
                let simpler = taken.len() < best.len()
                    || (taken.len() == best.len() && taken.iter().sum::<u32>() < best.iter().sum());
                if !simpler {
                    continue;
                }
                if let Some(difference) = differs(case).await? {
                    smaller = Some((taken, difference));
                    break;
                }
            }
            match smaller {
                Some((taken, difference)) => {
                    best = taken;
                    smallest = difference;
                }
                None => at += window,
            }
        }
        window /= 2;
    }
    Ok(smallest)
}
