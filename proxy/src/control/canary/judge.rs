//! Whether a canary does worse than the other sessions, so much worse that chance does not explain it.
//!
//! | | margin | test |
//! |---|---|---|
//! | errors | its share of failed reads is more than `errors` above that of the others | Fisher's exact test, one-sided |
//! | latency | its 99th percentile is more than `latency` times that of the others, and 5 ms above it | the same, of how many in each group took longer than that bound |
//! | divergence | more than `divergence` of the compared reads differ; a key enters the ledger; reads that see unified alone would miss rows | none: one such row is a wrong answer |
//!
//! Fisher's test: of `n + N` reads `k + K` are bad; were it chance which of them fall to the canary, the number there would
//! follow the hypergeometric distribution. `p = Σ C(n, x)·C(N, k+K−x) / C(n+N, k+K)` over `x ≥ k`. It counts exactly, for
//! few reads as well, and asks of the 99th percentile what is asked: how many lie above. It is asked each second for as long
//! as a canary runs, so [`LEVEL`] is far below what one look would need.

use rewrite_rules::Phase;
use serde::Serialize;

use super::{Counted, CountedReads};
use crate::latency::longest_ms;

/// Below this chance is not believed: of ten thousand looks at canaries that are no worse, one in a hundred would err.
pub const LEVEL: f64 = 1e-6;

/// Of fewer reads nobody knows the 99th percentile.
const TIMED_MIN: u64 = 100;

/// A difference in latency that nobody notices.
const LATENCY_MIN_MS: f64 = 5.0;

/// How much worse than the others it may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margins {
    /// A share of all reads, 0 to 1.
    pub errors: f64,
    /// A factor, 1 or more.
    pub latency: f64,
    /// A share of the compared reads, 0 to 1.
    pub divergence: f64,
}

impl Default for Margins {
    fn default() -> Self {
        Margins {
            errors: 0.01,
            latency: 2.0,
            divergence: 0.0,
        }
    }
}

/// One of the measures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    pub name: &'static str,
    /// The numbers, in words.
    pub found: String,
    /// The canary must go back.
    pub beyond: bool,
}

/// What is to be judged: the last while, and all since it began.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub lately: &'a Counted,
    pub in_all: &'a Counted,
}

/// Judges a canary in a phase.
#[must_use]
pub fn judge(phase: Phase, seen: Seen<'_>, margins: &Margins) -> Vec<Measure> {
    let lately = seen.lately;
    vec![
        errors(&lately.canary, &lately.rest, margins),
        latency(&lately.canary, &lately.rest, margins),
        divergence(phase, seen.in_all, margins),
    ]
}

fn errors(canary: &CountedReads, rest: &CountedReads, margins: &Margins) -> Measure {
    let (k, n) = (canary.failed, canary.answered + canary.failed);
    // Where the others are few, as many reads without an error are taken for theirs: it goes back rather too soon.
    let (others_k, others_n) = (rest.failed, (rest.answered + rest.failed).max(n));
    let p = fisher((k, n), (others_k, others_n));
    let more = share(k, n) - share(others_k, others_n);
    Measure {
        name: "errors",
        found: format!(
            "{k} of {n} reads failed, and {others_k} of {} of the others ({})",
            rest.answered + rest.failed,
            chance(p)
        ),
        beyond: more > margins.errors && p < LEVEL,
    }
}

fn latency(canary: &CountedReads, rest: &CountedReads, margins: &Margins) -> Measure {
    let measure = |found, beyond| Measure {
        name: "latency",
        found,
        beyond,
    };
    let (n, others_n): (u64, u64) = (canary.times.values().sum(), rest.times.values().sum());
    let Some(others) = p99_ms(rest).filter(|_| others_n >= TIMED_MIN) else {
        return measure(
            format!("{others_n} reads of the others were timed, and {TIMED_MIN} are needed"),
            false,
        );
    };
    let bound = (others * margins.latency).max(others + LATENCY_MIN_MS);
    let (k, others_k) = (longer(canary, bound), longer(rest, bound));
    let p = fisher((k, n), (others_k, others_n));
    let own = p99_ms(canary).unwrap_or(0.0);
    measure(
        format!(
            "p99 {own:.1} ms of {n} reads, and {others:.1} ms of {others_n} of the others; {k} and {others_k} took longer \
             than {bound:.1} ms ({})",
            chance(p)
        ),
        k * 100 > n && p < LEVEL,
    )
}

fn divergence(phase: Phase, counted: &Counted, margins: &Margins) -> Measure {
    let Counted {
        compared,
        different,
        divergences,
        fallbacks,
        ..
    } = counted;
    let missed = match phase {
        // Its reads look at unified alone: what others had to read from legacy they miss.
        Phase::DualRead => *fallbacks,
        Phase::LegacyOnly
        | Phase::DualWrite
        | Phase::ShadowRead
        | Phase::UnifiedRead
        | Phase::UnifiedOnly
        | Phase::Retired => 0,
    };
    Measure {
        name: "divergence",
        found: format!(
            "{different} of {compared} compared reads differ, {divergences} keys entered the ledger, {missed} rows were \
             read from legacy alone"
        ),
        beyond: share(*different, *compared) > margins.divergence || *divergences > 0 || missed > 0,
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64
    }
}

/// The 99th percentile, as the upper bound of its bucket.
#[must_use]
pub fn p99_ms(reads: &CountedReads) -> Option<f64> {
    let total: u64 = reads.times.values().sum();
    let mut above = total / 100;
    for (bucket, count) in reads.times.iter().rev() {
        if *count > above {
            return Some(longest_ms(usize::from(*bucket)));
        }
        above -= count;
    }
    None
}

/// How many took longer than the bucket in which the bound lies can hold.
fn longer(reads: &CountedReads, bound_ms: f64) -> u64 {
    let mut above = reads.times.iter().rev();
    let above = above.by_ref().take_while(|(bucket, _)| {
        let below = bucket.checked_sub(1);
        below.is_some_and(|below| longest_ms(usize::from(below)) >= bound_ms)
    });
    above.map(|(_, count)| count).sum()
}

fn chance(p: f64) -> String {
    match p {
        p if p >= 0.001 => format!("p = {p:.3}"),
        p => format!("p = {p:.1e}"),
    }
}

/// The chance of so many bad ones or more among the first, were all alike.
fn fisher((k, n): (u64, u64), (others_k, others_n): (u64, u64)) -> f64 {
    let (bad, all) = (k + others_k, n + others_n);
    if k == 0 || bad == 0 {
        return 1.0;
    }
    let most = bad.min(n);
    let exactly = |x: u64| {
        // With fewer among the others than there are, it cannot be.
        if bad - x > others_n {
            return 0.0;
        }
        (ln_choose(n, x) + ln_choose(others_n, bad - x) - ln_choose(all, bad)).exp()
    };
    // From where the counts are to where they add nothing any more: on the side on which they fall at once.
    let is_above = u128::from(k) * u128::from(all) >= u128::from(bad) * u128::from(n);
    if is_above {
        sum_of((k..=most).map(exactly)).min(1.0)
    } else {
        1.0 - sum_of((0..k).rev().map(exactly)).min(1.0)
    }
}

/// Of terms that fall: until what is left is nothing to what there is.
fn sum_of(terms: impl Iterator<Item = f64>) -> f64 {
    let mut sum = 0.0;
    for term in terms {
        sum += term;
        if term < sum * 1e-14 {
            break;
        }
    }
    sum
}

fn ln_choose(of: u64, take: u64) -> f64 {
    ln_factorial(of) - ln_factorial(take) - ln_factorial(of - take)
}

/// Exact for few, by Stirling's series above.
fn ln_factorial(n: u64) -> f64 {
    if n < 32 {
        return (2..=n).map(|i| (i as f64).ln()).sum();
    }
    let x = n as f64;
    let inverse = 1.0 / x;
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + inverse / 12.0
        - inverse.powi(3) / 360.0
        + inverse.powi(5) / 1260.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reads(answered: u64, failed: u64, times: &[(u16, u64)]) -> CountedReads {
        CountedReads {
            answered,
            failed,
            times: BTreeMap::from_iter(times.iter().copied()),
        }
    }

    fn beyond(phase: Phase, counted: &Counted) -> Vec<&'static str> {
        let seen = Seen {
            lately: counted,
            in_all: counted,
        };
        let all = judge(phase, seen, &Margins::default());
        all.iter().filter(|m| m.beyond).map(|m| m.name).collect()
    }

    #[test]
    fn fishers_test_gives_what_books_and_other_programs_give() {
        // The lady tasting tea: all four right, and three or more.
        assert!((fisher((4, 4), (0, 4)) - 1.0 / 70.0).abs() < 1e-12);
        assert!((fisher((3, 4), (1, 4)) - 17.0 / 70.0).abs() < 1e-12);
        // R: fisher.test(matrix(c(12, 88, 5, 195), 2), alternative = "greater")
        assert!((fisher((12, 100), (5, 200)) - 0.001_393_008_8).abs() < 1e-9);
        assert!((fisher((0, 10), (5, 10)) - 1.0).abs() < 1e-12);
        assert!((fisher((0, 0), (0, 0)) - 1.0).abs() < 1e-12);
        let large = fisher((1_000, 100_000), (9_000, 900_000));
        assert!((0.4..0.6).contains(&large), "{large}");
        let fewer = fisher((900, 100_000), (9_100, 900_000));
        assert!((0.998..1.0).contains(&fewer), "{fewer}");
        assert!(fisher((100_000, 100_000), (0, 100_000)) < 1e-300);
    }

    #[test]
    fn the_series_joins_the_exact_logarithms() {
        let exact: f64 = (2..=40_u64).map(|i| (i as f64).ln()).sum();
        assert!((ln_factorial(40) - exact).abs() < 1e-9);
    }

    #[test]
    fn errors_count_when_they_are_more_than_the_margin_and_no_chance() {
        let counted = |canary, rest| Counted {
            canary,
            rest,
            ..Counted::default()
        };
        let cases = [
            (reads(0, 10, &[]), reads(100, 0, &[]), true),
            (reads(0, 12, &[]), reads(0, 0, &[]), true),
            (reads(900, 100, &[]), reads(9_000, 1_000, &[]), false),
            (reads(980, 20, &[]), reads(9_990, 10, &[]), true),
            // No chance, and within the margin.
            (reads(99_500, 500, &[]), reads(999_990, 10, &[]), false),
            // Beyond the margin, and it may be chance.
            (reads(9, 1, &[]), reads(100, 0, &[]), false),
            (reads(0, 0, &[]), reads(0, 100, &[]), false),
        ];
        for (canary, rest, is_beyond) in cases {
            let expected = if is_beyond { vec!["errors"] } else { vec![] };
            let counted = counted(canary, rest);
            assert_eq!(beyond(Phase::DualRead, &counted), expected, "{counted:?}");
        }
    }

    #[test]
    fn latency_counts_when_its_99th_percentile_is_beyond_the_others() {
        // Buckets of about 1 ms and 50 ms.
        let at = |ms: f64| {
            let mut buckets = 0..272_u16;
            let found = buckets.find(|b| longest_ms(usize::from(*b)) >= ms);
            found.expect("a bucket")
        };
        let (quick, slow) = (at(1.0), at(50.0));
        let counted = |canary: &[(u16, u64)], rest: &[(u16, u64)]| Counted {
            canary: reads(0, 0, canary),
            rest: reads(0, 0, rest),
            ..Counted::default()
        };
        let (tenth, four_tenths) = (at(0.1), at(0.4));
        let cases = [
            (vec![(slow, 20)], vec![(quick, 500)], true),
            (
                vec![(quick, 900), (slow, 100)],
                vec![(quick, 9_999), (slow, 1)],
                true,
            ),
            (
                vec![(quick, 999), (slow, 1)],
                vec![(quick, 9_990), (slow, 10)],
                false,
            ),
            // Nobody knows how long the others take.
            (vec![(slow, 20)], vec![(quick, 50)], false),
            (vec![(quick, 1_000)], vec![(slow, 1_000)], false),
            // Four times as long, and nobody notices.
            (vec![(four_tenths, 1_000)], vec![(tenth, 1_000)], false),
        ];
        for (canary, rest, is_beyond) in cases {
            let expected = if is_beyond { vec!["latency"] } else { vec![] };
            let counted = counted(&canary, &rest);
            assert_eq!(beyond(Phase::DualRead, &counted), expected, "{counted:?}");
        }
    }

    #[test]
    fn one_wrong_answer_is_enough_where_the_phase_makes_it_one() {
        let different = Counted {
            compared: 1_000,
            different: 1,
            ..Counted::default()
        };
        let ledger = Counted {
            divergences: 1,
            ..Counted::default()
        };
        let fallbacks = Counted {
            fallbacks: 1,
            ..Counted::default()
        };
        for phase in [Phase::ShadowRead, Phase::DualRead] {
            assert_eq!(beyond(phase, &different), ["divergence"]);
            assert_eq!(beyond(phase, &ledger), ["divergence"]);
        }
        assert_eq!(beyond(Phase::DualRead, &fallbacks), ["divergence"]);
        assert!(beyond(Phase::ShadowRead, &fallbacks).is_empty());
    }
}
